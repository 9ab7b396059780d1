"""How each operator lets a claim to be its program be verified. The facts are in `operators.json`, each with the page
of the operator that documents it; the keys are those of `claim.CLAIMS`.

Three ways: lists of addresses that it publishes, names of hosts that forward-confirmed reverse DNS must give, or none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.engine.bots.claim import CLAIMS


@dataclass(frozen=True, slots=True)
class PublishedList:
    """`name`: its key in `ranges.json`. `url`: the operator's own. `refresh`: that URL has a form that can be read."""

    name: str
    url: str
    refresh: bool


@dataclass(frozen=True, slots=True)
class Operator:
    """`name`: the key. `display`: for people, several operators can have the same (Google's crawlers and fetchers).

    `hosts`: what the name of its addresses is, lower case: `googlebot.com` stands for every name below it, and
    `google-proxy-*.google.com` for one label of that form. `classes`: what its programs are. `documentation`: "" where
    the operator documents no way.
    """

    name: str
    display: str
    classes: tuple[str, ...]
    lists: tuple[PublishedList, ...]
    hosts: tuple[str, ...]
    documentation: str

    def owns_host(self, host: str) -> bool:
        """True if the host name is one of `hosts`. On label boundaries: `evilgooglebot.com` is nobody's."""
        host = host.lower().removesuffix(".")
        return any(_matches(host, pattern) for pattern in self.hosts)


def _matches(host: str, pattern: str) -> bool:
    before, star, after = pattern.partition("*")
    if not star:
        return host.endswith("." + pattern)
    middle = host[len(before) : len(host) - len(after)]
    return host.startswith(before) and host.endswith(after) and bool(middle) and "." not in middle


def _read(name: str, entry: dict[str, Any]) -> Operator:
    return Operator(
        name=name,
        display=entry.get("display", name),
        classes=tuple(CLAIMS[name]),
        lists=tuple(
            PublishedList(key, source["url"], source.get("refresh", True))
            for key, source in entry.get("lists", {}).items()
        ),
        hosts=tuple(entry.get("hosts", ())),
        documentation=entry.get("documentation", ""),
    )


OPERATORS: dict[str, Operator] = {
    name: _read(name, entry)
    for name, entry in json.loads((Path(__file__).parent / "operators.json").read_bytes()).items()
}
"""Every operator that a Signature can name, by that name. Read once, at import (8 kB)."""
