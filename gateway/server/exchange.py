"""One request and its response, from the complete head to the last byte: the gateway's main path, top to bottom.

    start -> bypass ----------------------.
       '--> CHECKING -> on_decision -> _forward -> CONNECTING -> on_connected -> RELAYING -> on_answer* -> done
                             '-> local reply -> done

One method per event, no coroutine, task, future or timer: the connection, the check and the origin's connection call
in. A request body that arrives before the origin has been chosen is kept in `_pending`: at most what one read of the
socket brought, since the connection is not read on until `accepts_body`. Whatever happens, it ends once, in `_record`.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, cast

from gateway.http.client_address import Client
from gateway.http.forwarding import write_interim_head, write_request_head, write_response_head
from gateway.http.message import LocalReply, RequestHead, ResponseHead
from gateway.http.writer import CONTINUE, LAST_CHUNK, connection_line, error_reply, write_reply
from gateway.pool.connection import NEVER, Connection

if TYPE_CHECKING:
    from gateway.origin.server import OriginServer
    from gateway.protection.client import Call
    from gateway.protection.decision import Decision
    from gateway.server.connection import DownstreamConnection
    from gateway.server.site import Site

_NEW, _CHECKING, _CONNECTING, _RELAYING, _DONE = range(5)
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})  # RFC 9110 9.2.2
_NO_BODY = frozenset({204, 304})
_NOTHING: frozenset[bytes] = frozenset()
CLIENT_GONE = 499  # nginx's number for the log: the client left before the answer


# What stands in an exchange that has no request to speak of, or none yet.
_NO_HEAD = RequestHead(b"", b"", b"", 1, [], {}, b"", None, False, False, False, (), [])
_NO_CLIENT = Client("", "http", 0, False, "", b"")
_NO_SITE = cast("Site", None)  # until `start` has found it: whoever may run before asks for `None`


class Exchange:
    __slots__ = (
        "_body_ended", "_call", "_chunks_out", "_connection", "_decision", "_downstream", "_keep_alive",
        "_origin_head_s", "_origin_started_s", "_pending", "_refusal", "_responding", "_retries_left", "_server",
        "_site", "_started_s", "_state", "answered_s", "asked_s", "client", "decision_id", "head", "origin_name",
        "outcome", "reason", "received_bytes", "request_id", "rule", "sent_bytes", "status",
    )

    def __init__(self, downstream: DownstreamConnection, head: RequestHead) -> None:
        self._downstream = downstream
        self.head = head
        self._refusal: tuple[int, str] | None = None
        self._state = _NEW
        self._body_ended = not (head.chunked or head.content_length)
        self._pending: list[bytes] | None = None
        self._site = _NO_SITE
        self._server: OriginServer | None = None
        self._connection: Connection | None = None
        self._call: Call | None = None
        self._decision: Decision | None = None
        self._responding = False
        self._chunks_out = False
        self._keep_alive = False
        self._retries_left = 0
        self._started_s = self.asked_s = self.answered_s = self._origin_started_s = self._origin_head_s = 0.0
        self.client = _NO_CLIENT
        self.outcome = "rejected"
        self.reason = ""
        self.rule = b""
        self.decision_id = b""
        self.origin_name: str | None = None
        self.status = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.request_id = b""

    @classmethod
    def refused(cls, downstream: DownstreamConnection, status: int, reason: str) -> Exchange:
        """An exchange without a request: only the refusal that answers it when its turn comes."""
        exchange = cls(downstream, _NO_HEAD)
        exchange._refusal = (status, reason)
        return exchange

    @property
    def peer_address(self) -> str:
        return self._downstream.peer.address

    @property
    def accepts_body(self) -> bool:
        """Whether more of the request body can go on now."""
        connection = self._connection
        return self._state == _RELAYING and connection is not None and not connection.write_blocked

    # 1. the request's turn

    def start(self) -> None:
        self._started_s = perf_counter()
        downstream = self._downstream
        head = self.head
        if self._refusal is not None:
            self._reject(*self._refusal)
            return
        runtime = downstream.server.runtime
        self.client = client = downstream.client_of(head)
        self.request_id = self._received_id() if client.trusted else downstream.server.next_request_id()
        self._keep_alive = head.keep_alive and not (head.connection_names and head.upgrade == b"websocket")
        site = runtime.site_of(head)
        if site is None:
            self._reject(421, "site", keep_alive=True)
            return
        self._site = site
        limit = runtime.limits.request_body_bytes
        if limit is not None and (head.content_length or 0) > limit:
            self._reject(413, "body_size")
            return
        bypass = site.checker.scope.bypass_reason(head, client.address)
        if bypass is not None:
            self.outcome = "bypassed"
            self.reason = bypass
            self._forward()
            return
        self._state = _CHECKING
        self.asked_s = perf_counter()
        call = site.checker.ask(head, client, self)
        if self._state == _CHECKING:
            self._call = call

    def _received_id(self) -> bytes:
        return self.head.fields.get(b"x-request-id") or self._downstream.server.next_request_id()

    # 2. the decision

    def on_decision(self, decision: Decision) -> None:
        self.answered_s = perf_counter()
        self._call = None
        if self._state != _CHECKING:
            return
        enforcement = self._site.checker.enforce(decision)
        self.outcome = enforcement.outcome
        self.reason = decision.reason
        self.rule = decision.rule
        self.decision_id = decision.decision_id
        if enforcement.reply is not None:
            self._reply(enforcement.reply, keep_alive=True)
        elif enforcement.unavailable:
            self._reply_error(503)
        else:
            if enforcement.merges:
                self._decision = decision
            self._forward()

    # 3. the origin's connection

    def _forward(self, tried: OriginServer | None = None) -> None:
        if self.head.connection_names and self.head.upgrade == b"websocket":
            self.outcome = "rejected"
            self._reject(501, "websocket")  # and close: what follows a handshake is not HTTP
            return
        origin = self._site.origin
        server = origin.choose(self._downstream.loop.time(), tried)
        if server is None:
            self._count_origin_failure("no_healthy")
            self._reply_error(503)
            return
        if tried is None:
            self._retries_left = origin.retries
            self._origin_started_s = perf_counter()
        self._state = _CONNECTING
        self._server = server
        server.outstanding += 1
        connection = server.pool.take_idle()
        if connection is not None:
            self.on_connected(connection)
        elif not server.pool.wait(self):
            self.on_connect_failed("pool_full")

    def on_connect_failed(self, reason: str) -> None:
        server = self._leave_server()
        self._count_origin_failure("connect_timeout" if reason == "timeout" else reason)
        if reason == "pool_full":
            self._reply_error(503)
            return
        self._note_failed(server)
        if self._retries_left > 0 and self._has_other(server):
            self._retries_left -= 1
            self._forward(server)
        else:
            self._reply_error(504 if reason == "timeout" else 502)

    def _has_other(self, server: OriginServer) -> bool:
        other = self._site.origin.choose(self._downstream.loop.time(), server)
        return other is not None and other is not server

    def on_connected(self, connection: Connection) -> None:
        head, site, client, server = self.head, self._site, self.client, self._server
        assert server is not None
        downstream = self._downstream
        runtime = downstream.server.runtime
        self._connection = connection
        self._state = _RELAYING
        self.origin_name = server.name
        decision = self._decision
        request_id = b"" if client.trusted and b"x-request-id" in head.fields else self.request_id
        data = write_request_head(
            head,
            head.host if site.origin.preserve_host else server.pool.address.authority.encode(),
            runtime.trusted_names if client.trusted else runtime.untrusted_names,
            client.forwarded,
            request_id,
            decision.request_lines if decision is not None else b"",
            decision.replaced if decision is not None else (),
        )
        if self._pending is not None or (head.chunked and self._body_ended):
            data += self._frame_body(b"".join(self._pending or ()), ended=self._body_ended)
            self._pending = None
        connection.send(data, self, to_head=head.method == b"HEAD")
        if self._body_ended:
            connection.deadline_s = downstream.loop.time() + site.origin.response_timeout_s
        else:
            if head.expects_continue and not self.received_bytes:
                downstream.transport.write(CONTINUE)
            downstream.update_reading()
        if downstream.write_blocked:
            self.on_downstream_blocked(blocked=True)

    # 4. the request's body

    def on_request_body(self, piece: bytes, *, ended: bool) -> None:
        """What arrived of the body; ended: it is complete."""
        self.received_bytes += len(piece)
        self._body_ended = ended
        limit = self._downstream.server.runtime.limits.request_body_bytes
        if limit is not None and self.received_bytes > limit:
            self._body_ended = False
            self.on_request_broken(413, "body_size")
        elif self._state == _RELAYING:
            connection = self._connection
            assert connection is not None
            connection.write(self._frame_body(piece, ended=ended))
            if self._responding:  # an answer that came early: what moves is the body
                if not self._downstream.write_blocked:
                    connection.deadline_s = self._downstream.loop.time() + self._site.origin.idle_timeout_s
            elif ended:
                connection.deadline_s = self._downstream.loop.time() + self._site.origin.response_timeout_s
        elif self._state != _DONE and piece:
            self._pending = [*(self._pending or ()), piece]  # of one read: a piece or two

    def _frame_body(self, piece: bytes, *, ended: bool) -> bytes:
        if not self.head.chunked:
            return piece
        framed = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        return framed + LAST_CHUNK if ended else framed

    def on_request_broken(self, status: int, reason: str) -> None:
        """The body will not be completed: malformed, too large, too slow."""
        if self._state == _NEW:  # not its turn yet
            self._refusal = (status, reason)
        elif self._state != _DONE:
            self._leave_everything()
            self.outcome = "rejected"
            self.reason = reason
            self._downstream.server.reject(reason)
            if self._responding:
                self._break_off()
            else:
                self._reply_error(status, keep_alive=False)

    # 5. the origin's answer

    def on_interim(self, connection: Connection, head: ResponseHead) -> None:
        """1xx heads go on to clients that can read them; 100 does not: we have answered Expect ourselves."""
        if head.status != 100 and self.head.minor_version == 1 and not self._responding:
            self._downstream.transport.write(write_interim_head(head))

    def on_answer(self, connection: Connection, head: ResponseHead | None, body: bytes, *, ended: bool) -> None:
        out = self._write_head(head) if head is not None else b""
        if body:
            self.sent_bytes += len(body)
            out += b"%x\r\n%b\r\n" % (len(body), body) if self._chunks_out else body
        if ended and self._chunks_out:
            out += LAST_CHUNK
        if out:
            self._downstream.transport.write(out)
        if ended:
            self._end_answer(connection)
        elif not self._downstream.write_blocked:  # else the client is waited for
            connection.deadline_s = self._downstream.loop.time() + self._site.origin.idle_timeout_s

    def _write_head(self, head: ResponseHead) -> bytes:
        request = self.head
        self._responding = True
        self._origin_head_s = perf_counter()
        self.status = status = head.status
        if self._downstream.is_last:
            self._keep_alive = False
        framing = b""
        if head.content_length is None and not (status in _NO_BODY or request.method == b"HEAD"):
            if request.minor_version == 1:
                self._chunks_out = True
                framing = b"transfer-encoding: chunked\r\n"
            else:
                self._keep_alive = False
        if not (self._keep_alive and request.minor_version == 1):
            framing += connection_line(keep_alive=self._keep_alive, minor_version=request.minor_version)
        decision = self._decision
        if decision is None:
            return write_response_head(head, _NOTHING, b"", framing)
        return write_response_head(head, decision.removed, decision.response_lines, framing)

    def _end_answer(self, connection: Connection) -> None:
        server = self._server
        assert server is not None
        self._server = self._connection = None
        server.outstanding -= 1
        server.succeeded()
        if self._body_ended:
            connection.release()
        else:  # answered before the body was there: neither connection can be used again
            connection.discard()
            self._keep_alive = False
        self._finish()

    def on_broken(self, connection: Connection, reason: str) -> None:
        self._connection = None
        server = self._leave_server()
        head = self.head
        dead_reused = reason == "reset" and connection.use_count > 1 and not connection.received
        if dead_reused and head.method in _IDEMPOTENT and not head.has_body and self._retries_left > 0:
            self._retries_left -= 1
            self._retry_fresh(server)
            return
        self._count_origin_failure(reason)
        if self._body_ended:  # an origin that gives up on a body that a client withholds is not ill
            self._note_failed(server)
        if self._responding:
            self._break_off()
        else:
            self._reply_error(502)

    def _retry_fresh(self, server: OriginServer) -> None:
        """Once more, on a connection of its own: the kept one had been closed by the origin before it read anything."""
        self._state = _CONNECTING
        self._server = server
        server.outstanding += 1
        if not server.pool.wait_fresh(self):
            self.on_connect_failed("pool_full")

    def on_overdue(self, connection: Connection) -> None:
        """The origin's deadline is over: no head (504), or nothing more of the body (broken off)."""
        connection.discard()
        self._connection = None
        server = self._leave_server()
        self._count_origin_failure("idle_timeout" if self._responding else "response_timeout")
        self._note_failed(server)
        if self._responding:
            self._break_off()
        else:
            self._reply_error(504)

    # backpressure

    def on_blocked(self, *, blocked: bool) -> None:
        """The origin reads more slowly than the client sends: it gets `idle_timeout` to go on."""
        connection = self._connection
        if connection is not None and not self._body_ended:
            idle_s = self._site.origin.idle_timeout_s
            connection.deadline_s = self._downstream.loop.time() + idle_s if blocked else NEVER
        self._downstream.update_reading()

    def on_downstream_blocked(self, *, blocked: bool) -> None:
        """The client reads more slowly than the origin sends."""
        connection = self._connection
        if connection is None:
            return
        if blocked:
            connection.pause_reading()
            connection.deadline_s = NEVER  # the client is waited for now: its own deadline runs
        else:
            connection.resume_reading()
            connection.deadline_s = self._downstream.loop.time() + self._site.origin.idle_timeout_s

    # answers of our own

    def _reject(self, status: int, reason: str, *, keep_alive: bool = False) -> None:
        self._downstream.server.reject(reason)
        self.reason = reason
        self._reply_error(status, keep_alive=keep_alive)

    def _reply_error(self, status: int, *, keep_alive: bool = True) -> None:
        accept = self.head.fields.get(b"accept", b"")
        self.request_id = self.request_id or self._downstream.server.next_request_id()
        self._reply(error_reply(status, self.request_id, accept), keep_alive=keep_alive)

    def _reply(self, reply: LocalReply, *, keep_alive: bool) -> None:
        downstream, head = self._downstream, self.head
        # A body that is not read to its end cannot be told from the next request: the connection ends.
        self._keep_alive = (
            keep_alive and self._keep_alive and self._body_ended and not downstream.is_last)
        to_head = head.method == b"HEAD"
        self._responding = True
        self.status = reply.status
        self.sent_bytes = 0 if to_head else len(reply.body)
        downstream.transport.write(write_reply(
            reply, to_head=to_head, keep_alive=self._keep_alive, minor_version=head.minor_version))
        self._finish()

    # the end

    def cancel(self) -> None:
        """The client is gone: nothing is finished for nobody."""
        if self._state == _DONE:
            return
        if not self._responding:
            self.status = CLIENT_GONE
        self.reason = self.reason or "client_gone"
        self._leave_everything()
        self._state = _DONE
        if self._started_s:
            self._record()

    def _break_off(self) -> None:
        """The answer has begun and cannot be completed; the status is what the client has seen."""
        self._state = _DONE
        self._record()
        self._downstream.exchange = None
        self._downstream.abort()

    def _finish(self) -> None:
        self._state = _DONE
        self._pending = None
        self._record()
        self._downstream.exchange_done(keep_alive=self._keep_alive)

    def _leave_server(self) -> OriginServer:
        server, self._server = self._server, None
        assert server is not None
        server.outstanding -= 1
        return server

    def _leave_everything(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.discard()
        if self._server is not None:
            server = self._leave_server()
            server.pool.stop_waiting(self)

    def _note_failed(self, server: OriginServer) -> None:
        if server.failed(self._downstream.loop.time()):
            self._downstream.server.log_ejected(server.name)

    def _count_origin_failure(self, reason: str) -> None:
        self._downstream.server.metrics.origin_failures.values[(self._site.name, reason)] += 1
        self.reason = self.reason or reason

    def _record(self) -> None:
        """Hand the figures over. waited_s: what the exchange spent on protection and origin, not on us."""
        now_s = perf_counter()
        checked_s = self.answered_s - self.asked_s if self.answered_s else now_s - self.asked_s if self.asked_s else 0.0
        origin_s = waited_s = 0.0
        started_s = self._origin_started_s
        if started_s:
            waited_s = now_s - started_s  # an exchange that asked an origin ends with its answer
            origin_s = self._origin_head_s - started_s if self._origin_head_s else 0.0
        self._downstream.server.record(
            self, self._site, now_s - self._started_s, checked_s, origin_s, checked_s + waited_s)
