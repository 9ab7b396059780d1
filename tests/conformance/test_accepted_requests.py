"""Requests that are legal, however odd: what the origin gets, and that the check described exactly that (I2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HOST = (b"host", b"shop.example")


@dataclass(frozen=True)
class Case:
    """`sent` reaches the origin as `line`, `fields` (names lowered, without the gateway's own) and decoded `body`."""

    id: str
    sent: bytes
    line: bytes
    fields: list[tuple[bytes, bytes]] = field(default_factory=lambda: [HOST])
    body: bytes = b""


def chunked(body: bytes, encoding: bytes = b"chunked") -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: " + encoding + b"\r\n\r\n" + body


CHUNKED_FIELDS = [HOST, (b"transfer-encoding", b"chunked")]
POST = b"POST /a HTTP/1.1"


def target(id_: str, raw: bytes) -> Case:
    return Case(id_, b"GET " + raw + b" HTTP/1.1\r\nHost: shop.example\r\n\r\n", b"GET " + raw + b" HTTP/1.1")


def get(id_: str, line: bytes, *fields: tuple[bytes, bytes]) -> Case:
    """A GET with one more header line; `fields` are what the origin gets besides Host."""
    sent = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n" + line + b"\r\n\r\n"
    return Case(id_, sent, b"GET /a HTTP/1.1", [HOST, *fields])


CASES = [
    Case("T18-Chunked", chunked(b"5\r\nhello\r\n0\r\n\r\n", b"Chunked"), POST, CHUNKED_FIELDS, b"hello"),
    Case("T18-CHUNKED", chunked(b"5\r\nhello\r\n0\r\n\r\n", b"CHUNKED"), POST, CHUNKED_FIELDS, b"hello"),
    Case(
        "T21-content-encoding-chunked",
        b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST,
        [HOST, (b"content-encoding", b"chunked"), (b"content-length", b"5")],
        b"0\r\n\r\n",
    ),
    Case("K16-upper", chunked(b"A\r\nhellohello\r\n0\r\n\r\n"), POST, CHUNKED_FIELDS, b"hellohello"),
    Case("K16-lower", chunked(b"a\r\nhellohello\r\n0\r\n\r\n"), POST, CHUNKED_FIELDS, b"hellohello"),
    Case("K16-zeros", chunked(b"000A\r\nhellohello\r\n000\r\n\r\n"), POST, CHUNKED_FIELDS, b"hellohello"),
    Case("K16-extension", chunked(b'5;a=b;c="d"\r\nhello\r\n0;x\r\n\r\n'), POST, CHUNKED_FIELDS, b"hello"),
    Case("K16-trailer", chunked(b"5\r\nhello\r\n0\r\nX-Trailer: y\r\n\r\n"), POST, CHUNKED_FIELDS, b"hello"),
    Case("K11-request-in-a-trailer", chunked(b"0\r\nX:POST / HTTP/1.1\r\n\r\n"), POST, CHUNKED_FIELDS, b""),
    Case(
        "K16-chunk-boundaries-in-data", chunked(b"7\r\n0\r\n\r\nGE\r\n0\r\n\r\n"), POST, CHUNKED_FIELDS, b"0\r\n\r\nGE"
    ),
    Case(
        "C18-body-of-a-get",
        b"GET /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 26\r\n\r\nGET /evil HTTP/1.1\r\nHost: ",
        b"GET /a HTTP/1.1",
        [HOST, (b"content-length", b"26")],
        b"GET /evil HTTP/1.1\r\nHost: ",
    ),
    Case(
        "C19-zero-length",
        b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n",
        POST,
        [HOST, (b"content-length", b"0")],
    ),
    Case("L18-leading-crlf", b"\r\nGET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n", b"GET /a HTTP/1.1"),
    get("L10-obs-text", b"X-A: \x80caf\xe9\xff", (b"x-a", b"\x80caf\xe9\xff")),
    get("L10-obs-text-edges", b"X-A: \xa0a\x85", (b"x-a", b"\xa0a\x85")),
    get("L10-utf8", "X-A: пример".encode(), (b"x-a", "пример".encode())),
    get("L11-white-space-round-value", b"X-A: \t b\tc \t", (b"x-a", b"b\tc")),
    get("L11-no-white-space", b"X-A:b", (b"x-a", b"b")),
    get("L11-empty-value", b"X-A:", (b"x-a", b"")),
    get("L11-token-characters", b"X!#$%&'*+.^`|~9: v", (b"x!#$%&'*+.^`|~9", b"v")),
    get("L11-repeated", b"X-A: 1\r\nX-B: 3\r\nx-a: 2", (b"x-a", b"1"), (b"x-b", b"3"), (b"x-a", b"2")),
    get("L11-two-cookies", b"Cookie: a=1\r\nCookie: b=2", (b"cookie", b"a=1"), (b"cookie", b"b=2")),
    target("H07-dots", b"/a/../admin"),
    target("H07-encoded-dots", b"/%2e%2e/admin"),
    target("H07-double-slash", b"//admin"),
    target("H07-encoded-slash", b"/admin%2f"),
    target("H07-backslash", b"/\\admin"),
    target("H07-matrix", b"/admin;x=.css"),
    target("H07-overlong", b"/%c0%ae%c0%ae/admin"),
    target("H07-nul", b"/a%00b"),
    target("H07-percent-alone", b"/100%"),
    target("H07-brackets-and-quotes", b"/a?x[]={\"y\":'z'}|^`<>"),
    target("H08-query-with-extension", b"/admin?x=.css"),
    target("H08-query-with-path", b"/admin?/public"),
    target("H08-query-alone", b"/?"),
    target("H08-two-question-marks", b"/a?b?c"),
    Case("H04-options-star", b"OPTIONS * HTTP/1.1\r\nHost: shop.example\r\n\r\n", b"OPTIONS * HTTP/1.1"),
    Case(
        "H03-host-with-port",
        b"GET /a HTTP/1.1\r\nHost: shop.example:8443\r\n\r\n",
        b"GET /a HTTP/1.1",
        [(b"host", b"shop.example:8443")],
    ),
    Case(
        "H03-host-upper-case",
        b"GET /a HTTP/1.1\r\nHost: SHOP.example\r\n\r\n",
        b"GET /a HTTP/1.1",
        [(b"host", b"SHOP.example")],
    ),
    Case("H03-host-v6", b"GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", b"GET /a HTTP/1.1", [(b"host", b"[::1]:80")]),
    Case(
        "P15-range-on-post",
        b"POST /a HTTP/1.1\r\nHost: shop.example\r\nRange: bytes=0-1\r\nContent-Length: 1\r\n\r\nx",
        POST,
        [HOST, (b"range", b"bytes=0-1"), (b"content-length", b"1")],
        b"x",
    ),
    get("P15-conditional", b'If-None-Match: "a", W/"b"', (b"if-none-match", b'"a", W/"b"')),
    get("P15-accept-encoding", b"Accept-Encoding: br;q=1.0, gzip", (b"accept-encoding", b"br;q=1.0, gzip")),
    get("P15-authorization", b"Authorization: Basic QTpC", (b"authorization", b"Basic QTpC")),
    *(
        Case(f"M-{m.decode()}", m + b" /a HTTP/1.1\r\nHost: shop.example\r\n\r\n", m + b" /a HTTP/1.1")
        for m in (b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"REPORT", b"PURGE")
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_request_legal_reaches_the_origin_as_it_was_described(edge, case):
    world = await edge()
    async with await world.connect() as client:
        client.send(case.sent + b"GET /next HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert (await client.read_response()).status == 200
        assert (await client.read_response()).status == 200
    first, second = world.origin.requests
    assert first.line == case.line
    assert sorted(world.origin.relayed(1)) == sorted(case.fields)
    assert [pair for pair in world.origin.relayed(1) if pair[0].startswith(b"x-")] == [
        pair for pair in case.fields if pair[0].startswith(b"x-")
    ]
    assert first.body == case.body
    assert first.body_read.trailers == []
    assert second.line == b"GET /next HTTP/1.1"
    world.assert_checked()
    assert len(world.protection.requests) == 2


async def test_request_absolute_target_goes_to_the_origin_in_origin_form(edge):
    """RFC 9112 3.2.2: the authority equals Host, so nothing is lost; the check gets the path and query."""
    world = await edge()
    response = await world.ask(b"GET http://shop.example/a?b HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert response.status == 200
    assert world.origin.requests[0].line == b"GET /a?b HTTP/1.1"
    assert world.origin.relayed() == [HOST]
    assert world.protection.payload()["Request"] == "/a?b"
    world.assert_checked()


async def test_request_body_in_chunks_is_framed_anew(edge):
    """I5: sizes, extensions and trailers of the client's framing never reach the origin."""
    world = await edge()
    await world.ask(chunked(b"0005;ext=1\r\nhello\r\n00;y\r\nX-T: 1\r\n\r\n"))
    assert bytes(world.origin.requests[0].body_read.raw) == b"5\r\nhello\r\n0\r\n\r\n"


async def test_request_options_star_is_described_as_a_star(edge):
    world = await edge()
    await world.ask(b"OPTIONS * HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert world.protection.payload()["Request"] == "*"


async def test_request_trace_never_echoes_credentials(edge):
    """P14: 405 and 501 are fine, so is asking the origin, which decides."""
    world = await edge()
    response = await world.ask(b"TRACE / HTTP/1.1\r\nHost: shop.example\r\nCookie: secret=1\r\nMax-Forwards: 0\r\n\r\n")
    assert response.status in (200, 405, 501)
    assert b"secret" not in response.body


async def test_request_forwarding_headers_are_made_by_the_gateway(edge):
    """Everything that the gateway adds, on a request that brought nothing."""
    world = await edge()
    response = await world.ask(b"GET /a HTTP/1.1\r\nHost: shop.example:8080\r\n\r\n")
    added = world.origin.added()
    assert re.fullmatch(rb"[0-9A-Za-z-]{8,64}", added.pop(b"x-request-id"))
    assert re.fullmatch(rb"1\.1 [!-~]+", added.pop(b"via"))
    assert added == {
        b"x-forwarded-for": b"127.0.0.1",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": b"shop.example:8080",
        b"x-forwarded-port": b"%d" % world.gateway.port,
        b"x-real-ip": b"127.0.0.1",
    }
    assert response.body == b"ok"


async def test_request_via_is_appended_to_what_came(edge):
    """RFC 9110 7.6.3: every intermediary adds itself behind the others."""
    world = await edge()
    await world.ask(b"GET /a HTTP/1.1\r\nHost: shop.example\r\nVia: 1.0 fred, 1.1 p.example\r\n\r\n")
    via = b", ".join(world.origin.requests[0].head.values(b"via"))
    assert re.fullmatch(rb"1\.0 fred, 1\.1 p\.example, 1\.1 [!-~]+", via)
    assert world.protection.payload()["Via"] == "1.0 fred, 1.1 p.example"


async def test_request_host_not_preserved_is_the_servers_own(edge):
    world = await edge(site={"origin": {"preserve_host": False}})
    await world.ask(b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert world.origin.requests[0].head.values(b"host") == [b"127.0.0.1:%d" % world.origin.port]
    assert world.origin.added()[b"x-forwarded-host"] == b"shop.example"
    assert world.protection.payload()["Host"] == "shop.example"


WHOLE = (
    b"POST /a?x=1 HTTP/1.1\r\nHost: shop.example\r\nCookie: a=1; datadome=d\r\nUser-Agent: Mozilla/5.0\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;e=1\r\n world\r\n0\r\nX-T: 1\r\n\r\n"
    b"PUT /b HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\nabc"
    b"GET /c HTTP/1.1\r\nHost: shop.example\r\nX-Last: 1\r\n\r\n"
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, len(WHOLE) - 1), max_size=12))
async def test_request_split_anywhere_is_the_same_exchange(edge, cuts):
    """Any split of the bytes into pieces gives the same three requests at the origin and the same three checks."""
    world = await edge()
    edges = [0, *sorted(cuts), len(WHOLE)]
    async with await world.connect() as client:
        await client.send_pieces([WHOLE[a:b] for a, b in pairwise(edges)])
        answers = [await client.read_response() for _ in range(3)]
    assert [answer.body for answer in answers] == [b"ok"] * 3
    assert [(r.line, r.body) for r in world.origin.requests] == [
        (b"POST /a?x=1 HTTP/1.1", b"hello world"),
        (b"PUT /b HTTP/1.1", b"abc"),
        (b"GET /c HTTP/1.1", b""),
    ]
    assert [world.origin.relayed(n) for n in (1, 2, 3)] == [
        [HOST, (b"cookie", b"a=1; datadome=d"), (b"user-agent", b"Mozilla/5.0"), (b"transfer-encoding", b"chunked")],
        [HOST, (b"content-length", b"3")],
        [HOST, (b"x-last", b"1")],
    ]
    payloads = [{k: v for k, v in world.protection.payload(n).items() if k != "TimeRequest"} for n in (1, 2, 3)]
    assert [p["ClientID"] for p in payloads if "ClientID" in p] == ["d"]
    assert [p["HeadersList"] for p in payloads] == [
        "host,cookie,user-agent,transfer-encoding",
        "host,content-length",
        "host,x-last",
    ]
    world.assert_checked()
    await world.close()


async def test_request_one_byte_at_a_time_is_the_same_exchange(edge):
    world = await edge()
    async with await world.connect() as client:
        await client.send_pieces([WHOLE[i : i + 1] for i in range(len(WHOLE))])
        assert [(await client.read_response()).body for _ in range(3)] == [b"ok"] * 3
    assert [r.body for r in world.origin.requests] == [b"hello world", b"abc", b""]
