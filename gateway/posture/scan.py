"""The normal form of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from gateway.posture.finding import Finding

Status = Literal["queued", "running", "completed", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Counts:
    """Findings by severity."""

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    info: int = 0

    def as_json(self) -> dict[str, int]:
        return {
            "critical": self.critical, "high": self.high, "medium": self.medium, "low": self.low, "info": self.info,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan or audit. None wherever the platform says nothing; times are ISO 8601 UTC with Z; estimated_s: seconds
    that it may take; raw: the platform's own object, every field kept."""

    id: str | None
    provider: str
    target: str | None
    type: str | None
    status: Status
    created_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    risk_score: float | None = None
    estimated_s: int | None = None
    counts: Counts | None = None
    raw: Any = None

    @property
    def is_over(self) -> bool:
        return self.status in ("completed", "failed")

    def as_json(self) -> dict[str, Any]:
        """SCAN of the public interface."""
        return {
            "id": self.id,
            "provider": self.provider,
            "target": self.target,
            "type": self.type,
            "status": self.status,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "risk_score": self.risk_score,
            "estimated_s": self.estimated_s,
            "counts": None if self.counts is None else self.counts.as_json(),
            "raw": self.raw,
        }


@dataclass(frozen=True, slots=True)
class ScanResult:
    """A scan and what it found; empty until it is completed, unless the platform tells earlier."""

    scan: Scan
    findings: tuple[Finding, ...] = ()


def read_status(word: str) -> Status:
    """A platform's word: pending is queued; whatever is not known counts as running."""
    lowered = word.lower()
    if lowered == "pending":
        return "queued"
    return lowered if lowered in STATUSES else "running"
