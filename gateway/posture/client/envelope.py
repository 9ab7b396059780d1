"""The error envelope of DDactic and CyperSecurity, and the exception that each of its errors is.

`{"error": {"code": "...", "message": "...", "details": {...}}}`, with the statuses and codes of their documents
(contract/posture.md; "Error Handling" in the pages of both).
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.errors import (
    Conflict,
    CredentialsRefused,
    InvalidCall,
    NotFound,
    PermissionRefused,
    PlatformFailed,
    PlatformRefused,
    QuotaExhausted,
    RateLimited,
)

_BY_CODE: dict[str, type[PlatformRefused]] = {
    "unauthorized": CredentialsRefused,
    "authentication_failed": CredentialsRefused,
    "forbidden": PermissionRefused,
    "not_found": NotFound,
    "scan_in_progress": Conflict,
}
_BY_STATUS: dict[int, type[PlatformRefused]] = {
    401: CredentialsRefused,
    402: QuotaExhausted,
    403: PermissionRefused,
    404: NotFound,
    409: Conflict,
}
_TEXT = 200


def read_refusal(provider: str, call: str, status: int, body: bytes) -> PlatformRefused:
    """The error of an answer that is no success. A body without an envelope is quoted, cut."""
    code, message = _read(body)
    if 300 <= status < 400:
        return InvalidCall(provider, call, status, "", "a redirect, which is never followed")
    return _kind(status, code)(provider, call, status, code, message)


def _kind(status: int, code: str) -> type[PlatformRefused]:
    """Of 429 and 5xx the status decides whether a call is repeated, unless what was paid for is used up."""
    if code == "insufficient_quota":
        return QuotaExhausted
    if status >= 500:
        return PlatformFailed
    return RateLimited if status == 429 else _BY_CODE.get(code) or _BY_STATUS.get(status) or InvalidCall


def _read(body: bytes) -> tuple[str, str]:
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", _line(body.decode("utf-8", "replace"))
    error = decoded.get("error") if isinstance(decoded, dict) else None
    if not isinstance(error, dict):
        return "", _line(error if isinstance(error, str) else body.decode("utf-8", "replace"))
    return _line(error.get("code")), _message(error)


def _message(error: dict[str, Any]) -> str:
    """The platform's sentence, with the field that it blames unless the sentence has it."""
    message, details = _line(error.get("message")), error.get("details")
    field = _line(details.get("field")) if isinstance(details, dict) else ""
    return f"{message} (field {field})" if field and field.lower() not in message.lower() else message


def _line(value: object) -> str:
    """A short text on one line; "" for anything else."""
    if not isinstance(value, str):
        return ""
    text = " ".join("".join(one if one.isprintable() else " " for one in value[: 2 * _TEXT]).split())
    return text[:_TEXT]
