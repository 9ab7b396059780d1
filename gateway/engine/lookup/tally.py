"""How many there are of each kind, with nothing kept for a kind that has none: the kinds are made up by clients."""

from __future__ import annotations


class Tally:
    """Counts by text; 0 for what was never entered."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __getitem__(self, kind: str) -> int:
        return self._counts.get(kind, 0)

    def __len__(self) -> int:
        """Kinds that have one at least."""
        return len(self._counts)

    def enter(self, kind: str) -> None:
        """One more."""
        self._counts[kind] = self[kind] + 1

    def leave(self, kind: str) -> None:
        """One less of a kind that has one."""
        left = self._counts.pop(kind) - 1
        if left:
            self._counts[kind] = left
