"""A real server for each module of tests that needs one, emptied before each test, and stores on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from valkey_server import ValkeyServer

from gateway.engine.store import store_of
from gateway.engine.store.valkey import ValkeyStore

PATIENT_S = 10.0  # of a question: a busy machine is no failure of the store

StartStore = Callable[..., Awaitable[ValkeyStore]]


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(module_server: ValkeyServer) -> ValkeyServer:
    """The module's server, running and empty."""
    if module_server.process is None:
        module_server.start()
    module_server.flush()
    return module_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., ValkeyServer]]:
    """`own_server("--requirepass", "x")` starts a server with these arguments for one test."""
    servers: list[ValkeyServer] = []

    def start(*arguments: str) -> ValkeyServer:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        if "--cluster-enabled" in arguments:
            arguments += ("--cluster-port", "{bus_port}")  # else 10,000 above its port, where anything may be
        servers.append(ValkeyServer(folder, arguments))
        servers[-1].start()
        return servers[-1]

    yield start
    for each in servers:
        each.kill()


@pytest.fixture
async def store_on() -> AsyncIterator[StartStore]:
    """`await store_on(url)` is a started store; no callback of the loop may raise while it is used."""
    stores: list[ValkeyStore] = []
    crashes: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: crashes.append(context))

    async def start(url: str, **options: Any) -> ValkeyStore:
        store = store_of(url, **{"timeout_s": PATIENT_S, **options})
        assert isinstance(store, ValkeyStore)
        stores.append(store)
        await store.start()
        return store

    yield start
    for store in stores:
        await store.stop()
    assert crashes == []
