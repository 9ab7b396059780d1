"""The composition root: the one module that knows every other, and the entry of the child processes.

`python -m gateway.app worker`, `engine` and `posture` are started by the supervisor (gateway.control).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop

from gateway.building import Builder
from gateway.config import Config
from gateway.control import run_child
from gateway.logs import AccessLog
from gateway.metrics import Metrics
from gateway.origin.health import watch
from gateway.origin.server import OriginServer
from gateway.protection.breaker import CLOSED
from gateway.protection.client import ProtectionClient
from gateway.server.listener import Server
from gateway.server.site import Runtime
from gateway.server.tls import server_contexts


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
        self._builder = Builder(self.metrics, engine_socket)
        self._listener_fds = listener_fds or {}
        self._server: Server | None = None
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
        """Return when requests are served. Raises OSError if an address or the access log cannot be used,
        CertificateError if a listener's certificate cannot."""
        runtime = await self._build(self.config)
        self._access_log = _open_access_log(self.config)
        self._server = Server(runtime, self.metrics, self._access_log)
        self._watch(runtime)
        await self._server.start(list(self.config.listeners), self._listener_fds)

    async def reload(self, config: Config) -> None:
        """Build the new configuration whole, with certificates and log files as they are now, then swap it in.

        Raises CertificateError or OSError if any of it cannot be used; then nothing is changed.
        """
        contexts = server_contexts(list(config.listeners))
        runtime = await self._build(config)
        is_other_log = config.logging.access_log != self.config.logging.access_log
        access_log = _open_access_log(config) if is_other_log else self._access_log
        await self.server.use_contexts(contexts)
        self.server.use(runtime)
        self._watch(runtime)
        self.config = config
        self._builder.close_unused(runtime)
        if is_other_log:
            await self._use_access_log(access_log)
        else:
            self.reopen_logs()

    def reopen_logs(self) -> None:
        """Open the access log's name anew (log rotation)."""
        if self._access_log is not None:
            self._access_log.reopen()

    async def _use_access_log(self, new: AccessLog | None) -> None:
        """The next exchange goes to `new`; what the old one still holds is written, off the loop."""
        old, self._access_log = self._access_log, new
        self.server.access_log = new
        if old is not None:
            await asyncio.to_thread(old.close)

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
        states = [client.breaker.state for client in runtime.protections]
        metrics.protection_breaker_state.values[()] = max(states, default=CLOSED)
        for client in runtime.protections:
            metrics.protection_connections_opened.values[()] += client.pool.opened_count - self._opened.get(client, 0)
        self._opened = {client: client.pool.opened_count for client in runtime.protections}
        now_s = self.server.loop.time()
        metrics.origin_connections.values.clear()  # a reload may have taken sites away
        metrics.origin_healthy.values.clear()
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
                {"part": f"origin {server.name} of site {site.name}", "reason": _why_unhealthy(server)}
                for server in site.origin.servers if not server.is_healthy(now_s))
        return found

    async def _build(self, config: Config) -> Runtime:
        built = self._builder.build(config)
        for new in built.new_clients:
            if not await new.get_ready():
                task = asyncio.create_task(new.negotiation.until_settled())
                self._negotiations.add(task)
                task.add_done_callback(self._negotiations.discard)
        return built.runtime


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

    async def reload(self, config: Config) -> None:
        await self.worker.reload(config)

    def reopen_logs(self) -> None:
        self.worker.reopen_logs()

    async def drain(self) -> None:
        await self.worker.drain()

    def report(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        return self.worker.report()

    def status(self) -> None:
        """The metrics say all."""


def _why_unhealthy(server: OriginServer) -> str:
    return "ejected after consecutive failures" if server.active_ok else "the active health check fails"


def _open_access_log(config: Config) -> AccessLog | None:
    target = config.logging.access_log
    if target is False:
        return None
    return AccessLog(None if target is True else Path(target))


def main(arguments: list[str]) -> int:
    """`worker`, `engine` or `posture`; returns the exit code."""
    if arguments == ["worker"]:
        return uvloop.run(run_child(WorkerPart()))
    if arguments == ["engine"]:
        from gateway.engine.service import EnginePart

        return uvloop.run(run_child(EnginePart()))
    if arguments == ["posture"]:
        from gateway.posture.operation.acting import repeated
        from gateway.posture.webhook.service import Hook, PosturePart

        part = PosturePart(lambda config, process: [Hook("actions", repeated(config, Path(process["patches"])))])
        return uvloop.run(run_child(part))
    print(f"python -m gateway.app: expected worker, engine or posture, got {arguments}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
