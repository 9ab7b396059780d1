"""Audits of SecuritySpace in the normal form of scans and findings.

Source: SecuritySpace's REST API Guide 'Security Audit - Get Audit List', '- Get Audit Report'; the table 'Shapes' of
the public interface.
"""

from __future__ import annotations

import re

from gateway.errors import OffContract
from gateway.posture.answer import MOST_ITEMS, Node
from gateway.posture.client.phpmap import read_map
from gateway.posture.finding import Finding
from gateway.posture.scan import Counts, Scan, ScanResult, Status
from gateway.posture.severity import Severity

PROVIDER = "securityspace"
_SEVERITIES: dict[str, Severity] = {"high": "high", "medium": "medium", "low": "low", "other": "info"}
_HIGHEST_PORT = 65535


def read_audits(answer: Node) -> list[Scan]:
    """The audit list, in its own order. raw: the entry. Raises OffContract."""
    return [_audit(entry) for _, entry in read_map(answer, "scans")]


def read_report(scanuid: str, answer: Node) -> ScanResult:
    """A report: the audit, with the number of its findings by severity, and the findings. raw of the audit: `scaninfo`
    without `entries`, which are the raw of the findings. Raises OffContract."""
    info = answer["scaninfo"]
    basic = info["basic"]
    if basic.has("scanuid") and basic.word("scanuid") != scanuid:
        raise basic["scanuid"].off(f"{scanuid}, which was asked for")
    started_at, completed_at = basic.moment("sjtime"), basic.moment("ejtime")
    scan = Scan(
        id=scanuid, provider=PROVIDER, target=basic.text("hostip") or None,
        type=basic.optional_text("scantype") or None, status=_status(started_at, completed_at),
        created_at=basic.moment("qjtime"), started_at=started_at, completed_at=completed_at, counts=_counts(info),
        raw={key: value for key, value in info.raw.items() if key != "entries"},
    )  # fmt: skip
    return ScanResult(scan, tuple(_findings(scanuid, info)))


def _audit(entry: Node) -> Scan:
    started_at, completed_at = entry.moment("time_start"), entry.moment("time_end")
    return Scan(
        id=entry.word("scanuid"), provider=PROVIDER, target=entry.text("hostip") or None,
        type=entry.optional_text("type") or None, status=_status(started_at, completed_at),
        created_at=entry.moment("time_queued"), started_at=started_at, completed_at=completed_at, raw=entry.raw,
    )  # fmt: skip


def _status(started_at: str | None, completed_at: str | None) -> Status:
    if completed_at is not None:
        return "completed"
    return "queued" if started_at is None else "running"


def _counts(info: Node) -> Counts | None:
    """Of `risk`; a level that it does not have is 0. None if there is no `risk`."""
    if not info.has("risk"):
        return None
    levels = {name: info["risk"].optional_integer(name) or 0 for name in _SEVERITIES} if info["risk"].raw != [] else {}
    return Counts(0, levels.get("high", 0), levels.get("medium", 0), levels.get("low", 0), levels.get("other", 0))


def _findings(scanuid: str, info: Node) -> list[Finding]:
    found: dict[str, Finding] = {}
    for group, entries in read_map(info, "entries"):
        if group not in _SEVERITIES:
            raise entries.off(f"risk groups {', '.join(_SEVERITIES)} alone")
        for key, entry in read_map(info["entries"], group):
            finding = _finding(scanuid, _SEVERITIES[group], key, entry)
            if finding.id in found:
                raise entry["entrykey"].off("a key that no other entry has")
            found[finding.id] = finding
    if len(found) > MOST_ITEMS:  # of all groups; `members` sees to it that one has no more
        raise OffContract(info.provider, info.call, "scaninfo.entries", f"{len(found)}", f"at most {MOST_ITEMS}")
    return list(found.values())


def _finding(scanuid: str, severity: Severity, key: str | None, entry: Node) -> Finding:
    return Finding(
        id=entry.word("entrykey") if key is None or entry.has("entrykey") else key,
        provider=PROVIDER, scan=scanuid, severity=severity, title=entry.text("title"),
        description=_description(entry), asset=entry.text("ip"), port=_port(entry), cve=_cve(entry), cvss=None,
        remediation=None, raw=entry.raw,
    )  # fmt: skip


def _description(entry: Node) -> str:
    """With what the audit saw; else that of the test in general."""
    return entry.optional_text("description") or entry.optional_text("static_description") or ""


def _port(entry: Node) -> int | None:
    """The digits at the beginning: `443`, `443/tcp`; None for `general/tcp` and 0."""
    digits = re.match(r"[0-9]*", entry.word("port") if entry.has("port") else "")
    port = int(digits[0][:6]) if digits and digits[0] else 0
    if port > _HIGHEST_PORT:
        raise entry["port"].off(f"a port of at most {_HIGHEST_PORT}")
    return port or None


def _cve(entry: Node) -> tuple[str, ...]:
    """`CVE-2014-0160, CVE-2014-3566`: each once."""
    names = (name.strip().upper() for name in (entry.optional_text("cve") or "").split(","))
    return tuple(dict.fromkeys(name for name in names if name))
