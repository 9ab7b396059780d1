"""Standings that were found out, for a while: bounded, least recently asked first to go."""

from __future__ import annotations

from collections import OrderedDict

from gateway.engine.question import Standing

REMEMBERED = 16_384  # addresses; about 4 MiB


class StandingMemory:
    """Key -> Standing until its time is over. Times are Unix seconds."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._entries: OrderedDict[str, tuple[Standing, float]] = OrderedDict()

    def get(self, key: str, now_s: float) -> Standing | None:
        """None if it is not known, or not any more."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        standing, until_s = entry
        if now_s >= until_s:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return standing

    def put(self, key: str, standing: Standing, until_s: float) -> None:
        """Over the limit the one that was asked for longest ago is forgotten."""
        self._entries[key] = standing, until_s
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)
