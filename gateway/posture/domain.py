"""The normal form of a domain that DDactic may scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Verification:
    """How the domain's owner proves himself: `dns_txt`, and the text of the record."""

    method: str
    record: str


@dataclass(frozen=True, slots=True)
class Domain:
    """verified is None where the platform does not say (the answer to adding one); raw: its own object."""

    id: str
    name: str
    verified: bool | None
    verification: Verification | None
    last_scan: str | None
    risk_score: float | None
    raw: Any

    def as_json(self) -> dict[str, Any]:
        """DOMAIN of the public interface."""
        verification = self.verification
        return {
            "id": self.id,
            "name": self.name,
            "verified": self.verified,
            "verification": verification and {"method": verification.method, "record": verification.record},
            "last_scan": self.last_scan,
            "risk_score": self.risk_score,
            "raw": self.raw,
        }
