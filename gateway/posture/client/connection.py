"""The connection of one call: made for it, and gone with it.

aiohttp does the HTTP. What it does of its own accord and nobody could count or wait for is taken from it: a GET that is
sent again, the farewell of TLS, and proxies, cookies and accounts that are not ours.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import aiohttp
from aiohttp.resolver import ThreadedResolver

_CHUNK = 64 * 1024
_TURNS = 20
"""Of the event loop, after which it has surely noticed that a socket was shut down; 2 to 4 do."""


class ConnectionLost(Exception):
    """In the place of an error of the HTTP client after which it would repeat a GET of its own accord, uncounted."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@asynccontextmanager
async def open_session(tls: ssl.SSLContext | bool, timeout_s: float) -> AsyncIterator[aiohttp.ClientSession]:
    """For one call, whose connection is closed when it is over. tls: True = the system's authorities.

    `connected` of the object that the call gives as `trace_request_ctx` becomes true once there is a connection, the
    TLS handshake included. A call raises ConnectionLost besides what aiohttp documents.
    """
    sockets: list[socket.socket] = []
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_note_connected)
    connector = aiohttp.TCPConnector(
        ssl=tls, force_close=True, resolver=ThreadedResolver(), use_dns_cache=False,
        socket_factory=lambda address: _socket(address, sockets),
    )  # fmt: skip
    session = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[trace], raise_for_status=False,
        timeout=aiohttp.ClientTimeout(total=timeout_s), middlewares=(_without_repeating,),
    )  # fmt: skip
    try:
        async with session:
            yield session
    finally:
        await _hang_up(sockets)


async def read_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, or a little more than `most` bytes of it."""
    pieces, size = [], 0
    async for piece in response.content.iter_chunked(_CHUNK):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            break
    return b"".join(pieces)


def reason_of(error: BaseException) -> str:
    """The innermost reason, in at most 200 characters of one line."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    number = getattr(inner, "errno", None)
    known = os.strerror(number) if isinstance(number, int) and number > 0 and isinstance(inner, ConnectionError) else ""
    text = known or getattr(inner, "strerror", None) or getattr(inner, "verify_message", None) or str(inner)
    return " ".join(str(text or type(inner).__name__).split())[:200]


def loss_of(error: Exception) -> str:
    """How far the answer came."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed before the answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer is not complete, or cannot be decoded"
    return reason_of(error)


async def _without_repeating(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLost(error) from None


def _socket(address: aiohttp.AddrInfoType, opened: list[socket.socket]) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    opened.append(made)
    return made


async def _hang_up(sockets: list[socket.socket]) -> None:
    """Of a TLS connection the HTTP client leaves the farewell to the event loop, which waits up to 30 s for the other
    side's, and one in its handshake uvloop keeps for 60 s. What was wanted has come, or will not: both ways end now,
    and the loop turns until it has noticed."""
    for made in sockets:
        with suppress(OSError):  # closed already
            made.shutdown(socket.SHUT_RDWR)
    for _ in range(_TURNS):
        if all(made.fileno() == -1 for made in sockets):
            return
        await asyncio.sleep(0)


async def _note_connected(session: object, context: SimpleNamespace, parameters: object) -> None:
    context.trace_request_ctx.connected = True
