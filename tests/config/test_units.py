"""Durations and sizes: what is accepted, and that writing and reading agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.units import (
    DURATION_EXPECTED,
    MAX_DURATION_S,
    MAX_SIZE_BYTES,
    SIZE_EXPECTED,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("150ms", 0.15),
        ("2s", 2.0),
        ("1.5s", 1.5),
        ("1m", 60.0),
        ("1h", 3600.0),
        ("0.5ms", 0.0005),
        ("8760h", 31536000.0),
    ],
)
def test_duration_valid_gives_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "1.5",
        "0s",
        "0.0ms",
        "-1s",
        "+1s",
        "1 s",
        " 1s",
        "1s ",
        "1s\n",
        "1d",
        "1S",
        "1e3s",
        ".5s",
        "1.s",
        "8761h",
        "1h30m",
        "\u0661s",
        "9" * 13 + "s",
        "inf",
        "nans",
    ],
)
def test_duration_invalid_says_what_is_accepted(text):
    with pytest.raises(ValueError, match=r"^a duration over 0") as caught:
        parse_duration(text)
    assert str(caught.value) == DURATION_EXPECTED


@pytest.mark.parametrize(
    ("value", "size_bytes"),
    [
        ("512B", 512),
        ("24KiB", 24576),
        ("1MiB", 1048576),
        ("2GiB", 2147483648),
        (1, 1),
        (25600, 25600),
        ("1024GiB", MAX_SIZE_BYTES),
    ],
)
def test_size_valid_gives_bytes(value, size_bytes):
    assert parse_size(value) == size_bytes


@pytest.mark.parametrize(
    "value", ["", "0B", "5", "1KB", "1kb", "1K", "1.5KiB", "-1B", "1 KiB", "1025GiB", 0, -1, 1 << 41]
)
def test_size_invalid_says_what_is_accepted(value):
    with pytest.raises(ValueError, match=r"^a size of at least") as caught:
        parse_size(value)
    assert str(caught.value) == SIZE_EXPECTED


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.15, "150ms"), (2.0, "2s"), (60.0, "1m"), (90.0, "90s"), (3600.0, "1h"), (0.0005, "0.5ms"), (1.5, "1500ms")],
)
def test_duration_is_written_in_the_largest_whole_unit(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("size_bytes", "text"), [(512, "512B"), (24576, "24KiB"), (1 << 20, "1MiB"), (1025, "1025B")])
def test_size_is_written_in_the_largest_whole_unit(size_bytes, text):
    assert format_size(size_bytes) == text


@given(st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h)", fullmatch=True))
def test_duration_any_written_and_read_again_is_the_same(text):
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 < seconds <= MAX_DURATION_S
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(1, MAX_SIZE_BYTES))
def test_size_any_written_and_read_again_is_the_same(size_bytes):
    assert parse_size(format_size(size_bytes)) == size_bytes
