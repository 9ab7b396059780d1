"""Who may ask the admin side: pure checks on a request's Host and Authorization.

Two dangers. A browser on the operator's machine can be made to ask a loopback address under a foreign name (DNS
rebinding), so on a loopback address the Host header must be one of its names. And whoever reaches the port reads
traffic figures and the configuration (without secrets), so a token can be asked for; it must be when the address is not
a loopback one, which the configuration checks.
"""

from __future__ import annotations

import hmac
import re

from gateway.config.address import Address

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]*)?")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def accepted_hosts(address: Address) -> frozenset[str] | None:
    """The names that a Host header may hold, without port; None if any may: the address is not a loopback one, or it is
    a Unix socket, which no browser can ask."""
    if address.path or not address.is_loopback:
        return None
    return LOOPBACK_NAMES | {f"[{address.host}]" if ":" in address.host else address.host}


def host_is_accepted(header: str | None, accepted: frozenset[str] | None) -> bool:
    """True if the Host header (port allowed and ignored) is one of the accepted names."""
    return accepted is None or (header is not None and _without_port(header).lower() in accepted)


def token_is_right(authorization: str | None, token: str) -> bool:
    """True for `Authorization: Bearer <token>` (RFC 6750 2.1), compared in constant time."""
    scheme, _, given = (authorization or "").partition(" ")
    matches = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return matches and scheme.lower() == "bearer"


def _without_port(host: str) -> str:
    match = _HOST.fullmatch(host)
    return match[1] if match else ""
