"""What `explain`, `check --probe` and `engine` print."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from gateway import terminal
from gateway.engine.override import Override
from gateway.explain import Answer, Explanation, Field
from gateway.overriding import Listed
from gateway.probe import ProbeResult
from gateway.terminal import print_explanation, print_probes

BYPASS = Explanation(
    site="shop",
    site_reason="host *.example matches shop.example",
    checked=False,
    checked_reason="static file: .css",
    client_ip="192.0.2.7",
    client_ip_reason="the connection's other end; no proxy is trusted",
)
CHECK = replace(
    BYPASS,
    checked=True,
    checked_reason="nothing excludes it",
    fields=(
        Field("Key", "***", 36, None, False),
        Field("UserAgent", "[red]Mozilla[/red] \x1b]0;owned\x07", 768, 768, True),
    ),
    encoding="json",
    encoded_bytes=1234,
    budget_bytes=24576,
)
BLOCK = Answer(
    decision="block",
    reason="",
    status=403,
    duration_s=0.00123,
    rule="automation",
    outcome="blocked",
    request_headers=(),
    response_headers=(("Set-Cookie", "datadome=x"),),
    origin_gets=(),
    client_gets=("HTTP/1.1 403 Forbidden", "Content-Length: 10"),
)


def printed(explanation: Explanation) -> list[str]:
    text = io.StringIO()
    print_explanation(explanation, Console(file=text, width=160))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_explanation_of_bypass_shows_reasons_and_no_payload() -> None:
    assert printed(BYPASS) == [
        "site            shop: host *.example matches shop.example",
        "protection      bypass: static file: .css",
        "client address  192.0.2.7: the connection's other end; no proxy is trusted",
    ]


def test_explanation_of_no_site_says_none() -> None:
    assert printed(replace(BYPASS, site=None, site_reason="421"))[0] == "site            none: 421"


def test_explanation_of_check_shows_each_field_and_the_size() -> None:
    lines = printed(CHECK)
    assert lines[3] == "payload         2 fields as json, 1234 of at most 24576 bytes (5.0 %)"
    assert [line.split() for line in lines[4:6]] == [
        ["field", "bytes", "limit", "cut", "value"],
        ["Key", "36", "***"],
    ]


def test_explanation_of_hostile_value_neither_marks_up_nor_commands_the_terminal() -> None:
    line = printed(CHECK)[6]
    assert line.split() == ["UserAgent", "768", "768", "cut", "[red]Mozilla[/red]", r"\x1b]0;owned\x07"]


def test_explanation_of_block_shows_decision_and_what_both_sides_get() -> None:
    assert printed(replace(CHECK, answer=BLOCK))[7:] == [
        "decision  block",
        "rule      automation",
        "answer    status 403 after 1.2 ms",
        "outcome   blocked",
        "",
        "merged into the request to the origin",
        "  nothing",
        "",
        "merged into the response to the client",
        "  Set-Cookie: datadome=x",
        "",
        "the origin gets",
        "  nothing",
        "",
        "the client gets",
        "  HTTP/1.1 403 Forbidden",
        "  Content-Length: 10",
    ]


def test_explanation_of_failed_check_shows_the_reason() -> None:
    failed = replace(BLOCK, decision="error", reason="timeout", status=None, duration_s=0.15, rule="")
    lines = printed(replace(CHECK, answer=failed))
    assert lines[7:9] == ["decision  error (timeout)", "answer    no answer after 150.0 ms"]


def test_probes_show_each_peer() -> None:
    text = io.StringIO()
    results = [ProbeResult("protection", True, "200", 0.0021), ProbeResult("origin http://a", False, "refused", 0.5)]
    print_probes(results, Console(file=text, width=160))
    assert [line.split() for line in text.getvalue().splitlines()[1:]] == [
        ["ok", "protection", "2.1", "200"],
        ["FAILED", "origin", "http://a", "500.0", "refused"],
    ]


def test_progress_is_one_line_on_a_terminal_and_goes_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", watched := Watched())
    with terminal.progress() as tell:
        tell(2_000, 0.25)
        tell(4_000, None)
    assert watched.getvalue() == "\r\033[K2,000 lines, 25%\r\033[K4,000 lines\r\033[K"


def test_overrides_are_a_line_each_with_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal.time, "time", lambda: 1_800_000_000.0)
    ends_s = {"192.0.2.1": 60, "192.0.2.0/24": 3_600, "session:A": 86_400}
    listed = Listed(
        "engine unix:/run/e.sock",
        [
            Override(subject, "revoke" if ":" in subject else "block", 1_800_000_000.0 + left_s, "because\n", 1.0)
            for subject, left_s in ends_s.items()
        ],
    )
    output = io.StringIO()
    terminal.print_overrides(listed, Console(file=output, width=200))
    lines = output.getvalue().splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["192.0.2.1", "block"], ["192.0.2.0/24", "block"], ["session:A", "revoke"],
    ]  # fmt: skip
    assert [" ".join(line.split()[-3:]) for line in lines[1:4]] == [
        "60 s because\\n", "60 min because\\n", "24.0 h because\\n",
    ]  # fmt: skip
    assert lines[4].rstrip() == "3 in force (engine unix:/run/e.sock)"
    output.truncate(0)
    terminal.print_overrides(listed._replace(in_memory=True), Console(file=output, width=200))
    assert "3 in force, until the engine is restarted (engine unix:/run/e.sock)" in output.getvalue()
