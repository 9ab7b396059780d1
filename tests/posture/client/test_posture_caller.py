"""One call of a platform: the table 'Calls' of the public interface line by line, limits, time-outs, TLS and secrets.

Servers are real ones on loopback; time is a fake clock that only sleeping moves, but for time-outs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from posture.standin.server import Fault, Received, StandIn

from gateway.errors import (
    Conflict,
    CredentialsRefused,
    InvalidCall,
    NotFound,
    OffContract,
    PermissionRefused,
    PlatformError,
    PlatformFailed,
    PlatformUnreachable,
    PostureUsage,
    QuotaExhausted,
    RateLimited,
)
from gateway.posture.client.caller import Call, Caller
from gateway.posture.client.manner import Manner
from gateway.posture.watching import Called, Clock, Watcher

NOW_S = 1_702_900_000.0
KEY = "sk-live/7+Ä 42"
READ = Call("GET", "/domains", is_read=True)
WRITE = Call("POST", "/scans", is_read=False, json={"domain_id": "d"})
BOTH = pytest.mark.parametrize("call", [READ, WRITE], ids=["read", "write"])
OPEN = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "297", "X-RateLimit-Reset": str(int(NOW_S) + 60)}


class Platform(StandIn):
    """Answers every call with 200, `body` and `headers`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("/v1", **options)
        self.body = b'{"ok": true}'
        self.headers: dict[str, str] = dict(OPEN)

    async def answer(self, call: Received) -> web.StreamResponse:
        return web.Response(body=self.body, headers={"Content-Type": "application/json", **self.headers})


@dataclass
class World:
    """A clock, and who is told."""

    time_s: float = NOW_S
    slept: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    called: list[Called] = field(default_factory=list)
    sleeping: Callable[[float], None] = lambda delay_s: None
    gate: asyncio.Event | None = None
    """While it is there and not set, who sleeps does not wake."""
    opens_after: int = 10**9
    """Calls after which the gate opens."""

    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.time_s, sleep=self._sleep, random=lambda: 1.0)

    def watcher(self) -> Watcher:
        return Watcher(on_call=self._note, on_wait=self.said.append)

    def _note(self, called: Called) -> None:
        self.called.append(called)
        if self.gate is not None and len(self.called) >= self.opens_after:
            self.gate.set()

    async def _sleep(self, delay_s: float) -> None:
        self.sleeping(delay_s)
        self.slept.append(delay_s)
        until_s = self.time_s + delay_s
        if self.gate is not None:
            await self.gate.wait()
        self.time_s = max(self.time_s, until_s)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as server:
        yield server


def caller_of(url: str, world: World, **manner: Any) -> Caller:
    return Caller(
        "ddactic", url, Manner(**manner), headers={"Authorization": f"Bearer {quote(KEY)}"}, secrets=(KEY,),
        watcher=world.watcher(), clock=world.clock(),
    )  # fmt: skip


@pytest.fixture
async def caller(platform: Platform, world: World) -> AsyncIterator[Caller]:
    async with caller_of(platform.url, world) as opened:
        yield opened


@contextlib.asynccontextmanager
async def answering(*answers: bytes | None) -> AsyncIterator[str]:
    """A server of raw bytes: each connection gets the next answer and is closed; None: silence until the end."""
    left, over = list(answers), asyncio.Event()
    serving: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            answer = left.pop(0)
            writer.write(answer or b"")
            await (over.wait() if answer is None or answer.endswith(b"...") else writer.drain())
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        await asyncio.gather(*(task for task in serving if task is not None))
        server.close()
        await server.wait_closed()


def limited(reset: str | None = None, retry_after: str | None = None, code: str = "rate_limited") -> Fault:
    headers = {"X-RateLimit-Reset": reset, "Retry-After": retry_after}
    body = json.dumps({"error": {"code": code, "message": "Too many requests"}}).encode()
    return Fault(status=429, body=body, headers={name: value for name, value in headers.items() if value is not None})


# --- success ----------------------------------------------------------------------------------------------------------


@BOTH
async def test_call_that_succeeds_is_sent_once_with_its_headers_and_body(
    caller: Caller, platform: Platform, call: Call
) -> None:
    assert (await caller.json(call)).raw == {"ok": True}
    assert platform.paths() == [f"{call.method} {call.path}"]
    headers = platform.calls[0].headers
    assert headers["authorization"] == f"Bearer {quote(KEY)}"
    assert headers["user-agent"].startswith("gateway-posture/")
    assert (call.json is None) == (platform.calls[0].body == b"")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_call_any_2xx_is_success(caller: Caller, platform: Platform, status: int) -> None:
    platform.script(Fault(status=status, body=b""))
    assert (await caller.call(WRITE)).status == status


async def test_call_form_is_sent_as_one(caller: Caller, platform: Platform) -> None:
    await caller.call(Call("POST", "/auth.php", is_read=True, form={"a b": "ä&=", "c": ""}))
    assert platform.calls[0].body == b"a+b=%C3%A4%26%3D&c="
    assert platform.calls[0].headers["content-type"] == "application/x-www-form-urlencoded"


async def test_call_path_and_query_are_sent_as_they_stand(caller: Caller, platform: Platform) -> None:
    await caller.call(Call("GET", "/scans/a%2Fb%2E", is_read=True, query={"q": "a b&c=ä", "limit": "1"}))
    assert platform.paths() == ["GET /scans/a%2Fb%2E"]
    assert platform.calls[0].query == {"q": "a b&c=ä", "limit": "1"}


# --- the table: 429 ---------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("fault", "waited_s"),
    [
        (limited(reset=str(int(NOW_S) + 12)), 12.0),
        (limited(reset=str(int(NOW_S) + 12), retry_after="3"), 12.0),
        (limited(retry_after="7"), 7.0),
        (limited(retry_after="Mon, 18 Dec 2023 11:46:50 GMT"), 10.0),
        (limited(reset=str(int(NOW_S) - 5), retry_after="7"), 7.0),  # a reset that is past says nothing
        (limited(reset=str(int(NOW_S)), retry_after="7"), 7.0),
        (limited(reset="soon", retry_after="9"), 9.0),
        (limited(reset=str(int(NOW_S * 1000)), retry_after="9"), 9.0),
        (limited(), 0.5),  # back-off
        (limited(retry_after="0"), 0.5),
        (limited(retry_after="later"), 0.5),
        (limited(retry_after="Mon, 18 Dec 2000 11:46:50 GMT"), 0.5),
        (limited(reset="nan", retry_after="99999999999"), 0.5),
    ],
)
async def test_rate_limit_is_waited_out_and_told(
    caller: Caller, platform: Platform, world: World, call: Call, fault: Fault, waited_s: float
) -> None:
    platform.script(fault)
    await caller.json(call)
    assert world.slept == [waited_s]
    assert world.said == [f"ddactic: rate limited, waiting {max(1, round(waited_s))} s"]
    assert [called.status for called in world.called] == [429, 200]


@BOTH
@pytest.mark.parametrize("fault", [limited(reset=str(int(NOW_S) + 91)), limited(retry_after="91")])
async def test_rate_limit_that_ends_too_late_is_an_error_at_once_that_says_when(
    caller: Caller, platform: Platform, world: World, call: Call, fault: Fault
) -> None:
    platform.script(fault)
    with pytest.raises(RateLimited) as raised:
        await caller.json(call)
    assert str(raised.value) == (
        f"ddactic {call.name}: 429 rate_limited: the rate limit ends at 2023-12-18T11:48:11Z, in 91 s"
        " (waiting at most 90 s)"
    )
    assert (raised.value.reset_s, world.slept, len(platform.calls)) == (91.0, [], 1)


@BOTH
async def test_rate_limit_counts_as_an_attempt(caller: Caller, platform: Platform, world: World, call: Call) -> None:
    platform.script(*[limited(retry_after="1")] * 9)
    with pytest.raises(RateLimited, match=r"429 rate_limited: Too many requests \(after 4 attempts\)") as raised:
        await caller.json(call)
    assert (raised.value.reset_s, world.slept, len(platform.calls)) == (1.0, [1.0] * 3, 4)


@BOTH
async def test_quota_that_is_used_up_is_not_waited_for(
    caller: Caller, platform: Platform, world: World, call: Call
) -> None:
    platform.script(limited(reset=str(int(NOW_S) + 12), code="insufficient_quota"))
    with pytest.raises(QuotaExhausted):
        await caller.json(call)
    assert (world.slept, len(platform.calls)) == ([], 1)


# --- X-RateLimit-Remaining: 0 -----------------------------------------------------------------------------------------


def spent(after_s: float) -> dict[str, str]:
    return {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW_S + after_s))}


@BOTH
async def test_remaining_of_0_makes_the_next_call_wait_first(
    caller: Caller, platform: Platform, world: World, call: Call
) -> None:
    platform.headers = spent(12)
    await caller.json(call)
    assert world.slept == []
    platform.headers = {**OPEN, "X-RateLimit-Reset": str(int(NOW_S) + 72)}
    await caller.json(call)
    await caller.json(call)
    assert (world.slept, world.said) == ([12.0], ["ddactic: rate limited, waiting 12 s"])


@BOTH
async def test_remaining_of_0_until_too_late_fails_the_next_call_unsent(
    caller: Caller, platform: Platform, world: World, call: Call
) -> None:
    platform.headers = spent(91)
    await caller.json(call)
    with pytest.raises(RateLimited, match="the rate limit ends at 2023-12-18T11:48:11Z, in 91 s") as raised:
        await caller.json(call)
    assert (raised.value.reset_s, world.slept, len(platform.calls)) == (91.0, [], 1)
    world.time_s += 91
    await caller.json(call)  # it is over


@pytest.mark.parametrize(
    "headers",
    [spent(-5), spent(0), {"X-RateLimit-Remaining": "0"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"},
     {**spent(12), "X-RateLimit-Remaining": "1"}, {**spent(12), "X-RateLimit-Remaining": "none"}],
)  # fmt: skip
async def test_remaining_of_0_without_a_reset_to_come_holds_nothing_back(
    caller: Caller, platform: Platform, world: World, headers: dict[str, str]
) -> None:
    platform.headers = headers
    await caller.json(READ)
    await caller.json(READ)
    assert world.slept == []


async def test_remaining_of_0_on_an_error_answer_counts_too(caller: Caller, platform: Platform, world: World) -> None:
    platform.script(Fault(status=404, headers=spent(12)))
    with pytest.raises(NotFound):
        await caller.json(READ)
    await caller.json(READ)
    assert world.slept == [12.0]


async def test_remaining_of_0_is_not_forgotten_for_an_older_answer_or_one_that_says_nothing(
    caller: Caller, platform: Platform, world: World
) -> None:
    platform.script(
        Fault(status=200, body=b"{}", headers=spent(12)),
        Fault(status=200, body=b"{}", headers={**spent(12), "X-RateLimit-Remaining": "1"}),
        Fault(status=200, body=b"{}"),
    )
    await asyncio.gather(*(caller.json(READ) for _ in range(3)))  # all three are sent before the first answer
    await caller.json(READ)
    assert world.slept == [12.0]


async def test_concurrent_calls_under_one_rate_limit_wait_together_and_one_says_so(
    caller: Caller, platform: Platform, world: World
) -> None:
    world.gate = asyncio.Event()
    platform.script(limited(reset=str(int(NOW_S) + 12)))
    waiting = asyncio.ensure_future(caller.json(READ))
    told = asyncio.Event()
    world.sleeping = lambda delay_s: told.set()
    await told.wait()  # the first one was refused, and waits
    all_told = asyncio.Event()
    world.sleeping = lambda delay_s: all_told.set() if len(world.slept) == 2 else None
    held = [asyncio.ensure_future(caller.json(call)) for call in (READ, WRITE)]
    await all_told.wait()
    world.gate.set()
    await asyncio.gather(waiting, *held)
    assert len(platform.calls) == 4  # none of those that came later was refused
    assert world.said == ["ddactic: rate limited, waiting 12 s"]
    assert world.time_s == NOW_S + 12


async def test_concurrent_calls_that_are_all_refused_wait_once_and_are_all_repeated(
    caller: Caller, platform: Platform, world: World
) -> None:
    world.gate, world.opens_after = asyncio.Event(), 3
    platform.script(*[limited(reset=str(int(NOW_S) + 12))] * 3)
    await asyncio.gather(*(caller.json(READ) for _ in range(3)))
    assert len(platform.calls) == 6
    assert len(world.said) == 1
    assert world.time_s == NOW_S + 12


# --- the table: connection not made -----------------------------------------------------------------------------------


@BOTH
async def test_connection_refused_is_repeated_with_back_off(world: World, unused_port: int, call: Call) -> None:
    async with caller_of(f"http://127.0.0.1:{unused_port}", world) as caller:
        with pytest.raises(PlatformUnreachable) as raised:
            await caller.json(call)
    assert str(raised.value) == f"ddactic {call.name}: no connection: Connection refused (after 4 attempts)"
    assert raised.value.maybe_taken is False
    assert world.slept == [0.5, 1.0, 2.0]
    assert [called.status for called in world.called] == [None] * 4


@BOTH
async def test_back_off_is_at_most_its_maximum_and_at_least_half(world: World, unused_port: int, call: Call) -> None:
    manner = {"attempts": 6, "backoff_s": 1.0, "backoff_max_s": 3.0}
    async with caller_of(f"http://127.0.0.1:{unused_port}", world, **manner) as caller:
        caller.clock = Clock(caller.clock.now_s, caller.clock.sleep, random=lambda: 0.0)
        with pytest.raises(PlatformUnreachable):
            await caller.json(call)
    assert world.slept == [0.5, 1.0, 1.5, 1.5, 1.5]


@BOTH
async def test_name_that_does_not_resolve_is_a_connection_not_made(world: World, call: Call) -> None:
    async with caller_of("https://platform.invalid", world, attempts=2) as caller:
        with pytest.raises(PlatformUnreachable, match="no connection: ") as raised:
            await caller.json(call)
    assert (raised.value.maybe_taken, len(world.slept)) == (False, 1)


@contextlib.asynccontextmanager
async def deaf() -> AsyncIterator[int]:
    """The port of a server that takes connections and is silent. It ends when each was closed by who made it."""
    serving: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    await asyncio.gather(*(task for task in serving if task is not None))
    server.close()
    await server.wait_closed()


@BOTH
async def test_time_out_while_connecting_is_a_connection_not_made(world: World, call: Call) -> None:
    """The TLS handshake is a part of connecting: nothing of the request was sent."""
    async with deaf() as port, caller_of(f"https://127.0.0.1:{port}", world, timeout_s=0.05) as caller:
        with pytest.raises(PlatformUnreachable) as raised:
            await caller.json(call)
    assert str(raised.value) == f"ddactic {call.name}: no connection within 0.05 s (after 4 attempts)"
    assert (raised.value.maybe_taken, len(world.slept)) == (False, 3)


@BOTH
async def test_connection_that_ends_in_the_tls_handshake_was_not_made(world: World, call: Call) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with caller_of(f"https://127.0.0.1:{port}", world, attempts=2) as caller:
            with pytest.raises(PlatformUnreachable) as raised:
                await caller.json(call)
    assert (raised.value.maybe_taken, len(world.slept)) == (False, 1)


@BOTH
async def test_connection_made_at_the_second_attempt_gives_the_answer(
    platform: Platform, world: World, unused_port: int, call: Call
) -> None:
    async with caller_of(f"http://127.0.0.1:{unused_port}", world) as caller:
        world.sleeping = lambda delay_s: setattr(caller, "_base_url", platform.url)
        assert (await caller.json(call)).raw == {"ok": True}
    assert len(platform.calls) == 1


# --- the table: 5xx, time-out, connection lost ------------------------------------------------------------------------

LOST = {
    "500": Fault(status=500),
    "502 without an envelope": Fault(status=502, body=b"<html>Bad Gateway", content_type="text/html"),
    "503 with Retry-After": Fault(status=503, headers={"Retry-After": "3000"}),
    "drop": Fault(drop=True),
    "drop after it was taken": Fault(drop=True, after=True),
    "drop in the head": Fault(garbage=b"HTTP/1.1 200 O"),
    "drop in the body": Fault(garbage=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    "hang": Fault(hang=True),
}


@pytest.mark.parametrize("kind", sorted(LOST))
async def test_loss_of_a_read_is_repeated(platform: Platform, world: World, kind: str) -> None:
    platform.script(LOST[kind], LOST[kind])
    async with caller_of(platform.url, world, timeout_s=0.5 if kind == "hang" else 30.0) as caller:
        assert (await caller.json(READ)).raw == {"ok": True}
    assert (len(platform.calls), world.slept) == (3, [0.5, 1.0])


@pytest.mark.parametrize("kind", sorted(LOST))
async def test_loss_of_a_read_at_every_attempt_is_an_error_with_their_number(
    platform: Platform, world: World, kind: str
) -> None:
    platform.script(*[LOST[kind]] * 4)
    async with caller_of(platform.url, world, timeout_s=0.2 if kind == "hang" else 30.0) as caller:
        with pytest.raises((PlatformUnreachable, PlatformFailed)) as raised:
            await caller.json(READ)
    assert str(raised.value).endswith("(after 4 attempts)")
    assert len(platform.calls) == 4


@pytest.mark.parametrize("kind", sorted(LOST))
async def test_loss_of_a_write_is_never_repeated_and_says_that_it_may_have_been_taken(
    platform: Platform, world: World, kind: str
) -> None:
    platform.script(LOST[kind])
    async with caller_of(platform.url, world, timeout_s=0.2 if kind == "hang" else 30.0) as caller:
        with pytest.raises((PlatformUnreachable, PlatformFailed)) as raised:
            await caller.json(WRITE)
    assert str(raised.value).startswith("ddactic POST /scans: ")
    assert str(raised.value).endswith("(may have been taken)")
    assert (len(platform.calls), world.slept) == (1, [])


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=500), "500 internal_error: scripted"),
        (Fault(status=500, body=b""), "500:"),
        (Fault(drop=True), "the connection was lost: closed before the answer"),
        (LOST["drop in the body"], "the connection was lost: the answer is not complete, or cannot be decoded"),
    ],
)
async def test_loss_is_told_in_words(caller: Caller, platform: Platform, fault: Fault, said: str) -> None:
    platform.script(fault)
    with pytest.raises(PlatformError) as raised:
        await caller.json(WRITE)
    assert str(raised.value) == f"ddactic POST /scans: {said} (may have been taken)"


@BOTH
async def test_time_out_counts_from_the_connection_to_the_last_byte(world: World, call: Call) -> None:
    async with answering(*[b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n..."] * 2) as url:
        async with caller_of(url, world, timeout_s=0.1, attempts=2) as caller:
            with pytest.raises(PlatformUnreachable, match=r"no answer within 0\.1 s") as raised:
                await caller.json(call)
    assert raised.value.maybe_taken is True
    assert len(world.called) == (2 if call.is_read else 1)


# --- the table: what is an error at once ------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, "invalid_domain", InvalidCall), (401, "unauthorized", CredentialsRefused), (402, "", QuotaExhausted),
     (403, "forbidden", PermissionRefused), (404, "not_found", NotFound), (409, "scan_in_progress", Conflict),
     (418, "teapot", InvalidCall), (301, "", InvalidCall), (302, "", InvalidCall), (307, "", InvalidCall),
     (308, "", InvalidCall), (304, "", InvalidCall)],
)  # fmt: skip
async def test_refusal_is_an_error_at_once(
    caller: Caller, platform: Platform, world: World, call: Call, status: int, code: str, kind: type[PlatformError]
) -> None:
    body = b"" if status == 304 else json.dumps({"error": {"code": code, "message": "m"}}).encode()
    platform.script(Fault(status=status, body=body, headers={"Location": f"{platform.url}/elsewhere"}))
    with pytest.raises(kind) as raised:
        await caller.json(call)
    assert type(raised.value) is kind
    assert (len(platform.calls), world.slept) == (1, [])
    if 300 <= status < 400:
        assert str(raised.value) == f"ddactic {call.name}: {status}: a redirect, which is never followed"


@BOTH
@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff", b"NaN", b"[" * 200 + b"]" * 200, b"[" * 9999])
async def test_answer_that_is_no_json_is_an_error_at_once(
    caller: Caller, platform: Platform, world: World, call: Call, body: bytes
) -> None:
    platform.body = body
    with pytest.raises(OffContract):
        await caller.json(call)
    assert (len(platform.calls), world.slept) == (1, [])


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH\r\n\r\n", b"<html>", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
@BOTH
async def test_answer_that_is_no_http_is_an_error_at_once(world: World, call: Call, answer: bytes) -> None:
    async with answering(answer) as url, caller_of(url, world) as caller:
        with pytest.raises(OffContract) as raised:
            await caller.json(call)
    taken = "" if call.is_read else " (may have been taken)"
    assert str(raised.value) == (
        f"ddactic {call.name}: the answer: got bytes that are no HTTP; expected an answer in HTTP/1.1{taken}"
    )
    assert world.slept == []


@BOTH
async def test_answer_over_the_limit_is_an_error_at_once(platform: Platform, world: World, call: Call) -> None:
    async with caller_of(platform.url, world, max_answer_bytes=1000) as caller:
        platform.body = b'"' + b"a" * 998 + b'"'
        assert len((await caller.json(call)).raw) == 998
        platform.body += b" "
        with pytest.raises(OffContract, match=r"got over 1000 bytes; expected at most that many \(max_answer\)"):
            await caller.json(call)
    assert (len(platform.calls), world.slept) == (2, [])


async def test_answer_without_an_end_is_read_to_the_limit_alone(world: World) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 200_000 + b"...") as url:
        async with caller_of(url, world, max_answer_bytes=100_000) as caller:
            with pytest.raises(OffContract, match="over 100000 bytes"):
                await caller.json(READ)


async def test_error_answer_that_is_long_is_quoted_in_one_short_line(caller: Caller, platform: Platform) -> None:
    platform.script(Fault(status=400, body=b"a\r\n\x1b[31m b" * 100_000))
    with pytest.raises(InvalidCall) as raised:
        await caller.json(READ)
    assert str(raised.value).startswith("ddactic GET /domains: 400: a [31m b")
    assert len(str(raised.value)) < 300
    assert str(raised.value).isprintable()


@given(body=st.binary(max_size=200), status=st.sampled_from([200, 201, 302, 400, 403, 404, 409, 418, 429, 500, 503]))
@settings(max_examples=60)
def test_answer_of_any_bytes_raises_nothing_but_platform_errors(raw: Platform, body: bytes, status: int) -> None:
    async def ask() -> None:
        raw.script(Fault(status=status, body=body))
        async with caller_of(raw.url, World(), attempts=1) as caller:
            with contextlib.suppress(PlatformError):
                await caller.json(READ)

    asyncio.run(ask())


@pytest.fixture(scope="module")
def raw() -> Iterator[Platform]:
    with Platform() as server:
        yield server


# --- cancelling, closing, environment ---------------------------------------------------------------------------------


@BOTH
async def test_call_that_is_cancelled_ends_untouched_and_is_not_repeated(
    platform: Platform, world: World, call: Call
) -> None:
    platform.script(Fault(hang=True))
    async with caller_of(platform.url, world) as caller:
        running = asyncio.ensure_future(caller.json(call))
        while not platform.calls:  # noqa: ASYNC110  # the server has a thread and a loop of its own
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await caller.json(READ)).raw == {"ok": True}
    assert (len(platform.calls), world.slept) == (2, [])


async def test_caller_that_was_closed_opens_anew(caller: Caller) -> None:
    await caller.close()
    assert (await caller.json(READ)).raw == {"ok": True}
    await caller.close()
    await caller.close()


async def test_proxies_and_accounts_of_the_environment_are_not_looked_at(
    caller: Caller, platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, unused_port: int
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login mallory password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    await caller.json(READ)
    assert platform.calls[0].headers["authorization"] == f"Bearer {quote(KEY)}"
    assert not {"proxy-authorization", "cookie"} & set(platform.calls[0].headers)


async def test_cookies_of_a_platform_are_not_kept(caller: Caller, platform: Platform) -> None:
    platform.headers = {"Set-Cookie": "session=1; Path=/"}
    await caller.json(READ)
    await caller.json(READ)
    assert "cookie" not in platform.calls[1].headers


@pytest.mark.parametrize("url", ["http://api.example/v1", "http://192.0.2.1", "ftp://localhost", "", "http://"])
def test_base_url_that_would_send_the_key_in_the_clear_is_a_usage_error(url: str, world: World) -> None:
    with pytest.raises(PostureUsage, match=r"ddactic: base_url: got .* expected an https:// URL"):
        caller_of(url, world)


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_platform(authority: trustme.CA) -> Iterator[Platform]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with Platform(tls=context) as server:
        yield server


@BOTH
async def test_certificate_of_an_unknown_authority_is_refused_at_once(
    tls_platform: Platform, world: World, call: Call
) -> None:
    async with caller_of(tls_platform.url, world) as caller:
        with pytest.raises(PlatformUnreachable, match="its certificate is not accepted: ") as raised:
            await caller.json(call)
    assert (raised.value.maybe_taken, world.slept, tls_platform.calls) == (False, [], [])


async def test_certificate_of_the_authority_in_ca_is_accepted(
    tls_platform: Platform, world: World, authority: trustme.CA, tmp_path: Any
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    async with caller_of(tls_platform.url, world, ca=str(ca)) as caller:
        assert (await caller.json(READ)).raw == {"ok": True}


async def test_certificate_of_another_name_is_refused_at_once(
    tls_platform: Platform, world: World, authority: trustme.CA, tmp_path: Any
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    url = tls_platform.url.replace("localhost", "127.0.0.1")
    async with caller_of(url, world, ca=str(ca)) as caller:
        with pytest.raises(PlatformUnreachable, match="its certificate is not accepted: "):
            await caller.json(READ)
    assert (world.slept, tls_platform.calls) == ([], [])


@pytest.mark.parametrize("text", [None, "no certificate"])
async def test_ca_file_without_certificates_is_an_error_that_names_it(
    tls_platform: Platform, world: World, tmp_path: Any, text: str | None
) -> None:
    ca = tmp_path / "ca.pem"
    if text is not None:
        ca.write_text(text)
    async with caller_of(tls_platform.url, world, ca=str(ca)) as caller:
        with pytest.raises(PlatformUnreachable, match=r"ca\.pem has no PEM certificates") as raised:
            await caller.json(READ)
    assert (raised.value.maybe_taken, world.slept, world.called) == (False, [], [])


async def test_plain_http_where_tls_is_spoken_is_off_the_contract_or_lost(
    tls_platform: Platform, world: World
) -> None:
    async with caller_of(tls_platform.url.replace("https:", "http:"), world, attempts=1) as caller:
        with pytest.raises(PlatformError):
            await caller.json(WRITE)
    assert tls_platform.calls == []


# --- secrets ----------------------------------------------------------------------------------------------------------

ECHOES = [KEY, quote(KEY), quote(KEY, safe="").lower(), "sk-live%2F7%2b%C3%84+42", "sk-live\\/7+\\u00C4 42"]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 429, 500])
async def test_key_echoed_in_an_error_is_starred(
    platform: Platform, world: World, echo: str, status: int
) -> None:
    body = '{"error": {"code": "E", "message": "bad E", "details": {"field": "E"}}}'.replace("E", echo)
    async with caller_of(platform.url, world, attempts=1) as caller:
        for one in (body, f"<p>{echo}</p>" + " " * 70_000, echo):
            platform.script(Fault(status=status, body=one.encode()))
            with pytest.raises(PlatformError) as raised:
                await caller.json(READ)
            assert_clean(str(raised.value))
            assert "***" in str(raised.value)


@pytest.mark.parametrize("echo", ECHOES)
async def test_key_echoed_in_an_answer_is_starred_in_keys_and_values(
    caller: Caller, platform: Platform, echo: str
) -> None:
    platform.body = '{"a": ["key E.", {"E": "E"}], "b": "E"}'.replace("E", echo).encode()
    node = await caller.json(READ)
    assert node.raw == {"a": ["key ***.", {"***": "***"}], "b": "***"}


async def test_key_echoed_where_an_answer_is_off_the_contract_is_starred(caller: Caller, platform: Platform) -> None:
    platform.body = json.dumps({"id": [KEY], "name": KEY, KEY: 1}).encode()
    node = await caller.json(READ)
    for wrong in (lambda: node.integer("name"), lambda: node["id"].items()[0].as_word(), lambda: dict(node.members())):
        try:
            wrong()
        except OffContract as error:
            assert_clean(str(error))


async def test_key_echoed_in_the_content_type_is_starred(caller: Caller, platform: Platform) -> None:
    platform.body, platform.headers = b"no JSON", {"Content-Type": f"text/plain; charset=utf-8; note={quote(KEY)}"}
    with pytest.raises(OffContract) as raised:
        await caller.json(READ)
    assert str(raised.value) == (
        "ddactic GET /domains: the answer: got 7 bytes of text/plain; charset=utf-8; note=***; expected JSON"
    )


@BOTH
async def test_key_typed_where_an_id_belongs_is_starred_in_errors_and_for_the_watcher(
    platform: Platform, world: World, call: Call
) -> None:
    path = f"/scans/{quote(KEY, safe='')}"
    keyed = Call(call.method, path, is_read=call.is_read, query={"q": KEY})
    errors: list[PlatformError] = []
    faults = [Fault(status=404), Fault(status=200, body=b"x"), Fault(drop=True), limited(reset=str(int(NOW_S) + 3600)),
              Fault(garbage=b"x\r\n\r\n")]  # fmt: skip
    platform.script(*faults)
    for _ in faults:
        async with caller_of(platform.url, world, attempts=1 if len(errors) != 3 else 2) as caller:
            with pytest.raises(PlatformError) as raised:
                await caller.json(keyed)
            errors.append(raised.value)
    assert [error.call for error in errors] == [f"{call.method} /scans/***"] * 5
    assert {called.path for called in world.called} == {"/scans/***"}
    for error in errors:
        assert_clean(str(error))
    assert_clean(repr(world.called) + repr(world.said))


async def test_session_token_that_came_later_is_starred_too(caller: Caller, platform: Platform) -> None:
    caller.redaction.add("token-77")
    platform.body = b'{"echo": "your token-77"}'
    assert (await caller.json(READ)).raw == {"echo": "your ***"}


def assert_clean(text: str) -> None:
    """No part of the key that matters is there, in any notation."""
    for part in ("sk-live", "sk%2Dlive", "%C3%84", "%c3%84", "Ä", "u00"):
        assert part not in text


# --- who is told ------------------------------------------------------------------------------------------------------


async def test_watcher_is_told_each_call_with_its_status_and_duration(
    caller: Caller, platform: Platform, world: World
) -> None:
    platform.script(Fault(status=503), Fault(drop=True))
    await caller.json(READ)
    assert [(one.provider, one.method, one.path, one.status) for one in world.called] == [
        ("ddactic", "GET", "/domains", status) for status in (503, None, 200)
    ]
    assert all(one.duration_ms >= 0 for one in world.called)
