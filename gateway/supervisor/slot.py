"""One supervised child: its process, its channel, its back-off.

States::

    starting -> ready -> draining -> stopped
       |          |
       +--------- + -> backoff -> starting        the process died, or was killed because it did not answer

A process counts as hung when nothing was heard of it for `Patience.silence_s` (it reports every second), when it is
not ready `Patience.start_s` after it was spawned, or when it drains for longer than it may. All three end with SIGKILL:
what does not run its loop cannot act on anything gentler.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway import logs
from gateway.config import Config
from gateway.control import CONTROL_FD, Channel, Message
from gateway.errors import ChannelClosed, ChannelError
from gateway.metrics import Totals

log = logs.get("supervisor")

State = Literal["starting", "ready", "draining", "backoff", "stopped"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits for what, in seconds."""

    first_backoff_s: float = 0.5  # before the first respawn; doubled for each early death
    longest_backoff_s: float = 30.0
    calm_s: float = 60.0  # a process that lived so long is respawned with the first back-off again
    start_s: float = 30.0  # spawned to ready; negotiating with a slow Protection API takes 2 of these
    silence_s: float = 15.0  # without a report
    drain_margin_s: float = 5.0  # on top of drain_timeout
    exit_s: float = 5.0  # between closing its channel and being gone
    reload_s: float = 15.0  # to answer a reload
    engine_s: float = 5.0  # that workers wait for the engine at the start
    poll_s: float = 2.0  # between two looks at the configuration file
    watch_s: float = 1.0  # between two looks at the children


@dataclass(frozen=True, slots=True)
class Plan:
    """What fills a slot: the command, and the `process` object of the configure message (see gateway.control). without:
    sections of the configuration that the process has no use for, secrets above all."""

    name: str
    command: list[str]
    process: dict[str, Any]
    without: tuple[str, ...] = ()

    @property
    def fds(self) -> tuple[int, ...]:
        return tuple(self.process["listener_fds"].values())

    def dump(self, config: Config) -> dict[str, Any]:
        """The configuration as the process gets it."""
        return {key: value for key, value in config.dump(reveal_secrets=True).items() if key not in self.without}


class Owner(Protocol):
    """What a slot needs of the supervisor."""

    @property
    def config(self) -> Config: ...

    @property
    def totals(self) -> Totals: ...

    def restarted(self, name: str) -> None:
        """Count a respawn."""


@dataclass(eq=False, slots=True)
class _Life:
    """One process, from spawning to reaping."""

    popen: subprocess.Popen[bytes]
    channel: Channel
    exited: asyncio.Future[int]
    sent: Config
    spawned_s: float
    heard_s: float
    drain_until_s: float | None = None
    ready: bool = False
    reloads: deque[asyncio.Future[str | None]] = field(default_factory=deque)
    collects: dict[int, asyncio.Future[None]] = field(default_factory=dict)

    def kill(self) -> None:
        if not self.exited.done():
            self.popen.kill()


class Slot:
    """One supervised child. `keep` runs until the slot is drained; the rest talks to the process of the moment."""

    def __init__(self, plan: Plan, owner: Owner, patience: Patience) -> None:
        self.name = plan.name
        self.state: State = "starting"
        self.restarts = 0
        self.degraded: list[dict[str, str]] = []
        self.status: dict[str, Any] = {}  # what the process shows on /status.json
        self.failure: str | None = None  # why the last process could not start
        self.settled = asyncio.Event()  # the first process is ready, or has failed
        self._plan = plan
        self._owner = owner
        self._patience = patience
        self._life: _Life | None = None
        self._backoff_s = 0.0
        self._stopping = asyncio.Event()
        self._collect_id = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        return self._life.popen.pid if self._life else None

    @property
    def up_s(self) -> float:
        return time.monotonic() - self._life.spawned_s if self._life else 0.0

    @property
    def stale(self) -> bool:
        """True if the process serves with another configuration than the one in force."""
        return self.state == "ready" and self._life is not None and self._life.sent is not self._owner.config

    async def keep(self) -> None:
        """Keep a process in the slot. Returns when the slot was drained and the process is reaped."""
        while not self._stopping.is_set():
            began_s = time.monotonic()
            code = await self._live()
            if self._stopping.is_set():
                break
            self.settled.set()
            await self._back_off(code, time.monotonic() - began_s)
        self.state = "stopped"
        self.settled.set()

    def drain(self, drain_timeout_s: float) -> None:
        """Let the process finish what is in flight, for at most the time-out and a margin; nothing is respawned."""
        self._stopping.set()
        life = self._life
        if life is None:
            return
        if not life.ready:  # nothing is in flight yet
            life.kill()
            return
        self.state = "draining"
        life.drain_until_s = time.monotonic() + drain_timeout_s + self._patience.drain_margin_s
        self._send_soon(life, {"type": "drain"})

    def kill(self) -> None:
        """End the process now; nothing is respawned."""
        self._stopping.set()
        if self._life is not None:
            self._life.kill()

    async def configure(self, config: Config) -> str | None:
        """Reload the process. None if it took the configuration over, else why not. A process that is just starting,
        or about to, needs nothing: it is brought up to date when it is ready."""
        life = self._life
        if life is None or not life.ready or self.state == "draining":
            return None
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        life.reloads.append(answer)
        life.sent = config
        try:
            async with asyncio.timeout(self._patience.reload_s):
                await life.channel.send({"type": "configure", "config": self._plan.dump(config)})
                return await answer
        except TimeoutError:
            return f"{self.name} has not answered for {self._patience.reload_s:g} s"
        except ChannelError as error:
            return f"{self.name} cannot be told: {error}"

    def collect(self) -> asyncio.Future[None] | None:
        """Ask for a report at once. The future is done when it is in the totals; None if nobody can be asked."""
        life = self._life
        if life is None or not life.ready:
            return None
        self._collect_id += 1
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        life.collects[self._collect_id] = answer
        self._send_soon(life, {"type": "collect", "id": self._collect_id})
        return answer

    def reopen_logs(self) -> None:
        """Have the process open its log files anew. One that is just starting has opened them by itself."""
        if self._life is not None and self._life.ready:
            self._send_soon(self._life, {"type": "reopen_logs"})

    def look(self) -> None:
        """Kill the process if it is hung. Called about once a second."""
        life, now_s = self._life, time.monotonic()
        if life is None:
            return
        if not life.ready:
            self._kill_if(life, now_s - life.spawned_s > self._patience.start_s, "not ready in time")
        elif now_s - life.heard_s > self._patience.silence_s:
            self._kill_if(life, True, "it does not answer")
        elif life.drain_until_s is not None:
            self._kill_if(life, now_s > life.drain_until_s, "not drained in time")

    # --- one process -------------------------------------------------------------------------------------------------

    async def _live(self) -> int:
        """Fill the slot with a process and listen until it is gone. Returns its exit code."""
        self.state, self.failure = "starting", None
        try:
            life = self._life = await self._spawn()
        except OSError as error:
            self.failure = f"{self.name} cannot be started: {error.strerror or error}"
            return -1
        if self._stopping.is_set():  # while it was spawned
            life.kill()
        try:
            await life.channel.send(self._configuration(life))
            while True:
                self._take(life, await life.channel.receive())
        except ChannelClosed:
            pass  # the usual end
        except (ChannelError, ValueError, KeyError, TypeError) as error:
            log.error("process cannot be understood, killing it", name=self.name, error=repr(error)[:500])
            life.kill()
        finally:
            code = await self._reap(life)
            self._forget(life, code)
        return code

    async def _spawn(self) -> _Life:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                environment = os.environ | {CONTROL_FD: str(theirs.fileno())}
                popen = _popen(self._plan.command, (theirs.fileno(), *self._plan.fds), environment)
            except OSError:
                ours.close()
                raise
        exited = _exit_of(popen)
        channel = await Channel.open(ours)
        now_s = time.monotonic()
        return _Life(popen, channel, exited, self._owner.config, spawned_s=now_s, heard_s=now_s)

    def _configuration(self, life: _Life) -> Message:
        process = {"name": self.name, **self._plan.process}
        return {"type": "configure", "config": self._plan.dump(life.sent), "process": process}

    def _take(self, life: _Life, message: Message) -> None:
        life.heard_s = time.monotonic()
        match message["type"]:
            case "report":
                self._owner.totals.add(self.name, message["metrics"])
                self.degraded = message["degraded"]
                if message.get("status") is not None:
                    self.status = message["status"]
                answer = life.collects.pop(message["id"], None)
                if answer is not None and not answer.done():
                    answer.set_result(None)
            case "ready":
                self._became_ready(life)
            case "failed":
                self.failure = f"{self.name} cannot start: {message['error']}"
            case "configured":
                reload = life.reloads.popleft()
                if not reload.done():
                    reload.set_result(None if message["ok"] else f"{self.name}: {message['error']}")
            case other:
                raise ValueError(f"unknown message {other[:100]!r}")

    def _became_ready(self, life: _Life) -> None:
        life.ready = True
        self.state = "ready"
        self.settled.set()
        log.info("process ready", name=self.name, pid=life.popen.pid)
        if self.stale:  # a reload came in between
            self._soon(self._catch_up())

    async def _catch_up(self) -> None:
        if error := await self.configure(self._owner.config):
            log.error("process keeps the configuration it started with", name=self.name, error=error)

    def _send_soon(self, life: _Life, message: Message) -> None:
        """Send without waiting. The outcome needs nobody: a process that cannot be told counts as hung soon."""

        async def send() -> None:
            with contextlib.suppress(ChannelError):
                await life.channel.send(message)

        self._soon(send())

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    def _kill_if(self, life: _Life, condition: bool, why: str) -> None:
        if condition and not life.exited.done():
            log.error("killing a process", name=self.name, pid=life.popen.pid, why=why)
            life.kill()

    async def _reap(self, life: _Life) -> int:
        """Wait for the process, which has closed its channel and has nothing left to do."""
        life.channel.close()
        done, _ = await asyncio.wait({life.exited}, timeout=self._patience.exit_s)
        self._kill_if(life, not done, "it has closed its channel but does not exit")
        return await life.exited

    def _forget(self, life: _Life, code: int) -> None:
        if not life.ready and self.failure is None:
            self.failure = f"{self.name} ended with {_outcome(code)} before it was ready"
        for answer in life.reloads:
            if not answer.done():
                answer.set_result(f"{self.name} ended with {_outcome(code)} during the reload")
        for collect in life.collects.values():
            collect.cancel()
        self._owner.totals.forget(self.name)
        self.degraded = []
        self.status = {}
        self._life = None

    async def _back_off(self, code: int, lived_s: float) -> None:
        patience = self._patience
        doubled_s = 0.0 if lived_s >= patience.calm_s else self._backoff_s * 2
        self._backoff_s = min(max(doubled_s, patience.first_backoff_s), patience.longest_backoff_s)
        self.state = "backoff"
        self.restarts += 1
        self._owner.restarted(self.name)
        log.error(
            "process died, respawning", name=self.name, ended_with=_outcome(code), lived_s=round(lived_s, 1),
            why=self.failure, in_s=self._backoff_s,
        )  # fmt: skip
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._backoff_s):
                await self._stopping.wait()


def _popen(command: list[str], fds: tuple[int, ...], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the process with SIGINT and SIGHUP blocked: a terminal sends them to the whole group, and until the child
    has its handlers (gateway.control unblocks them) they would kill it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        return subprocess.Popen(command, pass_fds=fds, env=environment, stdin=subprocess.DEVNULL)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit_of(popen: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """The exit code, from a thread that waits: the only way that works on every Unix and with every event loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()

    def wait() -> None:
        code = popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(_resolve, code)

    def _resolve(code: int) -> None:
        if not future.done():
            future.set_result(code)

    threading.Thread(target=wait, name=f"wait-{popen.pid}", daemon=True).start()
    return future


def _outcome(code: int) -> str:
    """`exit code 1` or `SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal
        return f"signal {-code}"
