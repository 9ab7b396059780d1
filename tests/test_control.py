"""The channel on a real socketpair, byte by byte where it matters. `run_child` is tested in real processes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import control
from gateway.config import Config
from gateway.control import Channel
from gateway.errors import ChannelClosed, ChannelError, ChannelProtocolError, ChannelTimeout
from gateway.metrics import Metrics


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Channel, socket.socket]]:
    """A channel and the raw other end."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = await Channel.open(ours)
    with theirs:
        yield channel, theirs
        channel.close()


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


async def test_message_on_the_wire_is_a_length_and_json(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    await channel.send({"type": "drain"})
    assert await asyncio.get_running_loop().sock_recv(theirs, 100) == b'\x00\x00\x00\x10{"type":"drain"}'


async def test_messages_in_any_pieces_arrive_whole_and_in_order(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    wire = framed(b'{"type":"collect","id":1}') + framed(b'{"type":"drain"}')
    for index in range(len(wire)):
        await asyncio.get_running_loop().sock_sendall(theirs, wire[index : index + 1])
    assert [await channel.receive(), await channel.receive()] == [{"type": "collect", "id": 1}, {"type": "drain"}]


async def test_close_in_the_middle_of_a_message_is_the_end(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.send(framed(b'{"type":"drain"}')[:-1])
    theirs.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ChannelClosed):
        await channel.receive()


async def test_announced_length_over_the_limit_refused_unread(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.send((control.MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(ChannelProtocolError, match="16777217 bytes announced, at most 16777216"):
        await channel.receive()


async def test_own_message_over_the_limit_refused_unsent(
    pair: tuple[Channel, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, theirs = pair
    monkeypatch.setattr(control, "MAX_MESSAGE_BYTES", 20)
    with pytest.raises(ChannelProtocolError, match="at most 20"):
        await channel.send({"type": "report", "metrics": {}})
    await channel.send({"type": "drain"})
    assert await channel_bytes(theirs) == framed(b'{"type":"drain"}')


async def test_own_message_that_is_no_json_refused_unsent(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    with pytest.raises(ChannelProtocolError, match="no JSON: str is not valid UTF-8"):
        await channel.send({"type": "report", "status": {"id": "\ud800"}})
    await channel.send({"type": "drain"})
    assert await channel_bytes(theirs) == framed(b'{"type":"drain"}')


class OddPart:
    """Reports what the test says."""

    def __init__(self) -> None:
        self.shown: Any = None
        self.reason = "why"

    async def start(self, config: Config, process: dict[str, Any]) -> None:
        """At once."""

    async def reload(self, config: Config) -> None:
        """At once."""

    def reopen_logs(self) -> None:
        """It has none."""

    async def drain(self) -> None:
        """At once."""

    def report(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        return dict(Metrics().take()), [{"part": "test", "reason": self.reason}]

    def status(self) -> dict[str, Any] | None:
        return {"shown": self.shown}


async def test_report_that_cannot_be_sent_goes_without_its_status_and_is_logged_once(
    pair: tuple[Channel, socket.socket], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    channel, theirs = pair
    monkeypatch.setattr(control, "MAX_MESSAGE_BYTES", 2000)
    part = OddPart()
    child = control._Child(part, channel, asyncio.Event())
    sent: list[Any] = []
    said = [("\ud800", "why"), ("x" * 2000, "why"), ("a", "\ud800"), ("a", "why"), ("\ud800", "")]
    for part.shown, part.reason in said:
        await child._report(None)
        message = orjson.loads((await channel_bytes(theirs))[4:])
        assert message["metrics"] == Metrics().take()
        sent.append((message["status"], [one["reason"] for one in message["degraded"]]))
    assert sent == [(None, ["why"]), (None, ["why"]), (None, []), ({"shown": "a"}, ["why"]), (None, [""])]
    assert [record.message for record in caplog.records] == ["a report cannot be sent whole"] * 2


async def channel_bytes(sock: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(sock, 10_000)


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_channel_errors(data: bytes) -> None:
    async def read() -> None:
        reader, writer = asyncio.StreamReader(), None
        reader.feed_data(data + framed(data))
        reader.feed_eof()
        channel = Channel(reader, writer)  # type: ignore[arg-type]
        while True:
            assert isinstance((await channel.receive())["type"], str)

    with pytest.raises(ChannelError):
        asyncio.run(read())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"type":1}', b"\xff", b'"drain"'])
async def test_frame_that_is_no_message_refused(pair: tuple[Channel, socket.socket], data: bytes) -> None:
    channel, theirs = pair
    theirs.send(framed(data))
    with pytest.raises(ChannelProtocolError):
        await channel.receive()


async def test_reader_that_does_not_read_is_a_timeout_and_loses_nothing(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    message = {"type": "report", "text": "x" * 1_000_000}
    with pytest.raises(ChannelTimeout):
        await channel.send(message, timeout_s=0.01)
    assert channel.congested
    received = b""
    while len(received) < len(framed(orjson.dumps(message))):
        received += await asyncio.get_running_loop().sock_recv(theirs, 1 << 20)
    assert received == framed(orjson.dumps(message))
    await channel.send({"type": "drain"})
    assert not channel.congested


async def test_send_after_the_other_side_left_is_closed(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.close()
    with pytest.raises(ChannelClosed):
        await channel.receive()
    with pytest.raises(ChannelClosed):
        for _ in range(3):  # the kernel may take the first
            await channel.send({"type": "report", "text": "x" * 200_000})


async def test_child_without_its_channel_says_how_it_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(control.CONTROL_FD, raising=False)
    with pytest.raises(ChannelClosed, match="gateway run"):
        control._inherited_socket()
