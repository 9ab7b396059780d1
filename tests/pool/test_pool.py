"""The bounded pool, over real sockets; its clock is moved by hand where time matters."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes import OK, RecordingOrigin, Step, eventually, within

from gateway.http.message import ResponseHead
from gateway.pool.address import client_context, parse_server
from gateway.pool.connection import Connection
from gateway.pool.pool import Pool, PoolLimits

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
LIMITS: dict[str, Any] = {"max_connections": 2, "max_idle": 2, "idle_timeout_s": 60.0, "connect_timeout_s": 5.0}


@dataclass(eq=False)
class Visitor:
    """A user that holds its connection until the test releases it."""

    order: list[Visitor] = field(default_factory=list)
    connection: Connection | None = None
    failed: str | None = None
    body: bytes = b""
    ended: bool = False
    broken: str | None = None

    def on_connected(self, connection: Connection) -> None:
        self.connection = connection
        self.order.append(self)

    def on_connect_failed(self, reason: str) -> None:
        self.failed = reason

    def on_answer(self, connection: Connection, head: ResponseHead | None, body: bytes, *, ended: bool) -> None:
        self.body += body
        self.ended = ended

    def on_interim(self, connection: Connection, head: ResponseHead) -> None:
        raise AssertionError("the origin sends none")

    def on_broken(self, connection: Connection, reason: str) -> None:
        self.broken = reason

    def on_blocked(self, *, blocked: bool) -> None:
        pass

    def on_overdue(self, connection: Connection) -> None:
        raise AssertionError("nobody sweeps here")

    async def connected(self) -> Connection:
        await eventually(lambda: self.connection or self.failed, "a connection")
        assert self.connection is not None, self.failed
        return self.connection

    async def answered(self) -> None:
        """Asks on the connection, and gives it back with the whole answer."""
        connection = await self.connected()
        connection.send(GET, self, to_head=False)
        await eventually(lambda: self.ended or self.broken, "an answer")
        assert (self.broken, self.body) == (None, b"ok")
        connection.release()


OpenPool = Callable[..., Awaitable[Pool]]


@pytest.fixture
async def origin() -> AsyncIterator[RecordingOrigin]:
    server = RecordingOrigin()
    await server.start()
    yield server
    await server.stop()
    assert server.violations == []


@pytest.fixture
async def open_pool(origin: RecordingOrigin) -> AsyncIterator[OpenPool]:
    pools: list[Pool] = []

    async def make(url: str | None = None, *, tls: ssl.SSLContext | None = None, **limits: Any) -> Pool:
        address = parse_server(url or f"http://127.0.0.1:{origin.port}")
        pools.append(Pool(address, PoolLimits(**{**LIMITS, **limits}), tls=tls))
        return pools[-1]

    yield make
    for pool in pools:
        pool.abort()


async def idle(pool: Pool, count: int) -> list[Connection]:
    """That many idle connections, the one that idles longest first."""
    visitors = [Visitor() for _ in range(count)]
    for visitor in visitors:
        assert pool.wait(visitor)
    for visitor in visitors:
        await visitor.connected()
    for visitor in visitors:
        await visitor.answered()
    return [visitor.connection for visitor in visitors if visitor.connection]


async def test_pool_user_gets_a_connection_and_gives_it_back(open_pool: OpenPool, origin: RecordingOrigin) -> None:
    pool = await open_pool()
    assert pool.take_idle() is None
    visitor = Visitor()
    assert pool.wait(visitor)
    await visitor.connected()
    assert (pool.busy_count, pool.idle_count, pool.opened_count) == (1, 0, 1)
    await visitor.answered()
    assert (pool.busy_count, pool.idle_count, pool.opened_count) == (0, 1, 1)
    assert pool.take_idle() is visitor.connection
    assert len(origin.connections) == 1


async def test_pool_idle_connection_used_last_is_taken_first(open_pool: OpenPool) -> None:
    pool = await open_pool()
    first, second = await idle(pool, 2)
    assert [pool.take_idle(), pool.take_idle(), pool.take_idle()] == [second, first, None]


async def test_pool_never_opens_more_than_its_limit_and_serves_in_order(
    open_pool: OpenPool, origin: RecordingOrigin
) -> None:
    pool = await open_pool(max_connections=2)
    order: list[Visitor] = []
    visitors = [Visitor(order) for _ in range(6)]
    for visitor in visitors:
        assert pool.wait(visitor)
    for visitor in visitors:
        await visitor.answered()
        assert len(pool.connections) <= 2
    assert order == visitors
    assert (pool.opened_count, len(origin.connections)) == (2, 2)


async def test_pool_full_is_said_only_if_no_attempt_is_under_way(open_pool: OpenPool) -> None:
    pool = await open_pool(max_connections=1)
    first, second = Visitor(), Visitor()
    pool.wait(first)
    assert pool.is_full is False
    await eventually(lambda: pool.is_full, "the only connection to be taken")
    pool.wait(second)
    await first.answered()
    await second.answered()


async def test_pool_wait_over_is_pool_full_or_timeout(open_pool: OpenPool) -> None:
    pool = await open_pool(max_connections=1, wait_s=1.0)
    holder, waiting = Visitor(), Visitor()
    pool.wait(holder)
    await eventually(lambda: pool.is_full, "the only connection to be taken")
    pool.wait(waiting)
    now_s = asyncio.get_running_loop().time()
    pool.sweep(now_s + 0.5)
    assert waiting.failed is None
    pool.sweep(now_s + 2.0)
    assert waiting.failed == "pool_full"
    early = Visitor()
    other = await open_pool(max_connections=1, wait_s=1.0)
    other.wait(early)
    other.sweep(asyncio.get_running_loop().time() + 2.0)
    assert early.failed == "timeout"


async def test_pool_queue_is_bounded(open_pool: OpenPool) -> None:
    pool = await open_pool(max_connections=1, max_waiting=2)
    assert [pool.wait(Visitor()) for _ in range(3)] == [True, True, False]


async def test_pool_user_that_stops_waiting_is_not_served(open_pool: OpenPool) -> None:
    pool = await open_pool()
    gone = Visitor()
    pool.wait(gone)
    pool.stop_waiting(gone)
    pool.stop_waiting(gone)
    await eventually(lambda: pool.idle_count, "the connection that nobody wants any more")
    assert gone.connection is None


async def test_pool_refused_connection_is_told_to_the_user(open_pool: OpenPool, unused_port: int) -> None:
    pool = await open_pool(f"http://127.0.0.1:{unused_port}")
    visitors = [Visitor(), Visitor(), Visitor()]
    for visitor in visitors:
        pool.wait(visitor)
    await eventually(lambda: all(visitor.failed for visitor in visitors), "the failures")
    assert [visitor.failed for visitor in visitors] == ["connect"] * 3
    assert pool.last_error
    assert (pool.opened_count, len(pool.connections)) == (0, 0)


async def test_pool_closed_connection_makes_room_for_who_waits(open_pool: OpenPool) -> None:
    pool = await open_pool(max_connections=1)
    first, second = Visitor(), Visitor()
    pool.wait(first)
    connection = await first.connected()
    pool.wait(second)
    connection.discard()
    await second.answered()
    assert pool.opened_count == 2


async def test_pool_idle_connection_closed_by_the_server_is_forgotten(
    open_pool: OpenPool, origin: RecordingOrigin
) -> None:
    pool = await open_pool()
    await idle(pool, 1)
    origin.close_idle()
    await eventually(lambda: not pool.connections, "the end of the connection")
    assert (pool.idle_count, pool.take_idle()) == (0, None)


async def test_pool_wait_fresh_closes_the_other_idle_connections(open_pool: OpenPool) -> None:
    pool = await open_pool()
    old = await idle(pool, 2)
    visitor = Visitor()
    assert pool.wait_fresh(visitor)
    fresh = await visitor.connected()
    assert fresh not in old
    assert fresh.use_count == 0
    assert not any(connection.is_usable for connection in old)


async def test_pool_keeps_at_most_max_idle(open_pool: OpenPool) -> None:
    pool = await open_pool(max_connections=3, max_idle=1)
    await idle(pool, 3)
    assert (pool.idle_count, len(pool.connections)) == (1, 1)


async def test_pool_connection_idle_too_long_is_closed(open_pool: OpenPool, origin: RecordingOrigin) -> None:
    pool = await open_pool(idle_timeout_s=60.0)
    await idle(pool, 1)
    now_s = asyncio.get_running_loop().time()
    pool.sweep(now_s + 59.0)
    assert pool.idle_count == 1
    pool.sweep(now_s + 61.0)
    assert pool.idle_count == 0
    await origin.lost(1)


async def test_pool_warm_connections_are_opened_in_advance_and_refilled(
    open_pool: OpenPool, origin: RecordingOrigin
) -> None:
    pool = await open_pool(max_connections=4, max_idle=4, warm=3)
    await within(pool.warm(5.0), "the warm connections")
    assert (pool.idle_count, pool.opened_count) == (3, 3)
    await eventually(lambda: origin.open_connections == 3, "the origin to have accepted them")
    origin.close_idle()
    await eventually(lambda: not pool.connections, "their end")
    pool.sweep(asyncio.get_running_loop().time())
    await eventually(lambda: pool.idle_count == 3, "new ones")


async def test_pool_warm_up_pauses_after_a_failure(open_pool: OpenPool, unused_port: int) -> None:
    pool = await open_pool(f"http://127.0.0.1:{unused_port}", warm=2)
    await within(pool.warm(5.0), "the attempts")
    failed, pool.last_error = pool.last_error, ""
    assert failed
    await within(pool.warm(5.0), "no attempt at all")
    assert pool.last_error == ""


async def test_pool_retired_keeps_nothing_and_still_serves(open_pool: OpenPool) -> None:
    pool = await open_pool()
    busy = Visitor()
    await idle(pool, 1)
    busy.connection = pool.take_idle()
    pool.retire()
    await busy.answered()
    assert (pool.idle_count, len(pool.connections)) == (0, 0)
    late = Visitor()
    assert pool.wait(late)
    await late.answered()
    assert len(pool.connections) == 0


async def test_pool_aborted_closes_everything_and_serves_nobody(open_pool: OpenPool, origin: RecordingOrigin) -> None:
    pool = await open_pool()
    visitor = Visitor()
    pool.wait(visitor)
    await visitor.connected()
    pool.abort()
    assert (len(pool.connections), pool.wait(Visitor())) == (0, False)
    await origin.lost(1)


async def test_pool_answer_broken_off_is_a_reset_and_costs_the_connection(
    open_pool: OpenPool, origin: RecordingOrigin
) -> None:
    origin.scripts.append([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", Step.RESET])
    pool = await open_pool()
    visitor = Visitor()
    pool.wait(visitor)
    (await visitor.connected()).send(GET, visitor, to_head=False)
    await eventually(lambda: visitor.broken, "the reset")
    assert (visitor.broken, visitor.body, len(pool.connections)) == ("reset", b"he", 0)


async def test_pool_over_tls_verifies_the_name_and_the_authority(open_pool: OpenPool, certificates: Any) -> None:
    server = RecordingOrigin(tls=certificates.server_context())
    await server.start()
    trusting = await open_pool(f"https://localhost:{server.port}", tls=client_context(ca=str(certificates.ca_file)))
    visitor = Visitor()
    trusting.wait(visitor)
    await visitor.answered()
    wary = await open_pool(f"https://localhost:{server.port}", tls=client_context())
    refused = Visitor()
    wary.wait(refused)
    await eventually(lambda: refused.failed, "the refusal of an unknown authority")
    assert (refused.failed, "certificate" in wary.last_error.lower()) == ("connect", True)
    careless = await open_pool(f"https://127.0.0.1:{server.port}", tls=client_context(verify=False))
    anybody = Visitor()
    careless.wait(anybody)
    await anybody.answered()
    await server.stop()


async def test_pool_over_a_unix_socket(open_pool: OpenPool, tmp_path: Path) -> None:
    path = str(tmp_path / "origin.sock")
    server = RecordingOrigin(unix=path)
    await server.start()
    pool = await open_pool(f"unix:{path}")
    visitor = Visitor()
    pool.wait(visitor)
    await visitor.answered()
    assert server.requests[0].line == b"GET / HTTP/1.1"
    await server.stop()


async def test_pool_serves_many_users_over_few_connections(open_pool: OpenPool, origin: RecordingOrigin) -> None:
    origin.default = OK
    pool = await open_pool(max_connections=3, max_idle=3)
    visitors = [Visitor() for _ in range(100)]
    for visitor in visitors:
        pool.wait(visitor)
    await asyncio.gather(*(visitor.answered() for visitor in visitors))
    assert (pool.opened_count, pool.idle_count, pool.busy_count) == (3, 3, 0)
