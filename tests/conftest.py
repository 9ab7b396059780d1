"""Fixtures of every test that sends bytes through a gateway. How a gateway is started is known here and nowhere else.

`edge` is the whole picture: a recording origin, a recording Protection API and one worker between them, all on the
test's own event loop:

    async def test_request_allowed_reaches_origin(edge):
        world = await edge()
        response = await world.ask(b"GET / HTTP/1.1\\r\\nHost: shop.example\\r\\n\\r\\n")
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import signal
import socket
import ssl
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from fakes import Client, RecordingOrigin, RecordingProtection, Response, eventually, stop_servers
from hypothesis import settings

# A shell that starts the tests in the background has SIGINT ignored, and so would every process that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


settings.register_profile("gateway", deadline=None)  # a busy machine is no failure
settings.load_profile("gateway")

Overrides = Mapping[str, Any]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The gateway runs on uvloop alone, so its tests do too."""
    return {"uvloop": uvloop.new_event_loop}


def merge(base: Overrides, overrides: Overrides) -> dict[str, Any]:
    """`base` with `overrides` laid over it, mapping by mapping; a list is replaced whole."""
    merged = dict(copy.deepcopy(base))
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


@dataclass
class RunningGateway:
    """One worker. `port` is its first TCP listener's; what it counted is asked of its reports."""

    worker: Any
    metrics: Any
    stopped: bool = False
    totals: dict[str, Counter[tuple[str, ...]]] = field(default_factory=dict)
    gauges: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)

    async def stop(self) -> None:
        """At once, without a drain; again is harmless."""
        if not self.stopped:
            self.stopped = True
            await self.worker.stop()

    @property
    def port(self) -> int:
        return next(port for _, port in self.worker.addresses if port)

    async def drain(self) -> None:
        """Returns when the exchanges in flight are finished or `drain_timeout` is over."""
        await self.worker.drain()

    async def reload(self, config: Overrides) -> None:
        from gateway.config import parse_config

        await self.worker.reload(parse_config(dict(config)))

    def report(self) -> None:
        """Adds the worker's next report to `totals`, as the supervisor does once a second."""
        delta, _ = self.worker.report()
        for name, rows in delta["counters"].items():
            for labels, count in rows:
                self.totals.setdefault(name, Counter())[tuple(labels)] += count
        self.gauges = {name: {tuple(labels): value for labels, value in rows} for name, rows in delta["gauges"].items()}

    def counts(self, counter: str) -> dict[tuple[str, ...], int]:
        """Every label set of that counter (an attribute of Metrics) with its count since the start."""
        self.report()
        return dict(self.totals.get(getattr(self.metrics, counter).name, {}))

    def count(self, counter: str, *labels: str) -> int:
        """The sum over every label set of `counter` that holds all of `labels`."""
        return sum(count for found, count in self.counts(counter).items() if set(labels) <= set(found))

    def gauge(self, gauge: str, *labels: str) -> float:
        """One value of that gauge as it stands now, 0 without any."""
        self.report()
        return float(self.gauges.get(getattr(self.metrics, gauge).name, {}).get(labels, 0))


StartGateway = Callable[[Overrides], Awaitable[RunningGateway]]


@pytest.fixture
async def gateway() -> AsyncIterator[StartGateway]:
    """`await gateway(config)` runs one worker with that configuration until the test ends."""
    from gateway.app import Worker
    from gateway.config import parse_config
    from gateway.metrics import Metrics

    async with contextlib.AsyncExitStack() as stack:

        async def start(config: Overrides) -> RunningGateway:
            metrics = Metrics()
            worker = Worker(parse_config(dict(config)), metrics=metrics)
            await worker.start()
            running = RunningGateway(worker, metrics)
            stack.push_async_callback(running.stop)
            return running

        yield start


@dataclass
class World:
    """Origin, Protection API and gateway; `journal` is what both servers saw, in one order."""

    origin: RecordingOrigin
    protection: RecordingProtection
    gateway: RunningGateway
    config: dict[str, Any]
    journal: list[tuple[str, str, int]]

    async def close(self) -> None:
        """Stops all three; for tests that start many worlds."""
        await self.gateway.stop()
        await self.origin.stop()
        await self.protection.stop()

    async def connect(self, **options: Any) -> Client:
        return await Client.connect(self.gateway.port, **options)

    async def ask(self, request: bytes, **options: Any) -> Response:
        """One request on a connection of its own; its one response."""
        async with await self.connect(**options) as client:
            client.send(request)
            return await client.read_response(request.split(b" ")[0])

    async def exchange(self, request: bytes) -> bytes:
        """Sends `request` on a connection of its own and returns everything until the gateway closes."""
        async with await self.connect() as client:
            client.send(request)
            return await client.read_to_end()

    async def is_alive(self) -> None:
        """I6: a new connection is served. Needs an origin and an API that answer as by default."""
        assert (await self.ask(b"GET /alive HTTP/1.1\r\nHost: shop.example\r\n\r\n")).status == 200

    async def counted(self, counter: str, expected: Mapping[tuple[str, ...], int]) -> None:
        """Waits until the counter's label sets are exactly `expected` (those of 0 aside)."""
        with contextlib.suppress(AssertionError):
            await eventually(lambda: self.gateway.counts(counter) == expected, counter)
        assert self.gateway.counts(counter) == expected

    def assert_checked(self) -> None:
        """I2 and I3: each request at the origin was preceded by the answer to a check that described it."""
        unused = list(self.protection.requests)
        for request in self.origin.requests:
            host = request.head.value(b"host") or b""
            described = (request.method.decode(), request.target.decode("latin-1"), host.decode("latin-1"))
            check = next((c for c in unused if _description(c.payload) == described), None)
            assert check, f"the origin got {described} without a check; checks: {[c.payload for c in unused]}"
            unused.remove(check)
            assert check.payload["IP"].encode() == request.head.value(b"x-real-ip")
            answered = self.journal.index(("protection", "answers", check.number))
            assert answered < self.journal.index(("origin", "received", request.number)), "before the decision"


def _description(payload: Mapping[str, Any]) -> tuple[str, str, str]:
    return payload["Method"], payload["Request"], payload["Host"]


StartWorld = Callable[..., Awaitable[World]]

DEFAULTS: dict[str, Any] = {
    "listeners": [{"address": "127.0.0.1:0"}],
    "server_name": "edge-1",
    "drain_timeout": "2s",
    "protection": {
        "key": "k-test",
        "encoding": "json",
        "timeout": "2s",  # the default of 150 ms is a slow machine's failure; tests of the time-out set their own
        "pool": {"warm": 0},
        "breaker": {"failures": 10000},
    },
    "logging": {"level": "error", "access_log": False},
}


@pytest.fixture
async def edge(gateway: StartGateway) -> AsyncIterator[StartWorld]:
    """`await edge(overrides, site=..., origin_tls=..., ...)` starts a World; the overrides lie over DEFAULTS.

    `site` overrides keys of the one site, `site["origin"]` included; its server is the recording origin.
    At the end both servers must have seen legal HTTP/1.1 alone (I5), and no callback of the loop may have raised (I6).
    """
    worlds: list[World] = []
    crashes: list[str] = []

    def note_crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        crashes.append(f"{context['message']}: {''.join(traceback.format_exception(error)) if error else context}")

    asyncio.get_running_loop().set_exception_handler(note_crash)

    async def start(
        overrides: Overrides | None = None,
        *,
        site: Overrides | None = None,
        origin: RecordingOrigin | None = None,
        protection: RecordingProtection | None = None,
    ) -> World:
        journal: list[tuple[str, str, int]] = []
        origin = origin or RecordingOrigin()
        protection = protection or RecordingProtection()
        origin.journal = protection.journal = journal
        await origin.start()
        await protection.start()
        own_site = {"name": "shop", "hosts": ["*"], "origin": {"servers": [f"http://127.0.0.1:{origin.port}"]}}
        config = merge(DEFAULTS, {"protection": {"endpoint": f"http://127.0.0.1:{protection.port}"}})
        config["sites"] = [merge(own_site, site or {})]
        config = merge(config, overrides or {})
        world = World(origin, protection, await gateway(config), config, journal)
        worlds.append(world)
        return world

    yield start
    for world in worlds:
        await world.close()
    await stop_servers()
    assert crashes == []
    assert [violation for world in worlds for violation in world.origin.violations + world.protection.violations] == []


@dataclass(frozen=True)
class Certificates:
    """A test authority with one certificate for localhost and 127.0.0.1; paths for configuration files."""

    authority: trustme.CA
    ca_file: Path
    certificate_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once per run; the private keys live in pytest's temporary folder."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    paths = Certificates(authority, folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority.cert_pem.write_to_path(str(paths.ca_file))
    issued.private_key_pem.write_to_path(str(paths.key_file))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(paths.certificate_file), append=True)
    return paths


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
