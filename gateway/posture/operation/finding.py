"""`posture findings` and `posture events`: what the store has."""

from __future__ import annotations

from typing import Any, Literal

from gateway.errors import PostureError
from gateway.posture.finding import Finding
from gateway.posture.operation.desk import Desk
from gateway.posture.remedy import for_deployment
from gateway.posture.severity import Severity, is_at_least

State = Literal["new", "open", "gone"]


def findings(
    desk: Desk, provider: str | None, scan: str | None, at_least: Severity | None, state: State | None
) -> list[Finding]:
    """Those of the store, the worst first. state: against the scan before, of the same target and type: new in the
    last one, still open, or gone. Raises PostureUsage for a provider that is not configured."""
    provider = provider and desk.provider(provider)
    return desk.store.findings(provider=provider, scan=scan, at_least=at_least, state=state)


def findings_document(found: list[Finding]) -> dict[str, Any]:
    return {"findings": [finding.as_json() for finding in found], "total": len(found)}


def remedy(desk: Desk, finding_id: str, provider: str | None, scan: str | None) -> dict[str, Any]:
    """The document of `remedy`: what to do about a finding in this deployment; of several with the id, the newest."""
    found = [one for one in desk.store.findings(provider=provider, scan=scan) if one.id == finding_id]
    if not found:
        raise PostureError(f"the store has no finding {finding_id[:60]!r}")
    finding = max(found, key=lambda one: one.first_seen or "")
    remediation = for_deployment(finding, desk.posture.gateway)
    return {"finding": finding.as_json(), "remediation": None if remediation is None else remediation.as_json()}


def events(desk: Desk, provider: str | None, scan: str | None) -> dict[str, Any]:
    """The document of `events`. Raises PostureUsage for a provider that is not configured."""
    provider = provider and desk.provider(provider)
    found = desk.store.events(scan=scan, provider=provider)
    return {"events": [event.as_json() for event in found], "total": len(found)}


def exceeds(found: list[Finding], fail_on: Severity | None) -> bool:
    """True if a finding is as bad as fail_on, or worse."""
    return fail_on is not None and any(is_at_least(finding.severity, fail_on) for finding in found)
