"""Heads rewritten for the next hop (RFC 9110 7.6): what is dropped, what is set, what is added.

Whether a name is dropped is decided once per name and remembered (`NameTable`), so a head costs one dictionary look-up
per header. The tables are bounded, because clients choose the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from gateway.http.framing import CONNECTION
from gateway.http.memo import FIELD_LINES, Memo
from gateway.http.message import HOP_BY_HOP, STATUS_LINES, RequestHead, ResponseHead

PSEUDONYM = b"1.1 gateway"
_DERIVED_MAX = 4  # a connection's decisions remove one or two sets of names
_NOT_PLAIN = re.compile(rb"[^a-z0-9-]")

# Re-made or consumed by the gateway on every request, whoever sent it.
_REWRITTEN = HOP_BY_HOP | {
    b"host", b"content-length", b"expect", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port",
    b"x-real-ip",
}
# Believed from a trusted proxy, replaced or removed from anyone else (http-cases P05).
_TRUSTED_ONLY = frozenset({
    b"forwarded", b"x-request-id", b"true-client-ip", b"cf-connecting-ip", b"x-client-ip", b"x-cluster-client-ip",
    b"fastly-client-ip", b"x-original-forwarded-for", b"x-envoy-external-address", b"x-original-url", b"x-rewrite-url",
})
_PROTECTION_PREFIX = b"x-datadome"
_CLIENT_ID = b"x-datadome-clientid"
_POINTERS = frozenset({b"x-datadome-request-headers", b"x-datadome-headers", b"x-datadomeresponse"})
# Written by the gateway itself on the way to the origin, so a decision that sets one must replace that line too.
_OWN = frozenset({
    b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip",
    b"x-request-id",
})


class NameTable(Memo[bool]):
    """name -> forward it?; `lines`: header line as received -> the line to forward, b"" = none."""

    __slots__ = ("keeps_host", "key", "lines")

    def __init__(self, decide: Callable[[bytes], bool], *, keeps_host: bool = False) -> None:
        super().__init__(decide)
        self.lines: Memo[bytes] = Memo(self._line)
        self.key = object()
        """Stands for this table in `RequestHead.derived`."""
        self.keeps_host = keeps_host
        """Whether a received X-Forwarded-Host is believed."""

    def _line(self, line: bytes) -> bytes:
        pair = FIELD_LINES[line]
        return b": ".join(pair) if self[pair[0]] else b""


def request_names(*, trusted: bool, client_header: bytes) -> NameTable:
    """Which request headers go on to the origin. client_header: the configured header with the client's address."""

    def decide(name: bytes) -> bool:
        plain = _NOT_PLAIN.sub(b"-", name)
        if plain.startswith(_PROTECTION_PREFIX):  # contract 4: forged bot information, aliases included
            return name == _CLIENT_ID
        sensitive = plain in _REWRITTEN or plain in _TRUSTED_ONLY or plain.startswith(b"x-forwarded-")
        sensitive = sensitive or plain == _NOT_PLAIN.sub(b"-", client_header)
        if plain != name:
            return not sensitive or (trusted and name == client_header)
        if name in _REWRITTEN:
            return False
        return trusted or not sensitive

    return NameTable(decide, keeps_host=trusted)


RESPONSE_NAMES = NameTable(lambda name: name not in HOP_BY_HOP and name not in _POINTERS and name != b"via")


def write_request_head(  # one call per request: positional, no intermediate objects
    head: RequestHead,
    host: bytes,
    names: NameTable,
    forwarded: bytes,
    request_id: bytes,
    edits: bytes,
    replaced: Collection[bytes],
) -> bytes:
    """The head for the origin, up to and including the empty line.

    names: which received headers pass; forwarded: the ready X-Forwarded-* and X-Real-IP lines; edits: ready lines of
    the decision's headers; replaced: the names among them that must not pass from the client.
    """
    known = head.derived.get(names.key)
    if known is not None and known[0] is forwarded and known[1] == host and not replaced:
        middle = known[2]
    else:
        lines = _lines(head, host, names, replaced)
        middle = b"\r\n".join(lines) + b"\r\n" + forwarded
        if not replaced:
            head.derived[names.key] = (forwarded, host, middle)
        elif not _OWN.isdisjoint(replaced):
            middle = b"".join([line + b"\r\n" for line in _without(middle.split(b"\r\n")[:-1], replaced)])
            request_id = b"" if b"x-request-id" in replaced else request_id
    if request_id:
        return b"%b %b HTTP/1.1\r\n%bx-request-id: %b\r\n%b\r\n" % (head.method, head.path, middle, request_id, edits)
    return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (head.method, head.path, middle, edits)


def _lines(head: RequestHead, host: bytes, names: NameTable, replaced: Collection[bytes]) -> list[bytes]:
    """What follows from the received header lines alone."""
    fields = head.fields
    lines = [b"host: " + host]
    if replaced or head.connection_names:
        lines += _drop(head, names, replaced)
    else:
        lines += filter(None, map(names.lines.__getitem__, head.lines))
    via = fields[b"via"] + b", " + PSEUDONYM if b"via" in fields else PSEUDONYM
    lines.append(b"via: " + via)
    if head.content_length is not None:
        lines.append(b"content-length: %d" % head.content_length)
    elif head.chunked:
        lines.append(b"transfer-encoding: chunked")
    if b"te" in fields and b"trailers" in fields[b"te"].lower():
        lines.append(b"te: trailers\r\nconnection: te")
    if not (names.keeps_host and b"x-forwarded-host" in fields):
        lines.append(b"x-forwarded-host: " + head.host)
    return lines


def _without(lines: list[bytes], names: Collection[bytes]) -> list[bytes]:
    return [line for line in lines if line.partition(b":")[0] not in names]


def _drop(head: RequestHead, names: NameTable, replaced: Collection[bytes]) -> list[bytes]:
    gone = head.connection_names
    return [b": ".join(pair) for pair in head.headers
            if names[pair[0]] and pair[0] not in replaced and pair[0] not in gone]


def write_response_head(head: ResponseHead, removed: frozenset[bytes], edits: bytes, framing: bytes) -> bytes:
    """The origin's head for the client, up to and including the empty line.

    removed: names that the decision replaces or hides; edits: its ready lines; framing: ready Transfer-Encoding and
    Connection lines.
    """
    lines = head.derived.get(removed)
    if lines is None:
        lines = _response_lines(head, removed)
        if len(head.derived) < _DERIVED_MAX:
            head.derived[removed] = lines
    return b"%b%b%b%b\r\n" % (STATUS_LINES[head.status], lines, edits, framing)


def _response_lines(head: ResponseHead, removed: frozenset[bytes]) -> bytes:
    names, fields = RESPONSE_NAMES, head.fields
    if b"connection" in fields:
        gone = CONNECTION[fields[b"connection"]].names
        removed = removed.union(gone) - {b"content-length"} if gone else removed
    if head.status == 204:  # RFC 9110 8.6: never with a length
        removed = removed | {b"content-length"}
    if removed.isdisjoint(fields):
        lines = [*filter(None, map(names.lines.__getitem__, head.lines))]
    else:
        lines = [b": ".join(pair) for pair in head.headers if names[pair[0]] and pair[0] not in removed]
    lines.append(b"via: " + (fields[b"via"] + b", " + PSEUDONYM if b"via" in fields else PSEUDONYM))
    return b"\r\n".join([*lines, b""])


def write_interim_head(head: ResponseHead) -> bytes:
    """A 1xx head for the client: no framing, nothing of the connection (RFC 9110 15.2, 8.6)."""
    gone = (b"content-length", *CONNECTION[head.fields.get(b"connection", b"")].names)
    lines = [b": ".join(pair) for pair in head.headers if RESPONSE_NAMES[pair[0]] and pair[0] not in gone]
    return b"%b%b\r\n" % (STATUS_LINES[head.status], b"".join([line + b"\r\n" for line in lines]))
