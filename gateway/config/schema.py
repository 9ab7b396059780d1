"""The schema for machines and for the README: JSON Schema (draft 2020-12), and a table of every key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from gateway.config.models import Config

REQUIRED = "required"


class _Generator(GenerateJsonSchema):
    """Takes defaults as they are written: they are in the words of a file already (`150ms`)."""

    def encode_default(self, dft: Any) -> Any:
        return dft

    def default_schema(self, schema: Any) -> dict[str, Any]:
        result = self.generate_inner(schema["schema"])
        if "default" not in schema:
            return result
        return {**result, "default": schema["default"]} if "$ref" not in result else {
            "allOf": [result],
            "default": schema["default"],
        }


def json_schema() -> dict[str, Any]:
    """The schema of a file before `${NAME}` is replaced is looser; this is of what stands there afterwards."""
    schema = Config.model_json_schema(mode="validation", schema_generator=_Generator)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "Protection gateway configuration"}


def settings_table() -> list[tuple[str, str, str]]:
    """(`sites[].origin.retries`, `1`, meaning) of every key, sections without keys of their own value left out."""
    return list(_rows(Config, ""))


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        key = prefix + name
        section, is_list = _section_of(field.annotation)
        yield key, _default(field), field.description or ""
        if section is not None and key != "sites[].protection":
            yield from _rows(section, f"{key}[]." if is_list else f"{key}.")


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default" in extra:
        return str(extra["default"])
    if field.is_required():
        return REQUIRED
    if isinstance(field.default, str):
        return field.default
    return json.dumps(field.default)


def _section_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """(the section that a field holds, whether it holds a list of them)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in get_args(annotation):
        section, is_list = _section_of(argument)
        if section is not None:
            return section, is_list or get_origin(annotation) is tuple
    return None, False
