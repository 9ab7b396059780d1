"""What an answer of the Protection API means (contract section 4): status, headers and body -> Decision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from gateway.http.message import HOP_BY_HOP, Headers

_LISTED = frozenset({200, 301, 302, 400, 401, 403, 429})
_REFUSED_NAMES = HOP_BY_HOP | {b"content-length", b"host"}
_POINTERS = frozenset({b"x-datadome-request-headers", b"x-datadome-headers", b"x-datadomeresponse"})
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_UNSAFE_VALUE = re.compile(rb"[\r\n\0]")
_PLANS_MAX = 1024
_NO_NAMES: frozenset[bytes] = frozenset()


class Verdict(Enum):
    """The value is the `result` label of gateway_protection_checks_total."""

    ALLOW = "allow"
    BLOCK = "block"
    REDIRECT = "redirect"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one check. A failed one is a Decision too: verdict ERROR with its reason, nothing to merge.

    request_lines: ready header lines for the origin; replaced: the names among them that the client may have sent;
    response_lines: ready header lines for the client; removed: the names of the origin's answer that they replace or
    that must stay hidden. reply_headers and body: for a block or a redirect.
    """

    verdict: Verdict
    status: int = 0
    reason: str = ""
    request_lines: bytes = b""
    replaced: frozenset[bytes] = _NO_NAMES
    response_lines: bytes = b""
    removed: frozenset[bytes] = _NO_NAMES
    reply_headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    challenge: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """What two pointer headers list; computed once per distinct pair, since an API sends few of them."""

    request: frozenset[bytes]
    response: frozenset[bytes]
    hidden: frozenset[bytes]


_plans: dict[tuple[bytes, bytes], _Plan] = {}


def failure(reason: str, status: int = 0) -> Decision:
    """No valid decision was obtained; reason: a label of gateway_protection_failures_total."""
    return Decision(Verdict.ERROR, status, reason)


def decide(
    status: int, headers: Headers, fields: dict[bytes, bytes], body: bytes, *, strict: bool, enforce_429: bool,
) -> Decision:
    """The Decision that one complete answer means. fields: headers joined by name. Never raises."""
    marker = fields.get(b"x-datadomeresponse", b"")
    number = int(marker) if len(marker) == 3 and marker.isdigit() else 0
    if strict or not number:
        if status == 400:
            return failure("unauthorized", status)
        if status not in _LISTED:
            return failure("status", status)
        if number != status:
            return failure("integrity", status)
    elif number == 400:
        return failure("unauthorized", number)
    elif number not in _LISTED:
        return failure("status", number)
    if number == 200:
        return _allow(headers, fields)
    if number == 429 and not enforce_429:
        return Decision(Verdict.ALLOW, number)
    return _refuse(number, headers, fields, body)


def _allow(headers: Headers, fields: dict[bytes, bytes]) -> Decision:
    plan = _plan(fields)
    request_lines: list[bytes] = []
    response_lines: list[bytes] = []
    replaced = removed = _NO_NAMES
    for pair in headers:
        name, value = pair
        in_request, in_response = name in plan.request, name in plan.response
        if not (in_request or in_response) or _UNSAFE_VALUE.search(value):
            continue
        line = b": ".join(pair)
        if in_request:
            request_lines.append(line)
            if not name.startswith(b"x-datadome"):  # those never pass from a client anyway
                replaced |= {name}
        if in_response:
            response_lines.append(line)
            if name != b"set-cookie":
                removed |= {name}
    return Decision(
        Verdict.ALLOW, 200, "",
        b"\r\n".join([*request_lines, b""]), replaced,
        b"\r\n".join([*response_lines, b""]), removed | plan.hidden,
    )


def _refuse(status: int, headers: Headers, fields: dict[bytes, bytes], body: bytes) -> Decision:
    plan = _plan(fields)
    listed = set(plan.response)
    if b"content-type" in fields and body:
        listed.add(b"content-type")
    redirect = status in (301, 302)
    if redirect:
        listed.add(b"location")
    reply = tuple(pair for pair in headers if pair[0] in listed and not _UNSAFE_VALUE.search(pair[1]))
    rule = fields.get(b"x-datadome-traffic-rule-response", b"").strip().lower()
    return Decision(
        Verdict.REDIRECT if redirect else Verdict.BLOCK, status, reply_headers=reply, body=body,
        challenge=rule not in (b"", b"block", b"hard_block"),
    )


def _plan(fields: dict[bytes, bytes]) -> _Plan:
    key = (fields.get(b"x-datadome-request-headers", b""), fields.get(b"x-datadome-headers", b""))
    plan = _plans.get(key)
    if plan is None:
        request, response = _read_pointer(key[0]), _read_pointer(key[1])
        plan = _Plan(request, response, request - response)
        if len(_plans) < _PLANS_MAX:
            _plans[key] = plan
    return plan


def _read_pointer(value: bytes) -> frozenset[bytes]:
    """The names that a pointer header lists: white space between them, case ignored, the dangerous ones refused.

    A header that stands twice counts as one list, so the comma that joins the two is a separator as well.
    """
    names = value.lower().replace(b",", b" ").split()
    return frozenset(name for name in names
                     if _NAME.match(name) and name not in _REFUSED_NAMES and name not in _POINTERS)
