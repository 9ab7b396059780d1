"""Times of the platforms."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.posture.moment import iso, read_moment, seconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        (0, None),
        (0.0, None),
        ("0", None),
        (1702900000, "2023-12-18T11:46:40Z"),
        (1702900000.9, "2023-12-18T11:46:40Z"),
        ("1702900000", "2023-12-18T11:46:40Z"),
        (" 1702900000 ", "2023-12-18T11:46:40Z"),
        ("2025-12-17T10:30:00Z", "2025-12-17T10:30:00Z"),
        ("2025-12-17T10:30:00.987654Z", "2025-12-17T10:30:00Z"),
        ("2025-12-17T10:30:00+02:00", "2025-12-17T08:30:00Z"),
        ("2025-12-17T10:30:00-0530", "2025-12-17T16:00:00Z"),
        ("2025-12-17T10:30:00", "2025-12-17T10:30:00Z"),
        ("2025-12-17 10:30:00", "2025-12-17T10:30:00Z"),
        ("2025-12-17", "2025-12-17T00:00:00Z"),
        ("20251217T103000Z", "2025-12-17T10:30:00Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00Z"),
        (253402300799, "9999-12-31T23:59:59Z"),
    ],
)
def test_moment_is_read_in_each_form(value: object, text: str | None) -> None:
    assert read_moment(value) == text


@pytest.mark.parametrize(
    "value",
    [True, False, [], {}, b"2025-12-17", "soon", " ", "-1", -1, math.nan, math.inf, 253402300800, "253402300800",
     "1702900000000", "1712101510300", 1702900000000, "2025-13-01", "2025-12-17T25:00:00Z", "9" * 5000, "٣",
     "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"],
)  # fmt: skip
def test_moment_that_is_none_is_refused(value: object) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_moment(value)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.datetimes().map(str))
def test_moment_of_any_value_is_a_text_or_refused(value: object) -> None:
    try:
        text = read_moment(value)
    except (ValueError, OverflowError):
        return
    assert text is None or (text.endswith("Z") and len(text) == 20)


@given(st.integers(1, 253_402_300_799), st.integers(1, 253_402_300_799))
def test_iso_is_read_back_and_sorts_as_the_times_do(one: int, other: int) -> None:
    assert seconds(iso(one)) == one
    assert read_moment(iso(one)) == iso(one)
    assert (iso(one) < iso(other)) == (one < other)


def test_iso_is_utc() -> None:
    assert datetime.fromisoformat(iso(1702900000)) == datetime(2023, 12, 18, 11, 46, 40, tzinfo=UTC)
