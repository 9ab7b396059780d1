"""A call and its answer, without HTTP."""

from __future__ import annotations

import orjson
from engine.browser_requests import BROWSER_REQUESTS
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.api import Call, ProtectionApi
from gateway.engine.rules import Rule, floor
from gateway.engine.wire import FORM, JSON, TEXTS

BROWSER = BROWSER_REQUESTS["chrome navigates"]


def ask(api: ProtectionApi, **fields: object) -> tuple[int, bytes]:
    answer = api.respond(Call(orjson.dumps({**BROWSER, **fields}), JSON))
    return answer.status, answer.body


def test_accepted_key_is_judged_any_other_is_400(rules: tuple[Rule, ...]) -> None:
    api = ProtectionApi(["first", "zweiter-Schlüssel"], rules)

    assert ask(api, Key="first") == (200, b"")
    assert ask(api, Key="zweiter-Schlüssel") == (200, b"")
    assert ask(api, Key="third") == (400, b"the Key field is no accepted key")
    assert ask(api, Key="firs") == (400, b"the Key field is no accepted key")
    assert ask(api, Key="") == ask(api, Key=None) == (400, b"the Key field is missing")


def test_no_configured_keys_accept_any_but_an_empty_one(rules: tuple[Rule, ...]) -> None:
    api = ProtectionApi([], rules)

    assert ask(api, Key="whatever") == (200, b"")
    assert ask(api, Key="") == (400, b"the Key field is missing")


def test_with_keys_changes_the_callers_alone(rules: tuple[Rule, ...]) -> None:
    api = ProtectionApi(["old"], rules).with_keys(["new"])

    assert ask(api, Key="new") == (200, b"")
    assert ask(api, Key="old")[0] == 400
    assert ask(api, Key="new", UserAgent="curl/8.9.1")[0] == 403


def test_request_ids_and_new_client_ids_differ(rules: tuple[Rule, ...]) -> None:
    api = ProtectionApi([], rules)
    first, second = (dict(api.respond(Call(b"Key=k&UserAgent=okhttp%2F4", FORM)).headers) for _ in range(2))

    assert first["X-DataDome-requestid"] != second["X-DataDome-requestid"]
    assert first["Set-Cookie"] != second["Set-Cookie"]


RULES = floor()


@given(st.dictionaries(st.sampled_from(TEXTS), st.text(max_size=60), max_size=10))
def test_any_described_request_gets_an_answer_with_header_safe_values(fields: dict[str, str]) -> None:
    try:
        body = orjson.dumps({**fields, "Key": "k"})
    except orjson.JSONEncodeError:  # half a surrogate pair is no JSON
        return

    answer = ProtectionApi([], RULES).respond(Call(body, JSON))

    assert answer.status in (200, 403)
    for name, value in answer.headers:
        assert (name + value).isascii() and (name + value).isprintable()
