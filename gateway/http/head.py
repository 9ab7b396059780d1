"""Whole heads: llhttp says whether the syntax is right, then the lines are taken apart.

A head is parsed when all of its bytes are there. llhttp (strict: no leniency is set) accepts exactly `name: value`
lines that end in CRLF, without folding, bare CR or LF or control bytes; so cutting an accepted head at its CRLFs gives
the lines that llhttp saw, and one look-up per line (memo.py) gives name and value. httptools' callback per header would
cost 0.25 us each.

One parser serves all heads of the process: a body never passes through it, and after a head that announces one, or that
ends the connection, it is replaced (0.25 us).
"""

from __future__ import annotations

import httptools

from gateway.errors import RequestRefused, ResponseRefused
from gateway.http.framing import CONNECTION, check_response_head, parse_request_head, parse_request_line
from gateway.http.memo import FIELD_LINES, Memo
from gateway.http.message import RequestHead, ResponseHead

HEAD_END = b"\r\n\r\n"
_PROXY = b"proxy-connection"  # llhttp takes it for Connection, and refuses whatever follows its `close`
_REPEATED_MAX_BYTES = 4096  # kept per connection; larger heads are parsed anew every time
_USUAL_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE"})
_pair = FIELD_LINES.__getitem__  # asks __missing__, too
_CALLBACKS = object()  # none: the syntax alone is asked for
_request_parser = httptools.HttpRequestParser(_CALLBACKS)
_response_parser = httptools.HttpResponseParser(_CALLBACKS)


def parse_request(raw: bytes, before: RequestHead | None = None) -> RequestHead:
    """One request's head. raw: from the request line to the empty line, both included. Raises RequestRefused.

    before: the connection's last head. Clients that keep a connection often repeat their header lines to the byte; then
    only the request line is new, and what followed from the lines before still holds. A request that is repeated whole
    is the same head.
    """
    if before is not None and raw == before.raw:
        return before
    at = raw.find(b"\r\n")
    if before is not None and raw.endswith(before.block) and len(raw) - at == len(before.block):
        again = _parse_request_line(raw[:at], before)
        if again is not None:
            again.raw = raw
            return again
    head = _parse_whole_request(raw)
    if len(raw) <= _REPEATED_MAX_BYTES:
        head.raw = raw
        head.block = raw[at:]
    return head


def _parse_request_line(line: bytes, before: RequestHead) -> RequestHead | None:
    """The head of a usual request line before known header lines; None if it is not usual. Raises RequestRefused."""
    method, target, minor_version = parse_request_line(line)
    if method not in _USUAL_METHODS or minor_version == 0 or before.minor_version == 0:
        return None
    if not target.startswith(b"/") or b"#" in target:
        return None
    try:
        _request_parser.feed_data(line + HEAD_END)
    except httptools.HttpParserError:
        _renew_request_parser()
        return None
    return RequestHead(
        method, target, target, 1, before.headers, before.fields, before.host, before.content_length, before.chunked,
        before.keep_alive, before.expects_continue, before.connection_names, before.lines, b"", before.block,
        before.derived,
    )


def _renew_request_parser() -> None:
    global _request_parser
    _request_parser = httptools.HttpRequestParser(_CALLBACKS)


def _parse_whole_request(raw: bytes) -> RequestHead:
    head = None
    try:
        _request_parser.feed_data(raw)
        lines = raw.split(b"\r\n")
        fields = lines[1:-2]
        head = parse_request_head(lines[0], [*map(_pair, fields)], fields)
        return head
    except httptools.HttpParserUpgrade:  # the offer of another protocol: whether it is taken is not decided here
        lines = raw.split(b"\r\n")
        fields = lines[1:-2]
        return parse_request_head(lines[0], [*map(_pair, fields)], fields)
    except httptools.HttpParserError:
        raise RequestRefused(400, "malformed") from None
    finally:
        if head is None or not head.keep_alive or head.content_length or head.chunked or _PROXY in head.fields:
            _renew_request_parser()


def parse_response(raw: bytes, before: ResponseHead | None = None) -> ResponseHead:
    """One response's head, an interim one too. raw: from the status line to the empty line. Raises ResponseRefused.

    before: the connection's last final head. An answer that is repeated (a file within a second) is the same head.
    """
    global _response_parser
    if before is not None and raw == before.raw:
        return before
    head = None
    try:
        _response_parser.feed_data(raw)
        lines = raw.split(b"\r\n")
        status, keep_alive = _STATUS[lines[0]]
        lines = lines[1:-2]
        headers = [*map(_pair, lines)]
        fields, content_length, chunked = check_response_head(status, headers)
        if b"connection" in fields:
            said = CONNECTION[fields[b"connection"]]
            keep_alive = not said.close and (keep_alive or said.keep_alive)
        head = ResponseHead(status, headers, fields, content_length, chunked, keep_alive, lines, raw)
        return head
    except httptools.HttpParserUpgrade:
        raise ResponseRefused("switching protocols unasked") from None
    except httptools.HttpParserError:
        raise ResponseRefused("malformed") from None
    finally:
        if head is None or not head.keep_alive or head.content_length != 0 or _PROXY in head.fields:
            _response_parser = httptools.HttpResponseParser(_CALLBACKS)


def _read_status(line: bytes) -> tuple[int, bool]:
    """(status, whether the version keeps connections alive: RFC 9112 9.3) of a status line that llhttp accepts."""
    if not line.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
        raise ResponseRefused("version other than 1.0 and 1.1")
    return int(line[9:12]), line[7] == 49


_STATUS: Memo[tuple[int, bool]] = Memo(_read_status)
