"""Secrets that a platform echoes, or that stand in what we would say, become `***`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

REDACTED = "***"
_SEARCHED = 4
"""Characters from which on a secret is looked for inside longer texts; a shorter one is replaced where it is all."""


class Redaction:
    """Replaces secrets in texts and in decoded JSON, in their own form and in those of a URL or form."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._whole: set[str] = set()
        self._parts: tuple[str, ...] = ()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """One more, such as a session token that has just come."""
        forms = {secret, quote(secret, safe=""), quote_plus(secret), quote(secret)} - {""}
        self._whole |= forms
        longer = {form for form in self._whole if len(form) >= _SEARCHED}
        self._parts = tuple(sorted(longer, key=len, reverse=True))  # of two, one inside the other: the longer first

    def text(self, text: str) -> str:
        """The text without secrets."""
        if text in self._whole:
            return REDACTED
        for part in self._parts:
            if part in text:
                text = text.replace(part, REDACTED)
        return text

    def json(self, value: Any) -> Any:
        """Decoded JSON without secrets, in keys and values."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.json(item) for key, item in value.items()}
        return value

    def body(self, body: bytes) -> bytes:
        """A document in text form without secrets."""
        for part in self._parts:
            body = body.replace(part.encode(), REDACTED.encode())
        return body
