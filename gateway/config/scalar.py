"""What a plain YAML scalar means: the core schema of YAML 1.2, and values that came from the environment. Pure.

YAML 1.1, which PyYAML keeps, would read `mode: off` as false, `1:30` as ninety and `2026-11-21` as a date.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,300}")  # bounded: int() of a longer text is slow, and past 4,300 digits an error
_BASED_INT = re.compile(r"0(?:o[0-7]{1,300}|x[0-9a-fA-F]{1,300})")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,300}|[0-9]{1,300}(?:\.[0-9]{0,300})?)(?:[eE][-+]?[0-9]{1,9})?")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class Expanded(str):
    """The text of an unquoted scalar after `${NAME}` was replaced.

    It is text until somebody wants a number: a key from the environment that happens to be 12345 stays a key.
    """

    __slots__ = ()


def resolve_plain(text: str) -> Scalar:
    """The value of an unquoted scalar: null, true/false, a number, or the text itself."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED_INT.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL_FLOAT.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


def typed(value: object) -> object:
    """What a reader of numbers and booleans sees: an expanded scalar as if it had been written out."""
    return resolve_plain(str(value)) if isinstance(value, Expanded) else value
