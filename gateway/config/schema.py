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
_ANNOTATIONS = ("title", "description", "default", "examples")


class _Generator(GenerateJsonSchema):
    """Takes defaults as they are written: they are in the words of a file already (`150ms`)."""

    def encode_default(self, dft: Any) -> Any:
        return dft

    def default_schema(self, schema: Any) -> dict[str, Any]:
        result = self.generate_inner(schema["schema"])
        if "default" not in schema:
            return result
        return {**result, "default": schema["default"]}


def json_schema() -> dict[str, Any]:
    """Of a file as it is written: wherever a value has a form, `${NAME}` is accepted too."""
    schema = Config.model_json_schema(mode="validation", schema_generator=_Generator)
    sections = schema["$defs"]
    for section in (schema, *sections.values()):
        section["properties"] = {
            name: _or_reference(_with_description(value, sections)) for name, value in section["properties"].items()
        }
    sections["Reference"] = {"type": "string", "pattern": r"\$\{", "description": "From the environment."}
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "Protection gateway configuration"}


def _with_description(value: dict[str, Any], sections: dict[str, Any]) -> dict[str, Any]:
    """pydantic leaves a key's description out where it is the section's own; here every key has one."""
    if "description" in value or "$ref" not in value:
        return value
    return {**value, "description": sections[value["$ref"].rpartition("/")[2]]["description"]}


def _or_reference(value: dict[str, Any]) -> dict[str, Any]:
    """A value's schema with a reference as an alternative, if the schema would refuse its text."""
    if value.get("type") == "array":
        return {**value, "items": _or_reference(value["items"])}
    if not value.keys() & {"pattern", "enum", "const", "anyOf"} and value.get("type") not in ("integer", "boolean"):
        return value
    outside: dict[str, Any] = {key: value[key] for key in _ANNOTATIONS if key in value}
    form: dict[str, Any] = {key: part for key, part in value.items() if key not in outside}
    alternatives = form["anyOf"] if form.keys() == {"anyOf"} else [form]
    return {**outside, "anyOf": [*alternatives, {"$ref": "#/$defs/Reference"}]}


def settings_table() -> list[tuple[str, str, str]]:
    """(`sites[].origin.retries`, `1`, meaning) of every key that has a value; a section is its keys."""
    return list(_rows(Config, ""))


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        key = prefix + name
        section, is_list = _section_of(field.annotation)
        if section is None or field.default is None or field.is_required() or key == "sites[].protection":
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
