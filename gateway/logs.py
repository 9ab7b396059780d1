"""The application log, errors that cannot flood it, and the access log.

Application log: one JSON object (or one readable line) per event on stderr, through the standard logging module, so
that libraries' messages arrive in the same form. An event is a constant text, everything variable is a field::

    log = logs.get("origin")
    log.warning("server ejected", site="shop", failures=5)

Access log: `AccessLog.add` appends a tuple to a bounded queue and returns; one writer thread makes lines of them and
writes batches. The event loop never waits for a disk or a pipe: when the writer does not keep up, records are dropped,
counted and reported, never queued without bound. Several worker processes share one standard output: a write to a
pipe of at most PIPE_BUF bytes is atomic (POSIX write(2)), so whole lines are packed into writes of at most that size,
and they never interleave. A single longer line is written alone.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]
AccessRecord = tuple[Any, ...]

# --- application log -------------------------------------------------------------------------------------------------


class Log:
    """Events with keyword fields on one named logger. Fields may be anything: what JSON has no form for is text."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **fields: object) -> None:
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._emit(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """An error with the traceback of the exception that is being handled: for defects, not for peers' failures."""
        self._emit(logging.ERROR, event, fields, exc_info=True)

    def _emit(self, level: int, event: str, fields: dict[str, object], *, exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields}, exc_info=exc_info)


def get(name: str) -> Log:
    """The log of one part of the gateway (`origin`, `protection`, `supervisor`...)."""
    return Log(logging.getLogger(f"gateway.{name}"))


def setup(level: Level, format: Format, process: str) -> None:
    """Send every log of this process to stderr. May be called again (a reload); the last call counts.

    `process` names the process in every line: `supervisor`, `worker-0`, `engine`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(process) if format == "json" else _ConsoleFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries: only what matters
    logging.getLogger("gateway").setLevel(level.upper())


class _JsonFormatter(logging.Formatter):
    """`{"time", "level", "process", "logger", "event", ...fields, "exception"}`; a field never hides one of these."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name.removeprefix("gateway."),
            "event": record.getMessage(),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # a lone surrogate, an integer over 64 bits: the event must not be lost for it
            sayable = {name: _sayable(value) for name, value in line.items()}
            return orjson.dumps(sayable, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _sayable(value: object) -> object:
    """The value, or a text of it if it has no form in JSON."""
    try:
        orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
        return value
    except TypeError:
        return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else ascii(value)


class _ConsoleFormatter(logging.Formatter):
    """`12:34:56.789 WARNING worker-0 origin: server ejected site=shop failures=5`, for people."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        name = record.name.removeprefix("gateway.")
        fields = "".join(f" {key}={_printable(value)}" for key, value in _fields(record).items())
        line = f"{clock} {record.levelname:<7} {self._process} {name}: {_escaped(record.getMessage())}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "fields", {})
    return fields


def _escaped(text: str) -> str:
    """Text of any origin without control characters: one line stays one line, and a terminal is not driven by it."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _printable(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else ascii(text)


class RateLimited:
    """At most one line per key and interval; the next one says how many were suppressed in between.

    For failures that come with every request when they come at all. Keys are a small set (an endpoint, a reason);
    past `max_keys` live ones, all others share one line per interval, so that no input can make this grow.
    """

    __slots__ = ("_clock", "_interval_s", "_last", "_log", "_max_keys")

    def __init__(
        self, log: Log, interval_s: float = 10.0, max_keys: int = 256, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._interval_s = interval_s
        self._max_keys = max_keys
        self._clock = clock
        self._last: dict[object, list[float]] = {}  # key: [time of the last line in seconds, suppressed since]

    def warning(self, key: object, event: str, **fields: object) -> None:
        self._pass(self._log.warning, key, event, fields)

    def error(self, key: object, event: str, **fields: object) -> None:
        self._pass(self._log.error, key, event, fields)

    def _pass(self, write: Callable[..., None], key: object, event: str, fields: dict[str, object]) -> None:
        now_s = self._clock()
        entry = self._last.get(key)
        if entry is None:
            key = self._admitted(key, now_s)
            entry = self._last.get(key)
        if entry is None:
            self._last[key] = [now_s, 0]
        elif now_s - entry[0] < self._interval_s:
            entry[1] += 1
            return
        else:
            if entry[1]:
                fields["suppressed"] = int(entry[1])
            entry[:] = [now_s, 0]
        write(event, **fields)

    def _admitted(self, key: object, now_s: float) -> object:
        """The key itself if there is room for it, else the key that the surplus shares."""
        if len(self._last) < self._max_keys:
            return key
        live = {known: entry for known, entry in self._last.items() if now_s - entry[0] < self._interval_s}
        if len(live) < self._max_keys:
            self._last = live
            return key
        return _SURPLUS


_SURPLUS = object()

# --- access log ------------------------------------------------------------------------------------------------------

# The record that `AccessLog.add` takes, in this order. Text may be bytes off the wire (UTF-8, else Latin-1).
ACCESS_FIELDS = (
    "time_s",  # float, Unix epoch, when the request head was complete; written as "time", ISO 8601 in UTC
    "site",  # str, or None when no site matched
    "client_ip",  # str: our own finding, through trusted proxies
    "method",
    "host",
    "target",  # raw; written without its query, which often holds personal data or tokens
    "http_version",  # "1.1"
    "status",  # int, what downstream got; 0 if it left before there was one
    "outcome",  # metrics.OUTCOMES
    "reason",  # of a failure or a rejection, or None
    "duration_s",  # float, the whole exchange; the three durations are written in milliseconds ("duration_ms")
    "protection_s",  # float, waiting for the check; None if nothing was asked
    "origin_s",  # float, waiting for the origin's response head; None if it was not asked
    "bytes_received",  # int, of the request body
    "bytes_sent",  # int, of the response, head included
    "request_id",
    "user_agent",
    "origin_server",  # the server that answered, or None
    "rule",  # X-DataDome-ruletype of the check's answer, or None
    "decision_id",  # X-DataDome-requestid of a block or a redirect: the number on the visitor's page
)
QUEUE_RECORDS = 16_384  # about 0.8 s at 20,000 requests per second, 10 MiB of usual records
UNCUT_RECORDS = 512  # past so many, long texts are cut when they are queued: 16,384 heads of 64 KiB would be 1 GiB
FLUSH_INTERVAL_S = 0.25
FILE_CHUNK_BYTES = 32_768  # also bounds how long the writer thread holds the interpreter between two writes
TEXT_BYTES = 1_024  # a longer target or user agent is cut: nobody may fill the disk with one request
WRITE_PATIENCE_S = 5.0  # a standard output that takes nothing for so long loses the chunk
CLOSE_PATIENCE_S = 2.0
REPORT_INTERVAL_S = 10.0


class AccessLog:
    """One JSON line per exchange on stdout (`target=None`) or appended to a file.

    Safe to use from one event loop; the writer is a daemon thread of its own. Raises OSError if the file cannot be
    opened at the start. Records past QUEUE_RECORDS and lines that cannot be written are counted in `dropped`.
    """

    def __init__(self, target: Path | None = None, *, flush_interval_s: float = FLUSH_INTERVAL_S) -> None:
        self._target = target
        self._flush_interval_s = flush_interval_s
        self._queue: deque[AccessRecord | bytes] = deque()
        self._dropped_full = 0  # written by the loop alone
        self._dropped_failed = 0  # written by the writer alone
        self._reported = 0
        self._reopen = False
        self._closing = False
        self._torn = False  # the last write ended inside a line
        self._wake = threading.Event()
        self._log = get("access")
        self._errors = RateLimited(self._log, REPORT_INTERVAL_S)
        self._next_report_s = 0.0
        self._fd = self._open()
        self._chunk_bytes = _chunk_bytes(self._fd)
        self._format = _LineFormat()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Records that were lost so far, for whatever reason."""
        return self._dropped_full + self._dropped_failed

    def add(self, record: AccessRecord) -> None:
        """Take one exchange, a tuple as ACCESS_FIELDS has it. Never blocks, never raises."""
        queued = len(self._queue)
        if queued >= UNCUT_RECORDS:
            if queued >= QUEUE_RECORDS:
                self._dropped_full += 1
                return
            # host, target, request_id, user_agent. Written out: 0.2 us, a loop over the indexes takes 0.5.
            if (
                len(record[4] or b"") + len(record[5] or b"") + len(record[15] or b"") + len(record[16] or b"")
                > TEXT_BYTES
            ):
                record = tuple(value[:TEXT_BYTES] if isinstance(value, str | bytes) else value for value in record)
        self._queue.append(record)

    def add_line(self, line: bytes) -> None:
        """Take a line that is ready, with its newline, of at most a few KiB. Never blocks, never raises."""
        if len(self._queue) >= QUEUE_RECORDS:
            self._dropped_full += 1
            return
        self._queue.append(line)

    def reopen(self) -> None:
        """Open the file anew before the next line (log rotation). Records added before may land in either file."""
        self._reopen = True
        self._wake.set()

    def close(self) -> None:
        """Write what is queued, for at most CLOSE_PATIENCE_S, and stop the writer."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_PATIENCE_S)

    # Everything below runs in the writer thread.

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._flush_interval_s)
            self._wake.clear()
            self._turn()
        self._turn()
        self._report(0.0)
        if self._target is not None and self._fd >= 0:
            os.close(self._fd)

    def _turn(self) -> None:
        try:
            if self._reopen:
                self._reopen = False
                self._reopen_file()
            self._write_queued()
        except Exception:  # a defect must not end the thread: the log would be silent from then on
            self._log.exception("access log writer failed")
        now_s = time.monotonic()
        if now_s >= self._next_report_s:
            self._report(now_s)

    def _report(self, now_s: float) -> None:
        dropped = self.dropped
        if dropped > self._reported:
            self._log.warning("access log records dropped", dropped=dropped - self._reported, queue=QUEUE_RECORDS)
            self._reported = dropped
            self._next_report_s = now_s + REPORT_INTERVAL_S

    def _write_queued(self) -> None:
        """Pack the lines of what is queued now into chunks. What is added meanwhile waits for the next turn."""
        lines: list[bytes] = []
        size_bytes = 0
        for _ in range(len(self._queue)):
            line = self._line(self._queue.popleft())
            if lines and size_bytes + len(line) > self._chunk_bytes:
                self._write(lines)
                lines, size_bytes = [], 0
            lines.append(line)
            size_bytes += len(line)
        if lines:
            self._write(lines)

    def _line(self, record: AccessRecord | bytes) -> bytes:
        if isinstance(record, bytes):
            return record
        try:
            return self._format(record)
        except (TypeError, ValueError) as error:  # not a record: a defect of the caller that must cost one line only
            self._dropped_failed += 1
            self._errors.error("format", "access log record without a line", error=str(error)[:200])
            return b""

    def _write(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        if self._torn:
            data = b"\n" + data
        try:
            written = _write_all(self._fd, data)
        except OSError as error:
            self._dropped_failed += len(lines)
            self._errors.error("write", "access log not written", error=error.strerror, target=self._name())
            return
        self._torn = written < len(data) and (written > 0 and data[written - 1] != ord("\n"))
        if written < len(data):
            self._dropped_failed += data.count(b"\n", written)
            self._errors.error("write", "access log takes no data", target=self._name(), waited_s=WRITE_PATIENCE_S)

    def _name(self) -> str:
        return "stdout" if self._target is None else str(self._target)

    def _open(self) -> int:
        if self._target is None:
            return sys.stdout.fileno()
        return os.open(self._target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _reopen_file(self) -> None:
        if self._target is None:
            return
        try:
            fd = self._open()
        except OSError as error:  # better the old file than none
            self._log.error("access log not reopened", error=error.strerror, target=self._name())
            return
        old, self._fd, self._torn = self._fd, fd, False
        os.close(old)


def _chunk_bytes(fd: int) -> int:
    """A regular file takes appended writes of any size whole; anything else gets what POSIX promises for pipes."""
    return FILE_CHUNK_BYTES if stat.S_ISREG(os.fstat(fd).st_mode) else select.PIPE_BUF


def _write_all(fd: int, data: bytes) -> int:
    """Write all of it, waiting while the other end takes nothing, at most WRITE_PATIENCE_S at a time.

    Returns the number of bytes written: fewer than all if patience ran out or the disk is full half-way. Raises
    OSError if nothing at all could be written.
    """
    written = 0
    while written < len(data):
        try:
            written += os.write(fd, data[written:] if written else data)
        except BlockingIOError:
            if not _writable(fd):
                break
        except OSError as error:
            if written and error.errno != errno.EPIPE:
                break
            raise
    return written


def _writable(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    return bool(poller.poll(WRITE_PATIENCE_S * 1000))


class _LineFormat:
    """An access record as a JSON line. The text of the current second is kept: thousands of lines share it."""

    __slots__ = ("_second", "_second_text")

    def __init__(self) -> None:
        self._second = -1
        self._second_text = ""

    def __call__(self, record: AccessRecord) -> bytes:
        (
            time_s, site, client_ip, method, host, target, http_version, status, outcome, reason,
            duration_s, protection_s, origin_s, bytes_received, bytes_sent, request_id, user_agent, origin_server,
            rule, decision_id,
        ) = record  # fmt: skip
        return orjson.dumps(
            {
                "time": self._time(time_s),
                "site": site,
                "client_ip": _text(client_ip),
                "method": _text(method),
                "host": _text(host),
                "target": _path(target),
                "http_version": _text(http_version),
                "status": status,
                "outcome": outcome,
                "reason": reason,
                "duration_ms": _ms(duration_s),
                "protection_ms": _ms(protection_s),
                "origin_ms": _ms(origin_s),
                "bytes_received": bytes_received,
                "bytes_sent": bytes_sent,
                "request_id": _text(request_id),
                "user_agent": _text(user_agent),
                "origin_server": _text(origin_server),
                "rule": _text(rule),
                "decision_id": _text(decision_id),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )

    def _time(self, time_s: float) -> str:
        second = int(time_s)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_text}.{int((time_s - second) * 1000):03d}Z"


def _text(value: str | bytes | None) -> str | None:
    """At most TEXT_BYTES characters, of bytes as UTF-8 or, failing that, Latin-1."""
    if value is None or isinstance(value, str):
        return value and value[:TEXT_BYTES]
    try:
        return value.decode()[:TEXT_BYTES]
    except UnicodeDecodeError:
        return value[:TEXT_BYTES].decode("latin-1")


def _path(target: str | bytes | None) -> str | None:
    if isinstance(target, bytes):
        return _text(target.partition(b"?")[0])
    return target and _text(target.partition("?")[0])


def _ms(duration_s: float | None) -> float | None:
    return None if duration_s is None else round(duration_s * 1000, 3)
