"""Signatures of webhooks: hexadecimal HMAC-SHA256. Pure.

DDactic signs the raw body. The two examples on CyperSecurity's page sign different bytes, so three forms are accepted
(contract/posture.md): the raw body, what Python's `json.dumps(payload, sort_keys=True)` writes, and what JavaScript's
`JSON.stringify(payload)` writes (ECMA-262 25.5.2). The two others are made anew of the body, exactly as those functions
make them. All three are always made and compared, each in constant time; a form that does not exist (the body is no
JSON, or is nested deeper than either language follows) is replaced by the raw body, so that nothing else can match.

Who calls has not proved anything yet: the work is bounded by the body, which the receiver limits, and by MAX_DEPTH.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 100
"""Levels of nesting that are read: as many as are searched for secrets (client/redaction.py), and fewer than the JSON
writer takes (254)."""
_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}")
_OPENING = re.compile(r"[\[{]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_INDEX_END = 2**32 - 1
_EXACT = 2**53
"""JavaScript's numbers are doubles: up to here every whole number is one."""
_INT_DIGITS = 4300
"""Python refuses to read longer whole numbers; as a double they are infinite, which is what JavaScript reads."""


def sign(body: bytes, secret: str) -> str:
    """64 hexadecimal digits in lower case."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def ddactic_is_valid(body: bytes, signature: str, secret: str) -> bool:
    """True if `signature` (64 hexadecimal digits in any case) is that of the raw body."""
    return _is_of_one_of((body,), signature, secret)


def cypersecurity_is_valid(body: bytes, signature: str, secret: str) -> bool:
    """True if `signature` (as above) is that of one of the three forms. Up to half a second for a hostile body of
    1 MiB, which call off the event loop, but nothing for what is no signature whatever the body."""
    return is_written_well(signature) and _is_of_one_of((body, *_other_forms(body)), signature, secret)


def is_written_well(signature: str) -> bool:
    """True if it is 64 hexadecimal digits: anything else signs nothing."""
    return _SIGNATURE.fullmatch(signature) is not None


def read_json(body: bytes) -> Any:
    """The decoded JSON of UTF-8 text, as strictly as RFC 8259 has it: of a key that stands twice the last value counts,
    NaN and its like are refused. Whole numbers stay exact. Raises ValueError for anything else, and beyond MAX_DEPTH.
    """
    return _read(body, _refuse_constant)


def _is_of_one_of(forms: tuple[bytes, ...], signature: str, secret: str) -> bool:
    if not is_written_well(signature):
        return False
    given, valid = signature.lower(), False
    for form in forms:
        valid |= hmac.compare_digest(sign(form, secret), given)
    return valid


def _other_forms(body: bytes) -> tuple[bytes, bytes]:
    constants: list[str] = []

    def constant(word: str) -> float:
        """NaN and Infinity: Python's reader takes them and its writer gives them back; JavaScript's reader does not."""
        constants.append(word)
        return float(word)

    try:
        payload = _read(body, constant)
    except ValueError:
        return body, body
    return _python_form(payload), body if constants else _javascript_form(payload)


def _read(body: bytes, constant: Callable[[str], Any]) -> Any:
    text = body.decode("utf-8")  # UnicodeDecodeError is a ValueError
    if len(_OPENING.findall(text)) > MAX_DEPTH:
        _check_depth(text)
    return json.loads(text, parse_int=_whole_number, parse_constant=constant)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _whole_number(text: str) -> int | float:
    return int(text) if len(text) <= _INT_DIGITS else float(text)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def _check_depth(text: str) -> None:
    """Raise ValueError beyond MAX_DEPTH: the reader and the writers are recursive."""
    depth = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        depth += (first in "[{") - (first in "]}")
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _python_form(payload: Any) -> bytes:
    return json.dumps(payload, sort_keys=True).encode()  # ensure_ascii is its default: lone surrogates are escaped


def _javascript_form(payload: Any) -> bytes:
    pieces: list[str] = []
    _write(payload, pieces.append)
    return "".join(pieces).encode()


def _write(value: Any, put: Callable[[str], None]) -> None:
    kind = type(value)
    if kind is str:
        put(_quoted(value))
    elif kind is dict:
        _write_object(value, put)
    elif kind is list:
        separator = "["
        for item in value:
            put(separator)
            _write(item, put)
            separator = ","
        put("]" if value else "[]")
    else:
        put(_WORDS[value] if value is None or kind is bool else _javascript_number(value))


_WORDS = {None: "null", True: "true", False: "false"}


def _write_object(value: dict[str, Any], put: Callable[[str], None]) -> None:
    separator = "{"
    for key in _javascript_order(value):
        put(separator)
        put(_quoted(key))
        put(":")
        _write(value[key], put)
        separator = ","
    put("}" if value else "{}")


def _javascript_order(value: dict[str, Any]) -> list[str]:
    """The keys as an object of JavaScript has them (ECMA-262 10.1.11.1): array indices first, ascending, then the rest
    as they came."""
    keys = list(value)
    indices = [key for key in keys if _ARRAY_INDEX.fullmatch(key) and int(key) < _INDEX_END]
    if not indices:
        return keys
    found = set(indices)
    return [*sorted(indices, key=int), *(key for key in keys if key not in found)]


_quote = json.encoder.encode_basestring  # escapes ", \ and control characters, as QuoteJSONString does


def _quoted(text: str) -> str:
    """A text in quotes; lone surrogates are escaped, everything else beyond ASCII stands as it is (25.5.2.3)."""
    quoted = str(_quote(text))
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted) if not text.isascii() else quoted


def _javascript_number(value: int | float) -> str:
    """Number::toString (ECMA-262 6.1.6.1.20); what is no finite number is `null` (25.5.2.2)."""
    if isinstance(value, int) and -_EXACT <= value <= _EXACT:
        return str(value)
    try:
        double = float(value)
    except OverflowError:
        return "null"
    return _shortest(double) if math.isfinite(double) else "null"


def _shortest(double: float) -> str:
    """The shortest digits that give the same double back are Python's too; only where the exponent begins differs."""
    if double == 0:
        return "0"  # minus zero too
    mantissa, _, exponent = f"{abs(double)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + ("" if fraction == "0" else fraction)
    point = len(whole) + int(exponent or 0)  # digits before the decimal point
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    sign = "-" if double < 0 else ""
    return sign + _placed(stripped.rstrip("0"), point)


def _placed(digits: str, point: int) -> str:
    """`digits` (none of them a zero at either end) with the decimal point after the first `point` of them."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    exponent = f"e{point - 1:+d}"
    return f"{digits[0]}.{digits[1:]}{exponent}" if count > 1 else digits + exponent
