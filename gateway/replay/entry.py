"""One line of a log, or a payload, as a request that can be judged again.

| format | what it is | what it does not hold |
|---|---|---|
| `payload` | the fields of the Protection API, JSON | nothing |
| `access` | a line of this gateway's access log | headers but the user agent, query, scheme, session |
| `decision` | a line of the engine's decision log | headers but the user agent (the findings are there), query, scheme |
| `combined` | nginx's and Apache's `combined`, with a virtual host in front or fields behind or not | headers but user agent and referrer, host, scheme, session |

A header that the log does not hold must not count as one that the visitor did not send: without the field HeadersList
nobody looks for what is missing.
"""  # noqa: E501  the table

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple, cast, get_args

import orjson

from gateway.engine.bots.catalogue import Catalogue
from gateway.engine.browser import FINDINGS, Inspection
from gateway.engine.network import place
from gateway.engine.request import Request
from gateway.engine.session import ID_BYTES, NO_SESSION, Kind, Session
from gateway.engine.wire import JSON, TEXTS, Described, Value, decode
from gateway.errors import CallRefused
from gateway.replay.combined import parse_combined

UNASKED = frozenset({"bypassed", "rejected"})
"""Outcomes of the access log for which nobody was asked: excluded from checks, or no request at all."""
LACKING = {
    "payload": ("whether its cookie (ClientID) is a session: only the engine that signed it knows",),
    "access": ("headers but the user agent", "queries", "the scheme", "sessions"),
    "decision": ("headers but the user agent (the findings of then are used)", "queries", "the scheme",
                 "whoever was let through"),
    "combined": ("headers but user agent and referrer", "the host (unless in front)", "the scheme", "sessions"),
}  # fmt: skip
"""Format -> what its lines cannot show."""


class Entry(NamedTuple):
    """A request. `time_s`: Unix seconds, None if the line does not say; `session`, `inspection`: of then, None if the
    line does not say."""

    format: str
    described: Described
    time_s: float | None
    session: Session | None = None
    inspection: Inspection | None = None


class Unread(NamedTuple):
    """A line that is not judged. `is_readable`: it could be read, and nobody was asked about it then."""

    reason: str
    is_readable: bool = False


class PastRequest(Request):
    """A request of a log. Where the log has what the inspection found then, that counts: its headers are gone."""

    __slots__ = ("_then",)

    def __init__(self, entry: Entry, catalogue: Catalogue, session: Session | None = None) -> None:
        """`session`: of everybody of whom the entry says nothing. One without an id gets that of its visitor, address
        and user agent together, so that sessions are counted each for itself."""
        super().__init__(entry.described, catalogue)
        self.session = entry.session or session or NO_SESSION
        if self.session.kind != "none" and not self.session.id:
            self.session = self.session._replace(id=_visitor_id(self.where.text, self.user_agent))
        self._then = entry.inspection

    @property
    def inspection(self) -> Inspection:
        return super().inspection if self._then is None else self._then


def _visitor_id(address: str, user_agent: str) -> str:
    digest = blake2b(f"{address} {user_agent}".encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).digest()
    return urlsafe_b64encode(digest).decode()


def parse_line(line: bytes) -> Entry | Unread:
    """What a line is. Never raises."""
    line = line.strip()
    if not line.startswith(b"{"):
        return _combined(line)
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Unread("broken JSON")
    if "client_ip" in fields and "target" in fields:
        return _access(fields)
    if "client_ip" in fields and "action" in fields:
        return _decision(fields)
    if not fields.keys().isdisjoint(TEXTS):
        return _payload(line)
    return Unread("JSON of another kind")


def _payload(line: bytes) -> Entry | Unread:
    try:
        described = decode(line, JSON)
    except CallRefused as refusal:
        return Unread(f"a payload that the engine refuses ({refusal})"[:120])
    sent_us = described.fields.get("TimeRequest")
    return Entry("payload", described, float(sent_us) / 1e6 if isinstance(sent_us, int | float) else None)


def _access(fields: dict[str, Any]) -> Entry | Unread:
    if str(fields.get("outcome")) in UNASKED:
        return Unread(f"the gateway asked nobody about it: {fields['outcome']}", is_readable=True)
    return _entry("access", fields, fields["target"])


def _decision(fields: dict[str, Any]) -> Entry | Unread:
    entry = _entry("decision", fields, fields.get("path"))
    if isinstance(entry, Unread):
        return entry
    findings = fields.get("findings")
    names = tuple(name for name in map(str, findings if isinstance(findings, list) else ()) if name in FINDINGS)
    score = min(100, sum(FINDINGS[name].weight for name in names))
    kind, id = fields.get("session_kind"), fields.get("session")
    known = kind in get_args(Kind)
    session = Session(cast(Kind, kind), id if isinstance(id, str) else "") if known else None
    return entry._replace(session=session, inspection=Inspection(score, names))


def _entry(format: str, fields: dict[str, Any], target: object) -> Entry | Unread:
    """Of our own logs; what is null there, the request did not have."""
    time_s = _iso_time(fields.get("time"))
    if time_s is None:
        return Unread("no time")
    return _described(format, time_s, {
        "IP": fields["client_ip"], "Method": fields.get("method"), "Host": fields.get("host"), "Request": target,
        "UserAgent": fields.get("user_agent"),
    })  # fmt: skip


def _combined(line: bytes) -> Entry | Unread:
    parsed = parse_combined(line.decode("utf-8", "backslashreplace"))
    if isinstance(parsed, str):
        return Unread(parsed)
    return _described("combined", parsed.time_s, {
        "IP": parsed.address, "Method": parsed.method, "Host": parsed.host, "Request": parsed.target,
        "UserAgent": parsed.user_agent, "Referer": parsed.referrer,
    })  # fmt: skip


def _described(format: str, time_s: float, fields: dict[str, object]) -> Entry | Unread:
    if not all(value is None or isinstance(value, str) for value in fields.values()):
        return Unread("a field of another type")
    if not place(str(fields["IP"])).version:
        return Unread("the client is no address")
    if not fields["Method"] or not fields["Request"]:
        return Unread("no request in it")
    texts: dict[str, Value] = {name: str(value) for name, value in fields.items() if value}
    return Entry(format, Described({**texts, "TimeRequest": int(time_s * 1e6)}), time_s)


def _iso_time(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return None
