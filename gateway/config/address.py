"""Where to listen and whom to call: `host:port`, `[v6]:port`, `unix:/path`, `http(s)://host[:port]`. Pure.

Everything raises ValueError whose text says what is accepted, so that a configuration error can end with it.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

UNIX = "unix:"
ADDRESS_EXPECTED = "host:port, [v6]:port or unix:/path (at most 107 bytes)"
SERVER_EXPECTED = "http://host[:port], https://host[:port] or unix:/path, without path, user or query"
ENDPOINT_EXPECTED = (
    "embedded, https://host[:port][/prefix], http://host[:port][/prefix] or unix:/path, without user or query"
)
HOST_EXPECTED = 'a host name in ASCII without port, [v6], "*.example.com" or "*"'
NETWORK_EXPECTED = "an IPv4 or IPv6 network in CIDR form, such as 10.0.0.0/8 or fd00::/8"

DEFAULT_PORTS = {"http": 80, "https": 443}
_SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path is 108 bytes, one of them for the closing NUL
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\[\]/:?#@\\\s]+)(?::([0-9]{1,5}))?(/[!-~]*)?", re.IGNORECASE)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")


class Address(NamedTuple):
    """A place to listen. A Unix socket has `path` and no host; `host` is without brackets; port 0 is any free one."""

    host: str
    port: int
    path: str = ""

    @property
    def is_loopback(self) -> bool:
        """True if only processes of this machine can connect."""
        if self.path or self.host == "localhost":
            return True
        address = _ip(self.host)
        return address is not None and address.is_loopback


class Endpoint(NamedTuple):
    """A server to call. scheme: http, https or unix; `socket_path` is the Unix socket's, `prefix` the path of the URL
    without a slash at its end."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    socket_path: str = ""


def parse_address(text: str) -> Address:
    """`host:port`, `[v6]:port` or `unix:/path`."""
    if text.startswith(UNIX):
        return Address("", 0, _socket_path(text, ADDRESS_EXPECTED))
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(ADDRESS_EXPECTED)
    return Address(_host(host.lower(), ADDRESS_EXPECTED), int(port))


def parse_server(text: str) -> Endpoint:
    """An origin server: `http(s)://host[:port]` or `unix:/path`. A lone slash at the end is forgiven."""
    endpoint = _parse_url(text, SERVER_EXPECTED)
    if endpoint.prefix:
        raise ValueError(SERVER_EXPECTED)
    return endpoint


def parse_endpoint(text: str) -> Endpoint:
    """The Protection API: as an origin server, and a path in the URL is a prefix of the calls' path."""
    return _parse_url(text, ENDPOINT_EXPECTED)


def parse_host_pattern(text: str) -> str:
    """`shop.example`, `192.0.2.1`, `[2001:db8::1]`, `*.example.com` or `*`, in lower case."""
    lowered = text.lower()
    if lowered == "*":
        return lowered
    if lowered.startswith("*."):
        if _NAME.fullmatch(lowered[2:]):
            return lowered
        raise ValueError(HOST_EXPECTED)
    host = _host(lowered, HOST_EXPECTED)
    return f"[{host}]" if ":" in host else host


def parse_network(text: str) -> str:
    """`10.0.0.0/8`, `fd00::/8` or one address; host bits must be zero, because a typing error leaves some."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(NETWORK_EXPECTED) from None
    if "/" in text and ipaddress.ip_address(text.partition("/")[0]) != network.network_address:
        raise ValueError(f"{network} or a single address: the host bits of a network are zero")
    return text


def _parse_url(text: str, expected: str) -> Endpoint:
    if text.startswith(UNIX):
        return Endpoint("unix", "", 0, "", _socket_path(text, expected))
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError(expected)
    scheme, host, port, prefix = match[1].lower(), match[2].lower(), match[3], (match[4] or "").rstrip("/")
    number = int(port) if port else DEFAULT_PORTS[scheme]
    if not 1 <= number <= 65535 or not _PREFIX.fullmatch(prefix):
        raise ValueError(expected)
    return Endpoint(scheme, _host(host, expected), number, prefix)


def _socket_path(text: str, expected: str) -> str:
    path = text.removeprefix(UNIX)
    bytes_count = len(path.encode("utf-8", "surrogatepass"))
    if not path.startswith("/") or bytes_count > _SOCKET_PATH_BYTES or not path.isprintable():
        raise ValueError(expected)
    return path


def _host(text: str, expected: str) -> str:
    """The host without brackets; an IPv6 address must have them, and comes back in its canonical form."""
    if text.startswith("[") and text.endswith("]"):
        address = _ip(text[1:-1])
        if address is None or address.version != 6 or "%" in text:
            raise ValueError(expected)
        return str(address)
    labels = text.split(".")
    numeric = labels[-1].isdigit()  # a name's last label is never all digits: this is IPv4 or a mistake
    if not _NAME.fullmatch(text) or (numeric and _ip(text) is None):
        raise ValueError(expected)
    return text


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
