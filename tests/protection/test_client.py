"""The Protection API's client over real sockets: the call's bytes, its one end, its deadline, its breaker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import RecordingProtection, ScriptSource, Step, decision, eventually

from gateway.metrics import Metrics
from gateway.pool.address import parse_server
from gateway.pool.pool import Pool, PoolLimits
from gateway.protection import client as client_module
from gateway.protection.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from gateway.protection.client import ProtectionClient
from gateway.protection.decision import Decision, Verdict


@dataclass
class Waiting:
    """An asker that notes its decisions: there must be exactly one."""

    decisions: list[Decision] = field(default_factory=list)

    def on_decision(self, decision: Decision) -> None:
        self.decisions.append(decision)

    async def decided(self) -> Decision:
        await eventually(lambda: self.decisions, "a decision")
        assert len(self.decisions) == 1
        return self.decisions[0]


@dataclass
class Bench:
    client: ProtectionClient
    metrics: Metrics

    async def ask(self, body: bytes = b"{}", *, session_by_header: bool = False) -> Decision:
        asker = Waiting()
        self.client.ask(body, asker, session_by_header=session_by_header)
        return await asker.decided()

    @property
    def failures(self) -> dict[tuple[str, ...], int]:
        return {labels: count for labels, count in self.metrics.protection_failures.values.items() if count}

    @property
    def checks(self) -> dict[tuple[str, ...], int]:
        return {labels: count for labels, count in self.metrics.protection_checks.values.items() if count}


MakeBench = Callable[..., Bench]


@pytest.fixture
async def api() -> AsyncIterator[RecordingProtection]:
    server = RecordingProtection()
    await server.start()
    yield server
    await server.stop()
    assert server.violations == []


@pytest.fixture
async def bench(api: RecordingProtection) -> AsyncIterator[MakeBench]:
    made: list[Bench] = []

    def make(
        url: str | None = None,
        *,
        timeout_s: float = 5.0,
        max_connections: int = 4,
        max_waiting: int = 100,
        failures: int = 1000,
        open_s: float = 1000.0,
        max_answer_bytes: int = 1000,
        **options: Any,
    ) -> Bench:
        limits = PoolLimits(max_connections, max_connections, 60.0, 5.0, max_waiting=max_waiting, max_head_bytes=1000)
        metrics = Metrics()
        client = ProtectionClient(
            Pool(parse_server(url or f"http://127.0.0.1:{api.port}"), limits),
            Breaker(failures, 1000.0, open_s),
            metrics,
            endpoint="api",
            timeout_s=timeout_s,
            max_answer_bytes=max_answer_bytes,
            **{"encoding": "json", "strict": True, "enforce_429": True, **options},
        )
        made.append(Bench(client, metrics))
        return made[-1]

    yield make
    for one in made:
        one.client.pool.abort()


# ---- the call ----


async def test_call_is_the_contract_s_bytes(bench: MakeBench, api: RecordingProtection) -> None:
    one = bench(encoding="json")
    await one.ask(b'{"Key":"k"}')
    assert api.requests[0].head.raw + api.requests[0].body == (
        b"POST /validate-request HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: DataDome\r\n"
        b"Content-Type: application/json\r\nAccept-Encoding: identity\r\nContent-Length: 11\r\n\r\n"
        b'{"Key":"k"}' % api.port
    )


async def test_call_says_its_encoding_its_prefix_and_where_the_session_came_from(
    bench: MakeBench, api: RecordingProtection
) -> None:
    one = bench(f"http://127.0.0.1:{api.port}/pre%20fix/", encoding="form")
    await one.ask(b"Key=k", session_by_header=True)
    head = api.requests[0].head
    assert head.start == b"POST /pre%20fix/validate-request HTTP/1.1"
    assert head.value(b"content-type") == b"application/x-www-form-urlencoded"
    assert head.value(b"x-datadome-x-set-cookie") == b"true"
    one.client.use_encoding("json")
    await one.ask()
    assert api.requests[1].head.value(b"content-type") == b"application/json"
    assert api.requests[1].head.value(b"x-datadome-x-set-cookie") is None


async def test_calls_share_kept_connections(bench: MakeBench, api: RecordingProtection) -> None:
    one = bench()
    for _ in range(5):
        assert (await one.ask()).verdict is Verdict.ALLOW
    assert len(api.connections) == 1
    assert one.checks == {("allow",): 5}


@pytest.mark.parametrize(
    ("script", "verdict", "label"),
    [
        (decision(200), Verdict.ALLOW, "allow"),
        (decision(403, body=b"no"), Verdict.BLOCK, "block"),
        (decision(301), Verdict.REDIRECT, "redirect"),
        (decision(302), Verdict.REDIRECT, "redirect"),
        (decision(429), Verdict.BLOCK, "block"),
    ],
)
async def test_answer_is_one_decision_and_counted_once(
    bench: MakeBench, api: RecordingProtection, script: bytes, verdict: Verdict, label: str
) -> None:
    api.default = script
    one = bench()
    found = await one.ask()
    assert (found.verdict, found.body) == (verdict, b"no" if label == "block" and b"403" in script[:20] else b"")
    assert (one.checks, one.failures, len(api.requests)) == ({(label,): 1}, {}, 1)


# ---- failures, each with its reason ----

CLOSING = b"HTTP/1.1 200 OK\r\nX-DataDomeResponse: 200\r\nContent-Length: 5\r\n\r\nhe"


@pytest.mark.parametrize(
    ("script", "reason", "counted_by_breaker"),
    [
        ([Step.RESET], "reset", True),
        ([Step.CLOSE], "reset", True),
        ([CLOSING, Step.CLOSE], "reset", True),
        ([b"garbage\r\n\r\n", Step.CLOSE], "protocol", True),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Step.CLOSE], "protocol", True),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000 + b"\r\n\r\n", Step.CLOSE], "oversized", True),
        (decision(403, body=b"x" * 1001), "oversized", True),
        (decision(500), "status", True),
        (decision(503, marker=None), "status", True),
        (decision(404), "status", False),
        (decision(400), "unauthorized", False),
        (decision(403, marker=b"200"), "integrity", False),
        (decision(200, marker=None), "integrity", False),
    ],
)
async def test_call_without_a_valid_decision_has_its_reason_counted_and_told_to_the_breaker(
    bench: MakeBench, api: RecordingProtection, script: ScriptSource, reason: str, counted_by_breaker: bool
) -> None:
    api.default = script
    one = bench(failures=1)
    found = await one.ask()
    assert (found.verdict, found.reason) == (Verdict.ERROR, reason)
    assert (found.request_lines, found.response_lines, found.reply_headers) == (b"", b"", ())
    assert (one.checks, one.failures) == ({("error",): 1}, {(reason,): 1})
    assert (one.client.breaker.state == OPEN) is counted_by_breaker
    assert reason in one.client.degraded_reason or "400" in one.client.degraded_reason


async def test_answer_of_exactly_the_limit_is_taken(bench: MakeBench, api: RecordingProtection) -> None:
    api.default = decision(403, body=b"x" * 1000)
    assert len((await bench().ask()).body) == 1000


async def test_call_refused_is_connect(bench: MakeBench, unused_port: int) -> None:
    one = bench(f"http://127.0.0.1:{unused_port}")
    assert (await one.ask()).reason == "connect"
    assert one.failures == {("connect",): 1}


@pytest.mark.parametrize(
    "script",
    [
        [Step.STALL],
        [b"HTTP/1.1 200 OK\r\n", Step.STALL],
        [CLOSING, Step.STALL],
        [b"HTTP/1.1 100 Continue\r\n\r\n", Step.STALL],
    ],
)
async def test_call_unanswered_is_a_timeout_and_its_connection_is_closed(
    bench: MakeBench, api: RecordingProtection, script: ScriptSource
) -> None:
    api.default = script
    one = bench(timeout_s=0.05)
    assert (await one.ask()).reason == "timeout"
    await api.lost(1)
    assert one.client.pool.busy_count == 0


async def test_calls_overdue_end_in_their_own_time(bench: MakeBench, api: RecordingProtection) -> None:
    api.default = [Step.STALL]
    one = bench(timeout_s=0.05)
    askers = [Waiting() for _ in range(4)]
    for asker in askers:
        one.client.ask(b"{}", asker, session_by_header=False)
    assert [(await asker.decided()).reason for asker in askers] == ["timeout"] * 4
    api.default = decision(200)
    assert (await one.ask()).verdict is Verdict.ALLOW


async def test_call_that_waits_for_a_full_pool_past_its_budget_is_pool_full(
    bench: MakeBench, api: RecordingProtection
) -> None:
    one = bench(timeout_s=0.05, max_connections=1)
    await one.ask()
    held = one.client.pool.take_idle()
    assert held is not None and one.client.pool.is_full
    assert (await one.ask()).reason == "pool_full"
    one.client.pool.take_back(held)
    assert (await one.ask()).verdict is Verdict.ALLOW
    assert len(api.connections) == 1


async def test_call_to_a_full_queue_is_pool_full_at_once(bench: MakeBench) -> None:
    one = bench(max_waiting=0)
    asker = Waiting()
    assert one.client.ask(b"{}", asker, session_by_header=False) is None
    assert [decision.reason for decision in asker.decisions] == ["pool_full"]
    assert (one.checks, one.failures) == ({("error",): 1}, {("pool_full",): 1})


# ---- what is said about it ----


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(500, "last check failed: status"), (400, "the API refuses the key or the payload (400)")],
)
async def test_degraded_after_a_failed_check_until_one_succeeds(
    bench: MakeBench, api: RecordingProtection, answer: int, reason: str
) -> None:
    api.scripts.append(decision(answer))
    one = bench()
    await one.ask()
    assert one.client.degraded_reason == reason
    await one.ask()
    assert one.client.degraded_reason == ""


@pytest.mark.parametrize(("failures", "quiet_s"), [(1000, 30.0), (1, 1000.0 + 30.0)], ids=["closed", "open"])
async def test_degraded_without_further_checks_is_forgotten(
    bench: MakeBench, api: RecordingProtection, monkeypatch: pytest.MonkeyPatch, failures: int, quiet_s: float
) -> None:
    """An idle worker asks nothing: nothing could tell it that the API is back. An open breaker has its time first."""
    api.default = decision(500)
    one = bench(failures=failures, open_s=1000.0)
    await one.ask()
    failed_s = one.client._failed_at_s
    monkeypatch.setattr(client_module, "time", SimpleNamespace(monotonic=lambda: failed_s + quiet_s - 1.0))
    assert one.client.degraded_reason != ""
    monkeypatch.setattr(client_module, "time", SimpleNamespace(monotonic=lambda: failed_s + quiet_s))
    assert one.client.degraded_reason == ""


# ---- dead kept connections, cancelled calls ----


async def test_call_on_a_dead_kept_connection_is_repeated_once_on_a_fresh_one(
    bench: MakeBench, api: RecordingProtection
) -> None:
    one = bench()
    await one.ask()
    api.scripts.append([Step.RESET])
    assert (await one.ask()).verdict is Verdict.ALLOW
    assert [request.connection for request in api.requests] == [1, 1, 2]
    assert one.failures == {}


async def test_call_on_a_fresh_connection_is_never_repeated(bench: MakeBench, api: RecordingProtection) -> None:
    one = bench()
    await one.ask()
    api.scripts.extend([[Step.RESET], [Step.RESET]])
    assert (await one.ask()).reason == "reset"
    assert len(api.requests) == 3


async def test_call_answered_in_part_is_never_repeated(bench: MakeBench, api: RecordingProtection) -> None:
    one = bench()
    await one.ask()
    api.scripts.append([b"HTTP/1.1 2", Step.RESET])
    assert (await one.ask()).reason == "reset"
    assert len(api.requests) == 2


async def test_call_cancelled_tells_nobody_and_keeps_the_connection(bench: MakeBench, api: RecordingProtection) -> None:
    gate = asyncio.Event()
    api.scripts.append([gate, decision(403)])
    one = bench()
    asker = Waiting()
    call = one.client.ask(b"{}", asker, session_by_header=False)
    assert call is not None
    await api.completed(1)
    call.cancel()
    gate.set()
    await eventually(lambda: one.client.pool.idle_count, "the connection to come back")
    assert asker.decisions == []
    assert (await one.ask()).verdict is Verdict.ALLOW
    assert len(api.connections) == 1


async def test_call_cancelled_while_waiting_asks_and_counts_nothing(bench: MakeBench, api: RecordingProtection) -> None:
    one = bench()
    asker = Waiting()
    call = one.client.ask(b"{}", asker, session_by_header=False)
    assert call is not None
    call.cancel()
    await eventually(lambda: one.client.pool.idle_count, "the connection that was being opened")
    assert (api.requests, asker.decisions, one.checks) == ([], [], {})


# ---- breaker ----


async def test_breaker_open_answers_at_once_without_a_call(bench: MakeBench, api: RecordingProtection) -> None:
    api.default = decision(500)
    one = bench(failures=3)
    for _ in range(3):
        await one.ask()
    asker = Waiting()
    assert one.client.ask(b"{}", asker, session_by_header=False) is None
    assert [decision.reason for decision in asker.decisions] == ["breaker_open"]
    assert len(api.requests) == 3
    assert one.failures == {("status",): 3, ("breaker_open",): 1}
    assert one.checks == {("error",): 4}
    assert one.client.degraded_reason == "breaker open, last failure: status"


async def test_breaker_half_open_probes_and_closes(bench: MakeBench, api: RecordingProtection) -> None:
    api.scripts.append(decision(500))
    one = bench(failures=1, open_s=0.0)
    await one.ask()
    assert one.client.breaker.state == OPEN
    assert (await one.ask()).verdict is Verdict.ALLOW
    assert (one.client.breaker.state, one.client.degraded_reason) == (CLOSED, "")


async def test_breaker_half_open_lets_one_probe_pass_at_a_time(bench: MakeBench, api: RecordingProtection) -> None:
    one = bench(failures=1, open_s=1000.0)
    one.client.breaker.failed(-10_000.0)  # opened long ago: the next call is the probe
    gate = asyncio.Event()
    api.scripts.append([gate, decision(200)])
    probe, second = Waiting(), Waiting()
    one.client.ask(b"{}", probe, session_by_header=False)
    one.client.ask(b"{}", second, session_by_header=False)
    assert one.client.breaker.state == HALF_OPEN
    assert (await second.decided()).reason == "breaker_open"
    gate.set()
    assert (await probe.decided()).verdict is Verdict.ALLOW
    assert one.client.breaker.state == CLOSED
