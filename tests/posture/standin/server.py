"""What the stand-ins of the scanning platforms share: a real HTTP server in a thread of its own, on loopback.

A stand-in refuses whatever its platform's document does not have, and notes it in `undocumented`, which a test (or the
fixture) asserts to be empty. Faults are scripted: `server.script(Fault(status=503), Fault(drop=True))` meets the next
calls, one each, before the platform's own behaviour.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Handle = Callable[[web.Request, bytes], Awaitable[web.StreamResponse] | web.StreamResponse]


@dataclass(frozen=True)
class Received:
    """A call as it came. path: without the base URL's; query: as parsed; headers: names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Fault:
    """What the next call gets instead. `path`: only a call of this path takes it; `after`: the platform does its work
    first, and only its answer is replaced. drop: the connection is closed without an answer; hang: no answer until the
    server stops; garbage: bytes that are no HTTP."""

    status: int = 500
    body: bytes = b'{"error": {"code": "internal_error", "message": "scripted", "details": {}}}'
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    drop: bool = False
    hang: bool = False
    garbage: bytes = b""
    path: str = ""
    after: bool = False


class StandIn:
    """Subclasses implement `answer`. `base`: the path of the base URL, such as "/v1". With `tls`, HTTPS."""

    def __init__(self, base: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.base = base
        self.calls: list[Received] = []
        self.undocumented: list[str] = []
        self._faults: deque[Fault] = deque()
        self._tls = tls
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        """The base URL that a client is configured with."""
        return f"{'https' if self._tls else 'http'}://localhost:{self._port}{self.base}"

    @property
    def port(self) -> int:
        return self._port

    def script(self, *faults: Fault) -> None:
        """The next calls meet these, one each."""
        self._faults.extend(faults)

    def paths(self) -> list[str]:
        """`METHOD /path` of every call, in order."""
        return [f"{call.method} {call.path}" for call in self.calls]

    async def answer(self, call: Received) -> web.StreamResponse:
        """The platform's own answer. Use `refuse_undocumented` for what the document does not have."""
        raise NotImplementedError

    def refuse_undocumented(self, what: str, status: int = 400) -> web.Response:
        """Note a call that the document does not have, and refuse it."""
        self.undocumented.append(what)
        body = {"error": {"code": "undocumented", "message": what, "details": {}}}
        return web.json_response(body, status=status)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the stand-in did not start"
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "localhost", 0, ssl_context=self._tls)
        await site.start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        path = request.rel_url.raw_path
        call = Received(
            request.method, path.removeprefix(self.base), dict(request.query),
            {name.lower(): value for name, value in request.headers.items()}, body,
        )  # fmt: skip
        self.calls.append(call)
        if self.base and not path.startswith(self.base + "/"):
            return self.refuse_undocumented(f"{request.method} {path}", 404)
        fault = self._fault_for(call)
        if fault is None:
            return await self.answer(call)
        if fault.after:
            await self.answer(call)
        return await self._play(fault, request)

    def _fault_for(self, call: Received) -> Fault | None:
        for fault in self._faults:
            if fault.path in ("", call.path):
                self._faults.remove(fault)
                return fault
        return None

    async def _play(self, fault: Fault, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None and self._stop is not None
        if fault.drop or fault.garbage:
            request.transport.write(fault.garbage)
            request.transport.close()
        if fault.hang:
            await self._stop.wait()
        headers = {"Content-Type": fault.content_type, **fault.headers}
        return web.Response(status=fault.status, body=fault.body, headers=headers)
