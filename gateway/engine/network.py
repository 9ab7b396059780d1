"""Addresses and networks, read once and looked up quickly.

An address becomes a `Place` (remembered, since visitors come back), a list of networks becomes `Networks`: sorted,
merged intervals, one bisection for a look-up, whatever their number.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import NamedTuple

REMEMBERED = 16_384  # addresses; about 6 MiB at the worst
ADDRESS_CHARACTERS = 64  # the longest address has 45; with a zone (`fe80::1%eth0`) a few more

Network = IPv4Network | IPv6Network


class Place(NamedTuple):
    """Where a request comes from. An IPv4-mapped IPv6 address counts as the IPv4 address that it is.

    `version`: 4 or 6, 0 if the text is no address (`number` is 0 then and every text is the text as it came);
    `group`: whom a limit counts, an IPv4 address or an IPv6 /64; `prefix`: what a session is bound to, a /24 or a /56.
    """

    text: str
    version: int
    number: int
    group: str
    prefix: str


def place(text: str) -> Place:
    """The Place of an address in text. Never raises."""
    return _remembered_place(text) if len(text) <= ADDRESS_CHARACTERS else _no_place(text)


def _no_place(text: str) -> Place:
    return Place(text, 0, 0, text[:ADDRESS_CHARACTERS], text[:ADDRESS_CHARACTERS])


@lru_cache(maxsize=REMEMBERED)
def _remembered_place(text: str) -> Place:
    match = _IPV4(text)
    if match is not None:  # the usual form, without the library's 10 us
        a, b, c, d = map(int, match.groups())
        number = a << 24 | b << 16 | c << 8 | d
        return Place(text, 4, number, text, f"{number >> 8:06x}/24")
    try:
        address = ip_address(text)
    except ValueError:
        return _no_place(text)
    if address.version == 6:
        mapped = address.ipv4_mapped
        if mapped is None:
            number = int(address)
            group, prefix = number >> 64, number >> 72
            return Place(str(address), 6, number, f"{group:016x}/64", f"{prefix:014x}/56")
        address = mapped
    number = int(address)
    return Place(str(address), 4, number, str(address), f"{number >> 8:06x}/24")


_OCTET = "(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"
_IPV4 = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}").fullmatch


class Networks:
    """A set of networks. Immutable; `Networks(())` holds nothing. IPv4-mapped IPv6 networks are IPv4 networks, since
    a Place knows no mapped address."""

    __slots__ = ("_first", "_last", "count")

    def __init__(self, networks: Iterable[Network]) -> None:
        """count: of networks, after neighbours were merged."""
        versions: dict[int, list[Network]] = {4: [], 6: []}
        for network in map(_unmapped, networks):
            versions[network.version].append(network)
        merged = {version: list(collapse_addresses(found)) for version, found in versions.items()}  # type: ignore[type-var]
        self._first = {v: [int(network.network_address) for network in found] for v, found in merged.items()}
        self._last = {v: [int(network.broadcast_address) for network in found] for v, found in merged.items()}
        self.count = sum(map(len, merged.values()))

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Networks:
        """Of `203.0.113.0/24`, `2001:db8::/32` or single addresses. Raises ValueError for anything else."""
        return cls(ip_network(text, strict=False) for text in texts)

    def holds(self, where: Place) -> bool:
        """True if the address is in one of the networks."""
        if not where.version:
            return False
        index = bisect_right(self._first[where.version], where.number) - 1
        return index >= 0 and where.number <= self._last[where.version][index]


def _unmapped(network: Network) -> Network:
    if network.version == 4 or not network.subnet_of(_MAPPED):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))


_MAPPED = IPv6Network("::ffff:0:0/96")
