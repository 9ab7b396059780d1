"""One client connection: HTTP/1.1 over an asyncio transport, one user (call or exchange) at a time.

Life: opening -> idle <-> used -> closed. While used, an answer goes through the stages head (0..n interim heads, then
the final one), body, done. A head is held until it is whole, then parsed at once (http/head.py); a body with
Content-Length is counted, a chunked one decoded (http/chunked.py), any other ends with the connection. A head, a body
and an end that arrive together are handed over together, so that they can be relayed with one write.

An answer that cannot be trusted to the last byte (framing, limits, bytes that nobody asked for) costs the connection:
it is closed, never returned to its pool.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from gateway.errors import ChunkedRefused, ResponseRefused
from gateway.http.chunked import ChunkedBody
from gateway.http.head import HEAD_END, parse_response
from gateway.http.message import ResponseHead

if TYPE_CHECKING:
    from gateway.pool.pool import Pool

_HEAD, _BODY, _DONE = 0, 1, 2
_NO_BODY = frozenset({204, 304})  # RFC 9112 6.3
_INTERIM = frozenset({100, 102, 103})  # 101 would switch protocols, which nobody asked for
_INTERIM_MAX = 16
_START = b"HTTP/1."
NEVER = float("inf")


class User(Protocol):
    """Who waits for a connection, and then uses it. Every method is called from the event loop, never re-entrantly
    from within the user's own call of `Pool.acquire`."""

    def on_connected(self, connection: Connection) -> None:
        """A connection is there, exclusively; the user sends."""

    def on_connect_failed(self, reason: str) -> None:
        """None could be had: `connect`, `timeout` or `pool_full`."""

    def on_answer(self, connection: Connection, head: ResponseHead | None, body: bytes, *, ended: bool) -> None:
        """head: of the final answer, once; body: what came of it (may be empty); ended: it is complete, and the user
        calls `release`."""

    def on_interim(self, connection: Connection, head: ResponseHead) -> None:
        """A 1xx head (never 101) before the final one."""

    def on_broken(self, connection: Connection, reason: str) -> None:
        """The answer will not be completed: `reset`, `protocol` or `oversized`. The connection is closed already."""

    def on_blocked(self, *, blocked: bool) -> None:
        """The other side reads too slowly (or again); the user pauses (or resumes) its source."""

    def on_overdue(self, connection: Connection) -> None:
        """The connection's `deadline_s` is over; the user discards it."""


class Connection(asyncio.Protocol):
    __slots__ = (
        "_chunked", "_closed", "_extra", "_held", "_interim_count", "_is_reading", "_left", "_stage", "_to_head",
        "deadline_s", "head", "idle_since_s", "pool", "received", "transport", "use_count", "user", "write_blocked",
    )

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.user: User | None = None
        self.use_count = 0
        self.write_blocked = False
        self.deadline_s = NEVER
        self.idle_since_s = 0.0
        self.head: ResponseHead | None = None
        self.received = False
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._is_reading = True
        self._closed = False
        self._stage = _DONE
        self._held = b""
        self._interim_count = 0
        self._to_head = False
        self._extra = False  # more came than was asked for
        self._left: int | None = None  # bytes of a body with Content-Length that are still to come
        self._chunked: ChunkedBody | None = None

    # what the user does

    def send(self, data: bytes, user: User, *, to_head: bool) -> None:
        """Begin a request. to_head: it is a HEAD, so the answer has no body whatever its head says (RFC 9112 6.3)."""
        self._stage = _HEAD
        self._to_head = to_head
        self._interim_count = 0
        self.received = False
        self.user = user
        self.use_count += 1
        self.transport.write(data)

    @property
    def is_usable(self) -> bool:
        return not self._closed and not self.transport.is_closing()

    def release(self) -> None:
        """The user is done: back to the pool if another request may follow, else closed."""
        self.user = None
        self.deadline_s = NEVER
        if not self._is_reading:
            self.resume_reading()
        head = self.head
        if self._stage == _DONE and not self._extra and head is not None and head.keep_alive and not self._closed:
            self.pool.take_back(self)
        else:
            self.discard()

    def discard(self) -> None:
        """Close at once; what still arrives belongs to nobody."""
        self.user = None
        if not self._closed:
            self._closed = True
            self.transport.abort()
            self.pool.forget(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._closed:
            return
        self._closed = True
        self.pool.forget(self)
        user, self.user = self.user, None
        if user is None:
            return
        if self._stage == _BODY and exc is None and self._left is None and self._chunked is None:
            self._stage = _DONE
            user.on_answer(self, None, b"", ended=True)
        else:
            user.on_broken(self, "reset")

    def write(self, data: bytes) -> None:
        """More of the request's body."""
        self.transport.write(data)

    def pause_reading(self) -> None:
        """Idempotent."""
        if self._is_reading and not self.transport.is_closing():
            self._is_reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Idempotent."""
        if not self._is_reading and not self.transport.is_closing():
            self._is_reading = True
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        """No further request may be sent on it, from this moment on."""
        if self.user is None:
            self.discard()
        return False

    def pause_writing(self) -> None:
        self.write_blocked = True
        if self.user is not None:
            self.user.on_blocked(blocked=True)

    def resume_writing(self) -> None:
        self.write_blocked = False
        if self.user is not None:
            self.user.on_blocked(blocked=False)

    def data_received(self, data: bytes) -> None:
        user = self.user
        if user is None:  # nobody asked for it
            self.discard()
        elif self._stage == _BODY:
            self._take_body(user, None, data)
        elif self._stage == _HEAD:
            self.received = True
            if self._held:
                data, self._held = self._held + data, b""
            self._take_head(user, data)
        else:
            self._extra = True

    def _take_head(self, user: User, data: bytes) -> None:
        """Heads: interim ones (RFC 9110 15.2), at most 16 of them, then the final one with what follows it."""
        while self.user is user:
            end = data.find(HEAD_END) + 4
            if end < 4 or end > self.pool.max_head_bytes:
                self._hold_head(data, max(end, len(data)))
                return
            try:
                head = parse_response(data if end == len(data) else data[:end], self.head)
            except ResponseRefused:
                self._break("protocol")
                return
            data = data[end:]
            if head.status >= 200:
                self._begin_body(user, head, data)
                return
            self._interim_count += 1
            if head.status not in _INTERIM or self._interim_count > _INTERIM_MAX:
                self._break("protocol")
                return
            user.on_interim(self, head)
            if not data:
                return

    def _hold_head(self, data: bytes, size: int) -> None:
        if size > self.pool.max_head_bytes:
            self._break("oversized")
        elif not data.startswith(_START[: len(data)]):
            self._break("protocol")
        else:
            self._held = data

    def _begin_body(self, user: User, head: ResponseHead, data: bytes) -> None:
        self.head = head
        if len(head.headers) > self.pool.max_headers:
            self._break("oversized")
            return
        self._chunked = None
        self._left = head.content_length
        if self._to_head or head.status in _NO_BODY:
            self._left = 0
        elif head.chunked:
            self._chunked = ChunkedBody(self.pool.max_head_bytes)
        self._stage = _BODY
        self._take_body(user, head, data)

    def _take_body(self, user: User, head: ResponseHead | None, data: bytes) -> None:
        if self._left is not None:
            if len(data) > self._left:
                self._extra = True
                data = data[: self._left]
            self._left -= len(data)
            if not self._left:
                self._stage = _DONE
        elif self._chunked is not None and data:
            try:
                data, rest = self._chunked.feed(data)
            except ChunkedRefused:
                self._break("protocol")
                return
            if self._chunked.ended:
                self._stage = _DONE
                self._extra = bool(rest)
        ended = self._stage == _DONE
        if head is not None or data or ended:
            user.on_answer(self, head, data, ended=ended)

    def _break(self, reason: str) -> None:
        user = self.user
        self.discard()
        if user is not None:
            user.on_broken(self, reason)
