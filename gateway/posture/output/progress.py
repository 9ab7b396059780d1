"""How far what is waited for is, on stderr: a bar where a person watches, else a line at each change.

stdout is never touched: it holds the command's document alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from gateway.posture.output.foreign import shown
from gateway.posture.scan import Scan

if TYPE_CHECKING:
    from gateway.posture.output.drawing import Bars


class Progress(Protocol):
    """Who is told how far scans are."""

    def status(self, scan: Scan) -> None:
        """What a poll has just said; shown when the status is another one than before."""

    def note(self, sentence: str) -> None:
        """A sentence for people, such as a rate limit that is waited for."""


@contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Progress]:
    """Shows what it is told until the block ends. stream: default `sys.stderr`, as it is when the block begins; of a
    process that was started without one, nothing is shown."""
    stream = sys.stderr if stream is None else stream
    if stream is None:
        with open(os.devnull, "w") as nowhere:
            yield Lines(nowhere)
        return
    if not _is_watched(stream):
        yield Lines(stream)
        return
    watched = Watched(stream)
    try:
        yield watched
    finally:
        watched.close()


class Watched:
    """Bars from the first word on: a command that waits for nothing draws nothing, and does not load rich."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: Bars | None = None

    def status(self, scan: Scan) -> None:
        self._drawn().status(scan)

    def note(self, sentence: str) -> None:
        self._drawn().note(sentence)

    def close(self) -> None:
        """Leaves what is drawn as it is. Safe to call twice."""
        if self._bars is not None:
            self._bars.close()

    def _drawn(self) -> Bars:
        if self._bars is None:
            self._bars = _bars(self._stream)
        return self._bars


class Lines:
    """`PROVIDER SCAN: STATUS` at each change, sentences as they are; each flushed, for a log is read as it grows."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._statuses: dict[tuple[str, str | None], str] = {}

    def status(self, scan: Scan) -> None:
        key = (scan.provider, scan.id)
        if self._statuses.get(key) != scan.status:
            self._statuses[key] = scan.status
            self.note(f"{scan_name(scan)}: {scan.status}")

    def note(self, sentence: str) -> None:
        print(shown(sentence), file=self._stream, flush=True)


def scan_name(scan: Scan) -> str:
    """`ddactic scn_xyz789`; without the id as long as the platform gives none."""
    return scan.provider if scan.id is None else f"{scan.provider} {scan.id}"


def _bars(stream: TextIO) -> Bars:
    from gateway.posture.output.drawing import Bars

    return Bars(stream)


def _is_watched(stream: TextIO) -> bool:
    """False for a pipe, a file, and a terminal that cannot move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
