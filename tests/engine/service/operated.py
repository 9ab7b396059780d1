"""An engine with its operator's paths on a real server, in the process of the test or in a thread beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.engines import Standing, catalogue, make_terms

from gateway.engine.api import ProtectionApi, Respondents
from gateway.engine.service.counts import Counts
from gateway.engine.service.observer import DecisionObserver
from gateway.engine.service.operator import Operator
from gateway.engine.service.server import ApiServer
from gateway.engine.store import MemoryStore
from gateway.metrics import Metrics

KEY = "a-key"


@dataclass
class Operated:
    """One engine. `server` is there while it serves."""

    keys: tuple[str, ...] = (KEY,)
    trusted: bool = False
    supervised: bool = False
    clock: Callable[[], float] = time.time
    store: Any = None
    metrics: Metrics = field(default_factory=Metrics)
    counts: Counts = field(init=False)
    operator: Operator = field(init=False)
    api: ProtectionApi = field(init=False)

    def __post_init__(self) -> None:
        self.store = self.store or MemoryStore(clock=self.clock)
        self.counts = Counts(self.metrics.take, supervised=self.supervised)
        self.operator = Operator(
            store=self.store, counts=self.counts, status=lambda: {"policy": {"source": "preset moderate"}},
            keys=lambda: [key.encode() for key in self.keys], trusted=self.trusted, clock=self.clock,
        )  # fmt: skip
        respondents = Respondents(self.store, Standing("fake"), Standing("unknown"), lambda: self.store.overrides)
        observer = DecisionObserver(self.metrics, None)
        self.api = ProtectionApi(make_terms(), catalogue(), respondents, observer, self.clock)

    @contextlib.asynccontextmanager
    async def serving(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> AsyncIterator[ApiServer]:
        server = ApiServer(self.api, self.operator)
        await self.store.start()
        await server.listen(sock, tls)
        try:
            yield server
        finally:
            await server.drain(0.01)
            await self.store.stop()


@contextlib.contextmanager
def beside(operated: Operated, sock: socket.socket, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """The engine in a thread with a loop of its own: commands block, and run loops of their own."""
    started, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with operated.serving(sock, tls):
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(20)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()
