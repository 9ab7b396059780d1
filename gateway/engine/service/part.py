"""Start, reload and drain of the engine: as a supervised child (`EnginePart`) and alone (`gateway engine`)."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from gateway import logs
from gateway.binding import remove_socket_file
from gateway.config.address import UNIX, parse_address
from gateway.config.change import ENGINE_KEYS, changed_keys
from gateway.control import settle_heap
from gateway.engine.service.listener import bind, renew, tls_context
from gateway.engine.service.runtime import EngineRuntime
from gateway.engine.service.server import ApiServer
from gateway.errors import ConfigError, EngineError, GatewayError, ReloadError

if TYPE_CHECKING:
    import ssl

    from gateway.config import Config

RESTART_KEYS = ("engine.listen.address", *ENGINE_KEYS)
"""What `gateway engine` binds or connects once, at its start; and whether it serves TLS."""
PROCESS = "engine"

log = logs.get("engine")


class EnginePart:
    """The embedded Protection API on the supervisor's Unix socket. Implements gateway.control.Part."""

    def __init__(self) -> None:
        self._server: ApiServer | None = None
        self._runtime: EngineRuntime | None = None
        self._socket_file = ("", 0)
        self._drain_timeout_s = 0.0

    async def start(self, config: Config, process: dict[str, Any]) -> None:
        """Serve on `process["engine_socket"]`; sign with `process["engine_secret"]` (hexadecimal) where the
        configuration names no secret; read patches from `process["patches"]` (null = none) where it names no file of
        them. Raises ListenError, ConfigError or EngineError."""
        path = process["engine_socket"]
        if not path:
            raise EngineError("the supervisor named no engine_socket")
        secret = process.get("engine_secret")
        runtime = EngineRuntime(
            config.engine, bytes.fromhex(secret) if secret else None, supervised=True, trusted=True,
            patches=process.get("patches"),
        )  # fmt: skip
        server = ApiServer(runtime.api, runtime.operator)
        sock = bind(UNIX + path)
        self._socket_file = (path, os.lstat(path).st_ino)
        await runtime.start()
        await server.listen(sock)
        self._server, self._runtime = server, runtime
        self._drain_timeout_s = config.drain_timeout

    async def reload(self, config: Config) -> None:
        """From the next call on, the new policy, keys and terms count. Raises ConfigError, and changes nothing."""
        assert self._runtime is not None, "reload before start"
        await self._runtime.reload(config.engine)
        self._drain_timeout_s = config.drain_timeout

    def reopen_logs(self) -> None:
        """Open the decision log anew."""
        if self._runtime is not None:
            self._runtime.reopen_logs()

    async def drain(self) -> None:
        """Stop accepting, remove the socket file, finish the calls in flight within drain_timeout."""
        if self._server is None or self._runtime is None:
            return
        remove_socket_file(*self._socket_file)
        await self._server.drain(self._drain_timeout_s)
        await self._runtime.stop()

    def status(self) -> None:
        """The metrics say all."""

    def report(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """What was decided since the last report, and what is degraded."""
        if self._runtime is None:
            return {"counters": {}, "histograms": {}, "gauges": {}}, []
        return self._runtime.report()


class Standalone:
    """`gateway engine`: one engine on `engine.listen`, for other modules and for several gateways.

    path: the configuration's file, read again on SIGHUP, as are certificate and key; None = there is none.
    """

    def __init__(self, config: Config, path: Path | None = None) -> None:
        self._config = config
        self._path = path
        self._reloads: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()  # a second signal waits for the first one's reload
        self._stop = asyncio.Event()

    async def serve(self) -> None:
        """Serve until `stop` is called, then drain. Raises ConfigError, ListenError or EngineError."""
        engine = self._config.engine
        listen = engine.listen
        if listen is None:
            raise ConfigError("engine.listen is null; `gateway engine` needs an address to listen on")
        address = str(listen.address)
        tls = _tls(self._config)
        runtime = EngineRuntime(engine, supervised=False, trusted=address.startswith(UNIX))
        server = ApiServer(runtime.api, runtime.operator)
        sock = bind(address)
        inode = os.lstat(address.removeprefix(UNIX)).st_ino if address.startswith(UNIX) else 0
        await runtime.start()
        await server.listen(sock, tls)
        settle_heap()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._begin_reload, runtime, tls)
        log.info("serving the Protection API", address=address, tls=tls is not None)
        if not engine.keys and not _is_local(address):
            log.warning("everybody who reaches the engine may ask it, and use up visitors' limits: set engine.keys")
        await self._stop.wait()
        drain_timeout_s = self._config.drain_timeout
        log.info("draining", drain_timeout_s=drain_timeout_s)
        if inode:
            remove_socket_file(address.removeprefix(UNIX), inode)
        await server.drain(drain_timeout_s)
        for task in self._reloads:
            task.cancel()
        await asyncio.gather(*self._reloads, return_exceptions=True)
        await runtime.stop()
        log.info("stopped")

    def stop(self) -> None:
        """Begin to drain."""
        self._stop.set()

    def _begin_reload(self, runtime: EngineRuntime, serving: ssl.SSLContext | None) -> None:
        """Calls are answered while it is under way."""
        task = asyncio.get_running_loop().create_task(self._reload(runtime, serving))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self, runtime: EngineRuntime, serving: ssl.SSLContext | None) -> None:
        """Log rotation sends this signal too: files are opened anew even if the configuration is refused."""
        async with self._reloading:
            try:
                await self._adopt(await self._loaded(), runtime, serving)
            except (GatewayError, OSError) as error:
                log.error("reload refused, the former configuration stays in force", error=str(error))
                runtime.reopen_logs()
            else:
                log.info("configuration reloaded")

    async def _adopt(self, config: Config, runtime: EngineRuntime, serving: ssl.SSLContext | None) -> None:
        """All of it or nothing: what can fail comes first."""
        fresh = _tls(config)
        await runtime.reload(config.engine)
        if serving is not None and fresh is not None:
            renew(serving, fresh)
        self._config = config
        logs.setup(config.logging.level, config.logging.format, PROCESS)

    async def _loaded(self) -> Config:
        """The file's configuration, read anew; without a file the one in force. Raises ReloadError for what needs a
        restart."""
        from gateway.config import load_config

        if self._path is None:
            return self._config
        config = await asyncio.to_thread(load_config, self._path)
        keys = changed_keys(self._config, config, RESTART_KEYS)
        if _serves_tls(config) is not _serves_tls(self._config):
            keys.insert(0, "engine.listen.tls")
        if keys:
            raise ReloadError(f"{self._path}: a change of {', '.join(keys)} needs a restart")
        return config


def _serves_tls(config: Config) -> bool:
    return config.engine.listen is not None and config.engine.listen.tls is not None


def _tls(config: Config) -> ssl.SSLContext | None:
    """Of the files as they are now; None for plain HTTP. Raises ListenError."""
    listen = config.engine.listen
    if listen is None or listen.tls is None:
        return None
    return tls_context(listen.tls.certificate, listen.tls.private_key)


def _is_local(address: str) -> bool:
    return address.startswith(UNIX) or parse_address(address).is_loopback


def run(config: Config, path: Path | None = None) -> int:
    """`gateway engine`: serve until SIGTERM or SIGINT; SIGHUP reloads. Returns the exit code; errors of the start are
    raised."""
    logs.setup(config.logging.level, config.logging.format, PROCESS)
    uvloop.run(_serve_until_signalled(config, path))
    return 0


async def _serve_until_signalled(config: Config, path: Path | None) -> None:
    standalone = Standalone(config, path)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, standalone.stop)
    await standalone.serve()
