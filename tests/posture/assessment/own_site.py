"""A site to assess: a small HTTP server on asyncio streams, on loopback, whose every weakness is chosen by a test.

`OwnSite()` without arguments has none: all headers, a limit on requests, heads that must come in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

GOOD_HEADERS = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Set-Cookie": "session=1; Secure; HttpOnly; SameSite=Lax",
    "Server": "nginx",
}
_REASONS = {200: "OK", 301: "Moved Permanently", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Behaviour:
    """limit: requests before `limited_status`, None = no limit; head_timeout_s: None = a head may take for ever."""

    headers: dict[str, str] = field(default_factory=lambda: dict(GOOD_HEADERS))
    cookies: tuple[str, ...] = ()
    status: int = 200
    absent_body: str = "<h1>There is no such page</h1>"
    limit: int | None = 12
    limited_status: int = 429
    head_timeout_s: float | None = 0.1

    def but(self, **changes: Any) -> Behaviour:
        return replace(self, **changes)

    def without(self, *names: str) -> Behaviour:
        return self.but(headers={name: value for name, value in self.headers.items() if name not in names})

    def having(self, **headers: str) -> Behaviour:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.but(headers=self.headers | named)


@dataclass(frozen=True)
class Got:
    target: str
    host: str
    user_agent: str
    accept_encoding: str


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Loopback:
    """Serves connections with a coroutine while the `async with` block lasts."""

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        self._serve_one = serve
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._serve_one(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has what it wanted, or the test is over
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


class OwnSite(Loopback):
    """`got`: what was asked, in order."""

    def __init__(self, behaviour: Behaviour | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._connection, tls)
        self.behaviour = behaviour or Behaviour()
        self.got: list[Got] = []

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(self.behaviour.head_timeout_s):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(self._answer(head))
                await writer.drain()

    def _answer(self, head: str) -> bytes:
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        asked = [headers.get(name, "") for name in ("host", "user-agent", "accept-encoding")]
        self.got.append(Got(first.split()[1], *asked))
        status, body = self._status(), self.behaviour.absent_body if "gateway-posture-" in first else "hello"
        pairs = [*self.behaviour.headers.items(), *(("Set-Cookie", cookie) for cookie in self.behaviour.cookies)]
        written = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        return f"HTTP/1.1 {status} {_REASONS[status]}\r\n{written}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def _status(self) -> int:
        over = self.behaviour.limit is not None and len(self.got) > self.behaviour.limit
        return self.behaviour.limited_status if over else self.behaviour.status
