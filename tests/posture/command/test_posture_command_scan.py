"""`scan start`, `scan list` and `scan show` with DDactic and CyperSecurity."""

from __future__ import annotations

import json
from typing import Any

import pytest
from posture.command.commands import Operator, assert_finding, assert_scan
from posture.standin.server import Fault

DDACTIC = ("--provider", "ddactic")
CYPER = ("--provider", "cypersecurity")


def posted(operator: Operator) -> Any:
    """The body of the one POST /scans."""
    calls = [*operator.ddactic.calls, *operator.cypersecurity.calls]
    (call,) = [call for call in calls if (call.method, call.path) == ("POST", "/scans")]
    return call.json


# --- DDactic ----------------------------------------------------------------------------------------------------------


def test_ddactic_scan_of_a_name_is_looked_up_started_and_stored(operator: Operator) -> None:
    document = operator.document("scan", "start", "example.com", *DDACTIC)

    assert list(document) == ["scan", "findings", "more"]
    assert_scan(document["scan"])
    assert document == {
        "scan": {
            "id": "scn_0001",
            "provider": "ddactic",
            "target": "example.com",
            "type": "passive",
            "status": "queued",
            "created_at": None,
            "started_at": None,
            "completed_at": None,
            "risk_score": None,
            "estimated_s": 300,
            "counts": None,
            "raw": {"scan_id": "scn_0001", "status": "queued", "estimated_time": 300},
        },
        "findings": [],
        "more": [],
    }
    assert operator.sent() == ["ddactic GET /domains", "ddactic POST /scans"]
    assert posted(operator) == {"domain_id": "dom_0001", "type": "passive"}
    assert operator.document("scan", "list", *DDACTIC)["scans"] == [document["scan"]]


def test_ddactic_scan_of_an_id_is_not_looked_up(operator: Operator) -> None:
    operator.document("scan", "start", "dom_0001", *DDACTIC, "--type", "full")

    assert operator.sent() == ["ddactic POST /scans"]
    assert posted(operator) == {"domain_id": "dom_0001", "type": "full"}


def test_ddactic_scan_of_a_name_on_the_third_page_is_found_whatever_its_case(operator: Operator) -> None:
    for number in range(220):
        operator.ddactic.add_domain(f"shop-{number}.example")

    operator.document("scan", "start", "Shop-219.Example.", *DDACTIC, "--type", "active")

    assert posted(operator) == {"domain_id": "dom_0221", "type": "active"}


def test_ddactic_scan_of_a_name_that_is_not_there_fails_and_starts_nothing(operator: Operator) -> None:
    said = operator.failed("scan", "start", "other.example", *DDACTIC)

    assert said == "ddactic GET /domains: no domain 'other.example'; add it: gateway posture domains add"
    assert operator.sent() == ["ddactic GET /domains"]


def test_ddactic_scan_of_an_unverified_domain_says_what_the_platform_says(operator: Operator) -> None:
    operator.ddactic.add_domain("new.example", verified=False)

    said = operator.failed("scan", "start", "new.example", *DDACTIC)

    assert said == "ddactic POST /scans: 400 invalid_domain: Domain not verified"


def test_ddactic_scan_in_progress_is_named_by_call_status_code_and_message(operator: Operator) -> None:
    operator.document("scan", "start", "dom_0001", *DDACTIC)

    said = operator.failed("scan", "start", "dom_0001", *DDACTIC)

    assert said == "ddactic POST /scans: 409 scan_in_progress: Scan already running for domain"


def test_ddactic_is_told_the_receiver_where_there_is_one(operator: Operator) -> None:
    operator.configure(webhooks={"public_url": "https://hooks.example/in/"})

    operator.document("scan", "start", "dom_0001", *DDACTIC)

    assert posted(operator)["webhook_url"] == "https://hooks.example/in/webhooks/ddactic"


def test_ddactic_is_told_the_url_that_was_typed_before_any_other(operator: Operator) -> None:
    operator.configure(webhooks={"public_url": "https://hooks.example"})

    operator.document("scan", "start", "dom_0001", *DDACTIC, "--webhook-url", "https://other.example/hook")

    assert posted(operator)["webhook_url"] == "https://other.example/hook"


def test_ddactic_scan_that_is_waited_for_prints_its_findings_and_each_change_of_status_once(
    operator: Operator,
) -> None:
    operator.ddactic.polls = 5

    ran = operator.run("scan", "start", "dom_0001", *DDACTIC, "--wait", "--format", "json")

    assert ran.code == 0
    assert ran.lines == ["ddactic scn_0001: queued", "ddactic scn_0001: running", "ddactic scn_0001: completed"]
    document = ran.json
    assert_scan(document["scan"])
    for finding in document["findings"]:
        assert_finding(finding)
    scan = document["scan"]
    assert (scan["status"], scan["risk_score"], scan["target"], scan["type"], scan["estimated_s"]) == (
        "completed", 4.2, "example.com", "passive", 300,
    )  # fmt: skip
    assert scan["counts"] == {"critical": 1, "high": 0, "medium": 1, "low": 0, "info": 0}
    assert (scan["started_at"], scan["completed_at"]) == ("2025-12-17T10:30:00Z", "2025-12-17T10:35:00Z")
    assert operator.sent().count("ddactic GET /scans/scn_0001") == 5
    assert operator.sent()[-1] == "ddactic GET /scans/scn_0001/findings"


def test_ddactic_finding_keeps_its_words_its_remediation_and_unknown_fields(operator: Operator) -> None:
    operator.ddactic.findings[0]["first_vector"] = {"port": 443}
    document = operator.document("scan", "start", "dom_0001", *DDACTIC, "--wait")

    (finding,) = [one for one in document["findings"] if one["id"] == "F-001"]

    assert finding | {"first_seen": None} == {
        "id": "F-001",
        "provider": "ddactic",
        "scan": "scn_0001",
        "severity": "critical",
        "title": "Origin IP Exposed",
        "description": "Origin server directly accessible...",
        "asset": "192.0.2.1",
        "port": None,
        "cve": [],
        "cvss": None,
        "remediation": {
            "summary": "Restrict origin access to CDN IPs",
            "commands": ["iptables -I INPUT -p tcp --dport 443 -s CDN_IP_RANGE -j ACCEPT"],
        },
        "first_seen": None,
        "raw": operator.ddactic.findings[0],
    }


def test_scan_that_was_read_twice_has_the_same_findings(operator: Operator) -> None:
    started = operator.document("scan", "start", "dom_0001", *DDACTIC, "--wait")

    shown = operator.document("scan", "show", "scn_0001")

    assert shown == {"scan": started["scan"], "findings": started["findings"]}
    assert operator.document("findings")["findings"] == started["findings"]


def test_scan_show_before_its_end_has_no_findings_and_does_not_ask_for_them(operator: Operator) -> None:
    operator.ddactic.polls = 10
    operator.document("scan", "start", "dom_0001", *DDACTIC)
    operator.forget()

    document = operator.document("scan", "show", "scn_0001")

    assert list(document) == ["scan", "findings"]
    assert (document["scan"]["status"], document["findings"]) == ("queued", [])
    assert operator.sent() == ["ddactic GET /scans/scn_0001"]


def test_scan_show_waits_where_it_is_told_to(operator: Operator) -> None:
    operator.ddactic.polls = 4
    operator.document("scan", "start", "dom_0001", *DDACTIC)

    ran = operator.run("scan", "show", "scn_0001", "--wait", "--format", "json")

    assert ran.json["scan"]["status"] == "completed"
    assert len(ran.json["findings"]) == 2
    assert ran.lines == ["ddactic scn_0001: queued", "ddactic scn_0001: running", "ddactic scn_0001: completed"]


def test_scan_show_of_a_scan_that_another_started_is_read_and_stored(operator: Operator) -> None:
    operator.configure("ddactic")
    operator.document("scan", "start", "dom_0001")
    operator.store_file.unlink()
    operator.ddactic.finish("scn_0001")

    document = operator.document("scan", "show", "scn_0001", "--wait")

    assert document["scan"]["target"] == "example.com"
    assert operator.document("findings")["findings"] == document["findings"]


def test_scan_show_of_what_the_platform_does_not_have_fails(operator: Operator) -> None:
    said = operator.failed("scan", "show", "scn_9999", *DDACTIC)

    assert said == "ddactic GET /scans/scn_9999: 404 not_found: Resource doesn't exist"


def test_answer_about_another_scan_is_off_the_contract(operator: Operator) -> None:
    answer = {"scan_id": "scn_0007", "domain": "other.example", "status": "completed"}
    operator.ddactic.script(Fault(status=200, body=json.dumps(answer).encode()))

    said = operator.failed("scan", "show", "scn_0001", *DDACTIC)

    assert said == 'ddactic GET /scans/scn_0001: scan_id: got "scn_0007"; expected the id that was asked for'
    assert operator.document("scan", "list", *DDACTIC)["total"] == 0


def test_two_findings_with_one_id_are_off_the_contract_since_one_would_hide_the_other(operator: Operator) -> None:
    operator.ddactic.findings[1]["id"] = "F-001"

    said = operator.failed("scan", "start", "dom_0001", *DDACTIC, "--wait")

    assert said.startswith('ddactic GET /scans/scn_0001/findings: findings[1].id: got "F-001"; expected an id that no')


def test_finding_that_comes_twice_is_one(operator: Operator) -> None:
    operator.ddactic.findings.append(operator.ddactic.findings[0])

    document = operator.document("scan", "start", "dom_0001", *DDACTIC, "--wait")

    assert [one["id"] for one in document["findings"]] == ["F-001", "F-002"]


def test_answer_that_lags_behind_takes_nothing_back(operator: Operator) -> None:
    document = operator.document("scan", "start", "dom_0001", *DDACTIC, "--wait")
    answer = {"scan_id": "scn_0001", "domain": "example.com", "status": "running"}
    operator.ddactic.script(Fault(status=200, body=json.dumps(answer).encode()))

    shown = operator.document("scan", "show", "scn_0001", "--fail-on", "critical", code=3)

    assert shown["scan"]["status"] == "completed"
    assert {one["id"] for one in shown["findings"]} == {one["id"] for one in document["findings"]}


def test_scan_id_is_one_step_of_the_path_whatever_it_holds(operator: Operator) -> None:
    said = operator.failed("scan", "show", "../domains?x=1", *DDACTIC)

    assert said.startswith("ddactic GET /scans/..%2Fdomains%3Fx%3D1: 404 not_found")


@pytest.mark.parametrize(
    "command",
    [("scan", "start", "dom_0001", *DDACTIC, "--wait"), ("scan", "start", "dom_0001", *DDACTIC, "--fail-on", "info")],
)
def test_scan_that_failed_is_a_document_and_exit_code_1(operator: Operator, command: tuple[str, ...]) -> None:
    operator.ddactic.outcome = "failed"

    ran = operator.run(*command, "--format", "json")

    assert ran.code == 1
    assert (ran.json["scan"]["status"], ran.json["findings"]) == ("failed", [])
    assert ran.error == "ddactic scan scn_0001 failed"
    shown = operator.run("scan", "show", "scn_0001", "--format", "json")
    assert (shown.code, shown.json["scan"]["status"]) == (1, "failed")


def test_scan_that_failed_at_once_is_exit_code_1_without_waiting(operator: Operator) -> None:
    answer = {"id": "scan_7", "target": "example.com", "type": "nmap", "status": "failed"}
    operator.cypersecurity.script(Fault(status=201, body=json.dumps(answer).encode()))

    ran = operator.run("scan", "start", "example.com", *CYPER, "--format", "json")

    assert (ran.code, ran.json["scan"]["status"], ran.error) == (1, "failed", "cypersecurity scan scan_7 failed")


def test_wait_that_took_too_long_is_a_document_and_exit_code_1(operator: Operator) -> None:
    operator.ddactic.polls = 1_000_000

    ran = operator.run("scan", "start", "dom_0001", *DDACTIC, "--wait", "--wait-timeout", "50ms", "--format", "json")

    assert ran.code == 1
    assert ran.json["scan"]["id"] == "scn_0001"
    assert ran.json["findings"] == []
    assert ran.error == "ddactic scn_0001 is not over within 0.05 s"


# --- CyperSecurity ----------------------------------------------------------------------------------------------------


def test_cypersecurity_scan_is_an_nmap_of_the_target(operator: Operator) -> None:
    document = operator.document("scan", "start", "scanme.nmap.org", *CYPER)

    assert posted(operator) == {"target": "scanme.nmap.org", "type": "nmap"}
    assert document["scan"] == {
        "id": "scan_0001",
        "provider": "cypersecurity",
        "target": "scanme.nmap.org",
        "type": "nmap",
        "status": "queued",
        "created_at": "2024-12-31T12:00:00Z",
        "started_at": None,
        "completed_at": None,
        "risk_score": None,
        "estimated_s": None,
        "counts": None,
        "raw": {
            "id": "scan_0001", "target": "scanme.nmap.org", "type": "nmap", "status": "pending",
            "created_at": "2024-12-31T12:00:00Z",
        },
    }  # fmt: skip


def test_cypersecurity_options_are_sent_as_what_they_say(operator: Operator) -> None:
    options = ["ports=1-1000", "os_detection=true", "spider=false", "depth=3", "rate=-1", "note=a=b", "word=True", "x="]

    operator.document(
        "scan", "start", "example.com", *CYPER, "--type", "zap",
        *(word for option in options for word in ("--option", option)),
    )  # fmt: skip

    assert posted(operator) == {
        "target": "example.com",
        "type": "zap",
        "options": {
            "ports": "1-1000", "os_detection": True, "spider": False, "depth": 3, "rate": -1, "note": "a=b",
            "word": "True", "x": "",
        },
    }  # fmt: skip


def test_cypersecurity_scan_that_is_waited_for_has_findings_with_made_ids(operator: Operator) -> None:
    ran = operator.run("scan", "start", "example.com", *CYPER, "--wait", "--format", "json")

    document = ran.json
    for finding in document["findings"]:
        assert_finding(finding)
    rows = [
        (one["severity"], one["title"], one["asset"], one["port"], one["cve"], one["cvss"], one["remediation"])
        for one in document["findings"]
    ]
    assert sorted(rows) == [
        ("critical", "Remote Code Execution", "example.com", None, ["CVE-2021-44228"], 9.8, None),
        ("medium", "Outdated Apache Version", "example.com", None, ["CVE-2021-1234"], 5.3, None),
    ]
    assert document["scan"]["created_at"] == "2024-12-31T12:00:00Z"  # GET does not repeat it
    ids = {one["id"] for one in document["findings"]}
    assert {one["id"] for one in operator.document("scan", "show", "scan_0001")["findings"]} == ids
    assert ran.lines == [f"cypersecurity scan_0001: {word}" for word in ("queued", "running", "completed")]


def test_cypersecurity_severity_is_the_word_in_any_case_else_by_the_score(operator: Operator) -> None:
    given: list[dict[str, Any]] = [
        {"title": "a", "severity": "HIGH"},
        {"title": "b", "severity": "Informational"},
        {"title": "c", "severity": "none", "port": 8443},
        {"title": "d", "cvss_score": 9.0},
        {"title": "e", "cvss_score": 7},
        {"title": "f", "cvss_score": 4.0},
        {"title": "g", "cvss_score": 0.1},
        {"title": "h", "cvss_score": 0},
    ]
    operator.cypersecurity.findings[:] = given

    document = operator.document("scan", "start", "example.com", *CYPER, "--wait")

    assert {one["title"]: one["severity"] for one in document["findings"]} == {
        "a": "high", "b": "info", "c": "info", "d": "critical", "e": "high", "f": "medium", "g": "low", "h": "info",
    }  # fmt: skip
    assert [one["port"] for one in document["findings"] if one["title"] == "c"] == [8443]


def test_cypersecurity_severity_of_no_kind_is_off_the_contract(operator: Operator) -> None:
    operator.cypersecurity.findings[:] = [{"title": "a", "severity": "odd"}]

    said = operator.failed("scan", "start", "example.com", *CYPER, "--wait")

    assert said.startswith("cypersecurity GET /scans/scan_0001: results.vulnerabilities[0].severity: got ")


def test_cypersecurity_quota_is_an_error_at_once(operator: Operator) -> None:
    operator.cypersecurity.quota = 0

    said = operator.failed("scan", "start", "example.com", *CYPER)

    assert said == "cypersecurity POST /scans: 429 insufficient_quota: Scan limit exceeded"
    assert operator.sent() == ["cypersecurity POST /scans"]


# --- lists ------------------------------------------------------------------------------------------------------------


def test_scan_list_of_cypersecurity_asks_for_each_page_once(operator: Operator) -> None:
    operator.cypersecurity._fill(230)

    document = operator.document("scan", "list", *CYPER)

    assert list(document) == ["scans", "total"]
    assert_scan(document["scans"][0])
    assert (len(document["scans"]), document["total"]) == (230, 230)
    assert [call.query for call in operator.cypersecurity.calls] == [
        {"limit": "100", "offset": "0"}, {"limit": "100", "offset": "100"}, {"limit": "100", "offset": "200"},
    ]  # fmt: skip


def test_scan_list_with_a_limit_counts_all_that_match(operator: Operator) -> None:
    operator.cypersecurity._fill(230)

    document = operator.document("scan", "list", *CYPER, "--limit", "5")

    assert [one["id"] for one in document["scans"]] == [f"scan_{number:04}" for number in range(230, 225, -1)]
    assert document["total"] == 230
    assert len(operator.cypersecurity.calls) == 1


@pytest.mark.parametrize(
    ("status", "word"),
    [("queued", "pending"), ("running", "running"), ("completed", "completed"), ("failed", "failed")],
)
def test_scan_list_of_cypersecurity_filters_by_its_own_word(operator: Operator, status: str, word: str) -> None:
    operator.cypersecurity._fill(3)
    operator.cypersecurity.finish("scan_0002", word)

    document = operator.document("scan", "list", *CYPER, "--status", status)

    assert "scan_0002" in [one["id"] for one in document["scans"]]
    assert {one["status"] for one in document["scans"]} == {status}
    assert operator.cypersecurity.calls[0].query["status"] == word


def test_scan_list_of_ddactic_is_that_of_the_store(operator: Operator) -> None:
    operator.ddactic.add_domain("shop.example")
    for target in ("dom_0001", "dom_0002"):
        operator.document("scan", "start", target, *DDACTIC)
    operator.document("scan", "show", "scn_0001", "--wait")
    operator.forget()

    completed = operator.document("scan", "list", *DDACTIC, "--status", "completed")
    limited = operator.document("scan", "list", *DDACTIC, "--limit", "1")

    assert [one["id"] for one in completed["scans"]] == ["scn_0001"]
    assert completed["total"] == 1
    assert (len(limited["scans"]), limited["total"]) == (1, 2)
    assert operator.sent() == []


def test_scan_list_of_everybody_holds_all_that_are_configured(operator: Operator) -> None:
    operator.document("scan", "start", "dom_0001", *DDACTIC)
    operator.cypersecurity._fill(3)

    document = operator.document("scan", "list", "--limit", "1")
    whole = operator.document("scan", "list")

    assert [(one["provider"], one["id"]) for one in document["scans"]] == [("ddactic", "scn_0001")]
    assert (document["total"], whole["total"], len(whole["scans"])) == (4, 4, 4)
    assert {one["provider"] for one in whole["scans"]} == {"ddactic", "cypersecurity"}


# --- the store --------------------------------------------------------------------------------------------------------


def test_scan_is_not_started_where_it_could_not_be_stored(operator: Operator) -> None:
    operator.store_file.mkdir()

    said = operator.failed("scan", "start", "dom_0001", *DDACTIC)

    assert str(operator.store_file) in said
    assert operator.sent() == []


def test_store_has_mode_0600(operator: Operator) -> None:
    operator.document("scan", "start", "dom_0001", *DDACTIC)

    assert operator.store_file.stat().st_mode & 0o777 == 0o600


# --- --fail-on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", ["critical", "high", "medium", "low", "info"])
def test_fail_on_of_scan_start_waits_and_ends_with_3_at_worse_findings(operator: Operator, severity: str) -> None:
    document = operator.document("scan", "start", "dom_0001", *DDACTIC, "--fail-on", severity, code=3)

    assert document["scan"]["status"] == "completed"
    assert len(document["findings"]) == 2


def test_fail_on_of_milder_findings_is_0(operator: Operator) -> None:
    operator.ddactic.findings[:] = [{**operator.ddactic.findings[1], "severity": "medium"}]

    operator.document("scan", "start", "dom_0001", *DDACTIC, "--fail-on", "high", code=0)
    operator.document("scan", "show", "scn_0001", "--fail-on", "high", code=0)
    operator.document("scan", "show", "scn_0001", "--fail-on", "medium", code=3)


def test_fail_on_says_nothing_on_stderr_but_the_progress(operator: Operator) -> None:
    ran = operator.run("scan", "start", "dom_0001", *DDACTIC, "--fail-on", "low")

    assert ran.lines == ["ddactic scn_0001: queued", "ddactic scn_0001: running", "ddactic scn_0001: completed"]
