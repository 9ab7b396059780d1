"""How operators let themselves be verified."""

from __future__ import annotations

import re

import pytest

from gateway.engine.bots.catalogue import BOT_CLASSES
from gateway.engine.bots.claim import CLAIMS
from gateway.engine.bots.operator import OPERATORS
from gateway.engine.bots.ranges import snapshot_dates


def test_operators_are_those_that_a_user_agent_can_claim() -> None:
    assert set(OPERATORS) == set(CLAIMS)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda operator: operator.name)
def test_operator_has_a_documented_source_for_each_of_its_ways(operator: object) -> None:
    known = OPERATORS[operator.name]  # type: ignore[attr-defined]

    assert set(known.classes) <= BOT_CLASSES
    assert known.documentation.startswith("https://") or not (known.lists or known.hosts)
    assert all(each.url.startswith("https://") for each in known.lists)
    assert all(re.fullmatch(r"(?:[a-z0-9-]+-\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)+", host) for host in known.hosts)


def test_names_of_published_lists_are_unique_and_shipped_lists_have_an_operator() -> None:
    names = [each.name for operator in OPERATORS.values() for each in operator.lists]

    assert len(names) == len(set(names))
    assert set(snapshot_dates()) <= set(names)


def test_operator_that_is_no_search_engine_can_be_verified_somehow() -> None:
    """Who can neither be proved nor refuted has no place here: the rule would call all of them fake."""
    helpless = {name for name, each in OPERATORS.items() if not (each.lists or each.hosts)}

    assert {name for name in helpless if "search_engine" not in OPERATORS[name].classes} == set()


@pytest.mark.parametrize(
    ("operator", "host", "owned"),
    [
        ("Google", "crawl-66-249-66-1.googlebot.com", True),
        ("Google", "CRAWL-66-249-66-1.GoogleBot.com.", True),
        ("Google", "geo-crawl-1-2-3-4.geo.googlebot.com", True),
        ("Google", "rate-limited-proxy-66-249-90-77.google.com", True),
        ("Google", "google-proxy-66-102-6-1.google.com", False),  # anybody's translation, with anybody's user agent
        ("Google fetchers", "google-proxy-66-102-6-1.google.com", True),
        ("Google fetchers", "google-proxy-.google.com", False),
        ("Google fetchers", "google-proxy-a.evil.google.com", False),
        ("Google", "1.2.3.4.bc.googleusercontent.com", False),  # anybody's virtual machine
        ("Google", "evilgooglebot.com", False),
        ("Google", "googlebot.com.evil.example", False),
        ("Google", "googlebot.com", False),
        ("Google", "", False),
        ("Bing", "msnbot-157-55-39-1.search.msn.com", True),
        ("Bing", "search.msn.com.evil.example", False),
        ("DuckDuckGo", "anything.duckduckgo.com", False),
    ],
)
def test_host_is_owned_on_label_boundaries_only(operator: str, host: str, owned: bool) -> None:
    assert OPERATORS[operator].owns_host(host) is owned
