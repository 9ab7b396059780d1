"""One client connection: HTTP/1.1 over an asyncio transport, one user (call or exchange) at a time.

Life: opening -> idle <-> used -> closed. While used, an answer goes through the stages head (0..n interim heads, then the
final one), body, done. httptools calls back while it is fed; the callbacks only note what came, and after each feed the
user gets it in one call, so that a head, a body and an end that arrive together are relayed with one write.

An answer that cannot be trusted to the last byte (framing, limits, bytes that nobody asked for) costs the connection:
it is closed, never returned to its pool.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from gateway.errors import ResponseRefused
from gateway.http.framing import check_response_head
from gateway.http.message import Headers

if TYPE_CHECKING:
    from gateway.pool.pool import Pool

_HEAD, _BODY, _DONE = 0, 1, 2
_VERSIONS = (b"HTTP/1.1 ", b"HTTP/1.0 ")
NEVER = float("inf")


class User(Protocol):
    """Who waits for a connection, and then uses it. Every method is called from the event loop, never re-entrantly
    from within the user's own call of `Pool.acquire`."""

    def on_connected(self, connection: Connection) -> None:
        """A connection is there, exclusively; the user sends."""

    def on_connect_failed(self, reason: str) -> None:
        """None could be had: `connect`, `timeout` or `pool_full`."""

    def on_answer(self, connection: Connection, *, head: bool, body: bytes, ended: bool) -> None:
        """head: status, headers and framing are now set on the connection; body: what came of it (may be empty);
        ended: it is complete, and the user calls `release`."""

    def on_interim(self, connection: Connection, status: int, headers: Headers) -> None:
        """A 1xx head (never 101) before the final one."""

    def on_broken(self, connection: Connection, reason: str) -> None:
        """The answer will not be completed: `reset`, `protocol` or `oversized`. The connection is closed already."""

    def on_blocked(self, *, blocked: bool) -> None:
        """The other side reads too slowly (or again); the user pauses (or resumes) its source."""

    def on_overdue(self, connection: Connection) -> None:
        """The connection's `deadline_s` is over; the user discards it."""


class Connection(asyncio.Protocol):
    __slots__ = (
        "_chunks", "_closed", "_error", "_extra", "_interim", "_interims", "_is_reading", "_new_head", "_overhead_bytes", "_parser",
        "_stage", "_to_head", "_version_known", "chunked", "content_length", "deadline_s", "fields", "headers", "idle_since_s",
        "keep_alive", "on_body", "pool", "received", "status", "transport", "use_count", "user",
        "write_blocked",
    )

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.user: User | None = None
        self.use_count = 0
        self.write_blocked = False
        self._is_reading = True
        self.deadline_s = NEVER
        self.idle_since_s = 0.0
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._chunks: list[bytes] = []
        self.on_body = self._chunks.append  # called by the parser: C to C
        self._parser = httptools.HttpResponseParser(self)
        self._closed = False
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.fields: dict[bytes, bytes] = {}
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = False
        self.received = False
        self._stage = _HEAD
        self._version_known = False
        self._overhead_bytes = 0
        self._new_head = self._interim = self._extra = self._to_head = False
        self._interims: list[tuple[int, Headers]] | None = None
        self._error = ""

    # what the user does

    def send(self, data: bytes, user: User, *, to_head: bool) -> None:
        """Begin a request. to_head: it is a HEAD, so the answer has no body whatever its head says (RFC 9112 6.3)."""
        self._reset()
        self._to_head = to_head
        self.user = user
        self.use_count += 1
        self.transport.write(data)

    @property
    def is_usable(self) -> bool:
        return not self._closed and not self.transport.is_closing()

    @property
    def is_framed(self) -> bool:
        """Whether the answer says itself where it ends; if not, the end of the connection does."""
        return self.chunked or self.content_length is not None or self._to_head or self.status in (204, 304)

    def release(self) -> None:
        """The user is done: back to the pool if another request may follow, else closed."""
        self.user = None
        self.deadline_s = NEVER
        self.resume_reading()
        if self._stage == _DONE and self.keep_alive and not self._extra and self.is_usable:
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
        if self._stage == _BODY and exc is None and not self.is_framed:
            self._stage = _DONE
            user.on_answer(self, head=False, body=b"", ended=True)
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
            return
        if not self.received:
            self.received = True
            self._version_known = data.startswith(_VERSIONS)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._error = self._error or "protocol"
        except httptools.HttpParserError:
            # After a complete answer the error is about bytes that nobody asked for: the answer stands.
            if self._stage != _DONE:
                self._error = self._error or "protocol"
            self._extra = True
        if self._error:
            self._break(self._error)
            return
        if self._new_head or not self._chunks:
            self._overhead_bytes += len(data)
            if self._overhead_bytes > self.pool.max_head_bytes and self._is_oversized():
                self._break("oversized")
                return
        else:
            self._overhead_bytes = 0
        self._hand_over(user)

    def _is_oversized(self) -> bool:
        """Exactly, where the bytes counted so far may include some of a body: of a head that is complete, its lines."""
        if not self._new_head:
            return self._stage != _DONE
        self._overhead_bytes = 0
        return sum(len(name) + len(value) + 4 for name, value in self.headers) > self.pool.max_head_bytes

    def _hand_over(self, user: User) -> None:
        if self._interims is not None:
            interims, self._interims = self._interims, None
            for status, headers in interims:
                user.on_interim(self, status, headers)
        head, self._new_head = self._new_head, False
        chunks = self._chunks
        body = b""
        if chunks:
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            chunks.clear()
            if self._to_head:  # a body where none may be: it goes, and so does the connection
                self._extra = True
                body = b""
        if self.user is user and (head or body or self._stage == _DONE):
            user.on_answer(self, head=head, body=body, ended=self._stage == _DONE)

    def _break(self, reason: str) -> None:
        user = self.user
        self.discard()
        if user is not None:
            user.on_broken(self, reason)

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage == _HEAD:
            self.headers.append((name.lower(), value.rstrip(b" \t")))
        elif self._stage == _DONE:
            self._extra = True
        # trailers (_BODY) go no further: they could pass for headers

    def on_headers_complete(self) -> None:
        parser = self._parser
        if self._stage != _HEAD:
            self._extra = True
            return
        status = parser.get_status_code()
        if status < 200:
            self._note_interim(status)
            return
        self.status = status
        try:
            self.fields, self.content_length, self.chunked = check_response_head(status, self.headers)
        except ResponseRefused:
            self._error = "protocol"
        if not self._version_known and parser.get_http_version() not in ("1.1", "1.0"):
            self._error = "protocol"
        if len(self.headers) > self.pool.max_headers:
            self._error = "oversized"
        self.keep_alive = parser.should_keep_alive()
        self._new_head = True
        self._stage = _BODY
        if self._to_head:
            self._stage = _DONE
            self._parser = httptools.HttpResponseParser(self)  # the old one waits for a body that will not come

    def _note_interim(self, status: int) -> None:
        if status == 101 or status < 100:
            self._error = "protocol"
        if self._interims is None:
            self._interims = []
        self._interims.append((status, self.headers))
        self._version_known = False
        self.headers = []
        self._interim = True

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self._stage = _DONE
