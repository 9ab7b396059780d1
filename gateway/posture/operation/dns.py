"""`posture dns`: the zones of the SecuritySpace account. A change is seen by nobody until it is published."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import PostureError, PostureUsage
from gateway.posture.operation.desk import Desk


async def listed(desk: Desk) -> dict[str, Any]:
    found = await desk.securityspace.zones()
    domains = [
        {"domain": one.domain, "seq": one.seq, "weight": one.weight, "state": one.state, "state_text": one.state_text}
        for one in found.zones
    ]
    return {
        "domains": domains, "domaincount": found.domaincount, "domainweight": found.domainweight,
        "expiry": found.expiry,
    }  # fmt: skip


async def shown(desk: Desk, domains: Sequence[str]) -> dict[str, Any]:
    """Several at a time, in the order that they were asked for."""
    client = desk.securityspace
    found = await asyncio.gather(*(client.zone(domain) for domain in domains))
    return {
        "domains": [
            {
                "domain": zone.domain,
                "state": zone.state,
                "state_text": zone.state_text,
                "records": [{"seq": one.seq, "type": one.type, "data": one.data} for one in zone.records],
            }
            for zone in found
        ]
    }


async def add_domain(desk: Desk, domain: str, domaintype: str, *, accepts_aup: bool) -> dict[str, Any]:
    if not accepts_aup:
        raise PostureUsage("SecuritySpace asks for its Acceptable Use Policy to be accepted: say --accept-aup")
    await desk.securityspace.add_zone(domain, domaintype=domaintype)
    return {"domain": domain, "added": True}


async def delete_domain(desk: Desk, domain: str, *, yes: bool) -> dict[str, Any]:
    if not yes:
        raise PostureUsage(f"this deletes {domain} and all its records from the account, for good: say --yes")
    left = await desk.securityspace.delete_zone(domain)
    return {
        "domain": domain, "deleted": True, "domaincount": left.domaincount, "domainweight": left.domainweight,
        "expiry": left.expiry,
    }  # fmt: skip


async def add_record(desk: Desk, domain: str, type: str, fields: Mapping[str, str]) -> dict[str, Any]:
    await desk.securityspace.add_record(domain, type, fields)
    return {"domain": domain, "type": type, "added": True}


async def delete_record(desk: Desk, seq: str) -> dict[str, Any]:
    await desk.securityspace.delete_record(seq)
    return {"seq": seq, "deleted": True}


async def set_soa(desk: Desk, domain: str, admin: str | None, ttl: int | None) -> dict[str, Any]:
    sent = _given(admin=admin, ttl=ttl)
    if not sent:
        raise PostureUsage("nothing to set: give --admin or --ttl")
    await desk.securityspace.set_soa(domain, admin=admin, ttl=ttl)
    return {"domain": domain, "set": sent}


async def set_options(desk: Desk, domain: str, options: Mapping[str, str | None]) -> dict[str, Any]:
    """options: masters, allowtransferacl, notify, alsonotify; None = not given."""
    sent = _given(**options)
    if not sent:
        raise PostureUsage("nothing to set: give --masters, --allowtransferacl, --notify or --alsonotify")
    await desk.securityspace.set_options(domain, **sent)
    return {"domain": domain, "set": sent}


async def build_zone(desk: Desk, domain: str) -> dict[str, Any]:
    return {"domain": domain, "zone": await desk.securityspace.build_zone(domain)}


async def publish(desk: Desk, domain: str) -> tuple[dict[str, Any], PostureError | None]:
    """(the document, why the command fails although there is one)."""
    done = await desk.securityspace.publish(domain)
    document = {
        "domain": domain, "published": done.published, "warnings": list(done.warnings), "errors": list(done.errors),
    }  # fmt: skip
    return document, None if done.published else not_published(domain, done.errors)


def not_published(domain: str, errors: Sequence[str]) -> PostureError:
    """The error of a publication that the platform's validation refused."""
    return PostureError(f"securityspace POST /dnsPublish.php: {domain} is not published: {'; '.join(errors)[:500]}")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
