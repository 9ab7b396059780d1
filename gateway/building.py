"""A configuration made into a Runtime: the one place where sites, origins, checkers and their clients are put together.

Whoever serves traffic (gateway.app) and whoever says what would happen to it (gateway.explain, gateway.probe) builds it
here, so that an explanation cannot differ from the traffic. Building opens no connection; `NewClient.get_ready` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway import __version__
from gateway.config import Config, Protection
from gateway.metrics import Metrics
from gateway.origin.origin import Origin
from gateway.pool.address import client_context, parse_server
from gateway.pool.pool import Pool, PoolLimits
from gateway.protection.breaker import Breaker
from gateway.protection.checker import Checker
from gateway.protection.client import ProtectionClient
from gateway.protection.negotiation import Negotiation
from gateway.server.site import Runtime, Site

EMBEDDED = "embedded"
# What makes two `protection` sections ask the same API in the same way: they share a client, its pool and its breaker.
_CLIENT_KEYS = (
    "endpoint", "key", "encoding", "timeout", "pool", "integrity", "enforce_429", "breaker", "max_answer_bytes",
)
_WARM_S = 1.0  # how long a start waits for warm connections; an API that is down must not hold it up


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client that no earlier runtime had. settings: of the first section that uses it."""

    client: ProtectionClient
    settings: Protection
    negotiation: Negotiation

    async def get_ready(self) -> bool:
        """Open the warm connections, settle the encoding; False: `negotiation.until_settled` has yet to do that."""
        await self.client.pool.warm(_WARM_S)
        return self.settings.encoding != "auto" or await self.negotiation.first()


@dataclass(frozen=True, slots=True)
class Built:
    """runtime.sites stands in the order of config.sites; new_clients in the order of their first use."""

    runtime: Runtime
    new_clients: tuple[NewClient, ...]


class Builder:
    """Builds runtimes on the running event loop; a client goes on from one to the next (reload).

    engine_socket: where the embedded engine listens, for `endpoint: embedded`.
    """

    def __init__(self, metrics: Metrics, engine_socket: str | None) -> None:
        self._metrics = metrics
        self._engine_socket = engine_socket
        self._clients: dict[str, ProtectionClient] = {}

    def build(self, config: Config) -> Built:
        """Raises OSError (ssl.SSLError is one) if a certificate or an authority of an origin cannot be used."""
        new: list[NewClient] = []
        sites = []
        try:
            for settings in config.sites:
                checker = self._build_checker(config, settings.protection, new)
                origin = Origin(settings.origin, max_head_bytes=config.limits.response_head_bytes)
                sites.append(Site(
                    settings.name, list(settings.hosts), list(settings.paths), origin, checker, self._metrics))
        except OSError:
            for made in new:  # they never got ready: the next attempt must not find them
                del self._clients[_client_key(made.settings)]
            raise
        used = dict.fromkeys(site.checker.client for site in sites if site.checker.client is not None)
        return Built(Runtime(config, sites, list(used)), tuple(new))

    def close_unused(self, runtime: Runtime) -> None:
        """Forget the clients that this runtime does not use; their calls under way end as they would."""
        for key in [key for key, client in self._clients.items() if client not in runtime.protections]:
            self._clients.pop(key).pool.retire()

    def _build_checker(self, config: Config, settings: Protection, new: list[NewClient]) -> Checker:
        client = None if settings.mode == "off" else self._clients.get(_client_key(settings))
        is_new = client is None and settings.mode != "off"
        if is_new:
            client = self._clients[_client_key(settings)] = self._build_client(settings)
        checker = Checker(settings, client, self._metrics, server_name=config.server_name, version=__version__)
        if is_new and client is not None:
            new.append(NewClient(client, settings, Negotiation(client, checker.payload)))
        return checker

    def _build_client(self, settings: Protection) -> ProtectionClient:
        is_embedded = settings.endpoint == EMBEDDED
        address = parse_server(f"unix:{self._engine_socket}" if is_embedded else settings.endpoint)
        limits = PoolLimits(
            max_connections=settings.pool.max_connections, max_idle=settings.pool.max_connections,
            idle_timeout_s=settings.pool.idle_timeout, connect_timeout_s=max(settings.timeout, 1.0),
            warm=settings.pool.warm, max_head_bytes=settings.max_answer_bytes)
        pool = Pool(address, limits, tls=client_context() if address.tls else None)
        breaker = Breaker(settings.breaker.failures, settings.breaker.window, settings.breaker.open)
        return ProtectionClient(
            pool, breaker, self._metrics, endpoint=EMBEDDED if is_embedded else address.authority,
            encoding="form" if settings.encoding == "auto" else settings.encoding, timeout_s=settings.timeout,
            max_answer_bytes=settings.max_answer_bytes, strict=settings.integrity == "strict",
            enforce_429=settings.enforce_429)


def _client_key(settings: Protection) -> str:
    parts = settings.model_dump(include=set(_CLIENT_KEYS))
    parts["key"] = settings.key.get_secret_value()
    return repr(sorted(parts.items()))
