"""Many patterns at once: a pattern and its value in, the value of the one that matches out.

Theory of operation. The package crawler-user-agents holds 1,500 regular expressions, nearly all plain words. As one
alternation they take 160 us for a browser's user agent, because each is tried at each position. So the words become a
trie, written as one nested regular expression (`Go(?:oglebot|\\-http)`): at a position only what still can match is
tried, which takes 7 us, in one compiled pattern. Character classes and groups (`[wW]get`) are written out into words
first. Anchored patterns are tried once, what is left in one small alternation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Matcher(Generic[Value]):
    """Many (pattern, value) pairs as three compiled expressions. What is found is (start, end, value)."""

    def __init__(self, patterns: Iterable[tuple[str, Value]]) -> None:
        words: dict[str, Value] = {}
        anchored: list[tuple[str, Value]] = []
        others: list[tuple[str, Value]] = []
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

    def find(self, text: str) -> tuple[int, int, Value] | None:
        found = self._anchored.match(text)
        if found is not None:
            return found
        word = self._words.search(text)
        if word is not None:
            return word.start(), word.end(), self._value_of_word[word[0]]
        return self._others.search(text)


class _Alternatives(Generic[Value]):
    """Several patterns in one expression, with the value of the one that matched; no patterns match nothing."""

    def __init__(self, patterns: Iterable[tuple[str, Value]]) -> None:
        self._value_of_group: dict[int, Value] = {}
        parts = []
        group = 1
        for pattern, value in patterns:
            self._value_of_group[group] = value
            parts.append(f"({pattern})")
            group += 1 + re.compile(pattern).groups
        self._expression = re.compile("|".join(parts) or r"(?!)")

    def match(self, text: str) -> tuple[int, int, Value] | None:
        return self._found(self._expression.match(text))

    def search(self, text: str) -> tuple[int, int, Value] | None:
        if not self._value_of_group:  # an expression that matches nothing still looks at each position: 1.2 us
            return None
        return self._found(self._expression.search(text))

    def _found(self, match: re.Match[str] | None) -> tuple[int, int, Value] | None:
        if match is None or match.lastindex is None:
            return None
        return match.start(), match.end(), self._value_of_group[match.lastindex]  # the outer group closes last


def _written_out(patterns: Iterable[tuple[str, Value]]) -> Iterator[tuple[str, Value]]:
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
