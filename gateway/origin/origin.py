"""The origin of one site: its servers, and which of them gets the next request."""

from __future__ import annotations

from gateway.config import Origin as OriginSettings
from gateway.origin.server import OriginServer
from gateway.pool.address import client_context, parse_server
from gateway.pool.pool import PoolLimits


class Origin:
    """Balances over its healthy servers; times in seconds."""

    def __init__(self, settings: OriginSettings, *, max_head_bytes: int) -> None:
        self.response_timeout_s = settings.response_timeout
        self.idle_timeout_s = settings.idle_timeout
        self.retries = settings.retries
        self.preserve_host = settings.preserve_host
        self.active_check = settings.health.active
        limits = PoolLimits(
            max_connections=settings.pool.max_connections, max_idle=settings.pool.max_idle,
            idle_timeout_s=settings.pool.idle_timeout, connect_timeout_s=settings.connect_timeout,
            wait_s=settings.connect_timeout, max_head_bytes=max_head_bytes)
        addresses = [parse_server(text) for text in settings.servers]
        tls = None
        if any(address.tls for address in addresses):
            tls = client_context(
                ca=settings.tls.ca, verify=settings.tls.verify, client_certificate=settings.tls.client_certificate)
        self.servers = [
            OriginServer(
                address, limits, passive_failures=settings.health.passive_failures, ejection_s=settings.health.ejection,
                tls=tls if address.tls else None, server_name=settings.tls.server_name)
            for address in addresses
        ]
        self._round_robin = settings.balance == "round_robin"
        self._turn = 0

    def choose(self, now_s: float, tried: OriginServer | None = None) -> OriginServer | None:
        """The server for the next request; another one than `tried` where there is another. None: none is healthy."""
        servers = self.servers
        if len(servers) == 1:
            server = servers[0]
            return server if server.is_healthy(now_s) else None
        healthy = [server for server in servers if server.is_healthy(now_s)]
        others = [server for server in healthy if server is not tried] or healthy
        if not others:
            return None
        self._turn += 1
        turned = others[self._turn % len(others):] + others[: self._turn % len(others)]  # ties go round
        return turned[0] if self._round_robin else min(turned, key=lambda server: server.outstanding)
