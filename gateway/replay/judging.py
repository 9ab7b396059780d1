"""Judge a request of the past as an engine would have at that time, without one.

Rates are counted in memory, on the log's own clock. Claims are judged by the published ranges that the product ships;
a name of an address is looked up only if that is asked for, so by default some claims stay unknown. Signatures of Web
Bot Auth have long expired and are never verified.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import TypeVar, cast

from gateway.engine.lookup.verifier import Verifier
from gateway.engine.policy.explanation import Explained, ExplainedPolicy
from gateway.engine.question import Count, Identify, Question, Reply, Signed, SignedBy, Spend
from gateway.engine.request import Request
from gateway.engine.store.memory import CAPACITY, MemoryStore
from gateway.engine.verdict import Verdict
from gateway.replay.source import NamedPolicy

Result = TypeVar("Result")


class Judge:
    """One policy with counters of its own. `unknown`: claims that nobody could confirm or refute."""

    def __init__(self, policy: NamedPolicy, verifier: Verifier, capacity: int = CAPACITY) -> None:
        """`capacity`: counters that are held at once."""
        self.policy = policy
        self.unknown = 0
        self._verifier = verifier
        self._now_s = 0.0
        self._store = MemoryStore(capacity, clock=lambda: self._now_s)

    @property
    def forgotten(self) -> int:
        """Counters that went although they still counted, because there were too many."""
        return self._store.evicted_live

    async def judge(self, request: Request, now_s: float) -> Verdict:
        """The verdict at a time, Unix seconds."""
        return await self._drive(self.policy.loaded.policy.judge(request), now_s)

    async def explain(self, request: Request, now_s: float) -> Explained:
        """The verdict with every rule's reasons."""
        return await self._drive(ExplainedPolicy(self.policy.loaded).explain(request), now_s)

    async def _drive(self, steps: Generator[Question, Reply, Result], now_s: float) -> Result:
        self._now_s = now_s
        try:
            question = next(steps)
            while True:
                reply = self._answer(question, now_s)
                if isinstance(reply, Awaitable):
                    reply = await reply
                self.unknown += isinstance(question, Identify) and reply == "unknown"
                question = steps.send(reply)
        except StopIteration as done:
            return cast(Result, done.value)

    def _answer(self, question: Question, now_s: float) -> Reply | Awaitable[Reply]:
        match question:
            case Count() | Spend():
                return self._store.answer(question, now_s)
            case Identify():
                return self._verifier.answer(question, now_s)
            case Signed():
                return SignedBy("unknown", "")
