"""What an event itself tells of a scan and a finding, for platforms that cannot be asked (no account is configured)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from gateway.posture.client.vulnerability import made_id
from gateway.posture.document import MAX_ID, encoded, well_formed
from gateway.posture.event import FINDING_EVENTS, Event
from gateway.posture.finding import Finding, Remediation
from gateway.posture.scan import Scan, Status
from gateway.posture.severity import SEVERITIES, Severity

_STATUSES: dict[str, Status] = {"scan.started": "running", "scan.completed": "completed", "scan.failed": "failed"}
_TARGET = 500
"""Characters of a domain or target; a longer one is none. It becomes a label and a key."""
_INNER = ("finding", "vulnerability")
"""Keys of `data` under which a finding may stand; neither document shows one, so that `data` itself may be it too."""


def told(event: Event, known: Scan | None) -> tuple[Scan | None, tuple[Finding, ...]]:
    """The event's scan and finding, to be stored; `known`: the scan as it is in the store. (None, ()) if there is
    nothing to say: an event of a scan that nobody has findings of stays an event."""
    finding = _finding(event)
    if event.scan is None or (known is None and finding is None):
        return None, ()
    when = event.timestamp or event.received_at
    was_over = known is not None and known.is_over
    status = known.status if known is not None and was_over else _STATUSES.get(event.event, "running")
    started_at = known.started_at if known is not None and event.event != "scan.started" else when
    scan = Scan(
        event.scan, event.provider, _target(event) or (known.target if known else None), known.type if known else None,
        status, started_at=started_at, completed_at=None if was_over or status == "running" else when,
        risk_score=_number(event.data.get("risk_score")),
    )  # fmt: skip
    return scan, () if finding is None else (finding,)


def _finding(event: Event) -> Finding | None:
    """None if the event names no scan, no title or no severity."""
    if event.scan is None or event.event not in FINDING_EVENTS:
        return None
    raw = next((event.data[key] for key in _INNER if isinstance(event.data.get(key), dict)), event.data)
    title, severity = _text(raw, "title"), _severity(raw, event)
    if title is None or severity is None:
        return None
    asset = _text(raw, "affected_asset", "asset", "target", "domain") or _target(event) or ""
    return Finding(
        _id(event.provider, raw, title, asset), event.provider, event.scan, severity, title,
        _text(raw, "description") or "", asset,
        _port(raw.get("port")), _cves(raw), _number(raw.get("cvss_score")), _remediation(raw.get("remediation")), raw,
    )  # fmt: skip


def _target(event: Event) -> str | None:
    """The domain (DDactic) or target (CyperSecurity) that the event names."""
    named = _text(event.data, "domain", "target")
    return named if named is None or len(named) <= _TARGET else None


def _id(provider: str, raw: Mapping[str, Any], title: str, asset: str) -> str:
    """The platform's, else one that is the same for the same finding of the scan: of CyperSecurity, the one that the
    scan's results will give it."""
    if provider == "cypersecurity":
        return made_id(title, _cves(raw), _port(raw.get("port")))
    named = _text(raw, "id", "finding_id", "vulnerability_id")
    if named is not None and len(named) <= MAX_ID:
        return named
    return hashlib.sha256(encoded([title, asset, _port(raw.get("port")), _cves(raw)])).hexdigest()[:16]


def _severity(raw: Mapping[str, Any], event: Event) -> Severity | None:
    word = (_text(raw, "severity") or "").lower()
    for severity in SEVERITIES:
        if word == severity:
            return severity
    return "critical" if event.event == "critical.finding" else None


def _text(raw: Mapping[str, Any], *keys: str) -> str | None:
    """The first of the keys that is a text with something in it, well formed."""
    found = next((raw[key] for key in keys if isinstance(raw.get(key), str) and raw[key]), None)
    return None if found is None else well_formed(found)


def _port(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _cves(raw: Mapping[str, Any]) -> tuple[str, ...]:
    cve = _text(raw, "cve_id", "cve")
    return () if cve is None else (cve.upper(),)


def _remediation(value: object) -> Remediation | None:
    if not isinstance(value, dict) or _text(value, "summary") is None:
        return None
    commands = value.get("cli_commands")
    listed = commands if isinstance(commands, list) else []
    return Remediation(
        well_formed(value["summary"]), tuple(well_formed(one) for one in listed if isinstance(one, str))
    )
