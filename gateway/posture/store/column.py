"""Column types that give back exactly what was put in, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import TEXT, Dialect, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

# What one of the databases does not take as text: NUL (PostgreSQL), halves of surrogate pairs (both). They stand as
# \uXXXX, so that a backslash has to stand as two.
_UNFIT = re.compile("[\\\\\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")


class Words(TypeDecorator[str]):
    """Any text, ordered by code points whatever the database's own order is."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return TEXT(collation="C" if dialect.name == "postgresql" else None)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or _UNFIT.search(value) is None:
            return value
        return _UNFIT.sub(_escaped, value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or "\\" not in value:
            return value
        return _ESCAPED.sub(_unescaped, value)


class Document(TypeDecorator[Any]):
    """A JSON value as text: the order of its keys, whole numbers of any size and every text are kept. The standard
    library writes it, since orjson takes no number over 64 bits; in ASCII, since that is never refused or changed."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return "\\\\" if character == "\\" else f"\\u{ord(character):04x}"


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return "\\" if code == "\\" else chr(int(code[1:], 16))
