"""Published address ranges: which operator's an address is.

`ranges.json` is the snapshot of the product; its header says where the lists are from and of what day. A newer list
replaces one as a whole and nothing is ever changed in place, so a reader always sees one state. A question takes 2 us.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path

from gateway.engine.bots.operator import OPERATORS
from gateway.engine.network import Network, Networks, place


class Ranges:
    """Immutable: the lists that are known, by the name that OPERATORS gives them."""

    __slots__ = ("_lists", "_of_operator")

    def __init__(self, lists: Mapping[str, Networks]) -> None:
        self._lists = dict(lists)
        self._of_operator = {
            operator.name: tuple(self._lists[each.name] for each in operator.lists if each.name in self._lists)
            for operator in OPERATORS.values()
        }

    def holds(self, operator: str, address: str) -> bool:
        """True if the address (in text) is in a list of the operator. False for what is no address or operator."""
        where = place(address)
        return any(networks.holds(where) for networks in self._of_operator.get(operator, ()))

    def knows(self, operator: str) -> bool:
        """True if at least one list of the operator is known: then "not in it" says something."""
        return bool(self._of_operator.get(operator))

    def with_list(self, name: str, networks: Iterable[Network]) -> Ranges:
        """The same with one list new or replaced as a whole."""
        return Ranges({**self._lists, name: Networks(networks)})


def load_ranges() -> Ranges:
    """The snapshot that the product ships (50 ms)."""
    return Ranges(
        {
            name: Networks(ip_network(network) for network in entry["networks"].split())
            for name, entry in _snapshot()["lists"].items()
        }
    )


def snapshot_dates() -> dict[str, str]:
    """Name of each shipped list -> its day, `2026-08-21`."""
    return {name: entry["date"] for name, entry in _snapshot()["lists"].items()}


def _snapshot() -> dict[str, dict[str, dict[str, str]]]:
    data: dict[str, dict[str, dict[str, str]]] = json.loads((Path(__file__).parent / "ranges.json").read_bytes())
    return data
