"""The engine's HTTP side on real sockets, spoken to in raw bytes."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
import trustme
from engine.browser_requests import BROWSER_REQUESTS
from fakes import eventually

from gateway.engine.api import ProtectionApi
from gateway.engine.rules import Rule
from gateway.engine.service.listener import bind_tcp, bind_unix, tls_context
from gateway.engine.service.server import ApiServer

PATIENCE_S = 5.0
BROWSER = orjson.dumps(BROWSER_REQUESTS["chrome navigates"])
SCRIPT = orjson.dumps({**BROWSER_REQUESTS["chrome navigates"], "UserAgent": "curl/8.9.1"})
JSON = "Content-Type: application/json\r\n"


@pytest.fixture
async def server(rules: tuple[Rule, ...], tmp_path: Path) -> AsyncIterator[ApiServer]:
    running = ApiServer(ProtectionApi(["key"], rules))
    await running.listen(bind_unix(str(tmp_path / "engine.sock")))
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
    assert (status, body, headers["x-datadome-isbot"]) == (200, b"", "0")


async def test_block_has_body_and_pointer_headers(connect) -> None:
    wire = await connect()

    await wire.send(call(SCRIPT, JSON + "X-DataDome-X-Set-Cookie: TRUE\r\n"))

    status, headers, body = await wire.answer()
    assert (status, headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert headers["x-set-cookie"].startswith("datadome=")
    assert headers["x-datadome-requestid"].encode() in body


@pytest.mark.parametrize(
    ("request_bytes", "status", "body"),
    [
        (call(target="/"), 404, b"nothing is served here; calls go to /validate-request"),
        (call(target="/validate-request/x"), 404, b"nothing is served here; calls go to /validate-request"),
        (call(b"", method="GET"), 405, b"calls to /validate-request are POST"),
        (call(b'{"Key":"other"}'), 400, b"the Key field is no accepted key"),
        (call(b"{}"), 400, b"the Key field is missing"),
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

    assert (got, headers["x-datadomeresponse"]) == (status, str(status))
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
    server.api = ProtectionApi(["other"], ())

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


async def test_tcp_with_tls_serves_http_1_1(rules: tuple[Rule, ...], tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("engine.example")
    certificate, private_key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(private_key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    server = ApiServer(ProtectionApi([], rules))
    sock = bind_tcp("127.0.0.1:0")
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


async def test_tcp_without_tls_is_served(rules: tuple[Rule, ...]) -> None:
    server = ApiServer(ProtectionApi([], rules))
    sock = bind_tcp("127.0.0.1:0")
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
