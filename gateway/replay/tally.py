"""What was judged, counted with bounded memory: by rule and action, and what differs between two policies."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from gateway.engine.verdict import Verdict
from gateway.replay.entry import PastRequest

REMEMBERED = 256
"""Visitors that one row remembers. There are as many rows as rules, so the whole is some MiB."""
USER_AGENT_CHARACTERS = 160
TARGET_CHARACTERS = 160


class Decision(NamedTuple):
    """What ended a judgement."""

    rule: str
    action: str

    def __str__(self) -> str:
        return f"{self.action} ({self.rule})"


class Example(NamedTuple):
    """A visitor of a row. `requests`: how many, at least; `first`: the first one that was seen."""

    requests: int
    address: str
    user_agent: str
    first: str


class Visitors:
    """The most frequent visitors (address and user agent) of a row: at most REMEMBERED, after Misra and Gries ("Finding
    repeated elements", 1982). Who has more than 1 / REMEMBERED of the row's requests is surely among them; counts are
    too low by at most that share."""

    __slots__ = ("_counts", "_first")

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], str] = {}

    def add(self, request: PastRequest) -> None:
        """Count one request."""
        who = request.where.text[:USER_AGENT_CHARACTERS], request.user_agent[:USER_AGENT_CHARACTERS]
        if who in self._counts:
            self._counts[who] += 1
        elif len(self._counts) < REMEMBERED:
            self._counts[who] = 1
            self._first[who] = f"{request.described.text('Method')} {request.target}"[:TARGET_CHARACTERS]
        else:
            self._forget()

    def top(self, limit: int) -> list[Example]:
        """The most frequent ones first."""
        return [Example(count, *who, self._first[who]) for who, count in self._counts.most_common(limit)]

    def _forget(self) -> None:
        for who in list(self._counts):
            self._counts[who] -= 1
            if not self._counts[who]:
                del self._counts[who], self._first[who]


class Tally:
    """The verdicts of one policy. `dry`: what rules on a dry run would have decided; `classes`: of visitors."""

    def __init__(self) -> None:
        self.decisions: Counter[Decision] = Counter()
        self.classes: Counter[str] = Counter()
        self.dry: Counter[Decision] = Counter()
        self._visitors: dict[Decision, Visitors] = {}

    def add(self, verdict: Verdict, bot_class: str, request: PastRequest) -> None:
        """Count one judgement."""
        decision = Decision(verdict.rule, verdict.action)
        self.decisions[decision] += 1
        self.classes[bot_class] += 1
        self.dry.update(Decision(*would) for would in verdict.dry)
        self._visitors.setdefault(decision, Visitors()).add(request)

    def examples(self, decision: Decision, limit: int) -> list[Example]:
        """The most frequent visitors that it hit."""
        return self._visitors[decision].top(limit)


class Changes:
    """What another policy decides differently. `counts`: (before, after) -> requests; equal decisions are not there."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Decision, Decision]] = Counter()
        self._visitors: dict[tuple[Decision, Decision], Visitors] = {}

    def add(self, before: Verdict, after: Verdict, request: PastRequest) -> None:
        """Count one request that both have judged."""
        change = Decision(before.rule, before.action), Decision(after.rule, after.action)
        if change[0] == change[1]:
            return
        self.counts[change] += 1
        self._visitors.setdefault(change, Visitors()).add(request)

    def ordered(self) -> list[tuple[Decision, Decision, int]]:
        """Other actions first, then the same action by another rule; the most frequent first."""
        return sorted(
            ((before, after, count) for (before, after), count in self.counts.items()),
            key=lambda row: (row[0].action == row[1].action, -row[2], row[0], row[1]),
        )

    def examples(self, before: Decision, after: Decision, limit: int) -> list[Example]:
        """The most frequent visitors that it concerns."""
        return self._visitors[before, after].top(limit)
