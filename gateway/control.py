"""The channel between the supervisor and one child process, and the life of a child.

A message is a 4-byte big-endian length and a JSON object of that size, over one end of a socketpair whose number the
child finds in GATEWAY_CONTROL_FD::

    supervisor -> child   {"type": "configure", "config": {...}, "process": {...}}    first of all, and for a reload
                          {"type": "collect", "id": 7}                                report at once
                          {"type": "reopen_logs"}                                     after a refused reload too
                          {"type": "drain"}
    child -> supervisor   {"type": "ready"}                                           started, serving
                          {"type": "failed", "error": "..."}                          could not start; the child exits
                          {"type": "configured", "ok": true, "error": null}           the answer to a reload
                          {"type": "report", "id": 7 or null, "metrics": {...}, "degraded": [{"part", "reason"}],
                           "status": {...} or null}                                    null: as before

`process` is `{"name": "worker-0", "index": 0, "engine_socket": path or null, "engine_secret": hexadecimal or null,
"patches": path, "listener_fds": {address: fd}, "drain_on_sigterm": bool}`.

A child lives as long as its channel: when it closes (the supervisor is gone), the child drains and exits, so that no
orphan keeps the port. The last one also removes the folder of the engine's socket, which was the supervisor's.
A supervisor that is merely slow costs nothing but reports: they wait, bounded to one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from typing import Any, Protocol, Self

import orjson

from gateway import logs
from gateway.config import Config, parse_config
from gateway.errors import ChannelClosed, ChannelError, ChannelProtocolError, ChannelTimeout, GatewayError
from gateway.metrics import Metrics

CONTROL_FD = "GATEWAY_CONTROL_FD"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # a configuration of thousands of sites fits; a broken length does not
WRITE_TIMEOUT_S = 5.0
REPORT_INTERVAL_S = 1.0
LENGTH_BYTES = 4
GC_THRESHOLD = 50_000  # objects: a request leaves no cycle behind, so the default 700 only costs time

Message = dict[str, Any]

log = logs.get("control")


def settle_heap() -> None:
    """What was made so far stays as long as the process: take it from the garbage collector, and let that run seldom.
    Without it a collection over the engine's patterns costs a quarter of all its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)


class Channel:
    """Whole messages over a connected stream socket. One reader; any number of writers, whose messages do not mix."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> Self:
        """Take over the socket; it is closed with the channel."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    @property
    def congested(self) -> bool:
        """True while the other side has not yet taken all that was sent."""
        return self._writer.transport.get_write_buffer_size() > 0

    async def send(self, message: Message, timeout_s: float = WRITE_TIMEOUT_S) -> None:
        """Send one message. Raises ChannelClosed if the other side is gone, ChannelTimeout if it does not read (the
        message still arrives if it ever does), ChannelProtocolError if the message is over MAX_MESSAGE_BYTES or is no
        JSON."""
        try:
            data = orjson.dumps(message)
        except TypeError as error:
            raise ChannelProtocolError(f"a message that is no JSON: {error}") from None
        if len(data) > MAX_MESSAGE_BYTES:
            raise ChannelProtocolError(f"message of {len(data)} bytes, at most {MAX_MESSAGE_BYTES} can be sent")
        if self._writer.is_closing():
            raise ChannelClosed("the channel is closed")
        self._writer.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
        try:
            async with asyncio.timeout(timeout_s):
                await self._writer.drain()
        except TimeoutError:
            raise ChannelTimeout(f"the other side has not read for {timeout_s:g} s") from None
        except OSError as error:
            raise ChannelClosed(f"the other side is gone: {error.strerror or error}") from None

    async def receive(self) -> Message:
        """The next message. Raises ChannelClosed at the end, ChannelProtocolError for anything that is no message."""
        try:
            length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
            if length > MAX_MESSAGE_BYTES:
                raise ChannelProtocolError(f"message of {length} bytes announced, at most {MAX_MESSAGE_BYTES} are read")
            data = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            raise ChannelClosed("the other side is gone") from None
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ChannelProtocolError(f"message of {length} bytes is not JSON: {error}") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise ChannelProtocolError(f"message of {length} bytes is not an object with a type")
        return message

    def close(self) -> None:
        """Close at once; what was sent and not taken yet is lost. Safe to call twice."""
        self._writer.transport.abort()

    async def flush_and_close(self) -> None:
        """Close after the other side has taken everything, for at most WRITE_TIMEOUT_S."""
        self._writer.close()
        with contextlib.suppress(TimeoutError, OSError):  # nobody is left to tell
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._writer.wait_closed()
        self.close()


class Part(Protocol):
    """What a child process does: serve traffic (a worker) or answer checks (the engine)."""

    async def start(self, config: Config, process: dict[str, Any]) -> None:
        """Return when traffic is served. A GatewayError or OSError is a start that failed; its text is shown."""

    async def reload(self, config: Config) -> None:
        """Swap to the new configuration, all or nothing. A GatewayError refuses it."""

    def reopen_logs(self) -> None:
        """Open the names of log files anew (log rotation)."""

    async def drain(self) -> None:
        """Stop accepting and return when everything in flight is finished, or config.drain_timeout is over."""

    def report(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """`Metrics.take()` and what is degraded now, as `{"part": ..., "reason": ...}`."""

    def status(self) -> dict[str, Any] | None:
        """What /status.json shows of this part besides; None: nothing, or what it showed before."""


async def run_child(part: Part) -> int:
    """Live as a child of the supervisor until it says drain, SIGTERM comes, or it is gone. Returns the exit code."""
    stop = asyncio.Event()
    _handle_signals(stop)
    channel = await Channel.open(_inherited_socket())
    child = _Child(part, channel, stop)
    try:
        return await child.run()
    finally:
        await channel.flush_and_close()


def _inherited_socket() -> socket.socket:
    fd = os.environ.pop(CONTROL_FD, None)
    if fd is None:
        raise ChannelClosed(f"{CONTROL_FD} is not set: this process is started by `gateway run`, not by hand")
    sock = socket.socket(fileno=int(fd))
    sock.set_inheritable(False)
    return sock


def _handle_signals(stop: asyncio.Event) -> None:
    """SIGINT and SIGHUP reach the whole process group of a terminal, but the supervisor acts on them. It starts us
    with both blocked, so that they cannot kill us before this line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP})
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)


class _Child:
    """Phases: configure and start -> serve (messages and reports) -> drain (still reporting) -> last report."""

    def __init__(self, part: Part, channel: Channel, stop: asyncio.Event) -> None:
        self._part = part
        self._channel = channel
        self._stop = stop
        self._name = ""
        self._started = asyncio.Event()
        self._exit_code = 0
        self._engine_socket = ""
        self._orphaned = False
        self._unsendable = False  # the last report was not sent whole, which was logged

    async def run(self) -> int:
        """Returns the exit code: 0 after a drain or a stop while starting, 1 if the start failed or for a defect."""
        try:
            first = await self._channel.receive()
        except ChannelError as error:
            log.error("no configuration from the supervisor", error=str(error))
            return 1
        tasks = [asyncio.create_task(self._listen())]
        try:
            if not await self._start_unless_stopped(first):
                return self._exit_code
            tasks.append(asyncio.create_task(self._report_regularly()))
            for task in tasks:
                task.add_done_callback(self._stop_on_defect)
            self._started.set()
            await self._stop.wait()
            await self._part.drain()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if self._orphaned:
            _remove_folder(self._engine_socket)
        await self._report(None)
        return self._exit_code

    async def _start_unless_stopped(self, message: Message) -> bool:
        """True if the part serves. A start that waits for something must not outlive the supervisor."""
        starting = asyncio.create_task(self._start(message))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return False
        return starting.result()

    def _stop_on_defect(self, task: asyncio.Task[None]) -> None:
        """A task of ours that fails is a defect. Without reports we count as hung: better to drain and be respawned."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("defect in the control task, draining", error=repr(error)[:500])
            self._exit_code = 1
            self._stop.set()

    async def _start(self, message: Message) -> bool:
        try:
            if message["type"] != "configure":
                raise ChannelProtocolError(f"the first message is {message['type'][:100]!r}, not 'configure'")
            process = message["process"]
            self._engine_socket = process["engine_socket"] or ""
            config = parse_config(message["config"])
            self._set_up_logs(config, process["name"])
            if not process["drain_on_sigterm"]:
                _ignore_sigterm()
            await self._part.start(config, process)
            settle_heap()
        except (GatewayError, OSError) as error:
            self._exit_code = 1
            await self._send({"type": "failed", "error": _described(error)})
            return False
        self._name = process["name"]
        await self._send({"type": "ready"})
        return True

    def _set_up_logs(self, config: Config, name: str) -> None:
        logs.setup(config.logging.level, config.logging.format, name)

    async def _listen(self) -> None:
        """Answer the supervisor until it is gone, which stops us. It says nothing before we are ready."""
        try:
            while True:
                message = await self._channel.receive()
                await self._started.wait()
                await self._answer(message)
        except ChannelClosed:
            log.warning("the supervisor is gone, draining")
            self._orphaned = True
        except ChannelError as error:
            log.error("the supervisor cannot be understood, draining", error=str(error))
        self._stop.set()

    async def _answer(self, message: Message) -> None:
        if message["type"] == "collect":
            await self._report(message["id"])
        elif message["type"] == "drain":
            self._stop.set()
        elif message["type"] == "reopen_logs":
            self._part.reopen_logs()
        elif message["type"] == "configure":
            error = await self._reload(message["config"])
            await self._send({"type": "configured", "ok": error is None, "error": error})
        else:
            raise ChannelProtocolError(f"unknown message {message['type'][:100]!r}")

    async def _reload(self, dump: dict[str, Any]) -> str | None:
        try:
            config = parse_config(dump)
            await self._part.reload(config)
        except (GatewayError, OSError) as error:
            return _described(error)
        except Exception as error:  # a defect must refuse the reload, not end a process that serves traffic
            log.exception("reload failed")
            return f"internal error: {_described(error)}"
        self._set_up_logs(config, self._name)
        return None

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            await self._report(None)

    async def _report(self, id: int | None) -> None:
        """Nothing is taken from the metrics while an earlier report is still on its way: counts are never lost."""
        if self._channel.congested:
            return
        metrics, degraded = self._part.report()
        status = self._part.status()
        report = {"type": "report", "id": id, "metrics": metrics, "degraded": degraded, "status": status}
        await self._send_what_can_be(report)

    async def _send_what_can_be(self, report: Message) -> None:
        """The report; without its status, or else without anything, where no message can be made of it. Without any
        report we would count as hung, and be killed for a text of somebody else's."""
        reduced: list[Message] = [{}, {"status": None}, {"status": None, "degraded": [], "metrics": Metrics().take()}]
        for fields in reduced:
            try:
                await self._send(report | fields)
            except ChannelProtocolError as error:
                if not self._unsendable:
                    log.error("a report cannot be sent whole", error=str(error)[:200])
                self._unsendable = True
            else:
                self._unsendable = bool(fields)
                return

    async def _send(self, message: Message) -> None:
        with contextlib.suppress(ChannelTimeout, ChannelClosed):  # slow: it arrives later; gone: `_listen` sees it
            await self._channel.send(message)


def _ignore_sigterm() -> None:
    """For the engine: the workers need it until they have drained, and a service manager signals the whole group."""
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _remove_folder(engine_socket: str) -> None:
    """Remove the folder that the supervisor made for the socket, and would have removed. While the engine has its
    socket in it, it stays: the engine drains too, and comes by here."""
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(engine_socket))


def _described(error: BaseException) -> str:
    return str(error) or type(error).__name__
