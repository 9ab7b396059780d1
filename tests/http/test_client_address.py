"""Who the client is (http-cases P05, P06)."""

from __future__ import annotations

import ipaddress

import pytest
from heads import get
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.client_address import Client, ClientFinder, Peer, parse_address

PEER = Peer("10.0.0.1", "http", 8080)


def found(*lines: bytes, header: str = "X-Forwarded-For", peer: Peer = PEER) -> Client:
    return ClientFinder(["10.0.0.0/8", "2001:db8::/32"], header).of_request(peer, get(b"/", *lines))


def test_untrusted_peer_is_the_client_whatever_it_says() -> None:
    client = ClientFinder([], "X-Forwarded-For").of_peer(Peer("192.0.2.7", "https", 443))
    assert client == Client(
        "192.0.2.7",
        "https",
        443,
        False,
        "the connection's peer is not a trusted proxy",
        b"x-forwarded-for: 192.0.2.7\r\nx-real-ip: 192.0.2.7\r\nx-forwarded-proto: https\r\nx-forwarded-port: 443\r\n",
    )


def test_trusted_peer_without_headers_is_the_client() -> None:
    client = found()
    assert (client.address, client.protocol, client.port, client.trusted) == ("10.0.0.1", "http", 8080, True)
    assert client.forwarded == (
        b"x-forwarded-for: 10.0.0.1\r\nx-real-ip: 10.0.0.1\r\nx-forwarded-proto: http\r\nx-forwarded-port: 8080\r\n"
    )


def test_trusted_peer_with_headers_is_believed_and_the_chain_grows() -> None:
    client = found(b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: HTTPS", b"X-Forwarded-Port: 443")
    assert (client.address, client.protocol, client.port) == ("192.0.2.7", "https", 443)
    assert client.forwarded == (
        b"x-forwarded-for: 192.0.2.7, 10.0.0.1\r\nx-real-ip: 192.0.2.7\r\n"
        b"x-forwarded-proto: https\r\nx-forwarded-port: 443\r\n"
    )


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (b"192.0.2.7", "192.0.2.7"),
        (b"6.6.6.6, 192.0.2.7", "192.0.2.7"),
        (b"6.6.6.6, 192.0.2.7, 10.0.0.9", "192.0.2.7"),
        (b"192.0.2.7 , , 10.0.0.9,", "192.0.2.7"),
        (b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (b"192.0.2.7:4711", "192.0.2.7"),
        (b"[2001:db9::7]:4711", "2001:db9::7"),
        (b"2001:DB9:0::7", "2001:db9::7"),
        (b"::ffff:192.0.2.7", "192.0.2.7"),
        (b"::ffff:10.0.0.3", "10.0.0.3"),
        (b"fe80::7%evil header", "fe80::7"),
        (b"6.6.6.6, unknown, 10.0.0.9", "10.0.0.9"),
        (b"6.6.6.6, 300.1.1.1", "10.0.0.1"),
        (b"\xff\xfe", "10.0.0.1"),
        (b"", "10.0.0.1"),
    ],
)
def test_forwarded_for_is_walked_from_the_right_over_trusted_hops(value: bytes, address: str) -> None:
    assert found(b"X-Forwarded-For: " + value).address == address


def test_forwarded_for_on_several_lines_is_one_list() -> None:
    assert found(b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-For: 10.0.0.9").address == (
        "192.0.2.7"
    )


def test_forwarded_for_a_thousand_trusted_hops_end_after_64() -> None:
    hops = b", ".join([b"192.0.2.7", *[b"10.1.0.%d" % (number % 250) for number in range(1000)]])
    assert found(b"X-Forwarded-For: " + hops).address == f"10.1.0.{(1000 - 64) % 250}"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (b"for=192.0.2.7;proto=https;by=10.0.0.1", "192.0.2.7"),
        (b"For=6.6.6.6, FOR=192.0.2.7, for=10.0.0.9", "192.0.2.7"),
        (b'for="[2001:db9::7]:4711"', "2001:db9::7"),
        (b"for=6.6.6.6, for=unknown", "10.0.0.1"),
        (b"for=6.6.6.6, for=_hidden, for=10.0.0.9", "10.0.0.9"),
        (b"for=6.6.6.6, proto=https", "10.0.0.1"),
        (b"for=192.0.2.7, ", "192.0.2.7"),
    ],
)
def test_forwarded_rfc_7239_is_walked_too(value: bytes, address: str) -> None:
    assert found(b"Forwarded: " + value, header="Forwarded").address == address


def test_single_address_header_is_taken_whole_or_not_at_all() -> None:
    assert found(b"CF-Connecting-IP: 192.0.2.7", header="CF-Connecting-IP").address == "192.0.2.7"
    assert found(b"CF-Connecting-IP: 192.0.2.7, 6.6.6.6", header="CF-Connecting-IP").address == "10.0.0.1"
    assert found(header="X-Real-IP").reason == "no valid address in the configured header: the peer"


@pytest.mark.parametrize(
    ("line", "protocol"),
    [
        (b"X-Forwarded-Proto: ftp", "http"),
        (b"X-Forwarded-Proto: https, http", "https"),
        (b"X-Forwarded-Proto: HTTPS", "https"),
    ],
)
def test_forwarded_proto_only_http_and_https_count(line: bytes, protocol: str) -> None:
    assert found(line).protocol == protocol


@pytest.mark.parametrize("port", [b"0", b"65536", b"-1", b"+443", b"443x", b"000443", b"\xb2"])
def test_forwarded_port_invalid_is_the_listener_s(port: bytes) -> None:
    assert found(b"X-Forwarded-Port: " + port).port == 8080


def test_dual_stack_listener_s_mapped_peer_is_written_plain() -> None:
    mapped = Peer("::ffff:192.0.2.7", "http", 80)
    assert ClientFinder([], "X-Forwarded-For").of_peer(mapped).address == "192.0.2.7"
    client = found(b"X-Forwarded-For: 192.0.2.9", peer=Peer("::ffff:10.0.0.1", "http", 80))
    assert (client.address, client.forwarded.split(b"\r\n")[0]) == (
        "192.0.2.9",
        b"x-forwarded-for: 192.0.2.9, 10.0.0.1",
    )


@pytest.mark.parametrize(
    ("networks", "peer", "trusted"),
    [
        (["10.0.0.0/8"], "10.9.9.9", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.9.9.9", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["10.0.0.0/8"], "2001:db8::1", False),
        (["10.0.0.1"], "10.0.0.1", True),
        (["10.0.0.0/8"], "", False),
        (["0.0.0.0/0"], "", True),
        ([], "127.0.0.1", False),
    ],
)
def test_trust_is_by_network_and_a_unix_peer_needs_all(networks: list[str], peer: str, trusted: bool) -> None:
    assert ClientFinder(networks, "X-Forwarded-For").trusts(peer) is trusted


@settings(deadline=None)
@given(st.ip_addresses())
def test_address_any_is_parsed_to_itself(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    assert parse_address(str(address)) == (mapped or address)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["X-Forwarded-For", "Forwarded", "X-Real-IP"]))
def test_client_of_arbitrary_header_bytes_is_an_address(value: bytes, header: str) -> None:
    head = get()
    head.fields[header.lower().encode()] = value
    client = ClientFinder(["10.0.0.0/8"], header).of_request(PEER, head)
    assert str(ipaddress.ip_address(client.address)) == client.address
