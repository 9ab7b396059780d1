"""What an answer means: every row of contract section 4."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.framing import join_repeated
from gateway.http.message import HOP_BY_HOP, Headers
from gateway.protection.decision import Decision, Verdict, decide, failure

REQUEST_POINTER = b"x-datadome-request-headers"
RESPONSE_POINTER = b"x-datadome-headers"
MARKER = b"x-datadomeresponse"


def decided(
    status: int,
    *headers: tuple[bytes, bytes],
    marker: bytes | None = b"same",
    body: bytes = b"",
    strict: bool = True,
    enforce_429: bool = True,
) -> Decision:
    """The decision of an answer with these headers; its marker is the status unless given (None: absent)."""
    received: Headers = list(headers)
    if marker is not None:
        received.insert(0, (MARKER, b"%d" % status if marker == b"same" else marker))
    return decide(status, received, join_repeated(received), body, strict=strict, enforce_429=enforce_429)


def merged(decision: Decision) -> tuple[list[bytes], list[bytes]]:
    """Header lines for the origin and for the client, in any order; each of them is whole."""
    for lines in (decision.request_lines, decision.response_lines):
        assert lines == b"" or lines.endswith(b"\r\n")
    return sorted(decision.request_lines.split(b"\r\n")[:-1]), sorted(decision.response_lines.split(b"\r\n")[:-1])


# ---- statuses and integrity ----


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.ALLOW),
        (301, Verdict.REDIRECT),
        (302, Verdict.REDIRECT),
        (401, Verdict.BLOCK),
        (403, Verdict.BLOCK),
        (429, Verdict.BLOCK),
    ],
)
def test_status_listed_with_its_header_is_that_decision(status: int, verdict: Verdict) -> None:
    for strict in (True, False):
        decision = decided(status, strict=strict)
        assert (decision.verdict, decision.status, decision.reason) == (verdict, status, "")


@pytest.mark.parametrize("marker", [b"same", None, b"200", b"x"])
def test_status_400_is_unauthorized_with_or_without_the_header(marker: bytes | None) -> None:
    assert decided(400, marker=marker) == failure("unauthorized", 400)


@pytest.mark.parametrize("status", [201, 204, 303, 304, 307, 308, 402, 404, 405, 500, 502, 503, 504, 999])
@pytest.mark.parametrize("marker", [b"same", None, b"200"])
def test_status_unlisted_is_no_decision_with_or_without_the_header(status: int, marker: bytes | None) -> None:
    assert decided(status, marker=marker, body=b"page") == failure("status", status)


BAD_MARKERS = [
    None,
    b"",
    b"403 ",
    b" 403",
    b"+403",
    b"0403",
    b"40",
    b"4_3",
    b"403.0",
    b"0x193",
    b"403, 403",
    b"\xd9\xa4\xd9\xa0\xd9\xa3",
    b"\xb2\xb0\xb0",
    b"OK",
    b"000",
]


@pytest.mark.parametrize("marker", BAD_MARKERS)
@pytest.mark.parametrize("status", [200, 301, 302, 401, 403, 429])
def test_status_listed_with_a_malformed_header_is_an_integrity_failure(status: int, marker: bytes | None) -> None:
    headers = ((REQUEST_POINTER, b"x-a"), (b"x-a", b"1"))
    for strict in (True, False):
        assert decided(status, *headers, marker=marker, strict=strict) == failure("integrity", status)


@pytest.mark.parametrize(
    ("status", "marker"), [(200, b"403"), (403, b"200"), (302, b"301"), (200, b"500"), (200, b"400")]
)
def test_status_other_than_the_header_is_an_integrity_failure(status: int, marker: bytes) -> None:
    assert decided(status, marker=marker) == failure("integrity", status)


def test_header_repeated_is_an_integrity_failure() -> None:
    assert decided(403, (MARKER, b"403"), body=b"no") == failure("integrity", 403)


@pytest.mark.parametrize(
    ("status", "marker", "expected"),
    [
        (200, b"403", (Verdict.BLOCK, 403, "")),
        (200, b"302", (Verdict.REDIRECT, 302, "")),
        (403, b"200", (Verdict.ALLOW, 200, "")),
        (500, b"403", (Verdict.BLOCK, 403, "")),
        (200, b"400", (Verdict.ERROR, 400, "unauthorized")),
        (200, b"500", (Verdict.ERROR, 500, "status")),
        (200, b"099", (Verdict.ERROR, 99, "status")),
        (400, None, (Verdict.ERROR, 400, "unauthorized")),
        (500, None, (Verdict.ERROR, 500, "status")),
    ],
)
def test_integrity_header_goes_by_the_header_alone(
    status: int, marker: bytes | None, expected: tuple[Verdict, int, str]
) -> None:
    decision = decided(status, marker=marker, strict=False)
    assert (decision.verdict, decision.status, decision.reason) == expected


def test_status_429_not_enforced_is_an_allow_that_merges_nothing() -> None:
    headers = ((RESPONSE_POINTER, b"Retry-After"), (b"retry-after", b"5"))
    assert decided(429, *headers, body=b"slow down", enforce_429=False) == Decision(Verdict.ALLOW, 429)


# ---- merging on allow ----


def test_allow_merges_both_lists_and_hides_what_only_the_origin_gets() -> None:
    decision = decided(
        200,
        (REQUEST_POINTER, b"X-DataDome-isbot X-Plan X-Both"),
        (RESPONSE_POINTER, b"Set-Cookie X-Both"),
        (b"x-datadome-isbot", b"0"),
        (b"x-plan", b"gold"),
        (b"x-both", b"1"),
        (b"set-cookie", b"datadome=a; Path=/"),
        (b"x-unlisted", b"never"),
    )
    assert decision.verdict is Verdict.ALLOW
    assert merged(decision) == (
        [b"x-both: 1", b"x-datadome-isbot: 0", b"x-plan: gold"],
        [b"set-cookie: datadome=a; Path=/", b"x-both: 1"],
    )
    assert decision.replaced >= {b"x-plan", b"x-both"}
    assert decision.removed == {b"x-both", b"x-datadome-isbot", b"x-plan"}


@pytest.mark.parametrize("separator", [b" ", b"  ", b"\t", b" \t ", b", "])
def test_pointer_names_are_separated_by_white_space_and_compared_without_case(separator: bytes) -> None:
    decision = decided(200, (REQUEST_POINTER, separator.join([b"X-A", b"x-B", b"X-A"])), (b"x-a", b"1"), (b"x-b", b"2"))
    assert merged(decision) == ([b"x-a: 1", b"x-b: 2"], [])


def test_pointer_header_twice_counts_as_one_list() -> None:
    decision = decided(
        200, (REQUEST_POINTER, b"X-A"), (b"x-a", b"1"), (REQUEST_POINTER, b"X-B"), (b"x-b", b"2"), (b"x-c", b"3")
    )
    assert merged(decision) == ([b"x-a: 1", b"x-b: 2"], [])


def test_pointer_name_that_the_answer_lacks_is_skipped() -> None:
    decision = decided(200, (REQUEST_POINTER, b"X-A X-Gone"), (RESPONSE_POINTER, b"X-Gone-Too"), (b"x-a", b"1"))
    assert merged(decision) == ([b"x-a: 1"], [])
    assert b"x-gone-too" not in decision.removed, "the origin's own stays"
    assert b"x-gone" in decision.removed, "still hidden: only the request list names it"


def test_set_cookie_several_are_appended_each_on_its_own() -> None:
    decision = decided(200, (RESPONSE_POINTER, b"Set-Cookie"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2, c"))
    assert decision.response_lines == b"set-cookie: a=1\r\nset-cookie: b=2, c\r\n"
    assert decision.removed == frozenset()


REFUSED = sorted(HOP_BY_HOP | {b"content-length", b"host", MARKER, REQUEST_POINTER, RESPONSE_POINTER})


@pytest.mark.parametrize("name", [*REFUSED, b"transfer-encoding", b":path", b"x:y", b"x/y", b"\xe9", b"x\x00"])
def test_pointer_name_hop_by_hop_framing_or_invalid_is_refused_in_both_lists(name: bytes) -> None:
    headers = [(REQUEST_POINTER, b"X-A " + name), (RESPONSE_POINTER, name + b" X-B")]
    given_too = [] if name in (MARKER, REQUEST_POINTER, RESPONSE_POINTER) else [(name, b"1")]
    decision = decided(200, *headers, *given_too, (b"x-a", b"1"), (b"x-b", b"2"))
    assert merged(decision) == ([b"x-a: 1"], [b"x-b: 2"])
    assert name not in decision.replaced | decision.removed
    blocked = decided(403, *headers, *given_too, (b"x-b", b"2"))
    assert blocked.reply_headers == ((b"x-b", b"2"),)


@pytest.mark.parametrize("value", [b"a\rb", b"a\nb", b"a\r\nSet-Cookie: x", b"a\0b"])
def test_value_with_line_breaks_or_nul_is_dropped(value: bytes) -> None:
    headers = [
        (REQUEST_POINTER, b"X-A X-C"),
        (RESPONSE_POINTER, b"X-B"),
        (b"x-a", value),
        (b"x-b", value),
        (b"x-c", b"1"),
    ]
    assert merged(decided(200, *headers)) == ([b"x-c: 1"], [])
    assert decided(403, *headers).reply_headers == ()
    assert decided(302, (b"location", value)).reply_headers == ()


def test_client_id_header_set_by_the_answer_replaces_the_client_s() -> None:
    decision = decided(200, (REQUEST_POINTER, b"X-DataDome-ClientID"), (b"x-datadome-clientid", b"new"))
    assert (decision.request_lines, decision.replaced) == (b"x-datadome-clientid: new\r\n", {b"x-datadome-clientid"})


def test_allow_without_pointers_merges_nothing() -> None:
    assert merged(decided(200, (b"set-cookie", b"a=1"), (b"x-a", b"1"))) == ([], [])


# ---- blocks and redirects ----


@pytest.mark.parametrize("status", [401, 403, 429])
def test_block_gives_status_body_listed_headers_and_content_type(status: int) -> None:
    decision = decided(
        status,
        (RESPONSE_POINTER, b"Set-Cookie X-DD-B"),
        (REQUEST_POINTER, b"X-DataDome-isbot"),
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-dd-b", b"1"),
        (b"x-datadome-isbot", b"1"),
        (b"server", b"api"),
        (b"content-length", b"2"),
        body=b"{}",
    )
    assert (decision.verdict, decision.status, decision.body) == (Verdict.BLOCK, status, b"{}")
    assert decision.reply_headers == (
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-dd-b", b"1"),
    )
    assert (decision.request_lines, decision.response_lines) == (b"", b"")


def test_block_content_type_stands_once_even_if_listed_and_without_a_body() -> None:
    content_type = (b"content-type", b"text/html")
    assert decided(403, (RESPONSE_POINTER, b"Content-Type"), content_type, body=b"x").reply_headers == (content_type,)
    assert decided(403, content_type).reply_headers == (content_type,)


@pytest.mark.parametrize("status", [301, 302])
def test_redirect_location_always_reaches_the_client(status: int) -> None:
    decision = decided(status, (b"location", b"https://captcha.example/"), (b"x-other", b"1"))
    assert decision.reply_headers == ((b"location", b"https://captcha.example/"),)


def test_block_location_unlisted_does_not() -> None:
    assert decided(403, (b"location", b"/x")).reply_headers == ()


@pytest.mark.parametrize("status", [403, 200])
def test_session_by_header_passes_when_listed(status: int) -> None:
    decision = decided(status, (RESPONSE_POINTER, b"X-Set-Cookie"), (b"x-set-cookie", b"datadome=a"))
    passed = [b": ".join(pair) for pair in decision.reply_headers] + merged(decision)[1]
    assert passed == [b"x-set-cookie: datadome=a"]


@pytest.mark.parametrize(
    ("rule", "challenge"),
    [
        (None, False),
        (b"", False),
        (b"block", False),
        (b"hard_block", False),
        (b"Hard_Block", False),
        (b"captcha", True),
        (b"device_check", True),
    ],
)
def test_block_is_a_challenge_by_the_traffic_rule_response(rule: bytes | None, challenge: bool) -> None:
    headers = [(b"x-datadome-traffic-rule-response", rule)] if rule is not None else []
    assert decided(403, *headers).challenge is challenge


# ---- whatever comes ----

NAMES = st.one_of(
    st.sampled_from([MARKER, REQUEST_POINTER, RESPONSE_POINTER, b"set-cookie", b"location", b"host", b"x-a"]),
    st.binary(max_size=10),
)
VALUES = st.one_of(st.sampled_from([b"200", b"403", b"302", b"x-a Set-Cookie host", b"X-A"]), st.binary(max_size=30))


@settings(deadline=None)
@given(st.integers(0, 999), st.lists(st.tuples(NAMES, VALUES), max_size=8), st.binary(max_size=20), st.booleans())
def test_decide_arbitrary_answer_never_raises_and_never_breaks_a_line(
    status: int, headers: Headers, body: bytes, strict: bool
) -> None:
    decision = decide(status, headers, join_repeated(headers), body, strict=strict, enforce_429=True)
    for lines in (decision.request_lines, decision.response_lines):
        for line in lines.split(b"\r\n")[:-1]:
            assert not set(line) & set(b"\r\n\0")
    for name, value in decision.reply_headers:
        assert name not in REFUSED
        assert not set(value) & set(b"\r\n\0")
    if decision.verdict is Verdict.ERROR:
        assert decision == failure(decision.reason, decision.status)
