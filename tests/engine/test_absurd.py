"""What is impossible about a request, and that nothing of a person is."""

from __future__ import annotations

from typing import Any

import pytest
from engine.browser_requests import BROWSER_REQUESTS, CHROME, USER_AGENTS, described
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.absurd import absurdity
from gateway.engine.wire import INTEGERS, TEXTS, Described

FULL = {"UserAgent": CHROME, "Accept": "*/*", "AcceptEncoding": "gzip"}


def absurd(fields: dict[str, Any], *, is_bot: bool = False) -> str:
    return absurdity(Described({name: value for name, value in fields.items() if value != ""}), is_bot=is_bot)


@pytest.mark.parametrize("name", BROWSER_REQUESTS)
def test_request_of_a_person_is_not_absurd(name: str) -> None:
    assert absurd(BROWSER_REQUESTS[name]) == ""


@pytest.mark.parametrize("user_agent", USER_AGENTS)
def test_user_agent_of_a_person_is_not_absurd_from_any_module(user_agent: str) -> None:
    assert absurd({"Key": "k", "UserAgent": user_agent}) == ""
    assert absurd(described(UserAgent=user_agent, Accept="*/*")) == ""


@pytest.mark.parametrize("is_bot", [False, True])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "no user agent"),
        ({"UserAgent": " "}, "no user agent"),
        ({"UserAgent": "-"}, "no user agent"),
        ({"UserAgent": "Mozilla/5.0 " + "x" * 753}, "user agent too long"),
        ({"UserAgent": "Mozilla/5.0 " + "é" * 377}, "user agent too long"),
        ({"UserAgent": CHROME + "\x00"}, "user agent with control characters"),
        ({"UserAgent": CHROME + "\x7f"}, "user agent with control characters"),
        ({"UserAgent": "curl/8.9.1\t"}, "user agent with control characters"),
        ({**FULL, "Method": "TRACE"}, "forbidden method"),
        ({**FULL, "Method": "Track"}, "forbidden method"),
        ({**FULL, "Method": "CONNECT"}, "forbidden method"),
        ({**FULL, "Method": "DEBUG"}, "forbidden method"),
        ({**FULL, "Request": "/../../etc/passwd"}, "path traversal"),
        ({**FULL, "Request": "/static/%2e%2E/%2e%2e/secret"}, "path traversal"),
        ({**FULL, "Request": "/static/..%2f..%5Csecret"}, "path traversal"),
        ({**FULL, "Request": "/static\\..\\secret"}, "path traversal"),
        ({**FULL, "Request": "/app/..;/manager/html"}, "path traversal"),
        ({**FULL, "Request": "/a/.."}, "path traversal"),
        ({**FULL, "Request": "/a/..?x=1"}, "path traversal"),
        ({**FULL, "Request": "../a"}, "path traversal"),
        ({**FULL, "Request": "/a%00.png"}, "path traversal"),
        ({**FULL, "Request": "/%c0%ae/x"}, "path traversal"),
        ({**FULL, "Request": "/%C0%AF/x"}, "path traversal"),
        ({**FULL, "Request": "/view?file=..%2F..%2Fetc%2Fpasswd"}, "path traversal"),
        ({**FULL, "Request": "/view?file=../../windows/win.ini"}, "path traversal"),
        ({**FULL, "Request": "/view?file=%2e%2e/proc/self/environ"}, "path traversal"),
    ],
)
def test_request_that_nothing_of_a_person_sends_is_absurd(fields: dict[str, Any], expected: str, is_bot: bool) -> None:
    assert absurd(described(**fields), is_bot=is_bot) == expected


IMPOSSIBLE_IN_A_BROWSER = [
    ({**FULL, "PostParamLen": 1}, "browser that sends a body with GET"),
    ({**FULL, "PostParamLen": 1, "Method": "HEAD"}, "browser that sends a body with GET"),
    ({"UserAgent": CHROME}, "browser without Accept headers"),
    ({**FULL, "SecCHUAMobile": "false"}, "impossible client hints"),
    ({**FULL, "SecCHUAPlatform": "Windows"}, "impossible client hints"),
    ({**FULL, "SecFetchSite": "same_origin"}, "impossible client hints"),
    ({**FULL, "SecFetchSite": "none\n"}, "impossible client hints"),
    ({**FULL, "SecFetchUser": "1"}, "impossible client hints"),
    ({"UserAgent": "okhttp/4.12.0", "SecFetchUser": "?2"}, "impossible client hints"),
]


@pytest.mark.parametrize(("fields", "expected"), IMPOSSIBLE_IN_A_BROWSER)
def test_browser_that_does_what_no_browser_does_is_absurd(fields: dict[str, Any], expected: str) -> None:
    assert absurd(described(**fields)) == expected


@pytest.mark.parametrize(("fields", "expected"), IMPOSSIBLE_IN_A_BROWSER)
def test_bot_that_says_so_is_not_held_to_what_browsers_do(fields: dict[str, Any], expected: str) -> None:
    assert absurd(described(**fields), is_bot=True) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {**FULL, "PostParamLen": 1, "Method": "POST"},
        {**FULL, "PostParamLen": 0},
        {"UserAgent": "okhttp/4.12.0", "PostParamLen": 1},
        {"UserAgent": "okhttp/4.12.0"},
        {"UserAgent": CHROME, "AcceptEncoding": "gzip"},
        {"UserAgent": CHROME, "HeadersList": "host,Accept-Language"},  # sent, and empty
        {"UserAgent": CHROME, "HeadersList": "host,x-" + "a" * 502},  # 509 bytes: cut, so nobody knows
        {**FULL, "SecCHUAMobile": "?F", "SecCHUAPlatform": '"', "SecFetchUser": "?T"},
        {**FULL, "SecFetchSite": "cross-site"},
        {**FULL, "Request": "/a/...%20b/..c/d..?next=../home"},
        {**FULL, "Method": "PROPFIND"},
        {"UserAgent": "Mozilla/5.0 " + "x" * 752, "Accept": "*/*"},  # one byte under the limit
        {"UserAgent": CHROME + " é", "Accept": "*/*"},
    ],
)
def test_request_that_is_merely_unusual_is_not_absurd(fields: dict[str, Any]) -> None:
    assert absurd(described(**fields)) == ""


def test_header_list_one_byte_shorter_than_a_cut_one_is_whole() -> None:
    assert absurd(described(UserAgent=CHROME, HeadersList="host,x-" + "a" * 501)) == "browser without Accept headers"


FIELDS = st.dictionaries(st.sampled_from(TEXTS), st.text(min_size=1, max_size=60), max_size=10)
NUMBERS = st.dictionaries(st.sampled_from(tuple(INTEGERS)), st.integers(0, 65_535), max_size=3)


@given(FIELDS, NUMBERS, st.booleans())
def test_any_fields_have_a_printable_absurdity_or_none(
    texts: dict[str, str], numbers: dict[str, int], is_bot: bool
) -> None:
    found = absurdity(Described({**texts, **numbers}), is_bot=is_bot)

    assert found.isascii() and found.isprintable()
