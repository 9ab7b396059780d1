"""What one engine counted, for two readers: the supervisor, who wants each count once, and who asks the engine itself,
who wants everything since its start."""

from __future__ import annotations

from collections.abc import Callable

from gateway.metrics import Delta, Totals

SOURCE = "engine"


class Counts:
    """`take`: for the supervisor's control channel; `totals`: for the operator's paths.

    collect: what was counted since it was last called (gateway.metrics.Metrics.take). supervised: somebody calls `take`
    about once a second; False: nobody does, so nothing is kept for it.
    """

    def __init__(self, collect: Callable[[], Delta], *, supervised: bool) -> None:
        self._collect = collect
        self._supervised = supervised
        self._totals = Totals()
        self._owed = _empty()

    def totals(self) -> Totals:
        """Everything since the start, fresh."""
        self._gather()
        return self._totals

    def take(self) -> Delta:
        """What was counted since the last `take`, whoever looked at `totals` in between."""
        self._gather()
        owed, self._owed = self._owed, _empty()
        return owed

    def _gather(self) -> None:
        delta = self._collect()
        self._totals.add(SOURCE, delta)
        if not self._supervised:
            return
        for section in ("counters", "histograms"):  # rows of one series add up where they arrive
            for name, rows in delta[section].items():
                self._owed[section].setdefault(name, []).extend(rows)
        self._owed["gauges"] = delta["gauges"]


def _empty() -> Delta:
    return {"counters": {}, "histograms": {}, "gauges": {}}
