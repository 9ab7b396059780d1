"""Addresses to listen on and to call."""

from __future__ import annotations

import pytest

from gateway.config.address import (
    Address,
    Endpoint,
    parse_address,
    parse_endpoint,
    parse_host_pattern,
    parse_network,
    parse_server,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("[::1]:443", Address("::1", 443)),
        ("[2001:DB8:0::1]:65535", Address("2001:db8::1", 65535)),
        ("LocalHost:80", Address("localhost", 80)),
        ("unix:/run/gateway.sock", Address("", 0, "/run/gateway.sock")),
    ],
)
def test_address_valid_is_taken_apart(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":8080",
        "8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:8o",
        "256.0.0.1:80",
        "1.2.3:80",
        "::1:80",
        "[::1]",
        "[::g]:80",
        "[127.0.0.1]:80",
        "[fe80::1%eth0]:80",
        "*:80",
        "a b:80",
        "unix:",
        "unix:run",
        "unix:/" + "x" * 107,
        "unix:/a\nb",
        "http://a:80",
        "127.0.0.1:\u0661",
        "127.0.0.1:80\n",
    ],
)
def test_address_invalid_is_refused(text):
    with pytest.raises(ValueError, match=r"^host:port"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/a", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("admin.example:1", False),
    ],
)
def test_address_loopback_is_recognised(text, loopback):
    assert parse_address(text).is_loopback is loopback


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("http://127.0.0.1:9000", Endpoint("http", "127.0.0.1", 9000)),
        ("http://shop.example", Endpoint("http", "shop.example", 80)),
        ("HTTPS://Shop.Example/", Endpoint("https", "shop.example", 443)),
        ("https://[2001:db8::1]:8443", Endpoint("https", "2001:db8::1", 8443)),
        ("http://my_service:80", Endpoint("http", "my_service", 80)),
        ("unix:/run/app.sock", Endpoint("unix", "", 0, "", "/run/app.sock")),
    ],
)
def test_server_valid_is_taken_apart(text, endpoint):
    assert parse_server(text) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop.example",
        "ftp://a",
        "http://",
        "http://a/path",
        "http://a?b",
        "http://a#b",
        "http://u:p@a",
        "http://a:0",
        "http://a:65536",
        "http://a:",
        "http://a b",
        "http://[::1",
        "http://::1",
        "http://a..b",
        "http://-a",
        "http://1.2.3.4.5",
        "http://a\n",
        "unix:app.sock",
        "http:/a",
        "http://a\\b",
        "http://ä.example",
    ],
)
def test_server_invalid_is_refused(text):
    with pytest.raises(ValueError, match="without path"):
        parse_server(text)


@pytest.mark.parametrize(
    ("text", "prefix"), [("https://api.example/v1", "/v1"), ("https://api.example/a/b/", "/a/b"), ("http://a/", "")]
)
def test_endpoint_path_is_a_prefix(text, prefix):
    assert parse_endpoint(text).prefix == prefix


@pytest.mark.parametrize(
    "text", ["https://a/b?c", "https://a/b#c", "https://u@a/b", "https://a/b c", "https://a/\u00e9"]
)
def test_endpoint_with_anything_more_is_refused(text):
    with pytest.raises(ValueError, match=r"^embedded, https://"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("*", "*"),
        ("*.Example.com", "*.example.com"),
        ("Shop.example", "shop.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::0:1]", "[2001:db8::1]"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_host_pattern_valid_is_in_lower_case(text, pattern):
    assert parse_host_pattern(text) == pattern


@pytest.mark.parametrize(
    "text",
    ["", "a:80", "**", "*example.com", "a.*", "*.", "a/b", "bücher.example", "2001:db8::1", "a..b", "x" * 64, "a b"],
)
def test_host_pattern_invalid_is_refused(text):
    with pytest.raises(ValueError, match=r"^a host name"):
        parse_host_pattern(text)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.7", "192.0.2.7/32", "fd00::/8", "::1", "0.0.0.0/0"])
def test_network_valid_is_kept(text):
    assert parse_network(text) == text


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "10.0.0", "a", "10.0.0.0/8/8", "fd00::/129", "10.0.0.0-10.1.0.0"])
def test_network_invalid_is_refused(text):
    with pytest.raises(ValueError, match="CIDR"):
        parse_network(text)


def test_network_with_host_bits_names_the_network():
    with pytest.raises(ValueError, match=r"^10\.0\.0\.0/8 or a single address"):
        parse_network("10.0.0.1/8")
