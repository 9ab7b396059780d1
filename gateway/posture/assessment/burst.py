"""Whether many requests at once are slowed down."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from gateway.posture.assessment.verdict import Verdict, found, not_done, ok
from gateway.posture.assessment.visitor import Unanswered, Visitor

_AT_A_TIME = 10
_GIVE_UP = 10
"""Requests without an answer after which no more are sent."""
_LIMITED = frozenset({429, 503})


async def probe_burst(visitor: Visitor, url: str, count: int) -> Verdict:
    """rate-limit-absent: `count` requests, ten at a time, and no 429 or 503.

    A 403 counts as a limit too where requests before it were let through: that is how many protections, this gateway's
    among them, stop who asks too much. Requests without an answer say nothing.
    """
    burst = _Burst(visitor, url, count)
    await asyncio.gather(*(burst.ask() for _ in range(min(_AT_A_TIME, count))))
    return burst.verdict()


class _Burst:
    """Statuses in the order in which they came."""

    def __init__(self, visitor: Visitor, url: str, count: int) -> None:
        self._visitor = visitor
        self._url = url
        self._count = count
        self._left = count
        self._statuses: list[int] = []
        self._silences: list[str] = []
        self._limited_after: int | None = None

    async def ask(self) -> None:
        """One of those who ask, until all is asked or a limit was met."""
        while self._left > 0 and self._limited_after is None and len(self._silences) < _GIVE_UP:
            self._left -= 1
            answer = await self._visitor.get(self._url, with_body=False)
            if isinstance(answer, Unanswered):
                self._silences.append(answer.reason)
            else:
                self._note(answer.status)

    def verdict(self) -> Verdict:
        evidence: dict[str, Any] = {
            "statuses": {str(status): count for status, count in Counter(self._statuses).items()},
            "unanswered": len(self._silences),
        }
        if self._limited_after is not None:
            return ok(limited_after=self._limited_after, **evidence)
        if self._silences:
            missing = f"{len(self._silences)} of {len(self._silences) + len(self._statuses)} requests had no answer"
            return not_done(f"{missing}, the first: {self._silences[0]}", **evidence)
        return found(f"{self._count} requests at once were all answered, none with 429 or 503", **evidence)

    def _note(self, status: int) -> None:
        self._statuses.append(status)
        is_shut_out = status == 403 and self._statuses[0] != 403
        if self._limited_after is None and (status in _LIMITED or is_shut_out):
            self._limited_after = len(self._statuses)
