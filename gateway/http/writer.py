"""Answers that the gateway authors itself."""

from __future__ import annotations

import orjson

from gateway.http.message import STATUS_LINES, LocalReply

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

# What a visitor or a client's developer reads; never a detail of the inside.
_TEXTS = {
    400: "The request is malformed.",
    408: "The request took too long to arrive.",
    413: "The request body is too large.",
    414: "The request target is too long.",
    417: "The expectation cannot be met.",
    421: "No site is configured for this host.",
    426: "This protocol is not supported here.",
    431: "The request head is too large.",
    501: "This is not supported here.",
    502: "The origin did not give a valid answer.",
    503: "The service is unavailable at the moment.",
    504: "The origin did not answer in time.",
}


def error_reply(status: int, request_id: bytes, accept: bytes) -> LocalReply:
    """A short body: JSON if the client accepts JSON before HTML, plain text otherwise; and X-Request-Id."""
    text = _TEXTS[status]
    if prefers_json(accept):
        body = orjson.dumps({"status": status, "error": text, "request_id": request_id.decode("latin-1")})
        content_type = b"application/json"
    else:
        body = b"%d %b\n" % (status, text.encode())
        content_type = b"text/plain; charset=utf-8"
    return LocalReply(status, (
        (b"content-type", content_type), (b"cache-control", b"no-store"), (b"x-request-id", request_id),
    ), body)


def prefers_json(accept: bytes) -> bool:
    """Whether JSON stands in the Accept header, and before any HTML."""
    accept = accept.lower()
    json_at, html_at = accept.find(b"json"), accept.find(b"html")
    return json_at >= 0 and (html_at < 0 or json_at < html_at)


def write_reply(reply: LocalReply, *, to_head: bool, keep_alive: bool, minor_version: int) -> bytes:
    """The whole answer's bytes. to_head: the request was a HEAD: Content-Length without the body (RFC 9110 9.3.2)."""
    lines = [STATUS_LINES[reply.status]]
    lines.extend(b"%b: %b\r\n" % pair for pair in reply.headers)
    if reply.status not in (204, 304) and reply.status >= 200:
        lines.append(b"content-length: %d\r\n" % len(reply.body))
    lines.append(connection_line(keep_alive=keep_alive, minor_version=minor_version))
    lines.append(b"\r\n")
    if not to_head:
        lines.append(reply.body)
    return b"".join(lines)


def connection_line(*, keep_alive: bool, minor_version: int) -> bytes:
    """The Connection field, where the version's default is not what happens (RFC 9112 9.3)."""
    if not keep_alive:
        return b"connection: close\r\n"
    return b"" if minor_version == 1 else b"connection: keep-alive\r\n"
