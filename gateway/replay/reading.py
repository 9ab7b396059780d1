"""A file of payloads or log lines as entries, in the order of their times, with bounded memory.

Servers write a line when a request has ended, so a log is sorted only roughly. WINDOW entries are held back, and the
earliest of them goes first; what is later than that is judged late, at the time that has been reached.
"""

from __future__ import annotations

import gzip
import heapq
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import IO, NamedTuple, cast

import orjson

from gateway.errors import DescriptionError
from gateway.replay.entry import Entry, Unread, parse_line

WINDOW = 4096  # entries, some 8 MiB; a second of the busiest log
LINE_BYTES = 65_536  # of a payload at most 24,576, of our own log lines some 4,000
DOCUMENT_BYTES = 1_048_576  # one payload over several lines
STDIN = "-"
GZIP = b"\x1f\x8b"


class Timed(NamedTuple):
    """An entry and when it is judged: Unix seconds, never before the one in front."""

    now_s: float
    entry: Entry


class Source:
    """What is read, and what became of its lines. `size_bytes`: None of a pipe or a compressed file."""

    def __init__(self, name: str) -> None:
        """`-` is standard input; a file that begins like gzip's is unpacked. Raises DescriptionError if it cannot be
        opened."""
        self.name = "standard input" if name == STDIN else name
        self.lines = 0
        self.read_bytes = 0
        self.size_bytes: int | None = None
        self.unreadable: Counter[str] = Counter()
        self.unasked: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
        self.late = 0
        try:
            self._file = self._open(name)
        except OSError as error:
            raise DescriptionError(f"{name}: cannot be read: {error.strerror or error}") from None

    def entries(self, on_line: Callable[[], None] = lambda: None) -> Iterator[Timed]:
        """All that can be judged. `on_line` is called behind every line."""
        reached_s = 0.0
        for time_s, _, entry in _sorted(self._parsed(on_line)):
            self.late += time_s < reached_s
            reached_s = max(reached_s, time_s)
            yield Timed(reached_s, entry)

    def close(self) -> None:
        self._file.close()

    def _open(self, name: str) -> IO[bytes]:
        if name == STDIN:
            return sys.stdin.buffer
        file = open(name, "rb")
        if file.peek(2)[:2] == GZIP:
            file.close()
            return cast(IO[bytes], gzip.open(name, "rb"))
        self.size_bytes = os.fstat(file.fileno()).st_size or None
        return file

    def _parsed(self, on_line: Callable[[], None]) -> Iterator[Entry]:
        for line in self._lines():
            self.lines += 1
            parsed = parse_line(line) if len(line) <= LINE_BYTES else Unread("a line that is too long")
            if isinstance(parsed, Entry):
                self.formats[parsed.format] += 1
                yield parsed
            else:
                (self.unasked if parsed.is_readable else self.unreadable)[parsed.reason] += 1
            on_line()

    def _lines(self) -> Iterable[bytes]:
        """The lines that are not empty, each cut behind LINE_BYTES; one JSON object over several lines is one."""
        lines = self._split()
        first = next(lines, None)
        if first is None:
            return ()
        if first.strip() and b"{" == first.strip()[:1] and not _is_json(first):
            return self._document(first, lines)
        return chain((first,), lines)

    def _document(self, first: bytes, lines: Iterator[bytes]) -> Iterator[bytes]:
        """All of it as one line if it is one JSON object, else line by line."""
        held, size = [first], len(first)
        for line in lines:
            held.append(line)
            size += len(line)
            if size > DOCUMENT_BYTES:
                break
        whole = b"".join(held)
        if size <= DOCUMENT_BYTES and _is_json(whole):
            yield orjson.dumps(orjson.loads(whole))
            return
        yield from held
        yield from lines

    def _split(self) -> Iterator[bytes]:
        try:
            while line := self._file.readline(LINE_BYTES + 1):
                self.read_bytes += len(line)
                if len(line) > LINE_BYTES and not line.endswith(b"\n"):
                    self._skip_line()
                if line.strip():
                    yield line
        except (OSError, EOFError) as error:  # gzip's own errors are of both kinds
            raise DescriptionError(f"{self.name}: cannot be read to its end: {error}"[:200]) from None

    def _skip_line(self) -> None:
        while (more := self._file.readline(LINE_BYTES)) and not more.endswith(b"\n"):
            self.read_bytes += len(more)


def _sorted(entries: Iterable[Entry]) -> Iterator[tuple[float, int, Entry]]:
    """Entries by time; one that has none comes at the time of the one before it."""
    heap: list[tuple[float, int, Entry]] = []
    last_s = 0.0
    for number, entry in enumerate(entries):
        last_s = last_s if entry.time_s is None else entry.time_s
        if len(heap) < WINDOW:
            heapq.heappush(heap, (last_s, number, entry))
        else:
            yield heapq.heappushpop(heap, (last_s, number, entry))
    while heap:
        yield heapq.heappop(heap)


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
