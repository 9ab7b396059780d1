"""The step in the address bar: there and back byte for byte, and never to another host."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.challenge.step import MAX_TARGET_BYTES, local_location, step_query, take_step

STEP = "s" + "S" * 43


@pytest.mark.parametrize("target", ["/", "/?", "/a?b=1", "/a?b=1&__step=x", "/a?__step=x&b", "/a??&&", "//x?a", "*"])
def test_step_is_taken_out_as_it_was_put_in(target: str) -> None:
    stepped = target.partition("?")[0] + step_query(target, STEP)
    assert take_step(stepped) == (STEP, target)


@given(st.text(max_size=300).filter(lambda path: "?" not in path), st.text(max_size=300) | st.none())
def test_any_target_comes_back_byte_for_byte(path: str, query: str | None) -> None:
    target = path if query is None else f"{path}?{query}"
    assert take_step(path + step_query(target, STEP)) == (STEP, target)


@pytest.mark.parametrize("target", ["/", "/?", "/?a=1&__step=x", "/__step=x", "/?__STEP=x", "/?%5f_step=x", ""])
def test_target_without_a_leading_step_has_none(target: str) -> None:
    assert take_step(target) is None


def test_target_that_the_step_would_push_over_the_limit_gets_none() -> None:
    longest = MAX_TARGET_BYTES - len(f"/??__step={STEP}") - 1
    assert step_query("/?" + "a" * longest, STEP) != ""
    assert step_query("/?" + "a" * (longest + 1), STEP) == ""
    assert step_query("/?" + "é" * (longest // 2 + 1), STEP) == ""
    assert step_query("/", "") == ""


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/", "/"),
        ("/a/b?c=//d", "/a/b?c=//d"),
        ("//evil.example/x", "/.//evil.example/x"),
        ("///evil.example", "/.///evil.example"),
        ("/\\evil.example", "/%5Cevil.example"),
        ("\\\\evil.example", "/%5C%5Cevil.example"),
        ("/\t/evil.example", "/%09/evil.example"),
        ("https://evil.example/", "/https://evil.example/"),
        ("", "/"),
        ("evil.example", "/evil.example"),
        ("/a?b\r\nSet-Cookie: x", "/a?b%0D%0ASet-Cookie:%20x"),
        ("/é?ü", "/%C3%A9?%C3%BC"),
    ],
)
def test_location_is_of_this_host(target: str, location: str) -> None:
    assert local_location(target) == location


@given(st.text(st.sampled_from("/\\.:@?#\t\r\n %aé\x00\udcff")) | st.text())
def test_any_location_is_of_this_host_and_printable(target: str) -> None:
    location = local_location(target)
    assert location.isascii() and location.isprintable() and " " not in location
    joined = urlsplit(urljoin("https://shop.example/a/b", location))
    assert (joined.scheme, joined.netloc) == ("https", "shop.example")
