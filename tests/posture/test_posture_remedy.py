"""The remedy of an exposed origin: its lines, and that a kernel takes them and does what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.config.models import Config
from gateway.config.posture import Place
from gateway.posture.finding import Finding, Remediation
from gateway.posture.remedy import for_deployment, origin_exposed

BOTH = Place(egress=("203.0.113.5", "203.0.113.6", "2001:db8::5"))
TRIAL = Path(__file__).with_name("firewall_trial.py")


def lines(place: Place, port: int | None, tool: str) -> list[str]:
    return [command for command in origin_exposed(place, port).commands if command.startswith(f"{tool} ")]


def test_nftables_drop_all_but_the_gateways_addresses_by_family() -> None:
    assert lines(BOTH, 8443, "nft") == [
        "nft add table inet gateway_origin",
        "nft 'add chain inet gateway_origin guard { type filter hook prerouting priority raw; policy accept; }'",
        "nft 'add rule inet gateway_origin guard iif lo accept'",
        "nft 'add rule inet gateway_origin guard fib daddr type local ip saddr != { 203.0.113.5, 203.0.113.6 }"
        " tcp dport { 8443 } drop'",
        "nft 'add rule inet gateway_origin guard fib daddr type local ip6 saddr != { 2001:db8::5 }"
        " tcp dport { 8443 } drop'",
    ]


def test_iptables_and_ip6tables_have_the_addresses_of_their_family() -> None:
    assert [line.split(" -s ")[1].split()[0] for line in lines(BOTH, None, "iptables") if " -s " in line] == [
        "203.0.113.5", "203.0.113.6",
    ]  # fmt: skip
    assert [line.split(" -s ")[1].split()[0] for line in lines(BOTH, None, "ip6tables") if " -s " in line] == [
        "2001:db8::5"
    ]
    for tool in ("iptables", "ip6tables"):
        assert lines(BOTH, None, tool)[-2:] == [
            f"{tool} -t raw -A GATEWAY_ORIGIN -j DROP",
            f"{tool} -t raw -I PREROUTING -m addrtype --dst-type LOCAL -p tcp -m multiport --dports 80,443"
            " -j GATEWAY_ORIGIN",
        ]


def test_ufw_lets_the_addresses_in_before_it_denies() -> None:
    assert lines(BOTH, 443, "ufw") == [  # each is put before the former ones
        "ufw prepend deny proto tcp to any port 443",
        "ufw prepend allow proto tcp from 2001:db8::5 to any port 443",
        "ufw prepend allow proto tcp from 203.0.113.6 to any port 443",
        "ufw prepend allow proto tcp from 203.0.113.5 to any port 443",
    ]


def test_family_that_the_gateway_does_not_use_is_shut_out_whole() -> None:
    place = Place(addresses=("203.0.113.5",))
    assert lines(place, 443, "nft")[-1].endswith("guard fib daddr type local meta nfproto ipv6 tcp dport { 443 } drop'")
    assert not any(" -s " in line for line in lines(place, 443, "ip6tables"))


def test_addresses_from_which_the_gateway_connects_come_before_those_where_it_is_reached() -> None:
    remedy = origin_exposed(Place(addresses=("198.51.100.1",), egress=("203.0.113.5",)), 443)
    assert "203.0.113.5" in remedy.summary and "198.51.100.1" not in str(remedy)


def test_deployment_without_addresses_is_told_the_key_and_gets_no_line_that_acts() -> None:
    remedy = origin_exposed(Place(), 443)
    assert "posture.gateway.egress" in remedy.summary
    assert "<GATEWAY-IPV4>" in remedy.commands[0] and "<GATEWAY-IPV6>" in remedy.commands[0]
    assert not any(re.match(r"(nft|iptables|ip6tables|ufw)\b", command) for command in remedy.commands)
    assert any(command.startswith("# nft ") and "<GATEWAY-IPV4>" in command for command in remedy.commands)


def test_remedy_names_the_gateways_own_key_of_the_client_certificate(tmp_path: Path) -> None:
    (line,) = (command for command in origin_exposed(BOTH, 443).commands if command.startswith("sites: "))
    (tmp_path / "client.pem").write_text("")
    section = yaml.safe_load(line.replace("/etc/gateway/gateway-client.pem", str(tmp_path / "client.pem")))
    section["sites"][0]["origin"]["servers"] = ["https://origin.example"]
    section["sites"][0]["hosts"] = ["shop.example"]
    config = Config.model_validate(section)
    assert config.sites[0].origin.tls.client_certificate == str(tmp_path / "client.pem")


def test_remedy_promises_no_secret_header() -> None:
    assert "secret" not in str(origin_exposed(BOTH, 443)).lower()


# --- in a kernel ---

def _may_make_networks() -> bool:
    tools = ("unshare", "nsenter", "ip", "bash")
    if not all(map(shutil.which, tools)):
        return False
    return subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0


@pytest.mark.parametrize("tools", [("nft",), ("iptables", "ip6tables")])
def test_lines_let_the_gateway_in_and_nobody_else(tools: tuple[str, ...]) -> None:
    if not all(map(shutil.which, tools)) or not _may_make_networks():
        pytest.skip(f"{' and '.join(tools)}, or networks of a test's own, are not available here")
    place = Place(egress=("10.99.0.5", "fd99::5"))
    typed = "\n".join(line for tool in tools for line in lines(place, 8443, tool))
    trial = ["unshare", "-rn", sys.executable, "-W", "error", str(TRIAL)]
    done = subprocess.run(trial, input=typed, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "before": ["10.99.0.5 8443", "10.99.0.6 8443", "fd99::5 8443", "fd99::6 8443", "10.99.0.6 9000"],
        "after": ["10.99.0.5 8443", "fd99::5 8443", "10.99.0.6 9000"],
    }


@pytest.mark.parametrize("title", ["Origin IP Exposed", "Origin server is reachable around the gateway"])
def test_exposed_origin_of_any_provider_has_the_lines_of_this_deployment(title: str) -> None:
    theirs = Remediation("Restrict origin access to CDN IPs", ("iptables ...",))
    found = Finding("F-001", "ddactic", "scn_1", "critical", title, "", "192.0.2.1", None, (), None, theirs, {})
    assert for_deployment(found, BOTH) == origin_exposed(BOTH, None)


def test_other_finding_keeps_what_its_provider_says() -> None:
    theirs = Remediation("Upgrade")
    found = Finding("F-002", "ddactic", "scn_1", "low", "Original headers", "", "a.example", None, (), None, theirs, {})
    assert for_deployment(found, BOTH) is theirs
