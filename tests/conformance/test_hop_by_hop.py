"""Hop-by-hop headers, Expect and Upgrade: what ends at the gateway (RFC 9110 7.6, 7.8, 10.1)."""

from __future__ import annotations

import asyncio

import pytest
from fakes import Step, decision

HOST = (b"host", b"shop.example")


def get(fields: bytes) -> bytes:
    return b"GET /a HTTP/1.1\r\nHost: shop.example\r\n" + fields + b"\r\n\r\n"


REMOVED = {
    "P01-nominated": (b"Connection: X-Foo\r\nX-Foo: 1\r\nX-Bar: 2", [(b"x-bar", b"2")]),
    "P01-nominated-close": (b"X-Foo: 1\r\nConnection: close, X-Foo\r\nX-Bar: 2", [(b"x-bar", b"2")]),
    "P01-two-lines": (
        b"Connection: x-foo\r\nX-Foo: 1\r\nConnection: X-Baz\r\nX-Baz: 1\r\nX-Bar: 2",
        [(b"x-bar", b"2")],
    ),
    "P01-spaces-and-empty": (b"Connection: ,  X-Foo ,,\r\nX-Foo: 1\r\nX-Bar: 2", [(b"x-bar", b"2")]),
    "P04-keep-alive": (b"Keep-Alive: timeout=5\r\nConnection: keep-alive", []),
    "P04-proxy-connection": (b"Proxy-Connection: keep-alive", []),
    "P04-te": (b"TE: gzip\r\nConnection: TE", []),
    "P04-trailer": (b"Trailer: X-T", []),
    "P04-upgrade": (b"Upgrade: foo/1\r\nConnection: upgrade", []),
    "P04-upgrade-alone": (b"Upgrade: foo/1", []),
    "P04-proxy-authorization": (b"Proxy-Authorization: Basic QTpC", []),
    "P04-proxy-authenticate": (b"Proxy-Authenticate: Basic", []),
    "P04-http2-settings": (b"HTTP2-Settings: AAMAAABk\r\nConnection: HTTP2-Settings", []),
}


@pytest.mark.parametrize(("fields", "left"), REMOVED.values(), ids=REMOVED)
async def test_request_hop_by_hop_header_ends_at_the_gateway(edge, fields, left):
    world = await edge()
    assert (await world.ask(get(fields))).status == 200
    assert world.origin.relayed() == [HOST, *left]


@pytest.mark.parametrize(
    "nominated",
    [b"Host", b"Cookie", b"X-Forwarded-For", b"X-Real-IP", b"Authorization", b"X-DataDome-ClientID", b"Via"],
)
async def test_connection_cannot_nominate_identity_away(edge, nominated):
    """P03: a client must not strip what the origin or the check relies on by naming it in Connection."""
    world = await edge()
    sent = get(b"Connection: close, " + nominated + b"\r\nCookie: a=1\r\nAuthorization: x\r\nX-DataDome-ClientID: c")
    response = await world.ask(sent)
    if response.status == 400:
        return
    head = world.origin.requests[0].head
    assert head.values(b"host") == [b"shop.example"]
    if nominated in (b"Cookie", b"Authorization"):
        assert world.protection.payload()["CookiesLen"] == 3
        assert world.protection.payload()["AuthorizationLen"] == 1
    assert head.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert head.values(b"x-real-ip") == [b"127.0.0.1"]
    assert len(head.values(b"via")) == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
async def test_connection_cannot_nominate_framing_away(edge, framing):
    """P03: the body's length is the same on both sides, whatever Connection names."""
    world = await edge()
    body = b"5\r\nhello\r\n0\r\n\r\n" if b"chunked" in framing else b"hello"
    sent = b"POST /a HTTP/1.1\r\nHost: shop.example\r\nConnection: Content-Length, Transfer-Encoding\r\n"
    response = await world.ask(sent + framing + b"\r\n\r\n" + body)
    if response.status == 400:
        assert world.origin.requests == []
        return
    assert world.origin.requests[0].body == b"hello"


async def test_response_hop_by_hop_header_ends_at_the_gateway(edge):
    world = await edge()
    world.origin.scripts.append(
        b"HTTP/1.1 200 OK\r\nConnection: X-Foo\r\nX-Foo: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n"
        b"Proxy-Connection: close\r\nTrailer: X-T\r\nUpgrade: h2c\r\nX-Bar: 2\r\nContent-Length: 2\r\n\r\nok"
    )
    response = await world.ask(get(b"X-A: b"))
    for name in (b"x-foo", b"keep-alive", b"proxy-connection", b"trailer", b"upgrade"):
        assert response.values(name) == [], name
    assert response.values(b"x-bar") == [b"2"]
    assert response.body == b"ok"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 5", b"hello"),
        (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    ],
    ids=["length", "chunked"],
)
async def test_upgrade_to_h2c_is_ignored_and_the_request_served_with_its_body(edge, head, body):
    """llhttp stops parsing at an Upgrade: a gateway that trusts it loses the body into the next request."""
    world = await edge()
    fields = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    async with await world.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: shop.example\r\n" + fields + head + b"\r\n\r\n" + body)
        client.send(b"GET /next HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert (await client.read_response()).status == 200
        assert (await client.read_response()).status == 200
    assert [(r.line, r.body) for r in world.origin.requests] == [
        (b"POST /a HTTP/1.1", b"hello"),
        (b"GET /next HTTP/1.1", b""),
    ]
    assert world.origin.requests[0].head.values(b"upgrade") == []
    assert world.origin.requests[0].head.values(b"http2-settings") == []
    assert len(world.protection.requests) == 2


WEBSOCKET = (
    b"GET /chat HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_websocket_handshake_is_checked_and_not_yet_tunnelled(edge):
    """Tunnels are not there yet: the handshake is validated like any GET, then answered 501 by us."""
    world = await edge()
    async with await world.connect() as client:
        client.send(WEBSOCKET + b"\x81\x00")  # a frame at once: whatever becomes of it, it is no request
        response = await client.read_response()
        assert (await client.read_to_end())[9:12] in (b"", b"400")
    assert response.status == 501
    assert world.protection.payload()["Request"] == "/chat"
    assert world.origin.requests == []


async def test_websocket_handshake_blocked_gets_the_block(edge):
    world = await edge()
    world.protection.default = decision(403, body=b"no")
    response = await world.ask(WEBSOCKET)
    assert (response.status, response.body) == (403, b"no")
    assert world.origin.requests == []


POST = b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n"


async def test_expect_continue_gets_100_and_then_the_body_is_read(edge):
    """P12: the client waits for us, so somebody has to answer 100; exactly once."""
    world = await edge()
    async with await world.connect() as client:
        client.send(POST + b"Expect: 100-continue\r\n\r\n")
        assert (await client.read_head()).start.startswith(b"HTTP/1.1 100 ")
        client.send(b"hello")
        response = await client.read_response()
    assert (response.status, response.interim) == (200, ())
    assert world.origin.requests[0].body == b"hello"
    assert len(world.protection.requests) == 1


async def test_expect_continue_of_a_blocked_request_gets_the_block_without_100(edge):
    """The body of a blocked request is never asked for."""
    world = await edge()
    world.protection.default = decision(403, body=b"no")
    async with await world.connect() as client:
        client.send(POST + b"Expect: 100-continue\r\n\r\n")
        response = await client.read_response()
        assert await client.read_to_end() == b""
    assert (response.status, response.body, response.interim) == (403, b"no", ())
    assert world.origin.requests == []


async def test_expect_continue_with_the_body_at_once_is_one_exchange(edge):
    """A client need not wait (RFC 9110 10.1.1): at most one 100, one answer, and the next request is not damaged."""
    world = await edge()
    async with await world.connect() as client:
        client.send(POST + b"Expect: 100-continue\r\n\r\nhello" + get(b"X-A: b"))
        first, second = await client.read_response(), await client.read_response()
    assert [first.status, second.status] == [200, 200]
    assert len(first.interim) <= 1
    assert second.interim == ()
    assert [r.body for r in world.origin.requests] == [b"hello", b""]


async def test_expect_unknown_is_417(edge):
    world = await edge()
    async with await world.connect() as client:
        client.send(POST + b"Expect: the-unexpected\r\n\r\nhello")
        response = await client.read_response()
    assert response.status == 417
    assert world.origin.requests == []


async def test_expect_on_http_1_0_is_ignored(edge):
    """RFC 9110 10.1.1: never a 1xx to HTTP/1.0."""
    world = await edge()
    async with await world.connect() as client:
        client.send(b"POST /a HTTP/1.0\r\nHost: shop.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
        answer = await client.read_to_end()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b" 200 " in answer.split(b"\r\n")[0]
    assert world.origin.requests[0].body == b"hello"


async def test_expect_continue_answered_by_the_origin_is_not_doubled(edge):
    """When the origin sends its own 100 the client sees one."""
    world = await edge()
    world.origin.scripts.append([Step.EARLY, b"HTTP/1.1 100 Continue\r\n\r\n", Step.BODY, b"HTTP/1.1 204 No\r\n\r\n"])
    async with await world.connect() as client:
        client.send(POST + b"Expect: 100-continue\r\n\r\n")
        assert (await client.read_head()).start.startswith(b"HTTP/1.1 100 ")
        client.send(b"hello")
        response = await client.read_response()
    assert (response.status, response.interim) == (204, ())


async def test_body_nothing_of_it_reaches_the_origin_before_the_decision(edge):
    """I3: neither a connection's bytes nor a head leave for the origin while the check is open."""
    world = await edge()
    gate = asyncio.Event()
    world.protection.scripts.append([gate, decision(200)])
    async with await world.connect() as client:
        client.send(POST + b"\r\nhello")
        await world.protection.completed(1)
        async with await world.connect() as other:  # a whole exchange of somebody else passes meanwhile
            other.send(get(b"X-A: other"))
            await other.read_response()
        assert [r.line for r in world.origin.requests] == [b"GET /a HTTP/1.1"]
        gate.set()
        assert (await client.read_response()).status == 200
    assert [(r.line, r.body) for r in world.origin.requests] == [
        (b"GET /a HTTP/1.1", b""),
        (b"POST /a HTTP/1.1", b"hello"),
    ]
