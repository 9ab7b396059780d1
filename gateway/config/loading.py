"""From a file or a mapping to a Config, or to one error that lists everything wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as PathName
from typing import Any

from pydantic import ValidationError

from gateway.config.models import Config
from gateway.config.problem import Path, found_by_schema
from gateway.config.reading import load_section, parse_section
from gateway.errors import ConfigError


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read a YAML file (UTF-8, at most 8 MiB); `${NAME}` is replaced from the environment.

    Raises ConfigError with one line for each problem: `FILE:LINE: key.path: got VALUE; expected ...`.
    """
    config = _share_protection(load_section(path, Config))
    return config.model_copy(update={"posture": config.posture.stored_beside(PathName(path))})


def parse_text(text: str, name: str) -> Config:
    """The configuration in a YAML text. name: the file's, for messages. Raises ConfigError as load_config does."""
    return _share_protection(parse_section(text, name, Config))


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
