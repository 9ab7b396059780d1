"""One client connection of the engine: bytes -> calls -> answers, in order, bounded.

Theory of operation. What has come and is not used yet is in `_held`. `_serve` takes one step after the other from it:

    IDLE -> HEAD (incomplete) -> LENGTH | CHUNKED (body incomplete) -> answer -> IDLE -> ... -> DEAF

A head is parsed when it is there as a whole (http/head.py, as strictly as the gateway's own), a body is judged when it
is: it is small, so it waits in `_held`. The usual call comes in one read, head and body, is answered from memory, and
never leaves IDLE: no task, no timer, one write.

An answer that has to be waited for (a store, a look-up, the operator) is a task; until it is there `_waits`, and
nothing else of this connection is looked at, so answers stay in order. The same goes for a client that does not read
(`_write_blocked`) and for one that has had its turn (`calls_per_turn`). Whatever comes meanwhile stops the reading: no
more than one read is held. A client that leaves cancels no task, because the store may be half-way through; its answer
is dropped.

DEAF: nothing that still comes is looked at, after the last answer of a connection or a refusal that makes what follows
meaningless (RFC 9112 2.2, 6.1). The connection lingers if the client may still be sending.

Every wait has a deadline: `deadline_s`, which the server's sweep holds against the clock (loop time, seconds).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

from gateway.engine.answer import Answer, answer_refusal
from gateway.engine.api import Call
from gateway.engine.service.limits import NEVER
from gateway.engine.service.route import HEADS, NOT_SERVED, Asked, Route, operator_request
from gateway.errors import ChunkedRefused, RequestRefused
from gateway.http.chunked import ChunkedBody
from gateway.http.head import HEAD_END
from gateway.http.writer import CONTINUE

if TYPE_CHECKING:
    from gateway.engine.service.server import ApiServer

_IDLE, _HEAD, _LENGTH, _CHUNKED, _DEAF = range(5)
_REFUSALS = {
    "expect": "the only expectation that is met is 100-continue",
    "malformed": "malformed request",
    "method": "no such method here",
}
# In a head that is not complete yet: a bare LF or CR can only become a refusal (RFC 9112 2.2), so it is one at once.
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")


class CallConnection(asyncio.Protocol):
    """deadline_s: loop time at which `on_deadline` is due."""

    __slots__ = (
        "_asked", "_chunked", "_half_closed", "_held", "_is_lost", "_is_reading", "_length", "_lingers", "_loop",
        "_out", "_pieces", "_pieces_bytes", "_route", "_server", "_stage", "_transport", "_turn", "_waits",
        "_write_blocked", "deadline_s",
    )  # fmt: skip

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._loop = server.loop
        self._transport = cast(asyncio.Transport, None)
        self._stage = _IDLE
        self._held = b""
        self._out: list[bytes] = []
        self._is_reading = True
        self._is_lost = False
        self._half_closed = False
        self._lingers = False
        self._write_blocked = False
        self._waits = False
        self._turn: asyncio.Handle | None = None
        # The call whose body or answer is awaited:
        self._asked = cast(Asked, None)
        self._route = cast(Route, None)
        self._length = 0
        self._chunked = cast(ChunkedBody, None)
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self.deadline_s = NEVER

    @property
    def is_idle(self) -> bool:
        """Whether it may be closed without leaving anything unanswered."""
        return self._stage == _IDLE and not self._held and not self._waits

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.deadline_s = self._loop.time() + self._server.limits.keep_alive_s
        if self._server.draining:  # a handshake that ended late
            self._transport.close()
        elif not self._server.admit(self):
            self._refuse(503, "too many connections")
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._stage = _DEAF
        self._held = b""
        if self._turn is not None:
            self._turn.cancel()
        self._server.forget(self)

    def eof_received(self) -> bool:
        """A client that closes its side after whole calls still gets the answers (RFC 9112 9.6)."""
        self._half_closed = True
        return self._is_held_up() and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self._write_blocked = True
        self.deadline_s = self._loop.time() + self._server.limits.write_s

    def resume_writing(self) -> None:
        self._write_blocked = False
        limits = self._server.limits
        patience_s = (limits.keep_alive_s, limits.head_s, limits.body_s, limits.body_s, limits.linger_s)[self._stage]
        self.deadline_s = NEVER if self._waits else self._loop.time() + patience_s
        self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._stage == _DEAF:
            return
        self._held = self._held + data if self._held else data
        if self._is_held_up():
            self._update_reading()
        else:
            self._serve()

    # what the server does

    def drain(self) -> None:
        """Close now if idle; otherwise the answer under way says `Connection: close`."""
        if self.is_idle:
            self._transport.close()

    def abort(self) -> None:
        self._stage = _DEAF
        self._transport.abort()

    def on_deadline(self) -> None:
        """What was waited for has not come in time."""
        if self._write_blocked or self._stage == _DEAF:
            self.abort()
        elif self._stage == _IDLE:
            self.deadline_s = self._loop.time() + self._server.limits.linger_s  # to say good-bye over TLS
            self._stage = _DEAF
            self._transport.close()
        else:
            limits = self._server.limits
            late = ("head", limits.head_s) if self._stage == _HEAD else ("body", limits.body_s)
            self._refuse(408, "the {} did not arrive within {:g} s".format(*late))
            self._flush()

    # bytes -> calls

    def _is_held_up(self) -> bool:
        """Whether the next call must not be looked at yet."""
        return self._waits or self._write_blocked or self._turn is not None

    def _serve(self) -> None:
        """Answer the calls that are there, until bytes are missing or the next one has to wait."""
        for _ in range(self._server.limits.calls_per_turn):
            if not self._take_step() or not self._held or self._waits:
                break
        else:
            self._turn = self._loop.call_soon(self._take_turn)
        if self._out:
            self._flush()
        self._update_reading()

    def _take_turn(self) -> None:
        self._turn = None
        self._go_on()

    def _go_on(self) -> None:
        """After something that held the calls up is over."""
        if self._held and not self._is_held_up():
            self._serve()
        else:
            self._flush()
            self._update_reading()

    def _take_step(self) -> bool:
        """One call, or as much of it as there is; False if more bytes are needed."""
        if self._stage <= _HEAD:
            return self._take_head()
        if self._stage == _LENGTH:
            return self._take_length()
        return self._take_chunked() if self._stage == _CHUNKED else False

    def _take_head(self) -> bool:
        held = self._held
        end = held.find(HEAD_END) + 4
        limits = self._server.limits
        if end < 4 and len(held) <= limits.head_bytes:
            return self._await_head()
        if not 4 <= end <= limits.head_bytes:
            return self._refuse(431, f"the head has more than {limits.head_bytes} bytes")
        try:
            asked = HEADS[held[:end]]
        except RequestRefused as refusal:
            return self._refuse(refusal.status, _REFUSALS.get(refusal.reason, f"malformed request: {refusal.reason}"))
        self._asked = asked
        head, route, _, _ = asked
        if len(head.headers) > limits.headers:
            return self._refuse(431, f"the head has {len(head.headers)} headers, at most {limits.headers} are read")
        if route.is_operators and self._server.operator is None:
            route = NOT_SERVED
        self._route = route
        if head.chunked:
            return self._await_chunks(end)
        length = head.content_length or 0
        if len(held) - end >= length <= route.max_body_bytes:  # the usual: the body came with its head
            self._held = held[end + length :]
            self._answer(held[end : end + length])
            return True
        return self._await_length(end, length)

    def _await_head(self) -> bool:
        held = self._held
        if not held[:1].isalpha() or _BARE.search(held):
            return self._refuse(400, "malformed request")
        if self._stage == _IDLE:
            self._stage = _HEAD
            self.deadline_s = self._loop.time() + self._server.limits.head_s
        return False

    def _await_length(self, end: int, length: int) -> bool:
        most = self._route.max_body_bytes
        if length > most:
            return self._refuse(413, f"the body has {length} bytes, at most {most} are read")
        self._stage = _LENGTH
        self._length = length
        return self._await_body(end)

    def _await_chunks(self, end: int) -> bool:
        self._stage = _CHUNKED
        self._chunked = ChunkedBody(self._server.limits.head_bytes)
        self._pieces_bytes = 0
        return self._await_body(end)

    def _await_body(self, end: int) -> bool:
        """The head is done with. What expects to be told whether to go on is told (RFC 9110 10.1.1)."""
        self._held = self._held[end:]
        self.deadline_s = self._loop.time() + self._server.limits.body_s
        if self._asked.head.expects_continue and not self._held:
            if self._route.refusal is not None:
                return self._refuse_with(self._route.refusal)
            self._out.append(CONTINUE)
        return bool(self._held)

    def _take_length(self) -> bool:
        held, length = self._held, self._length
        if len(held) < length:
            return False
        self._held = held[length:]
        self._answer(held[:length])
        return True

    def _take_chunked(self) -> bool:
        try:
            piece, self._held = self._chunked.feed(self._held)
        except ChunkedRefused as refusal:
            return self._refuse(400, f"the body cannot be read: {refusal}")
        self._pieces.append(piece)
        self._pieces_bytes += len(piece)
        if self._pieces_bytes > self._route.max_body_bytes:
            return self._refuse(413, f"the body has more than {self._route.max_body_bytes} bytes")
        if not self._chunked.ended:
            return False
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._answer(body)
        return True

    # calls -> answers

    def _answer(self, body: bytes) -> None:
        """Answer the call whose body this is, or wait for its answer."""
        self._stage = _IDLE
        route, server = self._route, self._server
        head, _, content_type, x_set_cookie = self._asked
        if route.refusal is not None:
            self._put(route.refusal)
        elif route.is_operators:
            self._await(server.operate(operator_request(head, body)))
        else:
            answer = server.respond(Call(body, content_type, x_set_cookie))
            if type(answer) is Answer:
                self._put(answer)
            else:
                self._await(cast("Awaitable[Answer]", answer))

    def _await(self, answer: Awaitable[Answer]) -> None:
        self._waits = True
        self.deadline_s = NEVER  # whoever is asked has a bound of its own
        self._server.wait_for(answer, self._on_answer)

    def _on_answer(self, answer: Answer) -> None:
        self._waits = False
        if self._is_lost:
            return
        self._put(answer)
        self._go_on()

    def _put(self, answer: Answer) -> None:
        """One answer in its turn; the next call, or the end."""
        head, server = self._asked.head, self._server
        keep_alive = head.keep_alive and not server.draining and (not self._half_closed or bool(self._held))
        self._out.append(server.write(
            answer, to_head=head.method == b"HEAD", keep_alive=keep_alive, minor_version=head.minor_version))
        if not keep_alive:
            self._stage = _DEAF
            self._held = b""
        elif not self._write_blocked:
            self.deadline_s = self._loop.time() + server.limits.keep_alive_s

    def _refuse(self, status: int, reason: str) -> bool:
        return self._refuse_with(answer_refusal(status, reason))

    def _refuse_with(self, answer: Answer) -> bool:
        """Answer and close: what still comes is no call."""
        self._out.append(self._server.write(answer, to_head=False, keep_alive=False, minor_version=1))
        self._stage = _DEAF
        self._lingers = True
        self._held = b""
        return False

    def _flush(self) -> None:
        """All answers of this turn in one write; after the last one of the connection, its end."""
        out, transport = self._out, self._transport
        if out:
            if not transport.is_closing():
                transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
        if self._stage == _DEAF and not transport.is_closing():
            self._end()

    def _end(self) -> None:
        """Flush and close; linger where the client may still be sending, or its reset would destroy our answer
        (RFC 9112 9.6)."""
        transport, limits = self._transport, self._server.limits
        unsent = transport.get_write_buffer_size()
        self.deadline_s = self._loop.time() + (limits.write_s if unsent else limits.linger_s)
        if self._lingers and not self._half_closed and transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def _update_reading(self) -> None:
        """Read unless something is held that must not be looked at yet."""
        wanted = not (self._held and self._is_held_up())
        if wanted is not self._is_reading and not self._transport.is_closing():
            self._is_reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
