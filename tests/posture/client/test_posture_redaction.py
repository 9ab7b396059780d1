"""Secrets in every notation of a text."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.posture.client.decoding import decode
from gateway.posture.client.redaction import DEPTH, Redaction

SECRET = "sk/7+Ä 'q\"&<😀%41"


def as_json_escapes(text: str) -> str:
    """Every character as `\\uXXXX`."""
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


NOTATIONS = {
    "itself": SECRET,
    "URL": quote(SECRET, safe=""),
    "path": quote(SECRET),
    "form": quote_plus(SECRET),
    "URL in lower case": quote(SECRET, safe="").lower().replace("%c3%84", "%c3%84"),
    "every octet": "".join(f"%{octet:02X}" for octet in SECRET.encode()),
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON in UTF-8": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "JSON of PHP": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "JSON, every character": as_json_escapes(SECRET),
    "HTML": html.escape(SECRET),
    "HTML, decimal": "".join(f"&#{ord(one)};" for one in SECRET),
    "HTML, hexadecimal": "".join(f"&#x{ord(one):X};" for one in SECRET),
    "mixed": "%73k\\/7%2b&#196;+&apos;q\\\"&amp;<😀%2541",
}


@pytest.mark.parametrize("notation", sorted(NOTATIONS))
def test_text_with_a_secret_in_any_notation_is_starred(notation: str) -> None:
    redaction, echo = Redaction([SECRET]), NOTATIONS[notation]
    assert redaction.text(echo) == "***"
    assert redaction.text(f"key={echo}&b=%20") == "key=***&b=%20"
    assert redaction.text(f"{echo}, {echo}") == "***, ***"


@pytest.mark.parametrize("text", ["", "nothing", "50% & more \\ +", "sk/7", "***", "%73k%2F8", "sk/7+Ä"])
def test_text_without_the_secret_is_as_it_was(text: str) -> None:
    assert Redaction([SECRET]).text(text) == text


def test_text_with_two_secrets_one_inside_the_other_keeps_no_part_of_the_longer() -> None:
    for secrets in (["key-1", "key-1-and-more"], ["key-1-and-more", "key-1"]):
        assert Redaction(secrets).text("a key-1-and-more b key-1 c") == "a *** b *** c"


@pytest.mark.parametrize("secret", ["a", "abc", "+", "é"])
def test_short_secret_is_starred_where_it_is_all(secret: str) -> None:
    redaction = Redaction([secret])
    assert redaction.text(secret) == redaction.text(quote(secret, safe="")) == "***"
    assert redaction.text(f"x{secret}x") == f"x{secret}x"


def test_no_secret_or_an_empty_one_changes_nothing() -> None:
    assert Redaction([]).text("a+b") == Redaction([""]).text("a+b") == "a+b"


def test_secret_that_is_added_is_starred_from_then_on() -> None:
    redaction = Redaction(["key-1"])
    assert redaction.text("token-2+") == "token-2+"
    redaction.add("token-2")
    redaction.add("token-2")
    assert redaction.text("key-1 token-2+") == "*** ***+"


def test_json_is_starred_in_keys_and_values_and_keeps_the_rest() -> None:
    value = {"a": [SECRET, 1, None, True, 2.5], SECRET: {"b": f"<{SECRET}>"}}
    assert Redaction([SECRET]).json(value) == {"a": ["***", 1, None, True, 2.5], "***": {"b": "<***>"}}


def test_json_that_is_nested_too_deep_is_refused() -> None:
    def nested(levels: int) -> Any:
        return orjson.loads(b"[" * levels + b"]" * levels)

    assert Redaction([SECRET]).json(nested(DEPTH)) == nested(DEPTH)
    for levels in (DEPTH + 1, 1000):
        with pytest.raises(ValueError, match="nested deeper than 100 levels"):
            Redaction([SECRET]).json(nested(levels))


@pytest.mark.parametrize(
    ("body", "cleaned"),
    [
        (b'{ "a": 1 }', b'{ "a": 1 }'),
        (json.dumps({"a": SECRET}).encode(), b'{"a":"***"}'),
        (as_json_escapes(SECRET).join(('{"a":"', '"}')).encode(), b'{"a":"***"}'),
        (f"<p>{html.escape(SECRET)}</p>".encode(), b"<p>***</p>"),
        (b"\xff\xfe" + SECRET.encode() + b"\x80", b"\xff\xfe***\x80"),
        (b"[" * 200 + f'"{SECRET}'.encode(), b"[" * 200 + b'"***'),
        (b"", b""),
    ],
)
def test_body_is_starred_and_otherwise_untouched(body: bytes, cleaned: bytes) -> None:
    assert Redaction([SECRET]).body(body) == cleaned


SECRETS = st.text(st.characters(exclude_characters="*", codec="utf-8"), min_size=4, max_size=12)


@given(secret=SECRETS, before=st.text(max_size=5), after=st.text(max_size=5))
def test_secret_of_any_characters_never_comes_through(secret: str, before: str, after: str) -> None:
    redaction = Redaction([secret])
    for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], html.escape(secret)):
        assert "***" in redaction.text(before + form + after)
        assert redaction.text(form) == "***"
    assert secret not in redaction.text(before + secret + after)


@given(st.binary(max_size=60))
def test_body_of_any_bytes_without_the_secret_is_untouched(body: bytes) -> None:
    assert Redaction(["a-secret-that-is-not-there"]).body(body) == body


@pytest.mark.parametrize("notation", sorted(NOTATIONS))
@pytest.mark.parametrize("ascii_only", [True, False])
def test_document_with_a_secret_in_any_notation_is_not_free_of_it(notation: str, ascii_only: bool) -> None:
    body = json.dumps({"a": ["x", f"key={NOTATIONS[notation]}."]}, ensure_ascii=ascii_only).encode()
    assert not Redaction([SECRET]).is_free(body)
    assert not Redaction(["another-1", SECRET]).is_free(as_json_escapes(body.decode()).encode())


@pytest.mark.parametrize(
    "text", ["nothing", "50% & more \\ \"quoted\"", "a\nb\tc", "http://x.example/?a=1&b=%20", "Ä😀&lt;"]
)
def test_document_without_any_trace_of_a_secret_is_free_of_it(text: str) -> None:
    redaction = Redaction(["zq-key-zq", ""])
    assert redaction.is_free(json.dumps({text: text}, ensure_ascii=False).encode())
    assert Redaction([]).is_free(b'{"a": "\\u0041"}')


FORMS: tuple[Callable[[str], str], ...] = (
    lambda one: one, lambda one: quote(one, safe=""), as_json_escapes, lambda one: f"&#{ord(one)};",
    lambda one: f"&#x000{ord(one):x};", html.escape,
)  # fmt: skip


@given(st.data())
def test_document_that_is_called_free_has_nothing_to_star(data: st.DataObject) -> None:
    """However each character is written, and however the document writes that."""
    secret = data.draw(st.text("aZ7/-+%\"\\&é", min_size=4, max_size=8))
    text = "".join(data.draw(st.sampled_from(FORMS))(one) for one in secret)
    written = "".join(
        as_json_escapes(one) if data.draw(st.booleans()) else json.dumps(one, ensure_ascii=False)[1:-1] for one in text
    )
    redaction = Redaction([secret])
    body = f'{{"a": "x{written}y"}}'.encode()
    assert redaction.json(orjson.loads(body)) == {"a": "x***y"}
    assert not redaction.is_free(body)


@pytest.mark.parametrize("at", [0, 1, 255, 256, 257, 511, 512, 700])
def test_secret_in_a_long_text_is_starred_at_every_place(at: int) -> None:
    kibibyte, redaction = "é" * 1024, Redaction(["sk-long-key", "sk-long"])
    for shift in (0, 5, 11):
        before = kibibyte * at
        text = before[: len(before) - shift] + "%73k-long-key" + "." * shift + kibibyte * 300 + "sk-long"
        assert redaction.text(text) == text.replace("%73k-long-key", "***").replace("sk-long", "***")
        assert not redaction.is_free(text.encode())


@pytest.mark.parametrize("value", [1234567890, 12345.5])
def test_secret_that_comes_as_a_number_is_starred(value: float) -> None:
    secret = json.dumps(value)
    answer = {"key": value, "other": [value, 7, True]}
    body = json.dumps(answer).encode()
    assert decode(body, Redaction([secret])) == {"key": "***", "other": ["***", 7, True]}


def test_whole_number_over_64_bits_stays_what_the_platform_said() -> None:
    number = 123456789012345678901234567890
    assert decode(b'{"n": %d, "deep": [1.5]}' % number, Redaction(["s3cret"])) == {"n": number, "deep": [1.5]}
