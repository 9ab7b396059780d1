"""Heads rewritten for the next hop (RFC 9110 7.6): what is dropped, what is set, what is added.

Whether a name is dropped is decided once per name and remembered (`NameTable`), so a head costs one dictionary look-up per
header. The tables are bounded, because clients choose the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from gateway.http.message import HOP_BY_HOP, STATUS_LINES, Headers, RequestHead

PSEUDONYM = b"1.1 gateway"
_TABLE_MAX = 4096
_NOT_PLAIN = re.compile(rb"[^a-z0-9-]")

# Re-made or consumed by the gateway on every request, whoever sent it.
_REWRITTEN = HOP_BY_HOP | {b"host", b"content-length", b"expect", b"via", b"x-forwarded-for", b"x-real-ip"}
# Believed from a trusted proxy, replaced or removed from anyone else (http-cases P05).
_TRUSTED_ONLY = frozenset({
    b"forwarded", b"x-request-id", b"true-client-ip", b"cf-connecting-ip", b"x-client-ip", b"x-cluster-client-ip",
    b"fastly-client-ip", b"x-original-forwarded-for", b"x-envoy-external-address", b"x-original-url", b"x-rewrite-url",
})
_PROTECTION_PREFIX = b"x-datadome"
_CLIENT_ID = b"x-datadome-clientid"
_POINTERS = frozenset({b"x-datadome-request-headers", b"x-datadome-headers", b"x-datadomeresponse"})


class NameTable(dict[bytes, bool]):
    """name -> forward it? Filled as names are met, at most 4096 names of at most 128 bytes."""

    __slots__ = ("_decide", "keeps_host")

    def __init__(self, decide: Callable[[bytes], bool], *, keeps_host: bool = False) -> None:
        super().__init__()
        self._decide = decide
        self.keeps_host = keeps_host
        """Whether a received X-Forwarded-Host is believed."""

    def __missing__(self, name: bytes) -> bool:
        forward = self._decide(name)
        if len(self) < _TABLE_MAX and len(name) <= 128:
            self[name] = forward
        return forward


def request_names(*, trusted: bool, client_header: bytes) -> NameTable:
    """Which request headers go on to the origin. client_header: the configured header with the client's address."""

    def decide(name: bytes) -> bool:
        plain = _NOT_PLAIN.sub(b"-", name)
        if plain.startswith(_PROTECTION_PREFIX):  # contract 4: forged bot information, aliases included
            return name == _CLIENT_ID
        sensitive = plain in _REWRITTEN or plain in _TRUSTED_ONLY or plain.startswith(b"x-forwarded-")
        sensitive = sensitive or plain == client_header
        if plain != name:
            return not sensitive
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
    lines = [b": ".join(pair) for pair in head.headers if names[pair[0]]]
    if replaced or head.connection_names:
        lines = _drop(head, names, replaced)
    fields = head.fields
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
    if request_id:
        lines.append(b"x-request-id: " + request_id)
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n%b%b\r\n" % (
        head.method, head.path, host, b"\r\n".join(lines), forwarded, edits,
    )


def _drop(head: RequestHead, names: NameTable, replaced: Collection[bytes]) -> list[bytes]:
    gone = head.connection_names
    return [b": ".join(pair) for pair in head.headers
            if names[pair[0]] and pair[0] not in replaced and pair[0] not in gone]


def write_response_head(
    status: int,
    headers: Headers,
    fields: dict[bytes, bytes],
    removed: Collection[bytes],
    edits: bytes,
    framing: bytes,
) -> bytes:
    """The origin's head for the client, up to and including the empty line.

    removed: names that the decision replaces or hides; edits: its ready lines; framing: ready Transfer-Encoding and
    Connection lines.
    """
    names = RESPONSE_NAMES
    if b"connection" in fields:
        gone = {token.strip(b" \t") for token in fields[b"connection"].lower().split(b",")} - {b"content-length"}
        removed = gone.union(removed)
    lines = [b": ".join(pair) for pair in headers if names[pair[0]] and pair[0] not in removed]
    via = fields[b"via"] + b", " + PSEUDONYM if b"via" in fields else PSEUDONYM
    lines.append(b"via: " + via)
    return b"%b%b\r\n%b%b\r\n" % (STATUS_LINES[status], b"\r\n".join(lines), edits, framing)
