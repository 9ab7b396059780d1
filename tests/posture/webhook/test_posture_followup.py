"""What follows from events: readings of scans, repeated, bounded, and not lost by a restart."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes import eventually
from hypothesis import given
from hypothesis import strategies as st
from posture.standin.ddactic import DDacticStandIn
from posture.standin.server import Fault
from posture.webhook.receiving import Receiving, delivery, posture_of, receiving

from gateway.config.posture import Posture
from gateway.errors import NotFound, PlatformFailed, PlatformUnreachable, PostureStoreError, RateLimited
from gateway.posture.answer import Node
from gateway.posture.client.ddactic import DDactic
from gateway.posture.client.manner import Manner
from gateway.posture.client.vulnerability import read_findings, read_scan
from gateway.posture.event import Event
from gateway.posture.finding import Finding
from gateway.posture.scan import Scan, ScanResult
from gateway.posture.watching import Clock
from gateway.posture.webhook.followup import Patience
from gateway.posture.webhook.lease import Read
from gateway.posture.webhook.service import Means
from gateway.posture.webhook.told import told

KEY = {"key": "write-key", "base_url": "http://127.0.0.1:9"}
CONFIGURED = {"ddactic": KEY}
UNREACHABLE = PlatformUnreachable("ddactic", "GET /scans/scn_1", "no connection", maybe_taken=False)
PATIENCE = Patience(Manner(attempts=3, backoff_s=4.0, backoff_max_s=60.0), gather_s=0.0)


@dataclass
class FakePlatform:
    """Answers readings. faults: raised by the next ones, one each; gate: nobody is answered before it is set."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    faults: deque[Exception] = field(default_factory=deque)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    slept: list[float] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def read(self, provider: str, scan: str) -> ScanResult:
        self.calls.append((provider, scan))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if self.faults:
            raise self.faults.popleft()
        return result_of(provider, scan)

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        await asyncio.sleep(0)

    def means(self, patience: Patience = PATIENCE) -> Means:
        @asynccontextmanager
        async def reading(posture: Posture) -> AsyncIterator[Read]:
            yield self.read

        clock = Clock(sleep=self.sleep, random=lambda: 1.0)
        return Means(reading, patience, clock=clock, refresh_s=0.005)


def result_of(provider: str, scan: str) -> ScanResult:
    finding = Finding(
        "F-1", provider, scan, "critical", "Origin IP Exposed", "", "192.0.2.1", None, (), None, None, {"id": "F-1"}
    )
    return ScanResult(Scan(scan, provider, "example.com", "passive", "completed", risk_score=4.2, raw={}), (finding,))


def payload(event: str = "scan.completed", scan: str | None = "scn_1", **data: Any) -> dict[str, Any]:
    return {"event": event, "data": {"scan_id": scan, **data}}


@pytest.fixture
def platform() -> FakePlatform:
    made = FakePlatform()
    made.gate.set()
    return made


async def handled(world: Receiving) -> None:
    await eventually(lambda: not world.store.unhandled_events(10), "every event to be handled")


def errors(world: Receiving) -> list[str | None]:
    """Of every event: why it was given up. The store has no method for it, nobody but people ask."""
    with world.store._database._engine.connect() as connection:
        rows = connection.exec_driver_sql("select error from event order by arrival").scalars()
        return list(rows)


@pytest.mark.parametrize(
    ("provider", "event"),
    [("ddactic", name) for name in ("scan.started", "scan.completed", "scan.failed", "finding.new", "scan.unheard")]
    + [("cypersecurity", name) for name in ("scan.completed", "vulnerability.found", "critical.finding")],
)
async def test_followup_event_of_a_scan_or_finding_reads_and_stores_the_scan(
    tmp_path: Path, platform: FakePlatform, provider: str, event: str
) -> None:
    posture = posture_of(tmp_path, providers={"ddactic": KEY, "cypersecurity": KEY})
    async with receiving(posture, platform.means()) as world:
        assert await world.deliver(payload(event), provider) == 204
        await handled(world)
        assert platform.calls == [(provider, "scn_1")]
        scan = world.store.scan("scn_1", provider)
        assert scan is not None and (scan.status, scan.risk_score) == ("completed", 4.2)
        assert [finding.id for finding in world.store.findings(provider=provider)] == ["F-1"]
        assert errors(world) == [None]


@pytest.mark.parametrize(
    "sent", [payload("payment.success"), payload("trial.expiring"), payload(scan=None), payload("x")]
)
async def test_followup_event_that_concerns_no_scan_reads_nothing(
    tmp_path: Path, platform: FakePlatform, sent: dict[str, Any]
) -> None:
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means()) as world:
        assert await world.deliver(sent) == 204
        await handled(world)
        assert (platform.calls, world.store.scans()) == ([], ([], 0))


async def test_followup_several_events_of_one_scan_are_one_reading(tmp_path: Path, platform: FakePlatform) -> None:
    platform.gate.clear()
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means()) as world:
        assert await world.deliver(payload("scan.started")) == 204
        await eventually(lambda: platform.at_once, "the first reading")
        for number in range(20):
            assert await world.deliver(payload("finding.new", number=number)) == 204
        await eventually(lambda: len(world.service._followup._known) == 21, "all to be known")  # type: ignore[union-attr]
        platform.gate.set()
        await handled(world)
        assert platform.calls == [("ddactic", "scn_1")] * 2


async def test_followup_readings_at_a_time_bounded_and_one_platform_holds_up_no_other(
    tmp_path: Path, platform: FakePlatform
) -> None:
    platform.gate.clear()
    posture = posture_of(tmp_path, providers={"ddactic": KEY, "cypersecurity": KEY})
    async with receiving(posture, platform.means(Patience(concurrency=2, gather_s=0.0))) as world:
        for number in range(10):
            assert await world.deliver(payload(scan=f"scn_{number}")) == 204
        assert await world.deliver(payload(scan="scan_1"), "cypersecurity") == 204
        await eventually(lambda: ("cypersecurity", "scan_1") in platform.calls, "the other platform to be asked")
        assert platform.most_at_once == 3
        platform.gate.set()
        await handled(world)
        assert platform.most_at_once == 3
        assert world.store.scans()[1] == 11


@pytest.mark.parametrize(
    "fault",
    [UNREACHABLE, PlatformFailed("ddactic", "GET /scans/scn_1", 502, "", ""), TimeoutError(),
     RateLimited("ddactic", "GET /scans/scn_1", 429, "rate_limited", "")],
)  # fmt: skip
async def test_followup_failure_that_may_pass_repeated_with_back_off(
    tmp_path: Path, platform: FakePlatform, fault: Exception
) -> None:
    platform.faults.extend([fault, fault])
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means()) as world:
        assert await world.deliver(payload()) == 204
        await handled(world)
        assert (len(platform.calls), platform.slept, errors(world)) == (3, [4.0, 8.0], [None])
        assert world.store.scans()[1] == 1


async def test_followup_failure_that_does_not_pass_given_up_after_the_bound_and_logged(
    tmp_path: Path, platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.faults.extend([UNREACHABLE] * 5)
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means()) as world:
        assert await world.deliver(payload()) == 204
        await handled(world)
        assert (len(platform.calls), errors(world)) == (3, [str(UNREACHABLE)])
        assert "scan not read" in caplog.text
        platform.faults.clear()
        assert await world.deliver(payload("scan.failed")) == 204
        await eventually(lambda: world.store.scans()[1] == 1, "the next event to read the scan")


@pytest.mark.parametrize(
    ("fault", "error"),
    [(NotFound("ddactic", "GET /scans/scn_1", 404, "not_found", ""), "ddactic GET /scans/scn_1: 404 not_found"),
     (RuntimeError("a defect that quotes private"), "RuntimeError")],
)  # fmt: skip
async def test_followup_other_failure_given_up_at_once_and_logged(
    tmp_path: Path, platform: FakePlatform, caplog: pytest.LogCaptureFixture, fault: Exception, error: str
) -> None:
    platform.faults.append(fault)
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means()) as world:
        assert await world.deliver(payload()) == 204
        await handled(world)
        assert (len(platform.calls), errors(world)) == (1, [error])
    assert "scan not read" in caplog.text and "private" not in caplog.text


async def test_followup_platform_that_hangs_never_blocks_the_receiver(tmp_path: Path, platform: FakePlatform) -> None:
    platform.gate.clear()
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means()) as world:
        for number in range(30):
            assert await world.deliver(payload(scan=f"scn_{number}")) == 204
        assert len(world.store.unhandled_events(100)) == 30


async def test_followup_unhandled_events_read_after_a_restart_and_attempts_go_on_counting(
    tmp_path: Path, platform: FakePlatform
) -> None:
    posture = posture_of(tmp_path, providers=CONFIGURED)
    platform.faults.append(UNREACHABLE)

    async def forever(delay_s: float) -> None:
        await asyncio.Event().wait()

    waits = Means(platform.means().reading, PATIENCE, clock=Clock(sleep=forever))
    async with receiving(posture, waits) as world:
        assert await world.deliver(payload()) == 204
        followup = world.service._followup
        assert followup is not None
        await eventually(lambda: platform.calls and followup._pending, "the back-off")
    platform.faults.extend([UNREACHABLE, UNREACHABLE])
    async with receiving(posture, platform.means()) as world:
        await handled(world)
        assert (len(platform.calls), errors(world)) == (3, [str(UNREACHABLE)])


async def test_followup_more_events_than_a_round_takes_all_handled(tmp_path: Path, platform: FakePlatform) -> None:
    posture = posture_of(tmp_path, providers=CONFIGURED)
    patience = Patience(round_events=3, known_events=5, look_s=0.01, gather_s=0.0)
    async with receiving(posture_of(tmp_path), platform.means(Patience(look_s=1000))) as world:
        world.service._followup.wake = lambda: None  # type: ignore[method-assign, union-attr]
        events = [
            Event(f"{number:032x}", "ddactic", name, None, "2025-12-17T10:35:00Z", f"scn_{number}", {})
            for number, name in zip(range(30), itertools.cycle(["scan.completed", "x"]))
        ]
        await eventually(lambda: world.service._followup._thread._work_queue.empty(), "the first round")  # type: ignore[union-attr]
        world.store.put_events(events)
    async with receiving(posture, platform.means(patience)) as world:
        await handled(world)
        assert len(platform.calls) == len(set(platform.calls)) == world.store.scans()[1]


async def test_followup_store_that_fails_for_a_while_loses_nothing(tmp_path: Path, platform: FakePlatform) -> None:
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means()) as world:
        store = world.service._store
        assert store is not None
        real: Callable[..., Any] = store.put_result
        failures = deque([PostureStoreError("the disk is full")])

        def put_result(*arguments: Any, **options: Any) -> Any:
            if failures:
                raise failures.popleft()
            return real(*arguments, **options)

        store.put_result = put_result  # type: ignore[method-assign]
        assert await world.deliver(payload()) == 204
        await handled(world)
        assert (len(platform.calls), errors(world), world.store.scans()[1]) == (2, [None], 1)


async def test_followup_with_the_real_client_reads_what_the_platform_has(tmp_path: Path) -> None:
    with DDacticStandIn(polls=1) as ddactic:
        section = {
            "key": "write-key", "base_url": ddactic.url,
            "retry": {"attempts": 1}, "poll": {"interval": "10ms", "max": "10ms"},
        }  # fmt: skip
        async with DDactic("write-key", base_url=ddactic.url) as client:
            scan = await client.start_scan((await anext(client.domains())).id)
        assert scan.id is not None
        ddactic.finish(scan.id)
        ddactic.script(Fault(status=500))
        means = Means(patience=Patience(Manner(attempts=3, backoff_s=0.01), gather_s=0.0), refresh_s=0.005)
        async with receiving(posture_of(tmp_path, providers={"ddactic": section}), means) as world:
            assert await world.deliver(ddactic.event("scan.completed", scan.id)) == 204
            await handled(world)
            stored = world.store.scan(scan.id, "ddactic")
            assert stored is not None and stored.status == "completed"
            assert {finding.id for finding in world.store.findings(scan=scan.id)} == {"F-001", "F-002"}
            gauges = world.service.metrics.posture_findings.values
            await eventually(lambda: gauges.get(("ddactic", "critical")) == 1, "the gauges to follow")
            assert world.service.metrics.posture_risk_score.values == {("example.com",): 4.2}
        assert ddactic.undocumented == []


# ---- platforms without an account ------------------------------------------------------------------------------------

TOLD: dict[str, Any] = {
    "id": "F-001",
    "severity": "Critical",
    "title": "Origin IP Exposed",
    "affected_asset": "192.0.2.1",
    "remediation": {"summary": "Restrict origin access", "cli_commands": ["iptables -A INPUT -j DROP"]},
}


@pytest.mark.parametrize("data", [TOLD, {"finding": TOLD}])
async def test_followup_finding_of_a_platform_without_account_made_of_the_event(
    tmp_path: Path, platform: FakePlatform, data: dict[str, Any]
) -> None:
    async with receiving(posture_of(tmp_path), platform.means()) as world:
        assert await world.deliver(payload("finding.new", domain="example.com", **data)) == 204
        await handled(world)
        (finding,) = world.store.findings()
        assert (finding.id, finding.scan, finding.severity, finding.title) == (
            "F-001", "scn_1", "critical", "Origin IP Exposed"
        )  # fmt: skip
        assert finding.asset == "192.0.2.1" and finding.remediation is not None
        assert [one.id for one in world.store.current()] == ["F-001"]
        assert await world.deliver(payload("scan.completed", domain="example.com", risk_score=4.2)) == 204
        await handled(world)
        scan = world.store.scan("scn_1", "ddactic")
        assert scan is not None and (scan.status, scan.target) == ("completed", "example.com")
        assert world.store.risk_scores() == {"example.com": 4.2}
        assert platform.calls == []


@pytest.mark.parametrize(
    "sent",
    [payload("finding.new", title="No severity"), payload("finding.new", severity="high"),
     payload("finding.new", title="", severity="high"), payload("finding.new", title="x", severity="dreadful"),
     payload("finding.new", scan=None, title="x", severity="high"), payload("scan.completed", domain="example.com")],
)  # fmt: skip
async def test_followup_event_that_tells_too_little_stays_an_event(
    tmp_path: Path, platform: FakePlatform, sent: dict[str, Any]
) -> None:
    async with receiving(posture_of(tmp_path), platform.means()) as world:
        assert await world.deliver(sent) == 204
        await handled(world)
        assert (world.store.findings(), world.store.scans()) == ([], ([], 0))


async def test_followup_scan_that_cannot_be_read_leaves_what_the_event_told(
    tmp_path: Path, platform: FakePlatform
) -> None:
    platform.faults.append(NotFound("ddactic", "GET /scans/scn_1", 404, "not_found", ""))
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means()) as world:
        assert await world.deliver(payload("finding.new", **TOLD)) == 204
        await handled(world)
        assert [finding.id for finding in world.store.findings()] == ["F-001"]


async def test_followup_event_of_odd_values_is_handled_all_the_same(tmp_path: Path, platform: FakePlatform) -> None:
    odd: dict[str, Any] = {"title": "half \ud800", "severity": "high", "port": 10**40, "cvss_score": 10**400}
    async with receiving(posture_of(tmp_path), platform.means()) as world:
        body = json.dumps(payload("finding.new", **odd)).encode()
        assert (await world.ask(delivery(body))).status == 204
        await handled(world)
        (finding,) = world.store.findings()
        assert (finding.title, finding.port, finding.cvss) == ("half \ufffd", None, None)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["title", "severity", "port", "cvss_score", "cve_id", "remediation", "finding", "id", "asset", "risk_score"]


@given(st.dictionaries(st.sampled_from(KEYS), ODD), st.sampled_from(["finding.new", "critical.finding", "scan.failed"]))
def test_told_of_any_data_raises_nothing_and_has_a_fingerprint(data: dict[str, Any], name: str) -> None:
    event = Event("0" * 32, "ddactic", name, None, "2025-12-17T10:35:00Z", "scn_1", {"title": "t", **data})
    _, findings = told(event, None)
    assert all(len(finding.fingerprint) == 32 for finding in findings)


def test_told_late_event_leaves_a_scan_that_is_over_as_it_is() -> None:
    known = Scan("scn_1", "ddactic", "example.com", "full", "completed", started_at="2025-12-17T10:30:00Z")
    event = Event("0" * 32, "ddactic", "scan.started", None, "2025-12-17T10:50:00Z", "scn_1", {})
    scan, _ = told(event, known)
    assert scan is not None
    assert (scan.status, scan.type, scan.target, scan.completed_at) == ("completed", "full", "example.com", None)


def test_vulnerability_that_an_event_told_has_the_id_that_the_scan_will_give_it() -> None:
    raw = {"title": "Outdated Apache", "severity": "medium", "cvss_score": 5.3, "cve_id": "CVE-2021-1234", "port": 80}
    data = {"scan_id": "sc9", "target": "example.com", **raw}
    event = Event("e", "cypersecurity", "vulnerability.found", None, "2026-11-21T12:00:00Z", "sc9", data)
    answer = {
        "id": "sc9", "target": "example.com", "type": "nmap", "status": "completed",
        "results": {"vulnerabilities": [raw]},
    }  # fmt: skip
    _, (from_event,) = told(event, None)
    node = Node("cypersecurity", "GET /scans/sc9", answer)
    (from_scan,) = read_findings(node, read_scan(node))
    assert from_event.id == from_scan.id
