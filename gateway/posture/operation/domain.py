"""`posture domains`: DDactic's domains, and their verification through SecuritySpace DNS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import OnboardingStopped
from gateway.posture.domain import Domain
from gateway.posture.operation.desk import Desk
from gateway.posture.operation.dns import not_published
from gateway.posture.operation.waiting import wait_until


async def listed(desk: Desk, limit: int | None) -> dict[str, Any]:
    """The document of `domains list`; total is what the platform has, printed or not."""
    found: list[Domain] = []
    total = 0
    async for page in desk.ddactic.domain_pages(limit=limit):
        found += page.domains
        total = page.total
    return {"domains": [domain.as_json() for domain in found], "total": total}


async def add(desk: Desk, name: str, *, verify_dns: bool, timeout_s: float) -> dict[str, Any]:
    """The document of `domains add`. With verify_dns, the record is published and the verification waited for."""
    if not verify_dns:
        return {"domain": (await desk.ddactic.add_domain(name)).as_json(), "dns": None}
    _ = desk.securityspace  # not configured is said before anything is sent
    domain = await desk.ddactic.add_domain(name)
    dns = await publish_record(desk, domain)
    verified = await wait_verified(desk, domain.name, timeout_s)
    return {"domain": _with_verification(verified, domain).as_json(), "dns": dns.as_json()}


@dataclass(frozen=True, slots=True)
class PublishedRecord:
    """What became of the TXT record. name: below the zone, "" at its top; added: False if it was there already."""

    zone: str
    name: str
    added: bool
    published: bool
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "zone": self.zone, "name": self.name, "added": self.added, "published": self.published,
            "warnings": list(self.warnings),
        }  # fmt: skip


async def publish_record(desk: Desk, domain: Domain) -> PublishedRecord:
    """Put the verification's TXT record into the zone and publish it. Raises OnboardingStopped without a zone, or a
    verification that this can do; PostureError if the zone is refused."""
    verification = domain.verification
    if verification is None or verification.method != "dns_txt":
        method = "nothing" if verification is None else verification.method[:40]
        raise OnboardingStopped(f"ddactic asks for {method} to verify {domain.name}, which cannot be done through DNS")
    zone = await find_zone(desk, domain.name)
    name = below(domain.name, zone)
    added = not await _has_text(desk, zone, name, verification.record)
    if added:
        await desk.securityspace.add_record(zone, "TXT", {"name": name, "txtdata": verification.record})
    warnings = await publish(desk, zone)
    return PublishedRecord(zone, name, added, True, warnings)


async def is_recorded(desk: Desk, domain: Domain, zone: str) -> bool:
    """True if the zone still has the record of the verification."""
    verification = domain.verification
    return verification is not None and await _has_text(desk, zone, below(domain.name, zone), verification.record)


async def publish(desk: Desk, zone: str) -> tuple[str, ...]:
    """Publish a zone; its warnings, which are said as well. Raises PostureError if it is refused."""
    done = await desk.securityspace.publish(zone)
    for warning in done.warnings:
        desk.audience.on_note(f"securityspace: {zone}: {warning}")
    if not done.published:
        raise not_published(zone, done.errors)
    return done.warnings


async def find_zone(desk: Desk, name: str) -> str:
    """The longest zone of the account that is the name, or a parent of it. Raises OnboardingStopped without one."""
    wanted = canonical(name)
    zones = [canonical(zone.domain) for zone in (await desk.securityspace.zones()).zones]
    found = [zone for zone in zones if wanted == zone or wanted.endswith(f".{zone}")]
    if not found:
        raise OnboardingStopped(
            f"securityspace has no zone for {wanted}; add it: gateway posture dns add-domain DOMAIN --accept-aup"
        )
    return max(found, key=len)


def canonical(name: str) -> str:
    """Lower case, without a dot at the end."""
    return name.lower().rstrip(".")


def is_at(listed: str, zone: str, name: str) -> bool:
    """True if a record that is listed under this name is one of `name`, which is below the zone, "" at its top. Some
    name servers give names in full, and @ for the top."""
    full = f"{name}.{zone}" if name else zone
    return canonical(listed) in ({name, full} if name else {"", "@", full})


def unquoted(text: str) -> str:
    """The text of a TXT record, which some name servers give in quotes."""
    return text.strip('"')


def below(name: str, zone: str) -> str:
    """The name less its zone; "" if it is the zone itself."""
    return canonical(name).removesuffix(zone).rstrip(".")


async def _has_text(desk: Desk, zone: str, name: str, text: str) -> bool:
    """True if the TXT record is there."""
    return any(
        record.type.upper() == "TXT"
        and is_at(str(record.data.get("name") or ""), zone, name)
        and unquoted(str(record.data.get("data") or "")) == text
        for record in (await desk.securityspace.zone(zone)).records
    )


async def wait_verified(desk: Desk, name: str, timeout_s: float) -> Domain:
    """Ask for the list until the domain is in it and verified; until then it may be absent. Raises WaitExpired."""
    wanted = canonical(name)

    async def ask() -> Domain | None:
        async for domain in desk.ddactic.domains():
            if canonical(domain.name) == wanted:
                return domain if domain.verified else None
        return None

    desk.audience.on_note(f"ddactic: waiting until {wanted} is verified")
    return await wait_until(
        ask, what=f"ddactic has not verified {wanted}", timeout_s=timeout_s, manner=desk.ddactic.caller.manner,
        clock=desk.clock,
    )  # fmt: skip


def _with_verification(verified: Domain, added: Domain) -> Domain:
    """The list does not repeat the record: it is kept from the answer to POST."""
    return replace(verified, verification=verified.verification or added.verification)
