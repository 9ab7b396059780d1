"""A configuration with everything that it names: what `run`, a reload and `check` accept."""

from __future__ import annotations

from pathlib import Path

from gateway.config import Config, load_config


def load_validated(path: Path) -> Config:
    """The configuration of a file whose policy can be used. Raises ConfigError, one line for each problem."""
    config = load_config(path)
    if config.engine.policy is not None:
        from gateway.engine.policy.loading import load_policy  # the supervisor has no other use for rules

        load_policy(config.engine.policy)
    return config
