"""Secrets: read from a key or a file, never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BaseModel, PlainSerializer, PlainValidator, SecretStr, SerializationInfo, WithJsonSchema

from gateway.config.section import AnySection
from gateway.config.value import Finding, rejected, report

REDACTED = "***"
SECRET_KEYS = frozenset({"key", "keys", "password", "secret", "secrets", "token", "url"})
"""Keys of the schema whose value is never shown."""
PROTECTION_KEY_DEFAULT = "${PROTECTION_API_KEY:-embedded}"

_FILE_BYTES = 64 * 1024  # a key is short; a wrong path may name anything
_EXPECTED = "a secret: 1 to 4096 printable characters without spaces at the ends"


def _is_secret(text: str) -> bool:
    return 0 < len(text) <= 4096 and text.isprintable() and text == text.strip()


def _secret(value: object) -> SecretStr:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not _is_secret(text):
        raise rejected(_EXPECTED)
    return SecretStr(str(text))


def _write_secret(secret: SecretStr, info: SerializationInfo[Any]) -> str:
    return secret.get_secret_value() if is_revealing(info) else REDACTED


def _store_url(value: object) -> SecretStr:
    """`memory` or a URL that may hold a password; the store itself says what is wrong with its form."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not (text == "memory" or _STORE_URL.match(text)) or not _is_secret(text):
        raise rejected("memory, valkey://HOST:PORT, valkeys://... (TLS), valkey+cluster://HOST:PORT,... or unix:/PATH")
    return SecretStr(str(text))


def is_revealing(info: SerializationInfo[Any]) -> bool:
    """True if the configuration is written for a process of ours, and not to be shown."""
    return isinstance(info.context, dict) and info.context.get("reveal_secrets") is True


def write_url(url: SecretStr, info: SerializationInfo[Any]) -> str:
    """Readable but for user, password and the values of the query."""
    text = url.get_secret_value()
    return text if is_revealing(info) else shown_url(text)


def shown_url(text: str) -> str:
    """A URL without what may be secret in it. Where a ? stands before an @, nobody can tell a password from a query."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    user, at, place = rest.rpartition("@")
    if "?" in user:
        return f"{scheme}://{REDACTED}"
    place, mark, query = place.partition("?")
    hidden = re.sub(r"[^&;]+", lambda one: f"{name}={REDACTED}" if (name := _name_in(one[0])) else REDACTED, query)
    return f"{scheme}://{f'{REDACTED}@' if at else ''}{place}{mark}{hidden}"


def _name_in(parameter: str) -> str:
    """`a` of `a=b`; "" for a parameter that is all value."""
    name, equals, _ = parameter.partition("=")
    return name if equals else ""


def secrets_of(value: object) -> Iterator[str]:
    """The secrets of a section and of those in it; of a URL that may have some, the password and the query's values."""
    if isinstance(value, SecretStr):
        yield from _parts_of(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name))


def _parts_of(secret: str) -> Iterator[str]:
    if _ANY_STORE.match(secret) is None:
        yield secret
        return
    head, _, query = secret.partition("?")
    given = head.rpartition("@")[0].partition("://")[2].partition(":")[2]
    values = [parameter.partition("=")[2] for parameter in re.split("[&;]", query) if "password" in parameter]
    for part in (given, *values):
        yield from dict.fromkeys(filter(None, (part, unquote(part))))


_ANY_STORE = re.compile(r"sqlite:|postgresql:|memory$|(?:valkey|redis)[a-z+]*:|unix:", re.IGNORECASE)
_STORE_URL = re.compile(r"(?:(?:valkey|redis)s?(?:\+cluster)?://|unix:/)", re.IGNORECASE)
StoreUrl = Annotated[
    SecretStr,
    PlainValidator(_store_url),
    PlainSerializer(write_url, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["memory", "valkey://127.0.0.1:6379"]}),
]
Secret = Annotated[
    SecretStr,
    PlainValidator(_secret),
    PlainSerializer(_write_secret, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 4096}),
]


def _secret_of_file(path: object) -> SecretStr:
    """The secret in a file, without the line ends behind it."""
    if not isinstance(path, str):
        raise rejected("the name of a file that holds the secret")
    try:
        with open(path, "rb") as file:
            text = file.read(_FILE_BYTES).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise rejected("a file that holds the secret in UTF-8") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no path"
        raise rejected(f"a file that can be read ({reason})") from None
    if not _is_secret(text):
        raise rejected(f"a file that holds {_EXPECTED}")
    return SecretStr(text)


SecretFile = Annotated[
    SecretStr,
    PlainValidator(_secret_of_file),
    PlainSerializer(_write_secret, return_type=str),
    WithJsonSchema({"type": "string"}),
]

def with_secret_of_file(section: AnySection, key: str, file_key: str) -> AnySection:
    """The secret that was read for `x_file`, moved to `x`: the configuration holds one, whatever it came from."""
    secret = getattr(section, file_key)
    if secret is None:
        return section
    if key in section.model_fields_set and getattr(section, key) is not None:
        report([Finding((file_key,), secret, f"null, because {key} is given too: one of both")])
    return section.model_copy(update={key: secret, file_key: None})
