"""Scans, findings and events to store."""

from __future__ import annotations

from typing import Any

from gateway.posture.event import Event, event_id
from gateway.posture.finding import Finding, Remediation
from gateway.posture.scan import Counts, Scan

AT = "2025-12-17T10:40:00Z"
LATER = "2025-12-18T10:40:00Z"
FINDINGS = 5
EVENTS = 7


def a_scan(id: str = "scn_1", **changes: Any) -> Scan:
    """A completed passive scan of DDactic, of example.com."""
    values: dict[str, Any] = {
        "provider": "ddactic",
        "target": "example.com",
        "type": "passive",
        "status": "completed",
        "started_at": "2025-12-17T10:30:00Z",
        "completed_at": "2025-12-17T10:35:00Z",
        "risk_score": 4.2,
        "counts": Counts(1, 3, 8, 12, 0),
        "raw": {"scan_id": id},
    }
    return Scan(id=id, **(values | changes))


def a_finding(id: str = "F-001", scan: str = "scn_1", **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "provider": "ddactic",
        "severity": "critical",
        "title": "Origin IP Exposed",
        "description": "Origin server directly accessible",
        "asset": "192.0.2.1",
        "port": 443,
        "cve": ("CVE-2021-44228",),
        "cvss": 9.8,
        "remediation": Remediation("Restrict origin access", ("iptables -A INPUT -j DROP",)),
        "raw": {"id": id},
    }
    return Finding(id=id, scan=scan, **(values | changes))


def an_event(number: int = 1, event: str = "scan.completed", provider: str = "ddactic", **changes: Any) -> Event:
    payload = {"event": event, "data": {"scan_id": "scn_1", "number": number}}
    values: dict[str, Any] = {
        "timestamp": "2025-12-17T10:35:00Z",
        "received_at": AT,
        "scan": "scn_1",
        "data": payload["data"],
    }
    return Event(id=event_id(provider, payload), provider=provider, event=event, **(values | changes))


def findings_of(number: int) -> list[Finding]:
    """Those of scan s<number>, each of some 2 KB."""
    return [a_finding(str(index), f"s{number}", raw={"text": "x" * 2000}) for index in range(FINDINGS)]


def events_of(number: int) -> list[Event]:
    """Those of scan s<number>."""
    return [an_event(number * EVENTS + index, scan=f"s{number}") for index in range(EVENTS)]
