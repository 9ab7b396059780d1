"""Tables and bars on a terminal, or in a pipe, with rich. Every text goes through `shown`: most come from others."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid
from rich.text import Text

from gateway.posture.output.foreign import shown
from gateway.posture.output.progress import scan_name
from gateway.posture.output.table import NUMBERS, Facts, Lines, Part, Table
from gateway.posture.scan import Scan

PIPE_WIDTH = 200
"""Columns when nobody tells us the width: wide enough to be searched line by line."""
_STYLES = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "info": "dim",
    "completed": "green",
    "running": "yellow",
    "failed": "bold red",
}
_STYLED = {"severity", "status"}


def draw(parts: list[Part], console: Console | None = None) -> None:
    """One below the other, with a blank line between them; nothing of a table without rows and title."""
    console = console or _console()
    for number, part in enumerate(part for part in parts if part.title or _size(part)):
        if number:
            console.print()
        if part.title:
            console.print(Text(shown(part.title), "bold"))
        if isinstance(part, Lines):
            for line in part.lines:
                console.print(Text(shown(line)), soft_wrap=True)  # a command that is wrapped cannot be copied
        elif part.rows:
            console.print(_facts(part) if isinstance(part, Facts) else _grid(part))


def _size(part: Part) -> int:
    return len(part.lines if isinstance(part, Lines) else part.rows)


def _facts(facts: Facts) -> Grid:
    grid = Grid(box=None, show_header=False, padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.rows:
        grid.add_row(Text(shown(name), "bold"), _cell(name, value))
    return grid


def _grid(table: Table) -> Grid:
    grid = Grid(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in table.columns:
        justify = "right" if column in NUMBERS else "left"
        grid.add_column(Text(shown(column)), overflow="fold", justify=justify)  # type: ignore[arg-type]  # one of both
    for row in table.rows:
        grid.add_row(*map(_cell, table.columns, row))
    return grid


def _cell(column: str, value: str) -> Text:
    return Text(shown(value), _STYLES.get(value, "") if column in _STYLED else "")


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


class Bars:
    """A bar for each scan, moving while it runs: platforms say what a scan's status is, but not how far it is."""

    def __init__(self, stream: TextIO) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=Console(file=stream, highlight=False),
            redirect_stdout=False,  # it would send the command's document to stderr
            redirect_stderr=False,
        )
        self._tasks: dict[tuple[str, str | None], TaskID] = {}
        self._progress.start()

    def status(self, scan: Scan) -> None:
        """Adds the scan's bar, or moves it on; it is full when the scan is over."""
        key, description = (scan.provider, scan.id), shown(f"{scan_name(scan)}: {scan.status}")
        if key not in self._tasks:
            note = "" if scan.estimated_s is None else f"about {scan.estimated_s} s in all"
            self._tasks[key] = self._progress.add_task(description, total=None, note=note)
        task = self._tasks[key]
        self._progress.update(task, description=description)
        if scan.is_over:
            self._progress.update(task, total=1, completed=1, note="")

    def note(self, sentence: str) -> None:
        """A line above the bars."""
        self._progress.console.print(Text(shown(sentence)))

    def close(self) -> None:
        """Leaves the bars as they are and gives the cursor back. Safe to call twice."""
        self._progress.stop()
