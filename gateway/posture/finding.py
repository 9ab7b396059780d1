"""The normal form of a finding."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from gateway.posture.document import encoded
from gateway.posture.severity import Severity

PLACE_KEYS = ("path", "url", "uri", "endpoint")
"""Fields of a platform's own object that may say where in the asset it is."""


@dataclass(frozen=True, slots=True)
class Remediation:
    """What to do about a finding: a sentence or some, and commands to type, if there are any."""

    summary: str
    commands: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"summary": self.summary, "commands": list(self.commands)}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a scan found. (provider, scan, id) is unique, and the same on every reading of the scan.

    asset: host name, address or URL that it is about; cve: upper-case identifiers; cvss: 0.0 to 10.0; raw: the
    platform's own object, every field kept; first_seen: when it was first stored, None before; last_seen: of what is
    open, when its latest scan told it.
    """

    id: str
    provider: str
    scan: str
    severity: Severity
    title: str
    description: str
    asset: str
    port: int | None
    cve: tuple[str, ...]
    cvss: float | None
    remediation: Remediation | None
    raw: Any
    first_seen: str | None = None
    last_seen: str | None = field(default=None, compare=False)

    @property
    def kind(self) -> str:
        """What was found, in the same words in every scan: the embedded assessment's id, else the title."""
        return self.id if self.provider == "embedded" else self.title

    @property
    def place(self) -> str:
        """The path or URL inside the asset, as the platform's object names it; "" if it does not."""
        raw = self.raw if isinstance(self.raw, dict) else {}
        return next((text for key in PLACE_KEYS if isinstance(text := raw.get(key), str) and text), "")

    @property
    def fingerprint(self) -> str:
        """The same for the same thing in the next scan: 32 hex digits of provider, kind, asset, port, CVEs, place."""
        parts = [self.provider, self.kind, self.asset.lower(), self.port, sorted(self.cve), self.place]
        return hashlib.sha256(encoded(parts)).hexdigest()[:32]

    def as_json(self) -> dict[str, Any]:
        """FINDING of the public interface."""
        return {
            "id": self.id,
            "provider": self.provider,
            "scan": self.scan,
            "severity": self.severity,
            "title": self.title,
            "description": self.description,
            "asset": self.asset,
            "port": self.port,
            "cve": list(self.cve),
            "cvss": self.cvss,
            "remediation": None if self.remediation is None else self.remediation.as_json(),
            "first_seen": self.first_seen,
            "raw": self.raw,
        }
