"""`findings` and `events`: what the store has, in one form over all providers. Nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from posture.command.commands import EVENT, Operator, assert_finding, assert_times

from gateway.posture.event import Event, event_id

WORDS = ("critical", "high", "medium", "low", "info")


def found(severity: str, title: str, id: str = "") -> dict[str, Any]:
    return {
        "id": id or f"F-{title}", "severity": severity, "title": title, "description": f"{title} is there.",
        "affected_asset": "example.com", "remediation": None,
    }  # fmt: skip


def scanned(operator: Operator, *findings: dict[str, Any]) -> str:
    """The id of one more completed scan of example.com."""
    operator.ddactic.findings[:] = findings
    document = operator.document("scan", "start", "dom_0001", "--provider", "ddactic", "--wait")
    operator.forget()
    return str(document["scan"]["id"])


@pytest.fixture
def both(operator: Operator) -> Iterator[Operator]:
    """Five findings of DDactic, two of CyperSecurity."""
    scanned(operator, *(found(word, word) for word in reversed(WORDS)))
    operator.document("scan", "start", "example.com", "--provider", "cypersecurity", "--wait")
    operator.forget()
    yield operator
    assert operator.sent() == []


def titles(document: Any) -> list[str]:
    assert list(document) == ["findings", "total"]
    assert document["total"] == len(document["findings"])
    return [one["title"] for one in document["findings"]]


def test_findings_of_all_providers_have_one_form_the_worst_first(both: Operator) -> None:
    document = both.document("findings")

    assert len(titles(document)) == 7
    for finding in document["findings"]:
        assert_finding(finding)
    ranks = [WORDS.index(one["severity"]) for one in document["findings"]]
    assert ranks == sorted(ranks)
    assert {one["provider"] for one in document["findings"]} == {"ddactic", "cypersecurity"}


@pytest.mark.parametrize(("severity", "count"), [("critical", 2), ("high", 3), ("medium", 5), ("low", 6), ("info", 7)])
def test_severity_means_this_or_worse(both: Operator, severity: str, count: int) -> None:
    assert both.document("findings", "--severity", severity)["total"] == count


def test_findings_of_a_provider_or_a_scan_are_those_alone(both: Operator) -> None:
    assert len(titles(both.document("findings", "--provider", "cypersecurity"))) == 2
    assert len(titles(both.document("findings", "--provider", "ddactic", "--severity", "high"))) == 2
    assert len(titles(both.document("findings", "--scan", "scn_0001"))) == 5
    assert titles(both.document("findings", "--scan", "scn_0001", "--provider", "cypersecurity")) == []
    assert both.document("findings", "--provider", "embedded") == {"findings": [], "total": 0}


def test_findings_of_an_empty_store_are_none(operator: Operator) -> None:
    assert operator.document("findings") == {"findings": [], "total": 0}
    assert operator.run("findings").out == "no findings\n"
    assert json.loads(operator.run("findings", "--format", "sarif").out)["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--fail-on", "critical"), 3),
        (("--fail-on", "info"), 3),
        (("--fail-on", "critical", "--provider", "embedded"), 0),
        (("--fail-on", "high", "--scan", "scan_9999"), 0),
        (("--fail-on", "high", "--format", "json"), 3),
        (("--fail-on", "high", "--format", "sarif"), 3),
        ((), 0),
    ],
)
def test_fail_on_decides_over_what_is_listed(both: Operator, arguments: tuple[str, ...], code: int) -> None:
    ran = both.run("findings", *arguments)

    assert (ran.code, ran.err) == (code, "")
    assert ran.out


def test_states_compare_the_last_scan_with_the_one_before(operator: Operator) -> None:
    scanned(operator, found("high", "stays"), found("high", "goes"))
    first = operator.document("findings")["findings"][0]["first_seen"]
    scanned(operator, found("high", "stays"), found("high", "comes"))

    assert titles(operator.document("findings", "--new")) == ["comes"]
    assert titles(operator.document("findings", "--open")) == ["stays"]
    assert titles(operator.document("findings", "--gone")) == ["goes"]
    assert titles(operator.document("findings", "--gone", "--severity", "critical")) == []
    assert operator.document("findings", "--open")["findings"][0]["first_seen"] >= first
    assert operator.document("findings")["total"] == 4
    assert operator.run("findings", "--new", "--fail-on", "high").code == 3
    assert operator.sent() == []


def test_all_findings_of_a_first_scan_are_new(operator: Operator) -> None:
    scanned(operator, found("high", "one"))

    assert titles(operator.document("findings", "--new")) == ["one"]
    assert operator.document("findings", "--open")["total"] == operator.document("findings", "--gone")["total"] == 0


def test_sarif_is_one_run_with_a_rule_for_each_title_and_a_result_for_each_finding(both: Operator) -> None:
    document = json.loads(both.run("findings", "--format", "sarif").out)

    (run,) = document["runs"]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    assert document["version"] == "2.1.0"
    assert run["tool"]["driver"]["name"] == "gateway posture"
    assert (len(rules), len(results)) == (7, 7)
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in results)
    assert all(isinstance(rule["properties"]["security-severity"], str) for rule in rules)
    levels = {one["properties"]["severity"]: one["level"] for one in results}
    assert levels == {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
    for one in results:
        assert list(one["properties"]) == ["provider", "scan", "severity", "cve", "cvss"]
        assert one["message"]["text"]
        assert one["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "example.com"
        assert one["partialFingerprints"]


def test_sarif_of_a_selection_is_that_selection(both: Operator) -> None:
    arguments = ("findings", "--format", "sarif", "--severity", "critical", "--provider", "cypersecurity")

    (result,) = json.loads(both.run(*arguments).out)["runs"][0]["results"]

    assert result["properties"] == {
        "provider": "cypersecurity",
        "scan": "scan_0001",
        "severity": "critical",
        "cve": ["CVE-2021-44228"],
        "cvss": 9.8,
    }


def test_table_of_a_scan_says_what_to_do_about_a_finding(operator: Operator) -> None:
    operator.document("scan", "start", "dom_0001", "--provider", "ddactic", "--wait")

    printed = operator.run("scan", "show", "scn_0001").out

    assert "iptables -I INPUT -p tcp --dport 443 -s CDN_IP_RANGE -j ACCEPT" in map(str.strip, printed.splitlines())
    assert "Restrict origin access to CDN IPs" in printed


def test_remedy_of_a_finding_is_named_by_its_id(operator: Operator) -> None:
    operator.document("scan", "start", "dom_0001", "--provider", "ddactic", "--wait")
    operator.forget()

    document = operator.document("remedy", "F-001")

    assert list(document) == ["finding", "remediation"]
    assert_finding(document["finding"])
    assert "no finding 'F-404'" in operator.failed("remedy", "F-404")
    assert operator.sent() == []


# --- events -----------------------------------------------------------------------------------------------------------


def told(provider: str, event: str, scan: str | None, second: int) -> Event:
    data = {"scan_id": scan, "domain": "example.com"} if scan else {"plan": "pro"}
    payload = {"event": event, "data": data, "second": second}
    at = f"2025-12-17T10:35:{second:02}Z"
    return Event(event_id(provider, payload), provider, event, at if scan else None, at, scan, data)


@pytest.fixture
def told_both(operator: Operator) -> Operator:
    with operator.store() as store:
        store.put_events([
            told("ddactic", "scan.started", "scn_0001", 1),
            told("ddactic", "scan.completed", "scn_0001", 2),
            told("cypersecurity", "payment.failed", None, 3),
        ])  # fmt: skip
    return operator


def test_events_have_all_that_was_told_the_oldest_first(told_both: Operator) -> None:
    document = told_both.document("events")

    assert (list(document), document["total"]) == (["events", "total"], 3)
    for event in document["events"]:
        assert tuple(event) == EVENT
        assert_times(event, "timestamp", "received_at")
    first, _, last = document["events"]
    assert first | {"id": ""} == {
        "id": "",
        "provider": "ddactic",
        "event": "scan.started",
        "timestamp": "2025-12-17T10:35:01Z",
        "received_at": "2025-12-17T10:35:01Z",
        "scan": "scn_0001",
        "data": {"scan_id": "scn_0001", "domain": "example.com"},
    }
    assert (last["timestamp"], last["scan"], last["data"]) == (None, None, {"plan": "pro"})
    assert told_both.sent() == []


def test_events_of_a_scan_or_a_provider_are_those_alone(told_both: Operator) -> None:
    assert told_both.document("events", "--scan", "scn_0001")["total"] == 2
    assert told_both.document("events", "--provider", "cypersecurity")["total"] == 1
    assert told_both.document("events", "--provider", "cypersecurity", "--scan", "scn_0001")["total"] == 0
    assert told_both.document("events", "--provider", "embedded") == {"events": [], "total": 0}


def test_events_as_a_table_name_event_and_scan(told_both: Operator) -> None:
    printed = told_both.run("events").out

    assert [line for line in printed.splitlines() if "scan.completed" in line and "scn_0001" in line]
    assert told_both.run("events", "--scan", "none").out == "no events\n"
