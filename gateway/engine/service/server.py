"""The HTTP side of the engine: `POST [any prefix]/validate-request`, and the operator's paths beside it.

What clients can rely on:
- HTTP/1.1 and 1.0, over TCP, TLS or a Unix socket; connections are kept; pipelined calls are answered in order, equal
  ones in as few writes as possible. Heads and bodies are framed as strictly as at the gateway's own listeners.
- A body is read up to wire.MAX_BODY_BYTES (operators': 64 KiB), a declared longer one not at all (413). `Expect:
  100-continue` is met. A compressed body is refused (415), not unpacked.
- What is no call gets 404, 405 or 415, and the connection goes on. What is no HTTP gets 400, 408, 413, 417, 431 or 501,
  and the connection is closed after it.
- Every wait and every size has a bound (service/limits.py). Who is over one gets an answer that says so, where one can
  still be read.
- Nothing that one call does ends another one or the process: a judgement that fails is 500, which every module lets
  pass, and one log line.

The work of a connection is in service/connection.py. Deadlines are held against the clock by one sweep over all
connections (0.06 us each), not by a timer per call.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
import traceback
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Protocol

from gateway import logs
from gateway.engine.answer import Answer, answer_refusal
from gateway.engine.api import Call
from gateway.engine.service.connection import CallConnection
from gateway.engine.service.limits import Limits
from gateway.engine.service.reply import write_answer
from gateway.engine.service.route import OperatorRequest

BACKLOG = 1024
TLS_SHUTDOWN_S = 1.0
TRACE_CHARACTERS = 4000

Operator = Callable[[OperatorRequest], Awaitable[tuple[int, str, bytes]]]
"""Answers the operator's paths: (status, Content-Type, body). Not on the fast path: one task per request."""


class Responder(Protocol):
    """Who judges calls: gateway.engine.api.ProtectionApi."""

    def respond(self, call: Call) -> Answer | Awaitable[Answer]:
        """At once, or something to await that ends within a bound of its own."""


class ApiServer:
    """Serves one Responder, which may be replaced between two calls by assignment to `api`.

    operator: who answers /healthz, /metrics and /engine/...; None = nobody (404).
    """

    def __init__(self, api: Responder, operator: Operator | None = None, limits: Limits | None = None) -> None:
        """Needs a running event loop."""
        self.api = api
        self.operator = operator
        self.limits = limits or Limits()
        self.loop = asyncio.get_running_loop()
        self.draining = False
        self.connections: set[CallConnection] = set()
        self._waiting: set[asyncio.Task[None]] = set()
        self._listening: list[asyncio.Server] = []
        self._emptied = asyncio.Event()
        self._own_lines = b""
        self._own_lines_s = 0
        self._errors = logs.RateLimited(logs.get("engine"), 10.0)
        self._tick: asyncio.TimerHandle | None = None

    async def listen(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on a bound socket, which is closed with the server."""
        listen = self.loop.create_unix_server if sock.family == socket.AF_UNIX else self.loop.create_server
        server = await listen(
            lambda: CallConnection(self), sock=sock, ssl=tls, backlog=BACKLOG,
            ssl_handshake_timeout=self.limits.head_s if tls else None,
            ssl_shutdown_timeout=TLS_SHUTDOWN_S if tls else None,
        )  # fmt: skip
        self._listening.append(server)
        if self._tick is None:
            self._sweep()

    async def drain(self, timeout_s: float) -> None:
        """Accept no more, close idle connections, finish the calls in flight (they are told `Connection: close`) for at
        most timeout_s, then cut off what is left."""
        self.draining = True
        for server in self._listening:
            server.close()
        await asyncio.sleep(0)  # what has reached us in this turn of the loop is in flight
        for connection in list(self.connections):
            connection.drain()
        if self.connections or self._waiting:
            with contextlib.suppress(TimeoutError):  # they had their time
                async with asyncio.timeout(timeout_s):
                    await self._emptied.wait()
        await self._stop()

    async def _stop(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        for connection in list(self.connections):
            connection.abort()
        waiting = list(self._waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for server in self._listening:
            await server.wait_closed()

    # what connections call

    def admit(self, connection: CallConnection) -> bool:
        """Count a new connection; False if there are too many (it gets 503 and closes)."""
        self.connections.add(connection)
        return len(self.connections) <= self.limits.connections

    def forget(self, connection: CallConnection) -> None:
        self.connections.discard(connection)
        self._note_end()

    def respond(self, call: Call) -> Answer | Awaitable[Answer]:
        """The api's answer; 500 if it fails, which is a defect of ours."""
        try:
            return self.api.respond(call)
        except Exception as error:
            return self._failed(error)

    async def operate(self, request: OperatorRequest) -> Answer:
        """The operator's answer."""
        assert self.operator is not None, "no operator, no route to it"
        status, content_type, body = await self.operator(request)
        return Answer(status, [("Content-Type", content_type), ("Cache-Control", "no-store")], body)

    def wait_for(self, answer: Awaitable[Answer], then: Callable[[Answer], None]) -> None:
        """Call `then` with the answer when it is there. The one task of a call that has to wait."""
        task = self.loop.create_task(self._wait_for(answer, then))
        self._waiting.add(task)
        task.add_done_callback(self._on_waited)

    def write(self, answer: Answer, *, to_head: bool, keep_alive: bool, minor_version: int) -> bytes:
        """The answer's bytes; 500 if it cannot be written."""
        try:
            return write_answer(
                answer, self._own_lines, to_head=to_head, keep_alive=keep_alive, minor_version=minor_version)
        except Exception as error:
            failed = self._failed(error)
            return write_answer(
                failed, self._own_lines, to_head=to_head, keep_alive=keep_alive, minor_version=minor_version)

    async def _wait_for(self, answer: Awaitable[Answer], then: Callable[[Answer], None]) -> None:
        try:
            came = await answer
        except Exception as error:
            came = self._failed(error)
        then(came)

    def _on_waited(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        self._note_end()

    def _note_end(self) -> None:
        if self.draining and not self.connections and not self._waiting:
            self._emptied.set()

    def _failed(self, error: Exception) -> Answer:
        trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:]
        self._errors.error(type(error), "a call could not be answered", error=type(error).__name__, trace=trace)
        return answer_refusal(500, "the engine failed at this call; its log says why")

    # the clock

    def _sweep(self) -> None:
        """Hold every connection's deadline against the clock."""
        self._tick = self.loop.call_later(self.limits.sweep_s, self._sweep)
        now_s = self.loop.time()
        for connection in [one for one in self.connections if one.deadline_s <= now_s]:
            connection.on_deadline()
        wall_s = int(time.time())
        if wall_s != self._own_lines_s:
            self._own_lines_s = wall_s
            self._own_lines = b"Server: protection-gateway\r\nDate: %b\r\n" % formatdate(wall_s, usegmt=True).encode()
