"""From the bytes of an answer to decoded JSON without secrets, in bounded time and memory; aside, if there is much."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from gateway.posture.client.redaction import DEPTH, Redaction

LARGE = 256 * 1024
"""Bytes from which on an answer is worked on in a thread."""
MOST_VALUES = 5_000_000
"""Of one document. Small ones take some hundred bytes of memory for each two of the answer."""
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
Result = TypeVar("Result")


class Undecodable(Exception):
    """came, expected: as of OffContract; came is "" for what is no JSON."""

    def __init__(self, came: str, expected: str) -> None:
        super().__init__(came, expected)
        self.came = came
        self.expected = expected


async def aside(body: bytes, work: Callable[[], Result]) -> Result:
    """What `work` gives, which reads the body: in a thread if it is large, so that the event loop goes on."""
    return work() if len(body) < LARGE else await asyncio.to_thread(work)


def decode(body: bytes, redaction: Redaction) -> Any:
    """The JSON, secrets replaced. Raises Undecodable if it is none, nested over 100 levels deep, or of more than five
    million values."""
    opened = body.count(b"[") + body.count(b"{")
    if opened + body.count(b",") > MOST_VALUES:
        raise Undecodable(f"over {MOST_VALUES} values", f"at most {MOST_VALUES}")
    try:
        decoded = orjson.loads(body)
        if _LONG_NUMBER.search(body):  # over 64 bits: read as a float, and no longer what the platform said
            decoded = json.loads(body)
    except (ValueError, RecursionError):
        raise Undecodable("", "JSON") from None
    if opened > DEPTH and _is_deep(decoded):
        raise Undecodable(f"JSON that is nested deeper than {DEPTH} levels", f"at most {DEPTH}")
    return decoded if redaction.is_free(body) else redaction.json(decoded)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH):
        level = [
            inner
            for outer in level if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer) if isinstance(inner, (dict, list))
        ]  # fmt: skip
        if not level:
            return False
    return True
