"""Lines of logs as requests: every format, and what is no line of any."""

from __future__ import annotations

import re

import pytest
from engine.browser_requests import FIREFOX
from engine.engines import catalogue
from hypothesis import given
from hypothesis import strategies as st
from replay.samples import access, combined, decision, payload

from gateway.engine.browser import FINDINGS
from gateway.engine.session import Session
from gateway.replay.entry import Entry, PastRequest, Unread, parse_line

TEN_O_CLOCK_S = 1_795_255_200.0


def entry(line: bytes) -> Entry:
    parsed = parse_line(line)
    assert isinstance(parsed, Entry), parsed
    return parsed


def test_combined_line_is_a_request_without_its_headers() -> None:
    parsed = entry(combined(request="GET /a?b=c HTTP/2.0", referrer="https://www.example.org/", second=7))
    assert (parsed.format, parsed.time_s, parsed.session) == ("combined", TEN_O_CLOCK_S + 7, None)
    assert parsed.described.fields == {
        "IP": "203.0.113.9", "Method": "GET", "Request": "/a?b=c", "UserAgent": FIREFOX,
        "Referer": "https://www.example.org/", "TimeRequest": int((TEN_O_CLOCK_S + 7) * 1e6),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("host", "address"),
    [("shop.example:443", "203.0.113.9"), ("cafe.de:80", "2001:db8::1"), ("[2001:db8::2]:443", "203.0.113.9")],
)
def test_virtual_host_in_front_is_the_host(host: str, address: str) -> None:
    fields = entry(combined(address, host=host)).described.fields
    assert (fields["Host"], fields["IP"]) == (host, address)


@pytest.mark.parametrize("tail", [' "-"', ' "198.51.100.1" rt=0.004 uct="0.001"', " 1234 5678"])
def test_fields_behind_the_format_are_left_alone(tail: str) -> None:
    assert entry(combined(tail=tail)).described.text("UserAgent") == FIREFOX


def test_user_with_spaces_and_zone_of_another_hour_are_read() -> None:
    line = b'203.0.113.9 - John [x Smith [21/Nov/2026:12:00:00 +0200] "GET / HTTP/1.1" 200 1 "-" "curl/8"\n'
    assert isinstance(parse_line(line), Unread)  # a bracket in a name could hide a time: refused
    assert entry(line.replace(b"[x ", b"")).time_s == TEN_O_CLOCK_S


@pytest.mark.parametrize(
    ("escaped", "meant"),
    [
        (r"a \"quoted\" agent", 'a "quoted" agent'),
        (r"a \x22quoted\x22 agent", 'a "quoted" agent'),
        (r"caf\xC3\xA9/1.0", "café/1.0"),
        (r"back\\slash", "back\\slash"),
        (r"line\nbreak", "line\nbreak"),
        (r"\xFF\xFE", "ÿþ"),
    ],
)
def test_escapes_of_both_servers_are_undone(escaped: str, meant: str) -> None:
    assert entry(combined(agent=escaped)).described.text("UserAgent") == meant


def test_dash_is_no_user_agent_and_absurd() -> None:
    request = PastRequest(entry(combined(agent="-")), catalogue())
    assert (request.user_agent, request.absurdity) == ("", "no user agent")


@pytest.mark.parametrize("line", [combined(), access()])
def test_browser_is_not_suspected_for_headers_that_the_log_does_not_hold(line: bytes) -> None:
    request = PastRequest(entry(line), catalogue())
    assert (request.score, request.absurdity, request.bot) == (0, "", None)


def test_access_line_is_a_request_and_its_rule_makes_it_no_decision() -> None:
    parsed = entry(access())
    assert (parsed.format, parsed.time_s) == ("access", TEN_O_CLOCK_S + 0.125)
    assert parsed.described.text("Host") == "shop.example"


@pytest.mark.parametrize("outcome", ["bypassed", "rejected"])
def test_access_line_of_a_request_that_nobody_judged_is_set_aside(outcome: str) -> None:
    assert parse_line(access(outcome=outcome, method=None)) == Unread(
        f"the gateway asked nobody about it: {outcome}", is_readable=True
    )


def test_decision_line_keeps_findings_and_session_of_then() -> None:
    parsed = entry(decision(session="AAAAAAAAAAAA", session_kind="proved"))
    request = PastRequest(parsed, catalogue(), Session("visitor"))
    assert request.session == Session("proved", "AAAAAAAAAAAA")
    assert request.inspection.findings == ("hints_missing", "fetch_metadata_missing")
    assert request.score == FINDINGS["hints_missing"].weight + FINDINGS["fetch_metadata_missing"].weight


@pytest.mark.parametrize("findings", [None, 5, "hints_missing", [["hints_missing"], 7, "a_former_one"]])
def test_decision_line_with_other_findings_has_none(findings: object) -> None:
    request = PastRequest(entry(decision(findings=findings, session_kind=["proved"])), catalogue())
    assert (request.score, request.session.kind) == (0, "none")


def test_session_that_the_line_does_not_say_is_the_given_one() -> None:
    assert PastRequest(entry(access()), catalogue(), Session("visitor", "A", 1)).session == Session("visitor", "A", 1)
    assert PastRequest(entry(access()), catalogue()).session == Session("none")


def test_session_without_an_id_is_one_for_each_visitor() -> None:
    lines = [access(), combined(), access("203.0.113.10"), access(agent="curl/8.9.1")]
    ids = [PastRequest(entry(line), catalogue(), Session("proved")).session.id for line in lines]
    assert ids[0] == ids[1] and len(set(ids)) == 3 and all(len(id) == 12 for id in ids)


def test_payload_is_read_as_the_engine_reads_it() -> None:
    parsed = entry(payload(TimeRequest=1_750_000_000_500_000))
    assert (parsed.format, parsed.time_s) == ("payload", 1_750_000_000.5)
    assert entry(b'{"IP": "192.0.2.1"}').time_s is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"2026-11-21 10:00:00 starting\n", "no known format"),
        (b'203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 512\n',
         "the format `common`, without user agents"),
        (combined(request="-"), "no request in it"),
        (combined(request=r"\x16\x03\x01"), "no request in it"),
        (combined().replace(b"Nov", b"Nox"), "no time"),
        (combined().replace(b"21/Nov", b"31/Feb"), "no time"),
        (combined("999.1.1.1"), "the client is no address"),
        (combined("crawl-66-249-66-1.googlebot.com"), "no known format"),
        (b"{broken\n", "broken JSON"),
        (b'{"time": "x", "level": "info", "event": "gateway ready"}\n', "JSON of another kind"),
        (access(time="yesterday"), "no time"),
        (access(time=10**18), "no time"),
        (access(method=None), "no request in it"),
        (access(method=None, outcome=["bypassed"]), "no request in it"),
        (access(address=7), "a field of another type"),
        (access(target=["/"]), "a field of another type"),
        (decision("unix:"), "the client is no address"),
        (payload(Port="a"), "a payload that the engine refuses (Port is a JSON string 'a', expected an integer)"),
    ],
)  # fmt: skip
def test_line_that_cannot_be_judged_says_why(line: bytes, reason: str) -> None:
    assert parse_line(line) == Unread(reason)


LINES = st.sampled_from([combined(), access(), decision(), payload(), b"\n", b"[]", b"{}"])


@given(LINES, st.binary(max_size=30), st.integers(0, 200), st.integers(0, 30))
def test_any_bytes_are_a_request_or_not_and_never_an_error(line: bytes, put: bytes, at: int, gone: int) -> None:
    parsed = parse_line(line[:at] + put + line[at + gone :])
    if isinstance(parsed, Entry):
        PastRequest(parsed, catalogue()).score  # noqa: B018
    else:
        assert re.search(r"\w", parsed.reason)
