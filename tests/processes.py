"""Real processes for tests: `gateway run -c FILE` as an operator starts it, and users that ask it all the time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from fakes import Client, Response, TruncatedError
from prometheus_client.parser import text_string_to_metric_families

START_S = 20.0
"""Time for processes to start, stop or be replaced on a busy machine of two cores."""

# What Chromium sends on plain http: no client hints, no fetch metadata, no brotli.
BROWSER = (
    b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/131.0.0.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    b"application/signed-exchange;v=b3;q=0.7\r\n"
    b"Accept-Encoding: gzip, deflate\r\nAccept-Language: en-GB,en;q=0.9\r\n\r\n"
)
SCRIPT = b"GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: python-requests/2.32.3\r\nAccept: */*\r\n\r\n"


async def until(condition: Callable[[], Awaitable[object]], what: str) -> None:
    """Asks `condition` again and again for at most START_S: it looks at other processes, which signal nothing."""
    try:
        async with asyncio.timeout(START_S):
            while not await condition():  # noqa: ASYNC110 - no event of another process reaches us
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited {START_S} s in vain for {what}") from None


_ports = itertools.count(20_000 + os.getpid() % 5_000)


def free_port() -> int:
    """A port below the range that the system gives to outgoing connections: nobody gets it by chance before the
    process that is to listen on it. Each is given once."""
    for port in _ports:
        with socket.socket() as held, contextlib.suppress(OSError):
            held.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@dataclass
class GatewayProcess:
    """One `gateway run`. `log` is what it wrote to stdout and stderr."""

    file: Path
    config: dict[str, Any]
    port: int
    admin_port: int
    log_file: Path
    process: asyncio.subprocess.Process = field(init=False)

    async def start(self) -> None:
        self.write(self.config)
        command = [sys.executable, "-m", "gateway", "run", "-c", str(self.file)]
        with self.log_file.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        await until(self._is_ready_or_dead, f"`gateway run` to be ready; it wrote:\n{self.log}")
        assert self.process.returncode is None, f"exit {self.process.returncode}:\n{self.log}"

    async def _is_ready_or_dead(self) -> bool:
        return self.process.returncode is not None or await self.admin_status(b"/readyz") == 200

    def write(self, config: Mapping[str, Any] | str) -> None:
        """Replaces the configuration file."""
        self.file.write_text(config if isinstance(config, str) else yaml.safe_dump(dict(config)))

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def exited(self) -> int:
        async with asyncio.timeout(START_S):
            return await self.process.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not go: to the processes of this gateway alone."""
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
            try:
                await self.exited()
            except TimeoutError:
                for pid in [*self.children(), self.process.pid]:
                    os.kill(pid, signal.SIGKILL)
                await self.process.wait()

    def children(self, role: str = "") -> list[int]:
        """Process ids of our children that run as `role` (`worker`, `engine`; "" = all)."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in listed if role in _arguments(pid)[-1:] or not role]

    # -- talking to it

    async def ask(self, request: bytes) -> Response:
        async with await Client.connect(self.port) as client:
            client.send(request)
            return await client.read_response(request.split(b" ")[0])

    async def admin(self, path: bytes) -> Response:
        async with await Client.connect(self.admin_port) as client:
            client.send(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return await client.read_response()

    async def admin_status(self, path: bytes) -> int:
        """0 while nobody listens."""
        try:
            return (await self.admin(path)).status
        except (OSError, TruncatedError):
            return 0

    async def samples(self, name: str, label: str | None = None) -> Counter[str]:
        """The samples of metric `name` at this scrape, summed by the values of `label` (None: all under "")."""
        text = (await self.admin(b"/metrics")).body.decode()
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    found[sample.labels[label] if label else ""] += int(sample.value)
        return found


def exists(pid: int) -> bool:
    """Whether that process is still there."""
    return Path(f"/proc/{pid}").exists()


def _arguments(pid: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []  # it has just gone


class Load:
    """Clients that send BROWSER over keep-alive connections for as long as the `async with` lasts.

    `statuses` counts the answers; at the end any answer that was not whole is an error, and one is allowed to nobody.
    """

    def __init__(self, port: int, clients: int = 8) -> None:
        self.statuses: Counter[int] = Counter()
        self.errors: list[str] = []
        self._port = port
        self._clients = clients
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(self._clients)]
        await self.more(50)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def more(self, count: int) -> None:
        """Waits for `count` answers more."""
        goal = self.statuses.total() + count

        async def reached() -> bool:
            return self.statuses.total() >= goal or bool(self.errors)

        await until(reached, f"{count} answers more; so far {self.statuses}, errors {self.errors[:3]}")

    async def _client(self) -> None:
        while not self._over.is_set():
            try:
                async with await Client.connect(self._port) as client:
                    while not self._over.is_set():
                        client.send(BROWSER)
                        response = await client.read_response()
                        self.statuses[response.status] += 1
                        if response.values(b"connection") == [b"close"]:
                            break
            except (OSError, AssertionError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.01)
