"""`report`: every format that a provider has, in a file that is written whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from posture.command.commands import CYPER_KEY, DDACTIC_KEY, REPORT, Operator
from posture.standin.cypersecurity import PDF
from posture.standin.server import Fault

DDACTIC = ("report", "scn_0001")
CYPER = ("report", "scan_0001", "--format", "pdf", "-o")


@pytest.fixture
def operator(operator: Operator) -> Operator:
    """With a completed scan of each platform."""
    operator.document("scan", "start", "dom_0001", "--provider", "ddactic", "--wait")
    operator.document("scan", "start", "example.com", "--provider", "cypersecurity", "--wait")
    operator.forget()
    return operator


@pytest.fixture
def file(operator: Operator) -> Path:
    return operator.folder / "report"


def left(operator: Operator) -> set[str]:
    """The files of the folder."""
    return {one.name for one in operator.folder.iterdir()} - {"gateway.yaml", "posture.db"}


@pytest.mark.parametrize("type", ["executive", "technical", "full"])
@pytest.mark.parametrize(("format", "begins"), [("json", b'{"scan_id": "scn_'), ("pdf", b"%PDF-"), ("html", b"<!")])
def test_ddactic_report_is_the_platforms_document(
    operator: Operator, file: Path, format: str, begins: bytes, type: str
) -> None:
    ran = operator.run(*DDACTIC, "--format", format, "--type", type, "-o", str(file))

    assert (ran.code, ran.err) == (0, "")
    body = file.read_bytes()
    assert body.startswith(begins)
    assert type.encode() in body
    assert ran.json == {
        "report": {
            "scan": "scn_0001", "provider": "ddactic", "format": format, "type": type, "file": str(file),
            "bytes": len(body),
        }
    }  # fmt: skip
    assert tuple(ran.json["report"]) == REPORT
    assert [call.query for call in operator.ddactic.calls] == [{"format": format, "type": type}]
    assert left(operator) == {"report"}


def test_report_is_technical_where_nothing_else_is_said(operator: Operator, file: Path) -> None:
    assert operator.run(*DDACTIC, "--format", "json", "-o", str(file)).json["report"]["type"] == "technical"


@pytest.mark.parametrize("not_ready", [404, 409, 202])
def test_cypersecurity_report_is_asked_for_until_it_is_ready(operator: Operator, file: Path, not_ready: int) -> None:
    operator.cypersecurity.not_ready = not_ready
    operator.cypersecurity.report_polls = 3

    ran = operator.run(*CYPER, str(file), "--type", "full")

    assert ran.code == 0
    assert file.read_bytes() == PDF
    assert ran.json["report"]["bytes"] == len(PDF)
    assert operator.cypersecurity.calls[0].json == {"format": "pdf", "type": "full"}
    assert operator.sent() == ["cypersecurity POST /scans/scan_0001/report"] + [
        "cypersecurity GET /reports/report_0001/download"
    ] * 4


def test_cypersecurity_report_never_follows_the_url_of_an_answer(operator: Operator, file: Path) -> None:
    answer = {"report_id": "report_0001", "status": "ready", "download_url": f"{operator.ddactic.url}/domains"}
    operator.cypersecurity.reports["report_0001"] = 5
    operator.cypersecurity.script(Fault(status=200, body=json.dumps(answer).encode()))

    assert operator.run(*CYPER, str(file)).code == 0
    assert operator.ddactic.calls == []


def test_report_that_is_never_ready_is_exit_code_1_and_no_file(operator: Operator, file: Path) -> None:
    operator.cypersecurity.report_polls = 1_000_000

    said = operator.failed(*CYPER, str(file), "--wait-timeout", "30ms")

    assert said == "cypersecurity: report report_0001 of scan scan_0001 was not ready within 0.03 s"
    assert left(operator) == set()


@pytest.mark.parametrize(
    ("provider", "format", "has"),
    [
        ("cypersecurity", "json", "pdf"), ("cypersecurity", "html", "pdf"), ("embedded", "pdf", "json"),
        ("embedded", "html", "json"),
    ],
)  # fmt: skip
def test_format_that_a_provider_does_not_have_is_exit_2_and_nothing_is_sent(
    operator: Operator, file: Path, provider: str, format: str, has: str
) -> None:
    said = operator.refused("report", "x", "--provider", provider, "--format", format, "-o", str(file)).err

    assert said == f"error: --format: got '{format}'; {provider} has {has}\n"
    assert left(operator) == set()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=404, body=b'{"error": {"code": "not_found", "message": "no", "details": {}}}'),
        Fault(status=200, body=b"no pdf at all", content_type="application/pdf"),
        Fault(status=200, body=b"", content_type="application/pdf"),
        Fault(status=302, headers={"Location": "https://elsewhere.example/x.pdf"}),
    ],
    ids=["refused", "no pdf", "empty", "redirect"],
)
@pytest.mark.parametrize("existing", [None, b"the report of yesterday"])
def test_report_that_fails_leaves_what_was_there(
    operator: Operator, file: Path, fault: Fault, existing: bytes | None
) -> None:
    if existing is not None:
        file.write_bytes(existing)
    operator.ddactic.script(fault)

    said = operator.failed(*DDACTIC, "--format", "pdf", "-o", str(file))

    assert said.startswith("ddactic GET /scans/scn_0001/report: ")
    assert left(operator) == (set() if existing is None else {"report"})
    assert existing is None or file.read_bytes() == existing


def test_pdf_that_does_not_begin_as_one_is_off_the_contract(operator: Operator, file: Path) -> None:
    operator.cypersecurity.pdf = b"<html>please log in</html>"
    operator.cypersecurity.report_polls = 0

    said = operator.failed(*CYPER, str(file))

    assert said.startswith("cypersecurity GET /reports/report_0001/download: the answer: got 26 bytes")
    assert said.endswith("expected a PDF, which begins with %PDF-")
    assert left(operator) == set()


def test_json_report_that_is_no_json_is_off_the_contract(operator: Operator, file: Path) -> None:
    operator.ddactic.reports["json"] = b'{"scan_id": '

    said = operator.failed(*DDACTIC, "--format", "json", "-o", str(file))

    assert said.startswith("ddactic GET /scans/scn_0001/report: the answer: got 12 bytes of application/json")


def test_report_of_a_scan_that_runs_is_the_platforms_refusal(operator: Operator, file: Path) -> None:
    operator.document("scan", "start", "dom_0001", "--provider", "ddactic")

    said = operator.failed("report", "scn_0002", "--format", "pdf", "-o", str(file))

    assert said == "ddactic GET /scans/scn_0002/report: 409 scan_in_progress: Scan is not completed"


def test_report_replaces_the_one_of_yesterday(operator: Operator, file: Path) -> None:
    file.write_bytes(b"the report of yesterday")

    assert operator.run(*DDACTIC, "--format", "pdf", "-o", str(file)).code == 0
    assert file.read_bytes().startswith(b"%PDF-")
    assert left(operator) == {"report"}


@pytest.mark.parametrize("place", ["absent/report.pdf", "gateway.yaml/report.pdf", "."])
def test_place_that_cannot_be_written_to_is_exit_code_1_before_anything_is_sent(operator: Operator, place: str) -> None:
    said = operator.failed(*DDACTIC, "--format", "pdf", "-o", str(operator.folder / place))

    assert str(operator.folder) in said
    assert operator.sent() == []
    assert left(operator) == set()


@pytest.mark.parametrize("is_there", [True, False])
def test_link_is_replaced_and_what_it_leads_to_stays_as_it_is(operator: Operator, file: Path, is_there: bool) -> None:
    target = operator.folder / "real"
    if is_there:
        target.write_bytes(b"somebody else's")
        target.chmod(0o644)
    file.symlink_to("real")

    assert operator.run(*DDACTIC, "--format", "pdf", "-o", str(file)).code == 0
    assert not file.is_symlink() and file.read_bytes().startswith(b"%PDF-")
    assert file.stat().st_mode & 0o777 == 0o600
    assert target.exists() == is_there
    assert not is_there or (target.read_bytes(), target.stat().st_mode & 0o777) == (b"somebody else's", 0o644)


@pytest.mark.parametrize("mode", [None, 0o600, 0o644, 0o640])
def test_report_keeps_the_mode_of_the_file_that_it_replaces_and_else_is_nobody_elses(
    operator: Operator, file: Path, mode: int | None
) -> None:
    if mode is not None:
        file.touch()
        file.chmod(mode)

    assert operator.run(*DDACTIC, "--format", "pdf", "-o", str(file)).code == 0
    assert file.stat().st_mode & 0o777 == (mode or 0o600)


def test_report_that_is_ended_leaves_no_file(operator: Operator, file: Path) -> None:
    operator.cypersecurity.report_polls = 1_000_000
    process = subprocess.Popen(operator.command(*CYPER, str(file)), stderr=subprocess.PIPE, text=True)
    try:
        while not any("download" in path for path in operator.cypersecurity.paths()):
            assert process.poll() is None
            time.sleep(0.01)
        assert left(operator) != set()  # the temporary file
        process.terminate()
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, said.splitlines()[-1]) == (1, "error: interrupted")
    assert left(operator) == set()


@pytest.mark.parametrize("is_linked", [False, True])
def test_pipe_or_device_is_never_replaced(operator: Operator, file: Path, is_linked: bool) -> None:
    pipe = operator.folder / "pipe" if is_linked else file
    os.mkfifo(pipe)
    if is_linked:
        file.symlink_to("pipe")

    said = operator.failed(*DDACTIC, "--format", "pdf", "-o", str(file))

    assert said == f"{file}: is a device or a pipe; expected the name of a file"
    assert file.is_fifo()
    assert operator.sent() == []


def test_report_is_written_where_the_command_runs(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.chdir(place)

    ran = operator.run(*DDACTIC, "--format", "html", "-o", "report.html")

    assert ran.json["report"]["file"] == "report.html"
    assert [one.name for one in place.iterdir()] == ["report.html"]


@pytest.mark.parametrize("name", ["é" * 120, "\U0001f600" * 60, "a" * 255], ids=["é", "emoji", "longest"])
def test_report_has_the_longest_names(operator: Operator, name: str) -> None:
    assert operator.run(*DDACTIC, "--format", "html", "-o", str(operator.folder / name)).code == 0
    assert (operator.folder / name).exists()


@pytest.mark.parametrize("format", ["json", "html"])
def test_key_that_a_platform_puts_into_its_report_is_not_written(operator: Operator, file: Path, format: str) -> None:
    bodies = {"json": json.dumps({"asked_with": DDACTIC_KEY}), "html": f"<p>Bearer {DDACTIC_KEY}</p>"}
    operator.ddactic.reports[format] = bodies[format].encode()

    assert operator.run(*DDACTIC, "--format", format, "-o", str(file)).code == 0
    assert b"***" in file.read_bytes()
    assert CYPER_KEY.encode() not in file.read_bytes()
