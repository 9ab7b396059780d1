"""Known automation by its user agent: the patterns of the package crawler-user-agents and our own.

Theory of operation. The package holds some 1,500 regular expressions, nearly all plain words. As one alternation they
take 160 us for a browser's user agent, because each is tried at each position. So the words become a trie, written as
one nested regular expression (`Go(?:oglebot|\\-http)`): at a position only what still can match is tried, which takes
7 us, in one compiled pattern. Character classes and groups (`[wW]get`) are written out into words first. Anchored
patterns are tried once, what is left in one small alternation. `Catalogue.find` remembers the last REMEMBERED user
agents, since real traffic repeats them.

A pattern of the package that real browsers or phones match is corrected in CORRECTIONS, each with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError

REMEMBERED = 2048  # user agents, at most 768 bytes each by the contract: about 2 MiB at the very worst
NAME_CHARACTERS = 64

# kind of automation, the package's tags
KINDS = (
    "http-library", "browser-automation", "scanner", "search-engine", "seo", "ai-crawler", "advertising",
    "social-preview", "feed-reader", "monitoring", "archiver", "academic",
)  # fmt: skip

# The package's pattern -> ours; None drops it. Found by running all patterns over 37,000 user agents of browsers and
# phones (the fixtures of matomo's device-detector and of isbot).
CORRECTIONS: dict[str, str | None] = {
    r"AP3A\.240617\.008": None,  # an Android 15 build: every phone that runs it
    r"Sogou": None,  # SogouMobileBrowser is a browser; the spiders are in SEARCH_ENGINES
    r"Sonic": r" Sonic\/",  # ViewSonic makes tablets
    r"Butterfly": r"Butterfly\/",  # HTC Butterfly is a phone
    r"Viber": r"^Viber",  # at the end of a browser's it is the application's web view
    r"MetaIAB Facebook": None,  # the in-app browser of Facebook
    r"Fever": r"^Fever\/",  # a phone
    r"Expanse": r"^Expanse, a Palo Alto",  # a phone
    r"Fluid": None,  # a site-specific browser that people use
    r"Code\/1\.": None,  # the web view of an editor
    r"Trae\/": None,  # likewise
    r"008\/": r"^008\/",  # ends an identifier in baiduboxapp
    r"Notion\/": r"^Notion\/",  # Notion, PayPal, Tumblr and Asana: the preview or call-back is the whole user agent,
    r"PayPal\/": r"^PayPal\/",  # the application's web view has it after a browser's
    r"Tumblr\/": r"^Tumblr\/",
    r"Asana\/": r"^Asana\/",
    r"Fetch\/": r"^Fetch\/",  # MozacFetch is a part of Firefox for Android
    r"AdsBot-Google([^-]|$)": r"AdsBot-Google",  # the rest tells it from AdsBot-Google-Mobile, which is no matter here
    r"BlogTraffic\/\d\.\d+ Feed-Fetcher": r"BlogTraffic\/",  # this and the next five: a plain word says enough
    r"ContextualBot[\s\S]*outcomes\.net": r"ContextualBot",
    r"Current[\s\S]*RSS Reader": r"RSS Reader",
    r"Spider[\s\S]*spider\.com": r"spider\.com",
    r"GoogleAssociationService$": r"GoogleAssociationService",
    r"SSL Labs$": r"SSL Labs",
    r"Chirp|gotosocial": r"gotosocial",  # GoogleChirp is a loudspeaker
    r"okhttp": None,  # the HTTP stack of most Android applications
    r"Chrome Privacy Preserving Prefetch Proxy": None,  # asks on behalf of a browser whether it may prefetch
}

# Ours, without regard to case. Tokens that open the user agent of a program which is no browser:
SCRIPTED_CLIENTS = (
    r"(?:curl|wget|python|ruby|perl|php|java|jakarta|node|node\.?js|axios|undici|ureq|lwp)(?![a-z])",
    r"(?:got|deno|bun|xh|hyper|k6|hey|needle|siege|locust|wrk|vegeta|gatling|insomnia|colly)(?:/|$)",
    r"(?:pycurl|libcurl|urllib|httpx|aiohttp|go-http-client|go-resty|fasthttp|java-http-client|apache-httpclient)",
    r"(?:http_?client|restsharp|rest-client|http\.rb|faraday|typhoeus|guzzlehttp|libwww-perl|mojolicious|www-mechanize)",
    r"(?:node-|superagent|postmanruntime|httpie|reqwest|cpp-httplib|lua-resty-http|winhttp|powershell|aria2|scrapy)",
    r"(?:apache-jmeter|apachebench)",
)
# Anywhere in the user agent: scanners by name, and text that attacks whoever writes it into a log or a page.
SCANNERS = (
    "sqlmap", "nikto", "nuclei", "masscan", "zgrab", "nmap", "gobuster", "dirbuster", "dirb/", "feroxbuster", "ffuf",
    "fuzz faster", "wfuzz", "wpscan", "acunetix", "netsparker", "burp suite", "burpsuite", "burpcollaborator",
    "openvas", "nessus", "arachni", "w3af", "whatweb", "jorgee", "hydra/", "l9explore", "leakix",
    "${jndi:", "() {", "(){", "<script", "<?php",
)  # fmt: skip
AUTOMATED_BROWSERS = (
    "headless", "phantomjs", "slimerjs", "selenium", "webdriver", "puppeteer", "playwright", "cypress/", "nightmare/",
)  # fmt: skip
# A program that says itself what it is: a name with a version, or the address of a page about it (`+https://...`).
SELF_DECLARED = (
    r"(?<!cu)bot/v?\d",  # Cubot makes phones
    r"crawler/", r"spider/", r"scraper/", r"\+http://", r"\+https://",
)  # fmt: skip

# Who claims to be a search engine, without regard to case.
SEARCH_ENGINES = {
    "Google": (
        "googlebot", "google-inspectiontool", "googleother", "storebot-google", "apis-google", "google web preview",
        "adsbot-google", "mediapartners-google", "feedfetcher-google", "google-safety", "google-extended",
    ),
    "Bing": ("bingbot", "bingpreview", "msnbot", "adidxbot"),
    "Yandex": (
        "yandexbot", "yandexmobilebot", "yandeximages", "yandexvideo", "yandexmedia", "yandexblogs", "yandexnews",
        "yandexmetrika", "yandexdirect", "yandexaccessibilitybot", "yandexrenderresourcesbot", "yandex.com/bots",
    ),
    "Baidu": ("baiduspider",),
    "Yahoo": ("slurp", "y!j-"),
    "DuckDuckGo": ("duckduckbot", "duckduckgo-favicons-bot", "duckassistbot"),
    "Apple": ("applebot",),
    "Sogou": ("sogou web spider", "sogou pic spider", "sogou news spider", "sogou inst spider", "sogou spider"),
    "Petal": ("petalbot",),
    "Seznam": ("seznambot",),
    "Naver": ("compatible; yeti/", "naverbot"),
    "Qwant": ("qwantify", "qwantbot"),
    "360": ("360spider", "haosouspider"),
    "Brave": ("bravebot",),
    "Exalead": ("exabot",),
    "Coc Coc": ("coccocbot", "compatible; coccoc"),
    "Mojeek": ("mojeekbot",),
    "Mail.Ru": ("mail.ru_bot",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signature:
    """What a user agent gives away. `kind` is one of KINDS; `name` is printable ASCII of 1 to NAME_CHARACTERS;
    `search_engine` is the engine that it claims to work for (`Google`), None if none of SEARCH_ENGINES."""

    name: str
    kind: str
    search_engine: str | None = None


class Catalogue:
    """Compiled patterns. `find` is a function of the user agent alone: 0.1 us for one of the last REMEMBERED, 20 us
    for any other."""

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        """`patterns`: the package's (regular expression, kind) pairs, in its order; an earlier one names the kind."""
        self._package = _Matcher(patterns)
        self._ours = _Matcher(_our_patterns())
        self._search_engines = _Matcher(
            (re.escape(claim), engine) for engine, claims in SEARCH_ENGINES.items() for claim in claims
        )
        self.find = lru_cache(maxsize=REMEMBERED)(self._find)

    def _find(self, user_agent: str) -> Signature | None:
        """The automation that the user agent names, None if it may be a person's."""
        folded = user_agent.lower()
        claim = self._search_engines.find(folded)
        if claim is not None:
            return Signature(_name(folded, *claim[:2]), "search-engine", claim[2])
        found = self._package.find(user_agent)
        if found is not None:
            return Signature(_name(user_agent, *found[:2]), found[2])
        found = self._ours.find(folded)
        return None if found is None else Signature(_name(folded, *found[:2]), found[2])


class _Matcher:
    """Many (pattern, value) pairs as three compiled expressions. What is found is (start, end, value)."""

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        words: dict[str, str] = {}
        anchored: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        for pattern, value in _written_out(patterns):
            if pattern.startswith("^"):
                anchored.append((pattern, value))
            elif _is_plain(pattern):
                words.setdefault(re.sub(r"\\(.)", r"\1", pattern), value)
            else:
                others.append((pattern, value))
        self._value_of_word = words
        self._words = re.compile(_trie_expression(words))
        self._anchored = _Alternatives(anchored)
        self._others = _Alternatives(others)

    def find(self, text: str) -> tuple[int, int, str] | None:
        found = self._anchored.match(text)
        if found is not None:
            return found
        word = self._words.search(text)
        if word is not None:
            return word.start(), word.end(), self._value_of_word[word[0]]
        return self._others.search(text)


class _Alternatives:
    """Several patterns in one expression, with the value of the one that matched; no patterns match nothing."""

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        self._value_of_group: dict[int, str] = {}
        parts = []
        group = 1
        for pattern, value in patterns:
            self._value_of_group[group] = value
            parts.append(f"({pattern})")
            group += 1 + re.compile(pattern).groups
        self._expression = re.compile("|".join(parts) or r"(?!)")

    def match(self, text: str) -> tuple[int, int, str] | None:
        return self._found(self._expression.match(text))

    def search(self, text: str) -> tuple[int, int, str] | None:
        return self._found(self._expression.search(text))

    def _found(self, match: re.Match[str] | None) -> tuple[int, int, str] | None:
        if match is None or match.lastindex is None:
            return None
        return match.start(), match.end(), self._value_of_group[match.lastindex]  # the outer group closes last


def load_catalogue() -> Catalogue:
    """The catalogue of the installed package. Its data file is read without importing the package, which would keep
    every example and description in memory. Raises ConfigError if the package is not installed or not readable."""
    try:
        entries = json.loads(_data_file().read_bytes())
        return Catalogue(_corrected((str(entry["pattern"]), _kind(entry)) for entry in entries))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise ConfigError(f"the user agent patterns of crawler-user-agents cannot be used: {error}") from error


def _data_file() -> Path:
    spec = find_spec("crawleruseragents")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("the package crawler-user-agents is not installed; the embedded engine needs its patterns")
    return Path(spec.submodule_search_locations[0]) / "crawler-user-agents.json"


def _kind(entry: dict[str, Any]) -> str:
    """The entry's first tag that we know; a crawler of unknown purpose counts as SEO, like most of the package's."""
    return next((tag for tag in entry.get("tags", ()) if tag in KINDS), "seo")


def _corrected(patterns: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for pattern, kind in patterns:
        corrected = CORRECTIONS.get(pattern, pattern)
        if corrected:  # an empty expression would match everybody
            yield corrected, kind


def _our_patterns() -> Iterator[tuple[str, str]]:
    yield from ((f"^{pattern}", "http-library") for pattern in SCRIPTED_CLIENTS)
    yield from ((re.escape(word), "scanner") for word in SCANNERS)
    yield from ((re.escape(word), "browser-automation") for word in AUTOMATED_BROWSERS)
    yield from ((pattern, "seo") for pattern in SELF_DECLARED)


def _written_out(patterns: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The same patterns with small classes and groups multiplied out: `[wW]get` is `wget` and `Wget`."""
    for pattern, value in patterns:
        yield from ((each, value) for each in _variants(pattern))


_CHOICE = re.compile(r"(?<!\\)(?:\[(?P<one>[A-Za-z]{1,4})\]|\((?P<any>\^?[\w ]*(?:\|\^?[\w ]*)+)\))(?![*+?{])")


def _variants(pattern: str) -> list[str]:
    """The patterns that together mean this one. Only `[ab]`, `(a|b)` and `a|b` of plain text are multiplied out, and no
    more than 3 of them in one pattern (of 4 choices at most in the package)."""
    choice = _CHOICE.search(pattern)
    if choice is None:
        return pattern.split("|") if re.fullmatch(r"[\w |-]+", pattern) else [pattern]
    options = list(choice["one"]) if choice["one"] is not None else choice["any"].split("|")
    return [v for option in options for v in _variants(pattern[: choice.start()] + option + pattern[choice.end() :])]


def _is_plain(pattern: str) -> bool:
    """True if the pattern has no metacharacter but escaped punctuation."""
    return not re.search(r"\\[A-Za-z0-9]", pattern) and not re.search(r"(?<!\\)[\[\](){}.*+?^$|]", pattern)


def _trie_expression(words: Iterable[str]) -> str:
    """One expression that finds any of the words; of two at the same position the shorter one."""
    root: dict[str, Any] = {}
    for word in sorted(words):  # a word comes after its own beginnings
        _insert(root, word)
    return _node_expression(root)


def _insert(root: dict[str, Any], word: str) -> None:
    node = root
    for character in word:
        if "" in node:  # a shorter word ends here: this one can never decide
            return
        node = node.setdefault(character, {})
    node[""] = {}


def _node_expression(node: dict[str, Any]) -> str:
    if not node:
        return r"(?!)"
    if "" in node:
        return ""
    branches = [re.escape(character) + _node_expression(child) for character, child in node.items()]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


_REST_OF_NAME = re.compile(r"[\w.-]*", re.ASCII)


def _name(user_agent: str, start: int, end: int) -> str:
    """The product round what was found, without its version (`SomeBot` for `bot/`); of an address the first one."""
    start += len(user_agent[start:end]) - len(user_agent[start:end].lstrip())
    left = max(user_agent.rfind(separator, 0, start) for separator in " ;,(/") + 1
    right = _REST_OF_NAME.match(user_agent, end)
    token = user_agent[left : right.end() if right else end]
    if token.startswith("+http"):
        token = user_agent.removeprefix("mozilla/5.0 (compatible; ").partition("/")[0]
    return _printable(re.sub(r"/v?[\d.]*$", "", token))


def _printable(text: str) -> str:
    """The text as a header value: printable ASCII, no outer punctuation, bounded, never empty."""
    kept = "".join(character for character in text if " " <= character <= "~")
    return kept[:NAME_CHARACTERS].strip(" ()/;+,") or "unnamed"
