"""Addresses and networks."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_network,
    summarize_address_range,
)

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.engine.network import Networks, Place, _remembered_place, extent, parse_network, place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", Place("203.0.113.7", 4, 0xCB007107, "203.0.113.7", "cb0071/24")),
        ("::ffff:203.0.113.7", Place("203.0.113.7", 4, 0xCB007107, "203.0.113.7", "cb0071/24")),
        ("::FFFF:cb00:7107", Place("203.0.113.7", 4, 0xCB007107, "203.0.113.7", "cb0071/24")),
        (
            "2001:DB8:0:7::1",
            Place("2001:db8:0:7::1", 6, 0x20010DB8000000070000000000000001, "20010db800000007/64", "20010db8000000/56"),
        ),
        ("::1", Place("::1", 6, 1, "0000000000000000/64", "00000000000000/56")),
        ("", Place("", 0, 0, "", "")),
        ("unknown", Place("unknown", 0, 0, "unknown", "unknown")),
        ("203.0.113.07", Place("203.0.113.07", 0, 0, "203.0.113.07", "203.0.113.07")),
        ("203.0.113.7:443", Place("203.0.113.7:443", 0, 0, "203.0.113.7:443", "203.0.113.7:443")),
        ("x" * 70, Place("x" * 70, 0, 0, "x" * 64, "x" * 64)),
    ],
)
def test_place_of_a_text(text: str, expected: Place) -> None:
    assert place(text) == expected


OCTETS = st.integers(0, 300).map(str) | st.sampled_from(("00", "01", "007", "099", "256", "260", "1e1", "٣", ""))


@given(st.lists(OCTETS, min_size=3, max_size=5).map(".".join))
@example("203.0.113.256")
@example("260.0.113.7")
@example("203.0.113.099")
@example("203.0.113.7\n")
def test_place_of_an_ipv4_address_is_that_of_the_standard_library(text: str) -> None:
    try:
        address = IPv4Address(text)
    except ValueError:
        assert place(text).version == 0
    else:
        number = int(address)
        assert place(text) == Place(str(address), 4, number, str(address), f"{number >> 8:06x}/24")


@given(st.text(max_size=80))
def test_place_of_any_text_does_not_raise(text: str) -> None:
    where = place(text)

    assert where.version in (0, 4, 6)
    assert len(where.group) <= 64 and len(where.prefix) <= 64


def test_text_that_is_too_long_for_an_address_is_not_remembered() -> None:
    before = _remembered_place.cache_info()

    place("1" * 20_000)

    assert _remembered_place.cache_info() == before


def test_neighbours_share_prefix_and_group_as_far_as_they_should() -> None:
    assert place("203.0.113.7").prefix == place("203.0.113.250").prefix != place("203.0.112.7").prefix
    assert place("203.0.113.7").group != place("203.0.113.8").group
    assert place("2001:db8::1").group == place("2001:db8::ffff:1").group != place("2001:db8:0:1::1").group
    assert place("2001:db8::1").prefix == place("2001:db8:0:ff::1").prefix != place("2001:db8:0:100::1").prefix


@pytest.mark.parametrize(
    ("networks", "inside", "outside"),
    [
        (["203.0.113.0/24"], ["203.0.113.0", "203.0.113.255"], ["203.0.112.255", "203.0.114.0", "::cb00:7100"]),
        (["192.0.2.1"], ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.0", "192.0.2.2"]),
        (["2001:db8::/32"], ["2001:db8::", "2001:db8:ffff::1"], ["2001:db9::", "2001:db7:ffff::"]),
        (["0.0.0.0/0"], ["0.0.0.0", "255.255.255.255"], ["::", "nothing", ""]),
        (["::/0"], ["::", "ffff::"], ["1.2.3.4", "::ffff:1.2.3.4"]),
        (["::ffff:192.0.2.0/120"], ["192.0.2.9", "::ffff:192.0.2.9"], ["192.0.3.9"]),
        (["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16"], ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
        ([], [], ["0.0.0.0", "::", ""]),
    ],
)
def test_networks_hold_what_is_in_one_of_them(networks: list[str], inside: list[str], outside: list[str]) -> None:
    held = Networks.parse(networks)

    assert [text for text in inside if not held.holds(place(text))] == []
    assert [text for text in outside if held.holds(place(text))] == []


def test_neighbours_are_merged() -> None:
    held = Networks.parse(["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "2001:db8::/128", "2001:db8::1", "2001:db8::3"])

    assert list(held.intervals(4)) == [(10 << 24, (11 << 24) - 1)]
    first = 0x20010DB8 << 96
    assert list(held.intervals(6)) == [(first, first + 1), (first + 3, first + 3)]


def test_host_bits_of_a_network_are_left_out() -> None:
    assert Networks.parse(["203.0.113.77/24"]).holds(place("203.0.113.1"))


@pytest.mark.parametrize("text", ["", "office", "203.0.113.0/33", "203.0.113.0/24/24", "203.0.113", "::/129", ":"])
def test_text_that_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"got '{text}', expected a network or an address"):
        Networks.parse([text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.0.0.0/0", (4, 0)), ("192.0.2.1", (4, 32)), ("10.0.0.0/9", (4, 9)), ("::ffff:0:0/96", (4, 0)),
     ("::ffff:192.0.2.0/120", (4, 24)), ("::ffff:0:0/95", (6, 95)), ("::/0", (6, 0)), ("2001:db8::1", (6, 128))],
)  # fmt: skip
def test_extent_of_a_mapped_network_is_that_of_ipv4(text: str, expected: tuple[int, int]) -> None:
    assert extent(parse_network(text)) == expected


V4 = st.builds(
    lambda number, bits: ip_network((number, bits), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)
)
V6 = st.builds(
    lambda number, bits: ip_network((number, bits), strict=False), st.integers(0, 2**128 - 1), st.integers(0, 128)
)


@given(st.lists(V4 | V6, max_size=12), st.integers(0, 2**32 - 1) | st.integers(2**48, 2**128 - 1))
def test_look_up_agrees_with_the_standard_library(networks: list[IPv4Network | IPv6Network], number: int) -> None:
    address = IPv4Address(number) if number < 2**32 else IPv6Address(number)
    near = [network.broadcast_address for network in networks]

    held = Networks(networks)

    for one in (address, *near):
        if one.version == 4 or one.ipv4_mapped is None:
            assert held.holds(place(str(one))) is any(one in network for network in networks)


# Narrow enough that they meet: 256 addresses, one of the two ends of the address space among them.
CROWDED = st.builds(
    lambda base, host, bits: IPv4Network((base + host, bits), strict=False),
    st.sampled_from((0, 0xCB007100, 0xFFFFFF00)), st.integers(0, 255), st.integers(22, 32),
)  # fmt: skip


@given(st.lists(V4, max_size=12) | st.lists(CROWDED, max_size=40))
def test_merged_networks_are_those_of_the_standard_library(networks: list[IPv4Network]) -> None:
    merged = [
        network
        for first, last in Networks(networks).intervals(4)
        for network in summarize_address_range(IPv4Address(first), IPv4Address(last))
    ]

    assert merged == list(collapse_addresses(networks))


@given(st.lists(V4 | V6, max_size=8), st.lists(V4 | V6, max_size=8))
def test_union_holds_what_all_of_them_hold(
    some: list[IPv4Network | IPv6Network], others: list[IPv4Network | IPv6Network]
) -> None:
    united, whole = Networks.union([Networks(some), Networks(others)]), Networks([*some, *others])

    assert [list(united.intervals(version)) for version in (4, 6)] == [
        list(whole.intervals(version)) for version in (4, 6)
    ]
