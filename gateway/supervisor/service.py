"""The supervisor's life: bind, start the engine, start the workers, run, reload, drain; and what the admin side shows.

The order matters. Start: sockets and admin first (a port in use is said before any process exists; `/readyz` says
`starting`), then the engine, then the workers, so that the first request already finds its checker. A worker that
cannot start the first time ends the start: the configuration is wrong. Later it is respawned with back-off: the machine
is.
Drain: `/readyz` says 503, the workers finish and exit, then the engine, then the admin side.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from gateway import __version__, logs
from gateway.admin import AdminService
from gateway.admin.service import State
from gateway.config import Config, load_config
from gateway.config.address import UNIX, parse_address
from gateway.config.change import file_state
from gateway.errors import GatewayError, ReloadError, StartError
from gateway.metrics import Metrics, Totals
from gateway.supervisor.binding import bind, try_bind, unbind
from gateway.supervisor.reload import Reloads, changed_restart_keys
from gateway.supervisor.slot import Patience, Plan, Slot

log = logs.get("supervisor")

SOURCE = "supervisor"


def child_command(kind: str) -> list[str]:
    """The command line of a child: `worker` or `engine`."""
    return [sys.executable, "-m", "gateway.app", kind]


def run(
    config: Config,
    config_path: Path | None = None,
    load: Callable[[Path], Config] = load_config,
    command: Callable[[str], list[str]] = child_command,
    patience: Patience = Patience(),  # noqa: B008  frozen
) -> int:
    """Run the gateway until SIGTERM or SIGINT and return the exit code. Blocks; builds its own loop.

    SIGHUP, or a change of the file at `config_path`, reloads with `load`. Raises GatewayError if the gateway cannot
    start; everything that was started is stopped again by then.
    """
    logs.setup(config.logging.level, config.logging.format, SOURCE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Supervisor(config, config_path, load, command, patience).run())


class Supervisor:
    """See the top of this file. `run` once; the rest is for the slots and the admin service."""

    def __init__(
        self,
        config: Config,
        config_path: Path | None,
        load: Callable[[Path], Config],
        command: Callable[[str], list[str]],
        patience: Patience,
    ) -> None:
        self.config = config
        self.totals = Totals()
        self._phase: State = "starting"
        self._config_path = config_path
        self._load = load
        self._command = command
        self._patience = patience
        self._metrics = Metrics()
        self._reloads = Reloads(self._metrics)
        self._began_s = time.monotonic()
        self._sockets: list[tuple[socket.socket, str]] = []
        self._listener_fds: dict[str, int] = {}
        self._directory = ""
        self._engine_secret = secrets.token_hex(32)  # sessions outlive the engine's process, if not ours
        self._workers: list[Slot] = []
        self._engine: Slot | None = None
        self._posture: Slot | None = None
        self._keeping: dict[Slot, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._admin: AdminService | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._exit_code = 0
        self._metrics.build_info.values[__version__, platform.python_version()] = 1

    async def run(self) -> int:
        """Start, run until a signal, drain. Returns 0; raises GatewayError if the start fails."""
        self._handle_signals()
        try:
            await self._start()
            await self._stop.wait()
        finally:
            await self._shut_down()
        return self._exit_code

    # --- start -------------------------------------------------------------------------------------------------------

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)

    def _on_stop_signal(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            log.warning("second signal, not waiting for exchanges in flight", signal=number.name)
            self._hurry.set()
        self._stop.set()

    async def _start(self) -> None:
        self._in_background(self._watch_children())
        await self._start_admin()
        self._bind_listeners()
        self._directory = tempfile.mkdtemp(prefix="gateway-")  # mode 0700
        if needs_engine(self.config):
            await self._start_engine()
        self._workers = [self._slot("worker", index) for index in range(self.config.workers)]
        await self._settled(self._workers)
        failures = [slot.failure for slot in self._workers if slot.failure is not None]
        if failures and not self._stop.is_set():
            raise StartError(failures[0])
        if self.config.posture.is_used:
            self._posture = self._slot("posture", None)
        self._phase = "running"
        self._reloads.succeeded()
        self._in_background(self._reload_when_wanted())
        if self._config_path is not None:
            self._in_background(self._watch_file(self._config_path))
        log.info(
            "gateway ready", workers=len(self._workers), listeners=[str(one.address) for one in self.config.listeners]
        )

    async def _start_admin(self) -> None:
        address = str(self.config.admin.address)
        sock = bind(address, "admin.address")
        self._sockets.append((sock, address))
        self._admin = AdminService(self, parse_address(address))
        await self._admin.start(sock)

    def _bind_listeners(self) -> None:
        for index, listener in enumerate(self.config.listeners):
            address, key = str(listener.address), f"listeners[{index}].address"
            if not address.startswith(UNIX):
                try_bind(address, key)
                continue
            sock = bind(address, key)
            self._sockets.append((sock, address))
            self._listener_fds[address] = sock.fileno()

    async def _start_engine(self) -> None:
        """Start the engine and give it a moment. If it needs longer, requests fail open, and everybody is told."""
        self._engine = self._slot("engine", None)
        try:
            async with asyncio.timeout(self._patience.engine_s):
                await self._settled([self._engine])
        except TimeoutError:
            log.error("the embedded engine is not ready, requests go unchecked", waited_s=self._patience.engine_s)
        if self._engine.failure is not None:
            log.error("the embedded engine cannot start, requests go unchecked", error=self._engine.failure)

    async def _settled(self, slots: list[Slot]) -> None:
        """Wait until each slot is ready or has failed, or a signal says stop."""
        for slot in slots:
            await _first(slot.settled.wait(), self._stop.wait())

    def _slot(self, kind: str, index: int | None) -> Slot:
        process = {
            "index": index or 0,
            "engine_socket": self._engine_socket,
            "engine_secret": self._engine_secret if kind == "engine" else None,
            "patches": self._patches,
            "listener_fds": self._listener_fds if kind == "worker" else {},
            "drain_on_sigterm": kind != "engine",
        }
        name = kind if index is None else f"{kind}-{index}"
        without = () if kind == "posture" else ("posture",)
        slot = Slot(Plan(name, self._command(kind), process, without), self, self._patience)
        self._keeping[slot] = asyncio.create_task(slot.keep())
        self._keeping[slot].add_done_callback(self._on_background_done)
        return slot

    # --- run ---------------------------------------------------------------------------------------------------------

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._on_background_done)

    def _on_background_done(self, task: asyncio.Task[None]) -> None:
        """Without one of these tasks we are half a supervisor: better to end, and be restarted whole."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("defect in the supervisor, draining", error=repr(error)[:500])
            self._exit_code = 1
            self._stop.set()

    async def _watch_children(self) -> None:
        while True:
            await asyncio.sleep(self._patience.watch_s)
            for slot in self._keeping:
                slot.look()

    async def _watch_file(self, path: Path) -> None:
        """Reload when the file has changed and then stood still for one interval: an editor may write it in steps."""
        loaded = last = file_state(path)
        while True:
            await asyncio.sleep(self._patience.poll_s)
            seen = file_state(path)
            if seen is not None and seen != loaded and seen == last:
                loaded = seen
                self._reload_wanted.set()
            last = seen

    async def _reload_when_wanted(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            await self._reload()

    async def _reload(self) -> None:
        """All or nothing: the former configuration stays in force, in every process, unless all take the new one."""
        try:
            await self._adopt(await self._loaded())
        except (GatewayError, OSError) as error:
            self._reloads.failed(str(error))
            log.error("reload refused, the former configuration stays in force", error=str(error))
            for slot in self._keeping:  # SIGHUP is also what log rotation sends
                slot.reopen_logs()
        else:
            self._reloads.succeeded()
            log.info("configuration reloaded")

    async def _loaded(self) -> Config:
        """The configuration of the file, read and validated anew; the one in force if there is no file (SIGHUP then
        still reopens log files and rereads certificates)."""
        if self._config_path is None:
            return self.config
        config = await asyncio.to_thread(self._load, self._config_path)
        if keys := changed_restart_keys(self.config, config):
            raise ReloadError(f"{self._config_path}: a change of {', '.join(keys)} needs a restart")
        return config

    async def _adopt(self, config: Config) -> None:
        if needs_engine(config) and self._engine is None:
            await self._start_engine()
        if error := await self._configure(list(self._keeping), config):
            await self._configure(list(self._keeping), self.config)
            raise ReloadError(error)
        self.config = config
        logs.setup(config.logging.level, config.logging.format, SOURCE)
        await self._configure([slot for slot in self._keeping if slot.stale], config)  # became ready in between
        if self._engine is not None and not needs_engine(config):
            engine, self._engine = self._engine, None
            await self._end([engine], self._patience.engine_s)
        if self._posture is None and config.posture.is_used:
            self._posture = self._slot("posture", None)
        elif self._posture is not None and not config.posture.is_used:
            posture, self._posture = self._posture, None
            await self._end([posture], self._patience.engine_s)

    async def _configure(self, slots: list[Slot], config: Config) -> str | None:
        """Hand a configuration to the processes, all at once. The first refusal, if any."""
        errors = await asyncio.gather(*(slot.configure(config) for slot in slots))
        return next((error for error in errors if error is not None), None)

    # --- drain -------------------------------------------------------------------------------------------------------

    async def _shut_down(self) -> None:
        self._phase = "draining"
        log.info("draining", drain_timeout_s=self.config.drain_timeout)
        await self._end(self._workers, self.config.drain_timeout)
        await self._end([slot for slot in (self._engine, self._posture) if slot is not None], self._patience.engine_s)
        if self._admin is not None:
            await self._admin.close()
        for task in self._background:
            task.cancel()
        for sock, address in self._sockets:
            unbind(sock, address)
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
        log.info("stopped")

    async def _end(self, slots: list[Slot], timeout_s: float) -> None:
        """Drain these slots, and kill what is left when a second signal comes. Ends within the time-out and margins,
        because `Slot.look` kills what exceeds them."""
        for slot in slots:
            slot.drain(timeout_s)
        for slot in slots:
            await _first(asyncio.wait({self._keeping[slot]}), self._hurry.wait())
        for slot in slots:
            if self._hurry.is_set():
                slot.kill()
            await asyncio.wait({self._keeping.pop(slot)})

    # --- for the slots and the admin service --------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """`running` means that traffic can be served: some worker is ready."""
        if self._phase == "running" and not any(slot.state == "ready" for slot in self._workers):
            return "starting"
        return self._phase

    def restarted(self, name: str) -> None:
        if name.startswith("worker"):
            self._metrics.worker_restarts.values[()] += 1

    async def refresh(self, timeout_s: float) -> None:
        """Have every ready process report now, wait at most so long, and add the supervisor's own figures."""
        answers = [answer for slot in self._keeping if (answer := slot.collect()) is not None]
        if answers:
            await asyncio.wait(answers, timeout=timeout_s)
        self._metrics.workers.values[()] = self._ready_workers()
        self.totals.add(SOURCE, self._metrics.take())

    def degraded(self) -> list[dict[str, Any]]:
        """What the processes report, equal ones once, and what the supervisor itself sees."""
        found: dict[tuple[str, str], list[str]] = {}
        for slot in self._keeping:
            for entry in slot.degraded:
                found.setdefault((entry["part"], entry["reason"]), []).append(slot.name)
        if self._ready_workers() < len(self._workers):
            found["workers", f"{self._ready_workers()} of {len(self._workers)} are ready"] = [SOURCE]
        if self._engine is not None and self._engine.state != "ready":
            found["engine", self._engine.failure or f"{self._engine.state}, requests go unchecked"] = [SOURCE]
        if self._posture is not None and self._posture.state != "ready":
            found["posture", self._posture.failure or self._posture.state] = [SOURCE]
        if self._reloads.error is not None:
            found["config", f"the last reload was refused: {self._reloads.error}"] = [SOURCE]
        return [{"part": part, "reason": reason, "processes": processes} for (part, reason), processes in found.items()]

    def status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "python": platform.python_version(),
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._began_s, 1),
            "reload": self._reloads.status(),
            "protection_mode": ", ".join(sorted({site.protection.mode for site in self.config.sites})),
            "protection_timeout_ms": round(self.config.protection.timeout * 1000, 3),
            "engine": {"engine_socket": None if self._engine is None else self._engine_socket},
            "posture": None if self._posture is None else self._posture.status,
            "processes": [
                {
                    "name": slot.name,
                    "pid": slot.pid,
                    "state": slot.state,
                    "restarts": slot.restarts,
                    "up_s": round(slot.up_s, 1),
                }
                for slot in self._keeping
            ],
        }

    @property
    def _engine_socket(self) -> str:
        """Where the embedded engine listens, for workers and for operators of this user."""
        return f"{self._directory}/engine.sock"

    @property
    def _patches(self) -> str:
        """Where the posture process writes what findings ask of the engine."""
        config = self.config
        return config.engine.patches or config.posture.actions.file or f"{self._directory}/patches.json"

    def _ready_workers(self) -> int:
        return sum(slot.state == "ready" for slot in self._workers)


async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them is done; the others are cancelled."""
    tasks = {asyncio.create_task(wait) for wait in waits}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def needs_engine(config: Config) -> bool:
    """True if any site is checked (mode is not off) by the embedded engine."""
    return any(site.protection.mode != "off" and site.protection.endpoint == "embedded" for site in config.sites)
