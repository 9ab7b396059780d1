"""Does this address belong to that operator? The Respondent of Identify.

Theory of operation, in order of cost: what is remembered; what published ranges say (pure, `bots.standing`); what the
engines that share a store have found out; forward-confirmed reverse DNS. The last two take time, so they run in a task
of their own: one for each (operator, address) however many ask. Who asks waits at most `wait_s` and then hears
"unknown", while the look-up goes on for the next request; with `wait_s` 0, or without a seat (`waiting`), at once.

A claim costs its sender nothing and a look-up of a silent reverse zone takes `total_timeout_s`, so the places are
shared out: `max_running` in all, `max_running_of_a_network` for one /24 or /56, and for one operator as many as are
still free. That is half of them if one operator is named, a third each if two are, and there is always one for another.

"unknown" is no verdict: the resolver gave no answer, all places were taken, or it is too early. Somebody who owns the
reverse zone of his address can make it so on purpose, so a policy gives "unknown" nothing that it would not give "fake"
except the benefit of a later request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from math import inf
from typing import Protocol

from gateway import logs
from gateway.engine.bots.operator import OPERATORS
from gateway.engine.bots.ranges import Ranges
from gateway.engine.bots.standing import standing_by_ranges
from gateway.engine.lookup.memory import StandingMemory
from gateway.engine.lookup.resolver import Resolver
from gateway.engine.lookup.tally import Tally
from gateway.engine.lookup.waiting import SEATS, SEATS_OF_A_NETWORK, WaitingRoom
from gateway.engine.network import place
from gateway.engine.question import Identify, Question, Standing
from gateway.errors import GatewayError, LookupFailed

REMEMBERED_S: dict[Standing, float] = {"verified": 86_400.0, "fake": 3_600.0, "unknown": 30.0}
"""How long a standing counts: an address changes hands in weeks, a name server that is down comes back in minutes."""

_PROVED: dict[str, Standing] = {"verified": "verified", "fake": "fake"}

log = logs.get("engine.lookup")


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """`dns`: ask name servers at all. `nameservers`: see Resolver; none = the system's. `wait_s`: of one asker, out of
    the 150 ms that the caller has for everything; 0 = answer at once and know next time. `total_timeout_s`: of one
    look-up, all its questions. `max_running...`: look-ups; `max_waiting...`: who waits for them."""

    dns: bool = True
    nameservers: tuple[str, ...] = ()
    wait_s: float = 0.08
    query_timeout_s: float = 1.0
    total_timeout_s: float = 2.0
    max_running: int = 64
    max_running_of_a_network: int = 4
    max_waiting: int = SEATS
    max_waiting_of_a_network: int = SEATS_OF_A_NETWORK


class SharedCache(Protocol):
    """What engines with one store know together (the engine's stores are one). May raise GatewayError."""

    async def cache_get(self, key: str) -> str | None:
        """None if nobody knows, or the store is gone. `key`: printable, at most 100 characters."""

    async def cache_put(self, key: str, value: str, ttl_s: float) -> None:
        """Only `verified` and `fake` are shared."""


class Verifier:
    """Implements question.Respondent for Identify."""

    def __init__(self, ranges: Ranges, settings: VerifierSettings, shared: SharedCache | None = None) -> None:
        self._ranges = ranges
        self._settings = settings
        self._shared = shared
        self._memory = StandingMemory()
        self._running: dict[str, asyncio.Task[Standing]] = {}
        self._operators, self._networks = Tally(), Tally()  # of those that run
        self._waiting = WaitingRoom(settings.max_waiting, settings.max_waiting_of_a_network)
        self._resolver = Resolver(settings.nameservers, query_timeout_s=settings.query_timeout_s)

    @property
    def running_count(self) -> int:
        """Look-ups that go on now, at most `max_running`."""
        return len(self._running)

    def use(self, ranges: Ranges) -> None:
        """Other ranges count from the next question on. What names have proved stays."""
        self._ranges = ranges

    def answer(self, question: Question, now_s: float, patience_s: float = inf) -> Standing | Awaitable[Standing]:
        """At once if it is remembered, the ranges tell, or nobody can be asked."""
        assert isinstance(question, Identify)
        standing = standing_by_ranges(self._ranges, question.operator, question.address)
        if standing is not None:
            return standing
        if not self._settings.dns:
            return "unknown"
        where = place(question.address)
        key = f"{question.operator}|{where.text}"
        known = self._memory.get(key, now_s)
        if known is not None:
            return known
        task = self._running.get(key) or self._begin(key, question.operator, where.prefix, now_s)
        if task is None:
            return "unknown"
        seat = self._waiting.seat(task, min(self._settings.wait_s, patience_s), where.prefix)
        return "unknown" if seat is None else self._wait(task, seat)

    async def settle(self) -> None:
        """Wait until what is being looked up now is known."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def close(self) -> None:
        """Give up what is being looked up; whoever waits hears "unknown"."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._resolver.close()

    async def _wait(self, task: asyncio.Task[Standing], seat: asyncio.Future[bool]) -> Standing:
        return task.result() if await seat and not task.cancelled() else "unknown"

    def _begin(self, key: str, operator: str, network: str, now_s: float) -> asyncio.Task[Standing] | None:
        """A look-up of its own; None if too many go on already."""
        if not self._is_room(operator, network):
            return None

        def end(_: object) -> None:
            del self._running[key]
            self._operators.leave(operator)
            self._networks.leave(network)

        task = asyncio.get_running_loop().create_task(self._find_out(key, now_s))
        task.add_done_callback(end)
        self._running[key] = task
        self._operators.enter(operator)
        self._networks.enter(network)
        return task

    def _is_room(self, operator: str, network: str) -> bool:
        settings = self._settings
        free_count = settings.max_running - len(self._running)
        return self._operators[operator] < free_count and self._networks[network] < settings.max_running_of_a_network

    async def _find_out(self, key: str, now_s: float) -> Standing:
        """Never raises. What it finds counts from when it was asked."""
        shared = await self._shared_standing(key)
        standing = shared or await self._looked_up(key)
        self._memory.put(key, standing, now_s + REMEMBERED_S[standing])
        if shared is None:
            await self._share(key, standing)
        return standing

    async def _looked_up(self, key: str) -> Standing:
        operator, _, address = key.partition("|")
        try:
            async with asyncio.timeout(self._settings.total_timeout_s):
                confirmed = await self._resolver.confirms(OPERATORS[operator], address)
        except (LookupFailed, TimeoutError) as error:
            log.debug("look-up failed", operator=operator, address=address, error=str(error) or "timeout")
            return "unknown"
        except Exception:  # a defect of ours or of the resolver's: the judgement goes on without this answer
            log.exception("look-up broke", operator=operator, address=address)
            return "unknown"
        return "verified" if confirmed else "fake"

    async def _shared_standing(self, key: str) -> Standing | None:
        if self._shared is None:
            return None
        try:
            async with asyncio.timeout(self._settings.total_timeout_s):
                found = await self._shared.cache_get(f"standing|{key}")
        except (GatewayError, TimeoutError):
            return None  # the store reports itself; here it only saves a look-up
        return _PROVED.get(found or "")

    async def _share(self, key: str, standing: Standing) -> None:
        if self._shared is None or standing == "unknown":
            return
        try:
            async with asyncio.timeout(self._settings.total_timeout_s):
                await self._shared.cache_put(f"standing|{key}", standing, REMEMBERED_S[standing])
        except (GatewayError, TimeoutError):
            pass  # as above: the others find out for themselves
