"""The gateway's own webhook, against a listener that checks its signature."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fakes import eventually
from posture.standin.server import Fault, Received, StandIn
from posture.webhook.receiving import Receiving, posture_of, receiving

from gateway.config.posture import Posture
from gateway.posture.finding import Finding, Remediation
from gateway.posture.scan import Scan
from gateway.posture.severity import Severity
from gateway.posture.watching import Clock
from gateway.posture.webhook.service import Means

SECRET = "notify-secret"
NOW_S = 1_765_967_700.0


class Listener(StandIn):
    """Somebody who is told; keeps nothing that is not signed as the document says."""

    def __init__(self) -> None:
        super().__init__("/hook")
        self.told: list[dict[str, Any]] = []

    async def answer(self, call: Received) -> web.StreamResponse:
        expected = hmac.new(SECRET.encode(), call.body, hashlib.sha256).hexdigest()
        if call.method != "POST" or call.path != "/here" or call.headers.get("x-gateway-signature") != expected:
            return self.refuse_undocumented(f"{call.method} {call.path} {call.headers}")
        if call.headers["content-type"] != "application/json" or not call.headers["x-gateway-timestamp"].isdigit():
            return self.refuse_undocumented(str(call.headers))
        self.told.append(call.json)
        return web.Response(status=204)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as running:
        yield running
    assert running.undocumented == []


class Time:
    """Stands still, unless a test moves it."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def means(self) -> Means:
        return Means(clock=Clock(now_s=lambda: self.now_s, random=lambda: 1.0), refresh_s=0.005, unasked_s=0.01)


def a_finding(id: str = "F-001", severity: Severity = "critical", **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "provider": "ddactic", "scan": "scn_1", "title": f"Title of {id}", "description": "Directly accessible",
        "asset": "192.0.2.1", "port": 443, "cve": ("CVE-2021-44228",), "cvss": 9.8, "raw": {"private": "raw"},
        "remediation": Remediation("Restrict origin access", ("iptables -A INPUT -j DROP",)),
    }  # fmt: skip
    return Finding(id=id, severity=severity, **(values | changes))


def a_scan(id: str = "scn_1", completed_at: str = "2025-12-17T10:35:00Z") -> Scan:
    return Scan(id, "ddactic", "example.com", "passive", "completed", completed_at=completed_at, raw={})


Start = Callable[..., Any]


@pytest.fixture
def told(tmp_path: Path, listener: Listener) -> Start:
    """A service without a receiver that tells the listener."""

    @asynccontextmanager
    async def start(time: Time, **notify: Any) -> AsyncIterator[Receiving]:
        async with receiving(section(**notify), time.means()) as world:
            yield world

    def section(**notify: Any) -> Posture:
        keys = {"url": f"{listener.url}/here", "secret": SECRET, "retry": {"attempts": 3, "base": "10s", "max": "15s"}}
        return posture_of(tmp_path, webhooks=None, notify=keys | notify)

    return start


def results(world: Receiving) -> dict[tuple[str, ...], int]:
    return {labels: count for labels, count in world.service.metrics.posture_notices.values.items() if count}


def has_failed(world: Receiving, times: int) -> bool:
    return results(world) == {("failed",): times}


async def test_notice_new_open_finding_told_once_and_signed(told: Start, listener: Listener) -> None:
    time = Time()
    async with told(time) as world:
        world.store.put_result(a_scan(), [a_finding()], "2025-12-17T10:40:00Z")
        await eventually(lambda: results(world) == {("sent",): 1}, "the finding to be told")
        world.store.put_result(a_scan(), [a_finding(description="changed")])
        world.store.put_result(a_scan("scn_2", "2025-12-18T10:35:00Z"), [a_finding(scan="scn_2")])
        world.store.put_result(a_scan("scn_2", "2025-12-18T10:35:00Z"), [a_finding("F-002", scan="scn_2")])
        await eventually(lambda: results(world) == {("sent",): 2}, "the second finding to be told")
    assert listener.calls[0].headers["x-gateway-timestamp"] == "1765967700"
    assert listener.told[0] == {
        "event": "finding.new", "id": a_finding().fingerprint, "timestamp": "2025-12-17T10:35:00Z",
        "target": "example.com",
        "data": {
            "id": "F-001", "provider": "ddactic", "scan": "scn_1", "severity": "critical", "title": "Title of F-001",
            "description": "Directly accessible", "asset": "192.0.2.1", "port": 443, "cve": ["CVE-2021-44228"],
            "cvss": 9.8, "first_seen": "2025-12-17T10:40:00Z",
            "remediation": {"summary": "Restrict origin access", "commands": ["iptables -A INPUT -j DROP"]},
        },
    }  # fmt: skip
    assert [one["data"]["id"] for one in listener.told] == ["F-001", "F-002"]


async def test_notice_finding_below_the_severity_not_told(told: Start, listener: Listener) -> None:
    async with told(Time(), severity="high") as world:
        found = [a_finding(severity, severity) for severity in ("critical", "high", "medium", "low", "info")]
        world.store.put_result(a_scan(), found)
        await eventually(lambda: results(world) == {("sent",): 2}, "two findings to be told")
    assert {one["data"]["severity"] for one in listener.told} == {"critical", "high"}


@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=404), Fault(status=302, headers={"Location": "/hook/here"}),
              Fault(drop=True), Fault(garbage=b"no HTTP\r\n\r\n", drop=True)],
)  # fmt: skip
async def test_notice_that_was_not_taken_repeated_after_the_back_off(
    told: Start, listener: Listener, fault: Fault
) -> None:
    time = Time()
    listener.script(fault)
    async with told(time) as world:
        world.store.put_result(a_scan(), [a_finding()])
        await eventually(lambda: results(world) == {("failed",): 1}, "the first call to fail")
        assert listener.told == []
        assert world.store.due_notices(NOW_S + 9.9, 10) == []
        assert len(world.store.due_notices(NOW_S + 10, 10)) == 1
        time.now_s += 10
        await eventually(lambda: results(world) == {("failed",): 1, ("sent",): 1}, "the second call")
    assert len(listener.told) == 1
    assert listener.calls[-1].headers["x-gateway-timestamp"] == str(int(NOW_S) + 10)


async def test_notice_that_nobody_takes_abandoned_after_the_attempts(
    told: Start, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    time = Time()
    listener.script(*[Fault(status=503)] * 3)
    async with told(time) as world:
        world.store.put_result(a_scan(), [a_finding()])
        for failed in (1, 2):
            await eventually(functools.partial(has_failed, world, failed), "a call to fail")
            time.now_s += 20
        await eventually(lambda: results(world) == {("failed",): 2, ("abandoned",): 1}, "the last call to fail")
        assert world.store.due_notices(NOW_S * 2, 10) == []
    assert len(listener.calls) == 3 and listener.told == []
    assert "finding not told" in caplog.text and SECRET not in caplog.text


async def test_notice_not_taken_yet_told_after_a_restart(told: Start, listener: Listener) -> None:
    listener.script(Fault(status=503))
    async with told(Time()) as world:
        world.store.put_result(a_scan(), [a_finding()])
        await eventually(lambda: results(world) == {("failed",): 1}, "the first call to fail")
    later = Time()
    later.now_s += 10
    async with told(later) as world:
        await eventually(lambda: results(world) == {("sent",): 1}, "the finding to be told")


async def test_notice_listener_that_hangs_is_a_failure_in_time(told: Start, listener: Listener) -> None:
    listener.script(Fault(hang=True))
    async with told(Time(), timeout="100ms") as world:
        world.store.put_result(a_scan(), [a_finding()])
        await eventually(lambda: results(world) == {("failed",): 1}, "the call to fail")


async def test_notice_of_two_gateways_with_one_store_told_once(told: Start, listener: Listener) -> None:
    async with told(Time()) as first, told(Time()) as second:
        first.store.put_result(a_scan(), [a_finding(f"F-{number}") for number in range(30)])
        await eventually(lambda: len(listener.told) >= 30, "every finding to be told")
        await asyncio.gather(first.service._notifier.send_due(), second.service._notifier.send_due())
    assert sorted(one["data"]["id"] for one in listener.told) == sorted(f"F-{number}" for number in range(30))
