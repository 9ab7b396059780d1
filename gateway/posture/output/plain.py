"""Tables in a pipe or a file: plain text, a line for each row, never wrapped, so that it can be searched line by line.

On a terminal `drawing` does it, with rich, which takes a fifth of a command's start to load.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import TextIO

from gateway.posture.output.foreign import shown
from gateway.posture.output.table import NUMBERS, Facts, Lines, Part

_GAP = "  "


def draw_plain(parts: Sequence[Part], stream: TextIO) -> None:
    """One below the other, with a blank line between them; nothing of a table without rows and title."""
    drawn = ["\n".join(lines) for part in parts if (lines := list(_lines(part)))]
    if drawn:
        stream.write("\n\n".join(drawn) + "\n")


def _lines(part: Part) -> Iterator[str]:
    if part.title:
        yield shown(part.title)
    if isinstance(part, Lines):
        yield from map(shown, part.lines)
    elif isinstance(part, Facts):
        yield from _aligned(part.rows)
    elif part.rows:
        yield from _aligned((part.columns, *part.rows), [column in NUMBERS for column in part.columns])


def _aligned(rows: Sequence[Sequence[str]], is_right: Sequence[bool] = (False, False)) -> Iterator[str]:
    cells = [[shown(text) for text in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield _GAP.join(map(_padded, row, widths, is_right)).rstrip()


def _padded(text: str, width: int, is_right: bool) -> str:
    blank = " " * (width - _width(text))
    return blank + text if is_right else text + blank


def _width(text: str) -> int:
    """Columns of a terminal: two for wide characters, none for those that stand on the one before."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )
