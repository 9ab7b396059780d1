"""The status, headers and body that follow from an outcome."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.answer import Answer, Outcome, answer_outcome, answer_refusal, is_json, wants_json
from gateway.engine.challenge.page import PageRequest, block_page, challenge_page, limit_page
from gateway.engine.challenge.token import Challenge, issue
from gateway.engine.keyring import Binding, Keyring
from gateway.engine.verdict import HUMAN, Identity, Verdict
from gateway.engine.wire import TEXTS, Described

CURL = Identity("curl", "bad_bot", "library", True)
ALLOW = Verdict("allow", "default")
BLOCK = Verdict("block", "automation")
CHALLENGE = Verdict("challenge", "suspicious-browser", without_javascript=True)
LIMIT = Verdict("limit", "request-rate", retry_after_s=12.2)
REDIRECT = Verdict("redirect", "moved", location="https://new.example/a?b", status=301)
VERDICTS = (ALLOW, BLOCK, CHALLENGE, LIMIT, REDIRECT)

REQUEST_ID = "00000000-0000-4000-8000-000000000000"
TOKEN = "t" * 40
POINTER = "X-DataDome-botname X-DataDome-botfamily X-DataDome-isbot X-DataDome-requestid X-DataDome-ruletype"
PAGE = {
    "Protocol": "https",
    "Host": "shop.example",
    "Request": "/a?b=<c>",
    "AcceptLanguage": "de",
    "Accept": "text/html",
}
PROGRAM = {**PAGE, "Accept": "application/json"}
NEVER_CACHED = [("Cache-Control", "private, no-cache, no-store, must-revalidate"), ("Pragma", "no-cache")]


def challenge() -> Challenge:
    keyring, binding = Keyring([b"secret"]), Binding("shop.example", "", "")
    return issue(keyring, binding, difficulty=12, wait_s=5, now_s=1_750_000_000.0, entropy=lambda size: bytes(size))


def outcome(verdict: Verdict, who: Identity = HUMAN, *, cookie: bool = False) -> Outcome:
    asked = challenge() if verdict.action == "challenge" else None
    return Outcome(verdict, who, REQUEST_ID, (TOKEN, 86_400) if cookie else ("", 0), asked, "help@shop.example")


def answer(
    verdict: Verdict, who: Identity = HUMAN, *, cookie: bool = False, x_set_cookie: bool = False, **fields: Any
) -> Answer:
    return answer_outcome(outcome(verdict, who, cookie=cookie), Described(fields), x_set_cookie=x_set_cookie)


def page_request(**fields: str) -> PageRequest:
    """What the page is told of the request PAGE."""
    told = {
        "request_id": REQUEST_ID, "method": "", "protocol": "https", "host": "shop.example", "target": "/a?b=<c>",
        "accept_language": "de", "contact": "help@shop.example", **fields,
    }  # fmt: skip
    return PageRequest(**told)


def enriched(rule: str, name: str = "human", family: str = "human", is_bot: str = "0") -> list[tuple[str, str]]:
    return [
        ("X-DataDome-botname", name),
        ("X-DataDome-botfamily", family),
        ("X-DataDome-isbot", is_bot),
        ("X-DataDome-requestid", REQUEST_ID),
        ("X-DataDome-ruletype", rule),
        ("X-DataDome", "protected"),
    ]


def head(status: int, response: str, names: str) -> list[tuple[str, str]]:
    return [
        ("X-DataDomeResponse", str(status)),
        ("X-DataDome-Traffic-Rule-Response", response),
        ("X-DataDome-request-headers", POINTER),
        ("X-DataDome-headers", names),
    ]


# -- each action


def test_allow_has_pointers_enriched_headers_and_no_body() -> None:
    assert answer(ALLOW) == Answer(200, [*head(200, "authorize", "X-DataDome"), *enriched("default")], b"")


def test_allow_with_a_new_session_sets_the_cookie() -> None:
    assert answer(ALLOW, CURL, cookie=True, Protocol="https") == Answer(
        200,
        [
            *head(200, "authorize", "Set-Cookie X-DataDome"),
            ("Set-Cookie", f"datadome={TOKEN}; Max-Age=86400; Path=/; SameSite=Lax; Secure"),
            *enriched("default", "curl", "bad_bot", "1"),
        ],
        b"",
    )


def html(csp: str) -> list[tuple[str, str]]:
    return [
        ("Content-Type", "text/html; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Content-Security-Policy", csp),
    ]


HTML_NAMES = "Content-Type X-Content-Type-Options Referrer-Policy Content-Security-Policy"
JSON_NAMES = "Content-Type X-Content-Type-Options X-DD-B"
JSON_HEADERS = [
    ("Content-Type", "application/json; charset=utf-8"), ("X-Content-Type-Options", "nosniff"), ("X-DD-B", "1"),
]  # fmt: skip


def test_block_of_a_page_is_html_and_lists_what_the_client_gets() -> None:
    page = block_page(page_request())

    assert answer(BLOCK, CURL, **PAGE) == Answer(
        403,
        [
            *head(403, "block", f"{HTML_NAMES} Cache-Control Pragma X-DataDome"),
            *html(page.content_security_policy),
            *NEVER_CACHED,
            *enriched("automation", "curl", "bad_bot", "1"),
        ],
        page.body,
    )


def test_block_of_a_program_is_json_with_x_dd_b() -> None:
    got = answer(BLOCK, CURL, **PROGRAM)

    assert (got.status, got.headers) == (
        403,
        [
            *head(403, "block", f"{JSON_NAMES} Cache-Control Pragma X-DataDome"),
            *JSON_HEADERS,
            *NEVER_CACHED,
            *enriched("automation", "curl", "bad_bot", "1"),
        ],
    )
    body = orjson.loads(got.body)
    assert (body["url"], body["request_id"]) == ("https://shop.example/a?b=<c>", REQUEST_ID)
    assert set(body) == {"url", "request_id", "message"}


def test_challenge_of_a_page_is_html_that_says_challenge() -> None:
    page = challenge_page(page_request(), challenge())

    assert answer(CHALLENGE, **PAGE) == Answer(
        403,
        [
            *head(403, "challenge", f"{HTML_NAMES} Cache-Control Pragma X-DataDome"),
            *html(page.content_security_policy),
            *NEVER_CACHED,
            *enriched("suspicious-browser"),
        ],
        page.body,
    )


def test_challenge_of_a_program_is_json_that_it_can_solve() -> None:
    got = answer(CHALLENGE, **PROGRAM)

    assert (got.status, got.headers) == (
        403,
        [
            *head(403, "challenge", f"{JSON_NAMES} Cache-Control Pragma X-DataDome"),
            *JSON_HEADERS,
            *NEVER_CACHED,
            *enriched("suspicious-browser"),
        ],
    )
    assert orjson.loads(got.body)["challenge"]["token"] == challenge().token


def test_challenge_after_a_proof_still_sets_the_cookie() -> None:
    got = answer(CHALLENGE, cookie=True, **PAGE)

    assert dict(got.headers)["X-DataDome-headers"].split()[0] == "Set-Cookie"
    assert dict(got.headers)["Set-Cookie"].startswith(f"datadome={TOKEN}; ")


def test_limit_of_a_page_says_when_to_come_back() -> None:
    page = limit_page(page_request(), 12.2)

    assert answer(LIMIT, **PAGE) == Answer(
        429,
        [
            *head(429, "block", f"{HTML_NAMES} Retry-After Cache-Control Pragma X-DataDome"),
            *html(page.content_security_policy),
            ("Retry-After", "13"),
            *NEVER_CACHED,
            *enriched("request-rate"),
        ],
        page.body,
    )


def test_limit_of_a_program_says_when_to_come_back() -> None:
    got = answer(LIMIT, **PROGRAM)

    assert dict(got.headers)["X-DataDome-headers"] == f"{JSON_NAMES} Retry-After Cache-Control Pragma X-DataDome"
    assert dict(got.headers)["Retry-After"] == "13"
    assert orjson.loads(got.body)["retry_after"] == 13


@pytest.mark.parametrize(("retry_after_s", "told"), [(0.0, "1"), (0.001, "1"), (1.0, "1"), (1.001, "2"), (59.0, "59")])
def test_retry_after_is_whole_seconds_rounded_up_and_never_0(retry_after_s: float, told: str) -> None:
    assert dict(answer(LIMIT._replace(retry_after_s=retry_after_s)).headers)["Retry-After"] == told


def test_redirect_has_its_location_and_no_body() -> None:
    assert answer(REDIRECT) == Answer(
        301,
        [
            *head(301, "redirect", "Location Cache-Control Pragma X-DataDome"),
            ("Location", "https://new.example/a?b"),
            *NEVER_CACHED,
            *enriched("moved"),
        ],
        b"",
    )


def test_redirect_with_a_new_session_lists_both() -> None:
    got = answer(REDIRECT._replace(status=302), cookie=True)

    assert got.status == 302
    assert dict(got.headers)["X-DataDome-headers"] == "Set-Cookie Location Cache-Control Pragma X-DataDome"


# -- what all of them keep


@pytest.mark.parametrize("verdict", VERDICTS, ids=[verdict.action for verdict in VERDICTS])
@pytest.mark.parametrize("fields", [PAGE, PROGRAM], ids=["page", "program"])
@pytest.mark.parametrize("cookie", [False, True])
@pytest.mark.parametrize("x_set_cookie", [False, True])
def test_every_listed_header_is_there_exactly_once(
    verdict: Verdict, fields: dict[str, str], cookie: bool, x_set_cookie: bool
) -> None:
    got = answer(verdict, cookie=cookie, x_set_cookie=x_set_cookie, **fields)

    names = [name for name, _ in got.headers]
    headers = dict(got.headers)
    assert len(names) == len(set(names))
    for pointer in ("X-DataDome-request-headers", "X-DataDome-headers"):
        listed = headers[pointer].split()
        assert len(listed) == len(set(listed)) and set(listed) <= set(names)
    assert headers["X-DataDomeResponse"] == str(got.status)
    assert not {"X-DataDomeResponse", "X-DataDome-botname"} & set(headers["X-DataDome-headers"].split())
    own = {"X-DataDomeResponse", "X-DataDome-Traffic-Rule-Response", "X-DataDome-request-headers", "X-DataDome-headers"}
    unlisted = set(names) - set(headers["X-DataDome-headers"].split()) - set(POINTER.split()) - own
    assert unlisted == set()


@pytest.mark.parametrize("verdict", VERDICTS, ids=[verdict.action for verdict in VERDICTS])
def test_session_by_header_moves_the_cookie_to_x_set_cookie(verdict: Verdict) -> None:
    headers = dict(answer(verdict, cookie=True, x_set_cookie=True).headers)

    assert headers["X-Set-Cookie"] == f"datadome={TOKEN}; Max-Age=86400; Path=/; SameSite=Lax"
    assert "Set-Cookie" not in headers
    assert headers["X-DataDome-headers"].split()[0] == "X-Set-Cookie"


@pytest.mark.parametrize(("protocol", "secure"), [("https", True), ("HTTPS", True), ("http", False), ("", False)])
def test_cookie_is_secure_where_the_request_was(protocol: str, secure: bool) -> None:
    value = dict(answer(ALLOW, cookie=True, Protocol=protocol).headers)["Set-Cookie"]

    assert value.endswith("; SameSite=Lax; Secure" if secure else "; SameSite=Lax")
    assert "HttpOnly" not in value and "Domain" not in value


FIELDS = st.dictionaries(st.sampled_from(TEXTS), st.text(max_size=80), max_size=12)


@given(FIELDS, st.sampled_from(VERDICTS), st.booleans())
def test_headers_are_printable_ascii_whatever_is_described(
    fields: dict[str, str], verdict: Verdict, cookie: bool
) -> None:
    got = answer(verdict, CURL, cookie=cookie, **fields)

    for name, value in got.headers:
        assert (name + value).isascii() and (name + value).isprintable()
    if verdict.action not in ("allow", "redirect"):
        got.body.decode()  # UTF-8, surrogates or not


@pytest.mark.parametrize("cookie", [("", 0), ("a" * 40, 86_400)])
@pytest.mark.parametrize("x_set_cookie", [False, True])
def test_lines_that_are_written_already_are_the_headers(cookie: tuple[str, int], x_set_cookie: bool) -> None:
    outcome = Outcome(Verdict("allow", "helper"), HUMAN, "an-id", cookie)
    got = answer_outcome(outcome, Described({"Protocol": "https"}), x_set_cookie=x_set_cookie)

    assert got.lines == "".join(f"{name}: {value}\r\n" for name, value in got.headers)


def test_refusal_says_why_in_plain_text() -> None:
    assert answer_refusal(400, "the Key field is missing") == Answer(
        400,
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("X-Content-Type-Options", "nosniff"),
        ],
        b"the Key field is missing",
    )


def test_refusal_with_half_a_character_is_still_text() -> None:
    assert answer_refusal(400, "got '\ud800'").body == b"got '?'"


# -- JSON or a page


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("application/vnd.api+json;v=1", True),
        ("text/json-seq", False),
        ("application/jsonp", False),
        ("text/html", False),
        ("", False),
    ],
)
def test_is_json_looks_at_the_media_type(content_type: str, expected: bool) -> None:
    assert is_json(content_type) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ContentType": "application/json", "Accept": "text/html"}, True),
        ({"ContentType": "application/x-www-form-urlencoded"}, False),
        ({"Accept": "application/json"}, True),
        ({"Accept": "Application/JSON, text/plain, */*"}, True),
        ({"Accept": "application/vnd.api+json"}, True),
        ({"Accept": "text/html,application/json;q=0.9"}, False),
        ({"Accept": "application/json, Text/HTML"}, False),
        ({"Accept": "*/*"}, False),
        ({}, False),
    ],
)
def test_json_is_wanted_by_who_sends_it_or_takes_no_page(fields: dict[str, str], expected: bool) -> None:
    assert wants_json(Described(fields)) is expected


@pytest.mark.parametrize("verdict", [BLOCK, CHALLENGE, LIMIT])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_host_of_any_length_is_shown_as_long_as_a_host_can_be(verdict: Verdict, accept: str) -> None:
    body = answer(verdict, **{**PAGE, "Accept": accept, "Host": "h" * 20_000}).body

    assert b"h" * 253 in body and b"h" * 254 not in body
