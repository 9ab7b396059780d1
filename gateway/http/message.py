"""The values that describe one HTTP message, and the tables of names that every side shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

Headers = list[tuple[bytes, bytes]]
"""(name, value) pairs in arrival order: names lower case, values without surrounding white space."""

# RFC 9110 7.6.1, with the two that predate it. `te` and `trailer` belong to the connection as well.
HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
    b"te", b"trailer", b"transfer-encoding", b"upgrade",
})

STATUS_LINES: dict[int, bytes] = {
    status: b"HTTP/1.1 %d %b\r\n" % (
        status, HTTPStatus(status).phrase.encode() if status in HTTPStatus._value2member_map_ else b"",
    )
    for status in range(100, 1000)
}


@dataclass(slots=True)
class RequestHead:
    """A request's head that has passed every framing check (RFC 9112); treated as read-only.

    target: as received; path: what the origin gets (origin-form, or `*`), path and query byte for byte.
    fields: each name once, repeated values joined by `, ` (Cookie by `; `).
    content_length: declared body bytes, None without the header; chunked: body is in chunks.
    connection_names: header names that the Connection field lists (lowered).
    lines: the header lines as received, without CRLF, one for each of `headers`; raw: the whole head, block: what of it
    follows the request line (both empty if the head is too large to be kept).
    derived: what others have worked out from the lines, by their own key; shared by heads with the same block.
    """

    method: bytes
    target: bytes
    path: bytes
    minor_version: int
    headers: Headers
    fields: dict[bytes, bytes]
    host: bytes
    content_length: int | None
    chunked: bool
    keep_alive: bool
    expects_continue: bool
    connection_names: tuple[bytes, ...]
    lines: list[bytes]
    raw: bytes = b""
    block: bytes = b""
    derived: dict[object, Any] = field(default_factory=dict)

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.content_length)

    @property
    def upgrade(self) -> bytes:
        """The protocol that the client offers to switch to (lowered), or b"" (RFC 9110 7.8)."""
        return self.fields.get(b"upgrade", b"").lower() if b"upgrade" in self.connection_names else b""


@dataclass(slots=True)
class ResponseHead:
    """A response's head whose framing is beyond doubt; treated as read-only.

    Neither content_length nor chunked: the body ends with the connection. keep_alive: another response may follow.
    lines: the header lines as received, without CRLF, one for each of `headers`; raw: the whole head; derived: as in
    RequestHead.
    """

    status: int
    headers: Headers
    fields: dict[bytes, bytes]
    content_length: int | None
    chunked: bool
    keep_alive: bool
    lines: list[bytes]
    raw: bytes = b""
    derived: dict[object, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalReply:
    """An answer that the gateway authors. headers: without framing and Connection fields, which the writer adds."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
