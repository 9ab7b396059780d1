"""A connection of the receiver: aiohttp's, but quiet. What aiohttp says of a request that it cannot read quotes it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import web

from gateway import logs

HEADERS = {"Server": "gateway", "Cache-Control": "no-store"}
RETRY_AFTER_S = 5
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: gateway\r\nRetry-After: %d\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
) % RETRY_AFTER_S

log = logs.get("posture.receiver")


class Connection(web.RequestHandler):
    """One connection; `web.Server` is its manager."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what is no HTTP request; nothing of it is repeated. Or to a request that met a defect:
        its kind alone is logged. The connection ends."""
        if status >= 500:
            log.error("request failed", error=type(exc).__name__)
        response = web.Response(status=status, headers=HEADERS)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """A defect: its kind alone, because its text could quote a body."""
        log.error("connection failed", error=type(kw.get("exc_info")).__name__)


class Busy(asyncio.Protocol):
    """A connection over the limit: 503 and the end, whatever it asks for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writing = cast(asyncio.Transport, transport)
        writing.write(_BUSY)
        writing.close()
