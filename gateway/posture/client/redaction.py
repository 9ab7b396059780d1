"""Secrets that a platform echoes, or that stand in what we would say, become `***`.

A secret is found in its own form and in those that a text may give to each of its characters: of a URL or form (`%2F`,
`+`), of JSON (`\\u002f`, `\\/`) and of HTML (`&#47;`, `&amp;`), mixed as they come.

Theory of operation. Nearly every answer has no secret, and that is seen in its bytes: a secret in them is either there
as it is, or one of its characters is in another form. Only if one of both is there are the texts gone through. Long
ones are in windows: a search holds every other thread up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from string import ascii_letters, digits
from typing import Any

import orjson

from gateway.posture.signature import MAX_DEPTH

REDACTED = "***"
DEPTH = MAX_DEPTH
"""Levels of JSON that are searched; what is nested deeper is refused."""
_SEARCHED = 4
"""Characters from which on a secret is looked for inside longer texts; a shorter one is replaced where it is all."""
_MARKS = ("%", "\\", "&", "+")
"""A text without these has no character in another form than its own."""
_JSON_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
}  # fmt: skip
"""RFC 8259 7."""
_OF_FORMS = "%\\&#;+" + ascii_letters + digits
"""What forms are written with."""
_WINDOW = 256 * 1024
_MARGIN = 64
"""Bytes that are longer than any form of a character."""
_LONGEST_FORM = 20


class Redaction:
    """Replaces secrets in texts and in decoded JSON."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets: tuple[str, ...] = ()
        self._patterns: tuple[re.Pattern[str], re.Pattern[str]] | None = None
        self._trace: re.Pattern[bytes] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """One more, such as a session token that has just come."""
        if secret and secret not in self._secrets:
            self._secrets = (*self._secrets, secret)
            self._patterns = self._trace = None

    def text(self, text: str) -> str:
        """The text without secrets."""
        if not any(one in text for one in self._secrets) and not any(mark in text for mark in _MARKS):
            return text
        if self._patterns is None:  # compiled when first needed: it takes milliseconds
            longer = [one for one in self._secrets if len(one) >= _SEARCHED]
            self._patterns = _any_of(self._secrets), _any_of(longer)
        whole, part = self._patterns
        if whole.fullmatch(text):
            return REDACTED
        return part.sub(REDACTED, text) if len(text) <= _WINDOW else self._replaced(part, text)

    def is_free(self, body: bytes) -> bool:
        """True if a document in UTF-8 surely has no secret, neither in its bytes nor in the texts of its JSON."""
        if any(secret.encode("utf-8", "surrogatepass") in body for secret in self._secrets):
            return False
        trace = self._trace
        if trace is None:
            trace = self._trace = _trace_of(set("".join(self._secrets)))
        starts = range(0, len(body) if self._secrets else 0, _WINDOW)
        return not any(trace.search(body, start, start + _WINDOW + _MARGIN) for start in starts)

    def json(self, value: Any) -> Any:
        """Decoded JSON without secrets, in keys and values. Raises ValueError if it is nested deeper than DEPTH."""
        return self._json(value, DEPTH)

    def body(self, body: bytes) -> bytes:
        """A document in text form without secrets; one that has none comes back as it is."""
        if self.is_free(body):
            return body
        try:
            decoded = orjson.loads(body)
            cleaned = self.json(decoded)
        except ValueError:  # no JSON
            return self.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return body if decoded == cleaned else orjson.dumps(cleaned)

    def _replaced(self, part: re.Pattern[str], text: str) -> str:
        """Of a long text. A match begins in its window, and may end behind it."""
        margin = _LONGEST_FORM * max(map(len, self._secrets), default=0)
        pieces, kept, start = [], 0, 0
        while start < len(text):
            match = part.search(text, start, start + _WINDOW + margin)
            if match is None or match.start() >= start + _WINDOW:
                start += _WINDOW
                continue
            pieces += [text[kept : match.start()], REDACTED]
            kept = start = match.end()
        return "".join([*pieces, text[kept:]])

    def _json(self, value: Any, levels: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, (list, dict)):
            return REDACTED if isinstance(value, (int, float)) and str(value) in self._secrets else value
        if levels == 0:
            raise ValueError(f"nested deeper than {DEPTH} levels")
        if isinstance(value, list):
            return [self._json(item, levels - 1) for item in value]
        return {self.text(key): self._json(item, levels - 1) for key, item in value.items()}


def _any_of(secrets: Sequence[str]) -> re.Pattern[str]:
    """The longer ones first, for one may stand inside another; of none, a pattern that nothing matches."""
    longest_first = sorted(secrets, key=len, reverse=True)
    return re.compile("|".join("".join(map(_forms, one)) for one in longest_first) or r"(?!)")


def _forms(character: str) -> str:
    """A pattern of every form of a character, the longer ones first: `%` must not be taken for that of `%25`."""
    octets = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass")
    point = ord(character)
    forms = [
        "".join("%" + _hex(f"{octet:02x}") for octet in octets),
        "".join(r"\\u" + _hex(units[at : at + 2].hex()) for at in range(0, len(units), 2)),
        f"&#0{{0,8}}{point};",
        f"&#[xX]0{{0,8}}{_hex(f'{point:x}')};",
        *(re.escape(form) for form in {escape(character)} - {character}),
        *(["&apos;"] if character == "'" else []),
        *([re.escape(_JSON_ESCAPES[character])] if character in _JSON_ESCAPES else []),
        *([r"\+"] if character == " " else []),
        re.escape(character),
    ]
    return f"(?:{'|'.join(forms)})"


def _trace_of(characters: set[str]) -> re.Pattern[bytes]:
    """What is somewhere in a document if it has one of the characters, in a text of its JSON or in the document, in
    another form than its own. Each alternative begins with a character: that is what makes the search fast."""
    if not characters:
        return re.compile(rb"(?!)")
    first = "|".join(sorted({_hex(one.encode("utf-8", "surrogatepass")[:1].hex()) for one in characters}))
    units = {one.encode("utf-16-be", "surrogatepass")[:2].hex() for one in characters | set(_OF_FORMS)}
    short = [_JSON_ESCAPES[one][1:] for one in characters if one in _JSON_ESCAPES]
    json = [f"u(?:{'|'.join(map(_hex, sorted(units)))})", *map(re.escape, short)]
    points = [f"{ord(one)};" for one in characters] + [f"[xX]{_hex(f'{ord(one):x}')};" for one in characters]
    named = [re.escape(escape(one)[1:]) for one in characters if escape(one) != one]
    html = [f"#(?:0|[xX]0|{'|'.join(sorted(points))})", *named, *(["apos;"] if "'" in characters else [])]
    forms = [f"%(?:{first})", rf"\\(?:{'|'.join(json)})", f"&(?:{'|'.join(html)})"]
    return re.compile("|".join(forms + ([r"\+"] if " " in characters else [])).encode("ascii"))


def _hex(digits: str) -> str:
    """A pattern of hexadecimal digits in any case."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
