"""Who a judged request was from."""

from __future__ import annotations

from typing import Any

import pytest
from engine.browser_requests import CHROME, described
from engine.engines import catalogue
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.request import Request
from gateway.engine.verdict import HUMAN, Identity, identity
from gateway.engine.wire import TEXTS, Described

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1)"


def request(standing: str = "", signed_by: str = "", **fields: Any) -> Request:
    made = Request(Described({**described(**fields)}), catalogue())
    made.standing, made.signed_by = standing, signed_by
    return made


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(UserAgent=CHROME), HUMAN),
        (request(UserAgent="curl/8.9.1"), Identity("curl", "bad_bot", "library", True)),
        (request(UserAgent="HeadlessChrome/126"), Identity("HeadlessChrome", "bad_bot", "headless", True)),
        (request(UserAgent="sqlmap/1.8"), Identity("sqlmap", "bad_bot", "scanner", True)),
        (request("unknown", UserAgent=GOOGLEBOT), Identity("Googlebot", "commercial_bot", "search_engine", True)),
        (request("verified", UserAgent=GOOGLEBOT), Identity("Googlebot", "good_bot", "search_engine", True)),
        (request("fake", UserAgent=GOOGLEBOT), Identity("Crawler fake Google", "bad_bot", "search_engine", True)),
        (request("fake", UserAgent="curl/8"), Identity("Crawler fake curl", "bad_bot", "library", True)),
        (request("fake", UserAgent=CHROME), Identity("Crawler fake agent", "bad_bot", "unknown", True)),
        (request("", "a.example", UserAgent=CHROME), Identity("a.example", "good_bot", "unknown", True)),
        (request("", "a.example", UserAgent="curl/8"), Identity("curl", "good_bot", "library", True)),
        (
            request("fake", "a.example", UserAgent=GOOGLEBOT),
            Identity("Crawler fake Google", "bad_bot", "search_engine", True),
        ),
    ],
)
def test_identity_is_what_was_found_out(asked: Request, expected: Identity) -> None:
    assert identity(asked) == expected


def test_absurdity_names_who_sent_it_once_it_was_looked_for() -> None:
    asked = request(UserAgent=CHROME, Method="TRACE")
    assert identity(asked) == HUMAN

    assert asked.absurdity
    assert identity(asked) == Identity("Absurd request: forbidden method", "bad_bot", "unknown", True)


def test_absurd_bot_keeps_its_class() -> None:
    asked = request(UserAgent="curl/8.9.1", Method="TRACE")

    assert asked.absurdity
    assert identity(asked) == Identity("Absurd request: forbidden method", "bad_bot", "library", True)


@given(st.dictionaries(st.sampled_from(TEXTS), st.text(min_size=1, max_size=80), max_size=8), st.booleans())
def test_identity_is_printable_ascii(fields: dict[str, str], looked: bool) -> None:
    asked = Request(Described(fields), catalogue())
    if looked:
        assert asked.absurdity is not None

    name, family, bot_class, is_bot = identity(asked)

    assert all(text.isascii() and text.isprintable() and text for text in (name, family, bot_class))
    assert is_bot is (name != "human")


@given(
    st.text(max_size=40),
    st.sampled_from(("bot", "curl/", "crawler", "Googlebot", "HeadlessChrome")),
    st.text(max_size=40),
)
def test_name_of_any_bot_is_printable_ascii(before: str, token: str, after: str) -> None:
    found = identity(Request(Described({"UserAgent": before + token + after}), catalogue()))

    assert found.name.isascii() and found.name.isprintable() and found.name
