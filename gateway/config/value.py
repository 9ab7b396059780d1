"""The types of single values: how each is checked, what an error says is accepted, how it is written back.

A rejected value raises PydanticCustomError of type `expected`, whose text completes the sentence "got VALUE; expected";
a check over several values raises one of type `problems` (see `Finding`). `gateway.config.problem` makes the lines.
"""

from __future__ import annotations

import ipaddress
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

from pydantic import (
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, ValidationError, core_schema

from gateway.config import address, units
from gateway.config.scalar import typed

T = TypeVar("T")

NOT_AVAILABLE = "not available in this version"

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110 5.6.2
_HEADER_EXPECTED = "a header name: 1 to 100 of the letters, digits and signs of RFC 9110 5.6.2"
_NAME_PATTERN = r"[!-~](?:[ -~]{0,251}[!-~])?"  # as long as a host name, which it often is
_NAME_EXPECTED = "1 to 253 printable ASCII characters without spaces at the ends"


class Finding(NamedTuple):
    """Something wrong at `keys`, relative to the section that found it."""

    keys: tuple[str | int, ...]
    value: object
    expected: str


@dataclass(frozen=True, slots=True)
class HeaderSource:
    """A custom field's value is that of a request header."""

    header: str


CustomSource = HeaderSource | str | int | float


def rejected(expected: str) -> PydanticCustomError:
    """The error of one value."""
    return PydanticCustomError("expected", "{expected}", {"expected": expected})


def report(findings: list[Finding]) -> None:
    """Raise the error of several values, if there are any."""
    if findings:
        raise PydanticCustomError("problems", "several values", {"findings": findings})


def nearest(word: str, known: tuple[str, ...]) -> str:
    """The known words, the most similar ones first and alone if there are many."""
    import difflib  # only an error needs it

    lowered = {name.lower(): name for name in known}
    similar = [lowered[name] for name in difflib.get_close_matches(word.lower()[:100], lowered, 3, 0.6)]
    if similar:
        return f"did you mean {' or '.join(similar)}?"
    return ", ".join(known) if len(known) <= 20 else f"{', '.join(known[:20])}..."


class OneOf:
    """Of a Literal: the error lists the choices."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = get_args(source)
        expected = f"one of {', '.join(choices)}" if len(choices) > 1 else str(choices[0])

        def validate(value: object, inner: ValidatorFunctionWrapHandler) -> object:
            try:
                return inner("off" if value is False and "off" in choices else value)  # YAML 1.1 reads `off` as false
            except ValidationError:
                raise rejected(expected) from None

        return core_schema.no_info_wrap_validator_function(validate, handler(source))


def _text(parse: Callable[[str], T], expected: str) -> Callable[[object], T]:
    """A validator of a string. `parse` raises ValueError with what it expects."""

    def validate(value: object) -> T:
        if not isinstance(value, str):
            raise rejected(expected)
        try:
            return parse(str(value))
        except ValueError as error:
            raise rejected(str(error)) from None

    return validate


def _whole(minimum: int, maximum: int) -> Callable[[object], int]:
    expected = f"a whole number from {minimum} to {maximum}"

    def validate(value: object) -> int:
        number = typed(value)
        if not isinstance(number, int) or isinstance(number, bool) or not minimum <= number <= maximum:
            raise rejected(expected)
        return number

    return validate


def _matching(pattern: str, expected: str, change: Callable[[str], str] = str) -> Callable[[object], str]:
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(expected)
        return change(text)

    return _text(parse, expected)


def _unchanged(check: Callable[[str], object]) -> Callable[[str], str]:
    """A parser that keeps the text: users of the value parse it again, with the same function."""

    def parse(text: str) -> str:
        check(text)
        return text

    return parse


# --- numbers and switches ---


def _flag(value: object) -> bool:
    switch = typed(value)
    if not isinstance(switch, bool):
        raise rejected("true or false")
    return switch


def _flag_not_available(value: object) -> bool:
    if _flag(value):
        raise rejected(f"false: true is {NOT_AVAILABLE}")
    return False


def _duration(value: object) -> float:
    if not isinstance(value, str):
        raise rejected(units.DURATION_EXPECTED)
    try:
        return units.parse_duration(value)
    except ValueError as error:
        raise rejected(str(error)) from None


def read_size(value: object) -> int:
    size = typed(value)
    if not isinstance(size, (str, int)) or isinstance(size, bool):
        raise rejected(units.SIZE_EXPECTED)
    try:
        return units.parse_size(size)
    except ValueError as error:
        raise rejected(str(error)) from None


def _workers(value: object) -> int:
    if value == "auto":
        return len(os.sched_getaffinity(0))  # not cpu_count: a container's or taskset's CPUs are fewer
    number = typed(value)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 1024:
        raise rejected("auto or a whole number from 1 to 1024")
    return number


_WHOLE_MAX = 10_000_000

Flag = Annotated[bool, PlainValidator(_flag), WithJsonSchema({"type": "boolean"})]
FlagNotAvailable = Annotated[
    bool, PlainValidator(_flag_not_available), WithJsonSchema({"type": "boolean", "const": False})
]
Count = Annotated[
    int,
    PlainValidator(_whole(1, _WHOLE_MAX)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": _WHOLE_MAX}),
]
CountOrZero = Annotated[
    int,
    PlainValidator(_whole(0, _WHOLE_MAX)),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _WHOLE_MAX}),
]
Retries = Annotated[
    int, PlainValidator(_whole(0, 10)), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 10})
]
Difficulty = Annotated[
    int, PlainValidator(_whole(12, 19)), WithJsonSchema({"type": "integer", "minimum": 12, "maximum": 19})
]
Workers = Annotated[
    int,
    PlainValidator(_workers),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1024}, {"const": "auto"}]}),
]
Duration = Annotated[
    float,
    PlainValidator(_duration),
    PlainSerializer(units.format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": units.DURATION_PATTERN, "examples": ["150ms", "2s", "1m"]}),
]
Size = Annotated[
    int,
    PlainValidator(read_size),
    PlainSerializer(units.format_size, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": units.SIZE_PATTERN},
                {"type": "integer", "minimum": 1, "maximum": units.MAX_SIZE_BYTES},
            ],
            "examples": ["24KiB", "1MiB", 512],
        }
    ),
]

# --- texts ---


def _pattern(text: str) -> str:
    """A regular expression that compiles for bytes, which is what it is searched in."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "possible nested set": [[:alpha:]] is no class here, so it is a mistake
            re.compile(text.encode())
    except (re.error, ValueError, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"a regular expression ({str(error)[:100]})") from None
    return text


def _file(text: str) -> str:
    """A path that can be read now; a relative one starts where the process was started."""
    if not text.isprintable():  # undecodable names too: a configuration travels to the workers as JSON
        raise ValueError("a file name of printable characters")
    try:
        with open(text, "rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no path"
        raise ValueError(f"a file that can be read ({reason})") from None
    return text


def _directory(text: str) -> str:
    """A directory that can be written to now, or made now where there is none."""
    place = text if os.path.lexists(text) else os.path.dirname(os.path.abspath(text))
    if not text or not text.isprintable() or not os.path.isdir(place) or not os.access(place, os.W_OK | os.X_OK):
        raise ValueError("a directory that can be written to, or a new name in one")
    return text


def _name_server(text: str) -> str:
    host, colon, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "")
    try:
        ipaddress.ip_address(host.strip("[]"))
        if colon and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
            raise ValueError
    except ValueError:
        raise ValueError("an address, ADDRESS:PORT or [V6]:PORT") from None
    return text


def _access_log(value: object) -> bool | str:
    log = typed(value)
    if isinstance(log, bool):
        return log
    if isinstance(log, str) and log.isprintable() and log.strip() and log.lower() not in ("yes", "no", "true", "false"):
        return log
    raise rejected("true (standard output), false or a file name")


Name = Annotated[
    str,
    PlainValidator(_matching(_NAME_PATTERN, _NAME_EXPECTED)),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 253}),
]
FilledName = Annotated[  # null in the file, but never in the program
    str,
    PlainValidator(_matching(_NAME_PATTERN, _NAME_EXPECTED)),
    WithJsonSchema({"type": ["string", "null"], "minLength": 1, "maxLength": 253}),
]
HeaderName = Annotated[
    str,
    PlainValidator(_matching(HEADER_NAME.pattern, _HEADER_EXPECTED)),
    WithJsonSchema({"type": "string", "pattern": f"^{HEADER_NAME.pattern}$"}),
]
Method = Annotated[
    str,
    PlainValidator(_matching(HEADER_NAME.pattern, "a method, such as OPTIONS", str.upper)),
    WithJsonSchema({"type": "string", "pattern": f"^{HEADER_NAME.pattern}$"}),
]
Extension = Annotated[
    str,
    PlainValidator(
        _matching(r"\.?[A-Za-z0-9_-]{1,32}", "a file extension, such as css", lambda text: text.lstrip(".").lower())
    ),
    WithJsonSchema({"type": "string", "pattern": r"^\.?[A-Za-z0-9_-]{1,32}$"}),
]
PathPrefix = Annotated[
    str,
    PlainValidator(_matching(r"/[!-\"$->@-~]*", "a path prefix in ASCII that begins with / and has no space, ? or #")),
    WithJsonSchema({"type": "string", "pattern": "^/"}),
]
HostPattern = Annotated[
    str,
    PlainValidator(_text(address.parse_host_pattern, address.HOST_EXPECTED)),
    WithJsonSchema({"type": "string", "examples": ["shop.example", "*.example.com", "*"]}),
]
ListenAddress = Annotated[
    str,
    PlainValidator(_text(_unchanged(address.parse_address), address.ADDRESS_EXPECTED)),
    WithJsonSchema({"type": "string", "examples": ["127.0.0.1:8080", "[::]:443", "unix:/run/gateway.sock"]}),
]


def _server(text: str) -> str:
    address.parse_server(text)
    return text if text.startswith(address.UNIX) else text.rstrip("/")


def _protection_endpoint(text: str) -> str:
    if text == "embedded":
        return text
    address.parse_endpoint(text)
    return text if text.startswith(address.UNIX) else text.rstrip("/")


ServerUrl = Annotated[
    str,
    PlainValidator(_text(_server, address.SERVER_EXPECTED)),
    WithJsonSchema({"type": "string", "pattern": "^([hH][tT][tT][pP][sS]?://|unix:/)"}),
]
ProtectionEndpoint = Annotated[
    str,
    PlainValidator(_text(_protection_endpoint, address.ENDPOINT_EXPECTED)),
    WithJsonSchema({"type": "string", "pattern": "^(embedded$|[hH][tT][tT][pP][sS]?://|unix:/)"}),
]
Network = Annotated[
    str,
    PlainValidator(_text(address.parse_network, address.NETWORK_EXPECTED)),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8", "fd00::/8"]}),
]
Pattern = Annotated[
    str, PlainValidator(_text(_pattern, "a regular expression")), WithJsonSchema({"type": "string", "format": "regex"})
]
ReadableFile = Annotated[
    str, PlainValidator(_text(_file, "the name of a file that can be read")), WithJsonSchema({"type": "string"})
]
HostName = Annotated[
    str,
    PlainValidator(_matching(r"(?=.{1,253}\Z)[a-zA-Z0-9-]{1,63}(?:\.[a-zA-Z0-9-]{1,63})*", "a host name", str.lower)),
    WithJsonSchema({"type": "string", "examples": ["chatgpt.com"]}),
]
NameServer = Annotated[
    str,
    PlainValidator(_text(_name_server, "an address, or ADDRESS:PORT")),
    WithJsonSchema({"type": "string", "examples": ["192.0.2.53", "127.0.0.1:5353"]}),
]
StorePrefix = Annotated[
    str,
    PlainValidator(_matching(r"[!-z|~]{1,100}", "1 to 100 printable characters without spaces and braces")),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 100}),
]
DirectoryName = Annotated[
    str, PlainValidator(_text(_directory, "the name of a directory")), WithJsonSchema({"type": "string"})
]
Contact = Annotated[
    str,
    PlainValidator(_matching(r"[^\x00-\x1f\x7f<>]{1,200}", "a text of 1 to 200 characters, without < and >")),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200}),
]
AccessLog = Annotated[
    bool | str, PlainValidator(_access_log), WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string"}]})
]


def _tls_version(value: object) -> object:
    version = typed(value)
    return str(version) if isinstance(version, float) else value  # `min_version: 1.2` without quotes is a number


def _validate_tls_version(value: object) -> str:
    version = _tls_version(value)
    if version not in ("1.2", "1.3"):
        raise rejected("1.2 or 1.3")
    return str(version)


TlsVersion = Annotated[
    Literal["1.2", "1.3"],
    PlainValidator(_validate_tls_version),
    WithJsonSchema({"enum": ["1.2", "1.3", 1.2, 1.3]}),
]

# --- what a later version brings ---


def _nothing(value: object) -> None:
    if typed(value) is not None and value != {}:
        raise rejected(f"null: {NOT_AVAILABLE}")


NotAvailable = Annotated[None, PlainValidator(_nothing), WithJsonSchema({"type": "null"})]
