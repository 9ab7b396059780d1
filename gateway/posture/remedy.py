"""What to do about an origin that is reached around the gateway, with the addresses of this deployment. Pure.

Two things help, and only these are promised: a firewall that lets the gateway's addresses in alone, which also ends
floods, and a client certificate that the gateway shows to the origin (`sites[].origin.tls.client_certificate`), where
addresses are shared with others. The gateway adds no secret header to requests, so none is named here.

Every group of commands works on its own; one firewall is chosen. They drop what comes for the origin's ports from
anybody else, before connection tracking, also for ports that a container publishes, and leave all other rules alone.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from gateway.config.posture import Place
from gateway.posture.finding import Finding, Remediation

_WEB_PORTS = (80, 443)
_ORIGIN_EXPOSED = re.compile(r"\borigin\b.*\b(?:exposed|reachable|accessible)\b", re.IGNORECASE)
_KEY = "posture.gateway.egress"
_V4_MARK, _V6_MARK = "<GATEWAY-IPV4>", "<GATEWAY-IPV6>"

_CLIENT_CERTIFICATE = (
    "# client certificate: make one that the gateway shows to the origin",
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=gateway"
    " -keyout gateway-client.key -out gateway-client.crt",
    "(umask 077; cat gateway-client.crt gateway-client.key > gateway-client.pem)",
    "# client certificate: in the gateway's configuration; the servers of the site are https://",
    'sites: [{hosts: ["HOST"], origin: {servers: ["https://ORIGIN"],'
    " tls: {client_certificate: /etc/gateway/gateway-client.pem}}}]",
    "# client certificate: in the origin's nginx, in the server block; anybody else gets no answer",
    "ssl_client_certificate /etc/nginx/gateway-client.crt;",
    "ssl_verify_client on;",
    "error_page 495 496 = @not_the_gateway;",
    "location @not_the_gateway { return 444; }",
)


def origin_exposed(place: Place, port: int | None) -> Remediation:
    """For a finding that an origin's address is reachable: firewall lines, and the client certificate.

    The addresses are those of `posture.gateway.egress`, else `addresses`, as the configuration has them. If it has
    none, the lines hold marked placeholders and stand behind `#`, so that pasting them shuts nobody out. port: the
    origin's; None = 80 and 443.
    """
    v4, v6 = _families(place)
    ports = _WEB_PORTS if port is None else (port,)
    lines = tuple(_firewalls(v4 or _mark(v6, _V4_MARK), v6 or _mark(v4, _V6_MARK), ports))
    if v4 or v6:
        return Remediation(_summary(", ".join(v4 + v6), ports), lines + _CLIENT_CERTIFICATE)
    unnamed = f"{_KEY} names none: name them, and `gateway posture remedy` has them in the lines below"
    note = f"# {_KEY} names no address yet: put the gateway's in place of {_V4_MARK} and {_V6_MARK}"
    return Remediation(_summary(unnamed, ports), (note, *(_behind_mark(line) for line in lines), *_CLIENT_CERTIFICATE))


def for_deployment(finding: Finding, place: Place) -> Remediation | None:
    """What to do about a finding here: of an origin that is reached around the gateway, whoever found it, the lines for
    this deployment; else what its provider says, None if it says nothing."""
    if finding.id == "origin-direct" or _ORIGIN_EXPOSED.search(finding.title):
        return origin_exposed(place, finding.port)
    return finding.remediation


def _summary(addresses: str, ports: tuple[int, ...]) -> str:
    written = f"port {ports[0]}" if len(ports) == 1 else f"ports {' and '.join(map(str, ports))}"
    return (
        f"Let only the gateway's addresses ({addresses}) reach {written} of the origin, by one of the firewalls below;"
        " then give the origin an address that was never public, because the old one is known. Where the gateway's"
        " addresses are shared with others, or the firewall cannot be changed, let the origin demand the gateway's"
        " client certificate."
    )


def _families(place: Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """IPv4 and IPv6 addresses from which the gateway connects; once each, in the configuration's order."""
    parsed = [ipaddress.ip_address(text) for text in dict.fromkeys(place.egress or place.addresses)]
    v4, v6 = ([str(address) for address in parsed if address.version == version] for version in (4, 6))
    return tuple(v4), tuple(v6)


def _mark(other: tuple[str, ...], mark: str) -> tuple[str, ...]:
    """Nothing for a family that the gateway does not use, since it uses the other one."""
    return () if other else (mark,)


def _behind_mark(line: str) -> str:
    return line if line.startswith("#") else f"# {line}"


def _firewalls(v4: tuple[str, ...], v6: tuple[str, ...], ports: tuple[int, ...]) -> Iterator[str]:
    yield from _nftables(v4, v6, ports)
    yield "# or iptables, and its own lines for IPv6"
    yield from _iptables("iptables", v4, ports)
    yield from _iptables("ip6tables", v6, ports)
    yield from _ufw(v4 + v6, ports)


def _nftables(v4: tuple[str, ...], v6: tuple[str, ...], ports: tuple[int, ...]) -> Iterator[str]:
    """A table of its own. `fib daddr type local`: what is for this machine, not what it routes for others."""
    chain = "inet gateway_origin guard"
    yield "# nftables; in /etc/nftables.conf they last over a restart"
    yield "nft add table inet gateway_origin"
    yield f"nft 'add chain {chain} {{ type filter hook prerouting priority raw; policy accept; }}'"
    yield f"nft 'add rule {chain} iif lo accept'"
    for family, nfproto, addresses in (("ip", "ipv4", v4), ("ip6", "ipv6", v6)):
        others = f"{family} saddr != {{ {', '.join(addresses)} }}" if addresses else f"meta nfproto {nfproto}"
        yield f"nft 'add rule {chain} fib daddr type local {others} tcp dport {{ {_listed(ports, ', ')} }} drop'"


def _iptables(command: str, addresses: tuple[str, ...], ports: tuple[int, ...]) -> Iterator[str]:
    """A chain that is filled before the last line leads packets into it; RETURN leaves them to the other rules."""
    yield f"{command} -t raw -N GATEWAY_ORIGIN"
    yield f"{command} -t raw -A GATEWAY_ORIGIN -i lo -j RETURN"
    for address in addresses:
        yield f"{command} -t raw -A GATEWAY_ORIGIN -s {address} -j RETURN"
    yield f"{command} -t raw -A GATEWAY_ORIGIN -j DROP"
    to_port = f"-p tcp -m multiport --dports {_listed(ports, ',')}"
    yield f"{command} -t raw -I PREROUTING -m addrtype --dst-type LOCAL {to_port} -j GATEWAY_ORIGIN"


def _ufw(addresses: tuple[str, ...], ports: tuple[int, ...]) -> Iterator[str]:
    """Prepended, the last one first: rules that are there already do not come before these."""
    yield "# or ufw (which does not guard ports that Docker publishes)"
    listed = _listed(ports, ",")
    yield f"ufw prepend deny proto tcp to any port {listed}"
    for address in reversed(addresses):
        yield f"ufw prepend allow proto tcp from {address} to any port {listed}"


def _listed(ports: tuple[int, ...], separator: str) -> str:
    return separator.join(map(str, ports))
