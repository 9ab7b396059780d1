"""JSON as it is printed, compared and sent."""

from __future__ import annotations

import json
from typing import Any

import orjson


def encoded(value: Any, *, indent: bool = False, sort_keys: bool = False) -> bytes:
    """UTF-8 without a newline at the end. Whatever `json.loads` gives is taken: lone surrogates and whole numbers over
    64 bits, which webhooks may hold, are written by the standard library, in ASCII."""
    option = (orjson.OPT_INDENT_2 if indent else 0) | (orjson.OPT_SORT_KEYS if sort_keys else 0)
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        separators = (",", ": ") if indent else (",", ":")
        return json.dumps(value, indent=2 if indent else None, sort_keys=sort_keys, separators=separators).encode()
