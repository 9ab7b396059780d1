"""A list of addresses, read: bytes of a document in, networks out. One grammar, wherever a list is from: what an
operator publishes, what a policy fetches, a file beside the policy.

Two forms are told apart by the first character.

- Text: one network or address a line; `#` and `;` begin a comment, and of a line with commas the first field counts
  (RFC 8805, geofeeds). A second network in a line refuses the list: it may be the end of a range, and would be lost.
- JSON of any shape: every string in an array, and every string under a key that names addresses (`ipv4Prefix`, `cidr`,
  `ip_address`, `prefixes_ipv4`). This reads Google's form (`{"prefixes": [{"ipv4Prefix": ...}]}`), which most operators
  took over, and plain arrays.

A document is taken as a whole or not at all: one value that is no network refuses it, so an error page that came with
status 200 never empties a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from gateway.engine.network import Network, parse_network
from gateway.errors import ListRefused

MAX_NETWORKS = 100_000  # 50 MiB in memory while they are read
MAX_DEPTH = 8  # of JSON; the deepest published one has 4
SHOWN_CHARACTERS = 40

_ADDRESS_KEY = re.compile(r"(?:ip|cidr|network|range|.*prefix|.*address)[a-z0-9_]*", re.IGNORECASE)


def parse_networks(document: bytes) -> tuple[Network, ...]:
    """The networks of a list of somebody else's, in its order. Raises ListRefused as read_networks does, for none at
    all, and over MAX_NETWORKS."""
    networks: list[Network] = []
    for network in read_networks(document):
        networks.append(network)
        if len(networks) > MAX_NETWORKS:
            raise ListRefused(f"the list has over {MAX_NETWORKS} networks")
    if not networks:
        raise ListRefused("the list has no network")
    return tuple(networks)


def read_networks(document: bytes) -> Iterator[Network]:
    """The networks in the document's order, one after the other; there may be none. Raises ListRefused, at the latest
    at the end, if a value is none."""
    try:
        text = document.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ListRefused("the list is not UTF-8") from None
    return _in_json(text) if text.lstrip()[:1] in ("{", "[") else _in_lines(text)


def _in_lines(text: str) -> Iterator[Network]:
    for number, line in enumerate(text.splitlines(), 1):
        first, *others = line.split("#", 1)[0].split(";", 1)[0].split(",")
        value = first.strip()
        if value:
            yield _network(value, f"line {number}")
        if any(_is_network(other.strip()) for other in others):
            raise ListRefused(f"line {number} has several networks, expected one a line")


def _in_json(text: str) -> Iterator[Network]:
    return (_network(value, "the list") for value in _json_values(text))


def _network(value: str, where: str) -> Network:
    try:
        return parse_network(value)
    except ValueError:
        raise ListRefused(f"{where} has {value[:SHOWN_CHARACTERS]!r}, expected a network or an address") from None


def _is_network(value: str) -> bool:
    try:
        parse_network(value)
    except ValueError:
        return False
    return True


def _json_values(text: str) -> Iterator[str]:
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ListRefused(f"the list is not JSON: {error}"[:200]) from None
    return _walk(decoded, names_addresses=False, depth=0)


def _walk(value: Any, *, names_addresses: bool, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ListRefused(f"the list is nested over {MAX_DEPTH} deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, names_addresses=bool(_ADDRESS_KEY.fullmatch(key)), depth=depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, names_addresses=True, depth=depth + 1)
    elif isinstance(value, str) and names_addresses and value:
        yield value
