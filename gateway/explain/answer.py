"""What follows from a Decision: headers merged, the head for the origin, or the local reply's."""

from __future__ import annotations

import asyncio

from gateway.explain.model import Answer, Headers
from gateway.explain.request import CheckedRequest
from gateway.http.forwarding import write_request_head
from gateway.http.message import LocalReply, RequestHead
from gateway.http.writer import error_reply, write_reply
from gateway.protection.decision import Decision

_REQUEST_ID = b"(made for each request)"


def describe_answer(check: CheckedRequest, decision: Decision, duration_s: float, last_error: str) -> Answer:
    enforcement = check.site.checker.enforce(decision)
    reply = enforcement.reply
    if enforcement.unavailable:
        request_id = check.head.fields.get(b"x-request-id", b"") if check.client.trusted else b""
        reply = error_reply(503, request_id or _REQUEST_ID, check.head.fields.get(b"accept", b""))
    response_headers: Headers = ()
    if enforcement.merges:
        response_headers = _pairs(decision.response_lines)
    elif enforcement.reply is not None:
        response_headers = tuple((_text(name), _text(value)) for name, value in decision.reply_headers)
    return Answer(
        decision=decision.verdict,
        reason=f"{decision.reason}: {last_error}" if decision.reason and last_error else decision.reason,
        status=decision.status or None,
        duration_s=duration_s,
        rule=_text(decision.rule),
        outcome=enforcement.outcome,
        request_headers=_pairs(decision.request_lines) if enforcement.merges else (),
        response_headers=response_headers,
        origin_gets=() if reply is not None else _origin_head(check, decision if enforcement.merges else None),
        client_gets=_reply_head(reply, check.head) if reply is not None else (),
    )


def _origin_head(check: CheckedRequest, decision: Decision | None) -> tuple[str, ...]:
    """The head for the origin's next server, as Exchange.on_connected writes it."""
    head, client, origin = check.head, check.client, check.site.origin
    server = origin.choose(asyncio.get_running_loop().time())
    assert server is not None, "nobody has failed yet"
    raw = write_request_head(
        head,
        head.host if origin.preserve_host else server.pool.address.authority.encode(),
        check.runtime.names(trusted=client.trusted),
        client.forwarded,
        b"" if client.trusted and b"x-request-id" in head.fields else _REQUEST_ID,
        decision.request_lines if decision is not None else b"",
        decision.replaced if decision is not None else (),
    )
    return _lines(raw)


def _reply_head(reply: LocalReply, head: RequestHead) -> tuple[str, ...]:
    keep_alive = head.keep_alive and not head.has_body
    return _lines(write_reply(reply, to_head=True, keep_alive=keep_alive, minor_version=head.minor_version))


def _lines(raw: bytes) -> tuple[str, ...]:
    return tuple(_text(line) for line in raw.split(b"\r\n") if line)


def _pairs(lines: bytes) -> Headers:
    """(name, value) of ready header lines."""
    pairs = (line.partition(": ") for line in _lines(lines))
    return tuple((name, value) for name, _, value in pairs)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
