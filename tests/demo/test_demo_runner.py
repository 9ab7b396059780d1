"""The demo's ports, configuration and words. The demo as a whole: tests/e2e/test_demo.py."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Iterator

import pytest

from gateway.config import parse_config
from gateway.demo.runner import (
    BROWSER_HEADERS,
    Ports,
    announcement,
    browser_command,
    choose_ports,
    configuration,
)
from gateway.errors import PortTaken


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_ports_of_0_are_two_different_free_ones() -> None:
    ports = choose_ports(0, 0)
    assert 0 not in (ports.gateway, ports.admin) and ports.gateway != ports.admin
    assert choose_ports(ports.gateway, ports.admin) == ports


def test_ports_of_which_the_gateways_is_taken_names_it_and_its_option(taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"^127\.0\.0\.1:{taken}: address already in use; .*--port,"):
        choose_ports(taken, 0)


def test_ports_of_which_the_admins_is_taken_names_it_and_its_option(taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"^127\.0\.0\.1:{taken}: address already in use; .*--admin-port,"):
        choose_ports(0, taken)


def test_ports_that_are_the_same_are_refused() -> None:
    port = choose_ports(0, 0).gateway
    with pytest.raises(PortTaken, match=f"{port}: address already in use; .*--admin-port"):
        choose_ports(port, port)


def test_ports_taken_by_a_listener_that_shares_are_refused() -> None:
    """Workers listen with SO_REUSEPORT: a second gateway could bind there too, and take half of the connections."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(PortTaken):
            choose_ports(server.getsockname()[1], 0)


def test_configuration_is_accepted_and_protects_the_sample_origin() -> None:
    config = parse_config(configuration(Ports(8080, 9090), 9000))
    assert [listener.address for listener in config.listeners] == ["127.0.0.1:8080"]
    assert config.admin.address == "127.0.0.1:9090"
    assert config.protection.endpoint == "embedded"
    assert config.protection.mode == "enforce"
    assert config.sites[0].origin.servers[0].endswith("127.0.0.1:9000")


def test_browser_command_in_a_shell_is_curl_with_every_header() -> None:
    words = shlex.split(browser_command("http://127.0.0.1:8080/").replace("\\\n", " "))
    assert words[:2] == ["curl", "http://127.0.0.1:8080/"]
    assert words[2::2] == ["-H"] * len(BROWSER_HEADERS)
    assert words[3::2] == [f"{name}: {value}" for name, value in BROWSER_HEADERS.items()]


def test_announcement_names_the_ports_and_three_commands() -> None:
    text = announcement(Ports(18080, 19090))
    assert "http://127.0.0.1:18080/" in text and "http://127.0.0.1:19090/" in text
    assert len(re.findall(r"^ {4}curl ", text, re.MULTILINE)) == 3
    assert "8080" not in text.replace("18080", "")
