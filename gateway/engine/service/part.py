"""Start, reload and drain of the engine: as a supervised child (`EnginePart`) and alone (`gateway engine`)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import uvloop

from gateway import logs
from gateway.engine.api import ProtectionApi
from gateway.engine.rules import floor
from gateway.engine.service.listener import UNIX, bind, bind_unix, remove_socket_file, tls_context
from gateway.engine.service.server import ApiServer
from gateway.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from gateway.config import Config, Engine

log = logs.get("engine")


class EnginePart:
    """The embedded Protection API on the supervisor's Unix socket. Implements gateway.control.Part.

    The rules are loaded once; a reload replaces the accepted keys between two calls.
    """

    def __init__(self) -> None:
        self._server: ApiServer | None = None
        self._api: ProtectionApi | None = None
        self._socket_file = ("", 0)
        self._drain_timeout_s = 0.0

    async def start(self, config: Config, process: dict[str, Any]) -> None:
        """Serve on `process["engine_socket"]`. Raises ListenError, ConfigError or EngineError."""
        path = process["engine_socket"]
        if not path:
            raise EngineError("the supervisor named no engine_socket")
        self._api = ProtectionApi(_keys(config.engine), floor())
        server = ApiServer(self._api)
        sock = bind_unix(path)
        self._socket_file = (path, os.lstat(path).st_ino)
        await server.listen(sock)
        self._server = server
        self._drain_timeout_s = config.drain_timeout

    async def reload(self, config: Config) -> None:
        """From the next call on, the new keys count."""
        assert self._server is not None and self._api is not None, "reload before start"
        self._api = self._server.api = self._api.with_keys(_keys(config.engine))
        self._drain_timeout_s = config.drain_timeout

    def reopen_logs(self) -> None:
        """It has none but standard error."""

    async def drain(self) -> None:
        """Stop accepting, remove the socket file, finish the calls in flight within drain_timeout."""
        if self._server is None:
            return
        remove_socket_file(*self._socket_file)
        await self._server.drain(self._drain_timeout_s)

    def report(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """Nothing to count yet: the workers count every call, and its outcome."""
        return {"counters": {}, "histograms": {}, "gauges": {}}, []


async def serve(engine: Engine, stop: asyncio.Event, *, drain_timeout_s: float) -> None:
    """Serve on `engine.listen` until `stop` is set, then drain. Raises ConfigError, ListenError or EngineError."""
    listen = engine.listen
    if listen is None:
        raise ConfigError("engine.listen is null; `gateway engine` needs an address to listen on")
    address = str(listen.address)
    tls = None if listen.tls is None else tls_context(listen.tls.certificate, listen.tls.private_key)
    server = ApiServer(ProtectionApi(_keys(engine), floor()))
    sock = bind(address)
    inode = os.lstat(address.removeprefix(UNIX)).st_ino if address.startswith(UNIX) else 0
    await server.listen(sock, tls)
    log.info("serving the Protection API", address=address, tls=tls is not None)
    await stop.wait()
    log.info("draining", drain_timeout_s=drain_timeout_s)
    if inode:
        remove_socket_file(address.removeprefix(UNIX), inode)
    await server.drain(drain_timeout_s)
    log.info("stopped")


def run(config: Config) -> int:
    """`gateway engine`: serve until SIGTERM or SIGINT. Returns the exit code; errors of the start are raised."""
    logs.setup(config.logging.level, config.logging.format, "engine")
    uvloop.run(_serve_until_signalled(config))
    return 0


async def _serve_until_signalled(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(config.engine, stop, drain_timeout_s=config.drain_timeout)


def _keys(engine: Engine) -> Iterable[str]:
    return [key.get_secret_value() for key in engine.keys]
