"""`posture onboard --cutover`: the DNS records of a name, from wherever they lead now to the gateway.

The plan is made anew from the records as they are, so that an interrupted cutover goes on where it stopped: what is
done already is not in the plan. Nothing is seen by visitors before the zone is published, so that they never meet a
half of it.
"""

from __future__ import annotations

import ipaddress
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config.posture import Place
from gateway.errors import OnboardingStopped, PostureUsage
from gateway.posture.operation.desk import Desk
from gateway.posture.operation.domain import below, canonical, find_zone, is_at, publish, unquoted

_LEADING = ("A", "AAAA", "CNAME")
_VALUES = {"A": "ip", "AAAA": "ip", "CNAME": "name", "TXT": "txtdata"}
"""The parameter of dnsAdd<type> that holds what the record says."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the name. seq: the platform's number, "" before it is there; value: address, host name, or text."""

    type: str
    value: str
    seq: str = ""

    @property
    def leads(self) -> tuple[str, str]:
        """Where to, in one spelling."""
        return self.type, _SPELLINGS[self.type](self.value)

    def as_json(self) -> dict[str, str]:
        return {"type": self.type, "value": self.value, "seq": self.seq}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to change at `name` of `zone`. name: below the zone, "" at its top; before: what leads visitors now; after:
    what would."""

    zone: str
    name: str
    before: tuple[Record, ...]
    after: tuple[Record, ...]

    @property
    def add(self) -> tuple[Record, ...]:
        return _less(self.after, self.before)

    @property
    def delete(self) -> tuple[Record, ...]:
        return _less(self.before, self.after)

    def as_json(self) -> dict[str, Any]:
        return {
            "zone": self.zone,
            "name": self.name,
            "add": [{"type": one.type, "value": one.value} for one in self.add],
            "delete": [one.as_json() for one in self.delete],
        }


def _less(records: tuple[Record, ...], others: tuple[Record, ...]) -> tuple[Record, ...]:
    """Those that lead elsewhere than all of the others."""
    there = {one.leads for one in others}
    return tuple(one for one in records if one.leads not in there)


def check_place(place: Place) -> None:
    """Raises PostureUsage if the configuration does not say where the gateway is."""
    if not place.addresses and place.name is None:
        raise PostureUsage("where does the gateway stand? Set posture.gateway.addresses, or posture.gateway.name")


async def check_name(desk: Desk, domain: str) -> None:
    """Raises OnboardingStopped if there can be no cutover to the gateway's name, before anything is begun. One to its
    addresses can be anywhere."""
    if not desk.posture.gateway.addresses:
        zone = await find_zone(desk, domain)
        _wanted(desk.posture.gateway, zone, below(domain, zone))


async def make_plan(desk: Desk, domain: str, verification: str | None = None) -> Plan:
    """From the records as they are to the gateway's. verification: the text that verified the domain, which a CNAME
    replaces too, since nothing may stand beside one (RFC 1034 3.6.2). Raises OnboardingStopped without a zone, for a
    CNAME at the top of a zone, and for one beside records that are not ours to delete."""
    zone = await find_zone(desk, domain)
    name = below(domain, zone)
    wanted = _wanted(desk.posture.gateway, zone, name)
    there = await _records(desk, zone, name)
    alone = any(one.type == "CNAME" for one in wanted)
    before = tuple(one for one in there if one.type in _LEADING or (alone and _is_text(one, verification)))
    if alone and len(before) < len(there):
        raise OnboardingStopped(_beside(zone, name, [one.type for one in there if one not in before]))
    return Plan(zone, name, before, wanted)


async def apply(desk: Desk, plan: Plan) -> tuple[str, ...]:
    """Make the changes and publish; the publication's warnings. Deletions come first: a CNAME stands alone."""
    for record in plan.delete:
        desk.audience.on_note(f"securityspace: {plan.zone}: delete {record.type} {plan.name or '@'} {record.value}")
        await desk.securityspace.delete_record(record.seq)
    for record in plan.add:
        desk.audience.on_note(f"securityspace: {plan.zone}: add {record.type} {plan.name or '@'} {record.value}")
        await desk.securityspace.add_record(plan.zone, record.type, _fields(plan.name, record))
    return await publish(desk, plan.zone)


def undo_commands(file: Path, plan: Plan, before: tuple[Record, ...]) -> list[str]:
    """What to type to have `before` again, once the plan is applied. A new record has a number (SEQ) only then.

    Each thing is one word for a shell, and no value an option: most of it is the platform's text."""
    config, zone = f"-c {shlex.quote(str(file))}", shlex.quote(plan.zone)
    now = tuple(next((old for old in plan.before if old.leads == one.leads), one) for one in plan.after)
    commands = [
        f"gateway posture dns delete-record {shlex.quote(one.seq or 'SEQ')} {config}" for one in _less(now, before)
    ]
    for one in _less(before, now):
        options = " ".join(f"--{key}={shlex.quote(value)}" for key, value in _fields(plan.name, one).items())
        commands.append(f"gateway posture dns add-record {zone} {shlex.quote(one.type)} {options} {config}")
    return [*commands, f"gateway posture dns publish {zone} {config}"] if commands else []


def _wanted(place: Place, zone: str, name: str) -> tuple[Record, ...]:
    if place.addresses:
        return tuple(Record("A" if ipaddress.ip_address(one).version == 4 else "AAAA", one) for one in place.addresses)
    assert place.name is not None
    if not name:
        raise OnboardingStopped(
            f"{zone} is the top of its zone, which cannot be a CNAME; set posture.gateway.addresses instead of name"
        )
    return (Record("CNAME", f"{place.name}."),)


async def leading(desk: Desk, zone: str, name: str) -> tuple[Record, ...]:
    """The records that lead visitors of the name somewhere, as they are now."""
    return tuple(one for one in await _records(desk, zone, name) if one.type in _LEADING)


async def _records(desk: Desk, zone: str, name: str) -> tuple[Record, ...]:
    """All of the name, whatever they are for."""
    return tuple(
        Record(one.type.upper(), str(one.data.get("data") or ""), one.seq)
        for one in (await desk.securityspace.zone(zone)).records
        if one.type.upper() not in _ELSEWHERE
        and is_at(str(one.data.get("host" if one.type.upper() == "MX" else "name") or ""), zone, name)
    )


_ELSEWHERE = ("SOA", "OPTIONS", "SRV")
"""Of the zone, or at names of their own (_service._protocol)."""


def _is_text(record: Record, text: str | None) -> bool:
    return text is not None and record.type == "TXT" and unquoted(record.value) == text


def _beside(zone: str, name: str, types: list[str]) -> str:
    return (
        f"{name}.{zone} has {', '.join(sorted(set(types)))} records, beside which no CNAME may stand; set "
        "posture.gateway.addresses instead of name"
    )


def _address(text: str) -> str:
    """In its shortest spelling."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return text


_SPELLINGS = {"A": _address, "AAAA": _address, "CNAME": canonical, "TXT": unquoted}


def _fields(name: str, record: Record) -> dict[str, str]:
    """The parameters of dnsAddA, AAAA, TXT and CNAME (whose `name` is where it leads)."""
    if record.type == "CNAME":
        return {"alias": name, "name": record.value}
    return {"name": name, _VALUES[record.type]: record.leads[1]}
