"""`readiness` against an admin side that answers, and against everything that is none."""

from __future__ import annotations

import asyncio
import socket

import pytest
from fakes import RecordingOrigin

from gateway.healthcheck import readiness


async def ask(answer: bytes) -> tuple[bool, str]:
    origin = RecordingOrigin()
    await origin.start()
    origin.default = answer
    try:
        ready, detail = await asyncio.to_thread(readiness, f"127.0.0.1:{origin.port}")
    finally:
        await origin.stop()
    assert [(request.method, request.target) for request in origin.requests] == [(b"GET", b"/readyz")]
    return ready, detail.replace(str(origin.port), "PORT")


async def test_readiness_of_200_is_ready_with_the_body() -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"degraded":[]}'
    assert await ask(answer) == (True, '127.0.0.1:PORT says 200 {"degraded":[]}')


async def test_readiness_of_503_is_not_ready_with_the_body() -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\ndraining"
    assert await ask(answer) == (False, "127.0.0.1:PORT says 503 draining")


async def test_readiness_of_another_protocol_is_not_ready() -> None:
    ready, detail = await ask(b"220 mail.example ESMTP\r\n")
    assert not ready and detail.startswith("no answer from 127.0.0.1:PORT: ")


def test_readiness_of_closed_port_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    ready, detail = readiness(address)
    assert not ready and detail.startswith(f"no answer from {address}: ")


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1:", "127.0.0.1:http", "h:70000", "h:٣"])
def test_readiness_of_no_address_says_so(address: str) -> None:
    assert readiness(address) == (False, f"{address!r} is not host:port")
