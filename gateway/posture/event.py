"""The normal form of a webhook event."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from gateway.posture.document import encoded

FINDING_EVENTS = frozenset({"finding.new", "vulnerability.found", "critical.finding"})


@dataclass(frozen=True, slots=True)
class Event:
    """What a platform told. id: 32 hex digits, the same for a repeat (same provider, same JSON value); timestamp: when
    it happened, as the platform says, None if it does not; received_at: ours; both ISO 8601 UTC with Z; scan: of
    `data.scan_id`; data: the whole `data` object."""

    id: str
    provider: str
    event: str
    timestamp: str | None
    received_at: str
    scan: str | None
    data: dict[str, Any]

    @property
    def concerns_findings(self) -> bool:
        """True if the scan should be read now: something about it, or its findings, has changed."""
        return self.event.startswith("scan.") or self.event in FINDING_EVENTS

    def as_json(self) -> dict[str, Any]:
        """The event as the public interface prints it."""
        return {
            "id": self.id,
            "provider": self.provider,
            "event": self.event,
            "timestamp": self.timestamp,
            "received_at": self.received_at,
            "scan": self.scan,
            "data": self.data,
        }


def event_id(provider: str, payload: Any) -> str:
    """The id of a decoded JSON payload: its spacing and the order of its keys do not matter."""
    canonical = encoded(payload, sort_keys=True)
    return hashlib.sha256(provider.encode() + b"\0" + canonical).hexdigest()[:32]
