"""`posture scan`: start a scan with any provider, wait for it, read it, list scans. What is read is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import PostureError, PostureStoreError, ScanFailed, WaitExpired
from gateway.posture.finding import Finding
from gateway.posture.operation.desk import Desk
from gateway.posture.operation.reading import read
from gateway.posture.operation.starting import Wanted, checked, start_scan
from gateway.posture.operation.waiting import wait_until
from gateway.posture.scan import Scan, ScanResult, Status
from gateway.posture.severity import rank


@dataclass(frozen=True, slots=True)
class Outcome:
    """A started or read scan as it is stored. more: ids of further scans that the same call started; failure: why the
    command fails although there is a document."""

    scan: Scan
    findings: list[Finding]
    more: tuple[str, ...] = ()
    failure: Exception | None = None

    def started(self) -> dict[str, Any]:
        """The document of `scan start`."""
        return {**self.shown(), "more": list(self.more)}

    def shown(self) -> dict[str, Any]:
        """The document of `scan show`."""
        return {"scan": self.scan.as_json(), "findings": [finding.as_json() for finding in self.findings]}


async def start(desk: Desk, provider: str, wanted: Wanted, *, wait: bool, timeout_s: float) -> Outcome:
    """Start a scan and store it; with `wait`, until it is over and its findings are stored. Raises PostureUsage before
    anything is sent if the provider does not know an option or a type, PostureStoreError if the store cannot be opened.
    """
    wanted = checked(provider, wanted)
    desk.open_store()
    scan, more = await start_scan(desk, provider, wanted)
    if scan.id is None:
        lost = WaitExpired("the audit is not in the audit list yet: it has no id to wait for")
        return Outcome(scan, [], more, lost if wait else None)
    if provider == "embedded":  # over, and stored with its findings
        desk.audience.on_status(scan)
        return _kept(desk, scan.id)
    try:
        outcome = _stored(desk, ScanResult(scan))
    except PostureStoreError as error:
        return Outcome(scan, [], more, error)  # it runs all the same: its id must not be lost
    desk.audience.on_status(outcome.scan)
    if not wait:
        return replace(_failed_or(outcome), more=more)
    return replace(await _wait(desk, provider, outcome.scan, timeout_s), more=more)


async def show(desk: Desk, provider: str, scan_id: str, *, wait: bool, timeout_s: float) -> Outcome:
    """The status of a scan and, once it is completed, its findings; both stored."""
    if provider == "embedded":
        return _kept(desk, scan_id)
    if wait:
        known = desk.store.scan(scan_id, provider) or Scan(scan_id, provider, None, None, "queued")
        return await _wait(desk, provider, known, timeout_s)
    outcome = _stored(desk, await read(desk, provider, scan_id))
    desk.audience.on_status(outcome.scan)
    return _failed_or(outcome)


async def listed(desk: Desk, provider: str | None, status: Status | None, limit: int | None) -> dict[str, Any]:
    """The document of `scan list`: of one provider, or of all that are configured, each in its own order."""
    providers = (provider,) if provider is not None else desk.posture.configured()
    scans: list[Scan] = []
    total = 0
    for name in providers:
        room = None if limit is None else max(0, limit - len(scans))
        found, matching = await _list(desk, name, status, room)
        scans += found
        total += matching
    return {"scans": [scan.as_json() for scan in scans], "total": total}


# --- waiting ---------------------------------------------------------------------------------------------------------


async def _wait(desk: Desk, provider: str, scan: Scan, timeout_s: float) -> Outcome:
    """Until it is over; the outcome as it was last seen if that takes too long."""
    assert scan.id is not None
    scan_id, last = scan.id, Outcome(scan, [])

    async def ask() -> Outcome | None:
        nonlocal last
        last = _stored(desk, await read(desk, provider, scan_id))
        desk.audience.on_status(last.scan)
        return last if last.scan.is_over else None

    manner = getattr(desk, provider).caller.manner
    what = f"{provider} {scan_id} is not over"
    try:
        outcome = await wait_until(
            ask, what=what, timeout_s=timeout_s, manner=manner, clock=desk.clock,
            is_told=_teller(desk, provider, scan_id),
        )  # fmt: skip
    except WaitExpired as error:
        return replace(last, failure=error)
    return _failed_or(outcome)


def _teller(desk: Desk, provider: str, scan_id: str) -> Callable[[], bool] | None:
    """Whether a webhook has said something new about the scan; None where no webhook can come."""
    webhooks = desk.posture.webhooks
    if webhooks is None or getattr(webhooks, provider, None) is None:
        return None
    known = len(desk.store.events(scan=scan_id, provider=provider))

    def is_told() -> bool:
        nonlocal known
        count = len(desk.store.events(scan=scan_id, provider=provider))
        grown, known = count > known, count
        return grown

    return is_told


def _failed_or(outcome: Outcome) -> Outcome:
    failed = outcome.scan.status == "failed"
    error = ScanFailed(f"{outcome.scan.provider} scan {outcome.scan.id} failed") if failed else None
    return replace(outcome, failure=error)


# --- the store -------------------------------------------------------------------------------------------------------


def _stored(desk: Desk, result: ScanResult) -> Outcome:
    """What was read, and what was known before: an answer may leave out the type or the target, or lag behind."""
    scan = result.scan
    assert scan.id is not None
    findings = desk.store.put_result(scan, result.findings)
    kept = desk.store.scan(scan.id, scan.provider) or scan
    if kept.status == "completed" != scan.status:
        findings = desk.store.findings(provider=scan.provider, scan=scan.id)
    return Outcome(kept, sorted(findings, key=lambda finding: rank(finding.severity)))


def _kept(desk: Desk, scan_id: str) -> Outcome:
    scan = desk.store.scan(scan_id, "embedded")
    if scan is None:
        raise PostureError(f"embedded: the store has no scan {scan_id[:60]!r}")
    return _failed_or(Outcome(scan, desk.store.findings(provider="embedded", scan=scan_id)))


async def _list(desk: Desk, provider: str, status: Status | None, limit: int | None) -> tuple[list[Scan], int]:
    """(scans, how many match)."""
    if provider == "cypersecurity":
        return await _list_cypersecurity(desk, status, limit)
    if provider == "securityspace":
        matching = [scan for scan in await desk.securityspace.audits() if status in (None, scan.status)]
        return matching[:limit], len(matching)
    return desk.store.scans(provider=provider, status=status, limit=limit)


async def _list_cypersecurity(desk: Desk, status: Status | None, limit: int | None) -> tuple[list[Scan], int]:
    """A limit of 0 asks for a page all the same: it has the total."""
    found: list[Scan] = []
    total = 0
    async for page in desk.cypersecurity.scan_pages(status=status, limit=limit if limit is None else max(limit, 1)):
        found += page.scans
        total = page.total
    return found[:limit], total
