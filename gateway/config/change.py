"""Which keys differ between two configurations: a process that reloads says by them what needs a restart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.config.models import Config

ENGINE_KEYS = (
    "engine.store", "engine.crawlers.dns", "engine.crawlers.nameservers", "engine.crawlers.refresh",
    "engine.crawlers.cache", "engine.crawlers.agents", "engine.crawlers.agent_keys",
)  # fmt: skip
"""What an engine connects and reads once, at its start. `engine.crawlers.wait` follows protection.timeout: not that."""


def changed_keys(old: Config, new: Config, keys: Iterable[str]) -> list[str]:
    """Those of `keys` (dotted, `engine.store`) whose values differ, in their order. What stands under a section that is
    null is null."""
    before, after = old.dump(reveal_secrets=True), new.dump(reveal_secrets=True)
    return [key for key in keys if _value(before, key) != _value(after, key)]


def _value(dump: dict[str, Any], key: str) -> object:
    value: Any = dump
    for part in key.split("."):
        value = None if value is None else value[part]
    return value
