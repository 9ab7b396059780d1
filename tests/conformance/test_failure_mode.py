"""D01, D02, R12: every way in which a check can fail, its reason counted, and what the configured mode makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from fakes import BlackHole, RecordingProtection, ScriptSource, Step, decision, eventually

GET = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello"
HOST = (b"host", b"shop.example")
SHORT = {"protection": {"timeout": "100ms"}}

MARKED = b"X-DataDomeResponse: 200\r\n"
MERGED = b"X-DataDome-headers: X-Shown\r\nX-Shown: 1\r\nX-DataDome-request-headers: X-Merged\r\nX-Merged: 1\r\n"


@dataclass(frozen=True)
class Failure:
    """A script of the Protection API and the reason under which it is counted."""

    id: str
    script: ScriptSource
    reason: str
    config: dict = field(default_factory=dict)


def raw(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join(lines) + b"\r\n" + MERGED + b"\r\n" + body


FAILURES = [
    Failure("closed-without-an-answer", [Step.CLOSE], "reset"),
    Failure("reset-without-an-answer", [Step.RESET], "reset"),
    Failure("reset-in-the-head", [b"HTTP/1.1 200 OK\r\nX-DataDomeResp", Step.RESET], "reset"),
    Failure("closed-in-the-head", [b"HTTP/1.1 200 OK\r\nX-DataDomeResponse: 200\r\n", Step.CLOSE], "reset"),
    Failure(
        "closed-in-the-body",
        [raw(b"HTTP/1.1 403 F", b"X-DataDomeResponse: 403", b"Content-Length: 9", body=b"no"), Step.CLOSE],
        "reset",
    ),
    Failure(
        "reset-in-the-body",
        [raw(b"HTTP/1.1 403 F", b"X-DataDomeResponse: 403", b"Content-Length: 9", body=b"no"), Step.RESET],
        "reset",
    ),
    Failure(
        "closed-in-a-chunk",
        [
            raw(b"HTTP/1.1 403 F", b"X-DataDomeResponse: 403", b"Transfer-Encoding: chunked", body=b"9\r\nno"),
            Step.CLOSE,
        ],
        "reset",
    ),
    Failure("hang", [Step.STALL], "timeout", SHORT),
    Failure("hang-in-the-head", [b"HTTP/1.1 200 OK\r\nX-DataDome", Step.STALL], "timeout", SHORT),
    Failure(
        "hang-in-the-body",
        [raw(b"HTTP/1.1 403 F", b"X-DataDomeResponse: 403", b"Content-Length: 9", body=b"no"), Step.STALL],
        "timeout",
        SHORT,
    ),
    Failure("interim-only", [b"HTTP/1.1 100 Continue\r\n\r\n", Step.STALL], "timeout", SHORT),
    Failure("garbage", [b"\x00\xff\x13garbage\r\n\r\n", Step.STALL], "protocol"),
    Failure("other-protocol", [b"SSH-2.0-OpenSSH_9.6\r\n", Step.STALL], "protocol"),
    Failure("status-not-a-number", [raw(b"HTTP/1.1 2x0 OK", b"Content-Length: 0"), Step.STALL], "protocol"),
    Failure(
        "two-lengths",
        raw(b"HTTP/1.1 200 OK", b"X-DataDomeResponse: 200", b"Content-Length: 0", b"Content-Length: 1"),
        "protocol",
    ),
    Failure(
        "length-and-chunked",
        raw(
            b"HTTP/1.1 200 OK",
            b"X-DataDomeResponse: 200",
            b"Content-Length: 3",
            b"Transfer-Encoding: chunked",
            body=b"0\r\n\r\n",
        ),
        "protocol",
    ),
    Failure("bad-length", raw(b"HTTP/1.1 200 OK", b"X-DataDomeResponse: 200", b"Content-Length: +0"), "protocol"),
    Failure(
        "bad-chunk",
        raw(b"HTTP/1.1 403 F", b"X-DataDomeResponse: 403", b"Transfer-Encoding: chunked", body=b"xyz\r\n"),
        "protocol",
    ),
    Failure(
        "nul-in-a-header",
        raw(b"HTTP/1.1 200 OK", b"X-DataDomeResponse: 200", b"X-A: a\x00b", b"Content-Length: 0"),
        "protocol",
    ),
    Failure(
        "folded-header",
        raw(b"HTTP/1.1 200 OK", b"X-DataDomeResponse: 200", b"X-A: a\r\n b", b"Content-Length: 0"),
        "protocol",
    ),
    Failure(
        "switching",
        raw(b"HTTP/1.1 101 Switching", b"X-DataDomeResponse: 101", b"Upgrade: x", b"Connection: upgrade"),
        "protocol",
    ),
    Failure(
        "oversized-body-declared",
        raw(b"HTTP/1.1 403 F", b"X-DataDomeResponse: 403", b"Content-Length: 2000", body=b"x" * 2000),
        "oversized",
        {"protection": {"max_answer_bytes": "1KiB"}},
    ),
    Failure(
        "oversized-body-chunked",
        raw(
            b"HTTP/1.1 403 F",
            b"X-DataDomeResponse: 403",
            b"Transfer-Encoding: chunked",
            body=b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n",
        ),
        "oversized",
        {"protection": {"max_answer_bytes": "1KiB"}},
    ),
    Failure(
        "oversized-body-endless",
        [raw(b"HTTP/1.1 403 F", b"X-DataDomeResponse: 403", body=b"x" * 2000), Step.STALL],
        "oversized",
        {"protection": {"max_answer_bytes": "1KiB"}},
    ),
    Failure(
        "oversized-head",
        raw(b"HTTP/1.1 200 OK", b"X-DataDomeResponse: 200", b"Content-Length: 0", b"X-A: " + b"a" * 300_000),
        "oversized",
    ),
    Failure("oversized-head-endless", [b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 400_000, Step.STALL], "oversized"),
    Failure("500", decision(500, to_response=[(b"X-Shown", b"1")], body=b"oops"), "status"),
    Failure("500-unmarked", decision(500, marker=None, body=b"oops"), "status"),
    Failure("502", decision(502, marker=None), "status"),
    Failure("503", decision(503), "status"),
    Failure("404", decision(404), "status"),
    Failure("204", decision(204, marker=None), "status"),
    Failure("307", decision(307, unlisted=[(b"Location", b"/loop")]), "status"),
    Failure("418", decision(418), "status"),
    Failure("400", decision(400, to_response=[(b"X-Shown", b"1")], to_request=[(b"X-Merged", b"1")]), "unauthorized"),
    Failure("400-unmarked", decision(400, marker=None), "unauthorized"),
    Failure("401-unmarked", decision(401, marker=None), "integrity"),
    Failure("403-other-marker", decision(403, marker=b"200"), "integrity"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.id)
async def test_failure_allow_serves_as_if_nothing_had_been_said(edge, failure):
    world = await edge(failure.config)
    world.protection.default = failure.script
    response = await world.ask(POST)
    assert (response.status, response.body) == (200, b"ok")
    assert response.values(b"x-shown") == []
    assert world.origin.relayed() == [HOST, (b"content-length", b"5")]
    assert world.origin.requests[0].body == b"hello"
    await world.counted("protection_failures", {(failure.reason,): 1})
    await world.counted("protection_checks", {("error",): 1})
    await world.counted("requests", {("shop", "POST", "2xx", "failed_open"): 1})


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.id)
async def test_failure_block_answers_503_and_the_origin_sees_nothing(edge, failure):
    protection = {"on_failure": "block", **failure.config.get("protection", {})}
    world = await edge({"protection": protection})
    world.protection.default = failure.script
    response = await world.ask(POST)
    assert response.status == 503
    assert response.values(b"x-shown") == []
    assert world.origin.connections == []
    await world.counted("protection_failures", {(failure.reason,): 1})
    await world.counted("requests", {("shop", "POST", "5xx", "failed_closed"): 1})


@pytest.mark.parametrize(("mode", "status"), [("allow", 200), ("block", 503)])
async def test_failure_refused_is_connect(edge, mode, status):
    world = await edge({"protection": {"on_failure": mode}})
    await world.protection.stop()
    assert (await world.ask(GET)).status == status
    await world.counted("protection_failures", {("connect",): 1})


@pytest.mark.parametrize(("mode", "status"), [("allow", 200), ("block", 503)])
async def test_failure_black_hole_is_over_within_the_budget(edge, mode, status):
    """An address that never answers the SYN: connecting is inside the one budget."""
    with BlackHole() as hole:
        endpoint = f"http://127.0.0.1:{hole.port}"
        world = await edge({"protection": {"on_failure": mode, "timeout": "100ms", "endpoint": endpoint}})
        assert (await world.ask(GET)).status == status
        counts = world.gateway.counts("protection_failures")
    assert counts in ({("timeout",): 1}, {("connect",): 1})


@pytest.mark.parametrize(("mode", "status"), [("allow", 200), ("block", 503)])
async def test_failure_tls_that_cannot_be_verified_is_connect(edge, certificates, mode, status):
    """The certificate is of an authority that this machine does not know: nothing of the payload leaves."""
    api = RecordingProtection(tls=certificates.server_context())
    await api.start()
    world = await edge({"protection": {"on_failure": mode, "endpoint": f"https://localhost:{api.port}"}})
    assert (await world.ask(GET)).status == status
    assert api.requests == []
    await world.counted("protection_failures", {("connect",): 1})
    await api.stop()


@pytest.mark.parametrize(("mode", "status"), [("allow", 200), ("block", 503)])
async def test_failure_full_pool_is_counted_when_the_budget_is_over(edge, mode, status):
    """One connection, held by a hanging check: the second waits its budget for it and no connection is opened."""
    world = await edge(
        {"protection": {"on_failure": mode, "timeout": "200ms", "pool": {"max_connections": 1, "warm": 0}}}
    )
    world.protection.default = [Step.STALL]
    async with await world.connect() as first, await world.connect() as second:
        first.send(GET)
        await world.protection.received(1)
        second.send(GET)
        assert [(await client.read_response()).status for client in (first, second)] == [status, status]
    failures = world.gateway.counts("protection_failures")
    assert failures in (
        {("timeout",): 1, ("pool_full",): 1},
        {("timeout",): 2},
    )  # 2: it got the one made free, too late
    assert max(connection.number for connection in world.protection.connections) <= 2


async def test_pool_waiting_check_gets_the_connection_that_comes_free(edge):
    """A bounded pool queues inside the budget; it never fails a check that can still be made."""
    world = await edge({"protection": {"pool": {"max_connections": 1, "warm": 0}}})
    gate = asyncio.Event()
    world.protection.scripts.append([gate, decision(200)])
    async with await world.connect() as first, await world.connect() as second:
        first.send(GET)
        await world.protection.received(1)
        second.send(GET)
        gate.set()
        assert [(await client.read_response()).status for client in (first, second)] == [200, 200]
    assert len(world.protection.connections) == 1
    await world.counted("protection_checks", {("allow",): 2})


async def test_failure_pool_full_alone_is_its_own_reason(edge):
    """A slow but answered check holds the only connection past the second check's whole budget."""
    world = await edge({"protection": {"timeout": "150ms", "pool": {"max_connections": 1, "warm": 0}}})
    world.protection.default = [Step.STALL]
    async with await world.connect() as first:
        first.send(GET)
        await world.protection.received(1)
        others = [await world.connect() for _ in range(4)]
        for client in others:
            client.send(GET)
        assert [(await client.read_response()).status for client in (first, *others)] == [200] * 5
        for client in others:
            await client.close()
    failures = world.gateway.counts("protection_failures")
    assert sum(failures.values()) == 5
    assert set(failures) <= {("timeout",), ("pool_full",)}
    assert failures.get(("pool_full",), 0) >= 3


KINDS = {
    "websocket": b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "grpc": b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nTE: trailers\r\n"
    b"Content-Length: 2\r\n\r\n\0\0",
    "expect": b"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    "head": b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n",
    "chunked": b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("sent", KINDS.values(), ids=KINDS)
async def test_failure_block_holds_for_every_kind_of_request(edge, sent):
    """D02: nothing slips past a closed gate because of what it looks like."""
    world = await edge({"protection": {"on_failure": "block"}})
    world.protection.default = decision(500)
    assert (await world.ask(sent)).status == 503
    assert world.origin.connections == []


@pytest.mark.parametrize("encoding", ["json", "form"])
async def test_check_of_an_absurd_request_keeps_the_budget_and_is_answered(edge, encoding):
    """Section 3: 24 kB after encoding, whatever the fields hold; cutting is counted and never a failure."""
    world = await edge({"protection": {"encoding": encoding, "field_limits": {"UserAgent": 30_000, "Referer": 30_000}}})
    world.protection.default = decision(403)
    fields = b"".join(name + b": " + b"\xc3\xa9" * 9000 + b"\r\n" for name in (b"User-Agent", b"Referer", b"Accept"))
    assert (await world.ask(GET[:-2] + fields + b"\r\n")).status == 403
    assert len(world.protection.requests[0].body) <= 24_576
    payload = world.protection.payload()
    assert (payload["IP"], payload["Request"], payload["Accept"]) == ("127.0.0.1", "/a", "é" * 256)
    truncated = world.gateway.counts("protection_payload_truncated")
    assert {labels[0] for labels in truncated} >= {"UserAgent", "Accept"}


# ---- answers that belong to nobody -----------------------------------------------------------------------------------


async def test_late_answer_belongs_to_nobody(edge):
    """The block of a check that timed out must not become the next request's answer."""
    world = await edge(SHORT)
    late = asyncio.Event()
    world.protection.scripts.append([late, decision(403, body=b"late")])
    async with await world.connect() as client:
        client.send(GET)
        assert (await client.read_response()).body == b"ok"
        late.set()
        client.send(GET)
        response = await client.read_response()
    assert (response.status, response.body) == (200, b"ok")
    assert [check.connection for check in world.protection.requests] == [1, 2]
    await world.counted("protection_failures", {("timeout",): 1})
    await world.counted("protection_checks", {("error",): 1, ("allow",): 1})


async def test_unsolicited_answer_on_an_idle_connection_belongs_to_nobody(edge):
    """Two answers to one check: the second must not be taken for the answer to the next check."""
    world = await edge()
    world.protection.scripts.append(decision(200) + decision(403, body=b"nobody's"))
    async with await world.connect() as client:
        for _ in range(2):
            client.send(GET)
            assert (await client.read_response()).status == 200
    assert [check.connection for check in world.protection.requests] == [1, 2]


async def test_unsolicited_answer_behind_a_block_is_no_part_of_it(edge):
    world = await edge()
    world.protection.scripts.append(decision(403, body=b"no") + decision(403, body=b"nobody's"))
    async with await world.connect() as client:
        client.send(GET)
        assert (await client.read_response()).body == b"no"
        client.send(GET)
        assert (await client.read_response()).body == b"ok"


async def test_unsolicited_answer_sent_while_idle_belongs_to_nobody(edge):
    world = await edge()
    gate = asyncio.Event()
    world.protection.scripts.append([decision(200), gate, decision(403), Step.STALL])
    async with await world.connect() as client:
        client.send(GET)
        assert (await client.read_response()).status == 200
        gate.set()
        await world.protection.lost(1)
        client.send(GET)
        assert (await client.read_response()).status == 200
    await world.counted("protection_checks", {("allow",): 2})


async def test_answer_with_connection_close_is_valid_and_its_connection_not_reused(edge):
    world = await edge()
    world.protection.scripts.append(
        b"HTTP/1.1 200 OK\r\nX-DataDomeResponse: 200\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    for _ in range(2):
        assert (await world.ask(GET)).status == 200
    assert [check.connection for check in world.protection.requests] == [1, 2]
    await world.counted("protection_checks", {("allow",): 2})


async def test_answer_before_the_check_was_read_is_taken(edge):
    """An API that answers early (a 403 by the head alone) has decided."""
    world = await edge()
    world.protection.default = [Step.EARLY, decision(403, body=b"no"), Step.BODY]
    assert (await world.ask(GET)).status == 403


# ---- the one repetition ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Step.CLOSE, Step.RESET])
async def test_reused_connection_found_dead_is_repeated_once_on_a_fresh_one(edge, end):
    world = await edge()
    world.protection.scripts.extend([decision(200), [end]])
    for _ in range(2):
        assert (await world.ask(GET)).status == 200
    assert [check.connection for check in world.protection.requests] == [1, 1, 2]
    await world.counted("protection_checks", {("allow",): 2})
    await world.counted("protection_failures", {})


async def test_fresh_connection_found_dead_is_not_repeated(edge):
    world = await edge()
    world.protection.default = [Step.CLOSE]
    assert (await world.ask(GET)).status == 200
    assert len(world.protection.requests) == 1
    await world.counted("protection_failures", {("reset",): 1})


async def test_reused_connection_dead_after_a_byte_is_not_repeated(edge):
    """`with no byte of an answer`, says the contract: this one had begun to answer."""
    world = await edge()
    world.protection.scripts.extend([decision(200), [b"HTTP/1.1", Step.RESET]])
    for _ in range(2):
        assert (await world.ask(GET)).status == 200
    assert len(world.protection.requests) == 2
    await world.counted("protection_failures", {("reset",): 1})


async def test_repetition_that_fails_too_is_one_failure(edge):
    world = await edge()
    world.protection.scripts.extend([decision(200), [Step.CLOSE], [Step.CLOSE]])
    for _ in range(2):
        assert (await world.ask(GET)).status == 200
    assert len(world.protection.requests) == 3
    await world.counted("protection_failures", {("reset",): 1})
    await world.counted("protection_checks", {("allow",): 1, ("error",): 1})


async def test_connection_closed_while_idle_costs_no_failure(edge):
    world = await edge()
    assert (await world.ask(GET)).status == 200
    world.protection.close_idle()
    await world.protection.lost(1)
    assert (await world.ask(GET)).status == 200
    await world.counted("protection_failures", {})
    await world.counted("protection_checks", {("allow",): 2})


async def test_api_restarted_is_used_again(edge):
    world = await edge()
    assert (await world.ask(GET)).status == 200
    await world.protection.stop()
    assert (await world.ask(GET)).status == 200
    await world.protection.start()
    world.protection.default = decision(403)
    assert (await world.ask(GET)).status == 403
    await world.counted("protection_checks", {("allow",): 1, ("error",): 1, ("block",): 1})


# ---- the breaker -----------------------------------------------------------------------------------------------------

BREAKER = {"protection": {"breaker": {"failures": 3, "window": "10s", "open": "100ms"}}}


@pytest.mark.parametrize(
    "script",
    [[Step.CLOSE], [b"\x00\r\n\r\n", Step.CLOSE], decision(500), decision(503, marker=None)],
    ids=["reset", "protocol", "500", "503"],
)
async def test_breaker_opens_after_failures_and_asks_no_more(edge, script):
    """D03: while open there is no call at all and the mode applies at once."""
    world = await edge({"protection": {"breaker": {"failures": 3, "window": "10s", "open": "60s"}}})
    world.protection.default = script
    for _ in range(6):
        assert (await world.ask(GET)).status == 200
    assert len(world.protection.requests) == 3
    assert world.gateway.counts("protection_failures")[("breaker_open",)] == 3
    assert world.gateway.gauge("protection_breaker_state") == 2
    await world.counted("protection_checks", {("error",): 6})


@pytest.mark.parametrize(
    "script", [decision(400), decision(404), decision(403, marker=None)], ids=["400", "404", "integrity"]
)
async def test_breaker_stays_closed_for_answers_of_a_living_api(edge, script):
    world = await edge({"protection": {"breaker": {"failures": 3, "window": "10s", "open": "60s"}}})
    world.protection.default = script
    for _ in range(6):
        assert (await world.ask(GET)).status == 200
    assert len(world.protection.requests) == 6
    assert world.gateway.gauge("protection_breaker_state") == 0


async def test_breaker_open_blocks_when_the_mode_is_block(edge):
    world = await edge(
        {"protection": {"on_failure": "block", "breaker": {"failures": 1, "window": "10s", "open": "60s"}}}
    )
    world.protection.default = [Step.CLOSE]
    assert [(await world.ask(GET)).status for _ in range(3)] == [503] * 3
    assert len(world.protection.requests) == 1
    assert world.origin.connections == []


async def test_breaker_probe_closes_it_again(edge):
    """After `open` one request is the probe; its success closes the breaker."""
    world = await edge(BREAKER)
    await world.protection.stop()
    for _ in range(4):
        await world.ask(GET)
    assert world.gateway.counts("protection_failures") == {("connect",): 3, ("breaker_open",): 1}
    await world.protection.start()
    world.protection.default = decision(403)

    async def blocked() -> None:
        while (await world.ask(GET)).status != 403:
            pass

    async with asyncio.timeout(5):
        await blocked()
    assert (await world.ask(GET)).status == 403
    assert world.gateway.gauge("protection_breaker_state") == 0


async def test_breaker_half_open_lets_one_probe_through_at_a_time(edge):
    world = await edge({"protection": {"timeout": "1s", "breaker": {"failures": 1, "window": "10s", "open": "50ms"}}})
    gate = asyncio.Event()
    world.protection.scripts.extend([[Step.CLOSE], [gate, decision(200)]])
    await world.ask(GET)
    while len(world.protection.requests) == 1:  # until `open` is over and one of these becomes the probe
        probe = asyncio.create_task(world.ask(GET))
        await eventually(lambda task=probe: task.done() or len(world.protection.requests) == 2, "an answer or a probe")
    assert world.gateway.gauge("protection_breaker_state") == 1
    assert [(await world.ask(GET)).status for _ in range(5)] == [200] * 5
    assert len(world.protection.requests) == 2
    gate.set()
    assert (await probe).status == 200
    assert (await world.ask(GET)).status == 200
    assert len(world.protection.requests) == 3


# ---- negotiation of the encoding -------------------------------------------------------------------------------------


async def test_encoding_auto_takes_json_where_it_is_answered(edge):
    protection = RecordingProtection()
    world = await edge({"protection": {"encoding": "auto"}}, protection=protection)
    assert (await world.ask(GET)).status == 200
    assert [check.head.value(b"content-type") for check in protection.requests] == [b"application/json"] * 2
    assert protection.payload(2)["Request"] == "/a"


async def test_encoding_auto_takes_form_where_json_is_refused(edge):
    protection = RecordingProtection()
    protection.default = lambda check: (
        decision(400) if check.head.value(b"content-type") == b"application/json" else decision(200)
    )
    world = await edge({"protection": {"encoding": "auto"}}, protection=protection)
    assert (await world.ask(GET)).status == 200
    kinds = [check.head.value(b"content-type") for check in protection.requests]
    assert kinds[0] == b"application/json"
    assert kinds[-1] == b"application/x-www-form-urlencoded"
    assert protection.payload(len(kinds))["Request"] == "/a"


async def test_encoding_auto_takes_form_until_an_unreachable_api_is_back(edge):
    protection = RecordingProtection()
    protection.reserve()
    world = await edge({"protection": {"encoding": "auto", "endpoint": f"http://127.0.0.1:{protection.port}"}})
    assert (await world.ask(GET)).status == 200
    await protection.start()
    assert (await world.ask(GET)).status == 200
    assert protection.requests[-1].head.value(b"content-type") == b"application/x-www-form-urlencoded"
    await protection.stop()
