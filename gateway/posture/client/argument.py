"""What SecuritySpace is asked, checked before anything is sent.

The limits are the platform's own (SecuritySpace's REST API Guide, the input rows of each call), and those of DNS
where it names none: numbers
of SRV have 16 bits (RFC 2782), a TTL 31 (RFC 2181 8). Whether a name is a valid one is left to the platform.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.errors import PostureUsage

AUDIT_TYPES = ("advanced", "standard", "norisk", "desktop", "basic")
DOMAIN_TYPES = ("master", "slave")
CAA_TAGS = ("issue", "issuewild", "iodef")
_MOST = 4096
_SHOWN = 60
_MAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a parameter must be, in words, and whether a value is."""

    expected: str
    holds: Callable[[str], bool]


def check(call: str, path: str, fields: Mapping[str, str], shown: Callable[[str], str]) -> None:
    """Raises PostureUsage with the call (`POST /dnsAddA.php`), the parameter and what came, as `shown` shows it."""
    for field, value in fields.items():
        rule = _OF_CALL.get((path, field)) or _OF_FIELD.get(field, _TEXT)
        if not (_is_line(value) and rule.holds(value)):
            raise usage(call, field, f"got {_cut(shown(value))}; expected {rule.expected}")


def usage(call: str, field: str, what: str) -> PostureUsage:
    """The error about a parameter of a call that was not sent."""
    return PostureUsage(f"securityspace {call}: {field}: {what}")


def _cut(value: str) -> str:
    shown = ascii(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}... ({len(value)} characters)"


def _is_line(value: str) -> bool:
    return len(value) <= _MOST and value.isprintable()


def _one_of(words: tuple[str, ...]) -> Rule:
    return Rule(f"one of {', '.join(words)}", lambda value: value in words)


def _whole(least: int, most: int) -> Rule:
    def holds(value: str) -> bool:
        return value.isascii() and value.isdigit() and len(value) <= len(str(most)) and least <= int(value) <= most

    return Rule(f"a whole number from {least} to {most}", holds)


def _is_address(value: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(value).version == version and "%" not in value
    except ValueError:
        return False


def _is_audited(value: str) -> bool:
    """Addresses as saRunAudit takes them: `192.168.1.*,10.1.1-2.32-63`."""
    return all(_is_pattern(one) or _is_address(one, 6) for one in value.split(","))


def _is_pattern(value: str) -> bool:
    portions = value.split(".")
    return len(portions) == 4 and all(portion == "*" or _is_range(portion) for portion in portions)


def _is_range(portion: str) -> bool:
    """`7` or `32-63`: numbers from 0 to 255 without leading zeros, the smaller one first."""
    first, hyphen, last = portion.partition("-")
    ends = (first, last) if hyphen else (first, first)
    if not all(re.fullmatch(r"0|[1-9][0-9]{0,2}", end) for end in ends):
        return False
    return int(ends[0]) <= int(ends[1]) <= 255


_TEXT = Rule(f"a text of 1 to {_MOST} printable characters", lambda value: value.strip() != "")
_BLANK = Rule(f"blank, or a text of at most {_MOST} printable characters", lambda value: True)
_SHORT = _whole(0, 65535)
_OF_FIELD = {
    "audittype": _one_of(AUDIT_TYPES),
    "ipaddr": Rule(
        "addresses such as 192.0.2.7 or 192.168.1.*,10.1.1-2.32-63 (each portion a number from 0 to 255, a range or *)",
        _is_audited,
    ),
    "domaintype": _one_of(DOMAIN_TYPES),
    "priority": _whole(0, 99),
    "flag": _whole(0, 255),
    "tag": _one_of(CAA_TAGS),
    "pri": _SHORT,
    "weight": _SHORT,
    "port": _SHORT,
    "ttl": _whole(0, 2**31 - 1),
    "admin": Rule("a mail address such as hostmaster@example.com", lambda value: bool(_MAIL.fullmatch(value))),
    "seq": Rule("digits", lambda value: value.isascii() and value.isdigit() and len(value) <= 20),
} | dict.fromkeys(("name", "subdomain", "host", "masters", "allowtransferacl", "notify", "alsonotify"), _BLANK)
_OF_CALL = {
    ("/dnsAddA.php", "ip"): Rule("an IPv4 address", lambda value: _is_address(value, 4)),
    ("/dnsAddAAAA.php", "ip"): Rule("an IPv6 address", lambda value: _is_address(value, 6)),
    ("/dnsAddCNAME.php", "name"): _TEXT,  # where the alias leads to, which cannot be blank
}
