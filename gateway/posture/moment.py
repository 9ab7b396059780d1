"""Times of the platforms as we print them: ISO 8601, UTC, whole seconds, `Z`. Such texts sort as the times do."""

from __future__ import annotations

from datetime import UTC, datetime

_LATEST_S = 253_402_300_799  # the end of the year 9999


def iso(time_s: float) -> str:
    """`2025-12-17T10:30:00Z` of Unix seconds; fractions are cut. Raises ValueError beyond the year 9999."""
    if not 0 <= time_s <= _LATEST_S:
        raise ValueError("a time between 1970 and 9999")
    return _written(datetime.fromtimestamp(int(time_s), UTC))


def read_moment(value: object) -> str | None:
    """The ISO text of what a platform calls a time: ISO 8601, Unix seconds (a number or digits) or
    `YYYY-MM-DD HH:MM:SS`; without an offset it is UTC, fractions are cut. None for what says "not yet": null, "", 0
    and "0".

    Raises ValueError for anything else.
    """
    if value is None or value in ("", "0") or (value == 0 and not isinstance(value, bool)):
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("a time")
    if not isinstance(value, str):
        return iso(value)
    text = value.strip()
    if text.isascii() and text.isdigit():
        return iso(int(text[:20]))  # milliseconds are far beyond the year 9999, and no date without hyphens
    moment = datetime.fromisoformat(text)
    return _written(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))


def seconds(text: str) -> float:
    """Unix seconds of a text that `iso` or `read_moment` made."""
    return datetime.fromisoformat(text).timestamp()


def _written(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
