"""A published list of addresses, read: bytes of a document in, networks out.

Two forms are told apart by the first character.

- Text: one network or address a line; `#` and `;` begin a comment, and of a line with commas the first field counts
  (RFC 8805, geofeeds).
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
from ipaddress import ip_network
from typing import Any

from gateway.engine.network import Network
from gateway.errors import ListRefused

MAX_NETWORKS = 100_000  # 20 MiB in memory while they are read
MAX_DEPTH = 8  # of JSON; the deepest published one has 4
SHOWN_CHARACTERS = 40

_ADDRESS_KEY = re.compile(r"(?:ip|cidr|network|range|.*prefix|.*address)[a-z0-9_]*", re.IGNORECASE)


def parse_networks(document: bytes) -> tuple[Network, ...]:
    """The networks in the document's order. Raises ListRefused if a value is none, for none, over MAX_NETWORKS."""
    try:
        text = document.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ListRefused("the list is not UTF-8") from None
    values = _json_values(text) if text.lstrip()[:1] in ("{", "[") else _lines(text)
    networks: list[Network] = []
    for value in values:
        networks.append(_network(value))
        if len(networks) > MAX_NETWORKS:
            raise ListRefused(f"the list has over {MAX_NETWORKS} networks")
    if not networks:
        raise ListRefused("the list has no network")
    return tuple(networks)


def _network(value: str) -> Network:
    try:
        return ip_network(value, strict=False)
    except ValueError:
        raise ListRefused(f"the list has {value[:SHOWN_CHARACTERS]!r}, expected a network or an address") from None


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        value = re.split(r"[#;,]", line, maxsplit=1)[0].strip()
        if value:
            yield value


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
