"""Ask the Protection API and the origins of a configuration once each: `gateway check --probe`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One peer, asked once."""

    what: str
    """Which: "protection https://...", "origin http://... of site shop"."""
    ok: bool
    detail: str
    """What it said, or why it cannot be used."""
    duration_s: float
