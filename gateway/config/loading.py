"""From a file or a mapping to a Config, or to one error that lists everything wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path as PathName
from typing import Any

from pydantic import ValidationError

from gateway.config.models import Config
from gateway.config.problem import Path, found_by_schema
from gateway.config.section import AnySection, is_read
from gateway.errors import ConfigError, ConfigProblem


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read a YAML file (UTF-8, at most 8 MiB); `${NAME}` is replaced from the environment.

    Raises ConfigError with one line for each problem: `FILE:LINE: key.path: got VALUE; expected ...`.
    """
    config = _share_protection(load_section(path, Config))
    return config.model_copy(update={"posture": config.posture.stored_beside(PathName(path))})


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


def parse_text(text: str, name: str) -> Config:
    """The configuration in a YAML text. name: the file's, for messages. Raises ConfigError as load_config does."""
    return _share_protection(parse_section(text, name, Config))


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


def parse_config(mapping: Mapping[str, Any], *, origin: str = "<dict>") -> Config:
    """The configuration in a mapping of plain values, such as a dump's. Nothing is expanded but the default of a key
    that is not given: a text in a mapping is what it is. Raises ConfigError; origin stands for the file's name."""
    try:
        return _share_protection(Config.model_validate(mapping))
    except ValidationError as error:
        raise ConfigError.of(found_by_schema(error, Config, mapping, origin, _no_line)) from None


def _share_protection(config: Config) -> Config:
    """Sites without overrides have the global section itself, not a copy: `site.protection is config.protection`."""
    sites = tuple(
        site.model_copy(update={"protection": config.protection}) if site.protection == config.protection else site
        for site in config.sites
    )
    return config.model_copy(update={"sites": sites})


def _no_line(path: Path, of_key: bool) -> None:
    """A mapping has no lines."""
