"""The judges of what a site answered: pure, and never surprised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.posture.assessment.catalogue import BY_ID, KINDS
from gateway.posture.assessment.cookie import judge_cookies
from gateway.posture.assessment.header import JUDGES, Headers
from gateway.posture.assessment.hello import client_hello, read_answer
from gateway.posture.assessment.leak import judge_leak
from gateway.posture.assessment.wording import clean

TEXTS = st.text(st.characters(max_codepoint=0x2FFF), max_size=200)
FIELDS = st.sampled_from(
    ["strict-transport-security", "content-security-policy", "x-content-type-options", "x-frame-options",
     "referrer-policy", "server", "x-powered-by", "set-cookie"]
)  # fmt: skip
HEADERS = st.lists(st.tuples(FIELDS, TEXTS), max_size=8).map(tuple)


@pytest.mark.parametrize(
    ("kind", "name", "value", "state"),
    [
        ("header-hsts", "strict-transport-security", 'includeSubDomains; Max-Age="300"', "ok"),
        ("header-hsts", "strict-transport-security", "max-age=0; preload", "finding"),
        ("header-hsts", "strict-transport-security", "max-age=x", "finding"),
        ("header-csp", "content-security-policy", "default-src 'self'", "ok"),
        ("header-csp", "content-security-policy", " ; ", "finding"),
        ("header-csp", "content-security-policy-report-only", "default-src 'self'", "finding"),
        ("header-nosniff", "x-content-type-options", "NoSniff", "ok"),
        ("header-nosniff", "x-content-type-options", "none", "finding"),
        ("header-frame", "x-frame-options", "sameorigin", "ok"),
        ("header-frame", "x-frame-options", "ALLOW-FROM https://a.example", "finding"),
        ("header-frame", "content-security-policy", "default-src *; FRAME-ANCESTORS 'none'", "ok"),
        ("header-frame", "content-security-policy-report-only", "frame-ancestors 'none'", "finding"),
        ("header-referrer", "referrer-policy", "no-referrer, strict-origin", "ok"),
        ("header-referrer", "referrer-policy", "strict-origin, unsafe-url", "finding"),
        ("header-referrer", "referrer-policy", "whatever", "finding"),
    ],
)
def test_header_is_judged_as_browsers_read_it(kind: str, name: str, value: str, state: str) -> None:
    assert JUDGES[kind](((name, value),)).state == state


def test_header_that_is_sent_twice_is_judged_by_the_first_where_browsers_do() -> None:
    twice: Headers = (("strict-transport-security", "max-age=0"), ("strict-transport-security", "max-age=9"))
    assert JUDGES["header-hsts"](twice).state == "finding"
    both: Headers = (("x-frame-options", "DENY"), ("x-frame-options", "SAMEORIGIN"))
    assert JUDGES["header-frame"](both).state == "finding"


@pytest.mark.parametrize(
    ("line", "tls", "lacks", "severity"),
    [
        ("theme=1; Secure; HttpOnly; SameSite=Strict", True, None, None),
        ("theme=1; HttpOnly; SameSite=Lax", False, None, None),
        ("theme=1; HttpOnly; SameSite=Lax", True, ["Secure"], "low"),
        ("theme=1", True, ["Secure", "HttpOnly", "SameSite"], "low"),
        ("connect.sid=1; Secure; SameSite=Lax", True, ["HttpOnly"], "medium"),
        ("sid=1; Secure; HttpOnly", True, ["SameSite"], "low"),
        ("csrftoken=1; Secure; SameSite=Lax", True, ["HttpOnly"], "low"),
        ("residence=1; Secure; SameSite=Lax", True, ["HttpOnly"], "low"),
        ("session=; Max-Age=0", True, None, None),
        ("session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", True, None, None),
        ("datadome=x; Secure; SameSite=Lax", True, None, None),
        ("a=1; samesite=sometimes; SECURE; httponly", True, ["SameSite"], "low"),
    ],
)
def test_cookie_is_judged_by_its_attributes_and_name(
    line: str, tls: bool, lacks: list[str] | None, severity: str | None
) -> None:
    verdict = judge_cookies([line], tls=tls)
    assert [one["lacks"] for one in verdict.evidence.get("weak", [])] == ([] if lacks is None else [lacks])
    assert verdict.severity == severity


def test_cookies_without_number_are_named_up_to_twenty_the_serious_first() -> None:
    verdict = judge_cookies([f"c{number}=1; Secure" for number in range(50)] + ["session=1"], tls=True)
    assert verdict.evidence["weak"][0]["name"] == "session"
    assert len(verdict.evidence["weak"]) == 20 and verdict.seen.endswith("and 31 more")


@pytest.mark.parametrize(
    ("headers", "body", "products"),
    [
        ((("server", "nginx/1.22.1"),), b"", ["nginx/1.22.1"]),
        ((("server", "Apache/2.4.57 (Debian) OpenSSL/3.0.9"),), b"", ["Apache/2.4.57", "OpenSSL/3.0.9"]),
        ((("x-powered-by", "PHP/8.2.7"),), b"", ["PHP/8.2.7"]),
        ((("server", "Jetty(9.4.51)"),), b"", ["Jetty(9.4.51"]),
        ((("server", "nginx"), ("x-powered-by", "Express"), ("via", "1.1 gateway")), b"", []),
        ((), b"<center>nginx/1.22.1</center>", ["nginx/1.22.1"]),
        ((), b"<h3>Apache Tomcat/9.0.1</h3>", ["Tomcat/9.0.1"]),
        ((), b"ASP.NET Version:4.8.4645.0", ["ASP.NET Version:4.8.4645.0"]),
        ((), b'<script src="/jquery/3.6.0/x.js"></script><a href="/lib/1.2">lib</a>', []),
        ((), b"<script>var a = 'lib/1.2.3'</script><!-- lib/1.2.3 -->", []),
        ((), b"The page HTTP/1.1 /files/app/2.0 was not found for Mozilla/5.0, gateway-posture/0.1.0", []),
    ],
)
def test_version_is_found_where_a_visitor_sees_it(headers: Headers, body: bytes, products: list[str]) -> None:
    verdict = judge_leak(headers, body, absent_answered=True)
    assert [leak["product"] for leak in verdict.evidence.get("leaks", [])] == products


def test_leak_without_the_page_that_is_not_there_is_not_done() -> None:
    assert judge_leak((), b"", absent_answered=False).state == "not done"


@given(HEADERS, st.booleans(), st.binary(max_size=500))
def test_judges_never_raise_and_say_one_clean_line(headers: Headers, tls: bool, body: bytes) -> None:
    verdicts = [judge(headers) for judge in JUDGES.values()]
    verdicts.append(judge_cookies([value for _, value in headers], tls=tls))
    verdicts.append(judge_leak(headers, body, absent_answered=True))
    assert all(verdict.seen.isprintable() and len(verdict.seen) < 3000 for verdict in verdicts)


@given(TEXTS, st.integers(4, 100))
def test_clean_text_is_one_bounded_printable_line(text: str, most: int) -> None:
    assert clean(text, most).isprintable() and len(clean(text, most)) <= most


# --- TLS 1.0 and 1.1 ---


def record(kind: int, data: bytes) -> bytes:
    return bytes((kind, 3, 1)) + len(data).to_bytes(2, "big") + data


def message(kind: int, data: bytes = b"") -> bytes:
    return bytes((kind,)) + len(data).to_bytes(3, "big") + data


HELLO_1_0 = message(2, b"\x03\x01" + bytes(36))
FLIGHT = record(22, HELLO_1_0 + message(11, bytes(700))) + record(22, message(12, bytes(80)) + message(14))


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (FLIGHT, (3, 1)),
        (FLIGHT[:-1], "more"),
        (record(22, HELLO_1_0), "more"),
        (record(21, b"\x02\x46"), "refused"),  # protocol_version
        (record(22, HELLO_1_0) + record(21, b"\x02\x50"), "refused"),  # a key that it may not use
        (record(21, b"\x01\x70") + FLIGHT, (3, 1)),  # unrecognized_name, only a warning
        (record(21, b"\x01\x00"), "refused"),
        (record(22, message(2, b"\x03\x03" + bytes(36)) + message(14)), "refused"),
        (b"HTTP/1.1 400 Bad Request\r\n", "not TLS"),
        (record(22, message(1)), "not TLS"),
        (record(22, b""), "not TLS"),
        (b"", "more"),
    ],
)
def test_answer_to_an_old_hello_is_read_up_to_its_last_message(received: bytes, answer: Any) -> None:
    assert read_answer(received) == answer


@given(st.integers(0, len(FLIGHT) - 1))
def test_answer_that_has_not_come_whole_is_waited_for(size: int) -> None:
    assert read_answer(FLIGHT[:size]) == "more"


@given(st.binary(max_size=300))
def test_answer_of_any_bytes_is_read_without_an_error(received: bytes) -> None:
    read_answer(received)


def test_hello_names_the_server_and_the_old_version() -> None:
    hello = client_hello((3, 2), "shop.example", bytes(32))
    assert hello[:3] == b"\x16\x03\x01" and hello[9:11] == b"\x03\x02"
    assert b"\x00\x0cshop.example" in hello
    assert len(hello) == 5 + int.from_bytes(hello[3:5], "big")
    assert b"shop" not in client_hello((3, 2), None, bytes(32))


def test_every_kind_says_what_to_do() -> None:
    assert [kind.id for kind in KINDS] == list(BY_ID)
    for kind in KINDS[1:]:  # the first one's is made for each deployment
        assert kind.remedy.summary.endswith(".") and kind.remedy.commands
