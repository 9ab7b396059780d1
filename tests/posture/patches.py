"""Findings, rules and patches of the tests."""

from __future__ import annotations

from typing import Any

from gateway.config import parse_config
from gateway.config.patch import Patch, PatchedFinding
from gateway.config.posture import Action
from gateway.posture.finding import Finding
from gateway.posture.moment import iso, seconds
from gateway.posture.site import OwnSites

SEEN = "2026-11-21T12:00:00Z"
NOW_S = seconds(SEEN) + 3600
SITES = ({"hosts": ["shop.example", "*.shop.example"]}, {"hosts": ["192.0.2.10", "[2001:db8::1]"], "name": "addresses"})
"""What `sites` says in most tests."""


def own_sites(*sites: dict[str, Any], **protection: Any) -> OwnSites:
    return OwnSites(parse_config({"sites": list(sites or SITES), "protection": protection}).sites)


def finding(**fields: Any) -> Finding:
    """A critical one about a path of shop.example, first seen at SEEN."""
    given: dict[str, Any] = {
        "id": "F-001", "provider": "ddactic", "scan": "scn_1", "severity": "critical", "title": "SQL injection",
        "description": "", "asset": "https://shop.example/search?q=1", "port": None, "cve": (), "cvss": None,
        "remediation": None, "raw": {}, "first_seen": SEEN, **fields,
    }  # fmt: skip
    return Finding(**given)


def action(**fields: Any) -> Action:
    return Action.model_validate({"name": "close", "do": "block_path", **fields})


def patch(**fields: Any) -> Patch:
    """Of /admin of shop.example, for a thousand seconds after NOW_S."""
    given: dict[str, Any] = {
        "name": "close", "host": "shop.example", "do": "block_path", "paths": ("/admin",),
        "until": iso(NOW_S + 1000), **fields,
    }  # fmt: skip
    if given["do"] == "raise_preset":
        given = {"preset": "aggressive", **given, "paths": ()}
    why = given.pop("finding", None) or PatchedFinding(
        fingerprint="0" * 32, provider="ddactic", id="F-001", title="SQL injection"
    )
    return Patch(finding=why, **given)
