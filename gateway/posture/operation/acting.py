"""The loop from findings to the engine: what is open is planned, written to the file that engines read, and recorded.

One round after another, by whoever runs it; nothing here waits. A round that fails changes nothing, says so once, and
the next one tries again: patches that are in force end by themselves, in the engine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gateway import logs
from gateway.config import Config, load_config
from gateway.config.change import FileState, file_state
from gateway.config.patch import Patch, read_patches
from gateway.config.posture import Posture
from gateway.errors import ConfigError, PostureStoreError
from gateway.posture.action import Change, Located, Plan, Sites, Skipped, changes, host_of, plan
from gateway.posture.finding import Finding
from gateway.posture.patch_file import write_patches
from gateway.posture.site import OwnSites

if TYPE_CHECKING:
    from gateway.posture.store import Store

_MESSAGES = {
    "started": "patch started", "changed": "patch changed", "ended": "patch ended", "expired": "patch expired",
}  # fmt: skip
MAX_RECORDS = 1000


class Findings(Protocol):
    """What is needed of posture.store.Store."""

    def current(self) -> list[Finding]: ...

    def target_of(self, finding: Finding) -> str | None: ...

    def add_action_records(self, records: list[dict[str, Any]]) -> None: ...


@dataclass(slots=True)
class Acting:
    """What is known from one round to the next. patches: as they stand in the file, None = not looked yet; seen: what
    the file was then; said: what was logged already and still holds; records: what the store could not take yet."""

    patches: tuple[Patch, ...] | None = None
    seen: FileState | None = None
    said: set[tuple[str, str, str]] = field(default_factory=set)
    records: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""


async def apply(
    store: Findings, posture: Posture, sites: Sites, file: Path, log: logs.Log, now_s: float, state: Acting
) -> None:
    """One round: open findings in, patches in `file`, what changed in the store's records and the log. The file is
    written only if it should say something else. now_s: Unix seconds. Never raises for a store or a disk that fails."""
    try:
        planned, changed = await asyncio.to_thread(_round, store, posture, sites, file, now_s, state)
        _say(changed, planned.skipped, log, state)
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
    located = [_located(store, finding) for finding in store.current()]
    found = plan(config.posture.actions.rules, located, OwnSites(config.sites), time.time())
    return {
        "actions": [patch.model_dump(mode="json") for patch in found.patches],
        "skipped": [
            {"rule": one.rule, "finding": one.finding.id, "title": one.finding.title, "why": one.why}
            for one in found.skipped
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


def _round(
    store: Findings, posture: Posture, sites: Sites, file: Path, now_s: float, state: Acting
) -> tuple[Plan, list[Change]]:
    """What is planned, and what of it is new; written when this returns."""
    rules = posture.actions.rules
    if state.patches is None:
        state.seen = file_state(file)
        state.patches = _written(file)
    planned = plan(rules, [_located(store, finding) for finding in store.current()] if rules else (), sites, now_s)
    changed = changes(state.patches, planned, now_s)
    if planned.patches != state.patches or (planned.patches and file_state(file) != state.seen):
        write_patches(file, planned.patches)
        state.patches, state.seen = planned.patches, file_state(file)
    return planned, changed


def _located(store: Findings, finding: Finding) -> Located:
    """The target is asked for only where the finding's own asset says nothing: there may be thousands."""
    located = Located(finding, None)
    return located if host_of(located) is not None else Located(finding, store.target_of(finding))


def _written(file: Path) -> tuple[Patch, ...]:
    """What an earlier process left; nothing of a file that is broken, which is written anew."""
    try:
        return read_patches(file)
    except ConfigError:
        return ()


def _say(changed: Sequence[Change], skipped: Sequence[Skipped], log: logs.Log, state: Acting) -> None:
    for change in changed:
        patch = change.patch
        log.info(
            _MESSAGES[change.event], patch=patch.name, reason=change.reason, host=patch.host, do=patch.do,
            paths=list(patch.paths), preset=patch.preset, until=patch.until, dry_run=patch.dry_run,
            finding=patch.finding.id, provider=patch.finding.provider,
        )  # fmt: skip
    now = {(one.finding.fingerprint, one.rule, one.why): one for one in skipped}
    for key, one in now.items():
        if key not in state.said:
            log.warning(
                "no patch for a finding", patch=one.rule, reason=one.why, finding=one.finding.id,
                provider=one.finding.provider, title=one.finding.title[:100],
            )  # fmt: skip
    state.said = set(now)
