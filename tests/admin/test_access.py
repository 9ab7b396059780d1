"""Who may ask the admin side."""

from __future__ import annotations

import pytest

from gateway.admin.access import accepted_hosts, host_is_accepted, token_is_right
from gateway.config.address import parse_address


@pytest.mark.parametrize(
    ("address", "header", "accepted"),
    [
        ("127.0.0.1:9090", "127.0.0.1:9090", True),
        ("127.0.0.1:9090", "localhost", True),
        ("127.0.0.1:9090", "LOCALHOST:9090", True),
        ("127.0.0.1:9090", "[::1]:9090", True),
        ("127.0.0.1:9090", "127.0.0.1:1", True),  # a published container port
        ("127.0.0.1:9090", "evil.example", False),
        ("127.0.0.1:9090", "localhost.evil.example:9090", False),
        ("127.0.0.1:9090", "127.0.0.1.evil.example", False),
        ("127.0.0.1:9090", "[::1].evil.example", False),
        ("127.0.0.1:9090", "", False),
        ("127.0.0.1:9090", None, False),
        ("127.8.8.8:9090", "127.8.8.8:9090", True),
        ("[::1]:9090", "[::1]", True),
        ("localhost:9090", "127.0.0.1", True),
        ("0.0.0.0:9090", "gateway.internal:9090", True),
        ("unix:/run/admin.sock", "anything", True),
    ],
)
def test_host_header_on_loopback_must_be_one_of_its_names(address: str, header: str | None, accepted: bool) -> None:
    assert host_is_accepted(header, accepted_hosts(parse_address(address))) is accepted


@pytest.mark.parametrize(
    ("authorization", "right"),
    [
        ("Bearer s3cret", True),
        ("bearer s3cret", True),
        ("Bearer  s3cret ", True),
        ("Bearer s3cre", False),
        ("Bearer s3crets", False),
        ("Basic s3cret", False),
        ("s3cret", False),
        ("Bearer", False),
        ("Bearer \udcff", False),
        ("", False),
        (None, False),
    ],
)
def test_token_only_as_bearer_and_whole(authorization: str | None, right: bool) -> None:
    assert token_is_right(authorization, "s3cret") is right
