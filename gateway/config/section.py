"""A mapping of the file: strict keys, defaults that are validated like a file's, a line of meaning for each key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.config.scalar import Expanded, resolve_plain


class Section(BaseModel):
    """A mapping of the file: unknown keys are errors, an empty one (`limits:`) means all defaults."""

    # defer_build: a section inside another needs no validator of its own, and a command uses few of them.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True, defer_build=True
    )

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, data: Any) -> Any:
        if data is None or (isinstance(data, Expanded) and resolve_plain(data) is None):
            return {}
        if not isinstance(data, Mapping):
            return data
        return {key: cls._prepare_value(key, value) for key, value in data.items()}

    @classmethod
    def _prepare_value(cls, key: object, value: object) -> object:
        """`${NAME:-null}` where null is accepted is null."""
        if isinstance(value, Expanded) and key in cls.model_fields and resolve_plain(value) is None:
            annotation = cls.model_fields[str(key)].annotation
            return None if type(None) in getattr(annotation, "__args__", ()) else value
        return value


AnySection = TypeVar("AnySection", bound=Section)


class Excerpt(Section):
    """Some keys of a mapping of the file; the others are not read, so that nothing wrong with them matters. With
    `others`, the names of these other keys, a key that is not among them either is an error, as it is there."""

    others: ClassVar[frozenset[str] | None] = None


def setting(default: Any, meaning: str) -> Any:
    """A key that may be left out. default: as one would type it in a file."""
    return Field(default, description=meaning)


def required(meaning: str) -> Any:
    """A key that must be given."""
    return Field(description=meaning)


def sections_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections in a key's type: of `tuple[Site, ...]` it is Site."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from sections_of(argument)


def is_read(model: type[BaseModel], path: tuple[str | int, ...]) -> bool:
    """False for a key that an Excerpt leaves out, and for all below it."""
    for part in path:
        if not issubclass(model, Excerpt):
            break
        if isinstance(part, str):
            if part not in model.model_fields:
                return model.others is not None and part not in model.others
            model = next(sections_of(model.model_fields[part].annotation), Section)
    return True
