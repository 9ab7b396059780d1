"""`run` starts `gateway run -c FILE`, with all of its processes, in front of a recording origin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import RecordingOrigin, stop_servers
from processes import GatewayProcess, free_port

StartProcess = Callable[..., Awaitable[GatewayProcess]]


@pytest.fixture
async def origin() -> AsyncIterator[RecordingOrigin]:
    server = RecordingOrigin()
    server.default = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"
    await server.start()
    yield server
    await server.stop()
    assert server.violations == []


@pytest.fixture
async def run(origin: RecordingOrigin, tmp_path: Path) -> AsyncIterator[StartProcess]:
    """`await run(workers=2, protection={...})` is a ready `gateway run` in front of `origin`."""
    started: list[GatewayProcess] = []

    async def start(more_listeners: list[dict[str, Any]] | None = None, **sections: Any) -> GatewayProcess:
        port, admin_port = free_port(), free_port()
        config: dict[str, Any] = {
            "listeners": [{"address": f"127.0.0.1:{port}"}, *(more_listeners or [])],
            "workers": 1,
            "sites": [{"name": "shop", "hosts": ["*"], "origin": {"servers": [f"http://127.0.0.1:{origin.port}"]}}],
            "protection": {"timeout": "2s"},
            "admin": {"address": f"127.0.0.1:{admin_port}"},
            "logging": {"access_log": False},
            "drain_timeout": "5s",
            **sections,
        }
        folder = tmp_path / str(len(started))
        folder.mkdir()
        process = GatewayProcess(folder / "gateway.yaml", config, port, admin_port, folder / "log")
        started.append(process)
        await process.start()
        return process

    yield start
    for process in started:
        await process.stop()
    await stop_servers()
