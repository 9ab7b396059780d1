"""Session tokens: what is written is read, and nothing else is."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.keyring import Binding, Keyring
from gateway.engine.session import NO_SESSION, SKEW_S, TOKEN_CHARACTERS, Kind, Session, Sessions, session_id

NOW_S = 1_750_000_000.0
LIFE_S = 1000.0
KEYRING = Keyring([b"secret"])
SESSIONS = Sessions(KEYRING, LIFE_S)
BINDING = Binding("shop.example", "cb0071/24", "Mozilla/5.0")
KINDS: tuple[Kind, ...] = ("visitor", "waited", "proved")


def token(kind: Kind = "proved", binding: Binding = BINDING, sessions: Sessions = SESSIONS) -> str:
    return sessions.write(sessions.open(kind, NOW_S, lambda size: bytes(range(size))), binding)


@pytest.mark.parametrize("kind", KINDS)
def test_session_that_was_written_is_read(kind: Kind) -> None:
    opened = SESSIONS.open(kind, NOW_S + 0.9, lambda size: b"\xff" * size)

    assert opened == Session(kind, "____________", 1_750_000_000)
    assert SESSIONS.read(SESSIONS.write(opened, BINDING), BINDING, NOW_S + 1) == opened


@given(st.binary(min_size=9, max_size=9), st.sampled_from(KINDS), st.integers(0, 2**32 - 1))
def test_token_is_a_word_of_40_characters(id_: bytes, kind: Kind, now: int) -> None:
    opened = SESSIONS.open(kind, float(now), lambda size: id_)

    word = SESSIONS.write(opened, BINDING)

    assert len(word) == TOKEN_CHARACTERS == 40
    assert all(character.isascii() and (character.isalnum() or character in "-_") for character in word)
    assert SESSIONS.read(word, BINDING, float(now)) == opened


@pytest.mark.parametrize(
    "binding",
    [
        BINDING._replace(site="other.example"),
        BINDING._replace(prefix="cb0072/24"),
        BINDING._replace(prefix=""),
        BINDING._replace(user_agent="Mozilla/5.0 "),
        Binding("", "shop.examplecb0071/24", "Mozilla/5.0"),
    ],
)
def test_session_of_somebody_else_is_none(binding: Binding) -> None:
    assert SESSIONS.read(token(), binding, NOW_S) == NO_SESSION


@pytest.mark.parametrize(
    ("later_s", "counts"),
    [(0, True), (LIFE_S - 0.001, True), (LIFE_S, False), (-SKEW_S, True), (-SKEW_S - 0.001, False)],
)
def test_session_counts_for_its_life(later_s: float, counts: bool) -> None:
    assert (SESSIONS.read(token(), BINDING, NOW_S + later_s) != NO_SESSION) is counts


def test_session_of_an_old_secret_counts_until_the_secret_is_taken_away() -> None:
    rotated, removed = Sessions(Keyring([b"new", b"secret"]), LIFE_S), Sessions(Keyring([b"new"]), LIFE_S)

    assert rotated.read(token(), BINDING, NOW_S).kind == "proved"
    assert removed.read(token(), BINDING, NOW_S) == NO_SESSION
    assert removed.read(token(sessions=rotated), BINDING, NOW_S).kind == "proved"


def test_changed_token_is_none() -> None:
    raw = urlsafe_b64decode(token())

    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        assert SESSIONS.read(urlsafe_b64encode(changed).decode(), BINDING, NOW_S) == NO_SESSION, bit


def test_kind_cannot_be_one_that_is_never_handed_out() -> None:
    raw = urlsafe_b64decode(token())
    for number in (0, 4, 255):
        body = bytes([number]) + raw[1:14]
        forged = body + KEYRING.sign(b"session\0" + body + BINDING.digest())
        assert SESSIONS.read(urlsafe_b64encode(forged).decode(), BINDING, NOW_S) == NO_SESSION


def test_what_the_keyring_signs_for_others_is_no_session() -> None:
    body = urlsafe_b64decode(token())[:14]
    for purpose in (b"challenge\0", b""):
        forged = body + KEYRING.sign(purpose + body + BINDING.digest())
        assert SESSIONS.read(urlsafe_b64encode(forged).decode(), BINDING, NOW_S) == NO_SESSION


@pytest.mark.parametrize(
    "text", ["", "A" * 39, "A" * 41, "A" * 40, "=" * 40, "A" * 39 + "=", "A" * 36 + "====", "é" * 40, "\0" * 40]
)
def test_text_that_is_no_token_is_none(text: str) -> None:
    assert SESSIONS.read(text, BINDING, NOW_S) == NO_SESSION


def test_token_has_one_spelling() -> None:
    word = token()

    for junk in ("!", "\n", " ", "=", "."):
        assert SESSIONS.read(word[:20] + junk + word[20:], BINDING, NOW_S) == NO_SESSION
        assert SESSIONS.read(word + junk * 4, BINDING, NOW_S) == NO_SESSION


def test_token_that_was_read_before_still_expires_and_belongs_to_one_visitor() -> None:
    word = token()
    assert SESSIONS.read(word, BINDING, NOW_S).kind == "proved"

    assert SESSIONS.read(word, BINDING, NOW_S + LIFE_S) == NO_SESSION
    assert SESSIONS.read(word, BINDING._replace(site="other.example"), NOW_S) == NO_SESSION
    assert SESSIONS.read(word, BINDING, NOW_S).kind == "proved"


@given(st.text(min_size=40, max_size=40))
def test_any_text_is_read_without_raising(text: str) -> None:
    assert SESSIONS.read(text, BINDING, NOW_S) == NO_SESSION


@pytest.mark.parametrize(
    ("kind", "later_s", "due"),
    [
        ("visitor", LIFE_S / 2, False),
        ("visitor", LIFE_S / 2 + 0.1, True),
        ("waited", LIFE_S - 1, False),
        ("proved", LIFE_S - 1, False),
        ("none", LIFE_S, False),
    ],
)
def test_only_a_visitor_is_due_after_half_its_life(kind: Kind, later_s: float, due: bool) -> None:
    assert SESSIONS.is_due(Session(kind, "a" * 12, int(NOW_S)), NOW_S + later_s) is due


@given(st.binary(min_size=9, max_size=9), st.sampled_from(KINDS))
def test_id_of_a_token_is_that_of_its_session_whoever_signed_it(id_: bytes, kind: Kind) -> None:
    foreign = Sessions(Keyring([b"of another engine"]), LIFE_S)
    opened = foreign.open(kind, NOW_S, lambda size: id_)

    assert session_id(foreign.write(opened, BINDING)) == opened.id


@pytest.mark.parametrize(
    "text",
    ["", "A" * 12, "A" * 40, token()[:-1], token() + "A", token()[:-1] + "!", f"{token()[:-1]}é", "2001:db8::" * 4],
)
def test_text_that_is_no_token_has_no_session_id(text: str) -> None:
    assert session_id(text) is None


@given(st.text(max_size=60))
def test_session_id_of_any_text_is_an_id_or_none(text: str) -> None:
    found = session_id(text)
    assert found is None or len(found) == 12
