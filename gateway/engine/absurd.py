"""Requests that no browser, application or WebSocket client of a person sends: certain, so no score is needed.

`absurdity` names what is impossible about a request. Each check says why that is certain; what is merely unlikely
belongs to `browser`.
"""

from __future__ import annotations

import re

from gateway.engine.wire import Described

# The contract's limits of these fields; one that was cut inside a UTF-8 sequence is up to 3 bytes shorter.
CUT_USER_AGENT_BYTES = 768 - 3
CUT_HEADERS_LIST_BYTES = 512 - 3
CUT_REQUEST_BYTES = 2048 - 3


def absurdity(described: Described, *, is_bot: bool) -> str:
    """What is impossible about the request, in printable ASCII, "" if nothing is. `is_bot`: it says itself that it is
    no browser, so it is not held to what browsers do."""
    found = _user_agent(described.text("UserAgent")) or _request_line(described)
    if found or is_bot:
        return found
    return _browser(described) or _hints(described)


def _user_agent(user_agent: str) -> str:
    """No user agent, one that was at the field's limit (768 bytes; browsers and in-app browsers stay under 500), or
    one with control characters: every browser, web view and HTTP stack of an application names itself in printable
    text."""
    if not user_agent.strip(" -"):
        return "no user agent"
    if _byte_length(user_agent) >= CUT_USER_AGENT_BYTES:
        return "user agent too long"
    if not user_agent.isprintable() and _CONTROL.search(user_agent):
        return "user agent with control characters"
    return ""


def _request_line(described: Described) -> str:
    """Methods and paths that no browser sends. TRACE, TRACK, CONNECT and DEBUG are forbidden to fetch and XHR (Fetch
    2.2.1) or exist for scanners alone. URL parsers resolve `..` before they send (WHATWG URL 4.4, `%2e%2e` too), so a
    path that still climbs was written by hand; the same for a NUL, and for a query that climbs to a system file. A path
    that did not fit into its field leads nobody knows where."""
    if described.text("Method").upper() in _FORBIDDEN_METHODS:
        return "forbidden method"
    target = described.text("Request")
    path, _, query = target.partition("?")
    if is_cut_path(target):
        return "path too long"
    if ("." in path or "%" in path) and _CLIMBING_PATH.search(path):
        return "path traversal"
    if query and _CLIMBING_QUERY.search(query):
        return "path traversal"
    return ""


def is_cut_path(target: str) -> bool:
    """True if the path of a described target may go on where the field ended."""
    return len(target) * 4 >= CUT_REQUEST_BYTES and "?" not in target and _byte_length(target) >= CUT_REQUEST_BYTES


def _browser(described: Described) -> str:
    """What says that it is a browser (`Mozilla/5.0`) and cannot be one.

    - Its header list was described, is whole, and has none of Accept, Accept-Encoding and Accept-Language. All browsers
      send at least Accept-Encoding with everything, WebSocket handshakes included; okhttp and CFNetwork add it for
      applications with a borrowed user agent.
    - GET or HEAD with a body: fetch and XHR cannot (Fetch 5.4, step 37), a form and a link neither.
    """
    if not described.text("UserAgent").startswith("Mozilla/"):
        return ""
    if described.text("Method") in ("GET", "HEAD") and described.integer("PostParamLen"):
        return "browser that sends a body with GET"
    return "browser without Accept headers" if _negotiates_nothing(described) else ""


def _hints(described: Described) -> str:
    """Client hints and fetch metadata, which scripts cannot set in a browser and browsers fill in by themselves: a
    Sec-CH-UA-Mobile that is no boolean and a Sec-CH-UA-Platform that is no string (User-Agent Client Hints 3), a
    Sec-Fetch-Site or Sec-Fetch-User outside the specification (Fetch Metadata 2)."""
    for field, legal in _LEGAL_HINTS:
        value = described.text(field)
        if value and value not in legal:
            return "impossible client hints"
    platform = described.text("SecCHUAPlatform")
    if platform and not platform.startswith('"'):  # only its beginning: the field is cut at 32 bytes
        return "impossible client hints"
    return ""


_FORBIDDEN_METHODS = frozenset({"TRACE", "TRACK", "CONNECT", "DEBUG"})
_SLASH = r"(?:[/\\]|%2f|%5c)"
_TWO_DOTS = r"(?:\.|%2e){2}"
_CLIMBING_PATH = re.compile(rf"(?:^|{_SLASH}){_TWO_DOTS}(?:{_SLASH}|;|$)|%00|%c0%a[ef]", re.IGNORECASE)
_SYSTEM_FILES = r"(?:etc/(?:passwd|shadow)|proc/self|windows/|win\.ini|boot\.ini)"
_CLIMBING_QUERY = re.compile(rf"{_TWO_DOTS}{_SLASH}{_SYSTEM_FILES.replace('/', _SLASH)}", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NEGOTIATION_FIELDS = ("Accept", "AcceptEncoding", "AcceptLanguage")
_LEGAL_HINTS = (
    ("SecCHUAMobile", frozenset({"?0", "?1", "?F", "?T"})),  # ?F and ?T in the first drafts
    ("SecFetchSite", frozenset({"none", "same-origin", "same-site", "cross-site"})),
    ("SecFetchUser", frozenset({"?1", "?F", "?T"})),
)


def _byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _negotiates_nothing(described: Described) -> bool:
    """True if the described header list is whole and names no header of _NEGOTIATION_FIELDS. A module that describes
    no header list leaves this open."""
    if any(field in described.fields for field in _NEGOTIATION_FIELDS):
        return False
    headers = described.text("HeadersList").lower()
    if not headers or _byte_length(headers) >= CUT_HEADERS_LIST_BYTES:
        return False
    names = {name.strip() for name in headers.split(",")}
    return names.isdisjoint({"accept", "accept-encoding", "accept-language"})
