"""The composition root: the one module that knows every other, and the entry of the child processes.

`python -m gateway.app worker` and `python -m gateway.app engine` are started by the supervisor (gateway.control).
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any

import uvloop

from gateway import __version__
from gateway.config import Config, Protection
from gateway.control import run_child
from gateway.logs import AccessLog
from gateway.metrics import Metrics
from gateway.origin.health import watch
from gateway.origin.origin import Origin
from gateway.pool.address import client_context, parse_server
from gateway.pool.pool import Pool, PoolLimits
from gateway.protection.breaker import CLOSED, Breaker
from gateway.protection.checker import Checker
from gateway.protection.client import ProtectionClient
from gateway.protection.negotiation import Negotiation
from gateway.server.listener import Server
from gateway.server.site import Runtime, Site

# What makes two `protection` sections ask the same API in the same way: they share a client, its pool and its breaker.
_CLIENT_KEYS = (
    "endpoint", "key", "encoding", "timeout", "pool", "integrity", "enforce_429", "breaker", "max_answer_bytes",
)
_GC_THRESHOLD = 50_000  # objects: a request leaves no cycle behind, so the default 700 only costs time


class Worker:
    """One worker: everything between the downstream sockets and the origins. Runs on the current event loop.

    engine_socket: where the embedded engine listens, for `endpoint: embedded`.
    """

    def __init__(
        self, config: Config, *, metrics: Metrics | None = None, engine_socket: str | None = None,
        listener_fds: dict[str, int] | None = None,
    ) -> None:
        self.config = config
        self.metrics = metrics or Metrics()
        self._engine_socket = engine_socket
        self._listener_fds = listener_fds or {}
        self._server: Server | None = None
        self._clients: dict[str, ProtectionClient] = {}
        self._negotiations: set[asyncio.Task[None]] = set()
        self._access_log: AccessLog | None = None
        self._watches: set[asyncio.Task[None]] = set()
        self._opened: dict[ProtectionClient, int] = {}

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """What is listened on, in the configuration's order: (host, port), or (path, 0)."""
        return self.server.addresses

    @property
    def server(self) -> Server:
        assert self._server is not None, "not started"
        return self._server

    async def start(self) -> None:
        """Return when requests are served. Raises OSError if an address cannot be used."""
        runtime = await self._build(self.config)
        self._access_log = _open_access_log(self.config)
        self._server = Server(runtime, self.metrics, self._access_log)
        self._watch(runtime)
        await self._server.start(list(self.config.listeners), self._listener_fds)

    async def reload(self, config: Config) -> None:
        """Build the new configuration whole, then swap it in by one assignment."""
        runtime = await self._build(config)
        self.server.use(runtime)
        self._watch(runtime)
        self.config = config
        if self._access_log is not None:
            self._access_log.reopen()
        for key in [key for key, client in self._clients.items() if client not in runtime.protections]:
            self._clients.pop(key).pool.close()

    async def drain(self) -> None:
        """Finish what is in flight, for at most `drain_timeout`, then stop."""
        await self.server.drain(self.config.drain_timeout)
        self._close()

    async def stop(self) -> None:
        """At once."""
        if self._server is not None:
            self._server.stop()
        self._close()

    def _close(self) -> None:
        for task in (*self._negotiations, *self._watches):
            task.cancel()
        if self._access_log is not None:
            self._access_log.close()
            self._access_log = None

    def _watch(self, runtime: Runtime) -> None:
        """Active health checks of this runtime's servers instead of the last one's."""
        for task in self._watches:
            task.cancel()
        self._watches = {
            asyncio.create_task(watch(server, site.origin.active_check))
            for site in runtime.sites if site.origin.active_check is not None
            for server in site.origin.servers
        }

    def report(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """(what was counted since the last report, what is degraded now)."""
        self._measure()
        return self.metrics.take(), self._degraded()

    def _measure(self) -> None:
        """Set the gauges from what is there."""
        metrics, runtime = self.metrics, self.server.runtime
        metrics.open_connections.values[()] = len(self.server.connections)
        pools = [client.pool for client in runtime.protections]
        metrics.protection_connections.values[("idle",)] = sum(pool.idle_count for pool in pools)
        metrics.protection_connections.values[("busy",)] = sum(pool.busy_count for pool in pools)
        metrics.protection_breaker_state.values[()] = max((c.breaker.state for c in runtime.protections), default=CLOSED)
        for client in runtime.protections:
            opened = client.pool.opened_count
            metrics.protection_connections_opened.values[()] += opened - self._opened.get(client, 0)
            self._opened[client] = opened
        now_s = self.server.loop.time()
        for site in runtime.sites:
            servers = site.origin.servers
            metrics.origin_connections.values[(site.name,)] = sum(len(server.pool.connections) for server in servers)
            metrics.origin_healthy.values[(site.name,)] = sum(server.is_healthy(now_s) for server in servers)

    def _degraded(self) -> list[dict[str, str]]:
        now_s = self.server.loop.time()
        found: list[dict[str, str]] = []
        for client in self.server.runtime.protections:
            reason = client.degraded_reason
            if reason:
                found.append({"part": f"protection {client.pool.address.text}", "reason": reason})
        for site in self.server.runtime.sites:
            found.extend(
                {"part": f"origin {server.name} of site {site.name}", "reason": "ejected after consecutive failures"}
                for server in site.origin.servers if not server.is_healthy(now_s))
        return found

    # building

    async def _build(self, config: Config) -> Runtime:
        used: list[ProtectionClient] = []
        sites = []
        for settings in config.sites:
            checker = await self._build_checker(config, settings.protection)
            if checker.client is not None and checker.client not in used:
                used.append(checker.client)
            origin = Origin(settings.origin, max_head_bytes=config.limits.response_head_bytes)
            assert settings.name is not None
            sites.append(Site(
                settings.name, list(settings.hosts), list(settings.paths), origin, checker, self.metrics))
        return Runtime(config, sites, used)

    async def _build_checker(self, config: Config, settings: Protection) -> Checker:
        if settings.mode == "off":
            return Checker(settings, None, self.metrics, server_name=config.server_name, version=__version__)
        parts = settings.model_dump(include=set(_CLIENT_KEYS))
        parts["key"] = settings.key.get_secret_value()
        key = repr(sorted(parts.items()))
        client = self._clients.get(key)
        is_new = client is None
        if client is None:
            client = self._clients[key] = self._build_client(settings)
        checker = Checker(settings, client, self.metrics, server_name=config.server_name, version=__version__)
        if is_new:
            client.pool.warm_up(asyncio.get_running_loop().time())
            if settings.encoding == "auto":
                await self._negotiate(client, checker)
        return checker

    def _build_client(self, settings: Protection) -> ProtectionClient:
        endpoint = settings.endpoint
        if endpoint == "embedded":
            endpoint = f"unix:{self._engine_socket}"
        address = parse_server(endpoint)
        limits = PoolLimits(
            max_connections=settings.pool.max_connections, max_idle=settings.pool.max_connections,
            idle_timeout_s=settings.pool.idle_timeout, connect_timeout_s=max(settings.timeout, 1.0),
            warm=settings.pool.warm, max_head_bytes=settings.max_answer_bytes)
        pool = Pool(address, limits, tls=client_context() if address.tls else None)
        breaker = Breaker(settings.breaker.failures, settings.breaker.window, settings.breaker.open)
        label = "embedded" if settings.endpoint == "embedded" else address.authority
        return ProtectionClient(
            pool, breaker, self.metrics, endpoint=label,
            encoding="form" if settings.encoding == "auto" else settings.encoding, timeout_s=settings.timeout,
            max_answer_bytes=settings.max_answer_bytes, strict=settings.integrity == "strict",
            enforce_429=settings.enforce_429)

    async def _negotiate(self, client: ProtectionClient, checker: Checker) -> None:
        negotiation = Negotiation(client, checker.payload)
        if not await negotiation.first():
            task = asyncio.create_task(negotiation.until_settled())
            self._negotiations.add(task)
            task.add_done_callback(self._negotiations.discard)


class WorkerPart:
    """A worker as the supervisor's child (gateway.control.Part)."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    @property
    def worker(self) -> Worker:
        assert self._worker is not None, "not started"
        return self._worker

    async def start(self, config: Config, process: dict[str, Any]) -> None:
        self._worker = Worker(
            config, engine_socket=process.get("engine_socket"), listener_fds=process.get("listener_fds"))
        await self._worker.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD, 20, 50)

    async def reload(self, config: Config) -> None:
        await self.worker.reload(config)

    async def drain(self) -> None:
        await self.worker.drain()

    def report(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        return self.worker.report()


def _open_access_log(config: Config) -> AccessLog | None:
    target = config.logging.access_log
    if target is False:
        return None
    return AccessLog(None if target is True else Path(target))


def main(arguments: list[str]) -> int:
    """`worker` or `engine`; returns the exit code."""
    if arguments == ["worker"]:
        return uvloop.run(run_child(WorkerPart()))
    if arguments == ["engine"]:
        from gateway.engine.service import EnginePart

        return uvloop.run(run_child(EnginePart()))
    print(f"python -m gateway.app: expected worker or engine, got {arguments}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
