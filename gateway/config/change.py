"""What changed: the keys that differ between two configurations, by which a process that reloads says what needs a
restart, and files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
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


FileState = tuple[int, int, int]


def file_state(path: str | Path) -> FileState | None:
    """What differs when a file was written, replaced, or its symbolic link turned (Kubernetes); None without one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _value(dump: dict[str, Any], key: str) -> object:
    value: Any = dump
    for part in key.split("."):
        value = None if value is None else value[part]
    return value
