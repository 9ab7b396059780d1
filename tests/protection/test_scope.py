"""What is checked (contract section 5)."""

from __future__ import annotations

import re

import pytest
from heads import get, protection_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.message import RequestHead
from gateway.protection.scope import STATIC_EXTENSIONS, Scope, host_name

# The contract's list, spelled out: one more than it would be a way past the protection.
CONTRACT_EXTENSIONS = (
    "avi avif bmp css eot flac flv gif gz ico jpeg jpg js json less map mka mkv mov mp3 mp4 mpeg mpg ogg ogm opus otf "
    "pdf png svg svgz swf tif tiff ttf wav webm webp woff woff2 xml zip"
).split()


def reason(head: RequestHead, address: str = "192.0.2.7", **settings: object) -> str | None:
    return Scope(protection_settings(**settings)).bypass_reason(head, address)


# ---- static assets ----


def test_static_extensions_are_the_contract_s() -> None:
    assert STATIC_EXTENSIONS == CONTRACT_EXTENSIONS


@pytest.mark.parametrize("extension", CONTRACT_EXTENSIONS)
def test_static_file_of_the_contract_is_not_checked_in_any_case(extension: str) -> None:
    for shown in (extension, extension.upper(), extension.title()):
        assert reason(get(b"/a/b.min." + shown.encode())) == "static"


@pytest.mark.parametrize(
    "path",
    [
        b"/login;x.css",
        b"/login%3b.js",
        b"/login%3B.js",
        b"/api%2fx.png",
        b"/api%2Fx.png",
        b"/login%3fa.css",
        b"/login%23.css",
        b"/login%25.css",
        b"/login%252f.css",
        b"/x.js%0a",
        b"/x.js%0d%0a",
        b"/x%00.js",
        b"/x%1f.js",
        b"/x%7f.js",
        b"/x.js%0A",
    ],
)
def test_static_looking_bypass_of_the_contract_is_checked(path: bytes) -> None:
    assert reason(get(path)) is None


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/login",
        b"/css",
        b"/x.css/",
        b"/x.css/y",
        b"/x.cssx",
        b"/x.php",
        b"/x.",
        b"/admin?x=.css",
        b"/admin?/public/x.css",
        b"/a/;x=y.css",
        b"/x.css.php",
        b"/xcss",
        b"*",
    ],
)
def test_path_that_does_not_end_as_a_static_file_is_checked(path: bytes) -> None:
    method = b"OPTIONS" if path == b"*" else b"GET"
    assert reason(get(path, method=method)) is None


@pytest.mark.parametrize("path", [b"/x.css?v=1", b"/x.css?a=/b%2f", b"/x.css;v=1", b"/a;b=c.php/x.css", b"/x%20y.css"])
def test_static_file_with_query_or_matrix_parameters_is_not_checked(path: bytes) -> None:
    assert reason(get(path)) == "static"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (b"GET", "static"),
        (b"HEAD", "static"),
        (b"POST", None),
        (b"PUT", None),
        (b"DELETE", None),
        (b"OPTIONS", None),
        (b"PATCH", None),
    ],
)
def test_static_exclusion_is_for_get_and_head_alone(method: bytes, expected: str | None) -> None:
    assert reason(get(b"/login.css", method=method)) == expected


def test_static_exclusion_can_be_switched_off_or_changed() -> None:
    assert reason(get(b"/x.css"), exclude_static=False) is None
    assert reason(get(b"/x.css"), static_extensions=["php"]) is None
    assert reason(get(b"/x.php"), static_extensions=["php"]) == "static"
    assert reason(get(b"/x.css"), static_extensions=[]) is None


def test_websocket_handshake_is_checked() -> None:
    lines = [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"]
    assert reason(get(b"/socket", *lines)) is None


# ---- patterns ----


def test_exclude_pattern_is_searched_in_host_and_raw_path_without_query() -> None:
    assert reason(get(b"/health"), exclude=["^shop\\.example/health$"]) == "excluded"
    assert reason(get(b"/health", host=b"SHOP.example:8080"), exclude=["^shop\\.example/health$"]) == "excluded"
    assert reason(get(b"/health?x=1"), exclude=["/health$"]) == "excluded"
    assert reason(get(b"/x?/health"), exclude=["/health"]) is None
    assert reason(get(b"/%68ealth"), exclude=["/health"]) is None


def test_include_pattern_leaves_only_what_matches_checked() -> None:
    include = ["/login", "/api/"]
    assert reason(get(b"/login"), include=include) is None
    assert reason(get(b"/api/x"), include=include) is None
    assert reason(get(b"/about"), include=include) == "not_included"


def test_exclusion_is_decided_before_inclusion() -> None:
    assert reason(get(b"/api/health"), include=["/api"], exclude=["/health"]) == "excluded"
    assert reason(get(b"/api/x.css"), include=["/api"]) == "static"


def test_patterns_are_independent_of_each_other() -> None:
    patterns = ["(?i)^SHOP\\.example/one", "(?P<part>a)b(?P=part)$", "(?P<part>c)d$", "/(x)\\1$"]
    for path, expected in ((b"/ONE", "excluded"), (b"/aba", "excluded"), (b"/cd", "excluded"), (b"/xx", "excluded")):
        assert reason(get(path), exclude=patterns) == expected
    assert reason(get(b"/CD"), exclude=patterns) is None


# ---- methods, addresses, mode ----


def test_excluded_method_is_not_checked() -> None:
    assert reason(get(method=b"OPTIONS"), exclude_methods=["OPTIONS"]) == "method"
    assert reason(get(), exclude_methods=["OPTIONS"]) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", "address"),
        ("11.0.0.1", None),
        ("2001:db8::1", "address"),
        ("2001:db9::1", None),
        ("", None),
        ("not an address", None),
    ],
)
def test_excluded_client_network_is_not_checked(address: str, expected: str | None) -> None:
    assert reason(get(), address, exclude_ips=["10.0.0.0/8", "2001:db8::/32"]) == expected


def test_mode_off_checks_nothing() -> None:
    assert reason(get(b"/login"), mode="off") == "off"
    assert reason(get(b"/login"), mode="monitor") is None


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"Shop.Example", b"shop.example"),
        (b"shop.example:8080", b"shop.example"),
        (b"[2001:DB8::1]:80", b"[2001:db8::1]"),
        (b"[::1]", b"[::1]"),
    ],
)
def test_host_name_is_lowered_and_has_no_port(host: bytes, name: bytes) -> None:
    assert host_name(host) == name


PARTS = st.sampled_from(
    [b"/", b";", b".", b"css", b"js", b"login", b"%2f", b"%3B", b"%0a", b"%41", b"?", b"x", b"=", b"%"]
)


@settings(deadline=None)
@given(st.lists(PARTS, max_size=8).map(b"".join))
def test_static_bypass_is_only_for_unambiguous_paths_that_end_in_a_static_extension(tail: bytes) -> None:
    found = reason(get(b"/" + tail))
    path = (b"/" + tail).partition(b"?")[0]
    if found == "static":
        assert re.search(rb"\.(css|js)(;[^/]*)?\Z", path)
        assert not re.search(rb"%(2f|3b|0a)", path, re.IGNORECASE)
        assert re.search(rb"\.(css|js)\Z", b"/".join(part.partition(b";")[0] for part in path.split(b"/")))
    else:
        assert found is None
