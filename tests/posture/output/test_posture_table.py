"""The documents of the commands as tables."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from gateway.posture.domain import Domain, Verification
from gateway.posture.event import Event
from gateway.posture.finding import Finding, Remediation
from gateway.posture.output.table import Facts, Kind, Lines, Table, parts_of, print_document
from gateway.posture.scan import Counts, Scan


def finding(text: str = "x", **changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": "F-1", "provider": "ddactic", "scan": "scn_1", "severity": "critical", "title": text,
        "description": text, "asset": "a.example", "port": None, "cve": (), "cvss": None,
        "remediation": Remediation(f"do {text}", (f"run {text}",)), "raw": {"text": text},
    }  # fmt: skip
    return Finding(**(fields | changed)).as_json()


def scan(text: str = "scn_1", **changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": text, "provider": "ddactic", "target": "a.example", "type": "passive", "status": "completed",
        "started_at": "2025-12-17T10:30:00Z", "counts": Counts(1, 3),
    }  # fmt: skip
    return Scan(**(fields | changed)).as_json()


def domain(text: str = "a.example") -> dict[str, Any]:
    verification = Verification("dns_txt", f"ddactic-verify={text}")
    return Domain("dom_1", text, None, verification, None, 4.2, None).as_json()


def event(text: str) -> dict[str, Any]:
    return Event(
        "ab", "ddactic", text, None, "2025-12-17T10:30:00Z", "scn_1", {"scan_id": "scn_1", text: text}
    ).as_json()


DOCUMENTS: dict[Kind, Callable[[str], dict[str, Any]]] = {
    "domains": lambda text: {"domains": [domain(text)], "total": 3},
    "domain": lambda text: {
        "domain": domain(text),
        "dns": {"zone": text, "name": "", "added": True, "published": True, "warnings": [text]},
    },
    "scan": lambda text: {"scan": scan(text), "findings": [finding(text)], "more": [text]},
    "scans": lambda text: {"scans": [scan(text)], "total": 1},
    "findings": lambda text: {"findings": [finding(text)], "total": 1},
    "report": lambda text: {
        "report": {"scan": text, "provider": "ddactic", "format": "pdf", "type": "full", "file": text, "bytes": 9}
    },
    "events": lambda text: {"events": [event(text)], "total": 1},
    "webhooks": lambda text: {"webhooks": [{"id": text, text: [text]}, text]},
    "webhook": lambda text: {"webhook": {"id": text, "events": [text]}},
    "organization": lambda text: {"organization": {text: text, "plan": {"name": text}}},
    "members": lambda text: {"members": [{"email": text}, {"email": text, "role": "admin"}]},
    "member": lambda text: {"member": {"email": text}},
    "zones": lambda text: {
        "domains": [{"domain": text, "seq": "1", "weight": 1, "state": 2, "state_text": text}],
        "domaincount": 1, "domainweight": 1, "expiry": text,
    },
    "records": lambda text: {
        "domains": [
            {
                "domain": text, "state": 1, "state_text": text,
                "records": [{"seq": "7", "type": "A", "data": {"ip": text}}],
            }
        ]
    },
    "change": lambda text: {"domain": text, "set": {"admin": text}},
    "zone": lambda text: {"domain": text, "zone": text},
    "publication": lambda text: {"domain": text, "published": False, "warnings": [text], "errors": [text]},
}  # fmt: skip


def printed(kind: Kind, document: dict[str, Any], **options: Any) -> str:
    """As in a pipe, lines without the blanks at their ends."""
    stream = io.StringIO()
    print_document(kind, document, Console(file=stream, width=200, highlight=False, **options))
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def test_domains_are_listed_with_how_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_document("domains", DOCUMENTS["domains"]("a.example"))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "domain     id     verified  risk  last scan",
        "a.example  dom_1             4.2",
        "",
        "1 of 3 domains",
    ]


def test_scan_is_shown_with_its_findings_and_what_to_do() -> None:
    document = {"scan": scan(), "findings": [finding("Old TLS", port=443, cvss=7.5, cve=("CVE-1",))], "more": []}
    assert printed("scan", document) == (
        "scan      scn_1\n"
        "provider  ddactic\n"
        "target    a.example\n"
        "type      passive\n"
        "status    completed\n"
        "started   2025-12-17T10:30:00Z\n"
        "findings  1 critical, 3 high\n"
        "\n"
        "severity  finding  asset               cve    cvss  provider  scan   id   first seen\n"
        "critical  Old TLS  a.example port 443  CVE-1   7.5  ddactic   scn_1  F-1\n"
        "\n"
        "Old TLS (a.example port 443)\n"
        "do Old TLS\n"
        "  run Old TLS\n"
    )


def test_scan_that_is_completed_without_findings_says_so() -> None:
    assert printed("scan", {"scan": scan(), "findings": []}).endswith("\n\nno findings\n")
    assert "no findings" not in printed("scan", {"scan": scan(status="running"), "findings": []})


def test_remediation_of_several_findings_is_shown_once() -> None:
    findings = [finding(asset=f"192.0.2.{number}") for number in range(1, 6)]
    parts = parts_of("scan", {"scan": scan(), "findings": findings})
    assert parts[2:] == [Lines(("do x", "  run x"), "x (192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more)")]


@pytest.mark.parametrize(
    ("count", "total", "said"),
    [(0, 0, "no findings"), (1, 1, "1 finding"), (2, 2, "2 findings"), (1, 2, "1 of 2 findings"), (0, 5, "0 of 5 fin")],
)
def test_findings_are_counted(count: int, total: int, said: str) -> None:
    last = printed("findings", {"findings": [finding()] * count, "total": total}).splitlines()[-1]
    assert last.startswith(said)


def test_command_to_copy_is_never_wrapped() -> None:
    command = "nft add rule " + "x" * 400
    text = printed("scan", {"scan": scan(), "findings": [finding(remediation=Remediation("Do:", (command,)))]})
    assert f"\n  {command}\n" in text


def test_objects_of_a_platform_are_shown_with_the_keys_that_they_have() -> None:
    (table, _) = parts_of("members", {"members": [{"email": "a@b.example"}, {"role": "admin", "id": 7}, "odd"]})
    assert table == Table(
        ("email", "role", "id", "value"),
        (("a@b.example", "", "", ""), ("", "admin", "7", ""), ("", "", "", "odd")),
    )


def test_nested_value_is_json_cut_to_a_cell() -> None:
    assert parts_of("organization", {"organization": {"plan": {"seats": 3}, "trial": False, "notes": "a" * 3}}) == [
        Facts((("plan", '{"seats":3}'), ("trial", "no"), ("notes", "aaa")))
    ]
    (facts,) = parts_of("organization", {"organization": {"list": ["x" * 500]}})
    assert isinstance(facts, Facts)
    assert (len(facts.rows[0][1]), facts.rows[0][1][-3:]) == (160, "...")


def test_records_stand_under_their_zone() -> None:
    document = {
        "domains": [
            {
                "domain": "a.example", "state": 1, "state_text": "published",
                "records": [{"seq": "12", "type": "MX", "data": {"name": "", "mxname": "mx.example", "priority": 10}}],
            },
            {"domain": "b.example", "state": None, "state_text": None, "records": []},
        ]
    }  # fmt: skip
    assert printed("records", document) == (
        "a.example (published)\nseq  type  data\n 12  MX    name= mxname=mx.example priority=10\n\nb.example\n"
    )


def test_zone_is_printed_alone_unwrapped_with_its_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    line = f'example.com.\t3600\tIN\tTXT\t"{"k" * 400}"'
    print_document("zone", {"domain": "example.com", "zone": f"; zone\x1b[2J\n{line}\n"})
    assert capsys.readouterr().out == f"; zone\\x1b[2J\n{line}\n"


def test_publication_that_failed_shows_its_errors() -> None:
    document = {"domain": "a.example", "published": False, "warnings": [], "errors": ["no NS"]}
    assert printed("publication", document) == "domain     a.example\npublished  no\n\nerrors\nno NS\n"


def test_severity_and_status_are_coloured_on_a_terminal() -> None:
    text = printed(
        "scans", {"scans": [scan(status="failed")], "total": 1}, force_terminal=True, color_system="standard"
    )
    assert "\x1b[1;31mfailed\x1b[0m" in text


HOSTILE = ["\x1b]0;title\x07", "\x1b[2J", "a\nb\r", "\u202egnp.exe", "\x9b31m", "[red]x[/red]", ":smile:"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", sorted(DOCUMENTS))
def test_text_of_others_never_commands_the_terminal(kind: Kind, text: str) -> None:
    out = printed(kind, DOCUMENTS[kind](text))
    assert all(one.isprintable() for one in out.replace("\n", ""))
    if text.isprintable():
        assert text in out


def test_name_of_a_file_that_is_no_utf8_is_escaped() -> None:
    assert "\\udcff.pdf" in printed("report", DOCUMENTS["report"]("\udcff.pdf"))


@settings(max_examples=50)
@given(st.sampled_from(sorted(DOCUMENTS)), st.text(st.characters(codec="utf-8"), max_size=30))
def test_document_with_any_text_is_printed_in_printable_characters(kind: Kind, text: str) -> None:
    assert all(one.isprintable() for one in printed(kind, DOCUMENTS[kind](text)).replace("\n", ""))


def test_output_is_imported_and_told_in_a_pipe_without_rich() -> None:
    program = (
        "import sys\n"
        "from gateway.posture.output.progress import progress\n"
        "from gateway.posture.output.sarif import sarif\n"
        "from gateway.posture.output.table import print_document\n"
        "sarif([])\n"
        "print_document('zone', {'domain': 'a', 'zone': 'z'})\n"
        "with progress() as shown:\n"
        "    shown.note('waiting')\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'rich', 'aiohttp', 'sqlalchemy', 'typer'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("z\n[]\n", "waiting\n")
