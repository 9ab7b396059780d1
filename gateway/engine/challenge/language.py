"""The visitor's language: Accept-Language in, the texts of texts.json out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

DEFAULT = "en"
MAX_RANGES = 16  # of one header; browsers send ten at most
REMEMBERED = 256  # headers

Texts = Mapping[str, str]


@lru_cache(maxsize=REMEMBERED)
def language_of(accept_language: str) -> str:
    """The key of TEXTS that the header (RFC 9110 12.5.4) prefers: by quality, then by order; DEFAULT if it names none.
    Only the primary subtag counts: `de-AT` is `de`."""
    best, best_quality = DEFAULT, 0.0
    for part in accept_language.split(",", MAX_RANGES)[:MAX_RANGES]:
        named = _RANGE(part)
        if named is None:
            continue
        language, quality = named[1].lower(), float(named[2] or 1)
        if language in TEXTS and quality > best_quality:
            best, best_quality = language, quality
    return best


_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,40})?\s*(?:;\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*)?").fullmatch
TEXTS: Mapping[str, Texts] = json.loads(Path(__file__).with_name("texts.json").read_text(encoding="utf-8"))
"""Language -> name -> text. Texts may hold {host}, {wait}, {count} and {contact}; every language has the same names."""
