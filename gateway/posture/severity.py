"""The one scale of severities over all platforms."""

from __future__ import annotations

from typing import Literal, get_args

Severity = Literal["critical", "high", "medium", "low", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""
_RANKS = {severity: rank for rank, severity in enumerate(SEVERITIES)}


def rank(severity: Severity) -> int:
    """0 is critical, 4 is info."""
    return _RANKS[severity]


def is_at_least(severity: Severity, threshold: Severity) -> bool:
    """True if it is the threshold or worse."""
    return _RANKS[severity] <= _RANKS[threshold]


def of_cvss(score: float) -> Severity:
    """9 critical, 7 high, 4 medium, over 0 low, 0 info (the ratings of CVSS 3, section 5)."""
    for least, severity in ((9.0, "critical"), (7.0, "high"), (4.0, "medium")):
        if score >= least:
            return severity  # type: ignore[return-value]  # words of the scale
    return "low" if score > 0 else "info"
