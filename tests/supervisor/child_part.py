"""A child process for the supervisor's tests: `python child_part.py KIND`. Real control channel, no traffic.

What it does is told by the configuration's `server_name`: `refused-at-start` and `refused-at-reload` refuse,
`hangs-at-start` never gets ready, `dies-at-start` exits without a word. It reports `server_name` as degraded, so that
tests see which configuration it runs with, and counts one request at its start. While a file named `hold` stands beside
the engine's socket, it does not finish draining.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import uvloop

from gateway.config import Config
from gateway.control import run_child
from gateway.errors import ReloadError, StartError
from gateway.metrics import Metrics


class CountingPart:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.name = ""
        self.process: dict[str, Any] = {}

    async def start(self, config: Config, process: dict[str, Any]) -> None:
        self.name, self.process = config.server_name, process
        if self.name == "refused-at-start":
            raise StartError("listeners[0].address: what the worker says")
        if self.name == "hangs-at-start" or (self.name == "engine-hangs" and process["name"] == "engine"):
            await asyncio.Event().wait()
        if self.name == "dies-at-start":
            os._exit(7)
        self.metrics.requests.values["shop", "GET", "2xx", "allowed"] += 1
        self.metrics.open_connections.values[()] = 5

    async def reload(self, config: Config) -> None:
        if config.server_name == "refused-at-reload":
            raise ReloadError("what the worker says")
        if config.server_name == "refused-by-worker-1" and self.process["index"] == 1:
            raise ReloadError("only I refuse")
        if config.server_name == "dies-at-reload":
            os._exit(9)
        self.name = config.server_name

    def reopen_logs(self) -> None:
        """It has none."""

    async def drain(self) -> None:
        hold = Path(self.process["engine_socket"]).parent / "hold"
        while hold.exists():  # noqa: ASYNC110 - told by a file, which has no event
            await asyncio.sleep(0.01)

    def status(self) -> None:
        """Nothing."""

    def report(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        fds = ",".join(self.process["listener_fds"])
        return dict(self.metrics.take()), [{"part": "test", "reason": f"{self.name} {fds}".strip()}]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(run_child(CountingPart())))
