"""`gateway posture scan`, `findings` and `report` with SecuritySpace, whose answer to a new audit has no id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from posture.command.commands import assert_finding, assert_scan
from posture.command.platforms import Platforms, platforms_in
from posture.standin.securityspace import entry
from posture.standin.server import Fault

from gateway.posture.operation import starting

OF = ("--provider", "securityspace")
TYPE = ("--type", "standard")


@pytest.fixture
def platforms(tmp_path: Path) -> Iterator[Platforms]:
    with platforms_in(tmp_path) as made:
        yield made


def start(platforms: Platforms, target: str, *arguments: str, code: int = 0) -> dict[str, object]:
    document: dict[str, object] = platforms.document("scan", "start", target, *OF, *arguments, code=code)
    return document


# ---- start -----------------------------------------------------------------------------------------------------------


def test_audit_start_finds_its_id_in_the_list(platforms: Platforms) -> None:
    old = platforms.securityspace.add_audit("192.0.2.7", completed=True)
    document = platforms.document("scan", "start", "192.0.2.7", *OF, *TYPE)
    assert_scan(document["scan"])
    assert document == {"scan": document["scan"], "findings": [], "more": []}
    scan = document["scan"]
    assert (scan["id"], scan["provider"], scan["target"], scan["type"]) == (
        str(int(old) + 1), "securityspace", "192.0.2.7", "standard"
    )  # fmt: skip
    assert (scan["status"], scan["created_at"], scan["raw"]["folder"]) == ("queued", "2025-12-17T10:30:00Z", "Inbox")
    assert platforms.forms() == [
        ("saGetAuditList", {}),
        ("saRunAudit", {"ipaddr": "192.0.2.7", "audittype": "standard"}),
        ("saGetAuditList", {}),
    ]
    with platforms.store() as store:
        assert [one.id for one in store.scans()[0]] == [scan["id"]]


@pytest.mark.parametrize("type", ["advanced", "standard", "norisk", "desktop", "basic"])
def test_audit_start_sends_type_and_options(platforms: Platforms, type: str) -> None:
    scan = start(platforms, "192.0.2.7", "--type", type, "--exclude-dos", "--notify")["scan"]
    assert isinstance(scan, dict) and scan["type"] == type
    assert platforms.forms()[1] == (
        "saRunAudit", {"ipaddr": "192.0.2.7", "audittype": type, "excludedos": "1", "notification": "OCMP"}
    )  # fmt: skip


def test_audit_start_of_self_sends_no_address(platforms: Platforms) -> None:
    scan = start(platforms, "self", *TYPE)["scan"]
    assert platforms.forms()[1] == ("saRunAudit", {"audittype": "standard"})
    assert isinstance(scan, dict) and scan["target"] == "127.0.0.1"


def test_audit_start_of_several_addresses_gives_further_ids_in_more(platforms: Platforms) -> None:
    document = start(platforms, "192.0.2.7,192.0.2.9,2001:db8::1", *TYPE)
    first = document["scan"]
    assert isinstance(first, dict) and first["target"] == "192.0.2.7"
    assert document["more"] == [str(int(first["id"]) + 1), str(int(first["id"]) + 2)]


@pytest.mark.parametrize(
    ("typed", "listed"),
    [
        ("192.168.1.*", "192.168.1.40"),
        ("10.1.1-2.32-63", "10.1.2.63"),
        ("198.51.100.1,10.1.1-2.32-63", "10.1.1.32"),
        ("198.51.100.1,10.1.1-2.*", "10.1.1-2.*"),
        ("2001:db8::1", "2001:DB8:0:0:0:0:0:1"),
    ],
)
def test_audit_start_knows_the_address_that_it_was_meant_for(platforms: Platforms, typed: str, listed: str) -> None:
    """Somebody else's audit of another address, which begins at the same time, is not taken for ours."""
    platform = platforms.securityspace

    def run_audit(form: dict[str, str]) -> None:
        for address in ("203.0.113.9", listed):
            platform.add_audit(address)

    platform._saRunAudit = run_audit  # type: ignore[method-assign]
    document = start(platforms, typed, *TYPE)
    scan = document["scan"]
    assert isinstance(scan, dict) and (scan["target"], document["more"]) == (listed, [])


def test_audit_start_that_is_listed_late_is_waited_for(platforms: Platforms) -> None:
    platforms.securityspace.unlisted = 3
    scan = start(platforms, "192.0.2.7", *TYPE)["scan"]
    assert isinstance(scan, dict) and scan["id"] == "1100005104"
    assert [name for name, _ in platforms.forms()].count("saRunAudit") == 1


def test_audit_start_that_is_not_listed_yet_has_no_id_and_a_warning(
    platforms: Platforms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "_LISTED_WITHIN_S", 0.05)
    platforms.securityspace.unlisted = 10_000
    ran = platforms.gateway("scan", "start", "192.0.2.7", *OF, *TYPE, "--format", "json")
    assert ran.code == 0
    scan = ran.json["scan"]
    assert_scan(scan)
    assert (scan["id"], scan["target"], scan["type"], scan["status"]) == (None, "192.0.2.7", "standard", "queued")
    assert "the audit was taken, but the new audit is not listed within 0.05 s: its id is not known" in ran.err
    with platforms.store() as store:
        assert store.scans()[1] == 0
    ran = platforms.gateway("scan", "start", "192.0.2.7", *OF, *TYPE, "--wait", "--format", "json")
    assert (ran.code, ran.json["scan"]["id"], ran.json["findings"]) == (1, None, [])
    assert "it has no id to wait for" in ran.error


def test_audit_that_was_taken_while_the_list_cannot_be_read_is_said(platforms: Platforms) -> None:
    platforms.configure(providers={"securityspace": {"retry": {"attempts": 1}}})
    platforms.securityspace.script(
        Fault(status=200, body=b'{"status": 0, "scancount": 0}', path="/saGetAuditList.php"),
        Fault(status=503, body=b"", path="/saGetAuditList.php"),
    )
    ran = platforms.gateway("scan", "start", "192.0.2.7", *OF, *TYPE)
    assert ran.code == 1 and ran.error.startswith("securityspace POST /saGetAuditList.php: 503")
    assert "securityspace: the audit was taken" in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("192.0.2.7",), "--type is needed: advanced, standard, norisk, desktop, basic"),
        (("192.0.2.7", "--type", "nmap"), "--type: got 'nmap'; securityspace has advanced"),
        (("example.com", *TYPE), "ipaddr: got 'example.com'; expected addresses"),
        (("192.0.2.300", *TYPE), "ipaddr: got '192.0.2.300'"),
        (("192.0.2.9-7", *TYPE), "ipaddr: got '192.0.2.9-7'"),
        (("192.0.2.7", *TYPE, "--option", "ports=80"), "--option is for cypersecurity, and not for securityspace"),
        (("192.0.2.7", *TYPE, "--webhook-url", "https://a.example/"), "--webhook-url is for ddactic"),
        (("192.0.2.7", *TYPE, "--wait-timeout", "soon"), "--wait-timeout"),
        (("192.0.2.7", *TYPE, "--fail-on", "terrible"), "--fail-on"),
    ],
)
def test_audit_start_that_cannot_be_is_refused(platforms: Platforms, arguments: tuple[str, ...], said: str) -> None:
    assert said in platforms.refused("scan", "start", *arguments, *OF).err


@pytest.mark.parametrize("option", ["--exclude-dos", "--notify"])
def test_audit_option_with_another_provider_is_refused(platforms: Platforms, option: str) -> None:
    ran = platforms.refused("scan", "start", "example.com", "--provider", "ddactic", option)
    assert ran.error == f"{option} is for securityspace, and not for ddactic"


def test_audit_without_provider_is_refused_where_several_are_configured(platforms: Platforms) -> None:
    assert "which provider?" in platforms.refused("scan", "start", "192.0.2.7", *TYPE).error
    platforms.configure(without="ddactic")
    assert platforms.document("scan", "start", "192.0.2.7", *TYPE)["scan"]["provider"] == "securityspace"


def test_audit_start_over_plain_http_is_refused(platforms: Platforms) -> None:
    url = platforms.securityspace.url.replace("https:", "http:")
    platforms.configure(providers={"securityspace": {"base_url": url}})
    platforms.refused("scan", "start", "192.0.2.7", *OF, *TYPE)


@pytest.mark.parametrize(
    ("word", "arguments"),
    [("notEntitled", TYPE), ("IPPermissionsProblem", TYPE), ("noriskAlreadyRun", ("--type", "norisk"))],
)
def test_audit_that_the_platform_refuses_fails_with_its_word(
    platforms: Platforms, word: str, arguments: tuple[str, ...]
) -> None:
    platforms.securityspace.refuse("/saRunAudit.php", word)
    error = platforms.failed("scan", "start", "192.0.2.7", *OF, *arguments)
    assert error.startswith(f"securityspace POST /saRunAudit.php: {word}")
    assert platforms.securityspace.audits == {}


def test_audit_start_is_never_repeated_after_a_lost_answer(platforms: Platforms) -> None:
    platforms.securityspace.script(Fault(drop=True, after=True, path="/saRunAudit.php"))
    error = platforms.failed("scan", "start", "192.0.2.7", *OF, *TYPE)
    assert error.startswith("securityspace POST /saRunAudit.php: ") and error.endswith("(may have been taken)")
    assert len(platforms.securityspace.audits) == 1


# ---- wait and show ---------------------------------------------------------------------------------------------------


def test_audit_start_and_wait_gives_the_findings(platforms: Platforms) -> None:
    platforms.securityspace.steps = 2
    ran = platforms.gateway("scan", "start", "192.0.2.7", *OF, *TYPE, "--wait", "--format", "json")
    assert ran.code == 0, ran.err
    scan, findings = ran.json["scan"], ran.json["findings"]
    assert_scan(scan)
    assert (scan["status"], scan["started_at"], scan["completed_at"]) == (
        "completed", "2025-12-17T10:31:00Z", "2025-12-17T11:00:00Z"
    )  # fmt: skip
    assert scan["counts"] == {"critical": 0, "high": 1, "medium": 1, "low": 1, "info": 1}
    assert ran.err.splitlines() == [
        f"securityspace {scan['id']}: {status}" for status in ("queued", "running", "completed")
    ]
    for finding in findings:
        assert_finding(finding)
    assert [(one["severity"], one["port"], one["asset"]) for one in findings] == [
        ("high", 443, "192.0.2.7"), ("medium", 443, "192.0.2.7"), ("low", None, "192.0.2.7"),
        ("info", None, "192.0.2.7"),
    ]  # fmt: skip
    assert findings[0] == {
        "id": f"{scan['id']}_58", "provider": "securityspace", "scan": scan["id"], "severity": "high",
        "title": "OpenSSL reads beyond its buffer", "description": "What the test found.", "asset": "192.0.2.7",
        "port": 443, "cve": ["CVE-2014-0160", "CVE-2014-0346"], "cvss": None, "remediation": None,
        "first_seen": findings[0]["first_seen"], "raw": findings[0]["raw"],
    }  # fmt: skip
    assert findings[0]["raw"]["shortid"] == "58"


def test_audit_fail_on_waits_and_exits_with_3_at_that_severity(platforms: Platforms) -> None:
    document = start(platforms, "192.0.2.7", *TYPE, "--fail-on", "high", code=3)
    assert len(document["findings"]) == 4  # type: ignore[arg-type]
    start(platforms, "192.0.2.8", *TYPE, "--fail-on", "critical")


def test_audit_wait_that_takes_too_long_fails_with_the_document(platforms: Platforms) -> None:
    platforms.securityspace.steps = 10_000
    document = start(platforms, "192.0.2.7", *TYPE, "--wait", "--wait-timeout", "50ms", code=1)
    scan = document["scan"]
    assert isinstance(scan, dict) and (scan["status"], document["findings"]) == ("queued", [])


def test_audit_show_goes_from_queued_to_completed(platforms: Platforms) -> None:
    scanuid = platforms.securityspace.add_audit("192.0.2.7")
    shown = [platforms.document("scan", "show", scanuid, *OF) for _ in range(3)]
    assert [one["scan"]["status"] for one in shown] == ["queued", "running", "completed"]
    assert [len(one["findings"]) for one in shown] == [0, 0, 4]
    assert [name for name, _ in platforms.forms()].count("saGetAuditReport") == 1
    again = platforms.document("scan", "show", scanuid)  # the store knows whose it is
    assert again["findings"] == shown[2]["findings"]
    assert platforms.document("scan", "show", scanuid, "--wait", "--fail-on", "medium", code=3) == again


@pytest.mark.parametrize("textual", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_audit_show_reads_every_notation_of_the_document(platforms: Platforms, textual: bool, listed: bool) -> None:
    platforms.securityspace.textual, platforms.securityspace.listed = textual, listed
    scanuid = platforms.securityspace.add_audit("192.0.2.7", completed=True)
    document = platforms.document("scan", "show", scanuid, *OF)
    assert [one["id"] for one in document["findings"]] == [f"{scanuid}_{number}" for number in (58, 59, 60, 61)]
    assert document["scan"]["counts"] == {"critical": 0, "high": 1, "medium": 1, "low": 1, "info": 1}


def test_audit_show_of_an_unknown_id_fails(platforms: Platforms) -> None:
    assert platforms.failed("scan", "show", "77", *OF) == "securityspace POST /saGetAuditList.php: no audit '77'"


def test_audit_session_that_expires_while_it_is_waited_for_is_renewed(platforms: Platforms) -> None:
    platforms.securityspace.steps = 3
    platforms.securityspace.expire_after(4)
    scan = start(platforms, "192.0.2.7", *TYPE, "--wait")["scan"]
    assert isinstance(scan, dict) and scan["status"] == "completed"
    assert platforms.securityspace.counts["/auth.php"] == 2


# ---- list, findings, report ------------------------------------------------------------------------------------------


def test_audit_list_gives_them_by_status_and_counts_all(platforms: Platforms) -> None:
    for number in range(3):
        platforms.securityspace.add_audit(f"192.0.2.{number}", completed=number > 0)
    platforms.securityspace.steps = 10_000
    document = platforms.document("scan", "list", *OF)
    assert (len(document["scans"]), document["total"]) == (3, 3)
    for scan in document["scans"]:
        assert_scan(scan)
    document = platforms.document("scan", "list", *OF, "--status", "completed", "--limit", "1")
    assert ([one["target"] for one in document["scans"]], document["total"]) == (["192.0.2.1"], 2)
    assert platforms.document("scan", "list", *OF, "--status", "failed") == {"scans": [], "total": 0}


def test_scan_list_without_provider_is_of_all_that_are_configured(platforms: Platforms) -> None:
    platforms.ddactic.add_domain("example.com")
    platforms.document("scan", "start", "example.com", "--provider", "ddactic")
    scanuid = platforms.securityspace.add_audit("192.0.2.7")
    document = platforms.document("scan", "list")
    assert [(one["provider"], one["id"]) for one in document["scans"]] == [
        ("ddactic", "scn_0001"), ("securityspace", scanuid)
    ]  # fmt: skip
    assert document["total"] == 2
    assert len(platforms.document("scan", "list", "--limit", "1")["scans"]) == 1


def test_audit_findings_are_kept_and_the_next_audit_tells_what_is_new_and_gone(platforms: Platforms) -> None:
    def audit(*numbers: int) -> str:
        made = platforms.securityspace.add_audit("192.0.2.7", completed=True, entries={})
        found = [entry(int(made), number, "high", "192.0.2.7") for number in numbers]
        platforms.securityspace.audits[int(made)].entries = {"high": {one["entrykey"]: one for one in found}}
        platforms.document("scan", "show", made, *OF)
        platforms.securityspace.advance(3600)
        return made

    def titles(*arguments: str) -> list[str]:
        return [one["title"] for one in platforms.document("findings", *arguments)["findings"]]

    first = audit(1, 2)
    second = audit(2, 3)
    platforms.forget()
    assert sorted(titles("--scan", first)) == ["Test 1", "Test 2"]
    assert (titles("--new"), titles("--open"), titles("--gone")) == (["Test 3"], ["Test 2"], ["Test 1"])
    assert platforms.document("findings", *OF, "--severity", "critical") == {"findings": [], "total": 0}
    assert platforms.gateway("findings", "--scan", second, "--fail-on", "high").code == 3
    assert platforms.sent() == []


def test_audit_report_is_the_answer_as_it_came(platforms: Platforms) -> None:
    scanuid = platforms.securityspace.add_audit("192.0.2.7", completed=True)
    file = platforms.folder / "report.json"
    ran = platforms.gateway("report", scanuid, *OF, "--format", "json", "-o", str(file))
    assert (ran.code, ran.json) == (
        0,
        {
            "report": {
                "scan": scanuid, "provider": "securityspace", "format": "json", "type": "technical", "file": str(file),
                "bytes": file.stat().st_size,
            }
        },
    )  # fmt: skip
    report = json.loads(file.read_bytes())
    assert report["scaninfo"]["basic"]["title"] == "Audit of 192.0.2.7"
    assert set(report["scaninfo"]["entries"]) == {"high", "medium", "low", "other"}


@pytest.mark.parametrize("format", ["pdf", "html"])
def test_audit_report_in_another_format_is_refused(platforms: Platforms, format: str) -> None:
    file = platforms.folder / "report"
    ran = platforms.refused("report", "77", *OF, "--format", format, "-o", str(file))
    assert ran.error == f"--format: got {format!r}; securityspace has json"
    assert not file.exists()


def test_audit_report_that_is_not_there_leaves_the_file_as_it_was(platforms: Platforms) -> None:
    file = platforms.folder / "report.json"
    file.write_text("the last one")
    scanuid = platforms.securityspace.add_audit("192.0.2.7")
    error = platforms.failed("report", scanuid, *OF, "--format", "json", "-o", str(file))
    assert error.startswith("securityspace POST /saGetAuditReport.php: reportLoadFailure[2]")
    assert file.read_text() == "the last one"
    assert sorted(one.name for one in platforms.folder.glob("*report*")) == ["report.json"]
