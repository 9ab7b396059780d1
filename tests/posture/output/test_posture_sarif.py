"""Findings as SARIF 2.1.0. The structure is checked rule by rule; numbers are sections of the standard."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import __version__
from gateway.posture.finding import Finding, Remediation
from gateway.posture.output.sarif import sarif
from gateway.posture.severity import SEVERITIES, Severity

ORIGIN = Finding(
    "F-001", "ddactic", "scn_1", "critical", "Origin IP Exposed", "Origin server directly accessible", "192.0.2.1",
    None, (), None, Remediation("Restrict origin access", ("iptables -I INPUT -j ACCEPT",)), {"id": "F-001"},
    "2025-12-17T10:30:00Z",
)  # fmt: skip
HEARTBLEED = Finding(
    "c1", "cypersecurity", "42", "high", "Heartbleed", "OpenSSL reads too far", "shop.example", 443,
    ("CVE-2014-0160",), 7.5, None, {},
)  # fmt: skip


def found(severity: Severity = "high", *, provider: str = "ddactic", **changed: Any) -> Finding:
    fields: dict[str, Any] = {
        "id": "1", "provider": provider, "scan": "s", "severity": severity, "title": "T", "description": "D",
        "asset": "a.example", "port": None, "cve": (), "cvss": None, "remediation": None, "raw": {},
    }  # fmt: skip
    return Finding(**(fields | changed))


def run_of(*findings: Finding) -> dict[str, Any]:
    run: dict[str, Any] = sarif(findings)["runs"][0]
    return run


def rules_of(*findings: Finding) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = run_of(*findings)["tool"]["driver"]["rules"]
    return rules


def test_log_of_two_findings_is_whole() -> None:
    assert sarif([ORIGIN, HEARTBLEED]) == {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "gateway posture",
                        "version": __version__,
                        "rules": [
                            {
                                "id": "ddactic/Origin IP Exposed",
                                "shortDescription": {"text": "Origin IP Exposed"},
                                "fullDescription": {"text": "Origin server directly accessible"},
                                "defaultConfiguration": {"level": "error"},
                                "properties": {"security-severity": "9.5", "tags": ["security"]},
                                "help": {"text": "Restrict origin access\niptables -I INPUT -j ACCEPT"},
                            },
                            {
                                "id": "cypersecurity/Heartbleed",
                                "shortDescription": {"text": "Heartbleed"},
                                "fullDescription": {"text": "OpenSSL reads too far"},
                                "defaultConfiguration": {"level": "error"},
                                "properties": {"security-severity": "7.5", "tags": ["security"]},
                            },
                        ],
                    }
                },
                "results": [
                    {
                        "ruleId": "ddactic/Origin IP Exposed",
                        "ruleIndex": 0,
                        "level": "error",
                        "message": {"text": "Origin server directly accessible"},
                        "locations": [
                            {"logicalLocations": [{"fullyQualifiedName": "192.0.2.1", "kind": "resource"}]}
                        ],
                        "partialFingerprints": {"postureFinding/v1": ORIGIN.fingerprint},
                        "properties": {
                            "provider": "ddactic", "scan": "scn_1", "severity": "critical", "cve": [], "cvss": None,
                        },
                        "provenance": {"firstDetectionTimeUtc": "2025-12-17T10:30:00Z"},
                    },
                    {
                        "ruleId": "cypersecurity/Heartbleed",
                        "ruleIndex": 1,
                        "level": "error",
                        "message": {"text": "OpenSSL reads too far"},
                        "locations": [
                            {"logicalLocations": [{"fullyQualifiedName": "shop.example:443", "kind": "resource"}]}
                        ],
                        "partialFingerprints": {"postureFinding/v1": HEARTBLEED.fingerprint},
                        "properties": {
                            "provider": "cypersecurity", "scan": "42", "severity": "high", "cve": ["CVE-2014-0160"],
                            "cvss": 7.5,
                        },
                    },
                ],
            }
        ],
    }  # fmt: skip


def test_log_without_findings_has_a_run_with_no_results() -> None:
    run = run_of()
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


@pytest.mark.parametrize(
    ("severity", "level", "score"),
    [
        ("critical", "error", "9.5"),
        ("high", "error", "8.0"),
        ("medium", "warning", "5.5"),
        ("low", "note", "2.0"),
        ("info", "note", "0.0"),
    ],
)
def test_severity_gives_level_and_score(severity: Severity, level: str, score: str) -> None:
    assert run_of(found(severity))["results"][0]["level"] == level
    assert rules_of(found(severity))[0]["properties"]["security-severity"] == score


@pytest.mark.parametrize(("cvss", "score"), [(9.8, "9.8"), (10.0, "10.0"), (0.0, "0.0"), (31.0, "10.0"), (-1.0, "0.0")])
def test_cvss_goes_before_the_severity_and_stays_on_its_scale(cvss: float, score: str) -> None:
    assert rules_of(found("low", cvss=cvss))[0]["properties"]["security-severity"] == score


def test_rule_of_several_findings_takes_the_worst_of_them() -> None:
    (rule,) = rules_of(found("low", description="mild"), found("critical", description="grave"), found("info"))
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert rule["fullDescription"] == {"text": "grave"}
    assert rule["properties"]["security-severity"] == "9.5"


def test_rules_differ_by_provider_and_by_the_fixed_id_of_the_embedded_assessment() -> None:
    rules = rules_of(
        found(), found(provider="cypersecurity"), found(provider="embedded", id="tls-old", title="TLS 1.0 of a.example")
    )
    assert [rule["id"] for rule in rules] == ["ddactic/T", "cypersecurity/T", "embedded/tls-old"]


@pytest.mark.parametrize(
    ("asset", "port", "name"),
    [
        ("a.example", None, "a.example"),
        ("a.example", 8443, "a.example:8443"),
        ("2001:db8::1", 443, "[2001:db8::1]:443"),
        ("2001:db8::1", None, "2001:db8::1"),
        ("https://a.example/x", 443, "https://a.example/x:443"),
    ],
)
def test_location_is_the_asset_with_its_port(asset: str, port: int | None, name: str) -> None:
    (location,) = run_of(found(asset=asset, port=port))["results"][0]["locations"]
    assert location["logicalLocations"][0]["fullyQualifiedName"] == name


def test_message_with_braces_has_no_placeholders() -> None:
    assert run_of(found(description="GET /{id}"))["results"][0]["message"]["text"] == "GET /{{id}}"


@pytest.mark.parametrize(("title", "description", "text"), [("T", "", "T"), ("T", "D", "D")])
def test_message_is_never_empty(title: str, description: str, text: str) -> None:
    assert run_of(found(title=title, description=description))["results"][0]["message"] == {"text": text}


FINDINGS = st.builds(
    Finding,
    id=st.text(min_size=1, max_size=8),
    provider=st.sampled_from(["ddactic", "cypersecurity", "securityspace", "embedded"]),
    scan=st.text(min_size=1, max_size=5),
    severity=st.sampled_from(SEVERITIES),
    title=st.text(min_size=1, max_size=8),
    description=st.text(max_size=20),
    asset=st.text(max_size=10),
    port=st.none() | st.integers(1, 65535),
    cve=st.lists(st.just("CVE-2014-0160"), max_size=2).map(tuple),
    cvss=st.none() | st.floats(0, 10),
    remediation=st.none() | st.builds(Remediation, st.text(max_size=9), st.lists(st.text(max_size=9)).map(tuple)),
    raw=st.none(),
    first_seen=st.none() | st.just("2025-12-17T10:30:00Z"),
)


@given(st.lists(FINDINGS, max_size=8))
def test_log_of_any_findings_keeps_the_structure_of_the_standard(findings: list[Finding]) -> None:
    log = sarif(findings)
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)  # 3.13.2
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    ids = [rule["id"] for rule in rules]
    assert len(set(ids)) == len(ids)  # 3.19.23
    assert {(one.provider, one.kind) for one in findings} == {tuple(id.split("/", 1)) for id in ids}
    for rule in rules:
        check_rule(rule)
    assert len(run["results"]) == len(findings)
    for result in run["results"]:
        check_result(result, ids)


def check_rule(rule: dict[str, Any]) -> None:
    """A reportingDescriptor (3.49)."""
    keys = {"id", "shortDescription", "fullDescription", "defaultConfiguration", "properties", "help"}
    assert {"id"} <= set(rule) <= keys
    for key in ("shortDescription", "fullDescription", "help"):
        assert key not in rule or set(rule[key]) == {"text"}  # 3.12: a multiformat message has text
    assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")  # 3.50.3
    assert re.fullmatch(r"[0-9]\.[0-9]|10\.0", rule["properties"]["security-severity"])
    assert len(set(rule["properties"]["tags"])) == len(rule["properties"]["tags"])  # 3.8.2


def check_result(result: dict[str, Any], ids: list[str]) -> None:
    """A result (3.27)."""
    assert ids[result["ruleIndex"]] == result["ruleId"]  # 3.27.6
    assert result["level"] in ("none", "note", "warning", "error")  # 3.27.10
    assert result["message"]["text"]  # 3.11.8
    assert not re.search(r"(?<!\{)\{(\{\{)*[0-9]", result["message"]["text"])  # 3.11.5: no placeholders
    for location in result["locations"]:
        assert all(isinstance(one["fullyQualifiedName"], str) for one in location["logicalLocations"])  # 3.33
    assert all(isinstance(value, str) for value in result["partialFingerprints"].values())  # 3.27.17
    assert set(result["properties"]) == {"provider", "scan", "severity", "cve", "cvss"}
