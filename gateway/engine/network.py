"""Addresses and networks, read once and looked up quickly.

An address becomes a `Place` (remembered, since visitors come back), a list of networks becomes `Networks`: sorted,
merged intervals of numbers, one bisection for a look-up, whatever how many there are.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
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


def parse_network(text: str) -> Network:
    """`203.0.113.0/24`, `2001:db8::/32` or a single address; bits of a host are left out. Raises ValueError."""
    try:  # of the family that it must be: the library's ip_network tries both, which doubles the time of IPv6
        return IPv6Network(text, strict=False) if ":" in text else IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f"got {text[:60]!r}, expected a network or an address") from None


Interval = tuple[int, int]
"""First and last address, as numbers."""


class Networks:
    """A set of networks. Immutable; `Networks(())` holds nothing. IPv4-mapped IPv6 networks are IPv4 networks, since
    a Place knows no mapped address. 100,000 networks take 0.15 s."""

    __slots__ = ("_first", "_last")

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        intervals: dict[int, list[Interval]] = {4: [], 6: []}
        for network in networks:
            version, interval = _interval(network)
            intervals[version].append(interval)
        self._hold(intervals)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Networks:
        """Of what parse_network reads. Raises ValueError for anything else."""
        return cls(map(parse_network, texts))

    @classmethod
    def union(cls, parts: Iterable[Networks]) -> Networks:
        """What is in one of them at least."""
        found, parts = cls(), tuple(parts)
        found._hold({version: [each for part in parts for each in part.intervals(version)] for version in (4, 6)})
        return found

    def holds(self, where: Place) -> bool:
        """True if the address is in one of the networks."""
        if not where.version:
            return False
        index = bisect_right(self._first[where.version], where.number) - 1
        return index >= 0 and where.number <= self._last[where.version][index]

    def intervals(self, version: int) -> Iterator[Interval]:
        """Of IP version 4 or 6, in order; none touches the next."""
        return zip(self._first[version], self._last[version], strict=True)

    def _hold(self, intervals: dict[int, list[Interval]]) -> None:
        merged = {version: _merged(found) for version, found in intervals.items()}
        self._first = {version: [first for first, _ in found] for version, found in merged.items()}
        self._last = {version: [last for _, last in found] for version, found in merged.items()}


def extent(network: Network) -> tuple[int, int]:
    """(version, prefix length) as Networks holds it: `::ffff:0:0/96` is every IPv4 address, (4, 0)."""
    version, (first, last) = _interval(network)
    return version, (32 if version == 4 else 128) - (last - first).bit_length()


def _interval(network: Network) -> tuple[int, Interval]:
    """(version, first and last address)"""
    first, free_bits = int(network.network_address), network.max_prefixlen - network.prefixlen
    if network.version == 6 and free_bits <= 32 and first >> 32 == _MAPPED:
        first &= 0xFFFFFFFF
        return 4, (first, first + (1 << free_bits) - 1)
    return network.version, (first, first + (1 << free_bits) - 1)


_MAPPED = 0xFFFF  # the upper 96 bits of ::ffff:0:0/96


def _merged(intervals: list[Interval]) -> list[Interval]:
    """In order, those that overlap or touch as one. `intervals` is sorted in place."""
    intervals.sort()
    merged: list[Interval] = []
    for first, last in intervals:
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged
