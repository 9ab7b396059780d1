"""One awaited question: its answer, or the reason why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fakes import RecordingOrigin, ScriptSource, Step, within

from gateway.errors import NoAnswer
from gateway.pool.address import parse_server
from gateway.pool.pool import Pool, PoolLimits
from gateway.pool.question import Answer, ask_once

GET = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
async def origin() -> AsyncIterator[RecordingOrigin]:
    server = RecordingOrigin()
    await server.start()
    yield server
    await server.stop()


def pool_to(port: int, *, max_waiting: int = 10) -> Pool:
    limits = PoolLimits(2, 2, 60.0, 5.0, max_waiting=max_waiting, max_head_bytes=500)
    return Pool(parse_server(f"http://127.0.0.1:{port}"), limits)


async def reason(pool: Pool, timeout_s: float = 5.0) -> str:
    with pytest.raises(NoAnswer) as caught:
        await ask_once(pool, GET, timeout_s)
    assert pool.busy_count == 0, "its connection was not closed"
    pool.abort()
    return caught.value.reason


async def test_question_is_answered_whole(origin: RecordingOrigin) -> None:
    origin.default = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    pool = pool_to(origin.port)
    headers = [(b"x-a", b"1"), (b"transfer-encoding", b"chunked")]
    assert await ask_once(pool, GET, 5.0) == Answer(200, headers, dict(headers), b"hello")
    assert origin.requests[0].head.raw == GET
    assert len(pool.connections) == 0, "a probe leaves nothing behind"
    pool.abort()


async def test_question_for_the_head_alone_waits_for_no_body(origin: RecordingOrigin) -> None:
    origin.default = [b"HTTP/1.1 302 Found\r\nContent-Length: 1000\r\n\r\n", Step.STALL]
    pool = pool_to(origin.port)
    answer = await within(ask_once(pool, GET, 60.0, head_only=True), "the head")
    assert answer.status == 302
    pool.abort()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([Step.RESET], "reset"),
        ([Step.CLOSE], "reset"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", Step.CLOSE], "reset"),
        ([b"garbage\r\n\r\n", Step.CLOSE], "protocol"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000 + b"\r\n\r\n", Step.CLOSE], "oversized"),
        ([b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_100_000, Step.CLOSE], "oversized"),
    ],
)
async def test_question_without_a_valid_answer_names_the_reason(
    origin: RecordingOrigin, script: ScriptSource, expected: str
) -> None:
    origin.default = script
    assert await reason(pool_to(origin.port)) == expected


async def test_question_never_answered_is_a_timeout(origin: RecordingOrigin) -> None:
    origin.default = [Step.STALL]
    assert await reason(pool_to(origin.port), timeout_s=0.05) == "timeout"


async def test_question_refused_is_connect(unused_port: int) -> None:
    assert await reason(pool_to(unused_port)) == "connect"


async def test_question_to_a_full_queue_is_pool_full(origin: RecordingOrigin) -> None:
    assert await reason(pool_to(origin.port, max_waiting=0)) == "pool_full"


async def test_question_cancelled_closes_its_connection(origin: RecordingOrigin) -> None:
    origin.default = [Step.STALL]
    pool = pool_to(origin.port)
    asking = asyncio.create_task(ask_once(pool, GET, 60.0))
    await origin.completed(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await origin.lost(1)
    assert len(pool.connections) == 0
    pool.abort()
