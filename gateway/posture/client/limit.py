"""What the headers of a rate limit say: `X-RateLimit-Remaining`, `X-RateLimit-Reset`, `Retry-After`."""

from __future__ import annotations

from email.utils import parsedate_to_datetime


def is_none_left(text: str) -> bool:
    """True for an `X-RateLimit-Remaining` of 0, or less."""
    digits = text.strip().removeprefix("-")
    return digits.isascii() and digits.isdecimal() and (text.strip().startswith("-") or not digits.strip("0"))


def unix_s(text: str | None) -> float | None:
    """Unix seconds of a header; None if it is no such thing."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < 1e11 else None


def retry_after_s(text: str | None, now_s: float) -> float | None:
    """Seconds of Retry-After (RFC 9110 10.2.3): a number of them, or a date; None if it says nothing to come."""
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        delay_s = float(text) if len(text.strip()) < 10 else 0.0
    else:
        try:
            delay_s = parsedate_to_datetime(text).timestamp() - now_s
        except (TypeError, ValueError, OverflowError):
            return None
    return delay_s if delay_s > 0 else None
