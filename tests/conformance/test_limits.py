"""Every key of `limits`, every time-out of the configuration, and buffers that stay bounded."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
from collections import Counter

import pytest
from fakes import OK, Step, TruncatedError, decision, eventually

GET = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
HOST_LINE = b"Host: shop.example\r\n"


def post(body: bytes, fields: bytes = b"") -> bytes:
    return b"POST /a HTTP/1.1\r\n" + HOST_LINE + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes) -> bytes:
    return b"POST /a HTTP/1.1\r\n" + HOST_LINE + b"Transfer-Encoding: chunked\r\n\r\n" + body


# ---- sizes -----------------------------------------------------------------------------------------------------------

OVER = {
    "head": (
        {"request_head_bytes": "1KiB"},
        b"GET / HTTP/1.1\r\n" + HOST_LINE + b"X-A: " + b"a" * 1024 + b"\r\n\r\n",
        431,
    ),
    "head-many-small": (
        {"request_head_bytes": "1KiB"},
        b"GET / HTTP/1.1\r\n" + HOST_LINE + b"X-A: b\r\n" * 130 + b"\r\n",
        431,
    ),
    "head-never-ending": (
        {"request_head_bytes": "1KiB"},
        b"GET / HTTP/1.1\r\n" + HOST_LINE + b"X-A: " + b"a" * 4096,
        431,
    ),
    "name": ({"request_head_bytes": "1KiB"}, b"GET / HTTP/1.1\r\n" + HOST_LINE + b"X" * 1024 + b": b\r\n\r\n", 431),
    "headers": ({"request_headers": 10}, b"GET / HTTP/1.1\r\n" + HOST_LINE + b"X-A: b\r\n" * 10 + b"\r\n", 431),
    "target": ({"request_target_bytes": "1KiB"}, b"GET /" + b"a" * 1024 + b" HTTP/1.1\r\n" + HOST_LINE + b"\r\n", 414),
    "target-never-ending": ({"request_target_bytes": "1KiB"}, b"GET /" + b"a" * 4096, 414),
    "body-declared": ({"request_body_bytes": "1KiB"}, post(b"x" * 1025), 413),
    "body-declared-huge": (
        {"request_body_bytes": "1KiB"},
        b"POST / HTTP/1.1\r\n" + HOST_LINE + b"Content-Length: 999999999\r\n\r\n",
        413,
    ),
    "L12-default-head": ({}, b"GET / HTTP/1.1\r\n" + HOST_LINE + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    "L12-default-headers": ({}, b"GET / HTTP/1.1\r\n" + HOST_LINE + b"X: y\r\n" * 10_000 + b"\r\n", 431),
    "L19-default-pairs": ({}, b"GET / HTTP/1.1\r\n" + HOST_LINE + b"Cookie: a=b\r\n" * 1000 + b"\r\n", 431),
    "L12-default-target": ({}, b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST_LINE + b"\r\n", 414),
}


@pytest.mark.parametrize(("limits", "sent", "status"), OVER.values(), ids=OVER)
async def test_limit_exceeded_is_refused_before_anything_is_asked(edge, limits, sent, status):
    world = await edge({"limits": limits})
    async with await world.connect() as client:
        client.send(sent)
        response = await client.read_response()
        assert await client.read_to_end() == b""
    assert response.status == status
    assert response.value(b"connection") == b"close"
    assert world.origin.connections == []
    assert world.protection.connections == []
    assert sum(world.gateway.counts("rejected_requests").values()) == 1
    await world.is_alive()


def sized_head(total: int) -> bytes:
    start = b"GET / HTTP/1.1\r\n" + HOST_LINE + b"X-A: "
    return start + b"a" * (total - len(start) - 4) + b"\r\n\r\n"


AT = {
    "head": ({"request_head_bytes": "1KiB"}, sized_head(1024)),
    "headers": ({"request_headers": 10}, b"GET / HTTP/1.1\r\n" + HOST_LINE + b"X-A: b\r\n" * 9 + b"\r\n"),
    "target": ({"request_target_bytes": "1KiB"}, b"GET /" + b"a" * 1023 + b" HTTP/1.1\r\n" + HOST_LINE + b"\r\n"),
    "body": ({"request_body_bytes": "1KiB"}, post(b"x" * 1024)),
    "body-chunked": ({"request_body_bytes": "1KiB"}, chunked(b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n")),
    "L19-big-cookie": ({}, b"GET / HTTP/1.1\r\n" + HOST_LINE + b"Cookie: a=" + b"b" * 60_000 + b"\r\n\r\n"),
    "L19-many-pairs": ({}, b"GET / HTTP/1.1\r\n" + HOST_LINE + b"Cookie: " + b"a=b; " * 1000 + b"z=1\r\n\r\n"),
}


@pytest.mark.parametrize(("limits", "sent"), AT.values(), ids=AT)
async def test_limit_reached_exactly_is_served(edge, limits, sent):
    world = await edge({"limits": limits})
    assert (await world.ask(sent)).status == 200
    assert world.origin.requests[0].complete


async def test_limit_of_a_chunked_body_ends_the_upload_with_413(edge):
    """No length was declared, so the origin has begun to read: its request is aborted, the client told."""
    world = await edge({"limits": {"request_body_bytes": "1KiB"}})
    async with await world.connect() as client:
        client.send(chunked(b"400\r\n" + b"x" * 1024 + b"\r\n"))
        request = await world.origin.received(1)
        client.send(b"1\r\ny\r\n0\r\n\r\n")
        response = await client.read_response()
        assert await client.read_to_end() == b""
    assert response.status == 413
    await world.origin.lost(1)
    assert request.complete is False
    assert len(request.body) <= 1024


async def test_limit_chunk_framing_overhead_is_bounded(edge):
    """K08, K15: megabytes of extensions and trailers are refused or dropped, never kept and never forwarded."""
    world = await edge()
    extensions = b"".join(b"1;" + b"e" * 60_000 + b"\r\nx\r\n" for _ in range(20))
    for body in (extensions, b"5\r\nhello\r\n0\r\n" + b"X-T: " + b"t" * 1_000_000, b"0\r\n" + b"X-T: y\r\n" * 100_000):
        async with await world.connect() as client:
            client.send(chunked(body))
            client.half_close()
            answer = await client.read_to_end()
        assert answer == b"" or answer[9:12] in (b"200", b"400", b"413", b"431")
    await world.is_alive()
    assert all(request.body_read.trailers == [] for request in world.origin.requests)
    assert all(len(request.body_read.raw) < 1000 for request in world.origin.requests)


async def test_limit_many_one_byte_chunks_arrive_whole(edge):
    """K15: 20,000 one-byte chunks are legal; they cost no more than their bytes."""
    world = await edge()
    count = 20_000
    async with await world.connect() as client:
        client.send(chunked(b"1\r\nx\r\n" * count + b"0\r\n\r\n"))
        assert (await client.read_response()).status == 200
    assert world.origin.requests[0].body == b"x" * count


async def test_limit_response_head_over_it_is_502(edge):
    world = await edge({"limits": {"response_head_bytes": "1KiB"}})
    world.origin.scripts.append(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 1100 + b"\r\nContent-Length: 0\r\n\r\n")
    assert (await world.ask(GET)).status == 502
    world.origin.scripts.append(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 900 + b"\r\nContent-Length: 0\r\n\r\n")
    assert (await world.ask(GET)).status == 200


async def test_limit_connections_new_ones_get_503_and_recover(edge):
    """N10: over the limit a connection is told so and closed; one that ends makes room."""
    world = await edge({"limits": {"connections": 2}})
    async with await world.connect() as first, await world.connect() as second:
        for client in (first, second):
            client.send(GET)
            assert (await client.read_response()).status == 200
        async with await world.connect() as third:
            third.send(GET)
            response = await third.read_response()
            assert await third.read_to_end() == b""
        assert response.status == 503
        assert len(world.origin.requests) == 2
        first.send(GET)
        assert (await first.read_response()).status == 200
    await eventually(lambda: world.gateway.gauge("open_connections") == 0, "both to be gone")
    assert (await world.ask(GET)).status == 200


# ---- time-outs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1\r\nHost: a\r\n\r"])
async def test_timeout_of_a_slow_head_is_408(edge, sent):
    """N01: a head that does not come gets 408; a connection that never said anything may just be closed."""
    world = await edge({"limits": {"head_timeout": "100ms", "keep_alive_timeout": "100ms"}})
    async with await world.connect() as client:
        client.send(sent)
        answer = await client.read_to_end()
    assert answer.startswith(b"HTTP/1.1 408 ") or (answer, sent) == (b"", b"")
    assert world.protection.connections == []


async def test_timeout_of_a_head_that_trickles_is_408(edge):
    """The time is for the whole head: a byte now and then does not prolong it."""
    world = await edge({"limits": {"head_timeout": "150ms"}})
    async with await world.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")

        async def trickle() -> None:
            while True:
                client.send(b"X: y\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(trickle())
        answer = await client.read_to_end()
        dripping.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_timeout_of_a_second_head_is_408_too(edge):
    world = await edge({"limits": {"head_timeout": "100ms"}})
    async with await world.connect() as client:
        client.send(GET + GET[:20])
        assert (await client.read_response()).status == 200
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 408 ")


async def test_timeout_of_keep_alive_closes_without_a_word(edge):
    """An idle connection gets no 408: a client could take it for the answer to its next request."""
    world = await edge({"limits": {"keep_alive_timeout": "100ms"}})
    async with await world.connect() as client:
        client.send(GET)
        assert (await client.read_response()).status == 200
        assert await client.read_to_end() == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /a HTTP/1.1\r\n" + HOST_LINE + b"Content-Length: 10\r\n\r\nhello",
        chunked(b"5\r\nhello\r\n"),
        b"POST /a HTTP/1.1\r\n" + HOST_LINE + b"Content-Length: 999999999\r\n\r\n",
    ],
    ids=["length", "chunked", "C21-huge-and-empty"],
)
async def test_timeout_of_a_slow_body_is_408_and_aborts_the_origin_request(edge, sent):
    world = await edge({"limits": {"body_timeout": "100ms"}})
    async with await world.connect() as client:
        client.send(sent)
        answer = await client.read_to_end()
    assert answer.startswith(b"HTTP/1.1 408 ")
    await world.origin.lost(1)
    assert [request.complete for request in world.origin.requests] == [False]


async def test_timeout_of_a_body_is_between_bytes(edge):
    """A slow upload that goes on is not a stalled one: eight pieces in twice the time-out pass."""
    world = await edge({"limits": {"body_timeout": "200ms"}})
    async with await world.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\n" + HOST_LINE + b"Content-Length: 8\r\n\r\n")
        for _ in range(8):
            client.send(b"x")
            await asyncio.sleep(0.05)  # the subject of the test: activity within the time-out, for longer than it
        assert (await client.read_response()).status == 200


async def test_timeout_of_a_body_does_not_run_while_the_origin_is_the_slow_one(edge):
    """Backpressure is not the client's fault: what is not read cannot be late."""
    world = await edge({"limits": {"body_timeout": "100ms"}})
    gate = asyncio.Event()
    world.protection.scripts.append([gate, decision(200)])
    async with await world.connect() as client:
        client.send(post(b"x" * 3_000_000))
        await world.protection.received(1)
        asyncio.get_running_loop().call_later(0.3, gate.set)
        assert (await client.read_response()).status == 200
    assert len(world.origin.requests[0].body) == 3_000_000


async def test_timeout_of_the_response_head_is_504(edge):
    world = await edge(site={"origin": {"response_timeout": "100ms"}})
    world.origin.scripts.append([Step.STALL])
    async with await world.connect() as client:
        client.send(GET)
        assert (await client.read_response()).status == 504
        await world.origin.lost(1)
    await world.counted("requests", {("shop", "GET", "5xx", "allowed"): 1})
    assert sum(world.gateway.counts("origin_failures").values()) == 1


async def test_timeout_of_the_response_head_counts_from_the_end_of_the_request(edge):
    """An upload that pauses is no slow origin: it must neither become a 504 nor eject the server."""
    health = {"passive_failures": 1, "ejection": "60s"}
    world = await edge(site={"origin": {"response_timeout": "100ms", "health": health}})
    async with await world.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\n" + HOST_LINE + b"Content-Length: 2\r\n\r\nx")
        await world.origin.received(1)
        await asyncio.sleep(0.4)  # the subject of the test: a pause of four times response_timeout
        client.send(b"x")
        assert (await client.read_response()).status == 200
    await world.counted("origin_failures", {})


async def test_timeout_of_the_response_head_goes_on_after_an_interim_answer(edge):
    world = await edge(site={"origin": {"response_timeout": "100ms"}})
    world.origin.scripts.append([b"HTTP/1.1 102 Processing\r\n\r\n", Step.STALL])
    async with await world.connect() as client:
        client.send(GET)
        assert (await client.read_response()).status == 504


async def test_timeout_between_response_body_bytes_cuts_the_answer(edge):
    world = await edge(site={"origin": {"idle_timeout": "100ms"}})
    world.origin.scripts.append([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Step.STALL])
    async with await world.connect() as client:
        client.send(GET)
        with pytest.raises(TruncatedError) as caught:
            await client.read_response()
    assert caught.value.body == b"hello"
    await world.origin.lost(1)


async def test_timeout_of_a_client_that_does_not_read_ends_its_exchange(edge):
    """N01, slow read: a download that nobody takes costs the origin's connection no longer than `body_timeout`."""
    world = await edge({"limits": {"body_timeout": "200ms"}})
    world.origin.scripts.append([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE), LARGE])
    async with await world.connect() as client:
        client.pause()
        client.send(GET)
        await world.origin.lost(1)
    await world.counted("origin_failures", {})
    await world.is_alive()


async def test_timeout_of_a_check_is_one_total_deadline(edge):
    """Neither a byte now and then nor a waiting connection prolongs it: interim answers drip for ever here."""
    world = await edge({"protection": {"timeout": "100ms"}})
    dripping = [b"HTTP/1.1 102 Processing\r\n\r\n"] * 3
    world.protection.default = [*dripping, b"HTTP/1.1 200 OK\r\nX-A: b\r\n", Step.STALL]
    for _ in range(3):
        assert (await world.ask(GET)).status == 200
    await world.counted("protection_failures", {("timeout",): 3})


async def test_timeout_of_an_idle_origin_connection_closes_it(edge):
    world = await edge(site={"origin": {"pool": {"idle_timeout": "100ms"}}})
    assert (await world.ask(GET)).status == 200
    await world.origin.lost(1)
    assert (await world.ask(GET)).status == 200


async def test_timeout_of_an_idle_protection_connection_closes_it(edge):
    world = await edge({"protection": {"pool": {"idle_timeout": "100ms", "warm": 0}}})
    assert (await world.ask(GET)).status == 200
    await world.protection.lost(1)
    assert (await world.ask(GET)).status == 200
    await world.counted("protection_failures", {})


async def test_origin_pool_keeps_no_more_idle_connections_than_configured(edge):
    world = await edge(site={"origin": {"pool": {"max_idle": 1}}})
    gate = asyncio.Event()
    world.origin.default = [gate, OK]
    clients = [await world.connect() for _ in range(3)]
    for client in clients:
        client.send(GET)
    await world.origin.received(3)
    gate.set()
    assert [(await client.read_response()).status for client in clients] == [200] * 3
    await eventually(lambda: world.origin.open_connections == 1, "two of three to be closed")
    for client in clients:
        await client.close()


async def test_slow_clients_do_not_disturb_the_others(edge):
    """N01: slow heads, slow bodies and slow readers together; everybody else is served, and all of them end."""
    world = await edge({"limits": {"head_timeout": "300ms", "body_timeout": "300ms"}})
    slow = [await world.connect() for _ in range(90)]
    for client, sent in zip(
        slow, (GET[:30], b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", GET[:1]) * 30, strict=True
    ):
        client.send(sent)
    async with await world.connect() as brisk:
        for _ in range(100):
            brisk.send(GET)
            assert (await brisk.read_response()).status == 200
    answers = [await client.read_to_end() for client in slow]
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
    for client in slow:
        await client.close()
    await eventually(lambda: world.gateway.gauge("open_connections") == 0, "all to be gone")


# ---- backpressure ----------------------------------------------------------------------------------------------------

KERNEL_BYTES = 16 * 1024 * 1024
"""More than the socket buffers of both hops hold (tcp_rmem and tcp_wmem maxima of 6 and 4 MiB on each)."""
LARGE = bytes(range(256)) * (4 * KERNEL_BYTES // 256)


async def settled(value) -> int:
    """`value()` once it has stayed the same for 100 ms: whoever could move it is waiting for somebody else."""
    last, since = value(), asyncio.get_running_loop().time()
    async with asyncio.timeout(20):
        while asyncio.get_running_loop().time() - since < 0.1:
            await asyncio.sleep(0.01)
            if value() != last:
                last, since = value(), asyncio.get_running_loop().time()
    return last


async def test_backpressure_of_the_origin_stops_the_upload(edge):
    """An origin that does not read: what has left the client is what the kernel holds, and not 64 MiB in our memory."""
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([Step.EARLY, gate, Step.BODY, OK])
    async with await world.connect() as client:
        client.send(post(LARGE))
        assert len(LARGE) - await settled(lambda: client.unsent_bytes) < KERNEL_BYTES
        gate.set()
        assert (await client.read_response()).status == 200
    assert hashlib.sha256(world.origin.requests[0].body).digest() == hashlib.sha256(LARGE).digest()


async def test_backpressure_of_a_pending_decision_stops_the_upload(edge):
    """The body waits in the kernel while the check is open: a few kilobytes of it at most have been read."""
    world = await edge()
    gate = asyncio.Event()
    world.protection.scripts.append([gate, decision(200)])
    async with await world.connect() as client:
        client.send(post(LARGE))
        await world.protection.received(1)
        assert len(LARGE) - await settled(lambda: client.unsent_bytes) < KERNEL_BYTES
        gate.set()
        assert (await client.read_response()).status == 200
    assert world.origin.requests[0].body == LARGE


async def test_backpressure_of_the_client_stops_the_download(edge):
    """A client that does not read: the origin is stopped too, and then everything arrives."""
    world = await edge()
    sent = 0

    def head(_request):
        return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE), LARGE]

    world.origin.default = head
    async with await world.connect() as client:
        client.pause()
        client.send(GET)
        await world.origin.received(1)
        transport = world.origin.connections[0].writer.transport
        await eventually(lambda: transport.get_write_buffer_size() > 0, "the origin to be stopped")
        sent = len(LARGE) - await settled(transport.get_write_buffer_size)
        assert sent < KERNEL_BYTES
        client.resume()
        response = await client.read_response()
    assert response.body == LARGE


async def test_backpressure_of_one_client_does_not_stop_another(edge):
    world = await edge()
    world.origin.scripts.append([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE), LARGE])
    async with await world.connect() as slow:
        slow.pause()
        slow.send(GET)
        await world.origin.received(1)
        for _ in range(20):
            assert (await world.ask(GET)).status == 200
        slow.reset()
    await world.origin.lost(1)


# ---- leaks -----------------------------------------------------------------------------------------------------------


OURS = ("gateway.server", "gateway.origin", "gateway.protection", "gateway.pool", "gateway.http", "httptools")


def census() -> Counter[str]:
    """Live objects of the gateway's own classes and of the event loop's, by class."""
    gc.collect()
    names: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        if str(kind.__module__).startswith(OURS) or kind.__name__ in ("TimerHandle", "Task", "Future", "TCPTransport"):
            names[f"{kind.__module__}.{kind.__name__}"] += 1
    return names


async def every_kind_of_exchange(world) -> None:
    """Allowed, blocked, failed, refused, cut off on each side, timed out: one round."""
    scripts = world.protection.scripts
    scripts.extend(
        [decision(200), decision(403, body=b"no"), [Step.CLOSE], decision(500), [b"garbage\r\n\r\n", Step.CLOSE]]
    )
    for expected in (200, 403, 200, 200, 200):
        assert (await world.ask(post(b"hello"))).status == expected
    for broken in (b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00", b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"):
        await world.exchange(broken + b"\r\n\r\n")
    for script in (
        [Step.CLOSE],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", Step.RESET],
        [b"x\r\n\r\n", Step.CLOSE],
    ):
        world.origin.scripts.append(script)
        await world.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    world.origin.scripts.append([Step.STALL])
    seen = len(world.origin.requests)
    client = await world.connect()
    client.send(GET)
    await world.origin.received(seen + 1)
    client.reset()
    client = await world.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    await world.origin.received(seen + 2)
    client.reset()
    async with await world.connect() as pipelining:
        pipelining.send(GET * 5)
        for _ in range(5):
            await pipelining.read_response()
    await eventually(lambda: world.gateway.gauge("open_connections") == 0, "every connection to end")


async def test_leak_no_object_remains_after_many_exchanges_of_every_kind(edge):
    world = await edge(site={"origin": {"health": {"passive_failures": 100000}}})

    def forget() -> None:
        """What the fakes themselves remember of ended connections."""
        for server in (world.origin, world.protection):
            server.connections = [connection for connection in server.connections if connection.ended is None]
            server.requests.clear()

    for _ in range(3):
        await every_kind_of_exchange(world)
    forget()
    before = census()
    for _ in range(15):
        await every_kind_of_exchange(world)
        forget()
    with contextlib.suppress(AssertionError):
        await eventually(lambda: not more(before, census()), "what was made to be gone again")
    assert more(before, census()) == {}


def more(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """What there is more of, beyond the connection that a pool may have opened anew; 15 rounds would show as 15."""
    return {name: count - before[name] for name, count in after.items() if count - before[name] > 5}
