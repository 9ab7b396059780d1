"""The rules of the embedded Protection API: a described request in, a verdict out.

Each rule looks at one thing and either answers with a Verdict or passes (None). `floor` holds them in order; the first
that answers decides, and a request that no rule answers is a person's. A rule of this floor blocks only what no
browser, application or WebSocket client of a person sends, and its docstring says why that is certain.

Nothing here is believed because a request says so: a user agent can name any search engine, and without a look at the
address (a later floor) that proves nothing. So whoever claims to be one is stopped, from any address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.engine.bots.catalogue import BOT_CLASSES, Catalogue, load_catalogue
from gateway.engine.bots.claim import CLAIMS
from gateway.engine.wire import Described

HUMANS = "Humans"  # the vendor's words for X-DataDome-ruletype
DETECTION = "AI Threats Detection"
# The contract's limits of the two fields; one that was cut inside a UTF-8 sequence is up to 3 bytes shorter.
CUT_USER_AGENT_BYTES = 768 - 3
CUT_HEADERS_LIST_BYTES = 512 - 3

Action = Literal["allow", "block"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to the request. `bot_name` and `bot_family` are printable ASCII: they become header values."""

    action: Action
    bot_name: str
    bot_family: str
    is_bot: bool
    rule_type: str


HUMAN = Verdict("allow", "human", "human", False, HUMANS)


class Rule(Protocol):
    """One question about a request. Pure: the same request gets the same verdict."""

    def judge(self, described: Described) -> Verdict | None:
        """The verdict, or None to leave it to the next rule."""


@dataclass(frozen=True, slots=True)
class AbsurdRequestLine:
    """Methods and paths that no browser sends. TRACE, TRACK, CONNECT and DEBUG are forbidden to fetch and XHR (Fetch
    2.2.1) or exist for scanners alone. URL parsers resolve `..` before they send (WHATWG URL 4.4, `%2e%2e` too), so a
    path that still climbs was written by hand; the same for a NUL, and for a query that climbs to a system file."""

    def judge(self, described: Described) -> Verdict | None:
        if described.text("Method").upper() in _FORBIDDEN_METHODS:
            return _absurd("forbidden method")
        path, _, query = described.text("Request").partition("?")
        if ("." in path or "%" in path) and _CLIMBING_PATH.search(path):
            return _absurd("path traversal")
        if query and _CLIMBING_QUERY.search(query):
            return _absurd("path traversal")
        return None


@dataclass(frozen=True, slots=True)
class AbsurdUserAgent:
    """No user agent, one that was at the field's limit (768 bytes; browsers and in-app browsers stay under 500), or
    one with control characters: every browser, web view and HTTP stack of an application names itself in printable
    text."""

    def judge(self, described: Described) -> Verdict | None:
        user_agent = described.text("UserAgent")
        if not user_agent.strip(" -"):
            return _absurd("no user agent")
        if _byte_length(user_agent) >= CUT_USER_AGENT_BYTES:
            return _absurd("user agent too long")
        if not user_agent.isprintable() and _CONTROL.search(user_agent):
            return _absurd("user agent with control characters")
        return None


@dataclass(frozen=True, slots=True)
class KnownAutomation:
    """A user agent that names a program: search engine (false, see above), script, scanner, driven browser, crawler.
    The catalogue's patterns were checked against 37,000 user agents of browsers and phones."""

    catalogue: Catalogue

    def judge(self, described: Described) -> Verdict | None:
        found = self.catalogue.find(described.text("UserAgent"))
        if found is None:
            return None
        if found.operator is not None and found.operator in _SEARCH_ENGINES:
            return _blocked(f"Crawler fake {found.operator}")
        return _blocked(found.name, _FAMILIES[found.bot_class])


@dataclass(frozen=True, slots=True)
class AbsurdBrowser:
    """What says that it is a browser (`Mozilla/5.0`) and cannot be one.

    - Its header list was described, is whole, and has none of Accept, Accept-Encoding and Accept-Language. All browsers
      send at least Accept-Encoding with everything, WebSocket handshakes included; okhttp and CFNetwork add it for
      applications with a borrowed user agent.
    - GET or HEAD with a body: fetch and XHR cannot (Fetch 5.4, step 37), a form and a link neither.
    """

    def judge(self, described: Described) -> Verdict | None:
        if not described.text("UserAgent").startswith("Mozilla/"):
            return None
        if described.text("Method") in ("GET", "HEAD") and described.integer("PostParamLen"):
            return _absurd("browser that sends a body with GET")
        if _negotiates_nothing(described):
            return _absurd("browser without Accept headers")
        return None


@dataclass(frozen=True, slots=True)
class AbsurdHints:
    """Client hints and fetch metadata, which scripts cannot set in a browser and browsers fill in by themselves: a
    headless brand in Sec-CH-UA, a Sec-CH-UA-Mobile that is no boolean and a Sec-CH-UA-Platform that is no string
    (User-Agent Client Hints 3), a Sec-Fetch-Site or Sec-Fetch-User outside the specification (Fetch Metadata 2)."""

    def judge(self, described: Described) -> Verdict | None:
        if "Headless" in described.text("SecCHUA"):
            return _blocked("HeadlessChrome")
        for field, legal in _LEGAL_HINTS:
            value = described.text(field)
            if value and not legal.match(value):
                return _absurd("impossible client hints")
        return None


def floor() -> tuple[Rule, ...]:
    """The rules in order; loads the catalogue (0.2 s of CPU), so once per process. Raises ConfigError if it cannot."""
    return (
        AbsurdUserAgent(),
        KnownAutomation(load_catalogue()),
        AbsurdRequestLine(),
        AbsurdBrowser(),
        AbsurdHints(),
    )


def judge(rules: tuple[Rule, ...], described: Described) -> Verdict:
    """The verdict of the first rule that has one, else HUMAN."""
    for rule in rules:
        verdict = rule.judge(described)
        if verdict is not None:
            return verdict
    return HUMAN


# class -> X-DataDome-botfamily, in the vendor's words: whose crawler says who runs it is commercial_bot
_FAMILIES = {
    **dict.fromkeys(BOT_CLASSES, "commercial_bot"),
    **dict.fromkeys(("library", "package_manager", "headless", "scanner", "search_engine"), "bad_bot"),
}
_SEARCH_ENGINES = {operator for operator, classes in CLAIMS.items() if "search_engine" in classes}
_FORBIDDEN_METHODS = frozenset({"TRACE", "TRACK", "CONNECT", "DEBUG"})
_SLASH = r"(?:[/\\]|%2f|%5c)"
_TWO_DOTS = r"(?:\.|%2e){2}"
_CLIMBING_PATH = re.compile(rf"(?:^|{_SLASH}){_TWO_DOTS}(?:{_SLASH}|;|$)|%00|%c0%a[ef]", re.IGNORECASE)
_SYSTEM_FILES = r"(?:etc/(?:passwd|shadow)|proc/self|windows/|win\.ini|boot\.ini)"
_CLIMBING_QUERY = re.compile(rf"{_TWO_DOTS}{_SLASH}{_SYSTEM_FILES.replace('/', _SLASH)}", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NEGOTIATION_FIELDS = ("Accept", "AcceptEncoding", "AcceptLanguage")
_LEGAL_HINTS = (
    ("SecCHUAMobile", re.compile(r"\?[01FT]\Z")),  # ?F and ?T in the first drafts
    ("SecCHUAPlatform", re.compile(r'"')),  # only its beginning: the field is cut at 32 bytes
    ("SecFetchSite", re.compile(r"(?:none|same-origin|same-site|cross-site)\Z")),
    ("SecFetchUser", re.compile(r"\?[1FT]\Z")),
)


def _blocked(name: str, family: str = "bad_bot") -> Verdict:
    return Verdict("block", name, family, True, DETECTION)


def _absurd(what: str) -> Verdict:
    return _blocked(f"Absurd request: {what}")


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
