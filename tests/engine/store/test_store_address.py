"""gateway.engine.store.address and store_of: what can name a store, and that no password is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Certificates

from gateway.engine.store import MemoryStore, store_of
from gateway.engine.store.address import Address, parse_address
from gateway.engine.store.valkey import ValkeyStore
from gateway.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "address", "shown"),
    [
        ("valkey://cache", Address((("cache", 6379),)), "valkey://cache:6379"),
        ("redis://127.0.0.1:7000/3", Address((("127.0.0.1", 7000),), db=3), "valkey://127.0.0.1:7000/3"),
        ("valkeys://[::1]:7000/", Address((("::1", 7000),), tls=True), "valkeys://[::1]:7000"),
        (
            "rediss://me:p%40ss@cache",
            Address((("cache", 6379),), tls=True, username="me", password="p@ss"),
            "valkeys://cache:6379",
        ),
        ("valkey://:secret@cache", Address((("cache", 6379),), password="secret"), "valkey://cache:6379"),
        (
            "valkeys+cluster://:secret@a:1,b:2",
            Address((("a", 1), ("b", 2)), tls=True, cluster=True, password="secret"),
            "valkeys+cluster://a:1,b:2",
        ),
        ("redis+cluster://a", Address((("a", 6379),), cluster=True), "valkey+cluster://a:6379"),
        ("unix:/run/valkey.sock", Address(path="/run/valkey.sock"), "unix:/run/valkey.sock"),
        (
            "unix://me:secret@/run/valkey.sock?db=2",
            Address(path="/run/valkey.sock", db=2, username="me", password="secret"),
            "unix:/run/valkey.sock?db=2",
        ),
    ],
)
def test_address_is_read_and_shown_without_its_user(url: str, address: Address, shown: str) -> None:
    assert parse_address(url) == address
    assert str(parse_address(url)) == shown
    assert "secret" not in repr(parse_address(url))


@pytest.mark.parametrize(
    "url",
    [
        "", "cache:6379", "http://cache", "valkey://", "valkey://:secret@", "valkey://:secret@a:1,b:2",
        "valkey+cluster://:secret@a:1/2", "valkey://:secret@cache:0", "valkey://:secret@cache:65536",
        "valkey://:secret@cache/x", "valkey://:secret@cache?ssl_cert_reqs=none", "valkey://:secr/et@cache",
        "valkey://secret cache", "unix:relative", "secret", "memory:secret",
    ],
)  # fmt: skip
def test_address_that_is_none_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"the store's address: .*expected") as caught:
        parse_address(url)
    assert "secr" not in str(caught.value)


def test_memory_is_the_store_of_one_engine() -> None:
    assert isinstance(store_of("memory", capacity=10), MemoryStore)


def test_store_is_made_without_asking_for_its_server() -> None:
    assert isinstance(store_of("valkey://127.0.0.1:1"), ValkeyStore)


def test_authorities_of_a_store_must_be_readable_and_of_use(certificates: Certificates, tmp_path: Path) -> None:
    assert isinstance(store_of("valkeys://cache", ca=str(certificates.ca_file)), ValkeyStore)
    with pytest.raises(ConfigError, match="No such file"):
        store_of("valkeys://cache", ca=str(tmp_path / "none.pem"))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigError, match="PEM"):
        store_of("valkeys://cache", ca=str(tmp_path / "empty.pem"))
    with pytest.raises(ConfigError, match="without TLS"):
        store_of("valkey://cache", ca=str(certificates.ca_file))
