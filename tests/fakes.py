"""Scripted peers for tests: an origin, a Protection API and a client that speak literal bytes.

Theory of operation. A `ScriptedServer` reads requests with the small strict parser of this file (not the one that the
gateway uses), records each byte for byte, and plays a *script* for it: a list of steps, in order.

    bytes            write them as they are
    asyncio.Event    wait until the test sets it
    Step.EARLY       (first only) start at the end of the request head; otherwise a script starts after the whole body
    Step.BODY        read the rest of the request body now
    Step.HALF_CLOSE  send FIN, keep reading
    Step.CLOSE       close both directions
    Step.RESET       close with RST
    Step.STALL       answer nothing more until the peer goes away

A script that is bytes alone means [bytes]. Scripts come from `server.scripts` (a queue, first come first served), then
from `server.default`; either may hold a function of the recorded request instead.

Whatever a peer sends that breaks HTTP/1.1 (bare CR or LF, two Content-Length, Content-Length with Transfer-Encoding,
not exactly one Host) lands in `server.violations`; the fixture that owns the server asserts that it is empty (I5).

Nothing here sleeps for a fixed time. Every wait is for an event and fails the test after PATIENCE_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import re
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

PATIENCE_S = 5.0
"""No event of these tests takes this long, so waiting longer is a failure and not a slow machine."""

READ_LIMIT_BYTES = 256 * 1024
"""Unread input that a fake holds before it stops reading from its socket: more than any legal head."""

_started: set[ScriptedServer] = set()
"""Every listening fake of this process: a loop of uvloop cannot be closed while a server of it listens."""

T = TypeVar("T")
Fields = Sequence[tuple[bytes, bytes]]


# ---- waiting ---------------------------------------------------------------------------------------------------------


async def within(awaitable: Awaitable[T], what: str) -> T:
    """`awaitable`, or an AssertionError that names `what` after PATIENCE_S."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await awaitable
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE_S} s in vain for {what}") from None


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Returns as soon as `condition()` is true: for state that nobody signals, such as a counter of the gateway."""

    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 - the state belongs to the gateway, which has no event for it
            await asyncio.sleep(0.001)

    await within(poll(), what)


# ---- messages --------------------------------------------------------------------------------------------------------


class WireError(AssertionError):
    """Bytes that are not HTTP/1.1 as RFC 9112 writes it."""


class TruncatedError(WireError):
    """The connection ended inside a message. `head` is None without a whole one; `body` is what had come."""

    def __init__(self, head: Head | None, body: bytes) -> None:
        super().__init__(f"the connection ended inside a message: {head and head.start!r}, {len(body)} body bytes")
        self.head = head
        self.body = body


_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[^\x00-\x08\x0a-\x1f\x7f])*?)[ \t]*")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\x00-\x20\x7f]+) HTTP/1\.[01]")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9]) ([^\x00-\x08\x0a-\x1f\x7f]*)")


@dataclass(frozen=True, slots=True)
class Head:
    """A message head: `raw` with its empty line, `start` line, `fields` as (name as sent, value) in order."""

    raw: bytes
    start: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    def values(self, name: bytes) -> list[bytes]:
        """Every value of `name`, compared without case, in order."""
        wanted = name.lower()
        return [value for found, value in self.fields if found.lower() == wanted]

    def value(self, name: bytes) -> bytes | None:
        """The one value of `name`, None without any; more than one fails the test."""
        values = self.values(name)
        assert len(values) <= 1, f"{name!r} stands {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def lowered(self) -> list[tuple[bytes, bytes]]:
        """The fields with their names in lower case, in order."""
        return [(name.lower(), value) for name, value in self.fields]


def parse_head(raw: bytes, start_line: re.Pattern[bytes]) -> Head:
    """Strict: CRLF alone ends a line, a name is a token, a value has no control character; anything else: WireError."""
    assert raw.endswith(b"\r\n\r\n")
    start, *lines = raw[:-4].split(b"\r\n")
    if not start_line.fullmatch(start):
        raise WireError(f"not a start line: {start[:100]!r}")
    fields = []
    for line in lines:
        match = _FIELD_LINE.fullmatch(line)
        if not match:
            raise WireError(f"not a header line: {line[:100]!r}")
        fields.append((match[1], match[2]))
    return Head(raw, start, tuple(fields))


def check_framing(head: Head) -> None:
    """RFC 9112 6: at most one Content-Length of digits, never beside Transfer-Encoding, which is exactly `chunked`."""
    lengths, encodings = head.values(b"content-length"), head.values(b"transfer-encoding")
    if len(lengths) > 1 or len(encodings) > 1 or (lengths and encodings):
        raise WireError(f"doubtful framing: Content-Length {lengths}, Transfer-Encoding {encodings}")
    if lengths and not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise WireError(f"not a Content-Length: {lengths[0]!r}")
    if encodings and encodings[0] != b"chunked":
        raise WireError(f"not a canonical Transfer-Encoding: {encodings[0]!r}")


@dataclass(slots=True)
class BodyRead:
    """A body being read: `raw` as on the wire, `decoded` without chunk framing, `trailers` as raw lines."""

    raw: bytearray = field(default_factory=bytearray)
    decoded: bytearray = field(default_factory=bytearray)
    trailers: list[bytes] = field(default_factory=list)


async def read_counted(reader: asyncio.StreamReader, length_bytes: int, body: BodyRead) -> None:
    """Exactly `length_bytes` into `body`; IncompleteReadError if the peer ends first (what came is in `body`)."""
    left = length_bytes
    while left:
        piece = await reader.read(min(left, 65536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        body.raw += piece
        body.decoded += piece


async def read_chunked(reader: asyncio.StreamReader, body: BodyRead) -> None:
    """A chunked body with its trailers into `body`; chunk extensions are a WireError, no peer of ours needs them."""
    while True:
        line = await reader.readuntil(b"\r\n")
        body.raw += line
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}\r\n", line):
            raise WireError(f"not a chunk size: {line[:100]!r}")
        if size := int(line, 16):
            counted = BodyRead()
            try:
                await read_counted(reader, size, counted)
            finally:
                body.raw += counted.raw
                body.decoded += counted.decoded
            end = await reader.readexactly(2)
            body.raw += end
            if end != b"\r\n":
                raise WireError(f"a chunk ends with {end!r}")
            continue
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            body.raw += line
            body.trailers.append(line[:-2])
        body.raw += line
        return


async def read_framed(reader: asyncio.StreamReader, head: Head, body: BodyRead) -> bool:
    """The body that the head's framing announces; False (and nothing read) if the head announces none."""
    if head.values(b"transfer-encoding"):
        await read_chunked(reader, body)
    elif lengths := head.values(b"content-length"):
        await read_counted(reader, int(lengths[0]), body)
    else:
        return False
    return True


# ---- servers ---------------------------------------------------------------------------------------------------------


class Step(enum.Enum):
    """What a script can do besides writing and waiting; the module's docstring has the table."""

    EARLY = enum.auto()
    BODY = enum.auto()
    HALF_CLOSE = enum.auto()
    CLOSE = enum.auto()
    RESET = enum.auto()
    STALL = enum.auto()


Script = bytes | Sequence["bytes | asyncio.Event | Step"]
ScriptSource = Script | Callable[["Request"], Script]


@dataclass(slots=True)
class Request:
    """One recorded request: `number` and `connection` count from 1; `complete` once the whole body was read."""

    number: int
    connection: int
    head: Head
    body_read: BodyRead = field(default_factory=BodyRead)
    complete: bool = False

    @property
    def line(self) -> bytes:
        return self.head.start

    @property
    def method(self) -> bytes:
        return self.head.start.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.head.start.split(b" ")[1]

    @property
    def body(self) -> bytes:
        """Decoded; `body_read.raw` has the wire's bytes."""
        return bytes(self.body_read.decoded)

    @property
    def payload(self) -> dict[str, Any]:
        """The body as an object: of a check, the fields of the contract (form values stay strings)."""
        kind = self.head.value(b"content-type")
        if kind == b"application/json":
            payload = json.loads(self.body)
            assert isinstance(payload, dict)
            return payload
        assert kind == b"application/x-www-form-urlencoded", f"a payload of type {kind!r}"
        pairs = parse_qsl(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs), f"a field stands twice: {pairs}"
        return dict(pairs)


@dataclass(slots=True)
class Connection:
    """One accepted connection. `ended` is None while open, then `eof`, `reset` (by the peer) or `ours`."""

    number: int
    writer: asyncio.StreamWriter
    task: asyncio.Task[None]
    ended: str | None = None
    junk: bytes = b""


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST: SO_LINGER of 0 seconds."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class ScriptedServer:
    """See the module's docstring. `journal` may be shared between servers: (name, what, number) in order of events."""

    name = "server"
    default: ScriptSource = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def __init__(self, *, tls: ssl.SSLContext | None = None, unix: str | None = None) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        self.violations: list[str] = []
        self.scripts: deque[ScriptSource] = deque()
        self.journal: list[tuple[str, str, int]] = []
        self._tls = tls
        self._unix = unix
        self._server: asyncio.Server | None = None
        self._reserved: socket.socket | None = None

    # -- life

    async def start(self) -> None:
        """Listens on the unix path or on 127.0.0.1, on the port of the last time if there was one."""
        _started.add(self)
        if self._unix:
            self._server = await asyncio.start_unix_server(self._serve, self._unix, limit=READ_LIMIT_BYTES)
            return
        listener, self._reserved = self._reserved, None
        if listener is None:
            listener = socket.create_server(("127.0.0.1", self.port))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(
            self._serve, sock=listener, limit=READ_LIMIT_BYTES, ssl=self._tls, backlog=512
        )

    def reserve(self) -> None:
        """Takes a port that refuses until `start`: bound, so that nobody else gets it, and not listening."""
        self._reserved = socket.socket()
        self._reserved.bind(("127.0.0.1", 0))
        self.port = self._reserved.getsockname()[1]

    async def stop(self) -> None:
        """Refuses new connections and resets the open ones; again is harmless."""
        _started.discard(self)
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop_connections()

    async def drop_connections(self) -> None:
        """Resets every open connection; returns when all have ended."""
        for connection in self.connections:
            if connection.ended is None:
                connection.ended = "ours"
                reset(connection.writer)
                connection.task.cancel()
        await asyncio.gather(*(connection.task for connection in self.connections), return_exceptions=True)

    def close_idle(self) -> None:
        """FIN on every open connection, as a server does whose keep-alive time is over."""
        for connection in self.connections:
            if connection.ended is None:
                connection.ended = "ours"
                connection.writer.close()

    # -- what was seen

    @property
    def open_connections(self) -> int:
        return sum(connection.ended is None for connection in self.connections)

    async def received(self, count: int) -> Request:
        """Waits for the head of request number `count` (from 1)."""
        await eventually(lambda: len(self.requests) >= count, f"request {count} at the {self.name}")
        return self.requests[count - 1]

    async def completed(self, count: int) -> Request:
        """Waits for the whole of request number `count` (from 1)."""
        request = await self.received(count)
        await eventually(lambda: request.complete, f"the whole of request {count} at the {self.name}")
        return request

    async def lost(self, number: int) -> Connection:
        """Waits until the peer has ended connection `number` (from 1)."""
        await eventually(lambda: len(self.connections) >= number, f"connection {number} at the {self.name}")
        connection = self.connections[number - 1]
        await eventually(lambda: connection.ended, f"the end of connection {number} at the {self.name}")
        return connection

    # -- serving

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = Connection(len(self.connections) + 1, writer, task)
        self.connections.append(connection)
        self.journal.append((self.name, "connected", connection.number))
        ended = "eof"
        try:
            while (request := await self._read_head(reader, connection)) is not None:
                if not await self._play(request, reader, writer, connection):
                    ended = "ours"
                    break
        except asyncio.IncompleteReadError:
            pass  # the peer went away inside a message: `complete` stays False and `ended` says eof
        except (ConnectionError, asyncio.CancelledError):
            ended = "reset"
        except (WireError, asyncio.LimitOverrunError) as error:
            self.violations.append(f"{self.name} connection {connection.number}: {error}")
        finally:
            connection.ended = connection.ended or ended
            self.journal.append((self.name, "ended", connection.number))
            writer.close()

    async def _read_head(self, reader: asyncio.StreamReader, connection: Connection) -> Request | None:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            connection.junk = bytes(error.partial)
            return None
        head = parse_head(raw, _REQUEST_LINE)
        check_framing(head)
        if len(head.values(b"host")) != 1:
            raise WireError(f"{len(head.values(b'host'))} Host headers in {raw[:200]!r}")
        request = Request(len(self.requests) + 1, connection.number, head)
        self.requests.append(request)
        self.journal.append((self.name, "received", request.number))
        return request

    async def _read_body(self, request: Request, reader: asyncio.StreamReader) -> None:
        if not request.complete:
            await read_framed(reader, request.head, request.body_read)
            request.complete = True

    async def _play(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection
    ) -> bool:
        """Plays the script of `request`; False when the script has ended the connection."""
        source = self.scripts.popleft() if self.scripts else self.default
        if callable(source):
            await self._read_body(request, reader)
            source = source(request)
        script = [source] if isinstance(source, bytes) else list(source)
        if not script or script[0] is not Step.EARLY:
            await self._read_body(request, reader)
        self.journal.append((self.name, "answers", request.number))
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif step is Step.BODY:
                await self._read_body(request, reader)
            elif step is Step.HALF_CLOSE:
                writer.write_eof()
            elif step is Step.STALL:
                connection.junk = await reader.read()
                return True
            elif step is Step.RESET:
                reset(writer)
                return False
            elif step is Step.CLOSE:
                return False
        await self._read_body(request, reader)
        return True


async def stop_servers() -> None:
    """Stops every fake that a failed test has left behind."""
    for server in list(_started):
        await server.stop()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

ADDED_BY_GATEWAY = frozenset(
    (
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-real-ip",
        b"x-request-id",
        b"via",
    )
)


class RecordingOrigin(ScriptedServer):
    """The application that is protected."""

    name = "origin"
    default: ScriptSource = OK

    def relayed(self, number: int = 1) -> list[tuple[bytes, bytes]]:
        """Header lines of request `number` that are not the gateway's own, names lowered, in order."""
        return [pair for pair in self.requests[number - 1].head.lowered if pair[0] not in ADDED_BY_GATEWAY]

    def added(self, number: int = 1) -> dict[bytes, bytes]:
        """The forwarding headers of request `number`, names lowered; one that stands twice fails the test."""
        pairs = [pair for pair in self.requests[number - 1].head.lowered if pair[0] in ADDED_BY_GATEWAY]
        assert len(dict(pairs)) == len(pairs), f"a forwarding header stands twice: {pairs}"
        return dict(pairs)


class RecordingProtection(ScriptedServer):
    """The Protection API; `requests` are the checks, `requests[i].payload` their fields."""

    name = "protection"

    def __init__(self, *, tls: ssl.SSLContext | None = None, unix: str | None = None) -> None:
        super().__init__(tls=tls, unix=unix)
        self.default = decision(200)

    def payload(self, number: int = 1) -> dict[str, Any]:
        return self.requests[number - 1].payload


def decision(
    status: int,
    *,
    to_request: Fields = (),
    to_response: Fields = (),
    unlisted: Fields = (),
    body: bytes = b"",
    marker: bytes | None = b"",
) -> bytes:
    """An answer of the Protection API with both pointer headers.

    `marker` is the X-DataDomeResponse value: b"" = the status itself, None = no such header.
    """
    lines = [b"HTTP/1.1 %d Decision" % status, b"Content-Length: %d" % len(body)]
    if marker is not None:
        lines.append(b"X-DataDomeResponse: " + (marker or b"%d" % status))
    for pointer, fields in ((b"X-DataDome-request-headers", to_request), (b"X-DataDome-headers", to_response)):
        if fields:
            lines.append(pointer + b": " + b" ".join(dict.fromkeys(name for name, _ in fields)))
    lines += [name + b": " + value for name, value in (*to_request, *to_response, *unlisted)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class BlackHole:
    """An address that neither accepts nor refuses: a listener whose backlog is full, so that Linux drops each SYN."""

    def __enter__(self) -> BlackHole:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)
        return self

    def __exit__(self, *_: object) -> None:
        for held in (*self._fillers, self._listener):
            held.close()


# ---- client ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Response:
    """One response: `interim` are the 1xx heads before it; `until_close` when the end of the connection ended it."""

    head: Head
    body: bytes
    raw_body: bytes
    interim: tuple[Head, ...]
    until_close: bool

    @property
    def status(self) -> int:
        return int(self.head.start.split(b" ")[1])

    def values(self, name: bytes) -> list[bytes]:
        return self.head.values(name)

    def value(self, name: bytes) -> bytes | None:
        return self.head.value(name)


class _KeepingReader(asyncio.StreamReader):
    """A reset ends the stream and does not hide what was received before it, as StreamReader's own would."""

    was_reset = False

    def set_exception(self, exc: BaseException) -> None:
        self.was_reset = True
        self.feed_eof()


class Client:
    """A downstream on one raw connection; as an async context manager it closes at the end."""

    def __init__(self, reader: _KeepingReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(
        cls, port: int, *, tls: ssl.SSLContext | None = None, source: str = "127.0.0.1", receive_buffer_bytes: int = 0
    ) -> Client:
        """A connection to 127.0.0.1:`port` from the loopback address `source`."""
        raw = socket.socket()
        raw.setblocking(False)
        if receive_buffer_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        raw.bind((source, 0))
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(raw, ("127.0.0.1", port))
        except OSError:
            raw.close()
            raise
        reader = _KeepingReader(limit=READ_LIMIT_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        opening = loop.create_connection(
            lambda: protocol, sock=raw, ssl=tls, server_hostname="localhost" if tls else None
        )
        transport, _ = await within(opening, "a connection")
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    @classmethod
    async def connect_unix(cls, path: str) -> Client:
        """A connection to a unix socket."""
        loop = asyncio.get_running_loop()
        reader = _KeepingReader(limit=READ_LIMIT_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await within(loop.create_unix_connection(lambda: protocol, path), "a connection")
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """Our own port: the gateway knows this connection by it."""
        return int(self._writer.get_extra_info("sockname")[1])

    @property
    def was_reset(self) -> bool:
        """Whether the gateway ended this connection with RST."""
        return self._reader.was_reset

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._writer.transport.get_write_buffer_size()

    def send(self, data: bytes) -> None:
        """Hands `data` to the transport and does not wait for it to leave; lost if the gateway has closed."""
        if not self._writer.is_closing():
            self._writer.write(data)

    async def drain(self) -> None:
        await within(self._writer.drain(), "the gateway to read")

    async def send_pieces(self, pieces: Iterable[bytes]) -> None:
        """Each piece alone, with turns of the event loop in between, so that each arrives as a read of its own."""
        for piece in pieces:
            self.send(piece)
            for _ in range(3):
                await asyncio.sleep(0)

    async def read_response(self, method: bytes = b"GET") -> Response:
        """Exactly one final response; TruncatedError if the connection ends inside it, 101 counts as final."""
        return await within(self._read_response(method), "a response")

    async def _read_response(self, method: bytes) -> Response:
        interim: list[Head] = []
        while True:
            head = await self.read_head()
            status = int(head.start.split(b" ")[1])
            if status >= 200 or status == 101:
                break
            interim.append(head)
        check_framing(head)
        body, until_close = BodyRead(), False
        try:
            if not (method == b"HEAD" or status in (101, 204, 304)) and not await read_framed(self._reader, head, body):
                body.raw += await self._reader.read()
                body.decoded += body.raw
                until_close = True
            if until_close and self.was_reset:
                raise TruncatedError(head, bytes(body.decoded))
        except asyncio.IncompleteReadError:
            raise TruncatedError(head, bytes(body.decoded)) from None
        return Response(head, bytes(body.decoded), bytes(body.raw), tuple(interim), until_close)

    async def read_head(self) -> Head:
        """The next response head, 1xx ones too."""
        try:
            raw = await within(self._reader.readuntil(b"\r\n\r\n"), "a response head")
        except asyncio.IncompleteReadError as error:
            raise TruncatedError(None, bytes(error.partial)) from None
        return parse_head(raw, _STATUS_LINE)

    async def read_exactly(self, length_bytes: int) -> bytes:
        return await within(self._reader.readexactly(length_bytes), f"{length_bytes} bytes")

    async def read_to_end(self) -> bytes:
        """Everything until the gateway closes; a reset counts as the end."""

        async def read() -> bytes:
            received = bytearray()
            while piece := await self._reader.read(65536):
                received += piece
            return bytes(received)

        return await within(read(), "the gateway to close the connection")

    def pause(self) -> None:
        """Reads no more from the socket until `resume`."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    def half_close(self) -> None:
        """FIN: nothing more to send, still reading."""
        self._writer.write_eof()

    def reset(self) -> None:
        reset(self._writer)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await within(self._writer.wait_closed(), "our own close")
