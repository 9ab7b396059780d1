"""What a reload may change, how a changed file is noticed, and what became of the last reload."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from gateway.config import Config
from gateway.config.change import ENGINE_KEYS, changed_keys
from gateway.metrics import Metrics

# What is bound, counted or connected once, at the start. Everything else is swapped while traffic flows.
RESTART_KEYS = (
    "listeners", "workers", "admin.address", "posture.store", "posture.webhooks.address", "posture.actions.file",
    "engine.patches", *ENGINE_KEYS,
)  # fmt: skip


def changed_restart_keys(old: Config, new: Config) -> list[str]:
    """The keys that differ and need a restart, dotted, in the order of RESTART_KEYS. The receiver of webhooks is opened
    and closed by a reload, but not moved."""
    moves = old.posture.webhooks is not None and new.posture.webhooks is not None
    return [key for key in changed_keys(old, new, RESTART_KEYS) if moves or key != "posture.webhooks.address"]


class Reloads:
    """The outcome of the last (re)load, for the metrics and /status.json."""

    def __init__(self, metrics: Metrics) -> None:
        self.error: str | None = None
        self._at_s = time.time()
        self._metrics = metrics

    def succeeded(self) -> None:
        self.error = None
        self._at_s = time.time()
        self._metrics.config_last_reload_successful.values[()] = 1
        self._metrics.config_last_reload_timestamp.values[()] = self._at_s

    def failed(self, error: str) -> None:
        self.error = error
        self._at_s = time.time()
        self._metrics.config_last_reload_successful.values[()] = 0

    def status(self) -> dict[str, Any]:
        at = datetime.fromtimestamp(self._at_s, UTC).isoformat(timespec="seconds")
        return {"ok": self.error is None, "error": self.error, "at": at}
