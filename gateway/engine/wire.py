"""A call of the Protection API, read from the server's side: bytes of a body in, a described request out.

The body is one object of the contract's fields (protection-api.md sections 1 and 2), as JSON or as a form. Strict where
a mistake would be judged as if it were the visitor's (types, size), tolerant where modules differ: an absent, null or
empty field is "the request has none", a field that we do not know is left alone, a number may come as decimal text (a
form has nothing else). Of a repeated field the last counts. Nothing here raises anything but CallRefused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from gateway.errors import CallRefused
from gateway.http.memo import Memo

MAX_BODY_BYTES = 24_576  # the seed: 24 kB; exactly this much is judged
MAX_FORM_FIELDS = 256  # the contract has under 100; each costs time
MAX_INTEGER = 2**63 - 1
SHOWN_CHARACTERS = 40  # of a sender's text in a message

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

Value = str | int | float

# Every field of the contract that is not text: field -> (least, greatest).
INTEGERS = {
    "Port": (0, 65_535),
    "AuthorizationLen": (0, MAX_INTEGER),
    "CookiesLen": (0, MAX_INTEGER),
    "PostParamLen": (0, MAX_INTEGER),
    "customFieldInteger1": (-MAX_INTEGER - 1, MAX_INTEGER),
    "customFieldInteger2": (-MAX_INTEGER - 1, MAX_INTEGER),
}
NUMBERS = ("TimeRequest", "customFieldFloat1")  # TimeRequest: existing modules send a float (contract, section 6)
TEXTS = (
    "Key", "IP", "RequestModuleName", "ModuleVersion", "Protocol", "Method", "APIConnectionState", "ServerName",
    "ServerHostname", "Host", "Request", "HeadersList", "ClientID", "UserAgent", "Referer", "Accept", "AcceptCharset",
    "AcceptEncoding", "AcceptLanguage", "Origin", "Via", "From", "Connection", "Pragma", "CacheControl", "ContentType",
    "X-Requested-With", "X-Real-IP", "TrueClientIP", "SecCHDeviceMemory", "SecCHUA", "SecCHUAArch",
    "SecCHUAFullVersionList", "SecCHUAMobile", "SecCHUAModel", "SecCHUAPlatform", "SecFetchDest", "SecFetchMode",
    "SecFetchSite", "SecFetchUser", "UserID", "XForwardedForIP", "CookiesList", "SecFetchStorageAccess", "Signature",
    "SignatureAgent", "SignatureInput", "JA3", "JA4", "GraphQLOperationName", "GraphQLOperationType",
    "GraphQLOperationCount", "McpSessionId", "McpProtocolVersion", "McpMethod", "McpParamsToolName",
    "McpParamsClientInfoName", "McpParamsClientInfoVersion", "JsonRpcRequestId", "JsonRpcVersion", "customFieldString1",
    "customFieldString2", "customFieldString3",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Described:
    """One request as a module describes it. `fields`: known fields only, each of its type, none of them empty."""

    fields: Mapping[str, Value]

    def text(self, field: str) -> str:
        """A field of TEXTS, "" if the request has none. Asked thirty times for each request, so nothing is checked."""
        return self.fields.get(field, "")  # type: ignore[return-value]  # `decode` gives texts to no other fields

    def integer(self, field: str) -> int | None:
        """A field of INTEGERS, None if it was not sent."""
        value = self.fields.get(field)
        return value if isinstance(value, int) else None


def decode(body: bytes, content_type: str) -> Described:
    """Read a body of the given Content-Type header.

    Raises CallRefused: 413 over MAX_BODY_BYTES, 415 for anything but JSON and forms, 400 for what is malformed, no
    object, or has a field of the wrong type or out of its range.
    """
    if len(body) > MAX_BODY_BYTES:
        raise CallRefused(413, f"the body has {len(body)} bytes, at most {MAX_BODY_BYTES} are judged")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == JSON:
        return Described(_typed(_json_object(body)))
    if media_type == FORM:
        return Described(_typed(_form_fields(body)))
    raise CallRefused(415, f"the body is {media_type[:SHOWN_CHARACTERS] or 'of no type'!r}, read are {JSON} and {FORM}")


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CallRefused(400, f"the body is not JSON: {error}"[:200]) from None
    if not isinstance(decoded, dict):
        raise CallRefused(400, f"the body is a JSON {_type_name(decoded)}, expected an object")
    return decoded


def _form_fields(body: bytes) -> dict[str, str]:
    """The fields of a form (WHATWG URL, 5.1): a broken percent sequence stands for itself, as in every browser."""
    pairs = body.split(b"&", MAX_FORM_FIELDS)
    if len(pairs) > MAX_FORM_FIELDS:
        raise CallRefused(400, f"the form has more than {MAX_FORM_FIELDS} fields")
    fields = dict(map(_FORM_PAIRS.__getitem__, pairs))
    fields.pop("", None)
    return fields


def _form_pair(raw: bytes) -> tuple[str, str]:
    name, _, value = raw.partition(b"=")
    return _form_text(name), _form_text(value)


def _form_text(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # a header's value may be any bytes; the contract's section 2 reads them so


def _typed(sent: Mapping[str, Any]) -> dict[str, Value]:
    """The known fields of what was sent, each checked."""
    fields: dict[str, Value] = {}
    for name, value in sent.items():
        if type(value) is str and name in _TEXT_NAMES:  # most of them, without a call
            if value:
                fields[name] = value
        elif value is not None and value != "" and name in _READERS:
            fields[name] = _READERS[name](name, value)
    return fields


def _text(name: str, value: Any) -> str:
    if type(value) is str:
        return value
    raise _wrong_type(name, value, "a string")


def _integer(name: str, value: Any) -> int:
    if type(value) is str and re.fullmatch(r"-?[0-9]{1,19}", value):
        value = int(value)
    if type(value) is not int:  # bool is an int, but not here
        raise _wrong_type(name, value, "an integer")
    least, greatest = INTEGERS[name]
    if not least <= value <= greatest:
        raise CallRefused(400, f"{name} is {value}, expected {least} to {greatest}")
    return value


def _number(name: str, value: Any) -> float:
    if type(value) is str and _NUMBER(value):
        return float(value)
    if type(value) is int or type(value) is float:
        return value
    raise _wrong_type(name, value, "a number")


_NUMBER = re.compile(r"-?[0-9]{1,19}(?:\.[0-9]{1,19})?(?:[eE][-+]?[0-9]{1,2})?").fullmatch  # forms have only text


def _wrong_type(name: str, value: Any, expected: str) -> CallRefused:
    shown = f" {value[:SHOWN_CHARACTERS]!r}" if isinstance(value, str) else ""
    return CallRefused(400, f"{name} is a JSON {_type_name(value)}{shown}, expected {expected}")


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


# Most pairs come again and again (Accept, a browser's name and hints): 15 us for a usual form instead of 60.
_FORM_PAIRS: Memo[tuple[str, str]] = Memo(_form_pair)
_TEXT_NAMES = frozenset(TEXTS)
_READERS: dict[str, Callable[[str, Any], Value]] = {
    **dict.fromkeys(TEXTS, _text),
    **dict.fromkeys(INTEGERS, _integer),
    **dict.fromkeys(NUMBERS, _number),
}
