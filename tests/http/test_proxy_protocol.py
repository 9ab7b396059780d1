"""The PROXY protocol, versions 1 and 2 (HAProxy's specification, sections 2.1 and 2.2)."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ProxyHeaderRefused
from gateway.http.proxy_protocol import parse_proxy_header

V2 = b"\r\n\r\n\x00\r\nQUIT\n"
V4_ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 4711, 80)
V6_ADDRESSES = (
    ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("::1").packed + struct.pack("!HH", 4711, 80)
)


def v2(version_command: int, family: int, rest: bytes, length: int | None = None) -> bytes:
    return V2 + struct.pack("!BBH", version_command, family, len(rest) if length is None else length) + rest


HEADERS = [
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n", "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (v2(0x21, 0x11, V4_ADDRESSES), "192.0.2.7"),
    (v2(0x21, 0x21, V6_ADDRESSES), "2001:db8::7"),
    (v2(0x21, 0x11, V4_ADDRESSES + b"\x03\x00\x04abcd"), "192.0.2.7"),
    (v2(0x20, 0x00, b""), None),
    (v2(0x21, 0x00, b""), None),
    (v2(0x21, 0x31, b"u" * 216), None),
]


@pytest.mark.parametrize(("header", "address"), HEADERS)
def test_header_valid_gives_the_address_and_leaves_what_follows(header: bytes, address: str | None) -> None:
    assert parse_proxy_header(header) == (address, len(header))
    assert parse_proxy_header(header + b"GET / HTTP/1.1\r\n") == (address, len(header))


@pytest.mark.parametrize(("header", "_address"), HEADERS)
def test_header_in_pieces_is_waited_for(header: bytes, _address: str | None) -> None:
    assert [parse_proxy_header(header[:size]) for size in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXYTCP4",
        b"proxy TCP4 192.0.2.7 10.0.0.1 4711 80\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n",
        b"PROXY TCP5 192.0.2.7 10.0.0.1 4711 80\r\n",
        b"PROXY TCP4 localhost 10.0.0.1 4711 80\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 4711 80\r\n",
        b"PROXY TCP6 192.0.2.7 10.0.0.1 4711 80\r\n",
        b"PROXY TCP4 \xff 10.0.0.1 4711 80\r\n",
        b"PROXY " + b"x" * 120,
        b"\r\n\r\n\x00\r\nQUIX\n",
        v2(0x11, 0x11, V4_ADDRESSES),
        v2(0x22, 0x11, V4_ADDRESSES),
        v2(0x21, 0x11, V4_ADDRESSES[:8]),
        v2(0x21, 0x21, V4_ADDRESSES),
        v2(0x21, 0x11, b"", length=4097),
    ],
)
def test_header_invalid_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderRefused):
        parse_proxy_header(data)


def test_header_version_1_ends_within_107_bytes() -> None:
    with pytest.raises(ProxyHeaderRefused, match="over 107 bytes"):
        parse_proxy_header(b"PROXY UNKNOWN ".ljust(107, b"x"))
    assert parse_proxy_header(b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n") == (None, 107)


@settings(deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=120).map(lambda rest: b"PROXY " + rest + b"\r\n"),
        st.binary(max_size=120).map(lambda rest: V2 + rest),
    )
)
def test_header_arbitrary_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        parsed = parse_proxy_header(data)
    except ProxyHeaderRefused:
        return
    assert parsed is None or parsed[1] <= len(data)
