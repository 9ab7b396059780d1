"""The payload of a checked request, field by field."""

from __future__ import annotations

import time
from dataclasses import replace
from urllib.parse import parse_qsl

import orjson

from gateway.config.fields import FIELD_BY_NAME
from gateway.explain.model import Explanation, Field
from gateway.explain.request import CheckedRequest
from gateway.protection.encoding import BUDGET_BYTES, ENCODERS
from gateway.protection.payload import Payload

_SECRET_FIELD = "Key"
_REDACTED = "***"


def build_payload(check: CheckedRequest, encoding: str) -> Payload:
    return check.site.checker.payload.build(check.head, check.client, _now_us(), ENCODERS[encoding])


def describe_payload(explanation: Explanation, check: CheckedRequest, encoding: str, payload: Payload) -> Explanation:
    return replace(
        explanation, fields=_fields(check, encoding, payload), encoding=encoding, encoded_bytes=len(payload.body),
        budget_bytes=BUDGET_BYTES)


def _fields(check: CheckedRequest, encoding: str, payload: Payload) -> tuple[Field, ...]:
    """What is sent, read back from the encoded bytes. A field of which the budget left nothing is shown, empty."""
    sent = _read_back(payload.body, encoding)
    described, _ = check.site.checker.payload.describe(check.head, check.client, _now_us())
    limits = check.settings.field_limits
    fields = []
    for name in described:
        value = sent.get(name, "")
        limit = limits.get(name, FIELD_BY_NAME[name].limit_bytes)
        shown = _REDACTED if name == _SECRET_FIELD else value
        fields.append(Field(name, shown, len(value.encode()), limit, name in payload.truncated))
    return tuple(fields)


def _read_back(body: bytes, encoding: str) -> dict[str, str]:
    if encoding == "json":
        return {name: str(value) for name, value in orjson.loads(body).items()}
    return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True))


def _now_us() -> int:
    return int(time.time() * 1_000_000)
