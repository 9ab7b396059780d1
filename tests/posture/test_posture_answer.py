"""Reading an answer: values, and what is said of those that are off the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import OffContract
from gateway.posture.answer import Node


def node(raw: Any, path: str = "") -> Node:
    return Node("ddactic", "GET /domains", raw, path)


READERS: dict[str, Callable[[Node], Any]] = {
    "text": lambda one: one.text("k"),
    "optional_text": lambda one: one.optional_text("k"),
    "word": lambda one: one.word("k"),
    "integer": lambda one: one.integer("k"),
    "optional_integer": lambda one: one.optional_integer("k"),
    "optional_number": lambda one: one.optional_number("k"),
    "flag": lambda one: one.flag("k"),
    "texts": lambda one: one.texts("k"),
    "moment": lambda one: one.moment("k"),
    "items": lambda one: [item.raw for item in one["k"].items()],
    "members": lambda one: [(key, item.raw) for key, item in one["k"].members()],
}


@pytest.mark.parametrize(
    ("reader", "raw", "value"),
    [
        ("text", "a", "a"),
        ("text", "", ""),
        ("optional_text", "a", "a"),
        ("optional_text", None, None),
        ("word", "a", "a"),
        ("word", 7, "7"),
        ("integer", 7, 7),
        ("integer", "7", 7),
        ("integer", " -7 ", -7),
        ("integer", "9" * 18, 10**18 - 1),
        ("optional_integer", None, None),
        ("optional_number", None, None),
        ("optional_number", 4, 4.0),
        ("optional_number", 4.5, 4.5),
        ("flag", True, True),
        ("flag", False, False),
        ("texts", ["a", "b"], ("a", "b")),
        ("texts", None, ()),
        ("moment", None, None),
        ("moment", 0, None),
        ("moment", "2025-12-17 10:30:00", "2025-12-17T10:30:00Z"),
        ("items", [1, {}], [1, {}]),
        ("members", {"a": 1}, [("a", 1)]),
        ("members", [7, 8], [("0", 7), ("1", 8)]),
        ("members", [], []),
    ],
)
def test_value_of_an_object_is_read(reader: str, raw: Any, value: Any) -> None:
    assert READERS[reader](node({"k": raw})) == value


@pytest.mark.parametrize(
    ("reader", "raw", "said"),
    [
        ("text", None, "got nothing; expected a text"),
        ("text", 7, "got 7; expected a text"),
        ("optional_text", False, "got false; expected a text"),
        ("word", True, "got true; expected a text or a whole number"),
        ("word", 1.5, "got 1.5; expected a text or a whole number"),
        ("integer", None, "got nothing; expected a whole number"),
        ("integer", True, "got true; expected a whole number"),
        ("integer", 7.0, "got 7.0; expected a whole number"),
        ("integer", "", 'got ""; expected a whole number'),
        ("integer", "--7", 'got "--7"; expected a whole number'),
        ("integer", "\u0667", 'got "\u0667"; expected a whole number'),
        ("integer", "1_0", 'got "1_0"; expected a whole number'),
        ("integer", "9" * 19, f'got "{"9" * 19}"; expected a whole number'),
        ("optional_number", "4.5", 'got "4.5"; expected a number'),
        ("optional_number", True, "got true; expected a number"),
        ("flag", 1, "got 1; expected true or false"),
        ("flag", None, "got nothing; expected true or false"),
        ("texts", "a", 'got "a"; expected a list'),
        ("moment", "soon", 'got "soon"; expected a time: ISO 8601, Unix seconds or YYYY-MM-DD HH:MM:SS'),
        ("moment", -1, "got -1; expected a time: ISO 8601, Unix seconds or YYYY-MM-DD HH:MM:SS"),
        ("items", {}, "got an object of 0; expected a list"),
        ("members", "a", 'got "a"; expected an object'),
        ("text", [1, 2], "got a list of 2; expected a text"),
        ("text", {"a": 1}, "got an object of 1; expected a text"),
    ],
)
def test_value_off_the_contract_names_call_field_and_what_came(reader: str, raw: Any, said: str) -> None:
    with pytest.raises(OffContract) as raised:
        READERS[reader](node({"k": raw}))
    assert str(raised.value) == f"ddactic GET /domains: k: {said}"
    assert raised.value.field == "k"


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("raw", [None, [], [1], "k", 7, True])
def test_value_of_what_is_no_object_is_off_the_contract(reader: str, raw: Any) -> None:
    with pytest.raises(OffContract, match=r"the answer: got .*; expected an object"):
        READERS[reader](node(raw))


def test_field_is_named_by_its_place() -> None:
    answer = node({"domains": [{"id": "a"}, {"records": [{"id": 7}]}]})
    with pytest.raises(OffContract) as raised:
        answer["domains"].items()[1]["records"].items()[0].text("id")
    assert raised.value.field == "domains[1].records[0].id"
    with pytest.raises(OffContract, match=r"\[0\]: got 7; expected a text"):
        node([7]).items()[0].as_text()


def test_texts_name_the_item() -> None:
    with pytest.raises(OffContract, match=r"k\[1\]: got 7; expected a text"):
        node({"k": ["a", 7]}).texts("k")


def test_what_came_is_shown_short_and_printable() -> None:
    with pytest.raises(OffContract) as raised:
        node({"k": "\x1b[31m\u202e" + "a" * 500}).flag("k")
    shown = str(raised.value).removeprefix("ddactic GET /domains: k: got ").removesuffix("; expected true or false")
    assert len(shown) == 60
    assert shown.isprintable()


def test_key_of_the_platform_is_shown_short_and_printable() -> None:
    with pytest.raises(OffContract) as raised:
        for _, member in node({"a\nerror: \x9b" + "a" * 500: 7}).members():
            member.as_text()
    assert raised.value.field.startswith("a?error: ?aaa")
    assert len(raised.value.field) == 60


@pytest.mark.parametrize(
    ("raw", "has"), [({"k": 0}, True), ({"k": None}, False), ({}, False), ([], False), ("k", False)]
)
def test_has_is_true_of_an_object_with_a_value(raw: Any, has: bool) -> None:
    assert node(raw).has("k") is has


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(raw=JSON, reader=st.sampled_from(sorted(READERS)))
def test_any_value_is_read_or_off_the_contract(raw: Any, reader: str) -> None:
    for answer in (node({"k": raw}), node(raw)):
        try:
            READERS[reader](answer)
        except OffContract as error:
            assert str(error).isprintable()  # it may as well be read
