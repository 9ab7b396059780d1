"""The engine's HTTP side on real sockets, spoken to in raw bytes."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
import trustme
import uvloop
from engine.browser_requests import BROWSER_REQUESTS
from engine.service.responding import PAGE, Failing, FailingLater, Responding, Splitting, Waiting
from fakes import eventually, reset, within
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.service.connection import CallConnection
from gateway.engine.service.limits import Limits
from gateway.engine.service.listener import bind, tls_context
from gateway.engine.service.route import OperatorRequest
from gateway.engine.service.server import ApiServer

PATIENCE_S = 5.0
BROWSER = orjson.dumps(BROWSER_REQUESTS["chrome navigates"])
SCRIPT = orjson.dumps({**BROWSER_REQUESTS["chrome navigates"], "UserAgent": "curl/8.9.1"})
JSON = "Content-Type: application/json\r\n"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    running = ApiServer(Responding())
    await running.listen(bind(f"unix:{tmp_path}/engine.sock"))
    yield running
    await running.drain(0.01)


@dataclass
class Wire:
    """A client connection; everything waits PATIENCE_S at most."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next response: status, headers with names in lower case, body by its Content-Length."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status_line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(status_line.split()[1]), headers, body

    async def end(self) -> bytes:
        """What still comes before the other side closes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()

    def close(self) -> None:
        self.writer.transport.abort()


@pytest.fixture
async def connect(server: ApiServer, tmp_path: Path) -> AsyncIterator[Callable[[], object]]:
    opened: list[Wire] = []

    async def open_one() -> Wire:
        opened.append(Wire(*await asyncio.open_unix_connection(str(tmp_path / "engine.sock"))))
        return opened[-1]

    yield open_one
    for wire in opened:
        wire.close()


def call(body: bytes = BROWSER, headers: str = JSON, target: str = "/validate-request", method: str = "POST") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: e\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def test_calls_on_one_connection_are_answered_in_turn(connect) -> None:
    wire = await connect()

    for body, expected in ((BROWSER, 200), (SCRIPT, 403), (BROWSER, 200)):
        await wire.send(call(body))
        status, headers, _ = await wire.answer()
        assert (status, headers["x-datadomeresponse"]) == (expected, str(expected))
        assert headers["server"] == "protection-gateway"


async def test_pipelined_calls_are_answered_in_order(connect) -> None:
    wire = await connect()

    await wire.send(call(BROWSER) + call(SCRIPT) + call(b"{"))

    assert [(await wire.answer())[0] for _ in range(3)] == [200, 403, 400]


async def test_form_call_and_prefix_and_query_are_served(connect) -> None:
    wire = await connect()

    await wire.send(
        call(
            b"Key=key&UserAgent=okhttp%2F4",
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "/v/validate-request?",
        )
    )

    status, headers, body = await wire.answer()
    assert (status, body, headers["content-length"]) == (200, b"", "0")


async def test_block_has_body_and_pointer_headers(connect) -> None:
    wire = await connect()

    await wire.send(call(SCRIPT, JSON + "X-DataDome-X-Set-Cookie: TRUE\r\n"))

    status, headers, body = await wire.answer()
    assert (status, headers["content-type"], body) == (403, "text/html", PAGE)
    assert headers["x-set-cookie"].startswith("datadome=")
    assert headers["date"].endswith(" GMT")


@pytest.mark.parametrize(
    ("request_bytes", "status", "body"),
    [
        (call(target="/"), 404, b"nothing is served here; calls go to /validate-request"),
        (call(target="/validate-request/x"), 404, b"nothing is served here; calls go to /validate-request"),
        (call(b"", method="GET"), 405, b"calls to /validate-request are POST"),
        (call(b'{"Key":"other"}'), 400, b"the Key field is no accepted key"),
        (call(b"{}"), 400, b"the Key field is no accepted key"),
        (call(b"[]"), 400, b"the body is a JSON array, expected an object"),
        (call(b"", "Content-Type: text/plain\r\n"), 415, None),
        (call(b"{}", ""), 415, None),
        (
            call(b"{}", JSON + "Content-Encoding: gzip\r\n"),
            415,
            b"the body is encoded as 'gzip', only identity is read",
        ),
    ],
)
async def test_what_is_no_call_is_refused_and_the_connection_goes_on(connect, request_bytes, status, body) -> None:
    wire = await connect()

    await wire.send(request_bytes)
    got, headers, text = await wire.answer()

    assert got == status
    assert body is None or text == body
    assert headers.get("allow") == ("POST" if status == 405 else None)
    await wire.send(call())
    assert (await wire.answer())[0] == 200


def padded(size: int) -> bytes:
    return BROWSER + b" " * (size - len(BROWSER))


async def test_body_of_exactly_the_limit_is_judged_one_more_byte_is_413(connect) -> None:
    wire = await connect()

    await wire.send(call(padded(24_576)))
    assert (await wire.answer())[0] == 200
    await wire.send(call(padded(24_577)))
    assert (await wire.answer())[0] == 413


def chunked(*chunks: bytes) -> bytes:
    head = f"POST /validate-request HTTP/1.1\r\nHost: e\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


async def test_chunked_body_up_to_the_limit_is_judged_over_it_is_413(connect) -> None:
    wire = await connect()

    await wire.send(chunked(padded(24_576)))
    assert (await wire.answer())[0] == 200
    await wire.send(chunked(BROWSER, b" " * 30_000))
    assert (await wire.answer())[0] == 413


async def test_declared_huge_body_is_refused_before_it_comes(connect) -> None:
    wire = await connect()

    await wire.send(b"POST /validate-request HTTP/1.1\r\nHost: e\r\nContent-Length: 999999999999\r\n\r\n")

    assert (await wire.answer())[0] == 413


async def test_expect_100_continue_is_answered_before_the_body(connect) -> None:
    wire = await connect()
    head, body = call(headers=JSON + "Expect: 100-continue\r\n").split(b"\r\n\r\n", 1)

    await wire.send(head + b"\r\n\r\n")
    assert await wire.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await wire.send(body)

    assert (await wire.answer())[0] == 200


async def test_body_in_pieces_is_put_together(connect) -> None:
    wire = await connect()
    data = call()

    for start in range(0, len(data), 97):
        await wire.send(data[start : start + 97])

    assert (await wire.answer())[0] == 200


@pytest.mark.parametrize("data", [b"\x00\x01\x02\r\n\r\n", b"POST /validate-request HTTP/1.1\r\nBad Header: x\r\n\r\n"])
async def test_malformed_http_is_400_and_closed(connect, data: bytes) -> None:
    wire = await connect()

    await wire.send(data)

    assert (await wire.end()).startswith(b"HTTP/1.1 400 ")


async def test_broken_chunk_is_400(connect) -> None:
    wire = await connect()

    await wire.send(chunked(BROWSER)[: -len(b"0\r\n\r\n")])
    await wire.send(b"not hex\r\n")

    assert (await wire.end()).split(b" ")[1] == b"400"


async def test_late_body_is_408_and_closed(connect, server: ApiServer) -> None:
    server.limits = replace(server.limits, body_s=0.01)
    wire = await connect()

    await wire.send(call()[:-1])

    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert await wire.end() == b""


async def test_head_that_trickles_is_408_and_closed(connect, server: ApiServer) -> None:
    server.limits = replace(server.limits, head_s=0.01)
    wire = await connect()

    await wire.send(b"POST /validate-request HTTP/1.1\r\nHost:")

    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert await wire.end() == b""


async def test_silent_connection_is_closed_without_a_word(connect, server: ApiServer) -> None:
    server.limits = replace(server.limits, keep_alive_s=0.01)
    wire = await connect()

    assert await wire.end() == b""


async def test_client_that_does_not_read_is_cut_off(connect, server: ApiServer) -> None:
    server.limits = replace(server.limits, write_s=0.01)
    wire = await connect()
    wire.reader._limit = 1  # stop reading from the socket after the first answer

    with pytest.raises(ConnectionError):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await wire.send(call(SCRIPT) * 20)


async def test_client_that_leaves_during_the_body_changes_nothing(connect) -> None:
    leaving, staying = await connect(), await connect()

    await leaving.send(call()[:-10])
    leaving.close()
    await staying.send(call())

    assert (await staying.answer())[0] == 200


async def test_new_api_counts_from_the_next_call(connect, server: ApiServer) -> None:
    wire = await connect()
    server.api = Responding("other")

    await wire.send(call())
    assert (await wire.answer())[0] == 400


def is_busy(server: ApiServer) -> bool:
    return any(not connection.is_idle for connection in server.connections)


async def test_drain_finishes_the_call_in_flight_and_closes_the_rest(
    connect, server: ApiServer, tmp_path: Path
) -> None:
    idle, busy = await connect(), await connect()
    await idle.send(call())
    assert (await idle.answer())[0] == 200
    await busy.send(call()[:-1])
    await eventually(lambda: is_busy(server), "the head to arrive")

    draining = asyncio.create_task(server.drain(PATIENCE_S))
    assert await idle.end() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_unix_connection(str(tmp_path / "engine.sock"))
    assert not draining.done()
    await busy.send(call()[-1:])

    status, headers, _ = await busy.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await busy.end() == b""
    async with asyncio.timeout(PATIENCE_S):
        await draining


async def test_drain_cuts_off_a_call_that_takes_longer(connect, server: ApiServer) -> None:
    busy = await connect()
    await busy.send(call()[:-1])
    await eventually(lambda: is_busy(server), "the head to arrive")

    async with asyncio.timeout(PATIENCE_S):
        await server.drain(0.01)

    assert await busy.end() == b""


async def test_tcp_with_tls_serves_http_1_1(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("engine.example")
    certificate, private_key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(private_key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    server = ApiServer(Responding())
    sock = bind("127.0.0.1:0")
    host, port = sock.getsockname()
    await server.listen(sock, tls_context(certificate, private_key))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])

    wire = Wire(*await asyncio.open_connection(host, port, ssl=context, server_hostname="engine.example"))
    await wire.send(call())

    assert (await wire.answer())[0] == 200
    tls = wire.writer.get_extra_info("ssl_object")
    assert (tls.version(), tls.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
    wire.close()
    await server.drain(0.01)


async def test_tcp_without_tls_is_served() -> None:
    server = ApiServer(Responding())
    sock = bind("127.0.0.1:0")
    host, port = sock.getsockname()
    await server.listen(sock)

    wire = Wire(*await asyncio.open_connection(host, port))
    await wire.send(call(SCRIPT))

    assert (await wire.answer())[0] == 403
    wire.close()
    await server.drain(0.01)


async def test_many_connections_leave_nothing_behind(connect, server: ApiServer) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        wire = await connect()
        await wire.send(call(headers=JSON + "Connection: close\r\n"))
        assert (await wire.answer())[0] == 200
        wire.close()

    await eventually(lambda: not server.connections, "connections to end")
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before, "sockets to close")


# ---- heads that are not served ---------------------------------------------------------------------------------------


REFUSED = {
    "length and chunks": (400, b"POST /validate-request HTTP/1.1\r\nHost: e\r\nContent-Length: 3\r\nTransfer-Encoding: chunked"),  # noqa: E501
    "two lengths": (400, b"POST /validate-request HTTP/1.1\r\nHost: e\r\nContent-Length: 3\r\nContent-Length: 4"),
    "a length with a sign": (400, b"POST /validate-request HTTP/1.1\r\nHost: e\r\nContent-Length: +3"),
    "another coding": (400, b"POST /validate-request HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: gzip, chunked"),
    "chunks on HTTP/1.0": (400, b"POST /validate-request HTTP/1.0\r\nHost: e\r\nTransfer-Encoding: chunked"),
    "a folded line": (400, b"POST /validate-request HTTP/1.1\r\nHost: e\r\nX: a\r\n b"),
    "a space before the colon": (400, b"POST /validate-request HTTP/1.1\r\nHost : e"),
    "a bare line feed": (400, b"POST /validate-request HTTP/1.1\nHost: e"),
    "no host": (400, b"POST /validate-request HTTP/1.1\r\nX: y"),
    "another version": (400, b"PRI * HTTP/2.0"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "an expectation": (417, b"POST /validate-request HTTP/1.1\r\nHost: e\r\nExpect: a-miracle\r\nContent-Length: 2"),
    "TRACE": (501, b"TRACE /validate-request HTTP/1.1\r\nHost: e"),
    "many headers": (431, b"POST /validate-request HTTP/1.1\r\nHost: e" + b"\r\nX: y" * 100),
    "a long head": (431, b"POST /validate-request HTTP/1.1\r\nHost: e\r\nX: " + b"y" * 16_384),
}


@pytest.mark.parametrize(("status", "head"), REFUSED.values(), ids=REFUSED)
async def test_head_that_is_not_served_is_answered_and_closed(connect, status: int, head: bytes) -> None:
    wire = await connect()

    await wire.send(head + b"\r\n\r\n" + call())

    got, headers, _ = await wire.answer()
    assert (got, headers["connection"]) == (status, "close")
    assert await wire.end() == b""


async def test_head_without_end_over_the_limit_is_431(connect) -> None:
    wire = await connect()

    await wire.send(b"POST /validate-request HTTP/1.1\r\nX: " + b"y" * 16_384)

    assert (await wire.answer())[0] == 431


async def test_head_request_is_answered_without_a_body(connect) -> None:
    wire = await connect()

    await wire.send(call(b"", method="HEAD"))

    async with asyncio.timeout(PATIENCE_S):
        head = await wire.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ") and b"Content-Length: 0" not in head
    await wire.send(call())
    assert (await wire.answer())[0] == 200


async def test_http_1_0_is_closed_after_the_answer_unless_it_asks_otherwise(connect) -> None:
    closing, keeping = await connect(), await connect()

    await closing.send(call().replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    await keeping.send(call(headers=JSON + "Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0", 1))

    assert (await closing.answer())[1]["connection"] == "close"
    assert await closing.end() == b""
    assert (await keeping.answer())[1]["connection"] == "keep-alive"
    await keeping.send(call())
    assert (await keeping.answer())[0] == 200


async def test_refused_call_that_expects_100_is_answered_at_once_and_closed(connect) -> None:
    wire = await connect()

    await wire.send(call(target="/", headers=JSON + "Expect: 100-continue\r\n").split(b"\r\n\r\n")[0] + b"\r\n\r\n")

    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (404, "close")


async def test_calls_before_a_half_close_are_all_answered(connect) -> None:
    wire = await connect()

    wire.writer.write(call() * 40)
    wire.writer.write_eof()

    assert (await wire.end()).count(b"HTTP/1.1 200 OK\r\n") == 40


# ---- answers that have to be waited for ------------------------------------------------------------------------------


async def test_answers_that_wait_come_in_order_and_one_is_asked_at_a_time(connect, server: ApiServer) -> None:
    server.api = waiting = Waiting()
    wire = await connect()

    await wire.send(call(BROWSER) + call(SCRIPT) + call(BROWSER))
    await eventually(lambda: waiting.asked, "the first call")
    assert waiting.asked == 1
    waiting.open.set()

    assert [(await wire.answer())[0] for _ in range(3)] == [200, 403, 200]


async def test_client_that_waits_and_pipelines_without_end_is_not_read_any_more(connect, server: ApiServer) -> None:
    server.api = waiting = Waiting()
    wire = await connect()
    sent = 0

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            while sent < 100_000_000:
                await wire.send(call() * 50)
                sent += 50
    waiting.open.set()
    assert sent < 20_000  # what fits into the sockets' buffers and one read
    assert (await wire.answer())[0] == 200


async def test_client_that_leaves_while_its_answer_is_made_cancels_nothing(
    connect, server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.api = waiting = Waiting()
    sock = bind("127.0.0.1:0")
    address = sock.getsockname()
    await server.listen(sock)
    leaving, staying = Wire(*await asyncio.open_connection(*address)), await connect()
    await leaving.send(call())
    await eventually(lambda: waiting.asked == 1, "the call")

    reset(leaving.writer)
    await eventually(lambda: len(server.connections) == 1, "the end of its connection")
    waiting.open.set()
    await eventually(lambda: waiting.answered == 1, "its answer")
    await staying.send(call())

    assert (await staying.answer())[0] == 200
    assert caplog.records == []


async def test_drain_waits_for_answers_that_wait(connect, server: ApiServer) -> None:
    server.api = waiting = Waiting()
    wire, gone = await connect(), await connect()
    await wire.send(call())
    await gone.send(call())
    await eventually(lambda: waiting.asked == 2, "the calls")
    gone.close()

    draining = asyncio.create_task(server.drain(PATIENCE_S))
    await eventually(lambda: server.draining, "the drain")
    waiting.open.set()

    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (200, "close")
    await within(draining, "the end of the drain")
    assert waiting.answered == 2


async def test_drain_gives_up_answers_that_wait_too_long(connect, server: ApiServer) -> None:
    server.api = waiting = Waiting()
    wire = await connect()
    await wire.send(call())
    await eventually(lambda: waiting.asked, "the call")

    await within(server.drain(0.01), "the end of the drain")

    assert await wire.end() == b""
    assert waiting.answered == 0


@pytest.mark.parametrize("api", [Failing(), FailingLater(), Splitting()], ids=["at once", "later", "split header"])
async def test_call_that_cannot_be_answered_is_500_and_a_line_in_the_log(
    connect, server: ApiServer, caplog: pytest.LogCaptureFixture, api: Responding
) -> None:
    server.api = api
    wire = await connect()

    for _ in range(2):
        await wire.send(call())
        status, headers, _ = await wire.answer()
        assert status == 500
        assert "set-cookie" not in headers

    assert [record.message for record in caplog.records] == ["a call could not be answered"]


# ---- operators' paths ------------------------------------------------------------------------------------------------


async def operate(request: OperatorRequest) -> tuple[int, str, bytes]:
    text = f"{request.method} {request.path} {request.query} {request.authorization} {len(request.body)}"
    return 200, "text/plain", text.encode()


async def test_operators_paths_are_answered_by_the_operator(connect, server: ApiServer) -> None:
    server.operator = operate
    wire = await connect()

    await wire.send(
        call(b"x" * 65_536, "Authorization: Bearer t\r\n", "/engine/bans?all=1", "PUT")
        + call(b"", target="/metrics", method="GET")
        + call(b"", target="/engine/validate-request")
        + call(b"", target="/enginex", method="GET")
    )

    assert (await wire.answer())[2] == b"PUT /engine/bans all=1 Bearer t 65536"
    assert (await wire.answer())[2] == b"GET /metrics   0"
    assert [(await wire.answer())[0] for _ in range(2)] == [400, 404]


async def test_operators_body_over_its_limit_is_413(connect, server: ApiServer) -> None:
    server.operator = operate
    wire = await connect()

    await wire.send(call(b"x" * 65_537, target="/engine/bans", method="PUT"))

    assert (await wire.answer())[0] == 413


async def test_operators_paths_without_an_operator_are_404(connect) -> None:
    wire = await connect()

    await wire.send(call(b"", target="/healthz", method="GET"))

    assert (await wire.answer())[0] == 404


# ---- many, silent and leaving clients --------------------------------------------------------------------------------


async def test_connection_over_the_limit_is_503_and_closed(connect, server: ApiServer) -> None:
    server.limits = replace(server.limits, connections=1)
    first = await connect()
    await first.send(call())
    assert (await first.answer())[0] == 200

    second = await connect()
    status, headers, _ = await second.answer()

    assert (status, headers["connection"]) == (503, "close")
    assert await second.end() == b""
    second.close()
    await first.send(call())
    assert (await first.answer())[0] == 200


async def test_silent_tls_handshake_is_cut_off(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("engine.example")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    server = ApiServer(Responding(), limits=Limits(head_s=0.05))
    sock = bind("127.0.0.1:0")
    host, port = sock.getsockname()
    await server.listen(sock, tls_context(tmp_path / "both.pem", tmp_path / "both.pem"))

    wire = Wire(*await asyncio.open_connection(host, port))

    assert await wire.end() == b""
    wire.close()
    await server.drain(0.01)


async def test_clients_that_leave_while_they_are_answered_leave_no_line_in_the_log(
    connect, server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        wire = await connect()
        await wire.send(call(SCRIPT) * 200)
        wire.close()

    await eventually(lambda: not server.connections, "connections to end")
    assert caplog.records == []


# ---- one connection without a socket ---------------------------------------------------------------------------------


class Sink:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def answers_to(pieces: list[bytes]) -> list[bytes]:
    """What one connection writes."""
    server, sink = ApiServer(Responding()), Sink()
    connection = CallConnection(server)
    connection.connection_made(sink)
    for piece in pieces:
        connection.data_received(piece)
    await asyncio.sleep(0)
    return sink.writes


async def test_pipelined_calls_are_answered_with_one_write() -> None:
    (answers,) = await answers_to([call() * 10])

    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 10


MIXED = (
    call() + chunked(SCRIPT[:100], SCRIPT[100:]) + call(target="/x") + call(b"{", JSON + "Expect: 100-continue\r\n")
    + call(b"", method="GET") + b"GET / HTTP/1.1\r\nHost : e\r\n\r\n" + call()
)  # fmt: skip


@given(cuts=st.lists(st.integers(0, len(MIXED)), max_size=8))
def test_calls_cut_anywhere_get_the_same_answers(cuts: list[int]) -> None:
    at = sorted({0, len(MIXED), *cuts})
    pieces = [MIXED[start:end] for start, end in itertools.pairwise(at)]

    written = b"".join(uvloop.run(answers_to(pieces))).replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")

    assert re.findall(rb"HTTP/1\.1 (\d+)", written) == [b"200", b"403", b"404", b"400", b"405", b"400"]


@given(data=st.lists(st.binary(max_size=200) | st.sampled_from([call(), MIXED, b"\r\n\r\n", b"POST /"]), max_size=6))
def test_any_bytes_raise_nothing(data: list[bytes]) -> None:
    uvloop.run(answers_to(data))
