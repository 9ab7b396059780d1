"""The engine's look-ups, put together: crawlers by address and name, agents by signature, lists that are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config import EngineCrawlers
from gateway.engine.bots.ranges import load_ranges
from gateway.engine.bots.standing import standing_by_ranges
from gateway.engine.policy.loading import FetchedSet
from gateway.engine.question import Identify, Question, Reply, SignedBy
from gateway.engine.store import Store


class _ByRanges:
    def __init__(self) -> None:
        self.ranges = load_ranges()

    def answer(self, question: Question, now_s: float) -> Reply:
        if isinstance(question, Identify):
            return standing_by_ranges(self.ranges, question.operator, question.address) or "unknown"
        return SignedBy("unknown", "")


class Lookups:
    def __init__(self, settings: EngineCrawlers, store: Store, lists: Mapping[str, FetchedSet]) -> None:
        self.verifier = self.signatures = _ByRanges()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def use(self, lists: Mapping[str, FetchedSet]) -> None: ...

    def status(self) -> dict[str, Any]:
        return {}
