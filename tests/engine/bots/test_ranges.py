"""Whose an address is, by published lists."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.engine.bots.operator import OPERATORS
from gateway.engine.bots.ranges import Ranges, _snapshot, load_ranges, snapshot_dates

SHIPPED = load_ranges()


@pytest.mark.parametrize(
    ("operator", "address", "held"),
    [
        ("Google", "66.249.66.1", True),
        ("Google", "::ffff:66.249.66.1", True),
        ("Google", "2001:4860:4801:10::1", True),
        ("Google", "34.64.0.1", False),  # Google's cloud, which is anybody's
        ("Bing", "157.55.39.1", True),
        ("OpenAI", "66.249.66.1", False),
        ("Telegram", "149.154.161.10", True),
        ("Meta", "69.171.250.1", True),
        ("Yandex", "77.88.5.1", False),  # publishes no list: reverse DNS alone
        ("Nobody", "66.249.66.1", False),
        ("Google", "66.249.66.1%eth0", False),
        ("Google", "66.249.66.1 ", False),
        ("Google", "66.249.66", False),
        ("Google", "", False),
        ("Google", "fe80::1%eth0", False),
    ],
)
def test_shipped_ranges_hold_published_addresses(operator: str, address: str, held: bool) -> None:
    assert SHIPPED.holds(operator, address) is held


def test_every_shipped_list_is_public_dated_and_narrow() -> None:
    for name, entry in _snapshot()["lists"].items():
        networks = [ip_network(network) for network in entry["networks"].split()]
        assert networks, name
        assert all(network.is_global for network in networks), name
        assert all(network.prefixlen >= 14 for network in networks if network.version == 4), name
        assert all(network.prefixlen >= 29 for network in networks if network.version == 6), name
    assert all(day >= "2023-01-03" for day in snapshot_dates().values())


def test_operator_without_a_shipped_list_is_not_known() -> None:
    unknown = {name for name, operator in OPERATORS.items() if operator.lists and not SHIPPED.knows(name)}

    assert unknown == {"Mistral"}


def test_list_is_replaced_as_a_whole_and_the_old_ranges_stay_what_they_were() -> None:
    newer = SHIPPED.with_list("bing", [ip_network("8.8.8.0/24")])

    assert (newer.holds("Bing", "8.8.8.8"), newer.holds("Bing", "157.55.39.1")) == (True, False)
    assert (SHIPPED.holds("Bing", "8.8.8.8"), SHIPPED.holds("Bing", "157.55.39.1")) == (False, True)
    assert newer.holds("Google", "66.249.66.1")


def test_list_that_was_never_shipped_makes_its_operator_known() -> None:
    newer = Ranges({}).with_list("mistral-user", [ip_network("8.8.8.8/32")])

    assert newer.knows("Mistral") and newer.holds("Mistral", "8.8.8.8")
