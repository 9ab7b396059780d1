"""Active health checks: asks each server of an origin regularly (`health.active`); a failed one gets no requests."""

from __future__ import annotations

import asyncio

from gateway.config import ActiveHealth
from gateway.errors import NoAnswer
from gateway.logs import get
from gateway.origin.server import OriginServer
from gateway.pool.question import ask_once

_log = get("origin")


async def watch(server: OriginServer, settings: ActiveHealth) -> None:
    """Ask until cancelled; any 2xx or 3xx is healthy. A change is logged once."""
    message = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: gateway-health\r\nConnection: close\r\n\r\n" % (
        settings.path.encode(), server.pool.address.authority.encode())
    while True:
        found = await _ask(server, message, settings.timeout)
        if (found == "") is not server.active_ok:
            server.active_ok = found == ""
            _log.warning("origin server's health changed", server=server.name, healthy=server.active_ok, found=found)
        await asyncio.sleep(settings.interval)


async def _ask(server: OriginServer, message: bytes, timeout_s: float) -> str:
    """"" if healthy, else why not."""
    try:
        answer = await ask_once(server.pool, message, timeout_s)
    except NoAnswer as error:
        return error.reason
    return "" if 200 <= answer.status < 400 else f"status {answer.status}"
