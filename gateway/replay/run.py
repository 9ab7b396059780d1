"""Replay a payload or a log against one policy or two, and say what came of it.

One request alone is explained rule by rule; a log is counted. Nothing is kept of a request once it was counted, so a
log may be of any size.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple

from gateway.engine.bots.catalogue import Catalogue, load_catalogue
from gateway.engine.bots.ranges import load_ranges, snapshot_dates
from gateway.engine.browser import FINDINGS
from gateway.engine.lookup.verifier import Verifier, VerifierSettings
from gateway.engine.policy.explanation import Explained, Looked, Step
from gateway.engine.session import Kind, Session
from gateway.engine.store.memory import CAPACITY
from gateway.engine.verdict import Identity, identity
from gateway.errors import DescriptionError
from gateway.replay.entry import LACKING, PastRequest
from gateway.replay.judging import Judge
from gateway.replay.reading import Source, Timed
from gateway.replay.source import NamedPolicy
from gateway.replay.tally import Changes, Decision, Example, Tally

EXAMPLES = 3
DNS_PATIENCE_S = 5.0
PROGRESS_LINES = 2_000


@dataclass(frozen=True, slots=True)
class Options:
    """`session`: what everybody has of whom the input says nothing; `dns`: look names of addresses up; `examples`: of
    each row, at most; `on_progress`: called with (lines, share read or None) now and then."""

    session: Kind = "none"
    dns: bool = False
    examples: int = EXAMPLES
    on_progress: Callable[[int, float | None], None] = lambda lines, share: None


class Row(NamedTuple):
    """What one rule did: how often, and to whom most."""

    decision: Decision
    requests: int
    examples: list[Example]


class Change(NamedTuple):
    """What another policy would do instead."""

    before: Decision
    after: Decision
    requests: int
    examples: list[Example]


@dataclass(frozen=True, slots=True)
class Replay:
    """A log, judged. `unreadable` and `unasked`: why lines were not judged -> how many; `notes`: what to bear in mind.
    `against`, `changes`: of the other policy, None without one."""

    policy: str
    lines: int
    judged: int
    first_s: float
    last_s: float
    formats: Counter[str]
    unreadable: Counter[str]
    unasked: Counter[str]
    classes: Counter[str]
    dry: Counter[Decision]
    rows: list[Row]
    notes: list[str]
    against: str | None = None
    changes: list[Change] | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON-able; the names are those of the fields."""
        return {
            "policy": self.policy, "lines": self.lines, "judged": self.judged, "first_s": self.first_s,
            "last_s": self.last_s, "formats": self.formats, "unreadable": self.unreadable, "unasked": self.unasked,
            "classes": self.classes,
            "dry_run": [{**decision._asdict(), "requests": count} for decision, count in self.dry.most_common()],
            "rules": [
                {**row.decision._asdict(), "requests": row.requests, "examples": _examples_json(row.examples)}
                for row in self.rows
            ],
            "notes": self.notes, "against": self.against,
            "changes": None if self.changes is None else [
                {"before": change.before._asdict(), "after": change.after._asdict(), "requests": change.requests,
                 "examples": _examples_json(change.examples)}
                for change in self.changes
            ],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explanation:
    """One request, explained. `findings`: (name, weight, why) of what contradicts its claim to be a browser; `against`:
    the other policy's name and what it decides, None without one."""

    policy: str
    request: PastRequest
    explained: Explained
    identity: Identity
    findings: list[tuple[str, int, str]]
    notes: list[str]
    against: tuple[str, Decision] | None = field(default=None)

    @property
    def decision(self) -> Decision:
        return Decision(self.explained.verdict.rule, self.explained.verdict.action)

    def as_json(self) -> dict[str, Any]:
        """JSON-able; the names are those of the fields."""
        request, verdict = self.request, self.explained.verdict
        return {
            "policy": self.policy, **self.decision._asdict(),
            "dry_run": [{"rule": rule, "action": action} for rule, action in verdict.dry],
            "retry_after_s": verdict.retry_after_s, "location": verdict.location or None,
            "client_ip": request.where.text, "method": request.described.text("Method"), "host": request.host,
            "path": request.raw_path, "user_agent": request.user_agent, "session": request.session.kind,
            "visitor": self.identity._asdict(), "standing": request.standing or None,
            "score": request.score, "absurd": request.absurdity or None,
            "findings": [{"name": name, "weight": weight, "why": why} for name, weight, why in self.findings],
            "rules": [_step_json(step) for step in self.explained.steps],
            "notes": self.notes,
            "against": None if self.against is None else {"policy": self.against[0], **self.against[1]._asdict()},
        }  # fmt: skip


def explain(
    policy: NamedPolicy, name: str, against: NamedPolicy | None = None, options: Options = Options()
) -> Explanation | Replay:
    """Replay what is in a file (`-`: standard input): one request is explained, several are counted.

    Raises DescriptionError if nothing of it can be read.
    """
    source = Source(name)
    try:
        return asyncio.run(_explain(policy, against, source, options))
    finally:
        source.close()


async def _explain(
    policy: NamedPolicy, against: NamedPolicy | None, source: Source, options: Options
) -> Explanation | Replay:
    verifier = Verifier(
        load_ranges(), VerifierSettings(dns=options.dns, wait_s=DNS_PATIENCE_S, total_timeout_s=DNS_PATIENCE_S)
    )
    judges = [Judge(one, verifier) for one in (policy, against) if one is not None]
    try:
        entries = source.entries(lambda: _report(source, options))
        head = list(islice(entries, 2))
        if not head:
            raise DescriptionError(_nothing_readable(source))
        if len(head) == 1 and source.lines == 1:
            return await _explain_one(judges, head[0], options)
        return await _count(judges, chain(head, entries), source, options)
    finally:
        await verifier.close()


async def _explain_one(judges: list[Judge], timed: Timed, options: Options) -> Explanation:
    catalogue, session = load_catalogue(), Session(options.session)
    request = PastRequest(timed.entry, catalogue, session)
    explained = await judges[0].explain(request, timed.now_s)
    against = None
    for other in judges[1:]:
        verdict = await other.judge(PastRequest(timed.entry, catalogue, session), timed.now_s)
        against = other.policy.name, Decision(verdict.rule, verdict.action)
    findings = [(name, FINDINGS[name].weight, FINDINGS[name].why) for name in request.inspection.findings]
    notes = [*_lacking([timed.entry.format]), *_limits(judges, options)]
    return Explanation(judges[0].policy.name, request, explained, identity(request), findings, notes, against)


async def _count(judges: list[Judge], entries: Iterator[Timed], source: Source, options: Options) -> Replay:
    catalogue: Catalogue = load_catalogue()
    session = Session(options.session)
    judge, others = judges[0], judges[1:]
    tally, changes = Tally(), Changes()
    first_s = now_s = -1.0
    for now_s, entry in entries:
        first_s = now_s if first_s < 0 else first_s
        request = PastRequest(entry, catalogue, session)
        verdict = await judge.judge(request, now_s)
        tally.add(verdict, identity(request).bot_class, request)
        for other in others:
            changed = await other.judge(PastRequest(entry, catalogue, session), now_s)
            changes.add(verdict, changed, request)
    rows = [
        Row(decision, count, tally.examples(decision, options.examples))
        for decision, count in tally.decisions.most_common()
    ]
    notes = [*_lacking(source.formats), *_limits(judges, options), *_disorder(source)]
    return Replay(
        judge.policy.name, source.lines, tally.decisions.total(), first_s, now_s, source.formats,
        source.unreadable, source.unasked, tally.classes, tally.dry, rows, notes,
        others[0].policy.name if others else None,
        [Change(before, after, count, changes.examples(before, after, options.examples))
         for before, after, count in changes.ordered()] if others else None,
    )  # fmt: skip


def _report(source: Source, options: Options) -> None:
    if source.lines % PROGRESS_LINES == 0:
        share = None if source.size_bytes is None else min(1.0, source.read_bytes / source.size_bytes)
        options.on_progress(source.lines, share)


def _nothing_readable(source: Source) -> str:
    reasons = ", ".join(f"{reason}: {count}" for reason, count in (source.unreadable + source.unasked).most_common(5))
    got = f"{source.lines} lines and no request in them ({reasons or 'it is empty'})"
    return f"{source.name}: got {got}; expected {_READABLE}"


_READABLE = (
    "payloads of the Protection API in JSON, or lines of an access log (this gateway's, the engine's decision log, or"
    " the format combined)"
)


def _lacking(formats: Counter[str] | list[str]) -> list[str]:
    return [
        f"lines of the format {name} do not show: {', '.join(LACKING[name])}" for name in LACKING if name in formats
    ]


def _limits(judges: list[Judge], options: Options) -> Iterator[str]:
    """What an engine at work knows and we do not."""
    newest = max(snapshot_dates().values())
    unknown = max(judge.unknown for judge in judges)
    if unknown:
        dns = "names of addresses did not tell" if options.dns else "names of addresses were not looked up (--dns)"
        yield f"{unknown} claims to be a known crawler stayed unknown: not in the ranges of {newest}, and {dns}"
    forgotten = max(judge.forgotten for judge in judges)
    if forgotten:
        yield f"{forgotten} counters of limits were given up, over {CAPACITY:,} counted at once: some got too much"
    fetched = sorted({name for judge in judges for name in judge.policy.loaded.lists})
    if fetched:
        yield f"of these sets only their own addresses and files count, nothing is fetched: {', '.join(fetched)}"
    if options.session == "none":
        yield "nobody has passed a challenge, unless the input says so: --session proved shows those who have"


def _disorder(source: Source) -> Iterator[str]:
    if source.late:
        yield f"{source.late} lines stood far out of order and were counted at a later time than theirs"


def _examples_json(examples: list[Example]) -> list[dict[str, Any]]:
    return [example._asdict() for example in examples]


def _step_json(step: Step) -> dict[str, Any]:
    return {**step._asdict(), "looked": [_looked_json(looked) for looked in step.looked]}


def _looked_json(looked: Looked) -> dict[str, Any]:
    inner = [[_looked_json(one) for one in match] for match in looked.inner]
    return {**looked._asdict(), "inner": inner}
