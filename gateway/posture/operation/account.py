"""`posture webhooks`, `org` and `team`: the CyperSecurity account. Documents hold its objects as they came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.errors import PostureUsage
from gateway.posture.operation.desk import Desk
from gateway.posture.operation.starting import webhook_url

SCAN_EVENTS = ("scan.started", "scan.completed", "scan.failed", "vulnerability.found", "critical.finding")


async def webhooks(desk: Desk) -> dict[str, Any]:
    return {"webhooks": await desk.cypersecurity.webhooks()}


async def create_webhook(desk: Desk, url: str | None, events: Sequence[str]) -> dict[str, Any]:
    """With the configured secret, so that the receiver accepts what will come. Raises PostureUsage without one."""
    client, webhooks = desk.cypersecurity, desk.posture.webhooks
    signed = None if webhooks is None else webhooks.cypersecurity
    if signed is None or signed.secret is None:
        raise PostureUsage(f"no secret to send: {desk.file} has no posture.webhooks.cypersecurity.secret")
    target = webhook_url(desk, "cypersecurity") if url is None else url
    if target is None:
        raise PostureUsage("which URL? Say --url, or set posture.webhooks.public_url")
    created = await client.create_webhook(target, list(events) or list(SCAN_EVENTS), signed.secret.get_secret_value())
    return {"webhook": created}


async def organization(desk: Desk) -> dict[str, Any]:
    return {"organization": await desk.cypersecurity.organization()}


async def update_organization(desk: Desk, name: str | None, industry: str | None) -> dict[str, Any]:
    """Only what is given is sent. Raises PostureUsage if nothing is."""
    if name is None and industry is None:
        raise PostureUsage("nothing to update: give --name or --industry")
    return {"organization": await desk.cypersecurity.update_organization(name=name, industry=industry)}


async def members(desk: Desk) -> dict[str, Any]:
    return {"members": await desk.cypersecurity.members()}


async def invite(desk: Desk, email: str, role: str) -> dict[str, Any]:
    return {"member": await desk.cypersecurity.invite(email, role=role)}
