"""The answers of the Protection API: a verdict in; status, headers and body out (the seed's "API responses").

Every answer has `X-DataDomeResponse` equal to its status. A judged request gets the enriched headers, named in
`X-DataDome-request-headers` for the origin's side, and a `datadome` cookie that `X-DataDome-headers` names for the
client's side. A block also has the body that the client gets: an HTML page, or JSON with `X-DD-B` when the described
request was JSON.
"""

from __future__ import annotations

import html
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import orjson

from gateway.engine.rules import Verdict
from gateway.engine.wire import Described

BLOCK_STATUS = 403
COOKIE_MAX_AGE_S = 31_536_000  # a year
CLIENT_ID_BYTES = 72  # of entropy: 96 characters, as long as the vendor's usual ones
REQUEST_HEADERS = (
    "X-DataDome-botname X-DataDome-botfamily X-DataDome-isbot X-DataDome-requestid X-DataDome-ruletype"
)  # fmt: skip

Entropy = Callable[[int], bytes]  # n -> n random bytes that nobody can guess


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers`: (name, value) pairs, printable ASCII, in order; Content-Length is the server's to add."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def answer_verdict(verdict: Verdict, described: Described, entropy: Entropy, *, x_set_cookie: bool) -> Answer:
    """The answer to a judged request. `x_set_cookie`: the module asked for session by header, so the cookie comes in
    X-Set-Cookie instead of Set-Cookie (the seed's "Session by header")."""
    request_id = str(UUID(bytes=entropy(16), version=4))
    cookie_header = "X-Set-Cookie" if x_set_cookie else "Set-Cookie"
    shared = _enriched(verdict, request_id)
    shared.append(("X-DataDome", "protected"))
    shared.append((cookie_header, _cookie(described, entropy)))
    if verdict.action == "allow":
        return Answer(200, [*_ALLOW_HEADERS[cookie_header], *shared], b"")
    if is_json(described.text("ContentType")):
        return Answer(BLOCK_STATUS, [*_JSON_BLOCK_HEADERS[cookie_header], *shared], _json_body(described, request_id))
    return Answer(BLOCK_STATUS, [*_HTML_BLOCK_HEADERS[cookie_header], *shared], block_page(request_id))


def answer_refusal(status: int, reason: str) -> Answer:
    """The answer to a call that was not judged. `reason` is for the operator of the module, in plain text."""
    return Answer(status, [("X-DataDomeResponse", str(status)), *_PLAIN_TEXT], reason.encode("utf-8", "replace"))


def is_json(content_type: str) -> bool:
    """True for application/json and any `+json` type (RFC 6839), parameters and case ignored."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def block_page(request_id: str) -> bytes:
    """The page that a blocked person sees: one file without any other resource, readable without styles."""
    return _PAGE.replace("{request_id}", html.escape(request_id)).encode()


def _enriched(verdict: Verdict, request_id: str) -> list[tuple[str, str]]:
    return [
        ("X-DataDome-botname", verdict.bot_name),
        ("X-DataDome-botfamily", verdict.bot_family),
        ("X-DataDome-isbot", "1" if verdict.is_bot else "0"),
        ("X-DataDome-requestid", request_id),
        ("X-DataDome-ruletype", verdict.rule_type),
    ]


def _cookie(described: Described, entropy: Entropy) -> str:
    """The client's identity for another year: the one that it has if that can be ours, else a new one."""
    client_id = described.text("ClientID")
    if not _CLIENT_ID.fullmatch(client_id):
        client_id = urlsafe_b64encode(entropy(CLIENT_ID_BYTES)).decode()
    secure = "; Secure" if described.text("Protocol").lower() == "https" else ""
    return f"datadome={client_id}; Max-Age={COOKIE_MAX_AGE_S}; Path=/; SameSite=Lax{secure}"


def _json_body(described: Described, request_id: str) -> bytes:
    """`url` is what was blocked: there is no page to solve anything on yet."""
    url = f"{described.text('Protocol') or 'http'}://{described.text('Host')}{described.text('Request')}"
    return orjson.dumps({"url": url, "request_id": request_id, "message": "This request was blocked."})


def _head(status: int, rule_response: str, client_headers: str) -> dict[str, list[tuple[str, str]]]:
    """The headers that are the same in every such answer, by the name of the header that holds the cookie."""
    return {
        cookie_header: [
            ("X-DataDomeResponse", str(status)),
            ("X-DataDome-Traffic-Rule-Response", rule_response),
            ("X-DataDome-request-headers", REQUEST_HEADERS),
            ("X-DataDome-headers", f"{cookie_header} X-DataDome{client_headers}"),
        ]
        for cookie_header in ("Set-Cookie", "X-Set-Cookie")
    }


def _block_head(*headers: tuple[str, str]) -> dict[str, list[tuple[str, str]]]:
    """As `_head`, of a block with these further headers, all of them for the client."""
    every = [*headers, *_NEVER_CACHED, ("X-Content-Type-Options", "nosniff")]
    listed = "".join(f" {name}" for name, _ in every)
    return {cookie: [*head, *every] for cookie, head in _head(BLOCK_STATUS, "block", listed).items()}


_CLIENT_ID = re.compile(r"[A-Za-z0-9_~.=+/-]{20,512}")  # cookie octets (RFC 6265) that the vendor's values use
_NEVER_CACHED = [("Cache-Control", "private, no-cache, no-store, must-revalidate"), ("Pragma", "no-cache")]
_PLAIN_TEXT = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
_ALLOW_HEADERS = _head(200, "authorize", "")
_JSON_BLOCK_HEADERS = _block_head(("Content-Type", "application/json; charset=utf-8"), ("X-DD-B", "1"))
_HTML_BLOCK_HEADERS = _block_head(
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
)
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Access blocked</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1.0625rem/1.6 system-ui, sans-serif;
  background: Canvas; color: CanvasText; }
main { max-width: 34rem; padding: 2rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 1rem; }
code { font-size: 0.9375rem; overflow-wrap: anywhere; user-select: all; }
</style>
</head>
<body>
<main>
<h1>Access blocked</h1>
<p>This site is protected against automated traffic, and your request looks automated to it.</p>
<p>If you are a person, reload the page in an up-to-date browser, without tools that change what the browser says
about itself. If it happens again, send the request number below to the site&#8217;s owner.</p>
<p>Request number: <code>{request_id}</code></p>
</main>
</body>
</html>
"""
