"""Waiting, as people and logs see it."""

from __future__ import annotations

import io
from typing import get_args

import pytest

from gateway.posture.output.progress import Lines, progress
from gateway.posture.scan import Scan, Status

STATUSES: tuple[Status, ...] = get_args(Status)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def scan(status: Status, id: str | None = "scn_1", *, estimated_s: int | None = None) -> Scan:
    return Scan(id, "ddactic", "a.example", "passive", status, estimated_s=estimated_s)


def test_pipe_gets_a_line_at_each_change_of_status(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as shown:
        for status in ("queued", "queued", "running", "running", "completed"):
            shown.status(scan(status))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "ddactic scn_1: queued\nddactic scn_1: running\nddactic scn_1: completed\n"


def test_pipe_gets_a_line_for_each_of_several_scans() -> None:
    stream = io.StringIO()
    with progress(stream) as shown:
        shown.status(scan("running"))
        shown.status(scan("running", "scn_2"))
        shown.status(scan("running"))
    assert stream.getvalue() == "ddactic scn_1: running\nddactic scn_2: running\n"


def test_scan_without_an_id_is_named_by_its_provider() -> None:
    stream = io.StringIO()
    with progress(stream) as shown:
        shown.status(scan("queued", None))
    assert stream.getvalue() == "ddactic: queued\n"


def test_note_is_a_line_of_its_own_and_commands_no_terminal() -> None:
    stream = io.StringIO()
    with progress(stream) as shown:
        shown.note("ddactic: rate limited, waiting 12 s")
        shown.status(scan("running", "\x1b[2J\n"))
    assert stream.getvalue() == "ddactic: rate limited, waiting 12 s\nddactic \\x1b[2J\\n: running\n"


@pytest.mark.parametrize("name", ["dumb", "unknown", "DUMB"])
def test_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TERM", name)
    with progress(Terminal()) as shown:
        assert isinstance(shown, Lines)


def test_terminal_gets_a_bar_with_the_last_status_and_notes_above(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Terminal()
    with progress(stream) as shown:
        shown.status(scan("queued", estimated_s=300))
        shown.note("ddactic: rate limited, waiting 12 s")
        shown.status(scan("running", "[red]\x1b[2J"))
        shown.status(scan("completed"))
        print("the document")
    text = stream.getvalue()
    assert "rate limited, waiting 12 s" in text
    assert "ddactic scn_1: completed" in text
    assert "[red]\\x1b[2J: running" in text
    assert "\x1b[2J" not in text
    assert text.rstrip("\n").endswith("\x1b[?25h")  # the cursor is given back
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("the document\n", "")


def test_terminal_gets_its_cursor_back_when_waiting_fails() -> None:
    stream = Terminal()
    with pytest.raises(KeyboardInterrupt), progress(stream) as shown:
        shown.status(scan("running"))
        raise KeyboardInterrupt
    assert stream.getvalue().endswith("\x1b[?25h")


def test_estimate_of_the_platform_is_shown_beside_the_bar_until_the_end() -> None:
    stream = Terminal()
    with progress(stream) as shown:
        shown.status(scan("queued", estimated_s=300))
        shown.note("now")
    assert "about 300 s in all" in stream.getvalue()
