"""The fakes themselves: a conformance suite is worth what its independent parser is worth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fakes import OK, Client, RecordingOrigin, RecordingProtection, Step, TruncatedError, decision

GET = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@pytest.fixture
async def origin() -> AsyncIterator[RecordingOrigin]:
    server = RecordingOrigin()
    await server.start()
    yield server
    await server.stop()


async def test_server_pipelined_requests_recorded_byte_for_byte(origin: RecordingOrigin) -> None:
    post = b"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
    async with await Client.connect(origin.port) as client:
        client.send(GET + post)
        first, second = await client.read_response(), await client.read_response()
    assert [first.body, second.body] == [b"ok", b"ok"]
    assert [r.head.raw for r in origin.requests] == [GET, post[: post.index(b"3\r\n")]]
    assert origin.requests[1].body == b"abc"
    assert bytes(origin.requests[1].body_read.raw) == b"3\r\nabc\r\n0\r\nX: y\r\n\r\n"
    assert origin.requests[1].body_read.trailers == [b"X: y"]
    assert origin.violations == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
    ],
)
async def test_server_illegal_head_is_a_violation(origin: RecordingOrigin, head: bytes) -> None:
    async with await Client.connect(origin.port) as client:
        client.send(head)
        assert await client.read_to_end() == b""
    assert len(origin.violations) == 1


async def test_server_script_steps_play_in_order(origin: RecordingOrigin) -> None:
    gate = asyncio.Event()
    origin.scripts.append(
        [Step.EARLY, b"HTTP/1.1 100 Continue\r\n\r\n", Step.BODY, gate, OK[:10], OK[10:-1], Step.RESET]
    )
    async with await Client.connect(origin.port) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n")
        assert (await client.read_head()).start == b"HTTP/1.1 100 Continue"
        client.send(b"x")
        await origin.completed(1)
        gate.set()
        with pytest.raises(TruncatedError) as caught:
            await client.read_response()
    assert caught.value.body == b"o"
    assert origin.requests[0].body == b"x"
    assert (await origin.lost(1)).ended == "ours"


async def test_server_restarted_listens_on_its_port_again(origin: RecordingOrigin) -> None:
    port = origin.port
    async with await Client.connect(port) as client:
        client.send(GET)
        await client.read_response()
        await origin.stop()
        assert await client.read_to_end() == b""
        assert client.was_reset
    with pytest.raises(ConnectionRefusedError):
        await Client.connect(port)
    await origin.start()
    async with await Client.connect(port) as client:
        client.send(GET)
        assert (await client.read_response()).status == 200


async def test_client_close_delimited_body_ends_with_the_connection(origin: RecordingOrigin) -> None:
    origin.scripts.append([b"HTTP/1.1 200 OK\r\n\r\nab", b"cd", Step.CLOSE])
    async with await Client.connect(origin.port) as client:
        client.send(GET)
        response = await client.read_response()
    assert (response.body, response.until_close) == (b"abcd", True)


async def test_client_head_of_a_reset_connection_is_still_read(origin: RecordingOrigin) -> None:
    origin.scripts.append([OK, Step.RESET])
    async with await Client.connect(origin.port) as client:
        client.send(GET)
        assert (await client.read_response()).body == b"ok"
        assert await client.read_to_end() == b""
        assert client.was_reset


async def test_protection_json_and_form_payloads_are_equal() -> None:
    api = RecordingProtection()
    await api.start()
    head = b"POST /validate-request HTTP/1.1\r\nHost: api\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    async with await Client.connect(api.port) as client:
        for kind, body in (
            (b"application/json", b'{"IP":"::1"}'),
            (b"application/x-www-form-urlencoded", b"IP=%3A%3A1"),
        ):
            client.send(head % (kind, len(body)) + body)
            assert (await client.read_response()).head.raw == (
                b"HTTP/1.1 200 Decision\r\nContent-Length: 0\r\nX-DataDomeResponse: 200\r\n\r\n"
            )
    assert [api.payload(1), api.payload(2)] == [{"IP": "::1"}, {"IP": "::1"}]
    await api.stop()


def test_decision_headers_are_listed_once_each() -> None:
    assert decision(
        403, to_request=[(b"A", b"1")], to_response=[(b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")], body=b"no"
    ) == (
        b"HTTP/1.1 403 Decision\r\nContent-Length: 2\r\nX-DataDomeResponse: 403\r\nX-DataDome-request-headers: A\r\n"
        b"X-DataDome-headers: Set-Cookie\r\nA: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nno"
    )
