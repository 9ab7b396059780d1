"""Where a pool connects to."""

from __future__ import annotations

import ssl

import pytest

from gateway.pool.address import Address, client_context, parse_server


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://shop.example", Address("shop.example", 80, None, False, "shop.example", "")),
        ("https://shop.example", Address("shop.example", 443, None, True, "shop.example", "")),
        ("http://shop.example:8080", Address("shop.example", 8080, None, False, "shop.example:8080", "")),
        ("http://[2001:db8::1]:80", Address("2001:db8::1", 80, None, False, "[2001:db8::1]:80", "")),
        ("http://[::1]", Address("::1", 80, None, False, "[::1]", "")),
        ("https://api.example/prefix/", Address("api.example", 443, None, True, "api.example", "/prefix")),
        ("unix:/run/app.sock", Address("localhost", 0, "/run/app.sock", False, "localhost", "")),
    ],
)
def test_server_is_parsed(text: str, address: Address) -> None:
    assert parse_server(text) == address


@pytest.mark.parametrize("text", ["http://shop.example:81", "https://shop.example", "unix:/run/app.sock"])
def test_server_text_is_what_an_operator_wrote(text: str) -> None:
    assert parse_server(text).text == text


def test_tls_verifies_unless_told_otherwise_and_is_never_older_than_1_2() -> None:
    verified, careless = client_context(), client_context(verify=False)
    assert (verified.verify_mode, verified.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (careless.verify_mode, careless.check_hostname) == (ssl.CERT_NONE, False)
    assert verified.minimum_version == careless.minimum_version == ssl.TLSVersion.TLSv1_2
