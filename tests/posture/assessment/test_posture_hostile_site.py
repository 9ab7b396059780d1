"""Sites that lie, flood, stall or speak something else: an assessment ends, in bounded memory, with what it knows."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable

import pytest
from posture.assessment.conftest import Assess
from posture.assessment.own_site import Loopback, Serve

from gateway.errors import ScanFailed
from gateway.posture.scan import ScanResult

MOST_BYTES = 64 * 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(20 * 1024 * 1024))


async def _for_ever(piece: bytes, pause_s: float = 0) -> AsyncIterator[bytes]:
    while True:
        yield piece
        await asyncio.sleep(pause_s)


def says(first: bytes, *, repeat: bytes = b"", pause_s: float = 0, closes: bool = True) -> Serve:
    """A server that answers a head with these bytes, then with others without end, or closes, or stays silent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        await writer.drain()
        if repeat:
            async for piece in _for_ever(repeat, pause_s):
                writer.write(piece)
                await writer.drain()
        if not closes:
            await asyncio.Event().wait()

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(says(OK, repeat=b"X-A: b\r\n" * 1000), id="endless header lines"),
        pytest.param(says(OK, repeat=b"Set-Cookie: a=b\r\n" * 1000), id="endless cookies"),
        pytest.param(says(OK + b"X-A: ", repeat=b"b" * 65536), id="endless header"),
        pytest.param(says(b"HTTP/1.1 200 ", repeat=b"b" * 65536), id="endless reason"),
        pytest.param(says(b"", repeat=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), id="endless interim answers"),
        pytest.param(says(OK, repeat=b"X: 1\r\n", pause_s=0.02), id="slow head"),
        pytest.param(says(b"\x00\xff" * 500), id="garbage"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n"), id="another protocol"),
        pytest.param(says(b"HTTP/1.1 999999 OK\r\n\r\n"), id="no status"),
        pytest.param(says(OK + b"Content-Length: -1\r\n\r\n"), id="no length"),
        pytest.param(says(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), id="two lengths"),
        pytest.param(says(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), id="broken chunk"),
        pytest.param(says(b""), id="closed at once"),
        pytest.param(says(b"", closes=False), id="silence"),
    ],
)
async def test_site_without_an_http_answer_is_a_failed_scan(scan: Assess, serve: Serve) -> None:
    async with Loopback(serve) as site:
        with pytest.raises(ScanFailed, match="localhost cannot be assessed") as failure:
            await _bounded(lambda: _scan(scan, site, "full"))
    assert str(failure.value).isprintable() and len(str(failure.value)) < 400


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(says(OK + b"\r\n", repeat=b"b" * 65536), id="endless body"),
        pytest.param(says(OK + b"Content-Length: 9999999999\r\n\r\n", repeat=b"b", pause_s=0.02), id="slow body"),
        pytest.param(
            says(OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n", repeat=b"b" * 65536), id="endless chunk"
        ),
        pytest.param(says(OK + b"Content-Length: 100\r\n\r\nshort"), id="body that breaks off"),
        pytest.param(
            says(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB), id="gzip bomb"
        ),
        pytest.param(says(OK + b"".join(b"Set-Cookie: c%d=1\r\n" % n for n in range(1500)) + b"\r\n"), id="cookies"),
        pytest.param(says(OK + b"Server: \x80\x81\x82 a/1.2 \xe2\x80\xae\r\n\r\n"), id="bytes in a header"),
        pytest.param(says(OK + b"Location: http://[\r\nContent-Length: 0\r\n\r\n"), id="no location"),
        pytest.param(says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), id="101"),
        pytest.param(says(OK + b"\r\n<" + b"<" * 60000), id="body of one character"),
        pytest.param(says(OK + b"\r\n" + b"<script" * 9000), id="scripts without end"),
        pytest.param(says(OK + b"\r\n" + b"a/1." * 16000), id="versions without end"),
    ],
)
async def test_site_that_answers_and_then_misbehaves_is_assessed(scan: Assess, serve: Serve) -> None:
    async with Loopback(serve) as site:
        result = await _bounded(lambda: _scan(scan, site, "full"))
    assert result.scan.status == "completed"
    assert "header-csp" in {finding.id for finding in result.findings}
    for finding in result.findings:
        assert finding.description.isprintable() and len(finding.description) < 3000


async def test_compressed_body_that_was_not_asked_for_is_never_unpacked_and_said(scan: Assess) -> None:
    packed = gzip.compress(b"nginx/1.22.1")
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with Loopback(says(head + packed)) as site:
        result = await _scan(scan, site, "passive")
    assert "compressed" in result.scan.raw["probes"]["version-leak"]


async def test_tls_port_that_speaks_something_else_is_a_failed_scan(scan: Assess) -> None:
    async with Loopback(says(b"")) as site:
        site._serve_one = _greets
        with pytest.raises(ScanFailed):
            await scan(f"https://localhost:{site.port}", timeout="500ms")


async def test_origin_that_floods_is_found_and_not_read(scan: Assess) -> None:
    async with Loopback(says(OK + b"\r\nhello")) as site, Loopback(says(OK + b"\r\n", repeat=b"b" * 65536)) as origin:
        result = await _bounded(lambda: scan(site.url, around=(origin.url,)))
    assert "origin-direct" in {finding.id for finding in result.findings}


async def test_site_that_floods_an_unfinished_request_has_answered_it(scan: Assess) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(4096)
        writer.write(OK + b"Content-Length: 2\r\n\r\nok")
        async for piece in _for_ever(b"x" * 65536 if b"\r\n\r\n" not in head else b""):
            writer.write(piece)
            await writer.drain()

    async with Loopback(serve) as site:
        result = await _bounded(lambda: _scan(scan, site, "active"))
    assert result.scan.raw["probes"]["slow-head"] == "ok"


async def _greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    await reader.read(65536)


async def _scan(scan: Assess, site: Loopback, type: str) -> ScanResult:
    return await scan(site.url, type, timeout="300ms", slow_head="100ms", burst=5)


async def _bounded(run: Callable[[], object]) -> ScanResult:
    """What it gives, within a time that only a hang exceeds, and in bounded memory."""
    tracemalloc.start()
    try:
        async with asyncio.timeout(60):
            result = await run()  # type: ignore[misc]
        assert isinstance(result, ScanResult)
        return result
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_BYTES
