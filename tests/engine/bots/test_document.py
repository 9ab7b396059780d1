"""Published lists in the forms in which operators publish them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.bots import document
from gateway.engine.bots.document import parse_networks, read_networks
from gateway.errors import ListRefused


@pytest.mark.parametrize(
    ("published", "networks"),
    [
        (b"192.0.2.1\n2001:db8::1\n", ["192.0.2.1/32", "2001:db8::1/128"]),
        (b"\xef\xbb\xbf# probes\r\n192.0.2.0/24 ; x\r\n\r\n  192.0.2.7  # one\r\n", ["192.0.2.0/24", "192.0.2.7/32"]),
        (b"192.0.2.9/24", ["192.0.2.0/24"]),  # a host with its prefix length
        (b"# geofeed\n192.0.2.0/24,US,US-CA,Menlo Park,\n", ["192.0.2.0/24"]),
        (
            b'{"creationTime": "2026-08-07T17:35:38", "syncToken": 1, "prefixes": ['
            b'{"ipv6Prefix": "2001:db8::/64"}, {"ipv4Prefix": "192.0.2.0/27", "service": "x", "scope": "us"}]}',
            ["2001:db8::/64", "192.0.2.0/27"],
        ),
        (b'["192.0.2.1", "2001:db8::/64"]', ["192.0.2.1/32", "2001:db8::/64"]),
        (b'{"ips": [{"ip_address": "192.0.2.0/28"}]}', ["192.0.2.0/28"]),
        (b'{"1": {"title": "Paris", "ip": "192.0.2.1", "ipv6": "", "description": "up"}}', ["192.0.2.1/32"]),
        (b'{"version": 3, "synthetics": {"prefixes_ipv4": ["192.0.2.1/32"], "prefixes_ipv6": []}}', ["192.0.2.1/32"]),
        (b'{"eu": ["192.0.2.1"], "us": ["192.0.2.2"]}', ["192.0.2.1/32", "192.0.2.2/32"]),
    ],
)  # fmt: skip
def test_list_is_read_in_its_published_form(published: bytes, networks: list[str]) -> None:
    assert [str(network) for network in parse_networks(published)] == networks


@pytest.mark.parametrize(
    ("published", "reason"),
    [
        (b"", "no network"),
        (b"# nothing\n", "no network"),
        (b'{"prefixes": []}', "no network"),
        (b'{"prefixes": [{"ipv4Prefix": "192.0.2.0/33"}]}', "expected a network"),
        (b"<!DOCTYPE html>\n<html>503</html>", "expected a network"),
        (b"192.0.2.1\n\nerror: too many requests\n", "line 3 has 'error: too many requests', expected a network"),
        (b"192.0.2.1,192.0.2.9", "line 1 has several networks, expected one a line"),
        (b"192.0.2.1\n192.0.2.2,US,2001:db8::1 # x", "line 2 has several networks"),
        (b'["192.0.2.1", "soon"]', "expected a network"),
        (b'{"prefixes": [', "not JSON"),
        (b"\xff\xfe1", "not UTF-8"),
        (b"[" * 12 + b"]" * 12, "nested"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_list_with_anything_wrong_is_refused_whole(published: bytes, reason: str) -> None:
    with pytest.raises(ListRefused, match=reason):
        parse_networks(published)


def test_list_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_NETWORKS", 3)

    assert len(parse_networks(b"192.0.2.1\n" * 3)) == 3
    with pytest.raises(ListRefused, match="over 3"):
        parse_networks(b"192.0.2.1\n" * 4)


@pytest.mark.parametrize("nothing", [b"", b"# nobody yet\n\n ; \n", b"[]", b"{}"])
def test_own_list_may_be_empty_and_a_published_one_may_not(nothing: bytes) -> None:
    assert list(read_networks(nothing)) == []
    with pytest.raises(ListRefused, match="no network"):
        parse_networks(nothing)


@given(
    st.one_of(st.binary(max_size=200), st.recursive(st.text() | st.none(), st.lists).map(json.dumps).map(str.encode))
)
def test_any_document_is_read_or_refused(published: bytes) -> None:
    try:
        assert parse_networks(published)
    except ListRefused:
        pass
