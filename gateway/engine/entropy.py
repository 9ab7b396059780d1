"""Random bytes that nobody can guess, fetched from the system a page at a time: each call of it costs 1.5 us, and a
judgement needs two."""

from __future__ import annotations

from secrets import token_bytes

PAGE_BYTES = 4096


class Entropy:
    """`entropy(n)`: n bytes that were never handed out before. For one process: a fork would repeat them."""

    __slots__ = ("_at", "_page")

    def __init__(self) -> None:
        self._page = b""
        self._at = 0

    def __call__(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._page):
            self._page, self._at, end = token_bytes(PAGE_BYTES + count), 0, count
        taken = self._page[self._at : end]
        self._at = end
        return taken
