"""Fixtures of the look-ups' tests: a real name server and a real web server, both on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web
from engine.lookup.name_server import NameServer
from engine.lookup.web_server import WebServer


@pytest.fixture
async def name_server() -> AsyncIterator[NameServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    yield server
    transport.close()


@pytest.fixture
async def web_server() -> AsyncIterator[WebServer]:
    async for server in _serve(None):
        yield server


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    """Of a client that knows the authority of `tls_server`."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def tls_server(authority: trustme.CA) -> AsyncIterator[WebServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async for server in _serve(context):
        yield server


async def _serve(tls: ssl.SSLContext | None) -> AsyncIterator[WebServer]:
    server = WebServer()
    application = web.Application()
    application.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    yield server
    await runner.cleanup()
