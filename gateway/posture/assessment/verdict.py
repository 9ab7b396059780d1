"""What one probe says: nothing is wrong, something is, or nothing can be said, which is never taken for the first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.posture.severity import Severity


@dataclass(frozen=True, slots=True)
class Verdict:
    """state: as in the scan's `probes`; seen: for a finding what was seen, for "not done" why; severity, port: where
    they are not those of the finding's kind and of the site; evidence: figures, as JSON."""

    state: Literal["ok", "finding", "not done"]
    seen: str = ""
    severity: Severity | None = None
    port: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """`ok`, `finding` or `not done: why`."""
        return f"not done: {self.seen}" if self.state == "not done" else self.state


def ok(**evidence: Any) -> Verdict:
    """Nothing is wrong."""
    return Verdict("ok", evidence=evidence)


def found(seen: str, *, severity: Severity | None = None, port: int | None = None, **evidence: Any) -> Verdict:
    """Something is wrong. seen: a sentence or some; text of the site in it is clean."""
    return Verdict("finding", seen, severity, port, evidence)


def not_done(why: str, **evidence: Any) -> Verdict:
    """Nothing can be said."""
    return Verdict("not done", why, evidence=evidence)
