"""Durations and sizes as people write them: `150ms`, `2s`, `24KiB`. Pure, and exact both ways.

A duration is a float of seconds in the program, a size an int of bytes. `parse_x(format_x(value)) == value` for every
value that can be parsed: amounts go through Decimal, and every unit of a fraction is a power of ten of a second.
"""

from __future__ import annotations

import re
from decimal import Decimal

DURATION_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?(ms|s|m|h)$"
SIZE_PATTERN = r"^[0-9]{1,15}(B|KiB|MiB|GiB)$"
DURATION_EXPECTED = "a duration over 0 and up to 8760h with its unit: 150ms, 2s, 1m or 1h"
SIZE_EXPECTED = "a size of at least 1 byte, up to 1024GiB: 512B, 24KiB, 1MiB, 2GiB, or a plain number of bytes"

MAX_DURATION_S = 8760 * 3600  # a year: past it a timer is a mistake, and the event loop's clock arithmetic still exact
MAX_SIZE_BYTES = 1 << 40

_SECONDS = {"h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("0.001")}
_BYTES = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)")


def parse_duration(text: str) -> float:
    """Seconds of `150ms`, `1.5s`, `1m`, `1h`; over 0, at most a year. Raises ValueError saying what is accepted."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(DURATION_EXPECTED)
    seconds = float(Decimal(match[1]) * _SECONDS[match[2]])
    if not 0 < seconds <= MAX_DURATION_S:
        raise ValueError(DURATION_EXPECTED)
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest form in the largest unit that needs no fraction; milliseconds with one otherwise."""
    amount = Decimal(repr(seconds))
    for unit, factor in _SECONDS.items():
        if amount % factor == 0:
            return f"{amount / factor:.0f}{unit}"
    return f"{(amount * 1000).normalize():f}ms"


def parse_size(value: str | int) -> int:
    """Bytes of `24KiB`, `512B`, or a plain int; 1 to 1 TiB. Raises ValueError saying what is accepted."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise ValueError(SIZE_EXPECTED)
        value = int(match[1]) * _BYTES[match[2]]
    if not 1 <= value <= MAX_SIZE_BYTES:
        raise ValueError(SIZE_EXPECTED)
    return value


def format_size(size_bytes: int) -> str:
    """In the largest unit that divides it."""
    unit = next(unit for unit, factor in _BYTES.items() if size_bytes % factor == 0)
    return f"{size_bytes // _BYTES[unit]}{unit}"
