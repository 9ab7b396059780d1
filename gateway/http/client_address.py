"""Who the client is: the socket's peer, or what a trusted proxy says about it (http-cases P05, P06)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from gateway.http.message import RequestHead

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_HOPS_MAX = 64
_WALKED = frozenset({b"x-forwarded-for", b"forwarded"})


@dataclass(frozen=True, slots=True)
class Client:
    """The finding about one request's sender. trusted: the socket's peer is a trusted proxy.

    forwarded: ready header lines for the origin, each ended by CRLF, without X-Forwarded-Host.
    """

    address: str
    protocol: str
    port: int
    trusted: bool
    reason: str
    forwarded: bytes


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection. address: "" for a Unix socket; port: the listener's own port (0 for Unix)."""

    address: str
    protocol: str
    port: int


class ClientFinder:
    """Finds the client of a request. networks: CIDR of trusted proxies; header: where they put the client's address."""

    def __init__(self, networks: list[str], header: str) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(text, strict=False) for text in networks]
        self.header = header.lower().encode()

    def trusts(self, text: str) -> bool:
        address = parse_address(text)
        if address is None:  # a Unix socket's peer: as near as a process of this machine with the right to open it
            return text == "" and any(network.prefixlen == 0 for network in self._networks)
        return any(address in network for network in self._networks if network.version == address.version)

    def of_peer(self, peer: Peer) -> Client:
        """For a peer that is not a trusted proxy: the same for every request of its connection."""
        address = _plain(peer.address)
        lines = _forwarded_lines(address.encode(), address, peer.protocol, peer.port)
        reason = "the connection's peer is not a trusted proxy"
        return Client(address, peer.protocol, peer.port, False, reason, lines)

    def of_request(self, peer: Peer, head: RequestHead) -> Client:
        """For a trusted peer: what its headers say about this request."""
        fields = head.fields
        nearest = _plain(peer.address)
        address, reason = self._walk(nearest, fields.get(self.header, b""))
        protocol = _first(fields.get(b"x-forwarded-proto", b"")).lower().decode("latin-1")
        if protocol not in ("http", "https"):
            protocol = peer.protocol
        port = _port(_first(fields.get(b"x-forwarded-port", b"")), peer.port)
        hops = fields.get(b"x-forwarded-for", b"")
        via_peer = hops + b", " + nearest.encode() if hops else nearest.encode()
        return Client(address, protocol, port, True, reason, _forwarded_lines(via_peer, address, protocol, port))

    def _walk(self, peer: str, value: bytes) -> tuple[str, str]:
        """Right to left over trusted hops to the first address that is not one of them (at most 64 hops)."""
        text = value.decode("latin-1")
        if self.header not in _WALKED:
            address = parse_address(text)
            if address is None:
                return peer, "no valid address in the configured header: the peer"
            return str(address), f"{self.header.decode()} of a trusted proxy"
        nearest = peer
        for hop in reversed(text.rsplit(",", _HOPS_MAX)[-_HOPS_MAX:]):
            hop = _forwarded_for(hop) if self.header == b"forwarded" else hop
            if not hop.strip():
                continue
            address = parse_address(hop)
            if address is None:  # nobody vouches for what stands further left
                return nearest, "the last valid hop of the configured header"
            nearest = str(address)
            if not self.trusts(nearest):
                return nearest, "the first hop from the right that is not a trusted proxy"
        return nearest, "every hop is a trusted proxy: the leftmost"


def parse_address(text: str) -> Address | None:
    """An address as proxies write it: plain, [v6], with a port, IPv4-mapped, with a zone (dropped: it is free text that
    means nothing to another machine). None if it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return address.ipv4_mapped or ipaddress.IPv6Address(address.packed)


def _plain(text: str) -> str:
    """A socket's peer as it is written everywhere: a dual-stack listener sees IPv4 clients as ::ffff:192.0.2.1."""
    return str(parse_address(text) or text) if ":" in text else text


def _forwarded_for(element: str) -> str:
    """The node of `for=` in one element of a Forwarded header (RFC 7239 4, 6); "" for an empty element.

    An element that does not say for whom is `unknown`: whoever wrote it vouches for nothing further left.
    """
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return value
    return "unknown" if element.strip() else ""


def _forwarded_lines(hops: bytes, address: str, protocol: str, port: int) -> bytes:
    """The origin gets what the check gets: our finding. A Unix socket has no port to tell."""
    lines = b"x-forwarded-for: %b\r\nx-real-ip: %b\r\nx-forwarded-proto: %b\r\n" % (
        hops, address.encode(), protocol.encode())
    return lines + b"x-forwarded-port: %d\r\n" % port if port else lines


def _first(value: bytes) -> bytes:
    """What the outermost of several proxies wrote."""
    return value.partition(b",")[0].strip()


def _port(value: bytes, default: int) -> int:
    if value.isdigit() and len(value) <= 5 and 0 < int(value) <= 65535:
        return int(value)
    return default
