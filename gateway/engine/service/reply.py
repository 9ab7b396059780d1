"""An answer as the bytes that go out."""

from __future__ import annotations

from gateway.engine.answer import Answer
from gateway.errors import EngineError
from gateway.http.message import STATUS_LINES
from gateway.http.writer import connection_line

_WITHOUT_LENGTH = frozenset({204, 304})  # RFC 9110 8.6


def write_answer(answer: Answer, own: bytes, *, to_head: bool, keep_alive: bool, minor_version: int) -> bytes:
    """The whole answer. own: the server's own header lines, each ended by CRLF; to_head: the request was a HEAD.

    Raises EngineError for headers that are not one line each, UnicodeEncodeError for those that are not ASCII: whatever
    a described request holds, it cannot split an answer in two.
    """
    headers = answer.headers
    text = answer.lines or "".join([f"{name}: {value}\r\n" for name, value in headers])
    if not text.count("\n") == text.count("\r") == len(headers):
        raise EngineError("a header of an answer holds a line break")
    if not keep_alive or minor_version == 0:
        own += connection_line(keep_alive=keep_alive, minor_version=minor_version)
    body = answer.body
    if answer.status in _WITHOUT_LENGTH:
        return b"%b%b%b\r\n" % (STATUS_LINES[answer.status], text.encode("ascii"), own)
    return b"%b%b%bContent-Length: %d\r\n\r\n%b" % (
        STATUS_LINES[answer.status], text.encode("ascii"), own, len(body), b"" if to_head else body)
