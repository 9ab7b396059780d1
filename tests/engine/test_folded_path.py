"""One form for every name of a path, so that what is forbidden by name is not reached by another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.path import folded, normalised

NAMES_OF_ADMIN = [
    "/admin",
    "/admin/",
    "/ADMIN",
    "/%61dmin",
    "/%41dmin",
    "/%2561dmin",
    "/%252561dmin",
    "//admin",
    "/./admin",
    "/;x/admin",
    "/admin;jsessionid=1",
    "/admin/;x",
    "/admin.",
    "/admin...",
    "/admin. .",
    "/admin%20",
    "/admin%09/",
    "/admin%00.css",
    "/admin%3Fx",
    "/admin%23x",
    "/admin%3bx=1",
    "\\admin",
    "/%5Cadmin",
    "/%2fadmin",
    "admin",
    "http://shop.example/admin",
    "HTTPS://shop.example:8443/admin",
]


@pytest.mark.parametrize("path", NAMES_OF_ADMIN)
def test_every_name_of_a_path_has_one_form(path: str) -> None:
    assert folded(path) == "/admin"


@pytest.mark.parametrize(
    "path", ["/..", "/a/../admin", "/a/%2e%2E/admin", "/a/..;x/b", "/%252e%252e/a", "/a\\..\\b", "/.. "]
)
def test_path_that_climbs_has_none(path: str) -> None:
    assert folded(path) == ""


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/", "/"), ("", "/"), ("/.", "/"), ("*", "/*"), ("/a/b.c", "/a/b.c"), ("/a.b./c", "/a.b/c"), ("/%", "/%"),
     ("/\u00c4", "/\u00e4"), ("/%C3%84", "/\u00e4"), ("/administrator", "/administrator")],
)  # fmt: skip
def test_path_keeps_what_names_it(path: str, expected: str) -> None:
    assert folded(path) == expected


@pytest.mark.parametrize("path", ["/admin::$DATA", "/admin%3a%3a$DATA", "/admin%253A$x/", "/admin. ::$D", "/:x/admin"])
def test_stream_of_a_path_is_the_path_where_that_is_wanted(path: str) -> None:
    assert folded(path, streams=True) == "/admin" != folded(path)


@given(st.text("ab./;%25cF\\?# \0", max_size=30))
def test_form_of_any_path_is_its_own_form_or_shorter(path: str) -> None:
    form = folded(path)

    assert form == "" or (form.startswith("/") and (form == "/" or not form.endswith("/")))
    assert "//" not in form


@given(st.lists(st.sampled_from(["admin", "Users", "a b", "x.y"]), min_size=1, max_size=4), st.data())
def test_path_written_in_any_way_has_the_form_of_its_plain_name(parts: list[str], data: st.DataObject) -> None:
    written = ""
    for part in parts:
        written += data.draw(st.sampled_from(["/", "//", "/./", "/;v=1/", "\\"]))
        for letter in part:
            written += data.draw(st.sampled_from([letter, letter.swapcase(), f"%{ord(letter):02x}"]))
        written += data.draw(st.sampled_from(["", ".", ";x=1"]))

    assert folded(written) == folded(normalised("/" + "/".join(parts))) == "/" + "/".join(parts).lower()
