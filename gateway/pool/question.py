"""One request and its whole answer, awaited: for probes and health checks, never on the way of traffic."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.errors import NoAnswer
from gateway.http.message import Headers, ResponseHead
from gateway.pool.connection import Connection
from gateway.pool.pool import Pool

_BODY_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """status, headers as received (names lowered), fields joined by name, body at most 1 MiB (if asked for)."""

    status: int
    headers: Headers
    fields: dict[bytes, bytes]
    body: bytes


async def ask_once(pool: Pool, message: bytes, timeout_s: float, *, head_only: bool = False) -> Answer:
    """Send a whole request on a connection of the pool. head_only: the body is not waited for, whatever its size.

    Raises NoAnswer with what went wrong (connect, timeout, ...).
    """
    question = _Question(message, head_only=head_only)
    if not pool.wait(question):
        raise NoAnswer("pool_full")
    try:
        async with asyncio.timeout(timeout_s):
            return await question.answered
    except TimeoutError:
        raise NoAnswer("timeout") from None
    finally:
        pool.stop_waiting(question)
        question.leave()


class _Question:
    """The pool's user behind `ask_once`."""

    def __init__(self, message: bytes, *, head_only: bool) -> None:
        self._head_only = head_only
        self.answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._message = message
        self._connection: Connection | None = None
        self._body = b""

    def leave(self) -> None:
        if self._connection is not None:
            self._connection.discard()

    def on_connected(self, connection: Connection) -> None:
        self._connection = connection
        connection.send(self._message, self, to_head=False)

    def on_connect_failed(self, reason: str) -> None:
        self._fail(reason)

    def on_answer(self, connection: Connection, head: ResponseHead | None, body: bytes, *, ended: bool) -> None:
        self._body += body
        if len(self._body) > _BODY_MAX_BYTES and not self._head_only:
            self._fail("oversized")
        elif (ended or self._head_only) and not self.answered.done():
            found = connection.head
            assert found is not None
            self.answered.set_result(Answer(found.status, found.headers, found.fields, self._body))

    def on_interim(self, connection: Connection, head: ResponseHead) -> None:
        """Nothing to learn from it."""

    def on_broken(self, connection: Connection, reason: str) -> None:
        self._connection = None
        self._fail(reason)

    def on_blocked(self, *, blocked: bool) -> None:
        """A question is small."""

    def on_overdue(self, connection: Connection) -> None:
        """Never called: the deadline is the caller's."""

    def _fail(self, reason: str) -> None:
        if not self.answered.done():
            self.answered.set_exception(NoAnswer(reason))
