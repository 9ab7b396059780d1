"""What the dashboard shows: open findings by site and severity, their age, and the scans that run."""

from __future__ import annotations

from typing import Any

from gateway.posture.document import shown
from gateway.posture.finding import Finding
from gateway.posture.severity import SEVERITIES
from gateway.posture.store import Store

SHOWN_FINDINGS = 50
SHOWN_SITES = 100
SHOWN_SCANS = 20
_TEXT = 200


def summary(store: Store) -> dict[str, Any]:
    """JSON-able and bounded whatever platforms say, the worst first. `sites`: open findings of each target by severity,
    and when the oldest was first seen; `total`: all of them, shown or not."""
    return store.remembered("summary", lambda: _summary(store))


def _summary(store: Store) -> dict[str, Any]:
    counts, found = store.remembered("counts", store.current_counts), store.current(limit=SHOWN_FINDINGS)
    targets = _targets(store, found)
    severities = dict.fromkeys(SEVERITIES, 0)
    for (_, severity), count in counts.items():
        severities[severity] += count
    running = [scan for status in ("running", "queued") for scan in store.scans(status=status, limit=SHOWN_SCANS)[0]]
    return {
        "total": sum(counts.values()),
        "severities": severities,
        "sites": [
            {"site": _cut(one.site), **one.counts, "oldest": one.oldest} for one in store.current_sites(SHOWN_SITES)
        ],
        "findings": [_row(*pair) for pair in zip(found, targets, strict=True)],
        "scans": [
            {
                "provider": scan.provider,
                "id": _cut(scan.id),
                "target": _cut(scan.target),
                "type": _cut(scan.type),
                "status": scan.status,
                "started_at": _cut(scan.started_at or scan.created_at),
            }
            for scan in running[:SHOWN_SCANS]
        ],
    }


def _targets(store: Store, found: list[Finding]) -> list[str]:
    """Of each finding: its scan's, which is asked for once, since there may be thousands of them."""
    of_scan = {(finding.provider, finding.scan): finding for finding in found}
    targets = {key: store.target_of(finding) for key, finding in of_scan.items()}
    return [targets[finding.provider, finding.scan] or finding.asset for finding in found]


def _row(finding: Finding, target: str) -> dict[str, Any]:
    return {
        "severity": finding.severity, "title": _cut(finding.title), "site": _cut(target), "asset": _cut(finding.asset),
        "port": finding.port, "provider": finding.provider, "first_seen": finding.first_seen,
    }  # fmt: skip


def _cut(text: str | None) -> str | None:
    return None if text is None else shown(text, _TEXT)
