"""What differs between two configurations."""

from __future__ import annotations

from typing import Any

from gateway.config import Config, parse_config
from gateway.config.change import ENGINE_KEYS, changed_keys

KEYS = ("workers", "engine.listen.address", "engine.store", "engine.crawlers")


def config(workers: int = 1, **engine: Any) -> Config:
    sites = [{"hosts": ["*"], "origin": {"servers": ["http://127.0.0.1:9000"]}}]
    return parse_config({"sites": sites, "workers": workers, "engine": engine})


def test_equal_configurations_differ_in_nothing() -> None:
    assert changed_keys(config(keys=["a"]), config(keys=["a"]), KEYS) == []


def test_changed_keys_come_in_the_order_that_they_were_asked_for() -> None:
    other = config(2, crawlers={"dns": False}, keys=["b"])

    assert changed_keys(config(), other, KEYS) == ["workers", "engine.crawlers"]
    assert changed_keys(config(), other, reversed(KEYS)) == ["engine.crawlers", "workers"]


def test_secret_that_changed_is_seen() -> None:
    first, other = (config(store={"url": f"valkey://user:{password}@127.0.0.1:6379"}) for password in ("one", "two"))

    assert changed_keys(first, other, KEYS) == ["engine.store"]


def test_key_of_a_section_that_is_null_is_null() -> None:
    listening = config(listen={"address": "127.0.0.1:8090"})

    assert changed_keys(config(), listening, KEYS) == changed_keys(listening, config(), KEYS) == [KEYS[1]]
    assert changed_keys(config(), config(), KEYS) == []


def test_engine_that_waits_less_because_a_check_may_needs_no_restart() -> None:
    quick = parse_config({"protection": {"timeout": "60ms"}})
    assert quick.engine.crawlers.wait < parse_config({}).engine.crawlers.wait
    assert changed_keys(parse_config({}), quick, ENGINE_KEYS) == []
    assert changed_keys(parse_config({}), parse_config({"engine": {"crawlers": {"dns": False}}}), ENGINE_KEYS) == [
        "engine.crawlers.dns"
    ]
