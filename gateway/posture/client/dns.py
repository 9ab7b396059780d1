"""DNS at SecuritySpace: the shapes of zones, records and publications, and how answers become them.

Source: SecuritySpace's REST API Guide, the sections 'DNS: ...'. Numbers come as numbers or as text, maps as objects
or as lists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gateway.posture.answer import Node
from gateway.posture.client.phpmap import read_map, read_texts
from gateway.posture.client.refusal import EXPIRED, is_success, refused

RECORD_FIELDS: dict[str, tuple[tuple[str, bool], ...]] = {
    "A": (("name", False), ("ip", True)),
    "AAAA": (("name", False), ("ip", True)),
    "CNAME": (("alias", True), ("name", True)),
    "MX": (("name", False), ("mxname", True), ("priority", True)),
    "NS": (("subdomain", False), ("nameserver", True)),
    "CAA": (("subdomain", False), ("flag", True), ("tag", True), ("value", True)),
    "TXT": (("name", False), ("txtdata", True)),
    "SRV": (
        ("srvc", True), ("prot", True), ("host", False), ("pri", True), ("weight", True), ("port", True),
        ("target", True),
    ),
}  # fmt: skip
"""Record type -> (parameter of its dnsAdd call, whether it must be given); the others default to blank, which is the
zone's own name."""
_SEQ_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Zone:
    """A domain of the account. weight: credits that it takes; state: 0 unvalidated, 1 configuration errors, 2 waiting
    for distribution to the name servers, 3 active; state_text: the platform's words for it; raw: its own object."""

    domain: str
    seq: int
    weight: int
    state: int
    state_text: str
    raw: Any

    def as_json(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "seq": self.seq,
            "weight": self.weight,
            "state": self.state,
            "state_text": self.state_text,
        }


@dataclass(frozen=True, slots=True)
class ZoneAccount:
    """What the account has: domains, the credits that they take, and when the subscription ends (ISO 8601, Z)."""

    domaincount: int
    domainweight: int
    expiry: str | None

    def as_json(self) -> dict[str, Any]:
        return {"domaincount": self.domaincount, "domainweight": self.domainweight, "expiry": self.expiry}


@dataclass(frozen=True, slots=True)
class ZoneList:
    """The domains, in the platform's order, and what ZoneAccount says."""

    zones: tuple[Zone, ...]
    domaincount: int
    domainweight: int
    expiry: str | None

    def as_json(self) -> dict[str, Any]:
        return {
            "domains": [zone.as_json() for zone in self.zones],
            "domaincount": self.domaincount,
            "domainweight": self.domainweight,
            "expiry": self.expiry,
        }


@dataclass(frozen=True, slots=True)
class Record:
    """A record. seq: what dnsDeleteRecord takes, digits; type: also SOA, Options, WebForwarding; data: as it came, its
    keys depend on the type (name and data of NS, A, AAAA, CNAME, TXT; pri, host, data of MX; ...)."""

    seq: str
    type: str
    data: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"seq": self.seq, "type": self.type, "data": self.data}


@dataclass(frozen=True, slots=True)
class ZoneRecords:
    """A domain with its records, published or not. state, state_text: as of Zone."""

    domain: str
    state: int
    state_text: str
    records: tuple[Record, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "state": self.state,
            "state_text": self.state_text,
            "records": [record.as_json() for record in self.records],
        }


@dataclass(frozen=True, slots=True)
class Publication:
    """What came of dnsPublish: with errors it is not published, with warnings alone it is."""

    published: bool
    warnings: tuple[str, ...]
    errors: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"published": self.published, "warnings": list(self.warnings), "errors": list(self.errors)}


def read_zones(answer: Node) -> ZoneList:
    """Of dnsGetDomainList. Raises OffContract."""
    zones = tuple(_zone(key, node) for key, node in read_map(answer, "domains"))
    account = read_account(answer)
    return ZoneList(zones, account.domaincount, account.domainweight, account.expiry)


def read_account(answer: Node) -> ZoneAccount:
    """Of dnsGetDomainList and dnsDeleteDomain. Raises OffContract."""
    return ZoneAccount(answer.integer("domaincount"), answer.integer("domainweight"), answer.moment("expiryjtime"))


def read_records(answer: Node) -> ZoneRecords:
    """Of dnsGetDomainRecords. Raises OffContract."""
    records = tuple(_record(key, node) for key, node in read_map(answer, "records"))
    return ZoneRecords(answer.text("domain"), answer.integer("state"), answer.text("stateText"), records)


def read_publication(answer: Node) -> Publication:
    """Of dnsPublish, whose `errors` say more than its status. Raises PlatformRefused if it failed without them, or
    because of the session; OffContract."""
    succeeded, errors = is_success(answer), read_texts(answer, "errors")
    if not succeeded and (not errors or answer["error"].raw in tuple(EXPIRED)):
        raise refused(answer)
    return Publication(not errors, read_texts(answer, "warnings"), errors)


def _zone(key: str | None, node: Node) -> Zone:
    """Its seq is its key as well."""
    seq = node.integer("seq") if key is None or node.has("seq") else _number(key, node)
    return Zone(
        node.text("domain"), seq, node.integer("weight"), node.integer("state"), node.text("stateText"), node.raw
    )


def _number(key: str, node: Node) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 19):
        raise node["seq"].off("a whole number")
    return int(key)


def _record(key: str | None, node: Node) -> Record:
    """Its seq is its key as well: digits, since people copy commands that it stands in."""
    seq = node.word("seq") if key is None or node.has("seq") else key
    if not (seq.isascii() and seq.isdigit() and len(seq) <= _SEQ_DIGITS):
        raise replace(node["seq"], raw=seq).off(f"at most {_SEQ_DIGITS} digits")
    data = node["data"]
    if data.raw == []:
        return Record(seq, node.text("type"), {})
    return Record(seq, node.text("type"), {name: value.raw for name, value in _object(data).members()})


def _object(node: Node) -> Node:
    if not isinstance(node.raw, dict):
        raise node.off("an object")
    return node
