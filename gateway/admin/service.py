"""The admin service: aiohttp on its own address, in the supervisor, away from the traffic.

| path | answers |
|---|---|
| `/` | the dashboard, one self-contained page |
| `/healthz` | 200 while the process lives |
| `/readyz` | 200 while traffic can be served, failing open included; 503 only while starting and draining; JSON body |
| `/metrics` | Prometheus text, all processes summed, fresh: every process is asked first |
| `/status.json` | what the dashboard shows, as fresh |
| `/config` | the configuration in force as YAML, secrets redacted |

GET and HEAD only. With `admin.token` set, everything but `/healthz`, `/readyz` and the page itself (which holds no data
and asks for the token) wants it. No CORS header is ever sent, so no other site's script can read an answer.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, Literal, Protocol

import orjson
import yaml
from aiohttp import http_parser, web

from gateway import logs
from gateway.admin.access import accepted_hosts, host_is_accepted, token_is_right
from gateway.admin.status import figures
from gateway.config import Config
from gateway.config.address import Address
from gateway.errors import GatewayError
from gateway.metrics import Totals

FRESH_WITHIN_S = 0.3  # how long a scrape waits for the processes; who is later is shown as of its last report
SHUTDOWN_TIMEOUT_S = 1.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})

log = logs.get("admin")

State = Literal["starting", "running", "draining"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway(Protocol):
    """What the admin service shows; the supervisor is one."""

    @property
    def config(self) -> Config: ...

    @property
    def totals(self) -> Totals: ...

    @property
    def state(self) -> State: ...

    async def refresh(self, timeout_s: float) -> None:
        """Ask every process for its counts, wait at most so long."""

    def degraded(self) -> list[dict[str, Any]]:
        """What does not work as configured, as `{"part", "reason", "processes"}`; empty if all is well."""

    def status(self) -> dict[str, Any]:
        """Version, uptime, processes, the last reload and the engine's socket, for /status.json."""


class AdminService:
    """The service on one socket, which is bound to `address`."""

    def __init__(self, gateway: Gateway, address: Address) -> None:
        self._gateway = gateway
        self._accepted_hosts = accepted_hosts(address)
        self._page, self._page_policy = _load_page()
        app = web.Application(middlewares=[self._guard], client_max_size=1024)
        app.add_routes(
            [
                web.get("/", self._dashboard),
                web.get("/healthz", self._health),
                web.get("/readyz", self._readiness),
                web.get("/metrics", self._metrics),
                web.get("/status.json", self._status),
                web.get("/config", self._config),
            ]
        )
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S, keepalive_timeout=15
        )

    async def start(self, sock: socket.socket) -> None:
        """Serve on a bound socket, which is closed with the service. Raises GatewayError without aiohttp's C parser."""
        assert_c_parser()
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()

    async def close(self) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = self._refusal(request)
        if response is None:
            try:
                response = await handler(request)
            except web.HTTPException as error:  # 404 and 405 of the router
                response = _text(error.status, error.reason, error.headers)
            except Exception:
                log.exception("admin request failed", path=request.path[:100])
                response = _text(500, "Internal Server Error")
        response.headers.update(_SECURITY_HEADERS)
        return response

    def _refusal(self, request: web.Request) -> web.StreamResponse | None:
        if not host_is_accepted(request.headers.get("Host"), self._accepted_hosts):
            return _text(421, "This address does not answer to that Host.")
        if request.method not in ("GET", "HEAD"):
            return _text(405, "GET and HEAD only.", {"Allow": "GET, HEAD"})
        token = self._gateway.config.admin.token
        if token is None or request.path in OPEN_PATHS:
            return None
        if token_is_right(request.headers.get("Authorization"), token.get_secret_value()):
            return None
        return _text(401, "A bearer token is needed.", {"WWW-Authenticate": 'Bearer realm="gateway admin"'})

    async def _dashboard(self, request: web.Request) -> web.StreamResponse:
        headers = {"Content-Security-Policy": self._page_policy}
        return web.Response(body=self._page, content_type="text/html", charset="utf-8", headers=headers)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return _json({"status": "ok"})

    async def _readiness(self, request: web.Request) -> web.StreamResponse:
        state = self._gateway.state
        ready = state == "running"
        body = {"status": "ready" if ready else state, "degraded": self._gateway.degraded()}
        return _json(body, 200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        await self._gateway.refresh(FRESH_WITHIN_S)
        return web.Response(body=self._gateway.totals.expose(), headers={"Content-Type": METRICS_TYPE})

    async def _status(self, request: web.Request) -> web.StreamResponse:
        gateway = self._gateway
        await gateway.refresh(FRESH_WITHIN_S)
        status, counted = gateway.status(), figures(gateway.totals)
        counted["engine"] = status.get("engine", {}) | counted["engine"]
        return _json(status | {"state": gateway.state, "degraded": gateway.degraded()} | counted)

    async def _config(self, request: web.Request) -> web.StreamResponse:
        text = yaml.safe_dump(self._gateway.config.dump(), sort_keys=False, allow_unicode=True)
        return web.Response(text=text, content_type="application/yaml")


_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "gateway",
}


def assert_c_parser() -> None:
    """Raise GatewayError if aiohttp runs on its Python parser: slower by far, and laxer in what it takes as HTTP."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise GatewayError("aiohttp was installed without its C parser: reinstall it from a wheel, or with a compiler")


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _text(status: int, text: str, headers: Any = None) -> web.Response:
    kept = {name: value for name, value in (headers or {}).items() if name in ("Allow", "WWW-Authenticate")}
    return web.Response(text=f"{text}\n", status=status, headers=kept)


def _load_page() -> tuple[bytes, str]:
    """The page and its Content-Security-Policy, which allows the page's own script and style by their hashes alone."""
    page = resources.files("gateway.admin").joinpath("dashboard.html").read_bytes()
    policy = (
        f"default-src 'none'; script-src {_hashes(page, b'script')}; style-src {_hashes(page, b'style')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hashes(page: bytes, tag: bytes) -> str:
    blocks = re.findall(b"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(block).digest()).decode()}'" for block in blocks)
