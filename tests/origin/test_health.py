"""Active health checks, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from fakes import RecordingOrigin, Step, eventually

from gateway.config import ActiveHealth
from gateway.origin.health import watch
from gateway.origin.server import OriginServer
from gateway.pool.address import parse_server
from gateway.pool.pool import PoolLimits

CHECK = ActiveHealth.model_validate({"path": "/up", "interval": "10ms", "timeout": "50ms"})
Watch = Callable[[int], OriginServer]


@pytest.fixture
async def origin() -> AsyncIterator[RecordingOrigin]:
    server = RecordingOrigin()
    await server.start()
    yield server
    await server.stop()
    assert server.violations == []


@pytest.fixture
async def watched() -> AsyncIterator[Watch]:
    """A server on that port that is being watched until the test ends."""
    started: list[tuple[OriginServer, asyncio.Task[None]]] = []

    def start(port: int) -> OriginServer:
        limits = PoolLimits(2, 2, 60.0, 1.0)
        server = OriginServer(parse_server(f"http://127.0.0.1:{port}"), limits, passive_failures=3, ejection_s=10.0)
        started.append((server, asyncio.create_task(watch(server, CHECK))))
        return server

    yield start
    for server, task in started:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        server.pool.abort()


async def test_watch_asks_for_the_path_on_connections_of_its_own(origin: RecordingOrigin, watched: Watch) -> None:
    server = watched(origin.port)
    await origin.received(3)
    assert origin.requests[0].line == b"GET /up HTTP/1.1"
    assert origin.requests[0].head.value(b"host") == b"127.0.0.1:%d" % origin.port
    assert [request.connection for request in origin.requests[:3]] == [1, 2, 3]
    assert server.is_healthy(0.0) is True


@pytest.mark.parametrize("status", [200, 204, 301, 399])
async def test_watch_2xx_and_3xx_are_healthy(origin: RecordingOrigin, watched: Watch, status: int) -> None:
    origin.default = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status
    if status == 204:
        origin.default = b"HTTP/1.1 204 X\r\n\r\n"
    server = watched(origin.port)
    server.active_ok = False
    await eventually(lambda: server.active_ok, "the server to be found healthy")


@pytest.mark.parametrize(
    "script",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n",
        [Step.RESET],
        [Step.STALL],
        [b"garbage\r\n\r\n", Step.CLOSE],
    ],
)
async def test_watch_anything_else_is_not_until_it_is_again(
    origin: RecordingOrigin, watched: Watch, script: list[bytes | Step] | bytes
) -> None:
    healthy, origin.default = origin.default, script
    server = watched(origin.port)
    await eventually(lambda: not server.active_ok, "the failure to be found")
    assert server.is_healthy(0.0) is False
    origin.default = healthy
    await eventually(lambda: server.active_ok, "the recovery to be found")


async def test_watch_refused_connection_is_not_healthy(watched: Watch, unused_port: int) -> None:
    server = watched(unused_port)
    await eventually(lambda: not server.active_ok, "the failure to be found")
