"""The configuration: what can be set, how it is read, and what is said when it is wrong.

`models` is the schema, as frozen objects; `loading` makes them from a file or a mapping. Whatever only a command of an
operator needs (YAML, JSON Schema) is imported when it is asked for: a worker process never loads it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.config.engine import (
        Engine,
        EngineChallenge,
        EngineCrawlers,
        EngineListen,
        EngineSession,
        EngineStore,
        EngineTls,
    )
    from gateway.config.loading import load_config, parse_config
    from gateway.config.models import (
        ActiveHealth,
        Admin,
        Breaker,
        ClientIp,
        Config,
        FingerprintHeaders,
        GraphQL,
        Limits,
        Listener,
        ListenerTls,
        Logging,
        Mcp,
        Origin,
        OriginHealth,
        OriginPool,
        OriginTls,
        Protection,
        ProtectionPool,
        Site,
    )
    from gateway.config.value import CustomSource, HeaderSource

__all__ = [
    "ActiveHealth",
    "Admin",
    "Breaker",
    "ClientIp",
    "Config",
    "CustomSource",
    "Engine",
    "EngineChallenge",
    "EngineCrawlers",
    "EngineListen",
    "EngineSession",
    "EngineStore",
    "EngineTls",
    "FingerprintHeaders",
    "GraphQL",
    "HeaderSource",
    "Limits",
    "Listener",
    "ListenerTls",
    "Logging",
    "Mcp",
    "Origin",
    "OriginHealth",
    "OriginPool",
    "OriginTls",
    "Protection",
    "ProtectionPool",
    "Site",
    "json_schema",
    "load_config",
    "parse_config",
    "render_yaml",
    "settings_table",
]

_MODULES = ("models", "loading", "engine", "value")
"""Where the names of __all__ are, but for the functions below."""


def __getattr__(name: str) -> Any:
    """Each name is loaded when it is asked for: a command that reads one section does not load the models of all."""
    for module in map(import_module, (f"gateway.config.{one}" for one in _MODULES)) if name in __all__ else ():
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"module 'gateway.config' has no attribute {name!r}")


def render_yaml(config: Config) -> str:
    """The effective configuration as YAML, secrets redacted: `gateway show`."""
    from gateway.config.rendering import render_yaml

    return render_yaml(config)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the file: `gateway schema`."""
    from gateway.config.schema import json_schema

    return json_schema()


def settings_table() -> list[tuple[str, str, str]]:
    """Every key as (dotted key, default as in a file, meaning), in the file's order."""
    from gateway.config.schema import settings_table

    return settings_table()
