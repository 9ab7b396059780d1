"""What others wrote, as it may stand in a finding: one line, bounded, without control characters."""

from __future__ import annotations

_LONGEST = 200


def clean(text: str, most: int = _LONGEST) -> str:
    """The text on one line in at most that many characters, and that many bytes of it where it is ASCII; what cannot
    be printed is a space."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text[: 2 * most]).split())
    return line if len(line) <= most else line[: most - 3] + "..."


def reason(error: BaseException) -> str:
    """Why something failed, as the system or the library says it."""
    inner = getattr(error, "os_error", None) or error
    text = getattr(inner, "verify_message", None) or getattr(inner, "reason", None)
    text = text or getattr(inner, "strerror", None) or getattr(inner, "message", None) or str(inner)
    return clean(str(text or type(inner).__name__))
