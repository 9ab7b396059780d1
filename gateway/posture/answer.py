"""Reading a platform's answer: each value with the place where it stands, so that what is off the contract is named.

A `Node` is a decoded JSON value of one call's answer. `node["domains"].items()` gives nodes; `node.text("id")` and its
like give a value of an object, and raise OffContract naming the call, the field (`domains[0].id`) and what came. Fields
that nobody asks for are kept in `raw`, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.errors import OffContract
from gateway.posture.document import encoded
from gateway.posture.moment import read_moment

MOST_ITEMS = 100_000
"""Of one list or map that is gone through, such as the findings of a scan."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place. provider, call: as in errors (`ddactic`, `GET /domains`); path: "" is the whole answer."""

    provider: str
    call: str
    raw: Any
    path: str = ""

    def off(self, expected: str) -> OffContract:
        """The error that this value is not what is expected."""
        return OffContract(self.provider, self.call, self.path, _shown(self.raw), expected)

    def has(self, key: str) -> bool:
        """True if this is an object with the key, whose value is not null."""
        return isinstance(self.raw, dict) and self.raw.get(key) is not None

    def __getitem__(self, key: str) -> Node:
        """The value of an object's key; null where it is missing."""
        step = _printable(key)  # the platform's own word, where `members` goes through its keys
        path = f"{self.path}.{step}" if self.path else step
        return Node(self.provider, self.call, self._object().get(key), path)

    def items(self) -> list[Node]:
        """The items of a list, at most MOST_ITEMS."""
        if not isinstance(self.raw, list):
            raise self.off("a list")
        self._check_size()
        return [Node(self.provider, self.call, item, f"{self.path}[{index}]") for index, item in enumerate(self.raw)]

    def members(self) -> Iterator[tuple[str, Node]]:
        """(key, value) of an object; of a list, which is how PHP writes an object with the keys 0, 1, ... or none,
        (index, value)."""
        if isinstance(self.raw, list):
            yield from ((str(index), node) for index, node in enumerate(self.items()))
        else:
            self._object()
            self._check_size()
            yield from ((key, self[key]) for key in self._object())

    def text(self, key: str) -> str:
        """A text of an object, which must be there."""
        return self[key].as_text()

    def optional_text(self, key: str) -> str | None:
        """A text of an object; None if it is missing or null."""
        return None if self[key].raw is None else self.text(key)

    def word(self, key: str) -> str:
        """A text, or a whole number, which some platforms write for the same thing."""
        return self[key].as_word()

    def integer(self, key: str) -> int:
        """A whole number, or its digits as text."""
        node = self[key]
        value = node.raw
        if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and value.isascii():
            return int(value) if len(value) < 19 else node._refuse("a whole number")
        if isinstance(value, bool) or not isinstance(value, int):
            raise node.off("a whole number")
        return value

    def optional_integer(self, key: str) -> int | None:
        """As integer; None if it is missing or null."""
        return None if self[key].raw is None else self.integer(key)

    def optional_number(self, key: str) -> float | None:
        """A number; None if it is missing or null."""
        node = self[key]
        if node.raw is None:
            return None
        if isinstance(node.raw, bool) or not isinstance(node.raw, (int, float)):
            raise node.off("a number")
        return float(node.raw)

    def flag(self, key: str) -> bool:
        """true or false, which must be there."""
        node = self[key]
        if not isinstance(node.raw, bool):
            raise node.off("true or false")
        return node.raw

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty if it is missing or null."""
        return () if self[key].raw is None else tuple(item.as_text() for item in self[key].items())

    def moment(self, key: str) -> str | None:
        """A time as ISO 8601 text; None if it is missing, null, empty or 0 ("not yet")."""
        node = self[key]
        try:
            return read_moment(node.raw)
        except (ValueError, OverflowError):
            raise node.off("a time: ISO 8601, Unix seconds or YYYY-MM-DD HH:MM:SS") from None

    def as_text(self) -> str:
        if not isinstance(self.raw, str):
            raise self.off("a text")
        return self.raw

    def as_word(self) -> str:
        if isinstance(self.raw, bool) or not isinstance(self.raw, (str, int)):
            raise self.off("a text or a whole number")
        return str(self.raw)

    def _check_size(self) -> None:
        if len(self.raw) > MOST_ITEMS:
            raise self.off(f"at most {MOST_ITEMS}")

    def _object(self) -> dict[str, Any]:
        if not isinstance(self.raw, dict):
            raise self.off("an object")
        return self.raw

    def _refuse(self, expected: str) -> Any:
        raise self.off(expected)


def _shown(value: Any) -> str:
    """What came, in at most 60 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return _printable(encoded(value).decode())


def _printable(text: str) -> str:
    """At most 60 characters, none of which a terminal would act on."""
    shown = "".join(one if one.isprintable() else "?" for one in text[: _SHOWN + 1])
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
