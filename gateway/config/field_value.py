"""What can be set about the payload's fields: their limits, and the values of the custom ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.config import units
from gateway.config.fields import FIELD_BY_NAME, FIELDS
from gateway.config.scalar import typed
from gateway.config.value import HEADER_NAME, CustomSource, Finding, HeaderSource, nearest, read_size, rejected, report

_INT64 = 2**63 - 1  # what every JSON reader of the Protection API can be expected to take
_CUSTOM_FIELDS = tuple(row.field for row in FIELDS if row.field.startswith("customField"))
_LIMITED_FIELDS = tuple(row.field for row in FIELDS if row.type == "string")


def _field_limits(value: object) -> dict[str, int]:
    limits = {} if value is None else value
    if not isinstance(limits, Mapping):
        raise rejected("a mapping of field: bytes")
    findings, result = [], {}
    for field, limit in limits.items():
        try:
            if field not in _LIMITED_FIELDS:
                raise rejected(_unknown_field(field, _LIMITED_FIELDS))
            result[field] = read_size(limit)
        except PydanticCustomError as error:
            findings.append(Finding((field,), limit, str(error)))
    report(findings)
    return result


def _custom_fields(value: object) -> dict[str, CustomSource]:
    sources = {} if value is None else value
    if not isinstance(sources, Mapping):
        raise rejected("a mapping of field: {header: NAME} or constant")
    findings: list[Finding] = []
    result: dict[str, CustomSource] = {}
    for field, source in sources.items():
        try:
            if field not in _CUSTOM_FIELDS:
                raise rejected(_unknown_field(field, _CUSTOM_FIELDS))
            result[field] = _custom_source(source, FIELD_BY_NAME[field].type)
        except PydanticCustomError as error:
            findings.append(Finding((field,), source, str(error)))
    report(findings)
    return result


def _custom_source(source: object, kind: str) -> CustomSource:
    if isinstance(source, HeaderSource):
        return source
    if isinstance(source, Mapping):
        name = source.get("header")
        if set(source) != {"header"} or not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
            raise rejected("{header: NAME} with the name of a header, and nothing else")
        return HeaderSource(header=name)
    if kind == "string":
        if not isinstance(source, str) or not source or not source.isprintable():
            raise rejected("{header: NAME} or a printable text that is not empty (quote a number)")
        return str(source)
    number = typed(source)
    whole = isinstance(number, int) and not isinstance(number, bool) and abs(number) <= _INT64
    if kind == "integer" and not whole:
        raise rejected("{header: NAME} or a whole number of 64 bits")
    if not whole and not (isinstance(number, float) and math.isfinite(number)):
        raise rejected("{header: NAME} or a number")
    assert isinstance(number, (int, float))
    return number


def _unknown_field(field: object, known: tuple[str, ...]) -> str:
    return "a field that can be set here: " + nearest(str(field), known)


def _write_custom_fields(fields: dict[str, CustomSource]) -> dict[str, object]:
    return {
        field: {"header": source.header} if isinstance(source, HeaderSource) else source
        for field, source in fields.items()
    }


def _write_limits(limits: dict[str, int]) -> dict[str, str]:
    return {field: units.format_size(limit) for field, limit in limits.items()}


FieldLimits = Annotated[
    dict[str, int],
    PlainValidator(_field_limits),
    PlainSerializer(_write_limits, return_type=dict[str, str]),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"enum": list(_LIMITED_FIELDS)},
            "additionalProperties": {
                "anyOf": [{"type": "string", "pattern": units.SIZE_PATTERN}, {"type": "integer", "minimum": 1}]
            },
        }
    ),
]
CustomFields = Annotated[
    dict[str, CustomSource],
    PlainValidator(_custom_fields),
    PlainSerializer(_write_custom_fields, return_type=dict[str, Any]),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"enum": list(_CUSTOM_FIELDS)},
            "additionalProperties": {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"header": {"type": "string"}},
                        "required": ["header"],
                        "additionalProperties": False,
                    },
                    {"type": ["string", "number"]},
                ]
            },
        }
    ),
]
