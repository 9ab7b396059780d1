"""What `make bench-challenge` measures, and what it refuses to call a success."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from browser import needs_chromium

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "loadtests" / "engine"))

import solving
from solving import Row


@pytest.mark.parametrize(
    ("rate", "durations_s", "failed"),
    [
        (4, (1.0,) * 20, False),
        (4, (1.0,) * 19 + (9.0,), False),  # the worst one alone is neither the mean nor the 95th percentile
        (4, (1.0,) * 18 + (2.1,) * 2, True),
        (4, (1.0,) * 19 + (99.0,), True),
        (6, (9.0,) * 20, False),
        (1, (9.0,) * 20, False),
    ],
)
def test_row_fails_by_the_mean_and_the_95th_percentile_at_the_judged_rate(
    rate: int, durations_s: tuple[float, ...], failed: bool
) -> None:
    row = Row("in a worker", rate, durations_s)

    assert row.failed is failed
    assert ("FAILED" in str(row)) is failed


def test_row_shows_how_it_was_computed_and_its_figures() -> None:
    assert str(Row("on the page", 4, (1.0, 2.0))).split() == ["on", "the", "page", "4", "2", "1.50", "2.00", "2.00"]


@needs_chromium
async def test_measurement_solves_each_way(capsys: pytest.CaptureFixture[str]) -> None:
    rows = await solving.measure(1, rates=(1,), difficulty=12)

    assert [(row.way, row.rate, len(row.durations_s)) for row in rows] == [("in a worker", 1, 1), ("on the page", 1, 1)]
    assert "difficulty 12" in capsys.readouterr().out
