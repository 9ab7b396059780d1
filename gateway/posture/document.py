"""JSON as it is printed, compared and sent, and the texts of platforms in it."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

MAX_ID = 200
"""Characters of a platform's id of a scan or a finding; a longer one is none."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def encoded(value: Any, *, indent: bool = False, sort_keys: bool = False) -> bytes:
    """UTF-8 without a newline at the end. Whatever `json.loads` gives is taken: lone surrogates and whole numbers over
    64 bits, which webhooks may hold, are written by the standard library, in ASCII."""
    option = (orjson.OPT_INDENT_2 if indent else 0) | (orjson.OPT_SORT_KEYS if sort_keys else 0)
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        separators = (",", ": ") if indent else (",", ":")
        return json.dumps(value, indent=2 if indent else None, sort_keys=sort_keys, separators=separators).encode()


def well_formed(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs, which JSON can escape and no UTF-8 has."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def shown(text: str, most: int) -> str:
    """The same in at most so many characters; one that is cut ends with three dots."""
    return well_formed(text if len(text) <= most else text[: most - 3] + "...")
