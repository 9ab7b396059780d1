"""The state of one engine in its own memory: rates, spent proofs, overrides, what look-ups found.

Theory of operation. Everything is bounded and answered at once; there are no timers. Expired things go when something
new needs their place, so memory falls with the traffic and never rises past the capacity.

*Rates* are kept in the order of their last use. A new key drops up to two from the idle end whose time has passed; past
the capacity the one that was idle longest goes even if it still counts, which forgives somebody a part of his requests.
`evicted_live` counts these: it should stay 0, else the capacity is too small for the traffic or somebody is pouring
keys in.

*Spent ids* have room of their own, so that a flood of addresses cannot push them out. When that room is full of ids
that have not expired, a new one is refused, as if it were spent. Of the two mistakes this is the one that costs an
attacker: to fill it he must solve a challenge for every id, and it heals as ids expire; forgetting an id instead would
make its proof count again, for everybody and for free. `refused_full` counts these.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

from gateway.engine.override import NO_OVERRIDES, Override, Overrides, parse_subject
from gateway.engine.question import Count, Counted, Question, Spend
from gateway.engine.rate import MICROSECONDS, conform

CAPACITY = 100_000  # rates, and as many spent ids: about 40 MiB when both are full
CACHED = 20_000  # results of look-ups
_ALLOWED = Counted(True, 0.0)


class MemoryStore:
    """Implements question.Respondent for Count and Spend, at once; belongs to one event loop.

    `overrides`: the snapshot in force. Counters: `evicted_live`, `refused_full` (see above); `errors` and
    `local_answers` are 0 and `degraded_reason` is "", since there is nothing that could be gone.
    """

    degraded_reason = ""
    errors = 0
    local_answers = 0

    def __init__(self, capacity: int = CAPACITY, clock: Callable[[], float] = time.time) -> None:
        """`capacity`: rates, and as many spent ids again; `clock`: Unix time, for what has no `now_s`."""
        if capacity < 1:
            raise ValueError(f"got a capacity of {capacity}; expected at least 1")
        self.overrides: Overrides = NO_OVERRIDES
        self.evicted_live = 0
        self.refused_full = 0
        self._capacity = capacity
        self._clock = clock
        self._rates: OrderedDict[str, int] = OrderedDict()  # key -> TAT in microseconds, last used last
        self._spent: set[str] = set()
        self._expiries: list[tuple[float, str]] = []  # a heap: (Unix time, spent id)
        self._found: OrderedDict[str, tuple[float, str]] = OrderedDict()  # key -> (Unix time of expiry, value)

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to close: what is in memory goes with the engine."""

    # -- questions

    def answer(self, question: Question, now_s: float, patience_s: float = inf) -> Counted | bool:
        """The reply to a Count or a Spend. Raises TypeError for a question of another kind."""
        if type(question) is Count:
            return self._count(question, int(now_s * MICROSECONDS))
        if type(question) is Spend:
            return self._spend(question, now_s)
        raise TypeError(f"a store does not answer {type(question).__name__}")

    def is_spent(self, id: str, now_s: float) -> bool:
        """True if the id was spent here and has not expired."""
        self._forget_expired(now_s)
        return id in self._spent

    def _count(self, question: Count, now_us: int) -> Counted:
        key, limit, per_s, burst = question
        tat_us = self._rates.get(key)
        if tat_us is None:
            self._make_room(now_us)
            tat_us = 0
        allowed, kept_us, retry_after_s = conform(tat_us, now_us, limit, per_s, burst)
        self._rates[key] = kept_us
        self._rates.move_to_end(key)
        return _ALLOWED if allowed else Counted(False, retry_after_s)

    def _make_room(self, now_us: int) -> None:
        rates = self._rates
        for _ in range(2):  # two out for one in: what is left of a flood goes with the requests that follow it
            if not rates or rates[next(iter(rates))] > now_us:
                break
            rates.popitem(last=False)
        if len(rates) >= self._capacity:
            rates.popitem(last=False)
            self.evicted_live += 1

    def _spend(self, question: Spend, now_s: float) -> bool:
        self._forget_expired(now_s)
        if question.id in self._spent:
            return False
        if len(self._spent) >= self._capacity:
            self.refused_full += 1
            return False
        self._spent.add(question.id)
        heappush(self._expiries, (now_s + question.ttl_s, question.id))
        return True

    def _forget_expired(self, now_s: float) -> None:
        while self._expiries and self._expiries[0][0] <= now_s:
            self._spent.discard(heappop(self._expiries)[1])

    # -- overrides

    async def put(self, override: Override) -> None:
        """In force from now on, in the place of one of its subject. Raises OverrideError if there are too many."""
        self.overrides = self.overrides.with_entry(override, self._clock())

    async def remove(self, subject: str) -> bool:
        """False if there was none. Raises OverrideError if that is no subject."""
        subject = parse_subject(subject)
        known = self.overrides.get(subject) is not None
        self.overrides = self.overrides.without(subject)
        return known

    async def list(self) -> list[Override]:
        """Those in force, the one that ends first at the top."""
        return self.overrides.live(self._clock())

    # -- what look-ups found

    async def cache_get(self, key: str) -> str | None:
        """What was put there, until its time is over."""
        entry = self._found.get(key)
        if entry is None or entry[0] <= self._clock():
            return None
        self._found.move_to_end(key)
        return entry[1]

    async def cache_put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep it for `ttl_s`, or for less if CACHED others are used more."""
        self._found[key] = self._clock() + ttl_s, value
        self._found.move_to_end(key)
        if len(self._found) > CACHED:
            self._found.popitem(last=False)
