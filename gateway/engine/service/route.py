"""What a call's head asks for: a judgement, something of the operator's, or nothing that is served here.

Modules send the same few header lines with every call, and only the body's length differs: what follows from a head is
worked out once for each (HEADS), which saves 5 us of a call's 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.engine.answer import Answer, answer_refusal
from gateway.engine.wire import MAX_BODY_BYTES
from gateway.http.head import parse_request
from gateway.http.memo import Memo
from gateway.http.message import RequestHead

PATH = b"/validate-request"
OPERATOR_BODY_BYTES = 65_536
_OPERATOR_PATHS = frozenset({b"/healthz", b"/metrics"})
_OPERATOR_PREFIX = b"/engine/"


@dataclass(frozen=True, slots=True)
class OperatorRequest:
    """A request for an operator's path. `path` and `query`: as received, apart; `authorization`: the header's value,
    "" without one; `body`: at most OPERATOR_BODY_BYTES."""

    method: str
    path: str
    body: bytes
    authorization: str
    query: str = ""


class Route(NamedTuple):
    """`refusal`: the answer whatever the body is, None if it is a call to be judged or the operator's."""

    max_body_bytes: int
    refusal: Answer | None = None
    is_operators: bool = False


class Asked(NamedTuple):
    """One head and what follows from it. content_type, x_set_cookie: as in Call."""

    head: RequestHead
    route: Route
    content_type: str
    x_set_cookie: bool


def read_head(raw: bytes) -> Asked:
    """From the request line to the empty line. Raises RequestRefused."""
    head = parse_request(raw)
    fields = head.fields
    return Asked(
        head, route_of(head), fields.get(b"content-type", b"").decode("latin-1"),
        fields.get(b"x-datadome-x-set-cookie", b"").lower() == b"true",
    )  # fmt: skip


_JUDGED = Route(MAX_BODY_BYTES)
_OPERATORS = Route(OPERATOR_BODY_BYTES, is_operators=True)
HEADS: Memo[Asked] = Memo(read_head)
"""The bytes of a head -> what it asks for. Raises RequestRefused for what is no head of a request."""


def route_of(head: RequestHead) -> Route:
    """Where this call goes; settled before a byte of its body is looked at."""
    path = head.path
    if path != PATH:
        path = path.partition(b"?")[0]
        if not path.endswith(PATH):
            if path in _OPERATOR_PATHS or path.startswith(_OPERATOR_PREFIX):
                return _unless_encoded(head, _OPERATORS)
            return NOT_SERVED
    if head.method != b"POST":
        return _refused(405, f"calls to {PATH.decode()} are POST", ("Allow", "POST"))
    return _unless_encoded(head, _JUDGED)


def operator_request(head: RequestHead, body: bytes) -> OperatorRequest:
    """The operator's view of a call."""
    path, _, query = head.path.decode("latin-1").partition("?")
    authorization = head.fields.get(b"authorization", b"").decode("latin-1")
    return OperatorRequest(head.method.decode("latin-1"), path, body, authorization, query)


def _unless_encoded(head: RequestHead, route: Route) -> Route:
    coding = head.fields.get(b"content-encoding")
    if coding is None or coding.lower() == b"identity":
        return route
    shown = coding.lower()[:40].decode("latin-1")
    return _refused(415, f"the body is encoded as {shown!r}, only identity is read")


def _refused(status: int, reason: str, *headers: tuple[str, str]) -> Route:
    refusal = answer_refusal(status, reason)
    return Route(MAX_BODY_BYTES, Answer(refusal.status, [*refusal.headers, *headers], refusal.body))


NOT_SERVED = _refused(404, f"nothing is served here; calls go to {PATH.decode()}")
