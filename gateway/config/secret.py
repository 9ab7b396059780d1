"""Secrets: read from a key or a file, never shown."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, SecretStr, SerializationInfo, WithJsonSchema

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
    reveal = isinstance(info.context, dict) and info.context.get("reveal_secrets") is True
    return secret.get_secret_value() if reveal else REDACTED


def _store_url(value: object) -> SecretStr:
    """`memory` or a URL that may hold a password; the store itself says what is wrong with its form."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not (text == "memory" or _STORE_URL.match(text)) or not _is_secret(text):
        raise rejected("memory, valkey://HOST:PORT, valkeys://... (TLS), valkey+cluster://HOST:PORT,... or unix:/PATH")
    return SecretStr(str(text))


def write_url(url: SecretStr, info: SerializationInfo[Any]) -> str:
    """Readable but for user and password."""
    reveal = isinstance(info.context, dict) and info.context.get("reveal_secrets") is True
    text = url.get_secret_value()
    head, at, tail = text.rpartition("@")
    return text if reveal or not at else f"{head.partition('://')[0]}://{REDACTED}@{tail}"


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
