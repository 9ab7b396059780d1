"""Asks the Protection API: pooled keep-alive connections, one total deadline per call, a breaker in front.

No task, future or timer per call. All calls of a client last equally long, so their deadlines are in order of their
start: one timer, armed for the oldest call, serves them all. A call that is over stays in that queue until its deadline
passes (at most timeout x rate of them), which is cheaper than taking it out.

A call ends exactly once, by `_finish`: with an answer, or with one of the reasons of gateway_protection_failures_total.
An answer that comes later belongs to nobody: its connection was closed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Protocol

from gateway.http.message import ResponseHead
from gateway.logs import RateLimited, get
from gateway.metrics import Cell, Metrics
from gateway.pool.connection import Connection
from gateway.pool.pool import Pool
from gateway.protection.breaker import CLOSED, Breaker
from gateway.protection.decision import Decision, decide, failure
from gateway.protection.encoding import CONTENT_TYPES

_log = get("protection")
# How long a failed check is news. An idle worker makes no check that could show that the API is back.
FAILURE_NEWS_S = 30.0
# What the breaker counts besides 5xx (contract section 4).
_BREAKER_REASONS = frozenset({"timeout", "connect", "reset", "protocol", "oversized"})


class Asker(Protocol):
    """Who wants a Decision."""

    def on_decision(self, decision: Decision) -> None:
        """Called exactly once per call, possibly from within `ask`, unless the call is cancelled."""


class Call:
    """One question under way; is the pool's user."""

    __slots__ = ("asker", "body", "client", "connection", "deadline_s", "message", "repeated",
                 "started_s", "waits_for_full_pool")

    def __init__(self, client: ProtectionClient, message: bytes, asker: Asker, now_s: float) -> None:
        self.client = client
        self.message = message
        self.asker: Asker | None = asker
        self.connection: Connection | None = None
        self.body = b""
        self.repeated = False
        self.waits_for_full_pool = False
        self.started_s = now_s
        self.deadline_s = now_s + client.timeout_s

    def cancel(self) -> None:
        """The asker is gone. The answer is awaited no longer than the deadline, so that the connection can be kept."""
        self.asker = None
        if self.connection is None:
            self.client.pool.stop_waiting(self)
            self.deadline_s = 0.0  # nothing was asked: nothing is counted

    def on_connected(self, connection: Connection) -> None:
        self.connection = connection
        connection.send(self.message, self, to_head=False)

    def on_connect_failed(self, reason: str) -> None:
        self.client.finish(self, failure(reason))

    def on_answer(self, connection: Connection, head: ResponseHead | None, body: bytes, *, ended: bool) -> None:
        if body:
            self.body = body if not self.body else self.body + body
            if len(self.body) > self.client.max_answer_bytes:
                connection.discard()
                self.client.finish(self, failure("oversized"))
                return
        if ended:
            found = connection.head
            assert found is not None
            connection.release()
            self.client.answered(self, found, self.body)

    def on_interim(self, connection: Connection, head: ResponseHead) -> None:
        """Says nothing that a decision needs."""

    def on_broken(self, connection: Connection, reason: str) -> None:
        client = self.client
        if reason == "reset" and connection.use_count > 1 and not connection.received and not self.repeated:
            self.repeated = True  # the API had closed a kept connection: once more, on a fresh one, in the same budget
            self.connection = None
            if not client.pool.wait_fresh(self):
                client.finish(self, failure("pool_full"))
            return
        client.finish(self, failure(reason))

    def on_blocked(self, *, blocked: bool) -> None:
        """A question is at most 25 kB: nothing to hold back."""

    def on_overdue(self, connection: Connection) -> None:
        """Never called: the client keeps the deadlines of its calls itself."""


class ProtectionClient:
    """endpoint: label of the duration histogram; strict, enforce_429: contract section 4; times in seconds."""

    def __init__(
        self, pool: Pool, breaker: Breaker, metrics: Metrics, *, endpoint: str, encoding: str, timeout_s: float,
        max_answer_bytes: int, strict: bool, enforce_429: bool,
    ) -> None:
        self.pool = pool
        self.breaker = breaker
        self.timeout_s = timeout_s
        self.max_answer_bytes = max_answer_bytes
        self.last_failure = ""
        self.encoding_doubt = ""  # why the encoding is not settled yet (gateway.protection.negotiation)
        self._failed_at_s = 0.0
        self._strict = strict
        self._enforce_429 = enforce_429
        self._errors = RateLimited(_log, 10.0)
        self._calls: deque[Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._duration: Cell = metrics.protection_duration.child((endpoint,))
        self._checks = metrics.protection_checks.values
        self._failures = metrics.protection_failures.values
        self.use_encoding(encoding)

    @property
    def degraded_reason(self) -> str:
        """Why requests are not protected as they should be, or "" while they are, as far as the last 30 s tell."""
        quiet_s = time.monotonic() - self._failed_at_s
        if self.breaker.state != CLOSED and quiet_s < self.breaker.open_s + FAILURE_NEWS_S:
            return f"breaker open, last failure: {self.last_failure}"
        if self.encoding_doubt:
            return self.encoding_doubt
        if not self.last_failure or quiet_s >= FAILURE_NEWS_S:
            return ""
        if self.last_failure == "unauthorized":
            return "the API refuses the key or the payload (400)"
        return f"last check failed: {self.last_failure}"

    def use_encoding(self, encoding: str) -> None:
        """`json` or `form`, for every call from now on."""
        self.encoding = encoding
        self._head = self._template(encoding)

    def message(self, body: bytes, encoding: str) -> bytes:
        """A whole request in this encoding, for a probe."""
        return self._template(encoding) % (b"", len(body), body)

    def _template(self, encoding: str) -> bytes:
        """The request with three places: X-Set-Cookie line, body length, body (contract section 1)."""
        address = self.pool.address
        return (
            b"POST %b/validate-request HTTP/1.1\r\nHost: %b\r\nUser-Agent: DataDome\r\nContent-Type: %b\r\n"
            b"Accept-Encoding: identity\r\n%%bContent-Length: %%d\r\n\r\n%%b"
            % (address.prefix.encode().replace(b"%", b"%%"), address.authority.encode(), CONTENT_TYPES[encoding]))

    def ask(self, body: bytes, asker: Asker, *, session_by_header: bool = False) -> Call | None:
        """Ask; the asker gets exactly one Decision. None if it has it already (breaker open, pool full)."""
        now_s = time.monotonic()
        if self.breaker.state and not self.breaker.allows(now_s):
            self._count(failure("breaker_open"), asker)
            return None
        marker = b"X-DataDome-X-Set-Cookie: true\r\n" if session_by_header else b""
        call = Call(self, self._head % (marker, len(body), body), asker, now_s)
        connection = self.pool.take_idle()
        if connection is not None:
            call.connection = connection
            connection.send(call.message, call, to_head=False)
        else:
            call.waits_for_full_pool = self.pool.is_full
            if not self.pool.wait(call):
                self._count(failure("pool_full"), asker)
                return None
        self._calls.append(call)
        if self._timer is None:
            self._arm(call.deadline_s - now_s)
        return call

    def answered(self, call: Call, head: ResponseHead, body: bytes) -> None:
        self.finish(call, decide(
            head.status, head.headers, head.fields, body, strict=self._strict, enforce_429=self._enforce_429))

    def finish(self, call: Call, decision: Decision) -> None:
        """The one place where a call ends: counts, tells the breaker, tells the asker if it is still there."""
        if call.deadline_s == 0.0:
            return
        call.deadline_s = 0.0  # over
        call.message = b""  # the queue of deadlines keeps the call for a while, not its bytes
        now_s = time.monotonic()
        self._duration.observe(now_s - call.started_s)
        reason = decision.reason
        if reason and (reason in _BREAKER_REASONS or (reason == "status" and decision.status >= 500)):
            if self.breaker.failed(now_s):
                _log.error("breaker opened", api=self.pool.address.text, reason=reason)
        elif self.breaker.state and reason != "pool_full":  # that says nothing about the API
            if self.breaker.succeeded():
                _log.info("breaker closed", api=self.pool.address.text)
        asker, call.asker = call.asker, None
        call.connection = None
        self._count(decision, asker)

    def _count(self, decision: Decision, asker: Asker | None) -> None:
        self._checks[(decision.verdict,)] += 1
        if decision.reason:
            self._failures[(decision.reason,)] += 1
            if decision.reason != "breaker_open":  # a consequence: it would hide the cause
                self.last_failure = decision.reason
                self._failed_at_s = time.monotonic()
            self._log_failure(decision)
        elif self.last_failure:
            self.last_failure = ""
        if asker is not None:
            asker.on_decision(decision)

    def _log_failure(self, decision: Decision) -> None:
        write = self._errors.error if decision.reason == "unauthorized" else self._errors.warning
        write(decision.reason, "check failed", reason=decision.reason, status=decision.status,
              api=self.pool.address.text, detail=self.pool.last_error)

    def _arm(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(delay_s, 0.001), self._on_deadline)

    def _on_deadline(self) -> None:
        self._timer = None
        now_s = time.monotonic()
        calls = self._calls
        while calls:
            call = calls[0]
            if call.deadline_s > now_s:
                self._arm(call.deadline_s - now_s)
                return
            calls.popleft()
            if call.deadline_s:
                self._overdue(call)

    def _overdue(self, call: Call) -> None:
        if call.connection is not None:
            call.connection.discard()
            reason = "timeout"
        else:
            reason = "pool_full" if call.waits_for_full_pool else "timeout"
            self.pool.stop_waiting(call)
        self.finish(call, failure(reason))
