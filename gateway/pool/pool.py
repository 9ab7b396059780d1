"""A bounded pool of keep-alive connections to one server.

A user that acquires gets an idle connection at once (the most recently used: it is the least likely to have been closed
by the other side), or waits, in order, for one that is being opened or given back. Every connection attempt has a
deadline; the waiting time is bounded by `wait_s` here or by the user's own deadline.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass

from gateway.pool.address import Address
from gateway.pool.connection import Connection, User

_REOPEN_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """max_connections: open and opening together; max_idle: kept for later; warm: kept open in advance;

    wait_s: longest wait for a connection, None = the user has a deadline of its own; max_waiting: users in the queue.
    """

    max_connections: int
    max_idle: int
    idle_timeout_s: float
    connect_timeout_s: float
    warm: int = 0
    wait_s: float | None = None
    max_waiting: int = 4096
    max_head_bytes: int = 131_072
    max_headers: int = 1000


class Pool:
    """Made and used on one event loop, whose clock (monotonic seconds) all times here are of."""

    def __init__(
        self, address: Address, limits: PoolLimits, *,
        tls: ssl.SSLContext | None = None, server_name: str | None = None,
    ) -> None:
        self.address = address
        self.limits = limits
        self.max_head_bytes = limits.max_head_bytes
        self.max_headers = limits.max_headers
        self.opened_count = 0
        self.last_error = ""
        self._tls = tls
        self._server_name = (server_name or address.host) if tls else None
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._waiting: dict[User, tuple[float, bool]] = {}  # since when, and was the pool full then
        self._opening: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._now_s = self._loop.time()  # of the last sweep: near enough for idle times
        self._retired = False
        self._closed = False
        self._failed_at_s = -_REOPEN_PAUSE_S

    @property
    def idle_count(self) -> int:
        return len(self._idle)

    @property
    def busy_count(self) -> int:
        return len(self._open) - len(self._idle)

    @property
    def is_full(self) -> bool:
        """Whether a waiting user waits for another one to finish: no attempt is under way and none may be made."""
        return not self._opening and len(self._open) >= self.limits.max_connections

    def take_idle(self) -> Connection | None:
        """An idle connection, or None. One that is closed leaves the pool at once (`forget`)."""
        return self._idle.pop() if self._idle else None

    def wait(self, user: User) -> bool:
        """Queue for a connection, opening one if the limit allows; False if too many wait already."""
        if len(self._waiting) >= self.limits.max_waiting or self._closed:
            return False
        self._waiting[user] = (self._loop.time(), self.is_full)
        if self._idle and len(self._open) + len(self._opening) >= self.limits.max_connections:
            self._idle[0].discard()  # its place is wanted for a fresh one
        if len(self._opening) < len(self._waiting):
            self._start_opening()
        return True

    def wait_fresh(self, user: User) -> bool:
        """As `wait`, after a kept connection turned out to be dead: the others that idle are as old, so they go."""
        while self._idle:
            self._idle[0].discard()
        return self.wait(user)

    def stop_waiting(self, user: User) -> None:
        self._waiting.pop(user, None)

    def take_back(self, connection: Connection) -> None:
        """A connection that can take another request: to the first in the queue, else it is idle."""
        if self._waiting:
            self._serve(connection)
        elif self._retired or len(self._idle) >= self.limits.max_idle:
            connection.discard()
        else:
            connection.idle_since_s = self._now_s
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """Called by a connection when it is closed."""
        self._open.discard(connection)
        if connection.user is None and connection in self._idle:
            self._idle.remove(connection)
        if len(self._opening) < len(self._waiting):
            self._start_opening()

    def sweep(self, now_s: float) -> None:
        """Once a tick: close what idled too long, refill the warm ones, end waits and overdue answers."""
        self._now_s = now_s
        oldest = now_s - self.limits.idle_timeout_s
        while self._idle and self._idle[0].idle_since_s < oldest:
            self._idle[0].discard()
        if self.limits.wait_s is not None:
            latest = now_s - self.limits.wait_s
            overdue = [(user, was_full) for user, (since, was_full) in self._waiting.items() if since < latest]
            for user, was_full in overdue:
                self.stop_waiting(user)
                user.on_connect_failed("pool_full" if was_full else "timeout")
        self.warm_up(now_s)

    def warm_up(self, now_s: float) -> None:
        if self._retired or now_s - self._failed_at_s < _REOPEN_PAUSE_S:
            return
        missing = self.limits.warm - len(self._open) - len(self._opening)
        for _ in range(max(missing, 0)):
            self._start_opening()

    async def warm(self, timeout_s: float) -> None:
        """Open the warm connections and wait for them, at most so long; those that fail are tried again by `sweep`."""
        self.warm_up(self._loop.time())
        if self._opening:
            await asyncio.wait(self._opening, timeout=timeout_s)

    @property
    def connections(self) -> set[Connection]:
        """Every open connection, idle or used."""
        return self._open

    def retire(self) -> None:
        """Keep nothing: idle connections close now, used ones when they are given back; new ones serve one user."""
        self._retired = True
        while self._idle:
            self._idle[0].discard()

    def abort(self) -> None:
        """Close everything; from now on nobody is served."""
        self.retire()
        self._closed = True
        for task in self._opening:
            task.cancel()
        for connection in list(self._open):
            connection.discard()

    def _serve(self, connection: Connection) -> None:
        user = next(iter(self._waiting))
        del self._waiting[user]
        user.on_connected(connection)

    def _start_opening(self) -> None:
        if self._closed or len(self._open) + len(self._opening) >= self.limits.max_connections:
            return
        task = self._loop.create_task(self._connect())
        self._opening.add(task)
        task.add_done_callback(self._opened)

    async def _connect(self) -> None:
        loop = self._loop
        address = self.address

        def make() -> Connection:
            return Connection(self)

        try:
            async with asyncio.timeout(self.limits.connect_timeout_s):
                if address.path is not None:
                    _, connection = await loop.create_unix_connection(make, address.path)
                else:
                    _, connection = await loop.create_connection(
                        make, address.host, address.port, ssl=self._tls, server_hostname=self._server_name)
        except TimeoutError:
            self._fail("timeout", f"no connection within {self.limits.connect_timeout_s:g} s")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError, a host name beyond IDNA a ValueError
            self._fail("connect", str(error)[:200])
        else:
            self.opened_count += 1
            self.last_error = ""
            if self._closed:
                connection.transport.abort()
            elif connection.is_usable:  # it may have been closed again while this task waited for its turn
                self._open.add(connection)
                self.take_back(connection)
            else:
                self._fail("connect", "closed as soon as it was open")

    def _fail(self, reason: str, text: str) -> None:
        self.last_error = text
        self._failed_at_s = self._loop.time()
        if self._waiting:
            user = next(iter(self._waiting))
            del self._waiting[user]
            user.on_connect_failed(reason)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled():
            task.result()
        if len(self._opening) < len(self._waiting):
            self._start_opening()
