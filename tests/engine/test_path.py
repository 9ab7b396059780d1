"""Paths as their origin will understand them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.path import normalised


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("", "/"),
        ("*", "*"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("a", "/a"),
        ("//a///b", "/a/b"),
        ("/a//", "/a/"),
        ("/%61dmin", "/admin"),
        ("/%2561dmin", "/%61dmin"),
        ("/a%2Fb", "/a/b"),
        ("/a%5cb", "/a/b"),
        ("\\a\\b", "/a/b"),
        ("/a\\b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/a/%2e%2e/b", "/b"),
        ("/a;x=1/b;y", "/a/b"),
        ("/a/..;x/b", "/b"),
        ("/;x/admin", "/admin"),
        ("/admin/;x", "/admin/"),
        ("/admin/.;x", "/admin/"),
        ("/admin/b/..;x", "/admin/"),
        ("/admin%3bx", "/admin"),
        ("/..", "/"),
        ("/a/..", "/"),
        ("/.hidden/..b/c.", "/.hidden/..b/c."),
        ("/a%zz%", "/a%zz%"),
        ("/%ff", "/\ufffd"),
        ("/é%C3%A9", "/éé"),
        ("/a%00b%0a", "/a\x00b\n"),
        ("/a%3fb%23c", "/a?b#c"),
    ],
)
def test_path_loses_its_spellings(path: str, expected: str) -> None:
    assert normalised(path) == expected


@given(st.text(alphabet="ab./\\;%25fF", max_size=30))
def test_normalised_path_has_one_spelling_left(path: str) -> None:
    clean = normalised(path)

    assert clean.startswith("/")
    assert "//" not in clean and "\\" not in clean and ";" not in clean
    assert not {".", ".."} & set(clean.split("/"))


@given(st.text(max_size=60))
def test_any_path_is_normalised_without_raising(path: str) -> None:
    assert normalised(path).startswith("/") or path == "*"


@given(st.text(alphabet="ab./\\;", max_size=30))
def test_path_without_percent_signs_is_normalised_once_and_for_all(path: str) -> None:
    assert normalised(normalised(path)) == normalised(path)


@given(st.lists(st.sampled_from(("a", "b", "index.html", ".b", "c.")), max_size=6), st.booleans())
def test_plain_path_is_left_as_it_is(parts: list[str], closing: bool) -> None:
    path = "/" + "/".join(parts) + ("/" if parts and closing else "")

    assert normalised(path) == path
