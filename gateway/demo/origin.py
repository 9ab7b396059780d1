"""The sample origin: a small web site that shows what reached it.

`/` explains what the gateway did and lists the received headers; `/api/echo` says the same as JSON; `/upload` takes a
body of any size and answers with its size and digest; `/download?bytes=N` sends N bytes of a fixed pattern;
`/style.css` is a static file. It runs in a thread with an event loop of its own: it cannot outlive the demo.
"""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import socket
import string
import threading
from importlib import resources
from types import TracebackType

from aiohttp import web

DOWNLOAD_LIMIT_BYTES = 1024**3
"""The most that /download sends; above it the answer is 400."""

ECHO_LIMIT_BYTES = 1024**2
"""The largest body that /api/echo reads (aiohttp answers 413 past it); /upload has no limit, it keeps nothing."""

PATTERN = bytes(range(256)) * 256
"""What /download repeats: 64 KiB of the numbers 0 to 255, over and over."""

ADDED_BY_PROTECTION = "x-datadome-"
ADDED_BY_GATEWAY = frozenset({"via", "x-request-id", "x-real-ip"})
ADDED_BY_GATEWAY_PREFIX = "x-forwarded-"

STYLE = """\
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #1a7f37; }
body { font: 16px/1.55 system-ui, sans-serif; margin: 3rem auto; max-width: 46rem; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
.verdict { border-left: .3rem solid var(--good); background: var(--soft); padding: .7rem 1rem; }
.verdict.past { border-color: #b35900; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
td, th { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; } td:first-child, code, pre { font-family: ui-monospace, monospace; white-space: nowrap; }
.protection td { background: #1a7f3722; } .gateway td { background: #0969da1c; }
.key span { padding: .1rem .5rem; border-radius: .3rem; font-size: .85rem; }
.key .protection { background: #1a7f3733; } .key .gateway { background: #0969da2e; }
"""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

THROUGH_GATEWAY = """\
<p class="verdict"><strong>Allowed.</strong> Before this request came here, the gateway described it to the protection
API, which judged it to be a person with a browser.</p>"""

PAST_GATEWAY = """\
<p class="verdict past"><strong>Not protected.</strong> This request came to the origin directly, past the gateway:
none of the gateway's headers are here.</p>"""


def header_origin(name: str) -> str:
    """Who put a header there, as a CSS class: "protection", "gateway" or "" (the client)."""
    lowered = name.lower()
    if lowered.startswith(ADDED_BY_PROTECTION):
        return "protection"
    if lowered in ADDED_BY_GATEWAY or lowered.startswith(ADDED_BY_GATEWAY_PREFIX):
        return "gateway"
    return ""


def render_page(template: string.Template, headers: list[tuple[str, str]]) -> str:
    """The page at / for these received headers, in the order of arrival."""
    rows = "\n".join(
        f'<tr class="{header_origin(name)}"><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>'
        for name, value in headers
    )
    through_gateway = any(name.lower() == "via" for name, _ in headers)
    return template.substitute(rows=rows, verdict=THROUGH_GATEWAY if through_gateway else PAST_GATEWAY)


def pattern_piece(offset: int, size_bytes: int) -> bytes:
    """At most one PATTERN of what /download sends from `offset`, and never more than `size_bytes`."""
    start = offset % len(PATTERN)
    return PATTERN[start : start + size_bytes]


class SampleSite:
    """The handlers. Stateless but for the page's template."""

    def __init__(self) -> None:
        self._page = string.Template(resources.files(__package__).joinpath("page.html").read_text("utf-8"))

    def application(self) -> web.Application:
        app = web.Application(client_max_size=ECHO_LIMIT_BYTES)
        app.add_routes(
            [
                web.get("/", self.page),
                web.get("/challenge", self.page),
                web.get("/style.css", self.style),
                web.get("/favicon.ico", self.no_icon),
                web.get("/api/echo", self.echo),
                web.post("/api/echo", self.echo),
                web.post("/upload", self.upload),
                web.put("/upload", self.upload),
                web.get("/download", self.download),
            ]
        )
        return app

    async def page(self, request: web.Request) -> web.Response:
        text = render_page(self._page, list(request.headers.items()))
        headers = {"Cache-Control": "no-store", **SECURITY_HEADERS}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def style(self, _request: web.Request) -> web.Response:
        return web.Response(text=STYLE, content_type="text/css", headers={"Cache-Control": "max-age=60"})

    async def no_icon(self, _request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def echo(self, request: web.Request) -> web.Response:
        body = await request.read()
        return web.json_response(
            {
                "method": request.method,
                "target": request.raw_path,
                "headers": [[name, value] for name, value in request.headers.items()],
                "body_bytes": len(body),
                "body_sha256": hashlib.sha256(body).hexdigest(),
                "json": _json_or_none(request.content_type, body),
            },
            headers={"Cache-Control": "no-store"},
        )

    async def upload(self, request: web.Request) -> web.Response:
        digest, size_bytes = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size_bytes += len(chunk)
        return web.json_response({"bytes": size_bytes, "sha256": digest.hexdigest()})

    async def download(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("bytes", "1048576")
        if not (wanted.isascii() and wanted.isdigit()) or len(wanted) > 10 or int(wanted) > DOWNLOAD_LIMIT_BYTES:
            return web.Response(status=400, text=f"bytes must be a number from 0 to {DOWNLOAD_LIMIT_BYTES}\n")
        size_bytes = int(wanted)
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = size_bytes
        await response.prepare(request)
        for offset in range(0, size_bytes, len(PATTERN)):
            await response.write(pattern_piece(offset, size_bytes - offset))
        await response.write_eof()
        return response


def _json_or_none(content_type: str, body: bytes) -> object:
    if content_type != "application/json":
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None  # the echo of a body that is not what it says is its size and digest


class SampleOrigin:
    """The sample site on a free loopback port while the `with` block lasts; `port` says which."""

    port: int

    def __enter__(self) -> SampleOrigin:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="sample-origin", daemon=True)
        self._thread.start()  # the socket listens already: whoever connects before the thread serves waits
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        # Keep-alive for longer than a gateway keeps an idle connection, so that the gateway is the one who closes.
        runner = web.AppRunner(
            SampleSite().application(), access_log=None, handle_signals=False, keepalive_timeout=75, shutdown_timeout=1
        )
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        await self._stopped.wait()
        await runner.cleanup()
