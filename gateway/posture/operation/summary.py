"""What the dashboard shows: open findings by site and severity, their age, and the scans that run."""

from __future__ import annotations

from collections import Counter
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
    found = store.current()
    targets = _targets(store, found)
    running = [scan for status in ("running", "queued") for scan in store.scans(status=status, limit=SHOWN_SCANS)[0]]
    return {
        "total": len(found),
        "severities": dict.fromkeys(SEVERITIES, 0) | Counter(finding.severity for finding in found),
        "sites": _sites(found, targets)[:SHOWN_SITES],
        "findings": [_row(*pair) for pair in zip(found[:SHOWN_FINDINGS], targets, strict=False)],
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


def _sites(found: list[Finding], targets: list[str]) -> list[dict[str, Any]]:
    sites: dict[str, dict[str, Any]] = {}
    for finding, target in zip(found, targets, strict=True):
        none: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
        new = {"site": _cut(target), **none, "oldest": finding.first_seen}
        site = sites.setdefault(target.lower(), new)
        site[finding.severity] += 1
        site["oldest"] = min(filter(None, (site["oldest"], finding.first_seen)), default=None)
    return sorted(sites.values(), key=lambda site: [-site[severity] for severity in SEVERITIES])


def _row(finding: Finding, target: str) -> dict[str, Any]:
    return {
        "severity": finding.severity, "title": _cut(finding.title), "site": _cut(target), "asset": _cut(finding.asset),
        "port": finding.port, "provider": finding.provider, "first_seen": finding.first_seen,
    }  # fmt: skip


def _cut(text: str | None) -> str | None:
    return None if text is None else shown(text, _TEXT)
