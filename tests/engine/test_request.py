"""What rules look at."""

from __future__ import annotations

from typing import Any

import pytest
from engine.browser_requests import BROWSER_REQUESTS, CHROME, described
from engine.engines import catalogue

from gateway.engine.bots.catalogue import Catalogue, Signature
from gateway.engine.keyring import Binding
from gateway.engine.request import HEADLESS, USER_AGENT_CHARACTERS, Request
from gateway.engine.session import NO_SESSION
from gateway.engine.wire import Described


def request(**fields: Any) -> Request:
    return Request(Described({name: value for name, value in described(**fields).items() if value != ""}), catalogue())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.example", "shop.example"),
        ("SHOP.Example:8443", "shop.example"),
        ("shop.example.", "shop.example"),
        ("shop.example.:443", "shop.example"),
        ("[2001:DB8::1]:8443", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("[", ""),
        ("192.0.2.7:80", "192.0.2.7"),
        ("", ""),
    ],
)
def test_host_is_lower_case_without_port(host: str, expected: str) -> None:
    assert request(Host=host).host == expected


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "query"),
    [
        ("/a/../b?c=/d/../e?f", "/a/../b", "/b", "c=/d/../e?f"),
        ("/a", "/a", "/a", ""),
        ("/a?", "/a", "/a", ""),
        ("*", "*", "*", ""),
        ("", "", "/", ""),
    ],
)
def test_target_is_path_and_query(target: str, raw_path: str, path: str, query: str) -> None:
    asked = request(Request=target)

    assert (asked.target, asked.raw_path, asked.path, asked.query) == (target, raw_path, path, query)


def test_new_request_is_nobodys() -> None:
    asked = request(UserAgent=CHROME)

    assert (asked.session, asked.standing, asked.signed_by, asked.tags) == (NO_SESSION, "", "", set())
    assert (asked.bot, asked.known_absurdity, asked.is_established) == (None, "", False)


@pytest.mark.parametrize(
    ("fields", "bot"),
    [
        ({"UserAgent": CHROME}, None),
        ({"UserAgent": "curl/8.9.1"}, Signature("curl", "library", None)),
        ({"UserAgent": CHROME, "SecCHUA": '"HeadlessChrome";v="126"'}, HEADLESS),
        ({"UserAgent": "curl/8.9.1", "SecCHUA": '"HeadlessChrome";v="126"'}, Signature("curl", "library", None)),
    ],
)
def test_bot_is_who_it_says_it_is(fields: dict[str, str], bot: Signature | None) -> None:
    asked = request(**fields)

    assert asked.bot == bot
    assert asked.bot is asked.bot


def test_long_user_agent_is_looked_up_and_remembered_no_longer_than_the_contracts_limit() -> None:
    asked_for: list[str] = []

    class Listening(Catalogue):
        def __init__(self) -> None:
            self.find = asked_for.append  # type: ignore[assignment]

    text = CHROME + "x" * 20_000
    assert Request(Described({"UserAgent": text}), Listening()).bot is None
    assert asked_for == [text[:USER_AGENT_CHARACTERS]]


def test_absurdity_is_known_once_a_rule_has_asked() -> None:
    asked = request(UserAgent=CHROME, Method="TRACE")

    assert asked.known_absurdity == ""
    assert asked.absurdity == "forbidden method"
    assert asked.known_absurdity == "forbidden method"


def test_bot_is_not_held_to_what_browsers_do() -> None:
    bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

    assert request(UserAgent=bot).absurdity == ""
    assert request(UserAgent=CHROME).absurdity == "browser without Accept headers"


def test_score_is_that_of_the_inspection_and_what_rules_added_100_at_most() -> None:
    asked = Request(Described(BROWSER_REQUESTS["chrome navigates"]), catalogue())
    assert asked.score == 0

    asked.score_added = 40
    assert asked.score == 40
    asked.score_added = 140
    assert asked.score == 100


def test_binding_is_no_longer_than_what_the_contract_describes() -> None:
    asked = request(Host="h" * 20_000, UserAgent="u" * 20_000)

    assert asked.binding(to_address=False) == Binding("h" * 512, "", "u" * 768)


def test_binding_is_site_network_and_user_agent() -> None:
    asked = request(Host="Shop.example:443", IP="203.0.113.7", UserAgent=CHROME)

    assert asked.binding(to_address=True) == Binding("shop.example", "cb0071/24", CHROME)
    assert asked.binding(to_address=False) == Binding("shop.example", "", CHROME)
