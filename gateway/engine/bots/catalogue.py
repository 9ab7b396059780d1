"""Known automation by its user agent: the patterns of the package crawler-user-agents and our own.

In order: text that attacks (`pattern.SCANNERS`), so that no other name in the same user agent makes it harmless; who it
claims to work for (`claim.CLAIMS`) and programs whose class we know better (`pattern`); the package; last the general
forms of scripts, driven browsers and programs that declare themselves. `Catalogue.find` remembers the last REMEMBERED
user agents, since real traffic repeats them. `matcher` says how 1,500 patterns take some microseconds.

A pattern of the package that real browsers or phones match is corrected in `pattern.CORRECTIONS`, with the reason.
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

from gateway.engine.bots.claim import CLAIMS
from gateway.engine.bots.matcher import Matcher
from gateway.engine.bots.pattern import (
    AUTOMATED_BROWSERS,
    CLASS_OF_PATTERN,
    CORRECTIONS,
    FEED_READERS,
    MONITORS,
    PACKAGE_MANAGERS,
    SCANNERS,
    SCRIPTED_CLIENTS,
    SELF_DECLARED,
    WEBHOOKS,
)
from gateway.errors import ConfigError

REMEMBERED = 2048  # user agents, at most 768 bytes each by the contract: about 2 MiB at the very worst
NAME_CHARACTERS = 64

CLASS_OF_TAG = {
    "search-engine": "search_engine", "ai-crawler": "ai_crawler", "monitoring": "monitoring",
    "feed-reader": "feed_reader", "http-library": "library", "browser-automation": "headless", "scanner": "scanner",
    "seo": "seo", "advertising": "advertising", "social-preview": "social_preview", "archiver": "archiver",
    "academic": "academic",
}  # fmt: skip
"""The package's tags and what we call them."""
BOT_CLASSES = frozenset({*CLASS_OF_TAG.values(), "ai_assistant", "package_manager", "webhook", "unknown"})
"""Every class. `unknown` is what nobody is found as: `Catalogue.find` says None."""

Found = tuple[str, str | None]  # class, operator


@dataclass(frozen=True, slots=True)
class Signature:
    """What a user agent gives away.

    `name`: the product, printable ASCII of 1 to NAME_CHARACTERS. `bot_class`: one of BOT_CLASSES but `unknown`.
    `operator`: the key of OPERATORS for which it claims to work, None if that can be anybody: then nothing can be
    verified. A `search_engine` without an operator is a small one that gives no way to know it.
    """

    name: str
    bot_class: str
    operator: str | None = None


class Catalogue:
    """Compiled patterns. `find` is a function of the user agent alone: 0.1 us for one of the last REMEMBERED, 25 us
    for any other."""

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        """`patterns`: the package's (regular expression, class) pairs, in its order; an earlier one names the class."""
        self._attacks: Matcher[Found] = Matcher(_scanner_patterns())
        self._named = Matcher(_named_patterns())
        self._package: Matcher[Found] = Matcher((pattern, (bot_class, None)) for pattern, bot_class in patterns)
        self._general = Matcher(_general_patterns())
        # One pass instead of three for whom none of ours finds, which is nearly everybody: 20 us instead of 36.
        self._any_of_ours = Matcher([*_scanner_patterns(), *_named_patterns(), *_general_patterns()])
        self.find = lru_cache(maxsize=REMEMBERED)(self._find)

    def _find(self, user_agent: str) -> Signature | None:
        """The automation that the user agent names, None if it may be a person's."""
        folded = user_agent.lower()
        if self._any_of_ours.find(folded) is None:
            found = self._package.find(user_agent)
        else:
            found = (
                self._attacks.find(folded)
                or self._named.find(folded)
                or self._package.find(user_agent)
                or self._general.find(folded)
            )
        if found is None:
            return None
        start, end, (bot_class, operator) = found
        # lower() changes the length of a few letters that are not ASCII; then the positions are those of `folded`
        text = user_agent if len(user_agent) == len(folded) else folded
        return Signature(_name(text, start, end), bot_class, operator)


def load_catalogue() -> Catalogue:
    """The catalogue of the installed package. Its data file is read without importing the package, which would keep
    every example and description in memory. Raises ConfigError if the package is not installed or not readable."""
    try:
        entries = json.loads(_data_file().read_bytes())
        return Catalogue(_corrected((str(entry["pattern"]), _class(entry)) for entry in entries))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise ConfigError(f"the user agent patterns of crawler-user-agents cannot be used: {error}") from error


def _data_file() -> Path:
    spec = find_spec("crawleruseragents")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("the package crawler-user-agents is not installed; the embedded engine needs its patterns")
    return Path(spec.submodule_search_locations[0]) / "crawler-user-agents.json"


def _class(entry: dict[str, Any]) -> str:
    """Ours, else of the entry's first tag that we know; a crawler of unknown purpose counts as SEO, like most of the
    package's."""
    of_tags = (CLASS_OF_TAG[tag] for tag in entry.get("tags", ()) if tag in CLASS_OF_TAG)
    return CLASS_OF_PATTERN.get(entry["pattern"]) or next(of_tags, "seo")


def _corrected(patterns: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for pattern, bot_class in patterns:
        corrected = CORRECTIONS.get(pattern, pattern)
        if corrected:  # an empty expression would match everybody
            yield corrected, bot_class


def _scanner_patterns() -> Iterator[tuple[str, Found]]:
    return ((re.escape(word), ("scanner", None)) for word in SCANNERS)


def _named_patterns() -> Iterator[tuple[str, Found]]:
    for operator, classes in CLAIMS.items():
        for bot_class, tokens in classes.items():
            yield from ((re.escape(token), (bot_class, operator)) for token in tokens)
    yield from ((f"^(?:{pattern})", ("package_manager", None)) for pattern in PACKAGE_MANAGERS)
    yield from ((f"^(?:{pattern})", ("webhook", None)) for pattern in WEBHOOKS)
    yield from ((re.escape(word), ("feed_reader", None)) for word in FEED_READERS)
    yield from ((re.escape(word), ("monitoring", None)) for word in MONITORS)


def _general_patterns() -> Iterator[tuple[str, Found]]:
    yield from ((f"^{pattern}", ("library", None)) for pattern in SCRIPTED_CLIENTS)
    yield from ((re.escape(word), ("headless", None)) for word in AUTOMATED_BROWSERS)
    yield from ((pattern, ("seo", None)) for pattern in SELF_DECLARED)


_REST_OF_NAME = re.compile(r"[\w.-]*", re.ASCII)


def _name(user_agent: str, start: int, end: int) -> str:
    """The product round what was found, without its version (`SomeBot` for `bot/`); of an address the first one."""
    start += len(user_agent[start:end]) - len(user_agent[start:end].lstrip())
    left = max(user_agent.rfind(separator, 0, start) for separator in " ;,(/") + 1
    right = _REST_OF_NAME.match(user_agent, end)
    token = user_agent[left : right.end() if right else end]
    if token.startswith("+http"):
        token = _COMPATIBLE.sub("", user_agent).partition("/")[0]
    return _printable(re.sub(r"/v?[\d.]*$", "", token))


_COMPATIBLE = re.compile(r"mozilla/5\.0 \(compatible; ", re.IGNORECASE)


def _printable(text: str) -> str:
    """The text as a header value: printable ASCII, no outer punctuation, bounded, never empty."""
    kept = "".join(character for character in text if " " <= character <= "~")
    return kept[:NAME_CHARACTERS].strip(" ()/;+,") or "unnamed"
