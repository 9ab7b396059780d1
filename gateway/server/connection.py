"""One downstream connection: bytes -> heads and bodies, in order, bounded.

Theory of operation. A head is parsed when it is there as a whole (http/head.py): until then its bytes are held, at
most `request_head_bytes` of them. A body with Content-Length is cut out by counting, a chunked one by http/chunked.py,
so the next head begins exactly where the message ends.

Stages: PROXY (PROXY protocol header) -> HEAD <-> LENGTH | CHUNKED -> ... -> DEAF: nothing that still comes is looked at
(after a refusal, after `Connection: close`, while lingering).

Requests that arrive while an exchange is under way wait in `_queue`, at most `pipelined_requests` of them; then the
connection is not read any more. Answers go out in order because one exchange runs at a time. Reading also stops while a
body waits for its decision or for an origin that is slower than the client: the rest stays in the kernel.

Every wait has a deadline: `deadline_s`, which the server's sweep holds against the clock (loop time, seconds).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, cast

from gateway.errors import ChunkedRefused, ProxyHeaderRefused, RequestRefused
from gateway.http.chunked import ChunkedBody
from gateway.http.client_address import Client, Peer
from gateway.http.head import HEAD_END, parse_request
from gateway.http.message import RequestHead
from gateway.http.proxy_protocol import parse_proxy_header
from gateway.pool.connection import NEVER
from gateway.server.exchange import Exchange

if TYPE_CHECKING:
    from gateway.server.listener import Listening, Server

_PROXY, _HEAD, _LENGTH, _CHUNKED, _DEAF = range(5)
# In a head that is not complete yet: a bare LF or CR can only become a refusal (RFC 9112 2.2), so it is one at once.
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_METHOD_ROOM_BYTES = 32
_LINGER_S = 2.0
_QUEUED_BODIES_MAX_BYTES = 65_536  # of pipelined requests that wait for their turn, with what came in the same read


class DownstreamConnection(asyncio.Protocol):
    __slots__ = (
        "_body_exchange", "_body_left", "_chunked", "_client", "_closing", "_held", "_is_busy", "_is_full",
        "_last_head", "_listening", "_queue", "_reading", "_refused", "_scanned", "_stage", "_unsent_bytes",
        "deadline_s", "exchange", "half_closed", "loop", "peer", "server", "transport", "write_blocked",
    )

    def __init__(self, server: Server, listening: Listening) -> None:
        self.server = server
        self.loop = server.loop
        self._listening = listening
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.peer = Peer("", "http", 0)
        self._client: Client | None = None
        self._stage = _PROXY if listening.proxy_protocol else _HEAD
        self._last_head: RequestHead | None = None
        self._held = b""
        self._scanned = 0  # of what was held, without a head's end
        self._body_left = 0
        self._chunked: ChunkedBody | None = None
        self._queue: deque[Exchange] = deque()
        self._is_full = False
        self._is_busy = False
        self._reading = True
        self._closing = False
        self._refused = False
        self._unsent_bytes = 0
        self._body_exchange: Exchange | None = None
        self.exchange: Exchange | None = None
        self.half_closed = False
        self.write_blocked = False
        self.deadline_s = NEVER

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        listening = self._listening
        address = transport.get_extra_info("peername")
        # Who connects over a Unix socket is a process of this machine.
        self._set_peer(address[0] if isinstance(address, tuple) else "127.0.0.1")
        limits = self.server.runtime.limits
        self.deadline_s = self.loop.time() + limits.head_timeout
        if not self.server.admit(self):
            self._refuse(503, "connections")
        elif listening.proxy_protocol and not self.server.runtime.clients.trusts(self.peer.address):
            self._abandon("proxy_protocol")

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.forget(self)
        self._stage = _DEAF
        self._queue.clear()
        self._body_exchange = None
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.cancel()

    def eof_received(self) -> bool:
        """A client that has sent a whole request and closes its side still gets the answer (RFC 9112 9.6)."""
        self.half_closed = True
        waits = self.exchange is not None and self._body_exchange is None
        return waits and self.transport.can_write_eof()

    def pause_writing(self) -> None:
        self.write_blocked = True
        self.deadline_s = self.loop.time() + self.server.runtime.limits.body_timeout
        if self.exchange is not None:
            self.exchange.on_downstream_blocked(blocked=True)

    def resume_writing(self) -> None:
        self.write_blocked = False
        if self._closing:  # flushed: the client has a moment to close, too
            self.deadline_s = self.loop.time() + _LINGER_S
        elif self.exchange is None:
            self._await_next()
            if not self._is_busy:
                self._take(b"")
        else:
            self.deadline_s = NEVER
            self.update_reading()
            self.exchange.on_downstream_blocked(blocked=False)

    def data_received(self, data: bytes) -> None:
        if self._held:
            self._scanned = 0 if self._is_full else max(len(self._held) - 3, 0)
            data = self._held + data
            self._held = b""
        elif self._stage == _HEAD and self.exchange is None and not self._queue:  # the usual: straight to the point
            data = self._take_head(data)
            if not data and self.exchange is not None and self._body_exchange is None:
                return
        self._take(data)

    # what the exchange does

    def client_of(self, head: RequestHead) -> Client:
        """Who sent this request. For a peer that is no trusted proxy that is settled once per connection."""
        client = self._client
        if client is None:
            clients = self.server.runtime.clients
            if clients.trusts(self.peer.address):
                return clients.of_request(self.peer, head)
            client = self._client = clients.of_peer(self.peer)
        return client

    def forget_client(self) -> None:
        """The trusted proxies may have changed: find out anew."""
        self._client = None

    @property
    def is_last(self) -> bool:
        """Whether the answer under way is the connection's last, whatever the request says."""
        return (self.half_closed or self.server.draining) and not self._queue and not self._held

    def update_reading(self) -> None:
        """Read exactly while there is somewhere to put what comes."""
        body = self._body_exchange
        wanted = not self._is_full and (body is None or body.accepts_body or self._stage == _DEAF)
        if wanted is not self._reading and not self.transport.is_closing():
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()
        if body is not None and self.exchange is body and not self.write_blocked:
            waits = wanted and self._stage != _DEAF
            self.deadline_s = self.loop.time() + self.server.runtime.limits.body_timeout if waits else NEVER

    def exchange_done(self, *, keep_alive: bool) -> None:
        """The answer has been written; the next request's turn, or the end."""
        self.exchange = None
        if not keep_alive or self._closing:
            self.close()
            return
        if not self.write_blocked:  # else the slow reader's deadline goes on
            self._await_next()
        ends = self.half_closed or self.server.draining
        if not self._is_busy and (self._queue or self._held or ends or not self._reading):
            self._take(b"")

    def close(self) -> None:
        """Flush and close; linger where the client may still be sending, or its reset would destroy our answer
        (RFC 9112 9.6)."""
        lingers = self._body_exchange is not None or self._refused
        self._closing = True
        self._queue.clear()
        self._held = b""
        self._stage = _DEAF
        self._body_exchange = None
        self._is_full = False
        self._unsent_bytes = self.transport.get_write_buffer_size()
        patience_s = self.server.runtime.limits.body_timeout if self._unsent_bytes else _LINGER_S
        self.deadline_s = self.loop.time() + patience_s
        if lingers and not self.half_closed and self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
            self.update_reading()
        else:
            self.transport.close()

    def abort(self) -> None:
        """The answer cannot be completed: break it off visibly, without a clean end."""
        self._stage = _DEAF
        self._closing = True
        self.transport.abort()

    # what the server does

    def drain(self) -> None:
        """Close now if idle; otherwise the exchange under way says `Connection: close`."""
        if self.exchange is None and not self._queue and not self._held:
            self.transport.close()

    def on_deadline(self) -> None:
        limits = self.server.runtime.limits
        if self._closing and 0 < self.transport.get_write_buffer_size() < self._unsent_bytes:
            self._unsent_bytes = self.transport.get_write_buffer_size()  # slow, but it reads
            self.deadline_s = self.loop.time() + limits.body_timeout
        elif self._closing or self.write_blocked:
            if not self._closing:
                self.server.reject("slow_reader")
                if self.exchange is not None:
                    self.exchange.reason = "slow_reader"
            self.abort()
        elif self._body_exchange is not None and self.exchange is self._body_exchange:
            self.deadline_s = self.loop.time() + limits.body_timeout
            self._refuse_body(408, "body_timeout")
        elif self.exchange is not None:
            self.deadline_s = NEVER
        elif self._held:
            self._refuse(408, "head_timeout")
        else:
            self.transport.close()
            self.deadline_s = self.loop.time() + _LINGER_S

    # the way of the bytes

    def _take(self, data: bytes) -> None:
        """Parse what is there, one message after the other, and start what can start."""
        self._is_busy = True
        while True:
            while self.exchange is None and self._queue and not self.write_blocked:
                self.exchange = self._queue.popleft()
                self.exchange.start()
            if self._is_full and self._has_room():
                self._is_full = False
                data, self._held = self._held, b""
            if data and self._is_full:
                self._held = data
            if not data or self._is_full:
                break
            stage = self._stage
            if stage == _HEAD:
                data = self._take_head(data)
            elif stage == _LENGTH:
                data = self._take_length(data)
            elif stage == _CHUNKED:
                data = self._take_chunked(data)
            elif stage == _PROXY:
                data = self._take_proxy_header(data)
            else:
                break
        self._is_busy = False
        if self._body_exchange is not None or not self._reading or self._is_full:
            self.update_reading()
        if self.exchange is None and not self._queue and not self._closing:
            self._rest()

    def _has_room(self) -> bool:
        """Whether another request may be queued behind the one under way."""
        queue = self._queue
        return len(queue) < self.server.runtime.limits.pipelined_requests and (
            sum([exchange.received_bytes for exchange in queue]) <= _QUEUED_BODIES_MAX_BYTES)

    def _await_next(self) -> None:
        """The next request has `keep_alive_timeout` to begin; empty lines do not begin one."""
        self.deadline_s = self.loop.time() + self.server.runtime.limits.keep_alive_timeout

    def _rest(self) -> None:
        """Nothing can be done before more comes: of a head that has begun within `head_timeout`."""
        if self.half_closed or (self.server.draining and not self._held):
            self.close()
        elif self._held:
            head_s = self.loop.time() + self.server.runtime.limits.head_timeout
            if head_s < self.deadline_s:  # counts from the head's first byte
                self.deadline_s = head_s

    def _take_head(self, data: bytes) -> bytes:
        if data[0] in b"\r\n":  # RFC 9112 2.2: empty lines before a request line
            data = data.lstrip(b"\r\n")
            if not data:
                return data
        limits = self.server.runtime.limits
        if self._queue and not self._has_room():
            self._is_full = True
            self._held = data
            return b""
        scanned, self._scanned = self._scanned, 0
        end = data.find(HEAD_END, scanned) + 4
        if end < 4:
            self._hold_head(data, scanned)
            return b""
        if end > limits.request_head_bytes:
            return self._refuse(431, "head_size")
        raw, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
        try:
            head = self._last_head = parse_request(raw, self._last_head)
            if len(head.target) > limits.request_target_bytes:
                raise RequestRefused(414, "target_size")
            if len(head.headers) > limits.request_headers:
                raise RequestRefused(431, "header_count")
        except RequestRefused as refusal:
            return self._refuse(refusal.status, refusal.reason)
        self._begin(head)
        return rest

    def _begin(self, head: RequestHead) -> None:
        exchange = Exchange(self, head)
        if head.chunked:
            self._stage = _CHUNKED
            self._body_exchange = exchange
            self._chunked = ChunkedBody(self.server.runtime.limits.request_head_bytes)
        elif head.content_length:
            self._stage = _LENGTH
            self._body_exchange = exchange
            self._body_left = head.content_length
        elif not head.keep_alive or (head.connection_names and head.upgrade == b"websocket"):
            self._stage = _DEAF
        self._run(exchange)

    def _run(self, exchange: Exchange) -> None:
        # Nothing is started for a client that does not read: every answer would be kept here for it.
        if self.exchange is None and not self._queue and not self.write_blocked:
            self.exchange = exchange
            self.deadline_s = NEVER
            exchange.start()
        else:
            self._queue.append(exchange)

    def _hold_head(self, data: bytes, scanned: int) -> None:
        """Wait for the rest. scanned: so many bytes have been looked at before (a head may come byte by byte)."""
        limits = self.server.runtime.limits
        size = len(data)
        if _BARE.search(data, scanned) or not data[:1].isalpha():
            self._refuse(400, "malformed")
        elif size > limits.request_target_bytes + _METHOD_ROOM_BYTES and data.find(b"\r\n") < 0:
            self._refuse(414, "target_size")
        elif size >= limits.request_head_bytes:
            self._refuse(431, "head_size")
        else:
            self._held = data

    def _take_length(self, data: bytes) -> bytes:
        left = self._body_left
        if len(data) <= left:
            piece, rest = data, b""
        else:
            piece, rest = data[:left], data[left:]
        self._body_left = left - len(piece)
        self._pass_body(piece, ended=not self._body_left)
        return rest

    def _take_chunked(self, data: bytes) -> bytes:
        chunked = self._chunked
        assert chunked is not None
        try:
            body, rest = chunked.feed(data)
        except ChunkedRefused:
            self._refuse_body(400, "malformed_chunk")
            return b""
        if body or chunked.ended:
            self._pass_body(body, ended=chunked.ended)
        return rest

    def _pass_body(self, piece: bytes, *, ended: bool) -> None:
        exchange = self._body_exchange
        if exchange is None:
            return
        if ended:
            self._body_exchange = None
            self._chunked = None
            self._stage = _HEAD if exchange.head.keep_alive else _DEAF
            if self.exchange is exchange and not self.write_blocked:
                self.deadline_s = NEVER
        exchange.on_request_body(piece, ended=ended)

    def _take_proxy_header(self, data: bytes) -> bytes:
        try:
            parsed = parse_proxy_header(data)
        except ProxyHeaderRefused:
            self._abandon("proxy_protocol")
            return b""
        if parsed is None:
            self._held = data
            return b""
        address, size = parsed
        if address is not None:
            self._set_peer(address)
        self._stage = _HEAD
        self._scanned = 0
        return data[size:]

    def _set_peer(self, address: str) -> None:
        self.peer = Peer(address, self._listening.protocol, self._listening.port)
        self._client = None

    def _refuse(self, status: int, reason: str) -> bytes:
        """Answer and close, in its turn; nothing that follows on this connection is a request (http-cases I4)."""
        self._refused = True
        self._stage = _DEAF
        self._held = b""
        self._run(Exchange.refused(self, status, reason))
        return b""

    def _refuse_body(self, status: int, reason: str) -> None:
        exchange = self._body_exchange
        self._refused = True
        self._stage = _DEAF
        if exchange is not None:
            exchange.on_request_broken(status, reason)

    def _abandon(self, reason: str) -> None:
        self.server.reject(reason)
        self.abort()
