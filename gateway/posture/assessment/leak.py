"""Products with a version number in an answer, which tell an attacker which holes to try. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.posture.assessment.header import Headers, values
from gateway.posture.assessment.verdict import Verdict, found, not_done, ok
from gateway.posture.assessment.wording import clean

_FIELDS = ("server", "x-powered-by")
_SHOWN = 10
_IN_FIELD = re.compile(r"[A-Za-z][A-Za-z._+-]{0,40}[/ (]{1,2}v?\d[\w.+~-]{0,40}")
_HIDDEN = re.compile(
    r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)|<[^<>]{0,2000}>", re.IGNORECASE | re.DOTALL
)
_IN_BODY = re.compile(
    r"(?<![\w/.:-])(?!HTTP/|TLS/|SSL/|Mozilla/|gateway-posture/)[A-Za-z][A-Za-z0-9_.+-]{1,40}/v?\d{1,5}(?:\.\d{1,6})+"
    r"|(?<!\w)(?:Apache|Tomcat|Jetty|PHP|IIS|ASP\.NET|WebLogic|WildFly|JBoss|GlassFish|Django|Passenger)"
    r"(?: Server)?(?: Version)?[: (]{1,2}v?\d{1,5}(?:\.\d{1,6})+",
    re.IGNORECASE,
)
"""A name, a slash and numbers with a dot; of products that write it otherwise, those ways too. Not our own words,
which a page that is not there may repeat."""


def judge_leak(headers: Headers, body: bytes, *, absent_answered: bool) -> Verdict:
    """headers: of every answer that was seen; body: of a page that is not there, cut where it was long."""
    leaks = [*dict.fromkeys((*_in_fields(headers), *_in_body(body)))]
    if leaks:
        named = "; ".join(f"{where}: {product}" for where, product in leaks[:_SHOWN])
        return found(
            f"versions of products are told by {named}",
            leaks=[{"where": where, "product": product} for where, product in leaks[:_SHOWN]],
        )
    if not absent_answered:
        return not_done("no version in Server and X-Powered-By, but a page that is not there was not answered")
    if any(value.strip().lower() not in ("", "identity") for value in values(headers, "content-encoding")):
        return not_done("no version in Server and X-Powered-By, but bodies come compressed, which was not asked for")
    return ok()


def _in_fields(headers: Headers) -> Iterator[tuple[str, str]]:
    for name in _FIELDS:
        for value in values(headers, name):
            yield from ((name, clean(match[0], 80)) for match in _IN_FIELD.finditer(value[:1000]))


def _in_body(body: bytes) -> Iterator[tuple[str, str]]:
    """In what a visitor sees: addresses of scripts and pictures tell of other things."""
    text = _HIDDEN.sub(" ", body.decode("utf-8", "replace"))
    yield from (("body", clean(match[0], 80)) for match in _IN_BODY.finditer(text))
