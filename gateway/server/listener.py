"""The listening side of one worker: accepts, counts, records, sweeps deadlines, drains."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.config import Listener
from gateway.logs import AccessLog, RateLimited, get
from gateway.metrics import Metrics
from gateway.server.connection import DownstreamConnection
from gateway.server.site import Runtime, Site
from gateway.server.tls import server_contexts

if TYPE_CHECKING:
    from gateway.server.exchange import Exchange

_TICK_S = 0.1
_BACKLOG = 4096
_TLS_SHUTDOWN_S = 5.0
_STATUS_CLASSES = {status: f"{status // 100}xx" for status in range(100, 1000)}
_METHODS = {method.encode(): method for method in (
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "PROPPATCH", "MKCOL",
    "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "PURGE",
)}
_NO_SITE = "-"


@dataclass(frozen=True, slots=True)
class Listening:
    """One listener's facts for its connections. port: 0 for a Unix socket."""

    protocol: str
    port: int
    proxy_protocol: bool


@dataclass(slots=True)
class _Place:
    """One listener and who serves it now."""

    listening: Listening
    server: asyncio.Server


class Server:
    """Holds what all connections of a worker share. `runtime` is replaced by one assignment at a reload."""

    def __init__(self, runtime: Runtime, metrics: Metrics, access_log: AccessLog | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.runtime = runtime
        self.metrics = metrics
        self.access_log = access_log
        self.draining = False
        self._emptied = asyncio.Event()
        self.connections: set[DownstreamConnection] = set()
        self.addresses: list[tuple[str, int]] = []
        self._retired: list[Runtime] = []
        self._places: list[_Place] = []
        self._requests = metrics.requests.values
        self._overhead = metrics.overhead.child(())
        self._rejected = metrics.rejected_requests.values
        self._accepted = metrics.connections.values
        self._id_prefix = os.urandom(8).hex().encode()
        self._id_count = 0
        self._tick: asyncio.TimerHandle | None = None
        self._errors = RateLimited(get("server"), 10.0)

    async def start(self, listeners: list[Listener], inherited: Mapping[str, int]) -> None:
        """Listen. inherited: {address: file descriptor} of sockets that the supervisor bound.

        Raises OSError if an address cannot be used, CertificateError if a certificate cannot.
        """
        for settings, tls in zip(listeners, server_contexts(listeners), strict=True):
            fd = inherited.get(settings.address)
            sock = _bind(settings.address) if fd is None else socket.socket(fileno=os.dup(fd))
            name = sock.getsockname()
            host, port = (name[0], name[1]) if isinstance(name, tuple) else (str(name), 0)
            self.addresses.append((host, port))
            listening = Listening("http" if tls is None else "https", port, settings.proxy_protocol)
            self._places.append(_Place(listening, await self._listen(listening, sock, tls)))
        self._sweep()

    async def _listen(
        self, listening: Listening, sock: socket.socket, tls: ssl.SSLContext | None,
    ) -> asyncio.Server:
        def make() -> DownstreamConnection:
            return DownstreamConnection(self, listening)

        handshake_s = self.runtime.limits.head_timeout if tls is not None else None
        listen = self.loop.create_unix_server if sock.family == socket.AF_UNIX else self.loop.create_server
        return await listen(
            make, sock=sock, ssl=tls, backlog=_BACKLOG, ssl_handshake_timeout=handshake_s,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_S if tls is not None else None)

    async def use_contexts(self, contexts: list[ssl.SSLContext | None]) -> None:
        """Meet new connections with these, of `server_contexts`; those that are open keep theirs.

        The socket goes on listening: another server takes over a duplicate of it, so that nobody is refused meanwhile.
        A context changed in place would go on trusting authorities that were taken away, and so would its tickets.
        """
        for place, tls in zip(self._places, contexts, strict=True):
            if tls is None or self.draining:
                continue
            sock = socket.socket(fileno=os.dup(place.server.sockets[0].fileno()))
            old, place.server = place.server, await self._listen(place.listening, sock, tls)
            old.close()
            if self.draining:  # since we looked
                place.server.close()

    def use(self, runtime: Runtime) -> None:
        """Serve new requests by another configuration; what is under way ends by its own."""
        old, self.runtime = self.runtime, runtime
        old.retire(self.loop.time())
        self._retired.append(old)
        for connection in self.connections:
            connection.forget_client()

    async def drain(self, timeout_s: float) -> None:
        """Accept no more, finish the exchanges in flight; what is left after timeout_s is broken off."""
        self.draining = True
        for place in self._places:
            place.server.close()
        for connection in list(self.connections):
            connection.drain()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._emptied.wait()
        self.stop()

    def stop(self) -> None:
        """At once."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        for place in self._places:
            place.server.close()
        for connection in list(self.connections):
            connection.abort()
        for runtime in (self.runtime, *self._retired):
            runtime.abort()

    # what connections and exchanges call

    def admit(self, connection: DownstreamConnection) -> bool:
        """Count a new connection; False if the limit is reached (it gets 503 and closes)."""
        self._accepted[()] += 1
        self.connections.add(connection)
        return len(self.connections) <= self.runtime.limits.connections

    def forget(self, connection: DownstreamConnection) -> None:
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self._emptied.set()

    def reject(self, reason: str) -> None:
        self._rejected[(reason,)] += 1

    def next_request_id(self) -> bytes:
        """Unique over workers and restarts (64 random bits and a count); no secret."""
        self._id_count += 1
        return b"%b%08x" % (self._id_prefix, self._id_count)

    def log_ejected(self, name: str) -> None:
        self._errors.error(("ejected", name), "origin server ejected after consecutive failures", server=name)

    def record(
        self, exchange: Exchange, site: Site | None, duration_s: float, protection_s: float, origin_s: float,
        waited_s: float,
    ) -> None:
        """Count one finished exchange and queue its access line.

        Seconds of it all, waiting for the decision, for the origin's head, and for anybody else at all.
        """
        head = exchange.head
        method = _METHODS.get(head.method, "other")
        name = _NO_SITE
        if site is not None:
            name = site.name
            site.duration.observe(duration_s)
            overhead_s = duration_s - waited_s
            self._overhead.observe(overhead_s if overhead_s > 0.0 else 0.0)
            if origin_s:
                site.origin_duration.observe(origin_s)
        self._requests[(name, method, _STATUS_CLASSES[exchange.status or 499], exchange.outcome)] += 1
        if self.access_log is not None:
            self._log(exchange, name, duration_s, protection_s, origin_s)

    def _log(
        self, exchange: Exchange, site: str, duration_s: float, protection_s: float, origin_s: float,
    ) -> None:
        assert self.access_log is not None
        head = exchange.head
        self.access_log.add((
            time.time() - duration_s, site, exchange.client.address or exchange.peer_address, head.method, head.host,
            head.target, f"1.{head.minor_version}", exchange.status, exchange.outcome, exchange.reason or None,
            duration_s, protection_s or None, origin_s or None, exchange.received_bytes, exchange.sent_bytes,
            exchange.request_id, head.fields.get(b"user-agent"), exchange.origin_name,
            exchange.rule or None, exchange.decision_id or None,
        ))

    # deadlines

    def _sweep(self) -> None:
        """Ten times a second: hold every deadline of connections and pools against the clock.

        A loop over all connections costs about 0.06 us each, a timer per request would cost a multiple of that.
        """
        self._tick = self.loop.call_later(_TICK_S, self._sweep)
        now_s = self.loop.time()
        for connection in [c for c in self.connections if c.deadline_s <= now_s]:
            connection.on_deadline()
        self._retired = [runtime for runtime in self._retired if runtime.sweep(now_s)]
        self.runtime.sweep(now_s)


def _bind(address: str) -> socket.socket:
    """A bound socket with SO_REUSEPORT, so that every worker has its own accept queue."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address.removeprefix("unix:"))
        return sock
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, int(port)))
    except OSError:
        sock.close()
        raise
    return sock
