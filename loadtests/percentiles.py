"""What the load test measured: outcomes and durations per kind, with and without the gateway in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

PERCENTS = (50, 95, 99)


def percentile(sorted_values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` % of the values do not exceed (nearest rank). Needs one value."""
    rank = -(-len(sorted_values) * percent // 100)
    return sorted_values[max(int(rank), 1) - 1]


@dataclass
class Measured:
    """Durations in ms: through the gateway and directly, by kind. Only right outcomes count as durations."""

    through_ms: dict[str, list[float]] = field(default_factory=dict)
    direct_ms: dict[str, list[float]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    """Requests that went through the gateway, by the outcome that was due (the label of gateway_requests_total)."""
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, what was wrong) of every wrong outcome."""

    def add(self, kind: str, duration_ms: float, *, direct: bool) -> None:
        (self.direct_ms if direct else self.through_ms).setdefault(kind, []).append(duration_ms)

    def missing(self, kinds: Sequence[str]) -> list[str]:
        """Kinds of which not one request had the right outcome: a load test that asked nothing must not pass."""
        return [kind for kind in kinds if not self.through_ms.get(kind)]

    def table(self, kinds: Sequence[str]) -> str:
        """One line per kind: count, p50/p95/p99 through the gateway, directly, and the difference, all in ms."""
        return "\n".join(self._lines(kinds))

    def _lines(self, kinds: Sequence[str]) -> Iterator[str]:
        columns = "".join(f"{f'p{percent}':>8}" for percent in PERCENTS)
        yield f"{'ms':<10}{'gateway':>16}{'':>16}  {'directly':>16}{'':>16}  {'added':>16}"
        yield f"{'kind':<10}{'n':>8}{columns}  {'n':>8}{columns}  {columns}"
        for kind in kinds:
            through, direct = sorted(self.through_ms.get(kind, [])), sorted(self.direct_ms.get(kind, []))
            yield f"{kind:<10}{_cells(through)}  {_cells(direct)}  {_added(through, direct)}".rstrip()


def _cells(values_ms: Sequence[float]) -> str:
    if not values_ms:
        return f"{0:>8}" + f"{'-':>8}" * len(PERCENTS)
    return f"{len(values_ms):>8}" + "".join(f"{percentile(values_ms, percent):>8.2f}" for percent in PERCENTS)


def _added(through_ms: Sequence[float], direct_ms: Sequence[float]) -> str:
    if not through_ms or not direct_ms:
        return f"{'-':>8}" * len(PERCENTS)
    return "".join(f"{percentile(through_ms, p) - percentile(direct_ms, p):>+8.2f}" for p in PERCENTS)
