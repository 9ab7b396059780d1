"""Published address ranges: which operator's an address is.

Theory of operation. A set of networks becomes two sorted lists of disjoint intervals, one for each version of IP, so a
question is one bisection (4 us, most of it reading the address) and a network costs two integers. `ranges.json` is the
snapshot of the product; its header says where the lists are from and of what day. A newer list replaces one as a whole;
nothing is ever changed in place, so a reader always sees one state.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network
from pathlib import Path

from gateway.engine.bots.operator import OPERATORS

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def parse_address(text: str) -> Address | None:
    """The address, None if it is none. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is the IPv4 address; a
    zone (`fe80::1%eth0`) makes it nobody's."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


class AddressSet:
    """Immutable. `address in addresses`."""

    __slots__ = ("_v4", "_v6", "count")

    def __init__(self, networks: Iterable[Network]) -> None:
        """In any order, overlapping or not. `count`: how many networks they are when merged."""
        v4: list[IPv4Network] = []
        v6: list[IPv6Network] = []
        for network in networks:
            if isinstance(network, IPv4Network):
                v4.append(network)
            else:
                v6.append(network)
        merged_v4, merged_v6 = list(collapse_addresses(v4)), list(collapse_addresses(v6))
        self._v4 = _intervals(merged_v4)
        self._v6 = _intervals(merged_v6)
        self.count = len(merged_v4) + len(merged_v6)

    def __contains__(self, address: Address) -> bool:
        first, last = self._v4 if isinstance(address, IPv4Address) else self._v6
        number = int(address)
        index = bisect_right(first, number) - 1
        return index >= 0 and number <= last[index]


def _intervals(networks: Iterable[Network]) -> tuple[list[int], list[int]]:
    """(first addresses, last addresses) of sorted, disjoint networks."""
    bounds = [(int(network.network_address), int(network.broadcast_address)) for network in networks]
    return [first for first, _ in bounds], [last for _, last in bounds]


class Ranges:
    """Immutable: the lists that are known, by the name that OPERATORS gives them."""

    __slots__ = ("_lists", "_of_operator")

    def __init__(self, lists: Mapping[str, AddressSet]) -> None:
        self._lists = dict(lists)
        self._of_operator = {
            operator.name: tuple(self._lists[each.name] for each in operator.lists if each.name in self._lists)
            for operator in OPERATORS.values()
        }

    def holds(self, operator: str, address: str) -> bool:
        """True if the address (in text) is in a list of the operator. False for what is no address or operator."""
        parsed = parse_address(address)
        return parsed is not None and any(parsed in addresses for addresses in self._of_operator.get(operator, ()))

    def knows(self, operator: str) -> bool:
        """True if at least one list of the operator is known: then "not in it" says something."""
        return bool(self._of_operator.get(operator))

    def with_list(self, name: str, networks: Iterable[Network]) -> Ranges:
        """The same with one list new or replaced as a whole."""
        return Ranges({**self._lists, name: AddressSet(networks)})


def load_ranges() -> Ranges:
    """The snapshot that the product ships."""
    return Ranges(
        {
            name: AddressSet(ip_network(network) for network in entry["networks"].split())
            for name, entry in _snapshot()["lists"].items()
        }
    )


def snapshot_dates() -> dict[str, str]:
    """Name of each shipped list -> its day, `2026-08-21`."""
    return {name: entry["date"] for name, entry in _snapshot()["lists"].items()}


def _snapshot() -> dict[str, dict[str, dict[str, str]]]:
    data: dict[str, dict[str, dict[str, str]]] = json.loads((Path(__file__).parent / "ranges.json").read_bytes())
    return data
