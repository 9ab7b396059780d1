"""The loop from findings to the engine: what is open is planned, written to the file that engines read, and recorded.

One round after another, by whoever runs it; nothing here waits. A round in which nothing can be different reads one row
of the store and the state of the file. One that fails changes nothing, says so once, and the next one tries again:
patches that are in force end by themselves, in the engine.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gateway import logs
from gateway.config import Config, load_config
from gateway.config.change import FileState, file_state
from gateway.config.patch import Patch, read_patches
from gateway.config.posture import PROVIDERS, Action, Posture
from gateway.errors import ConfigError, PostureStoreError
from gateway.posture.action import TOO_MANY, Change, Located, Plan, Sites, changes, host_of, plan
from gateway.posture.finding import Finding
from gateway.posture.patch_file import write_patches
from gateway.posture.severity import Severity, rank
from gateway.posture.site import OwnSites
from gateway.posture.watching import pause_s

if TYPE_CHECKING:
    from gateway.posture.store import Store

_MESSAGES = {
    "started": "patch started", "changed": "patch changed", "ended": "patch ended", "expired": "patch expired",
}  # fmt: skip
MAX_RECORDS = 1000
MAX_FINDINGS = 10_000
"""Of one provider that are looked at: the worst, and of equally bad ones the oldest."""
_SAID_EACH = 10
"""Of a kind that are logged one by one in a round; the others are counted."""


class Findings(Protocol):
    """What is needed of posture.store.Store."""

    def version(self) -> int: ...

    def current(
        self, *, provider: str, at_least: Severity, limit: int, oldest_first: bool
    ) -> list[Finding]: ...

    def target_of(self, finding: Finding) -> str | None: ...

    def add_action_records(self, records: list[dict[str, Any]]) -> None: ...


class Look(NamedTuple):
    """What a plan was made of. until_s: Unix seconds, when time alone changes it; rest_s: monotonic, before which a
    change of the store can wait."""

    version: int
    rules: Sequence[Action]
    sites: Sites
    until_s: float
    rest_s: float


@dataclass(slots=True)
class Acting:
    """What is known from one round to the next. patches: as they stand in the file, None = not looked yet; seen: what
    the file was then; look: of the last round that ended well; said: what was logged already and still holds; records:
    what the store could not take yet."""

    patches: tuple[Patch, ...] | None = None
    seen: FileState | None = None
    look: Look | None = None
    said: set[tuple[str, ...]] = field(default_factory=set)
    records: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""


async def apply(
    store: Findings, posture: Posture, sites: Sites, file: Path, log: logs.Log, now_s: float, state: Acting
) -> None:
    """One round: open findings in, patches in `file`, what changed in the store's records and the log. The file is
    written only if it should say something else. now_s: Unix seconds. Never raises for a store or a disk that fails."""
    try:
        done = await asyncio.to_thread(_round, store, posture, sites, file, now_s, state)
        changed = () if done is None else done.changed
        if done is not None:
            _say(done, log, state)
        state.records = [*state.records, *(change.as_record(now_s) for change in changed)][-MAX_RECORDS:]
        if state.records:
            await asyncio.to_thread(store.add_action_records, state.records)
            state.records = []
    except PostureStoreError as error:
        _complain(str(error), log, state)
    except OSError as error:
        _complain(f"{file}: {error.strerror}", log, state)
    else:
        state.error = ""


def repeated(config: Callable[[], Config], file: Path) -> Callable[[Findings, Posture], Awaitable[None]]:
    """`apply` for whoever runs it again and again. config: the one in force, whose sites a reload may change."""
    state, log = Acting(), logs.get("posture.actions")
    sites: tuple[Config, OwnSites] | None = None

    async def round(store: Findings, posture: Posture) -> None:
        nonlocal sites
        if sites is None or sites[0] is not config():
            sites = config(), OwnSites(config().sites)
        await apply(store, posture, sites[1], file, log, time.time(), state)

    return round


def planned(store: Findings, file: Path) -> dict[str, Any]:
    """The document of `actions`: what the rules of a configuration ask for now. Nothing is written."""
    config = load_config(file)
    located, crowded = _found(store, config.posture.actions.rules)
    found = plan(config.posture.actions.rules, located, OwnSites(config.sites), time.time())
    warnings = [(one.patch.name, one.patch.finding.id, one.patch.host, one.why) for one in found.weak]
    return {
        "actions": [patch.model_dump(mode="json") for patch in found.patches],
        "skipped": [
            {"rule": one.rule, "finding": one.finding.id, "title": one.finding.title, "why": one.why}
            for one in found.skipped
        ],
        "warnings": [
            {"rule": rule, "finding": finding, "host": host, "why": why}
            for rule, finding, host, why in [*((None, None, None, _crowd(each)) for each in crowded), *warnings]
        ],
        "total": len(found.patches),
    }


def history(store: Store) -> dict[str, Any]:
    """The document of `actions --history`, the newest first."""
    records = store.action_records(MAX_RECORDS)
    return {"history": records, "total": len(records)}


def _complain(error: str, log: logs.Log, state: Acting) -> None:
    """Once, as long as it is the same."""
    if error != state.error:
        log.error("actions on findings are not up to date", error=error)
    state.error = error


class _Done(NamedTuple):
    """What a round planned, and what of it is new; written when it is there. crowded: providers with more findings
    than are looked at."""

    plan: Plan
    changed: Sequence[Change]
    crowded: Sequence[str]


def _round(
    store: Findings, posture: Posture, sites: Sites, file: Path, now_s: float, state: Acting
) -> _Done | None:
    """None: there is nothing that could be different."""
    rules, version, began_s = posture.actions.rules, store.version(), time.monotonic()
    if state.patches is None:
        state.seen = file_state(file)
        state.patches = _written(file)
    is_touched = bool(state.patches) and file_state(file) != state.seen
    if not is_touched and _holds(state.look, version, rules, sites, now_s):
        return None
    located, crowded = _found(store, rules)
    planned = plan(rules, located, sites, now_s)
    changed = changes(state.patches, planned, now_s)
    if planned.patches != state.patches or is_touched:
        write_patches(file, planned.patches)
        state.patches, state.seen = planned.patches, file_state(file)
    until_s = min((patch.until_s for patch in planned.patches), default=math.inf)
    ended_s = time.monotonic()
    state.look = Look(version, rules, sites, until_s, ended_s + pause_s(ended_s - began_s))
    return _Done(planned, changed, crowded)


def _holds(look: Look | None, version: int, rules: Sequence[Action], sites: Sites, now_s: float) -> bool:
    if look is None or look.rules is not rules or look.sites is not sites:
        return False
    return time.monotonic() < look.rest_s or (look.version == version and now_s < look.until_s)


def _found(store: Findings, rules: Sequence[Action]) -> tuple[list[Located], list[str]]:
    """(what the rules may be for, providers that have more of it than is looked at)"""
    located: list[Located] = []
    crowded: list[str] = []
    for provider in PROVIDERS:
        needed = [rule.match.severity for rule in rules if provider in (rule.match.providers or PROVIDERS)]
        if needed:
            mildest = max(needed, key=rank)
            found = store.current(provider=provider, at_least=mildest, limit=MAX_FINDINGS + 1, oldest_first=True)
            crowded += [provider] if len(found) > MAX_FINDINGS else []
            located += _located(store, found[:MAX_FINDINGS])
    return located, crowded


def _located(store: Findings, found: Iterable[Finding]) -> Iterable[Located]:
    """The target is asked for only where the finding's own asset says nothing, and once of a scan: there may be
    thousands."""
    targets: dict[str, str | None] = {}
    for finding in found:
        located = Located(finding, None)
        if host_of(located) is None:
            if finding.scan not in targets:
                targets[finding.scan] = store.target_of(finding)
            located = Located(finding, targets[finding.scan])
        yield located


def _crowd(provider: str) -> str:
    return f"{provider} has over {MAX_FINDINGS} open findings that rules may be for: only the worst of them count"


def _written(file: Path) -> tuple[Patch, ...]:
    """What an earlier process left; nothing of a file that is broken, which is written anew."""
    try:
        return read_patches(file)
    except ConfigError:
        return ()


def _say(done: _Done, log: logs.Log, state: Acting) -> None:
    """What began and ended; and what is not as it should be, once, as long as it is so."""
    for change in done.changed:
        patch = change.patch
        log.info(
            _MESSAGES[change.event], patch=patch.name, reason=change.reason, host=patch.host, do=patch.do,
            paths=list(patch.paths), preset=patch.preset, until=patch.until, dry_run=patch.dry_run,
            finding=patch.finding.id, provider=patch.finding.provider,
        )  # fmt: skip
    said = [*_skipped(done.plan), *_weak(done.plan), *_crowded(done.crowded)]
    fresh: dict[str, list[_Said]] = {}
    for one in said:
        if one.key not in state.said:
            fresh.setdefault(one.message, []).append(one)
    for message, each in fresh.items():
        _warn(message, each, log)
    state.said = {one.key for one in said}


class _Said(NamedTuple):
    """One line of the log. is_alike: there may be thousands that differ in nothing that matters."""

    message: str
    key: tuple[str, ...]
    fields: dict[str, Any]
    is_alike: bool = False


def _warn(message: str, fresh: Sequence[_Said], log: logs.Log) -> None:
    shown = [one for one in fresh if not one.is_alike][:_SAID_EACH]
    for one in shown:
        log.warning(message, **one.fields)
    if len(fresh) > len(shown):
        log.warning(
            "more of the same", what=message, count=len(fresh) - len(shown), reason=fresh[-1].fields["reason"],
            all="gateway posture actions",
        )  # fmt: skip


def _skipped(planned: Plan) -> Iterable[_Said]:
    for one in planned.skipped:
        fields = {
            "patch": one.rule, "reason": one.why, "finding": one.finding.id, "provider": one.finding.provider,
            "title": one.finding.title[:100],
        }  # fmt: skip
        yield _Said("no patch for a finding", (one.finding.fingerprint, one.rule, one.why), fields, one.why == TOO_MANY)


def _weak(planned: Plan) -> Iterable[_Said]:
    for patch, why in planned.weak:
        fields = {"patch": patch.name, "reason": why, "host": patch.host, "finding": patch.finding.id}
        yield _Said("patch is partly effective", (*patch.key, why), fields)


def _crowded(providers: Iterable[str]) -> Iterable[_Said]:
    for provider in providers:
        yield _Said("too many findings", (provider,), {"reason": _crowd(provider), "provider": provider})
