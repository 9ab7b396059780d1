"""A bounded dictionary that computes what it lacks: what clients and servers repeat is worked out once.

Most header lines of real traffic are repeated word for word (user agents, Accept, Server, a visitor's cookie on every
file of a page), so what follows from a line is looked up instead of worked out again. A table that is full starts anew,
so that nobody who sends ever new lines can do more than make others' be worked out once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_KEY_MAX_BYTES = 512
_MAX_ENTRIES = 1024

class Memo(dict[bytes, Value], Generic[Value]):
    """key -> compute(key). At most 1,024 keys of at most 512 bytes; when it is full it starts anew."""

    __slots__ = ("_compute",)

    def __init__(self, compute: Callable[[bytes], Value]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, key: bytes) -> Value:
        value = self._compute(key)
        if len(key) <= _KEY_MAX_BYTES:
            if len(self) >= _MAX_ENTRIES:
                self.clear()
            self[key] = value
        return value


def _parse_line(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


FIELD_LINES: Memo[tuple[bytes, bytes]] = Memo(_parse_line)
"""A header line that llhttp has accepted, without its CRLF -> (name lowered, value without surrounding white space)."""
