"""A described request as the downstream side sees it: the bytes of a head, parsed and refused as if from a socket."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.config import Config, Limits, Listener, Protection
from gateway.config.address import parse_address
from gateway.errors import DescriptionError, RequestRefused
from gateway.explain.model import Described
from gateway.http.client_address import Client, ClientFinder, Peer
from gateway.http.head import parse_request
from gateway.http.message import RequestHead
from gateway.server.site import Runtime, Site

_URL = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#@\s]+)(?P<target>(?:[/?][^#\s]*)?)(?:#\S*)?", re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2
_ENDS_LINE = re.compile(r"[\r\n\0]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that is checked. settings: of its site."""

    head: RequestHead
    client: Client
    site: Site
    settings: Protection
    runtime: Runtime


def parse_head(described: Described, limits: Limits) -> RequestHead:
    """The head as it would arrive. The URL's fragment stays at home (RFC 3986 3.5), everything else is sent as typed.

    Raises DescriptionError for what could not be put into one request, RequestRefused for what the gateway refuses.
    """
    raw = _write_head(described)
    if len(raw) > limits.request_head_bytes:
        raise RequestRefused(431, "head_size")
    head = parse_request(raw)
    if len(head.target) > limits.request_target_bytes:
        raise RequestRefused(414, "target_size")
    if len(head.headers) > limits.request_headers:
        raise RequestRefused(431, "header_count")
    return head


def choose_listener(config: Config, url: str) -> Listener:
    """The listener that the URL means: of its scheme and port, of its scheme, or else the first.

    An https URL may mean a plain listener: then TLS ends in front of the gateway.
    """
    scheme, host, _ = _split(url)
    _, colon, port = host.rpartition(":")
    wanted = int(port) if colon and port.isdecimal() and len(port) <= 5 else _DEFAULT_PORTS[scheme]

    def likeness(listener: Listener) -> tuple[bool, bool]:
        return (listener.tls is not None) is (scheme == "https"), parse_address(listener.address).port == wanted

    return max(config.listeners, key=likeness)


def find_client(clients: ClientFinder, listener: Listener, described: Described, head: RequestHead) -> Client:
    """Who the gateway takes for the client (as DownstreamConnection.client_of)."""
    peer = Peer(described.ip, "http" if listener.tls is None else "https", parse_address(listener.address).port)
    return clients.of_request(peer, head) if clients.trusts(peer.address) else clients.of_peer(peer)


def _write_head(described: Described) -> bytes:
    _, host, target = _split(described.url)
    if not _TOKEN.fullmatch(described.method):
        raise DescriptionError(f"{described.method[:100]!r} is not a method, such as POST")
    headers = described.headers
    if not any(name.lower() == "host" for name, _ in headers):
        headers = (("Host", host), *headers)
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or _ENDS_LINE.search(value):
            raise DescriptionError(f"{name[:50]!r}: {value[:50]!r} is not one header, 'Name: value' without line ends")
    lines = [f"{described.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def _split(url: str) -> tuple[str, str, str]:
    """(scheme, host with its port, path and query) as typed; the scheme is lowered."""
    match = _URL.fullmatch(url)
    if match is None:
        raise DescriptionError(f"{url[:100]!r} is not http(s)://host/path?query, percent-encoded")
    target = match["target"]
    return match["scheme"].lower(), match["host"], target if target.startswith("/") else f"/{target}"
