"""A load generator for calls on keep-alive connections, over TCP or a Unix socket, in one thread.

Requests are ready bytes and an answer is recognised by its last bytes, so a call costs the generator some 15 us, the
kernel included: less than it costs who is asked.

- `saturate`: as many calls as the other side takes (closed loop: each connection asks again when it is answered).
- `paced`: calls arrive by chance at a fixed mean rate (open loop, Poisson). A latency begins when the call was due, not
  when a connection was free for it, so that a slow answer cannot hide the calls that it held up (coordinated omission).
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter as now  # uvloop's own clock stands still within a turn
from typing import cast

PATIENCE_S = 20.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_SAMPLED = 64  # of the answers, one in so many is looked at for its status


@dataclass
class Load:
    """What came back. latencies_s: one per call of `paced`, unsorted."""

    calls: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    """Of one answer in 64 (of the first of each connection, too)."""
    latencies_s: list[float] = field(default_factory=list)


class Asker(asyncio.Protocol):
    """One connection, one call at a time; `on_answer(asker, answer)` when it is answered."""

    __slots__ = ("_held", "_on_answer", "due_s", "is_lost", "transport")

    def __init__(self, on_answer: Callable[[Asker, bytes], None]) -> None:
        self._on_answer = on_answer
        self._held = b""
        self.transport = cast(asyncio.Transport, None)
        self.due_s = 0.0
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True

    def data_received(self, data: bytes) -> None:
        if self._held:
            data = self._held + data
            self._held = b""
        if _is_whole(data):
            self._on_answer(self, data)
        else:
            self._held = data


def _is_whole(data: bytes) -> bool:
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return False
    if end == len(data) and b"ength: 0\r\n" in data:  # allowed: a third of what the expression costs
        return True
    found = _LENGTH.search(data, 0, end)
    return len(data) - end >= (int(found[1]) if found else 0)


class Generator:
    """`connections` to `target`: (host, port), or the path of a Unix socket. Requests are taken in turn."""

    def __init__(self, target: tuple[str, int] | str, requests: Sequence[bytes], connections: int = 32) -> None:
        self._target = target
        self._requests = requests
        self._next = 0
        self._count = connections
        self._askers: list[Asker] = []
        self._loop = asyncio.get_running_loop()
        self._load = Load()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._end_s = 0.0
        self._waiting: deque[float] = deque()
        self._idle: list[Asker] = []

    async def saturate(self, seconds: float) -> Load:
        """Closed loop."""
        await self._connect(self._ask_again)
        started_s = now()
        self._end_s = started_s + seconds
        for asker in self._askers:
            self._ask(asker)
        await self._finish(seconds)
        self._load.seconds = now() - started_s
        return self._load

    async def paced(self, rate: float, seconds: float, seed: int = 3) -> Load:
        """Open loop at `rate` calls per second on average."""
        await self._connect(self._note)
        self._idle = list(self._askers)
        choose = random.Random(seed)
        started_s = due_s = now()
        self._end_s = started_s + seconds
        arrivals: list[float] = []
        while (due_s := due_s + choose.expovariate(rate)) < self._end_s:
            arrivals.append(due_s)
        arrivals.reverse()
        expected = len(arrivals)

        def pump() -> None:
            now_s = now()
            while arrivals and arrivals[-1] <= now_s:
                self._waiting.append(arrivals.pop())
            while self._waiting and self._idle:
                asker = self._idle.pop()
                asker.due_s = self._waiting.popleft()
                self._ask(asker)
            if self._load.calls == expected and not self._over.done():
                self._over.set_result(None)
            elif not self._over.done():
                self._loop.call_soon(pump)  # it has its core for itself: a timer would come up to 1 ms late

        pump()
        await self._finish(seconds)
        self._load.seconds = seconds
        return self._load

    async def _connect(self, on_answer: Callable[[Asker, bytes], None]) -> None:
        for _ in range(self._count):
            if isinstance(self._target, str):
                _, asker = await self._loop.create_unix_connection(lambda: Asker(on_answer), self._target)
            else:
                _, asker = await self._loop.create_connection(lambda: Asker(on_answer), *self._target)
            self._askers.append(asker)

    async def _finish(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds + PATIENCE_S):
                await self._over
        finally:
            for asker in self._askers:
                asker.transport.abort()

    def _ask(self, asker: Asker) -> None:
        at = self._next
        self._next = at + 1 if at + 1 < len(self._requests) else 0
        asker.transport.write(self._requests[at])

    def _ask_again(self, asker: Asker, answer: bytes) -> None:
        load = self._load
        if not load.calls % _SAMPLED:
            load.statuses[int(answer[9:12])] += 1
            if now() >= self._end_s and not self._over.done():
                self._over.set_result(None)
        load.calls += 1
        self._ask(asker)

    def _note(self, asker: Asker, answer: bytes) -> None:
        load = self._load
        if not load.calls % _SAMPLED:
            load.statuses[int(answer[9:12])] += 1
        load.calls += 1
        load.latencies_s.append(now() - asker.due_s)
        self._idle.append(asker)


async def ask_each(target: tuple[str, int] | str, requests: Sequence[bytes]) -> list[bytes]:
    """The heads of the answers to these requests, each asked once, in order."""
    answers: list[bytes] = []
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def note(asker: Asker, answer: bytes) -> None:
        answers.append(answer[: answer.find(b"\r\n\r\n") + 2])
        if len(answers) < len(requests):
            asker.transport.write(requests[len(answers)])
        elif not over.done():
            over.set_result(None)

    if isinstance(target, str):
        transport, _ = await loop.create_unix_connection(lambda: Asker(note), target)
    else:
        transport, _ = await loop.create_connection(lambda: Asker(note), *target)
    transport.write(requests[0])
    async with asyncio.timeout(PATIENCE_S):
        await over
    transport.abort()
    return answers
