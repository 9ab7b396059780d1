"""Plain scalars by YAML 1.2's core schema."""

from __future__ import annotations

import math

import pytest

from gateway.config.scalar import Expanded, resolve_plain, typed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-12", -12),
        ("007", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("off", "off"),
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2026-11-21", "2026-11-21"),
        ("1_000", "1_000"),
        ("150ms", "150ms"),
        ("<<", "<<"),
        ("=", "="),
        ("\u0661", "\u0661"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_scalar_has_the_core_schema_value(text, value):
    resolved = resolve_plain(text)
    assert resolved == value
    assert type(resolved) is type(value)


def test_plain_nan_is_a_number():
    assert math.isnan(resolve_plain(".nan"))  # type: ignore[arg-type]


def test_typed_expanded_is_read_as_if_written_and_text_stays():
    assert typed(Expanded("12")) == 12
    assert typed("12") == "12"
    assert typed(12) == 12
