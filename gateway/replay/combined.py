"""The log format `combined` of nginx and Apache, read without trust in what visitors wrote into it.

    [host[:port] ]address ident user [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 512 "referrer" "user agent" ...

Quotes in a field are escaped: `\\"` by Apache, `\\x22` by nginx. The format `common` ends before the referrer; since
nobody can be judged without a user agent, it is refused and not taken for requests without one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_ADDRESS = r"([0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)"
_LINE = re.compile(
    rf"(?:(\S+) )??{_ADDRESS} \S+ [^\[]*? ?\[([^\]]{{20,32}})\] {_QUOTED} [0-9]{{3}} (?:[0-9]+|-)"
    rf"(?: {_QUOTED} {_QUOTED})?(?:\s|$)"
)
_TIME = re.compile(r"(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.ASCII)
_REQUEST = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}) (\S+)(?: HTTP/[0-9.]+)?")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "b": "\b"}


class Combined(NamedTuple):
    """A line. Texts are unescaped; "" is what stands as `-`."""

    time_s: float
    host: str
    address: str
    method: str
    target: str
    referrer: str
    user_agent: str


def parse_combined(line: str) -> Combined | str:
    """The line, or in words why it is none."""
    match = _LINE.match(line)
    if match is None:
        return "no known format"
    host, address, time, request, referrer, user_agent = match.groups()
    if user_agent is None:
        return "the format `common`, without user agents"
    time_s = _time_s(time)
    if time_s is None:
        return "no time"
    asked = _REQUEST.fullmatch(_text(request))
    if asked is None:
        return "no request in it"
    return Combined(time_s, host or "", address, asked[1], asked[2], _text(referrer), _text(user_agent))


@lru_cache(maxsize=256)  # thousands of lines share a second
def _time_s(text: str) -> float | None:
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in MONTHS:
        return None
    day, _, year, hour, minute, second, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    zone = timezone(-offset if sign == "-" else offset) if offset < timedelta(hours=24) else UTC
    try:
        moment = datetime(
            int(year), MONTHS.index(match[2]) + 1, int(day), int(hour), int(minute), int(second), tzinfo=zone
        )
    except ValueError:
        return None
    return moment.timestamp()


def _text(escaped: str) -> str:
    if escaped == "-":
        return ""
    if "\\" not in escaped:
        return escaped
    unescaped = _ESCAPE.sub(_unescaped, escaped)
    try:
        return unescaped.encode("latin-1").decode()  # nginx escapes the bytes of UTF-8 one by one
    except UnicodeError:
        return unescaped


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _LETTERS.get(match[2], match[2])
