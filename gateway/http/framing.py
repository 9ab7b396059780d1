"""What a head must look like before anything is done with it (RFC 9112), for both directions.

llhttp (httptools) has refused bad tokens, control bytes, folded lines, bare CR or LF, doubled or non-numeric
Content-Length and Content-Length beside Transfer-Encoding before these functions are called. It lets the rest pass:
versions other than 1.x, spaces in the request line, Host, target forms, transfer codings, CONNECT, a Content-Length of
thousands of zeros. They stand here, and whatever the bytes, nothing but RequestRefused or ResponseRefused is raised.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.errors import RequestRefused, ResponseRefused
from gateway.http.memo import Memo
from gateway.http.message import Headers, RequestHead

_SINGLE = frozenset({b"host", b"content-length", b"transfer-encoding"})
# RFC 9110 7.2 without userinfo; registered names are narrowed to what DNS and test hosts use.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{0,5}))?\Z")
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)(.*)\Z", re.IGNORECASE | re.DOTALL)
# A client may not use Connection to take away what a request is or who sends it (http-cases P03).
_NEVER_CONNECTION_NAMED = _SINGLE | {
    b"close", b"keep-alive", b"cookie", b"authorization", b"content-type", b"origin", b"referer", b"user-agent",
}
_NO_NAMES: tuple[bytes, ...] = ()
_VALID_HOSTS: set[bytes] = set()
_VALID_HOSTS_MAX = 4096
_LENGTH_DIGITS_MAX = 19  # int() itself fails past 4,300 digits
_LENGTH_MAX = 2**63 - 1  # what every reader's integers can hold, JSON's of a check included
HOST_KEPT_MAX_BYTES = 261  # a name of 255 (RFC 1035 2.3.4) and a port; longer ones are served, not remembered
_REQUEST_LINE = re.compile(rb"([!-~]+) ([^\x00-\x20\x7f]+) ([!-~]*)")
_MINOR_VERSIONS = {b"HTTP/1.0": 0, b"HTTP/1.1": 1}


def join_repeated(headers: Headers) -> dict[bytes, bytes]:
    """Each name once: values joined by `, `, Cookie by `; ` (RFC 9110 5.3; contract section 2)."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in fields:
            fields[name] += (b"; " if name == b"cookie" else b", ") + value
        else:
            fields[name] = value
    return fields


def parse_request_line(line: bytes) -> tuple[bytes, bytes, int]:
    """(method, target, minor version). One space between them, no control bytes, HTTP/1.0 or 1.1 (RFC 9112 3).

    llhttp would end the line at a bare LF and take it for HTTP/0.9. Raises RequestRefused.
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise RequestRefused(400, "request_line")
    method, target, version = match.groups()
    if version not in _MINOR_VERSIONS:
        raise RequestRefused(400, "version")
    return method, target, _MINOR_VERSIONS[version]


def parse_request_head(start_line: bytes, headers: Headers, lines: list[bytes] | None = None) -> RequestHead:
    """Check one head and name its parts. start_line: without CRLF; headers: names lowered; lines: as they came.

    Raises RequestRefused with the status to answer; the connection must close after it (RFC 9112 2.2, 3.2, 6.1).
    """
    method, target, minor_version = parse_request_line(start_line)
    fields = dict(headers)
    if len(fields) != len(headers):
        _refuse_repeated(headers)
        fields = join_repeated(headers)

    host = fields.get(b"host")
    if host is None or (host not in _VALID_HOSTS and not _remember_host(host)):
        raise RequestRefused(400, "host")
    if method == b"CONNECT":
        raise RequestRefused(400, "connect")
    if method == b"TRACE":  # would echo credentials to whoever asks (RFC 9110 9.3.8)
        raise RequestRefused(501, "method")
    path = target if target[0] == 47 and b"#" not in target else _path_of(method, target, host)

    content_length = None
    chunked = b"transfer-encoding" in fields
    if chunked:
        _check_coding(fields, minor_version)
    elif b"content-length" in fields:
        content_length = LENGTHS[fields[b"content-length"]]
        if content_length is None:
            raise RequestRefused(400, "content_length")

    keep_alive = minor_version == 1
    connection_names = _NO_NAMES
    if b"connection" in fields:
        close, keeps, connection_names = CONNECTION[fields[b"connection"]]
        keep_alive = not close and (keep_alive or keeps)
    expects_continue = b"expect" in fields and minor_version == 1 and _read_expect(fields[b"expect"])
    return RequestHead(
        method, target, path, minor_version, headers, fields, host, content_length, chunked, keep_alive,
        expects_continue, connection_names, [b": ".join(pair) for pair in headers] if lines is None else lines,
    )


def _parse_length(value: bytes) -> int | None:
    """A Content-Length's bytes: digits alone, below 2^63; None = not one (RFC 9110 8.6)."""
    if len(value) > _LENGTH_DIGITS_MAX or not value.isdigit():
        return None
    length = int(value)
    return length if length <= _LENGTH_MAX else None


LENGTHS: Memo[int | None] = Memo(_parse_length)
"""Value of a Content-Length field -> bytes, None = no such value."""


def _refuse_repeated(headers: Headers) -> None:
    names = [name for name, _ in headers if name in _SINGLE]
    if len(names) != len(set(names)):
        raise RequestRefused(400, "repeated_header")


def _remember_host(host: bytes) -> bool:
    """True if valid (RFC 9112 3.2). Bounded, since a client chooses what it sends."""
    match = _HOST.match(host)
    if match is None or int(match[1] or 0) > 65535:
        return False
    if len(_VALID_HOSTS) < _VALID_HOSTS_MAX and len(host) <= HOST_KEPT_MAX_BYTES:
        _VALID_HOSTS.add(host)
    return True


def _path_of(method: bytes, target: bytes, host: bytes) -> bytes:
    """The origin-form of any other target (RFC 9112 3.2.1 to 3.2.4)."""
    if target == b"*" and method == b"OPTIONS":
        return target
    match = _ABSOLUTE.match(target)
    if match is None or b"#" in target or match[2].lower() != host.lower():
        raise RequestRefused(400, "target")
    rest = match[3]
    if rest.startswith(b"/"):
        return rest
    if method == b"OPTIONS" and not rest:  # RFC 9112 3.2.4
        return b"*"
    return b"/" + rest


def _check_coding(fields: dict[bytes, bytes], minor_version: int) -> None:
    """RFC 9112 6.1: only `chunked`, never on HTTP/1.0, never beside Content-Length."""
    if minor_version == 0 or fields[b"transfer-encoding"].lower() != b"chunked" or b"content-length" in fields:
        raise RequestRefused(400, "transfer_encoding")


class ConnectionField(NamedTuple):
    """A Connection field (RFC 9110 7.6.1). names: the headers it takes away, lowered, without `close`, `keep-alive`."""

    close: bool
    keep_alive: bool
    names: tuple[bytes, ...]


def _read_connection(value: bytes) -> ConnectionField:
    tokens = tuple(token.strip(b" \t") for token in value.lower().split(b","))
    names = tuple(token for token in tokens if token and token not in _NEVER_CONNECTION_NAMED)
    return ConnectionField(b"close" in tokens, b"keep-alive" in tokens, names)


CONNECTION: Memo[ConnectionField] = Memo(_read_connection)
"""Value of a Connection field -> what it says."""


def _read_expect(value: bytes) -> bool:
    if value.lower() != b"100-continue":
        raise RequestRefused(417, "expect")
    return True


def check_response_head(status: int, headers: Headers) -> tuple[dict[bytes, bytes], int | None, bool]:
    """(fields, content_length, chunked) of a response; neither of the last two = the body ends with the connection.

    Raises ResponseRefused where two readers could disagree about the body's end (RFC 9112 6.1, 6.3).
    """
    fields = dict(headers)
    if len(fields) != len(headers):
        if len([1 for name, _ in headers if name in _SINGLE and name != b"host"]) > 1:
            raise ResponseRefused("repeated framing header")
        fields = join_repeated(headers)
    if b"transfer-encoding" in fields:
        if fields[b"transfer-encoding"].lower() != b"chunked" or b"content-length" in fields:
            raise ResponseRefused("transfer coding other than chunked")
        return fields, None, True
    if b"content-length" in fields:
        content_length = LENGTHS[fields[b"content-length"]]
        if content_length is None:
            raise ResponseRefused(f"content length {fields[b'content-length'][:30]!r}")
        return fields, content_length, False
    return fields, None, False
