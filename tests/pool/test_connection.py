"""One client connection: whatever the bytes and however they are cut, the user sees one answer or one reason."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.message import ResponseHead
from gateway.pool.connection import NEVER, Connection
from gateway.pool.pool import Pool

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Transport:
    """Of asyncio's transports what a connection uses."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = False
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


@dataclass
class Shelf:
    """Of a pool what a connection uses."""

    max_head_bytes: int = 1000
    max_headers: int = 10
    kept: list[Connection] = field(default_factory=list)
    forgotten: list[Connection] = field(default_factory=list)

    def take_back(self, connection: Connection) -> None:
        self.kept.append(connection)

    def forget(self, connection: Connection) -> None:
        self.forgotten.append(connection)


@dataclass
class Asked:
    """A user that notes what it is told, and releases at the end."""

    heads: list[ResponseHead] = field(default_factory=list)
    interims: list[int] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    broken: str | None = None
    blocked: list[bool] = field(default_factory=list)

    def on_connected(self, connection: Connection) -> None:
        raise AssertionError("there is no pool here")

    def on_connect_failed(self, reason: str) -> None:
        raise AssertionError("there is no pool here")

    def on_answer(self, connection: Connection, head: ResponseHead | None, body: bytes, *, ended: bool) -> None:
        assert not self.ended and self.broken is None
        if head is not None:
            assert not self.heads
            self.heads.append(head)
        self.body += body
        self.ended = ended
        if ended:
            connection.release()

    def on_interim(self, connection: Connection, head: ResponseHead) -> None:
        self.interims.append(head.status)

    def on_broken(self, connection: Connection, reason: str) -> None:
        assert not self.ended and self.broken is None
        assert not connection.is_usable
        self.broken = reason

    def on_blocked(self, *, blocked: bool) -> None:
        self.blocked.append(blocked)

    def on_overdue(self, connection: Connection) -> None:
        raise AssertionError("nobody sweeps here")

    @property
    def seen(self) -> tuple[Any, ...]:
        return [(head.status, head.headers) for head in self.heads], self.interims, self.body, self.ended, self.broken


@dataclass
class Bench:
    connection: Connection
    transport: Transport
    shelf: Shelf
    user: Asked

    def receive(self, *pieces: bytes) -> Bench:
        for piece in pieces:
            if not self.transport.closing:
                self.connection.data_received(piece)
        return self

    def lose(self, error: Exception | None = None) -> Bench:
        self.transport.closing = True
        self.connection.connection_lost(error)
        return self

    @property
    def fate(self) -> str:
        """What became of the connection."""
        if self.shelf.kept and not self.transport.closing:
            assert not self.shelf.forgotten
            return "kept"
        return "closed" if self.shelf.forgotten == [self.connection] and self.transport.closing else "open"


def asked(*, to_head: bool = False, max_head_bytes: int = 1000, max_headers: int = 10) -> Bench:
    """A connection on which a request has just been sent."""
    shelf, transport, user = Shelf(max_head_bytes, max_headers), Transport(), Asked()
    connection = Connection(cast(Pool, shelf))
    connection.connection_made(cast(asyncio.BaseTransport, transport))
    connection.send(b"request", user, to_head=to_head)
    assert transport.written == b"request"
    return Bench(connection, transport, shelf, user)


# ---- answers ----

WHOLE = [
    (OK, b"hello", "kept"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", "kept"),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-T: 1\r\n\r\n",
        b"hello",
        "kept",
    ),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b"", "kept"),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", "kept"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", b"hello", "closed"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", "closed"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", b"hello", "kept"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK, b"hello", "kept"),
]


@pytest.mark.parametrize(("raw", "body", "fate"), WHOLE)
def test_answer_in_one_piece_is_whole_and_decides_about_its_connection(raw: bytes, body: bytes, fate: str) -> None:
    bench = asked().receive(raw)
    assert (bench.user.body, bench.user.ended, bench.user.broken, bench.fate) == (body, True, None, fate)


@settings(deadline=None)
@given(st.data())
def test_answer_cut_anywhere_gives_the_same_events(data: st.DataObject) -> None:
    raw, _, fate = data.draw(st.sampled_from(WHOLE))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=8)))
    bench = asked().receive(*[raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)])
    assert bench.user.seen == asked().receive(raw).user.seen
    assert bench.fate == fate


def test_answer_that_arrives_together_is_handed_over_together() -> None:
    calls: list[tuple[bool, bytes, bool]] = []

    class Counting(Asked):
        def on_answer(self, connection: Connection, head: ResponseHead | None, body: bytes, *, ended: bool) -> None:
            calls.append((head is not None, body, ended))

    bench = asked()
    bench.connection.send(b"", Counting(), to_head=False)
    bench.receive(OK)
    assert calls == [(True, b"hello", True)]


def test_answer_to_head_has_no_body_whatever_it_says() -> None:
    bench = asked(to_head=True).receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert (bench.user.body, bench.user.ended, bench.fate) == (b"", True, "kept")
    bench = asked(to_head=True).receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (bench.user.body, bench.user.ended, bench.fate) == (b"", True, "kept")


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\n"])
def test_body_where_none_may_be_is_stripped_and_costs_the_connection(head: bytes) -> None:
    bench = asked().receive(head + b"body")
    assert (bench.user.body, bench.user.ended, bench.fate) == (b"", True, "closed")


def test_answer_without_length_ends_with_the_connection() -> None:
    bench = asked().receive(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
    assert (bench.user.body, bench.user.ended) == (b"hello", False)
    bench.lose()
    assert (bench.user.ended, bench.user.broken, bench.fate) == (True, None, "closed")


def test_interim_heads_are_told_and_never_taken_for_the_answer() -> None:
    bench = asked().receive(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert (bench.user.interims, bench.user.heads, bench.fate) == ([100], [], "open")
    bench.receive(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", OK)
    assert (bench.user.interims, bench.user.body) == ([100, 103], b"hello")


# ---- what costs the connection ----


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"x",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nx",
    ],
)
def test_bytes_behind_the_answer_cost_the_connection_and_not_the_answer(raw: bytes) -> None:
    bench = asked().receive(raw)
    assert (bench.user.body, bench.user.ended, bench.fate) == (b"hello", True, "closed")


def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    bench = asked().receive(OK)
    assert bench.fate == "kept"
    bench.shelf.kept.clear()
    bench.receive(b"HTTP/1.1 200 OK\r\n\r\n")
    assert (bench.fate, bench.user.body) == ("closed", b"hello")


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 199 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
    ],
)
def test_answer_that_cannot_be_trusted_is_a_protocol_failure(raw: bytes) -> None:
    bench = asked().receive(raw)
    assert (bench.user.ended, bench.user.broken, bench.fate) == (False, "protocol", "closed")


def test_answer_with_too_large_a_head_is_oversized() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + b"x" * 100 + b"\r\n\r\n"
    assert asked(max_head_bytes=len(head)).receive(head).fate == "kept"
    for pieces in ([head], [head[:-1], head[-1:]]):
        bench = asked(max_head_bytes=len(head) - 1).receive(*pieces)
        assert (bench.user.broken, bench.fate) == ("oversized", "closed")
    endless = asked(max_head_bytes=100).receive(b"HTTP/1.1 200 OK\r\n", *[b"X: 1\r\n"] * 50)
    assert endless.user.broken == "oversized"


def test_answer_with_too_many_headers_is_oversized() -> None:
    lines = b"X: 1\r\n" * 10
    assert asked().receive(b"HTTP/1.1 204 No\r\n" + lines + b"\r\n").user.ended
    assert asked().receive(b"HTTP/1.1 204 No\r\nY: 1\r\n" + lines + b"\r\n").user.broken == "oversized"


def test_answer_with_endless_chunk_overhead_is_a_protocol_failure() -> None:
    bench = asked().receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    bench.receive(*[b"5;" + b"x" * 200, *[b"x" * 200] * 10])
    assert (bench.user.broken, bench.fate) == ("protocol", "closed")


@pytest.mark.parametrize(
    ("received", "error"),
    [
        (b"", None),
        (b"HTTP/1.1 200", None),
        (b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", None),
        (b"HTTP/1.1 200 OK\r\n\r\nhel", ConnectionResetError()),
    ],
)
def test_answer_that_breaks_off_is_a_reset(received: bytes, error: Exception | None) -> None:
    bench = asked()
    if received:
        bench.receive(received)
    bench.lose(error)
    assert (bench.user.ended, bench.user.broken, bench.fate) == (False, "reset", "closed")
    assert bench.connection.received is bool(received)


def test_connection_lost_while_idle_is_forgotten() -> None:
    bench = asked().receive(OK)
    bench.shelf.kept.clear()
    assert (bench.lose().fate, bench.user.broken) == ("closed", None)


# ---- use and reuse ----


def test_connection_serves_one_request_after_the_other() -> None:
    bench = asked()
    for count in range(1, 4):
        bench.receive(OK)
        assert (bench.connection.use_count, bench.user.body, bench.fate) == (count, b"hello", "kept")
        bench.user = Asked()
        bench.connection.send(b"next", bench.user, to_head=False)
        assert bench.connection.received is False


def test_connection_discarded_tells_nobody_and_aborts_once() -> None:
    bench = asked()
    bench.connection.discard()
    bench.connection.discard()
    bench.lose()
    assert (bench.fate, bench.user.broken) == ("closed", None)


def test_connection_released_before_the_end_is_closed() -> None:
    bench = asked().receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    bench.connection.release()
    assert bench.fate == "closed"


def test_release_resumes_reading_and_clears_the_deadline() -> None:
    bench = asked()
    bench.connection.pause_reading()
    bench.connection.pause_reading()
    bench.connection.deadline_s = 5.0
    assert bench.transport.reading is False
    bench.receive(OK)
    assert (bench.transport.reading, bench.connection.deadline_s) == (True, NEVER)


def test_backpressure_is_told_to_the_user() -> None:
    bench = asked()
    bench.connection.pause_writing()
    assert bench.connection.write_blocked is True
    bench.connection.resume_writing()
    assert (bench.user.blocked, bench.connection.write_blocked) == ([True, False], False)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 100 C\r\n",
                b"\r\n",
                b"Content-Length: 5\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"5\r\nhello\r\n",
                b"0\r\n\r\n",
                b"hello",
                b"Connection: close\r\n",
                b"X",
                b"\x00",
                b"\n",
            ]
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_connection_arbitrary_bytes_end_in_one_answer_or_one_reason(pieces: list[bytes], to_head: bool) -> None:
    bench = asked(to_head=to_head).receive(*pieces)
    if bench.fate == "open":
        bench.lose()
    assert bench.user.ended is (bench.user.broken is None)
    assert bench.user.broken in (None, "reset", "protocol", "oversized")


def test_interim_heads_without_end_are_broken_off_without_recursion() -> None:
    bench = asked(max_head_bytes=1_000_000).receive(b"HTTP/1.1 102 Processing\r\n\r\n" * 5000)
    assert (bench.user.broken, bench.fate) == ("protocol", "closed")
