"""Rows of the tables from and to the normal form, and what is known of a thing after it was read once more. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import Any, TypeVar

from sqlalchemy import RowMapping

from gateway.posture.document import encoded
from gateway.posture.event import Event
from gateway.posture.finding import Finding, Remediation
from gateway.posture.moment import seconds
from gateway.posture.scan import Counts, Scan
from gateway.posture.severity import SEVERITIES, rank

Known = TypeVar("Known", Scan, Finding)

_PLAIN_SCAN = (
    "id", "provider", "target", "type", "status", "created_at", "started_at", "completed_at", "risk_score",
    "estimated_s", "raw",
)  # fmt: skip
_PLAIN_FINDING = ("id", "title", "description", "asset", "port", "cvss", "raw", "fingerprint", "first_seen")
_EVENT = ("id", "provider", "event", "timestamp", "received_at", "scan", "data")


def scan_row(scan: Scan, stored_at: str) -> dict[str, Any]:
    """The columns of a scan. Raises ValueError if a time is not ISO 8601."""
    row = {name: getattr(scan, name) for name in _PLAIN_SCAN}
    row["counts"] = None if scan.counts is None else scan.counts.as_json()
    row["stored_at"] = stored_at
    row["series"] = series(scan)
    row["over_s"] = seconds(scan.completed_at or stored_at)
    row["began_s"] = seconds(scan.started_at or scan.created_at or stored_at)
    return row


def scan_of(row: RowMapping) -> Scan:
    counts = row["counts"]
    return Scan(**{name: row[name] for name in _PLAIN_SCAN}, counts=None if counts is None else Counts(**counts))


def series(scan: Scan) -> str:
    """32 hex digits, the same for scans of one provider, target (in any case) and type, which may be unknown."""
    target = None if scan.target is None else scan.target.lower()
    return hashlib.sha256(encoded([scan.provider, target, scan.type])).hexdigest()[:32]


def finding_row(finding: Finding, scan_number: int) -> dict[str, Any]:
    """The columns of a finding that has its first_seen."""
    row = {name: getattr(finding, name) for name in _PLAIN_FINDING}
    row["scan_number"] = scan_number
    row["severity_rank"] = rank(finding.severity)
    row["cve"] = list(finding.cve)
    row["remediation"] = None if finding.remediation is None else finding.remediation.as_json()
    return row


def finding_of(row: RowMapping, *, first_seen: str | None = None) -> Finding:
    """Of the columns of a finding and its scan's `scan_provider`, `scan_id`; first_seen: instead of its own."""
    remediation = row["remediation"]
    return Finding(
        id=row["id"],
        provider=row["scan_provider"],
        scan=row["scan_id"],
        severity=SEVERITIES[row["severity_rank"]],
        title=row["title"],
        description=row["description"],
        asset=row["asset"],
        port=row["port"],
        cve=tuple(row["cve"]),
        cvss=row["cvss"],
        remediation=remediation and Remediation(remediation["summary"], tuple(remediation["commands"])),
        raw=row["raw"],
        first_seen=first_seen or row["first_seen"],
    )


def event_row(event: Event, arrival_ns: int) -> dict[str, Any]:
    return {name: getattr(event, name) for name in _EVENT} | {"arrival": arrival_ns}


def event_of(row: RowMapping) -> Event:
    return Event(**{name: row[name] for name in _EVENT})


def merged_scan(known: Scan, fresh: Scan) -> Scan:
    """What is known after another reading: what it says, and where it says nothing (None), what was known.

    A scan that is over does not run again: a reading that still has it running is an older one, which was stored late
    (by another process, say). It adds what was not known, and changes nothing.
    """
    if known.is_over and not fresh.is_over:
        return _filled(known, fresh)
    return _filled(fresh, known)


def merged_finding(known: Finding, fresh: Finding) -> Finding:
    """The same for a finding; it was first seen when it was known first."""
    return replace(_filled(fresh, known), first_seen=known.first_seen)


def _filled(value: Known, by: Known) -> Known:
    """The value, each None in it replaced by what the other one has."""
    missing = {each.name: getattr(by, each.name) for each in fields(value) if getattr(value, each.name) is None}
    return replace(value, **missing)
