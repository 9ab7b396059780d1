"""`posture onboard`: a domain from nothing to its first scan, and on request to the cutover. Steps, each of which is
remembered in the store when it is done, so that the same command goes on where it stopped:

added -> record published -> verified -> first passive scan -> (cutover)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.errors import NotFound
from gateway.posture.domain import Domain, Verification
from gateway.posture.operation import cutover, scanning
from gateway.posture.operation.desk import Desk
from gateway.posture.operation.domain import canonical, is_recorded, publish_record, wait_verified
from gateway.posture.operation.starting import Wanted


class _Progress:
    """What was done for a domain, as the store has it."""

    def __init__(self, desk: Desk, name: str) -> None:
        self._desk = desk
        self.name = canonical(name)
        self.state: dict[str, Any] = desk.store.onboarding(self.name) or {}

    def keep(self, **done: Any) -> None:
        self.state |= done
        self._desk.store.put_onboarding(self.name, self.state)

    def skip(self, what: str) -> None:
        self._desk.audience.on_note(f"{self.name}: {what} already, going on")


async def onboard(
    desk: Desk, name: str, *, with_cutover: bool, yes: bool, timeout_s: float
) -> tuple[dict[str, Any], Exception | None]:
    """(the document, why the command fails although there is one). timeout_s: for each thing that is waited for."""
    if with_cutover:
        cutover.check_place(desk.posture.gateway)
    _ = desk.ddactic, desk.securityspace  # not configured is said before anything is sent
    if with_cutover:
        await cutover.check_name(desk, name)
    progress = _Progress(desk, name)
    domain = await _added(desk, progress)
    domain = await _verified(desk, progress, domain, timeout_s)
    try:
        outcome = await _scanned(desk, progress, domain, timeout_s)
    except NotFound:
        progress.keep(domain=None, dns=None, scan=None)
        desk.audience.on_note(f"{progress.name}: ddactic does not know it any more; the next run begins anew")
        raise
    document: dict[str, Any] = {
        "domain": domain.as_json(), "dns": progress.state.get("dns"), "scan": outcome.scan.as_json(),
        "findings": [finding.as_json() for finding in outcome.findings], "cutover": None,
    }  # fmt: skip
    if outcome.failure is not None or not with_cutover:
        return document, outcome.failure
    document["cutover"] = await _cut_over(desk, progress, domain, yes=yes)
    return document, None


async def _added(desk: Desk, progress: _Progress) -> Domain:
    """The domain, with its verification: from the store, from the list if it is verified, else added now."""
    if (known := progress.state.get("domain")) is not None:
        progress.skip("added")
        return _read(known)
    listed = await _listed(desk, progress.name)
    domain = listed if listed is not None and listed.verified else await desk.ddactic.add_domain(progress.name)
    progress.keep(domain=domain.as_json())
    return domain


async def _verified(desk: Desk, progress: _Progress, domain: Domain, timeout_s: float) -> Domain:
    if domain.verified:
        progress.skip("verified")
        return domain
    published = progress.state.get("dns")
    if published is not None and await is_recorded(desk, domain, published["zone"]):
        progress.skip("the record is published")
    else:
        progress.keep(dns=(await publish_record(desk, domain)).as_json())
    verified = replace(await wait_verified(desk, progress.name, timeout_s), verification=domain.verification)
    progress.keep(domain=verified.as_json())
    return verified


async def _scanned(desk: Desk, progress: _Progress, domain: Domain, timeout_s: float) -> scanning.Outcome:
    """The first passive scan; one that failed is started again by the next run of the command."""
    scan_id = progress.state.get("scan")
    if scan_id is None:
        started = await scanning.start(desk, "ddactic", Wanted(domain.id), wait=False, timeout_s=timeout_s)
        scan_id = started.scan.id
        progress.keep(scan=scan_id)
    else:
        progress.skip(f"scan {scan_id} is started")
    outcome = await scanning.show(desk, "ddactic", str(scan_id), wait=True, timeout_s=timeout_s)
    if outcome.scan.status == "failed":
        progress.keep(scan=None)
    return outcome


async def _cut_over(desk: Desk, progress: _Progress, domain: Domain, *, yes: bool) -> dict[str, Any]:
    """The plan; applied only with --yes. What was before the first change is kept until all are made, so that the way
    back is known after an interruption too."""
    verification = None if domain.verification is None else domain.verification.record
    plan = await cutover.make_plan(desk, progress.name, verification)
    kept = progress.state.get("cutover")
    is_interrupted = kept is not None and not kept["complete"]
    before = tuple(cutover.Record(**one) for one in kept["before"]) if kept and is_interrupted else plan.before
    document = {**plan.as_json(), "applied": False, "warnings": [], "undo": []}
    if not plan.add and not plan.delete and not is_interrupted:
        progress.skip("its records lead to the gateway")
        return {**document, "undo": [] if kept is None else kept["undo"]}
    if not yes:
        desk.audience.on_note(f"{progress.name}: the plan is not applied; say --yes to apply it")
        return {**document, "undo": cutover.undo_commands(desk.file, plan, before)}
    progress.keep(cutover={"before": [one.as_json() for one in before], "complete": False, "undo": []})
    warnings = await cutover.apply(desk, plan)
    after = await cutover.leading(desk, plan.zone, plan.name)
    undo = cutover.undo_commands(desk.file, replace(plan, before=after, after=after), before)
    progress.keep(cutover={"before": [one.as_json() for one in before], "complete": True, "undo": undo})
    return {**document, "applied": True, "warnings": list(warnings), "undo": undo}


async def _listed(desk: Desk, name: str) -> Domain | None:
    async for domain in desk.ddactic.domains():
        if canonical(domain.name) == name:
            return domain
    return None


def _read(kept: dict[str, Any]) -> Domain:
    """A domain as the store has it: what `as_json` wrote."""
    verification = kept["verification"]
    return Domain(**{**kept, "verification": verification and Verification(**verification)})
