"""Which site a request belongs to, and everything that is settled about a site before its first request."""

from __future__ import annotations

from gateway.config import Config
from gateway.http.client_address import ClientFinder
from gateway.http.forwarding import NameTable, request_names
from gateway.http.framing import HOST_KEPT_MAX_BYTES
from gateway.http.message import RequestHead
from gateway.metrics import Metrics
from gateway.origin.origin import Origin
from gateway.protection.checker import Checker
from gateway.protection.client import ProtectionClient
from gateway.protection.scope import host_name

_CACHE_MAX = 4096
_RETIRED_S = 60.0


class Site:
    """One entry of `sites`, ready to serve."""

    __slots__ = ("checker", "duration", "hosts", "name", "origin", "origin_duration", "paths")

    def __init__(
        self, name: str, hosts: list[str], paths: list[str], origin: Origin, checker: Checker, metrics: Metrics,
    ) -> None:
        self.name = name
        self.hosts = hosts
        self.paths = tuple(path.encode() for path in paths)
        self.origin = origin
        self.checker = checker
        self.duration = metrics.request_duration.child((name,))
        self.origin_duration = metrics.origin_duration.child((name,))

    def has_host(self, host: bytes) -> bool:
        text = host.decode("latin-1")
        return any(
            pattern == "*" or pattern == text or (pattern.startswith("*.") and text.endswith(pattern[1:]))
            for pattern in self.hosts)


class Runtime:
    """One configuration at work. A reload builds another one and replaces it by one assignment."""

    def __init__(self, config: Config, sites: list[Site], protections: list[ProtectionClient]) -> None:
        self.limits = config.limits
        self.protections = protections
        self.sites = sites
        self.clients = ClientFinder(list(config.client_ip.trusted_proxies), config.client_ip.header)
        self.trusted_names = request_names(trusted=True, client_header=self.clients.header)
        self.untrusted_names = request_names(trusted=False, client_header=self.clients.header)
        self._retired_until_s = 0.0
        self._by_host: dict[bytes, tuple[Site, ...]] = {}

    def site_of(self, head: RequestHead) -> Site | None:
        """The first site with a matching host and path prefix; None = 421."""
        candidates = self._by_host.get(head.host)
        if candidates is None:
            candidates = self._candidates(head.host)
        for site in candidates:
            if site.paths == (b"/",) or head.path.startswith(site.paths) or head.path == b"*":
                return site
        return None

    def names(self, *, trusted: bool) -> NameTable:
        return self.trusted_names if trusted else self.untrusted_names

    def _candidates(self, host: bytes) -> tuple[Site, ...]:
        name = host_name(host)
        found = tuple(site for site in self.sites if site.has_host(name))
        if len(self._by_host) < _CACHE_MAX and len(host) <= HOST_KEPT_MAX_BYTES:
            self._by_host[host] = found
        return found

    def sweep(self, now_s: float) -> bool:
        """Hold the deadlines of every pool and of its connections against the clock; True while it may be in use."""
        alive = now_s < self._retired_until_s
        for client in self.protections:
            client.pool.sweep(now_s)
        for site in self.sites:
            for server in site.origin.servers:
                server.pool.sweep(now_s)
                alive = alive or bool(server.pool.connections)
                for connection in [c for c in server.pool.connections if c.deadline_s <= now_s]:
                    if connection.user is not None:
                        connection.user.on_overdue(connection)
        return alive

    def retire(self, now_s: float) -> None:
        """No new requests; what is under way ends as it began, be it in a check that has no connection yet."""
        self._retired_until_s = now_s + _RETIRED_S
        for site in self.sites:
            for server in site.origin.servers:
                server.pool.retire()

    def abort(self) -> None:
        """Close every connection now."""
        for client in self.protections:
            client.pool.abort()
        for site in self.sites:
            for server in site.origin.servers:
                server.pool.abort()
