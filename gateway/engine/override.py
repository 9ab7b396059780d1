"""What operators decide by hand, for a while, over any rule: block or allow an address or a network, revoke a session.

`Overrides` is a snapshot: a change makes another one, so that a decision reads one list from beginning to end. A
look-up costs one look into a dictionary for each prefix length in use, whatever the number of entries.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, NamedTuple, cast

import orjson

from gateway.config.address import parse_network
from gateway.engine.network import Place
from gateway.errors import OverrideError

Action = Literal["block", "allow", "revoke"]

MAX_OVERRIDES = 10_000  # past it put addresses together in networks, or write a rule: an engine reads all of them
REASON_CHARACTERS = 200
SESSION = "session:"
_SESSION_SUBJECT = re.compile(SESSION + "[A-Za-z0-9_-]{1,64}")
_MAPPED = IPv6Network("::ffff:0:0/96")


class Override(NamedTuple):
    """`subject`: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32` or `session:ID`, in canonical form. In force while
    the time is before `until_s`; times are Unix seconds. Make one with `Override.of`."""

    subject: str
    action: Action
    until_s: float
    reason: str
    created_s: float

    @classmethod
    def of(cls, subject: str, action: str, until_s: float, reason: str, created_s: float) -> Override:
        """The checked override. Raises OverrideError for what cannot be one; a reason that is too long is cut."""
        subject = parse_subject(subject)
        accepted = ("revoke",) if subject.startswith(SESSION) else ("block", "allow")
        if action not in accepted:
            raise OverrideError(f"got the action {action[:20]!r} for {subject}; expected {' or '.join(accepted)}")
        if not (math.isfinite(until_s) and math.isfinite(created_s) and until_s > created_s):
            raise OverrideError(f"got an end of {until_s - created_s:g} s from now; expected more than 0")
        if action != "revoke":
            _network_key(subject)  # remembered now, so that a long list of them is put together quickly
        printable = "".join(character if character.isprintable() else " " for character in reason)
        return cls(subject, cast(Action, action), until_s, printable[:REASON_CHARACTERS], created_s)

    @classmethod
    def decode(cls, raw: bytes) -> Override:
        """What `encode` wrote. Raises OverrideError for anything else."""
        try:
            fields = orjson.loads(raw)
            subject, action, reason = (fields[name] for name in ("subject", "action", "reason"))
            until_s, created_s = float(fields["until_s"]), float(fields["created_s"])
            if not all(isinstance(text, str) for text in (subject, action, reason)):
                raise TypeError
        except (TypeError, KeyError, ValueError):  # orjson's own error is a ValueError
            raise OverrideError(f"got {raw[:40]!r}; expected an override in JSON") from None
        return cls.of(subject, action, until_s, reason, created_s)

    def encode(self) -> bytes:
        """JSON, for a shared store."""
        return orjson.dumps(self._asdict())


def parse_subject(text: str) -> str:
    """The one form of an address, a network or a `session:ID`: `2001:DB8::1/128` is `2001:db8::1`, and an IPv4-mapped
    IPv6 address is the IPv4 address. Raises OverrideError for anything else, and for a network with host bits."""
    if _SESSION_SUBJECT.fullmatch(text):
        return text
    try:
        if "%" in text:  # a zone is the business of one machine
            raise ValueError
        network = _unmapped(ip_network(parse_network(text)))
    except ValueError as error:
        expected = str(error) if "host bits" in str(error) else "an address, a network or session:ID"
        raise OverrideError(f"got {text[:60]!r}; expected {expected}") from None
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if network.version == 4 or not network.subnet_of(_MAPPED):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))


class Overrides:
    """A snapshot of the overrides, at most MAX_OVERRIDES. Immutable; iterating gives the entries, expired ones too."""

    __slots__ = ("_entries", "_networks", "_revoked")

    def __init__(self, entries: Iterable[Override] = ()) -> None:
        """Of several entries of one subject the last one counts. Raises OverrideError if there are too many."""
        self._entries = {entry.subject: entry for entry in entries}
        if len(self._entries) > MAX_OVERRIDES:
            raise OverrideError(f"got {len(self._entries)} overrides; expected at most {MAX_OVERRIDES}")
        self._revoked: dict[str, Override] = {}
        tables: dict[tuple[int, int], dict[int, Override]] = {}
        for subject, entry in self._entries.items():
            if subject.startswith(SESSION):
                self._revoked[subject.removeprefix(SESSION)] = entry
            else:
                version, shift, number = _network_key(subject)
                tables.setdefault((version, shift), {})[number] = entry
        # version -> (bits that are no prefix, prefix -> entry), the longest prefix first
        self._networks: dict[int, tuple[tuple[int, dict[int, Override]], ...]] = {
            wanted: tuple((shift, tables[version, shift]) for version, shift in sorted(tables) if version == wanted)
            for wanted in (0, 4, 6)
        }

    def find(self, where: Place, now_s: float) -> Override | None:
        """What is in force for an address: of its own entry and of every network round it the most specific one."""
        for shift, table in self._networks[where.version]:
            entry = table.get(where.number >> shift)
            if entry is not None and now_s < entry.until_s:
                return entry
        return None

    def is_revoked(self, session_id: str, now_s: float) -> bool:
        """True if the session was taken back."""
        entry = self._revoked.get(session_id)
        return entry is not None and now_s < entry.until_s

    def get(self, subject: str) -> Override | None:
        """The entry of exactly this subject (in canonical form), expired or not."""
        return self._entries.get(subject)

    def with_entry(self, entry: Override, now_s: float) -> Overrides:
        """This snapshot with one more, or another in its place. Expired ones go if it is full; raises OverrideError if
        it is full of those in force."""
        if len(self._entries) < MAX_OVERRIDES or entry.subject in self._entries:
            return Overrides([*self._entries.values(), entry])
        live = self.live(now_s)
        if len(live) >= MAX_OVERRIDES:
            raise OverrideError(f"there are {MAX_OVERRIDES} overrides in force, which is the limit")
        return Overrides([*live, entry])

    def without(self, subject: str) -> Overrides:
        """This snapshot without the entry of a subject in canonical form."""
        return Overrides(entry for entry in self._entries.values() if entry.subject != subject)

    def live(self, now_s: float) -> list[Override]:
        """Those in force, the one that ends first at the top."""
        return sorted((entry for entry in self if now_s < entry.until_s), key=lambda entry: entry.until_s)

    def __iter__(self) -> Iterator[Override]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)


@lru_cache(maxsize=2 * MAX_OVERRIDES)  # every change of the list makes all of it anew
def _network_key(subject: str) -> tuple[int, int, int]:
    """(version, bits that are no prefix, the prefix as a number)"""
    network = ip_network(subject)
    shift = network.max_prefixlen - network.prefixlen
    return network.version, shift, int(network.network_address) >> shift


NO_OVERRIDES = Overrides()
