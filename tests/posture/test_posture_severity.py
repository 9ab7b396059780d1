"""The one scale of severities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.posture import SEVERITIES as CONFIGURED
from gateway.posture.severity import SEVERITIES, Severity, is_at_least, of_cvss, rank

SCORES = st.floats(0, 10)


def test_severities_are_those_of_the_configuration_the_worst_first() -> None:
    assert SEVERITIES == CONFIGURED == ("critical", "high", "medium", "low", "info")
    assert [rank(severity) for severity in SEVERITIES] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("severity", "threshold", "expected"),
    [("critical", "high", True), ("high", "high", True), ("medium", "high", False), ("info", "info", True),
     ("info", "low", False)],
)  # fmt: skip
def test_is_at_least_is_true_of_the_threshold_and_worse(
    severity: Severity, threshold: Severity, expected: bool
) -> None:
    assert is_at_least(severity, threshold) is expected


@pytest.mark.parametrize(
    ("score", "severity"),
    [(10, "critical"), (9.0, "critical"), (8.9, "high"), (7.0, "high"), (6.9, "medium"), (4, "medium"), (3.9, "low"),
     (0.1, "low"), (0, "info"), (0.0, "info")],
)  # fmt: skip
def test_severity_of_a_score_is_its_rating(score: float, severity: Severity) -> None:
    assert of_cvss(score) == severity


@given(SCORES, SCORES)
def test_severity_of_a_higher_score_is_no_less(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert is_at_least(of_cvss(high), of_cvss(low))
