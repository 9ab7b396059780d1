"""What a hostile reviewer found once, and must not find again."""

from __future__ import annotations

import asyncio

import pytest
from fakes import Step, eventually

HOST = b"Host: shop.example\r\n"


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


GET = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "behind-an-equal-header-block"])
@pytest.mark.parametrize(
    "line",
    [
        b"GET /wp-login\nX-DataDome-isbot:0.css HTTP/1.1",
        b"GET /wp-login\rX:0.css HTTP/1.1",
        b"GET /a\tb HTTP/1.1",
        b"GET /a\x00.css HTTP/1.1",
        b"GET /a HTTP/1.1\n",
    ],
)
async def test_control_bytes_in_the_request_line_are_refused_and_harm_nobody_else(edge, before, line):
    """llhttp ends a line at a bare LF and takes it for HTTP/0.9; a header of the client's choice would be forged."""
    world = await edge()
    received = await world.exchange(before + line + b"\r\n" + HOST + b"\r\n")
    assert received.count(b"HTTP/1.1 400 ") == 1
    assert len(world.origin.requests) == (1 if before else 0)
    await world.is_alive()


async def test_content_length_beyond_64_bits_is_refused(edge):
    """It would make the payload's PostParamLen a number that no API takes: a 400, and fail-open by choice."""
    world = await edge()
    for length in (b"9223372036854775808", b"9999999999999999999"):
        response = await world.ask(b"GET /a HTTP/1.1\r\n" + HOST + b"Content-Length: " + length + b"\r\n\r\n")
        assert response.status == 400
    assert (world.protection.requests, world.origin.requests) == ([], [])


async def test_empty_lines_do_not_keep_an_idle_connection(edge):
    """RFC 9112 2.2 lets a client send them before a request, not instead of one."""
    world = await edge({"limits": {"keep_alive_timeout": "300ms", "head_timeout": "300ms"}})
    async with await world.connect() as client:
        client.send(GET)
        assert (await client.read_response()).status == 200
        closed = asyncio.ensure_future(client.read_to_end())
        while not closed.done():
            client.send(b"\r\n")
            await asyncio.wait([closed], timeout=0.05)
        assert await closed == b""


async def test_pipelined_bodies_are_not_collected_without_bound(edge):
    """Behind a slow request they wait in the kernel once 64 KiB of bodies are queued; all are answered in order."""
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([gate, answer(b"first")])
    world.origin.default = lambda request: answer(request.target)
    body = b"x" * 40_000
    post = b"POST /%d HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
    async with await world.connect() as client:
        client.send(GET)
        await world.origin.received(1)
        client.send(b"".join(post % (n, len(body)) + body for n in range(12)))
        gate.set()
        bodies = [(await client.read_response()).body for _ in range(13)]
    assert bodies == [b"first", *(b"/%d" % n for n in range(12))]


async def test_host_of_any_length_is_not_remembered(edge):
    world = await edge()
    for n in range(20):
        host = b"%d" % n + b"a" * 20_000
        assert (await world.ask(b"GET /a HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")).status in (200, 421)
    assert max(map(len, world.gateway.worker.server.runtime._by_host), default=0) <= 261


async def test_origin_that_gives_up_on_a_withheld_body_is_not_ejected(edge):
    """A client must not be able to take the origin from everybody else."""
    world = await edge(site={"origin": {"health": {"passive_failures": 1, "ejection": "60s"}}})
    world.origin.scripts.append([Step.EARLY, Step.RESET])
    async with await world.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nx")
        assert (await client.read_response()).status == 502
    await world.is_alive()


async def test_pipeline_of_a_client_that_does_not_read_is_not_answered_into_memory(edge):
    """Answers that fit into one write each: none is asked for while the last one still waits for the client."""
    world = await edge()
    world.origin.default = lambda request: answer(b"x" * 200_000 if request.target == b"/a" else b"")
    async with await world.connect() as client:
        client.send(GET * 150)
        await eventually(
            lambda: any(c.write_blocked for c in world.gateway.worker.server.connections), "the client to be full")
        for _ in range(150):
            await world.is_alive()
        asked = sum(request.target == b"/a" for request in world.origin.requests)
    assert asked < 100  # 20 MB: more than the kernel holds for a client


async def test_proxy_header_in_pieces_does_not_hide_the_end_of_the_head(edge):
    world = await edge({
        "listeners": [{"address": "127.0.0.1:0", "proxy_protocol": True}],
        "client_ip": {"trusted_proxies": ["127.0.0.0/8"]},
    })
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n"
    async with await world.connect() as client:
        for at in range(len(header)):
            client.send(header[at:at + 1])
            await asyncio.sleep(0)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.read_response()).status == 200
    assert world.protection.payload()["IP"] == "192.0.2.7"


async def test_drain_ends_a_connection_whose_answer_began_before_it(edge):
    """Its head could not say `Connection: close` any more; the drain must not wait for the client."""
    world = await edge({"drain_timeout": "60s"})
    gate = asyncio.Event()
    world.origin.scripts.append([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", gate, b"k"])
    async with await world.connect() as client:
        client.send(GET)
        await client.read_head()
        draining = asyncio.ensure_future(world.gateway.drain())
        await asyncio.sleep(0)
        gate.set()
        assert await client.read_to_end() == b"ok"
        await draining
