"""What an answer of the Protection API means (contract section 4): status, headers and body -> Decision."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

from gateway.http.message import HOP_BY_HOP, Headers

_LISTED = frozenset({200, 301, 302, 400, 401, 403, 429})
_REFUSED_NAMES = HOP_BY_HOP | {b"content-length", b"host"}
_CLIENT_ID = b"x-datadome-clientid"
_RULE = b"x-datadome-ruletype"
_DECISION_ID = b"x-datadome-requestid"
_POINTERS = frozenset({b"x-datadome-request-headers", b"x-datadome-headers", b"x-datadomeresponse"})
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_UNSAFE_VALUE = re.compile(rb"[\r\n\0]")
_PLANS_MAX = 1024
_NO_NAMES: frozenset[bytes] = frozenset()


class Verdict:
    """The `result` labels of gateway_protection_checks_total. Plain strings: an Enum's members cost 0.2 us to read."""

    ALLOW = "allow"
    BLOCK = "block"
    REDIRECT = "redirect"
    ERROR = "error"


class Decision(NamedTuple):
    """The outcome of one check. A failed one is a Decision too: verdict ERROR with its reason, nothing to merge.

    request_lines: ready header lines for the origin; replaced: the names among them that the client may have sent;
    response_lines: ready header lines for the client; removed: the names of the origin's answer that they replace or
    that must stay hidden. reply_headers and body: for a block or a redirect. rule: X-DataDome-ruletype, for the log;
    decision_id: X-DataDome-requestid of a block or a redirect, which its page shows to the visitor.
    """

    verdict: str
    status: int = 0
    reason: str = ""
    request_lines: bytes = b""
    replaced: frozenset[bytes] = _NO_NAMES
    response_lines: bytes = b""
    removed: frozenset[bytes] = _NO_NAMES
    reply_headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    challenge: bool = False
    rule: bytes = b""
    decision_id: bytes = b""


class _Plan(NamedTuple):
    """What two pointer headers list; computed once per distinct pair, since an API sends few of them.

    request, response: names in order, and their lines with a place for each value; values: fields -> what goes there;
    replaced, removed, hidden: see Decision.
    """

    request: tuple[bytes, ...]
    response: tuple[bytes, ...]
    request_lines: bytes
    response_lines: bytes
    request_values: Callable[[dict[bytes, bytes]], Any]
    response_values: Callable[[dict[bytes, bytes]], Any]
    replaced: frozenset[bytes]
    removed: frozenset[bytes]
    hidden: frozenset[bytes]


_plans: dict[tuple[bytes, bytes], _Plan] = {}
_UNSAFE_BYTES = b"\r\n\0"


def failure(reason: str, status: int = 0) -> Decision:
    """No valid decision was obtained; reason: a label of gateway_protection_failures_total."""
    return Decision(Verdict.ERROR, status, reason)


def decide(
    status: int, headers: Headers, fields: dict[bytes, bytes], body: bytes, *, strict: bool, enforce_429: bool,
) -> Decision:
    """The Decision that one complete answer means. fields: headers joined by name. Never raises."""
    if status == 200 and fields.get(b"x-datadomeresponse") == b"200":  # what the rest would find, at once
        return _allow(headers, fields)
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
    if len(fields) == len(headers):
        try:
            request_lines = plan.request_lines % plan.request_values(fields)
            response_lines = plan.response_lines % plan.response_values(fields)
        except KeyError:  # a listed header is missing
            return _allow_some(plan, headers, fields.get(_RULE, b""))
        lines = request_lines + response_lines
        if len(lines) - len(lines.translate(None, _UNSAFE_BYTES)) == 2 * (len(plan.request) + len(plan.response)):
            return Decision(
                Verdict.ALLOW, 200, "", request_lines, plan.replaced, response_lines, plan.removed, (), b"", False,
                fields.get(_RULE, b""))
    return _allow_some(plan, headers, fields.get(_RULE, b""))


def _allow_some(plan: _Plan, headers: Headers, rule: bytes) -> Decision:
    """Header by header: some are missing, repeated or not to be merged."""
    request_lines = b""
    response_lines = b""
    merged: set[bytes] = set()
    for name, value in headers:
        if _UNSAFE_VALUE.search(value):
            continue
        line = b"%b: %b\r\n" % (name, value)
        if name in plan.request:
            request_lines += line
            merged.add(name)
        if name in plan.response:
            response_lines += line
            merged.add(name)
    return Decision(
        Verdict.ALLOW, 200, "", request_lines, plan.replaced & merged,
        response_lines, (plan.removed & merged) | plan.hidden, rule=rule,
    )


def _refuse(status: int, headers: Headers, fields: dict[bytes, bytes], body: bytes) -> Decision:
    plan = _plan(fields)
    listed = {b"content-type", *plan.response}
    redirect = status in (301, 302)
    if redirect:
        listed.add(b"location")
    reply = tuple(pair for pair in headers if pair[0] in listed and not _UNSAFE_VALUE.search(pair[1]))
    rule = fields.get(b"x-datadome-traffic-rule-response", b"").strip().lower()
    return Decision(
        Verdict.REDIRECT if redirect else Verdict.BLOCK, status, reply_headers=reply, body=body,
        challenge=rule not in (b"", b"block", b"hard_block"), rule=fields.get(_RULE, b""),
        decision_id=fields.get(_DECISION_ID, b""),
    )


def _plan(fields: dict[bytes, bytes]) -> _Plan:
    key = (fields.get(b"x-datadome-request-headers", b""), fields.get(b"x-datadome-headers", b""))
    plan = _plans.get(key)
    if plan is None:
        plan = _read_plan(*key)
        if len(_plans) < _PLANS_MAX:
            _plans[key] = plan
    return plan


def _read_plan(request_pointer: bytes, response_pointer: bytes) -> _Plan:
    request, response = _read_pointer(request_pointer), _read_pointer(response_pointer)
    hidden = frozenset(request) - frozenset(response)
    # The other X-DataDome-* names never pass from a client, whatever the answer lists.
    replaced = frozenset(name for name in request if name == _CLIENT_ID or not name.startswith(b"x-datadome"))
    removed = (frozenset(response) - {b"set-cookie"}) | hidden
    return _Plan(
        request, response, b"".join(name + b": %b\r\n" for name in _escaped(request)),
        b"".join(name + b": %b\r\n" for name in _escaped(response)), _getter(request), _getter(response),
        replaced, removed, hidden)


def _escaped(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(name.replace(b"%", b"%%") for name in names)


def _getter(names: tuple[bytes, ...]) -> Callable[[dict[bytes, bytes]], Any]:
    return itemgetter(*names) if names else lambda fields: ()


def _read_pointer(value: bytes) -> tuple[bytes, ...]:
    """The names that a pointer header lists: white space between them, case ignored, the dangerous ones refused.

    A header that stands twice counts as one list, so the comma that joins the two is a separator as well.
    """
    names = dict.fromkeys(value.lower().replace(b",", b" ").split())
    return tuple(name for name in names
                 if _NAME.match(name) and name not in _REFUSED_NAMES and name not in _POINTERS)
