"""gateway.engine.override: what operators put on the list, and what a look-up finds."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.network import place
from gateway.engine.override import MAX_OVERRIDES, NO_OVERRIDES, Override, Overrides, parse_subject
from gateway.errors import OverrideError

NOW_S = 1_700_000_000.0


def entry(subject: str, action: str = "block", for_s: float = 60.0, reason: str = "") -> Override:
    return Override.of(subject, action, NOW_S + for_s, reason, NOW_S)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("session:abcDEF-_0123", "session:abcDEF-_0123"),
    ],
)
def test_subject_has_one_form(text: str, subject: str) -> None:
    assert parse_subject(text) == subject


@pytest.mark.parametrize(
    "text",
    ["", "203.0.113", "203.0.113.7/24", "203.0.113.0/33", "fe80::1%eth0", "shop.example", "session:", "session:a b",
     "session:" + "a" * 65, "version", "203.0.113.7\n"],
)  # fmt: skip
def test_subject_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(OverrideError, match="expected"):
        parse_subject(text)


def test_network_with_host_bits_is_refused_with_the_network_that_was_meant() -> None:
    with pytest.raises(OverrideError, match=r"203\.0\.113\.0/24 or a single address"):
        parse_subject("203.0.113.7/24")


@pytest.mark.parametrize(
    ("subject", "action", "for_s"),
    [
        ("203.0.113.7", "revoke", 60.0),
        ("session:abc", "block", 60.0),
        ("203.0.113.7", "challenge", 60.0),
        ("203.0.113.7", "block", 0.0),
        ("203.0.113.7", "block", -1.0),
        ("203.0.113.7", "block", float("inf")),
        ("203.0.113.7", "block", float("nan")),
    ],
)
def test_override_that_makes_no_sense_is_refused(subject: str, action: str, for_s: float) -> None:
    with pytest.raises(OverrideError, match="expected"):
        entry(subject, action, for_s)


def test_reason_is_printable_and_bounded() -> None:
    assert entry("203.0.113.7", reason="a\nb\x1b" + "c" * 300).reason == "a b " + "c" * 196


def test_override_survives_encoding() -> None:
    written = entry("2001:db8::/32", "allow", 90.5, "müde \u2028")
    assert Override.decode(written.encode()) == written


@settings(deadline=None)
@given(st.binary(max_size=60) | st.sampled_from([b"[]", b"{}", b"null", b'{"subject":1}']))
def test_override_of_any_bytes_is_read_or_refused(raw: bytes) -> None:
    with pytest.raises(OverrideError):
        Override.decode(raw)


def test_most_specific_entry_wins() -> None:
    overrides = Overrides(
        [entry("203.0.0.0/8"), entry("203.0.113.0/24", "allow"), entry("203.0.113.7"), entry("2001:db8::/32")]
    )
    found = {text: overrides.find(place(text), NOW_S) for text in ("203.0.113.7", "203.0.113.8", "203.9.9.9")}
    assert {text: each and each.subject for text, each in found.items()} == {
        "203.0.113.7": "203.0.113.7",
        "203.0.113.8": "203.0.113.0/24",
        "203.9.9.9": "203.0.0.0/8",
    }
    six = overrides.find(place("2001:db8:1::1"), NOW_S)
    assert six is not None and six.subject == "2001:db8::/32"
    assert overrides.find(place("198.51.100.1"), NOW_S) is None
    assert overrides.find(place("no address"), NOW_S) is None


def test_mapped_address_is_found_as_the_address_that_it_is() -> None:
    assert Overrides([entry("203.0.113.0/24")]).find(place("::ffff:203.0.113.7"), NOW_S) is not None


def test_entry_that_is_over_leaves_the_wider_one_in_force() -> None:
    overrides = Overrides([entry("203.0.113.0/24", "block", 600.0), entry("203.0.113.7", "allow", 60.0)])
    actions = []
    for after_s in (59.9, 60.0, 600.0):
        found = overrides.find(place("203.0.113.7"), NOW_S + after_s)
        actions.append(found and found.action)
    assert actions == ["allow", "block", None]


def test_session_is_revoked_until_its_time_is_over() -> None:
    overrides = Overrides([entry("session:abc", "revoke")])
    assert [overrides.is_revoked("abc", NOW_S + after_s) for after_s in (0.0, 59.0, 60.0)] == [True, True, False]
    assert not overrides.is_revoked("abd", NOW_S)
    assert not overrides.is_revoked("", NOW_S)


def test_snapshot_does_not_change_when_another_is_made() -> None:
    first = Overrides([entry("203.0.113.7")])
    second = first.with_entry(entry("203.0.113.8"), NOW_S)
    third = second.without("203.0.113.7")
    assert [len(each) for each in (first, second, third)] == [1, 2, 1]
    assert third.get("203.0.113.8") == entry("203.0.113.8")


def test_later_entry_of_a_subject_takes_the_place_of_the_former() -> None:
    overrides = NO_OVERRIDES.with_entry(entry("203.0.113.7"), NOW_S).with_entry(entry("203.0.113.7", "allow"), NOW_S)
    assert [each.action for each in overrides] == ["allow"]


def test_full_list_takes_the_place_of_what_is_over_and_else_refuses() -> None:
    entries = [entry(f"10.0.{n >> 8}.{n & 255}", for_s=60.0 + n) for n in range(MAX_OVERRIDES)]
    full = Overrides(entries)
    with pytest.raises(OverrideError, match="10000"):
        full.with_entry(entry("203.0.113.7"), NOW_S)
    assert len(full.with_entry(entry("10.0.0.0", "allow"), NOW_S)) == MAX_OVERRIDES
    later = full.with_entry(entry("203.0.113.7", for_s=900.0), NOW_S + 70.0)
    assert len(later) == MAX_OVERRIDES - 10


networks = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda drawn: str(ip_network((drawn[0] >> (32 - drawn[1]) << (32 - drawn[1]), drawn[1])))
)


@settings(deadline=None)
@given(st.lists(networks, max_size=20), st.integers(0, 2**32 - 1))
def test_look_up_agrees_with_a_search_through_all_entries(subjects: list[str], number: int) -> None:
    address = ip_address(number)
    holding = [ip_network(subject) for subject in subjects if address in ip_network(subject)]
    widest_last = sorted(holding, key=lambda network: -network.prefixlen)
    found = Overrides(map(entry, subjects)).find(place(str(address)), NOW_S)
    assert (found and ip_network(found.subject)) == (widest_last[0] if widest_last else None)
