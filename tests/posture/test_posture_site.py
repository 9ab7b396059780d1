"""Which hosts are ours, and which of their paths the gateway asks about."""

from __future__ import annotations

from typing import Any

import pytest
from posture.patches import own_sites


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("shop.example", True),
        ("www.shop.example", True),
        ("a.b.shop.example", True),
        ("myshop.example", False),
        ("shop.example.evil.example", False),
        ("192.0.2.10", True),
        ("192.0.2.11", False),
        ("[2001:db8::1]", True),
        ("[2001:db8::2]", False),
    ],
)
def test_host_is_ours_by_name_or_by_wildcard(host: str, is_ours: bool) -> None:
    assert own_sites().has(host) is is_ours


def test_site_of_any_host_has_every_name_and_no_address() -> None:
    sites = own_sites({"hosts": ["*"]})

    assert sites.has("shop.example")
    assert not sites.has("192.0.2.1") and not sites.has("[2001:db8::1]")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/admin", None),
        ("/backup.zip", "static"),
        ("/feed", "excluded"),
        ("/static/x", "off"),
        ("/\u00fcber", None),
    ],
)
def test_path_that_is_not_checked_is_told(path: str, why: str | None) -> None:
    sites = own_sites(
        {"hosts": ["shop.example"], "paths": ["/static/"], "protection": {"mode": "off"}, "name": "static"},
        {"hosts": ["shop.example"]},
        exclude=["^shop.example/feed"],
    )

    assert sites.unchecked("shop.example", path) == why


@pytest.mark.parametrize(
    ("path", "protection", "gap"),
    [
        ("/admin.php", {}, ("/admin.php/x.css", "static")),
        ("/", {}, ("/x.css", "static")),
        ("/admin/", {"static_extensions": [".dat", "css"]}, ("/admin/x.dat", "static")),
        ("/admin", {"static_extensions": []}, None),
        ("/admin", {"exclude_static": False}, None),
    ],
)
def test_name_under_a_path_that_passes_as_a_static_file_is_told(
    path: str, protection: dict[str, Any], gap: tuple[str, str] | None
) -> None:
    assert own_sites(**protection).gap("shop.example", path) == gap


def test_host_that_no_site_serves_has_no_gap() -> None:
    assert own_sites().gap("else.example", "/admin") is None


def test_path_that_no_site_serves_is_told() -> None:
    sites = own_sites({"hosts": ["shop.example"], "paths": ["/api/"]})

    assert sites.unchecked("shop.example", "/admin") == "unreachable"
    assert sites.unchecked("shop.example", "/api/x") is None
