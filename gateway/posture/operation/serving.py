"""`posture serve`: the receiver alone, and what follows from findings for an engine that runs elsewhere."""

from __future__ import annotations

from pathlib import Path

from gateway.config import load_config
from gateway.config.posture import load_posture
from gateway.logs import Format, Level
from gateway.posture.operation.acting import repeated
from gateway.posture.webhook.service import Hook, run


def serve(file: Path, level: Level = "info", format: Format = "json") -> int:
    """Until SIGTERM or SIGINT. Reads the whole configuration only where findings are acted on, for its sites. level,
    format: of the log. Raises ConfigError, PostureError."""
    posture = load_posture(file)
    if posture.actions.file is None or not posture.actions.rules:
        return run(posture, file, level=level, format=format)
    config = load_config(file)
    hook = Hook("actions", repeated(lambda: config, Path(posture.actions.file)))
    return run(posture, file, [hook], level=level, format=format)
