"""Which changes of the configuration a reload refuses."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import Config, parse_config
from gateway.supervisor.reload import changed_restart_keys

HERE = {"address": "127.0.0.1:8090", "ddactic": {"secret": "ddactic-secret"}}
THERE = HERE | {"address": "127.0.0.1:8091"}


def config_of(webhooks: dict[str, Any] | None, **posture: Any) -> Config:
    section = posture if webhooks is None else {"webhooks": webhooks, **posture}
    return parse_config({"posture": section})


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        (config_of(None), config_of(HERE), []),
        (config_of(HERE), config_of(None), []),
        (config_of(HERE), config_of(HERE | {"ddactic": {"secret": "another-secret"}}), []),
        (config_of(HERE), config_of(THERE), ["posture.webhooks.address"]),
        (config_of(None), config_of(HERE, store="sqlite:////other.db"), ["posture.store"]),
    ],
)
def test_reload_opens_and_closes_the_receiver_but_does_not_move_it(old: Config, new: Config, keys: list[str]) -> None:
    assert changed_restart_keys(old, new) == keys
