"""The address of a shared store: one line of configuration, read once.

    valkey://[USER:PASSWORD@]HOST[:PORT][/DB]         (redis:// is the same)
    valkeys://...                                     TLS (rediss:// is the same)
    valkey+cluster://HOST:PORT[,HOST:PORT...]         a cluster: any of its nodes; valkeys+cluster:// with TLS
    unix:/PATH  or  unix://[USER:PASSWORD@]/PATH[?db=N]

User and password are percent-encoded. They are never shown: an Address prints as the URL without them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from gateway.errors import ConfigError

PORT = 6379
EXPECTED = (
    "memory, valkey://[USER:PASSWORD@]HOST[:PORT][/DB], valkeys://... (TLS), "
    "valkey+cluster://HOST:PORT[,HOST:PORT...], valkeys+cluster://... or unix:/PATH"
)
_URL = re.compile(
    r"(?P<vendor>valkey|redis)(?P<tls>s?)(?P<cluster>\+cluster)?://"
    r"(?:(?P<user>[^/?#@]*)@)?(?P<hosts>[^/?#@]+)(?:/(?P<db>[0-9]{1,5})?)?",
    re.IGNORECASE,
)
_UNIX = re.compile(r"unix:(?://(?:(?P<user>[^/?#@]*)@)?)?(?P<path>/[^?#]+)(?:\?db=(?P<db>[0-9]{1,5}))?")
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Address:
    """`nodes`: (host, port), one unless `cluster`; `path`: of a socket file instead, else ""."""

    nodes: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    tls: bool = False
    cluster: bool = False
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}" + (f"?db={self.db}" if self.db else "")
        scheme = "valkey" + ("s" if self.tls else "") + ("+cluster" if self.cluster else "")
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes)
        return f"{scheme}://{hosts}" + (f"/{self.db}" if self.db else "")


def parse_address(url: str) -> Address:
    """Raises ConfigError, whose text shows nothing that may be a password."""
    unix = _UNIX.fullmatch(url)
    if unix is not None:
        username, password = _credentials(unix["user"])
        return Address(path=unix["path"], db=int(unix["db"] or 0), username=username, password=password)
    match = _URL.fullmatch(url)
    if match is None:
        raise _refused(url, EXPECTED)
    username, password = _credentials(match["user"])
    nodes = tuple(_node(host, url) for host in match["hosts"].split(","))
    cluster, db = bool(match["cluster"]), int(match["db"] or 0)
    if len(nodes) > 1 and not cluster:
        raise _refused(url, "one HOST:PORT; several are a cluster: valkey+cluster://")
    if cluster and db:
        raise _refused(url, "no /DB: a cluster has only database 0")
    return Address(nodes, "", db, bool(match["tls"]), cluster, username, password)


def _credentials(user: str | None) -> tuple[str | None, str | None]:
    """(user, password) of `user:password` or `:password`."""
    username, _, password = (user or "").partition(":")
    return unquote(username) or None, unquote(password) or None


def _node(text: str, url: str) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    port = int(match["port"] or PORT) if match else 0
    if match is None or not 1 <= port <= 65_535:
        raise _refused(url, "HOST or HOST:PORT with a port from 1 to 65535")
    return match["name"].strip("[]"), port


def _refused(url: str, expected: str) -> ConfigError:
    """What stands before the last @ may be a password in any form, and without one anything may be: it is not shown."""
    scheme = re.match(r"[A-Za-z+]{1,20}:", url)
    tail = url.rpartition("@")[2][:60] if "@" in url else ""
    return ConfigError(f"the store's address: got {scheme[0] if scheme else ''}...{tail!r}; expected {expected}")
