"""The figures that `make load` prints, and what it refuses to call a success."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "loadtests"))

from percentiles import Measured, percentile


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(1, 50, 1), (1, 99, 1), (2, 50, 1), (100, 99, 99), (101, 99, 100), (200, 95, 190)],
)
def test_percentile_is_the_nearest_rank(count: int, percent: float, expected: float) -> None:
    assert percentile([float(n) for n in range(1, count + 1)], percent) == expected


def test_table_shows_counts_percentiles_and_the_difference() -> None:
    measured = Measured()
    for n in range(1, 101):
        measured.add("page", float(n), direct=False)
    measured.add("page", 0.5, direct=True)
    measured.add("bot", 2.0, direct=False)
    lines = [line.split() for line in measured.table(["page", "bot"]).splitlines()[2:]]
    assert lines == [
        ["page", "100", "50.00", "95.00", "99.00", "1", "0.50", "0.50", "0.50", "+49.50", "+94.50", "+98.50"],
        ["bot", "1", "2.00", "2.00", "2.00", "0", "-", "-", "-", "-", "-", "-"],
    ]


def test_missing_names_kinds_without_a_right_answer_through_the_gateway() -> None:
    measured = Measured()
    measured.add("page", 1.0, direct=False)
    measured.add("api", 1.0, direct=True)
    assert measured.missing(["page", "api", "bot"]) == ["api", "bot"]
