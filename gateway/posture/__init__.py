"""Scans, findings and DNS of the domains that the gateway protects: clients of three scanning platforms, one normal
form over all of them, a store, webhooks, and an assessment of one's own.

The clients work on their own::

    from gateway.posture import DDactic

    async with DDactic("key") as ddactic:
        scan = await ddactic.start_scan("dom_abc123")

Each name is loaded when it is asked for: a command that reads the store loads no HTTP client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.posture.client.cypersecurity import CyperSecurity
    from gateway.posture.client.ddactic import DDactic
    from gateway.posture.client.manner import Manner
    from gateway.posture.client.securityspace import SecuritySpace
    from gateway.posture.domain import Domain, Verification
    from gateway.posture.event import Event
    from gateway.posture.finding import Finding, Remediation
    from gateway.posture.scan import Counts, Scan, ScanResult
    from gateway.posture.store import Store
    from gateway.posture.watching import Watcher

__all__ = [
    "Counts",
    "CyperSecurity",
    "DDactic",
    "Domain",
    "Event",
    "Finding",
    "Manner",
    "Remediation",
    "Scan",
    "ScanResult",
    "SecuritySpace",
    "Store",
    "Verification",
    "Watcher",
]

_HOMES = {
    "Counts": "scan",
    "CyperSecurity": "client.cypersecurity",
    "DDactic": "client.ddactic",
    "Domain": "domain",
    "Event": "event",
    "Finding": "finding",
    "Manner": "client.manner",
    "Remediation": "finding",
    "Scan": "scan",
    "ScanResult": "scan",
    "SecuritySpace": "client.securityspace",
    "Store": "store",
    "Verification": "domain",
    "Watcher": "watching",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gateway.posture' has no attribute {name!r}")
    return getattr(import_module(f"gateway.posture.{home}"), name)
