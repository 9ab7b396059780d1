"""The answers of the Protection API: an outcome in; status, headers and body out (the seed's "API responses").

A judged request's answer has `X-DataDomeResponse` equal to its status. It gets the enriched headers, named in
`X-DataDome-request-headers` for the origin's side; `X-DataDome-headers` names what is for the client: the cookie, and
of a stopped request all that its page or JSON needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from gateway.engine.challenge.page import (
    Page,
    PageRequest,
    block_json,
    block_page,
    challenge_json,
    challenge_page,
    limit_json,
    limit_page,
)
from gateway.engine.challenge.token import Challenge
from gateway.engine.verdict import Identity, Verdict
from gateway.engine.wire import Described

REQUEST_HEADERS = (
    "X-DataDome-botname X-DataDome-botfamily X-DataDome-isbot X-DataDome-requestid X-DataDome-ruletype"
)  # fmt: skip

HOST_CHARACTERS = 253  # of a domain name (RFC 1035, 2.3.4); who describes a longer host is shown its beginning


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers`: (name, value) pairs, printable ASCII, in order; Content-Length is the server's to add. `lines`: the
    same as they go out, if they are written already."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    lines: str = field(default="", compare=False, repr=False)


class Outcome(NamedTuple):
    """Everything that an answer is written from. `cookie`: (session token, seconds that it lives), ("", 0) = none is
    set; `challenge`: for that action; `contact`: whom a stopped visitor can ask, "" = nobody is named."""

    verdict: Verdict
    identity: Identity
    request_id: str
    cookie: tuple[str, int] = ("", 0)
    challenge: Challenge | None = None
    contact: str = ""


def answer_outcome(outcome: Outcome, described: Described, *, x_set_cookie: bool) -> Answer:
    """The answer to a judged request. `x_set_cookie`: the module asked for session by header, so the cookie comes in
    X-Set-Cookie instead of Set-Cookie (the seed's "Session by header")."""
    cookie = _cookie(outcome.cookie, described, x_set_cookie=x_set_cookie)
    action = outcome.verdict.action
    if action == "allow":
        return _allow(outcome, cookie)
    enriched = _enriched(outcome)
    if action == "redirect":
        location = ("Location", outcome.verdict.location)
        headers = [*cookie, location, *_NEVER_CACHED]
        return Answer(outcome.verdict.status, [*_head(outcome.verdict.status, "redirect", headers), *enriched], b"")
    status, rule_response = _STOPPED[action]
    body, headers = _body(outcome, described)
    if action == "limit":
        headers.append(("Retry-After", str(max(1, math.ceil(outcome.verdict.retry_after_s)))))
    return Answer(status, [*_head(status, rule_response, [*cookie, *headers, *_NEVER_CACHED]), *enriched], body)


def answer_refusal(status: int, reason: str) -> Answer:
    """The answer to a call that was not judged. `reason` is for the operator of the module, in plain text. Without
    X-DataDomeResponse it is no decision, which every module lets pass: some of them show visitors a 400 that has it."""
    return Answer(status, [*_PLAIN_TEXT], reason.encode("utf-8", "replace"))


def is_json(content_type: str) -> bool:
    """True for application/json and any `+json` type (RFC 6839), parameters and case ignored."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def wants_json(described: Described) -> bool:
    """True for a request that sends JSON, or takes it and no HTML: a page would help nobody there."""
    if is_json(described.text("ContentType")):
        return True
    accept = described.text("Accept").lower()
    return "json" in accept and "text/html" not in accept


def _allow(outcome: Outcome, cookie: list[tuple[str, str]]) -> Answer:
    """Nearly every answer: all of it but the cookie and the request id is the same for visitors of a kind."""
    frame = _frame(outcome.identity, outcome.verdict.rule, cookie[0][0] if cookie else "")
    request_id = outcome.request_id
    set_cookie = f"{cookie[0][0]}: {cookie[0][1]}\r\n" if cookie else ""
    return Answer(
        200,
        [*frame.head, *cookie, *frame.before_id, ("X-DataDome-requestid", request_id), *frame.after_id],
        b"",
        f"{frame.head_lines}{set_cookie}{frame.before_id_lines}{request_id}{frame.after_id_lines}",
    )


class _Frame(NamedTuple):
    """An allowing answer without cookie and request id, as pairs and as it goes out."""

    head: tuple[tuple[str, str], ...]
    before_id: tuple[tuple[str, str], ...]
    after_id: tuple[tuple[str, str], ...]
    head_lines: str
    before_id_lines: str
    after_id_lines: str


@lru_cache(maxsize=1024)  # kinds of visitors by rules; names of bots are bounded
def _frame(identity: Identity, rule: str, cookie_header: str) -> _Frame:
    head = _fixed(200, "authorize", (cookie_header,) if cookie_header else ())
    outcome = Outcome(Verdict("allow", rule), identity, "")
    *before_id, _, rule_type, protected = _enriched(outcome)
    after_id = (rule_type, protected)
    before_lines = f"{_lines(before_id)}X-DataDome-requestid: "
    return _Frame(head, tuple(before_id), after_id, _lines(head), before_lines, f"\r\n{_lines(after_id)}")


def _lines(headers: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers)


def _body(outcome: Outcome, described: Described) -> tuple[bytes, list[tuple[str, str]]]:
    """The body of a stopped request, and the headers for the client that go with it."""
    stopped = PageRequest(
        request_id=outcome.request_id,
        method=described.text("Method"),
        protocol=described.text("Protocol").lower(),
        host=described.text("Host")[:HOST_CHARACTERS],
        target=described.text("Request"),
        accept_language=described.text("AcceptLanguage"),
        contact=outcome.contact,
    )
    if wants_json(described):
        return _json(outcome, stopped), [*_JSON_HEADERS]
    page = _page(outcome, stopped)
    return page.body, [*_HTML_HEADERS, ("Content-Security-Policy", page.content_security_policy)]


def _json(outcome: Outcome, stopped: PageRequest) -> bytes:
    if outcome.challenge is not None:
        return challenge_json(stopped, outcome.challenge)
    if outcome.verdict.action == "limit":
        return limit_json(stopped, outcome.verdict.retry_after_s)
    return block_json(stopped)


def _page(outcome: Outcome, stopped: PageRequest) -> Page:
    if outcome.challenge is not None:
        return challenge_page(stopped, outcome.challenge)
    if outcome.verdict.action == "limit":
        return limit_page(stopped, outcome.verdict.retry_after_s)
    return block_page(stopped)


def _enriched(outcome: Outcome) -> list[tuple[str, str]]:
    identity = outcome.identity
    return [
        ("X-DataDome-botname", identity.name),
        ("X-DataDome-botfamily", identity.family),
        ("X-DataDome-isbot", "1" if identity.is_bot else "0"),
        ("X-DataDome-requestid", outcome.request_id),
        ("X-DataDome-ruletype", outcome.verdict.rule),
        _PROTECTED,
    ]


def _cookie(cookie: tuple[str, int], described: Described, *, x_set_cookie: bool) -> list[tuple[str, str]]:
    token, max_age_s = cookie
    if not token:
        return []
    secure = "; Secure" if described.text("Protocol").lower() == "https" else ""
    # Not HttpOnly: the challenge page's script must be able to put its proof in the place of an older session.
    value = f"datadome={token}; Max-Age={max_age_s}; Path=/; SameSite=Lax{secure}"
    return [("X-Set-Cookie" if x_set_cookie else "Set-Cookie", value)]


def _head(status: int, rule_response: str, for_client: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Status, pointers, and the headers for the client that they name."""
    return [
        *_fixed(status, rule_response, tuple(name for name, _ in for_client)),
        *for_client,
    ]


@lru_cache(maxsize=64)  # statuses by sets of names: a dozen
def _fixed(status: int, rule_response: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return (
        ("X-DataDomeResponse", str(status)),
        ("X-DataDome-Traffic-Rule-Response", rule_response),
        ("X-DataDome-request-headers", REQUEST_HEADERS),
        ("X-DataDome-headers", " ".join((*names, "X-DataDome"))),
    )


_STOPPED = {"block": (403, "block"), "challenge": (403, "challenge"), "limit": (429, "block")}
_PROTECTED = ("X-DataDome", "protected")
_NEVER_CACHED = [("Cache-Control", "private, no-cache, no-store, must-revalidate"), ("Pragma", "no-cache")]
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
_PLAIN_TEXT = [("Content-Type", "text/plain; charset=utf-8"), _NO_SNIFFING]
_JSON_HEADERS = (("Content-Type", "application/json; charset=utf-8"), _NO_SNIFFING, ("X-DD-B", "1"))
_HTML_HEADERS = (("Content-Type", "text/html; charset=utf-8"), _NO_SNIFFING, ("Referrer-Policy", "same-origin"))
