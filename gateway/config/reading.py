"""From a file or a text to a section, such as a policy or an excerpt of a configuration, or to one error that lists
everything wrong with it."""

from __future__ import annotations

import os
from functools import partial

from pydantic import ValidationError

from gateway.config.problem import found_by_schema
from gateway.config.section import AnySection, is_read
from gateway.errors import ConfigError, ConfigProblem


def load_section(path: str | os.PathLike[str], model: type[AnySection]) -> AnySection:
    """A file of one section, such as a policy. Read and refused like a configuration; of an Excerpt, its keys alone."""
    return parse_section(_read(path), os.fspath(path), model)


def _read(path: str | os.PathLike[str]) -> str:
    from gateway.config.source import MAX_FILE_BYTES

    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{name}: got over {MAX_FILE_BYTES} bytes; expected at most that many")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError.of(
            [ConfigProblem(name, line, "", f"the byte 0x{raw[error.start]:02x}", "UTF-8 text")]
        ) from None


def parse_section(text: str, name: str, model: type[AnySection]) -> AnySection:
    """A section in a YAML text; an empty text is all defaults. Raises ConfigError as load_config does."""
    from gateway.config.source import Source  # a worker, which gets mappings, never loads the YAML library

    source = Source(name, text, partial(is_read, model))
    try:
        section = model.model_validate({} if source.data is None else source.data)
    except ValidationError as error:
        found = found_by_schema(error, model, source.data, name, lambda path, of_key: source.line(path, of_key=of_key))
        broken = {problem.key for problem in source.problems}
        raise ConfigError.of([*source.problems, *(problem for problem in found if problem.key not in broken)]) from None
    if source.problems:
        raise ConfigError.of(source.problems)
    return section
