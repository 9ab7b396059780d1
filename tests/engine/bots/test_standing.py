"""What can be said of a claim without asking anybody: one case for each rule."""

from __future__ import annotations

import pytest

from gateway.engine.bots.ranges import Ranges, load_ranges
from gateway.engine.bots.standing import standing_by_ranges

SHIPPED = load_ranges()


@pytest.mark.parametrize("operator", ["Google", "OpenAI", "360", "Mistral"])
@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "100.64.0.1", "::1", "fe80::1", "fc00::1", "203.0.113.9",
     "224.0.0.1", "0.0.0.0", "::ffff:10.0.0.1", "", "nonsense", "8.8.8.8:80", "8.8.8.8, 1.1.1.1"],
)  # fmt: skip
def test_address_that_nobody_has_on_the_internet_is_fake(operator: str, address: str) -> None:
    assert standing_by_ranges(SHIPPED, operator, address) == "fake"


def test_address_in_a_published_list_is_verified() -> None:
    assert standing_by_ranges(SHIPPED, "Google", "66.249.66.1") == "verified"


def test_address_outside_the_lists_of_an_operator_with_host_names_needs_a_look_up() -> None:
    assert standing_by_ranges(SHIPPED, "Google", "8.8.8.8") is None
    assert standing_by_ranges(SHIPPED, "Yandex", "77.88.5.1") is None


def test_address_outside_the_only_way_of_an_operator_is_fake() -> None:
    assert standing_by_ranges(SHIPPED, "OpenAI", "8.8.8.8") == "fake"


def test_address_that_was_compared_with_no_list_is_unknown() -> None:
    assert standing_by_ranges(Ranges({}), "OpenAI", "8.8.8.8") == "unknown"
    assert standing_by_ranges(SHIPPED, "Mistral", "8.8.8.8") == "unknown"


def test_search_engine_without_a_documented_way_is_fake() -> None:
    assert standing_by_ranges(SHIPPED, "Brave", "8.8.8.8") == "fake"


def test_operator_that_does_not_exist_is_unknown() -> None:
    assert standing_by_ranges(SHIPPED, "Nobody", "8.8.8.8") == "unknown"
