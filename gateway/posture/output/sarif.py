"""Findings as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), for CI and code scanning.

As the public interface says ('SARIF'); sections of the standard are named where it asks for something.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from gateway import __version__
from gateway.posture.finding import Finding, Remediation
from gateway.posture.severity import Severity, rank

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: dict[Severity, str] = {
    "critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note",
}  # fmt: skip
SCORES: dict[Severity, float] = {"critical": 9.5, "high": 8.0, "medium": 5.5, "low": 2.0, "info": 0.0}
"""`security-severity` of a finding without a CVSS score."""
FINGERPRINT = "postureFinding/v1"
"""What `partialFingerprints` holds: the same for the same thing in the next scan."""


def sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    """A log with one run: a rule for each (provider, title or fixed id), a result for each finding, in their order."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(_rule_id(finding), []).append(finding)
    numbers = {rule_id: number for number, rule_id in enumerate(groups)}
    rules = [_rule(rule_id, group) for rule_id, group in groups.items()]
    results = [_result(finding, numbers[_rule_id(finding)]) for finding in findings]
    driver = {"name": "gateway posture", "version": __version__, "rules": rules}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule_id(finding: Finding) -> str:
    """Stable and opaque (3.49.3), and readable all the same: `ddactic/Origin IP Exposed`, `embedded/tls-old`."""
    return f"{finding.provider}/{finding.kind}"


def _rule(rule_id: str, group: Sequence[Finding]) -> dict[str, Any]:
    """What its findings have in common; where they differ, the worst of them speaks for all."""
    worst = min(group, key=lambda finding: rank(finding.severity))
    rule: dict[str, Any] = {
        "id": rule_id,
        "shortDescription": {"text": worst.title or worst.kind},
        "fullDescription": {"text": worst.description or worst.title or worst.kind},
        "defaultConfiguration": {"level": LEVELS[worst.severity]},
        "properties": {"security-severity": f"{max(map(_score, group)):.1f}", "tags": ["security"]},
    }
    if worst.remediation is not None:
        rule["help"] = _help(worst.remediation)
    return rule


def _help(remediation: Remediation) -> dict[str, str]:
    """Plain text, and no markdown: it comes from a platform, and a viewer would make its links and images real."""
    return {"text": "\n".join((remediation.summary, *remediation.commands))}


def _score(finding: Finding) -> float:
    """From 0.0 to 10.0."""
    return SCORES[finding.severity] if finding.cvss is None else min(max(finding.cvss, 0.0), 10.0)


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    name = _qualified(finding)
    result: dict[str, Any] = {
        "ruleId": _rule_id(finding),
        "ruleIndex": rule_index,
        "level": LEVELS[finding.severity],
        "message": {"text": _message(finding.description or finding.title or finding.kind)},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": name, "kind": "resource"}]}],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
        "properties": _properties(finding),
    }
    if finding.first_seen is not None:
        result["provenance"] = {"firstDetectionTimeUtc": finding.first_seen}  # 3.27.29, 3.48.2
    return result


def _message(text: str) -> str:
    """Braces twice, for once they are placeholders (3.11.5)."""
    return text.replace("{", "{{").replace("}", "}}")


def _properties(finding: Finding) -> dict[str, Any]:
    return {
        "provider": finding.provider,
        "scan": finding.scan,
        "severity": finding.severity,
        "cve": list(finding.cve),
        "cvss": finding.cvss,
    }


def _qualified(finding: Finding) -> str:
    """asset[:port]; an IPv6 address in brackets, or nobody could tell the port from its last group."""
    if finding.port is None:
        return finding.asset
    return f"[{finding.asset}]:{finding.port}" if _is_ipv6(finding.asset) else f"{finding.asset}:{finding.port}"


def _is_ipv6(asset: str) -> bool:
    try:
        return ipaddress.ip_address(asset).version == 6
    except ValueError:
        return False
