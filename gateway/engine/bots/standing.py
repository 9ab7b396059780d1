"""What can be said of a claim without asking anybody.

The rule, in order:
1. An address that nobody has on the Internet (private, loopback, reserved, documentation) or that is none: fake.
2. In a published list of the operator: verified. An operator does not publish addresses of others.
3. The operator documents host names: only a look-up can tell.
4. It publishes lists and we know at least one: fake. A list that has aged calls new addresses of its owner fake too;
   that is the price of stopping everybody else, and the reason to let the lists be refreshed.
5. It publishes lists and we know none: unknown. Nothing was ever compared.
6. It documents no way at all: fake. Nobody can confirm it, and being believed is not a default.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from gateway.engine.bots.operator import OPERATORS
from gateway.engine.bots.ranges import Ranges
from gateway.engine.network import place
from gateway.engine.question import Standing


def standing_by_ranges(ranges: Ranges, operator: str, address: str) -> Standing | None:
    """The standing of `address` (in text) as one of `operator` (a key of OPERATORS; any other is unknown). None: a
    look-up of its name can tell (rule 3)."""
    known = OPERATORS.get(operator)
    if known is None:
        return "unknown"
    if not _is_public(address):
        return "fake"
    if ranges.holds(operator, address):
        return "verified"
    if known.hosts:
        return None
    return "unknown" if known.lists and not ranges.knows(operator) else "fake"


@lru_cache(maxsize=4096)
def _is_public(address: str) -> bool:
    """True if somebody can have it on the Internet. A zone (`fe80::1%eth0`) belongs to one machine."""
    where = place(address)
    if not where.version or "%" in address:
        return False
    parsed = ip_address(where.text)
    return parsed.is_global and not parsed.is_multicast
