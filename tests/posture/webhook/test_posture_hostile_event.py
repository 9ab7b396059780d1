"""Events that a platform signed and that mean ill: kept, and harmless to what is shown, counted and reported."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from fakes import eventually
from posture.webhook.receiving import SECRETS, delivery, posture_of, receiving
from posture.webhook.test_posture_followup import CONFIGURED, PATIENCE, FakePlatform, handled, payload, result_of

from gateway.config.posture import Posture
from gateway.posture.client.redaction import DEPTH
from gateway.posture.document import MAX_ID
from gateway.posture.event import Event
from gateway.posture.operation.summary import summary
from gateway.posture.scan import Scan, ScanResult
from gateway.posture.signature import MAX_DEPTH, sign
from gateway.posture.store import Store
from gateway.posture.webhook.followup import Patience
from gateway.posture.webhook.gauge import read_standing
from gateway.posture.webhook.service import Means

FINDING = {"id": "f9", "title": "t \ud800", "severity": "low", "domain": "shop\udfff.example"}
LONG = "A" * 1_000_000


@pytest.mark.parametrize(
    ("told", "kept"),
    [("\ud800", "\ufffd"), ("a\udfff", "a\ufffd"), (LONG, None), ("x" * MAX_ID, "x" * MAX_ID),
     ("x" * (MAX_ID + 1), None), (10**300, None), (-5, "-5")],
)  # fmt: skip
async def test_event_with_an_odd_scan_id_stored_with_a_harmless_one(
    tmp_path: Path, told: str | int, kept: str | None
) -> None:
    async with receiving(posture_of(tmp_path)) as world:
        assert await world.deliver({"event": "finding.new", "data": {**FINDING, "scan_id": told}}) == 204
        event = world.event()
        assert (event.scan, event.data["scan_id"]) == (kept, told)
        await handled(world)
        shown = summary(world.store)
        assert len(orjson.dumps(shown)) < 10_000
        assert shown["total"] == (kept is not None)


async def test_event_name_is_cut_and_well_formed(tmp_path: Path) -> None:
    async with receiving(posture_of(tmp_path)) as world:
        assert await world.deliver({"event": "\ud800" + LONG, "data": {}}) == 204
        assert world.event().event == "\ufffd" + "A" * 196 + "..."


async def test_finding_with_a_long_id_or_target_of_an_event_is_kept_under_short_ones(tmp_path: Path) -> None:
    async with receiving(posture_of(tmp_path)) as world:
        sent = {**FINDING, "id": LONG[:9000], "domain": LONG[:9000], "affected_asset": "192.0.2.1", "scan_id": "scn_1"}
        assert await world.deliver({"event": "finding.new", "data": sent}) == 204
        await handled(world)
        (finding,) = world.store.findings()
        scan = world.store.scan("scn_1")
        assert len(finding.id) == 16 and scan is not None and scan.target is None


def test_summary_and_gauges_of_any_text_are_bounded_and_encodable(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/posture.db") as store:
        store.put_result(Scan("\ud800", "ddactic", LONG, LONG, "running", started_at="2025-12-17T10:35:00Z"))
        for number, target in enumerate((LONG + "1", LONG + "2", "half \ud800")):
            store.put_result(Scan(f"s{number}", "ddactic", target, "p", "completed", risk_score=float(9 - number)))
        assert len(orjson.dumps(summary(store))) < 5_000
        scores = read_standing(store, ()).risk_scores
    assert scores == {("A" * 197 + "...",): 9.0, ("half \ufffd",): 7.0}


@pytest.mark.parametrize(("levels", "status"), [(MAX_DEPTH, 204), (MAX_DEPTH + 1, 400)])
async def test_event_as_deep_as_is_read_is_searched_for_secrets_too(tmp_path: Path, levels: int, status: int) -> None:
    assert MAX_DEPTH == DEPTH
    lists = levels - 2  # within the payload and `data`
    body = b'{"event": "x", "data": {"a": ' + b"[" * lists + b"]" * lists + b"}}"
    async with receiving(posture_of(tmp_path)) as world:
        assert (await world.ask(delivery(body))).status == status


async def test_signature_that_is_none_costs_no_reading_of_the_body(tmp_path: Path) -> None:
    async with receiving(posture_of(tmp_path)) as world:
        verifier: Any = world.service._receiver._thread  # type: ignore[union-attr]
        body = b"[" * 100_000
        for signature in ("0" * 63, "zz" * 32, sign(body, "x") + " 0"):
            request = delivery(body, "cypersecurity", signature=signature)
            assert (await world.ask(request)).status == 401
        assert not verifier._threads
        assert (await world.ask(delivery(body, "cypersecurity", signature="0" * 64))).status == 401
        assert verifier._threads


# ---- one platform and the others -------------------------------------------------------------------------------------


async def test_platform_with_more_events_than_are_kept_holds_up_no_other(tmp_path: Path) -> None:
    platform = FakePlatform()
    account = CONFIGURED["ddactic"]
    posture = posture_of(tmp_path, providers={"ddactic": account, "cypersecurity": account})
    with Store.open(posture.store.get_secret_value()) as store:
        store.put_events([event_of(number, "ddactic") for number in range(50)] + [event_of(99, "cypersecurity")])
    async with receiving(posture, platform.means(Patience(round_events=5, known_events=10, gather_s=0.0))) as world:
        await eventually(lambda: ("cypersecurity", "scn_99") in platform.calls, "the other platform to be asked")
        assert await world.deliver(payload("payment.success")) == 204
        platform.gate.set()
        await handled(world)


def event_of(number: int, provider: str) -> Event:
    return Event(
        f"{number:032x}", provider, "scan.completed", None, "2025-12-17T10:35:00Z", f"scn_{number}", {"n": number}
    )


async def test_finding_that_the_store_refuses_costs_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    platform = FakePlatform()
    platform.gate.set()
    honest = result_of("ddactic", "scn_1")
    bad = replace(honest.findings[0], id=LONG)

    async def read(provider: str, scan: str) -> ScanResult:
        return ScanResult(honest.scan, (bad, *honest.findings))

    platform.read = read  # type: ignore[method-assign]
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means()) as world:
        assert await world.deliver(payload()) == 204
        await handled(world)
        assert [finding.id for finding in world.store.findings()] == ["F-1"]
    assert "findings not stored" in caplog.text


async def test_scan_that_the_store_refuses_is_logged_and_not_asked_for_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    platform = FakePlatform()

    async def read(provider: str, scan: str) -> ScanResult:
        platform.calls.append((provider, scan))
        return ScanResult(Scan(LONG, provider, "example.com", None, "completed"))

    platform.read = read  # type: ignore[method-assign]
    async with receiving(posture_of(tmp_path, providers=CONFIGURED), platform.means(PATIENCE)) as world:
        assert await world.deliver(payload()) == 204
        await handled(world)
        assert len(platform.calls) == 1
    assert "scan not stored" in caplog.text


# ---- reload ----------------------------------------------------------------------------------------------------------


async def test_reloads_leave_no_task_and_close_what_nobody_reads_with(tmp_path: Path) -> None:
    platform = FakePlatform()
    opened: list[Posture] = []
    closed: list[Posture] = []
    means = platform.means()

    class Reading:
        def __init__(self, posture: Posture) -> None:
            self.posture = posture

        async def __aenter__(self) -> Any:
            opened.append(self.posture)
            return platform.read

        async def __aexit__(self, *exception: object) -> None:
            closed.append(self.posture)

    posture = posture_of(tmp_path, providers=CONFIGURED)
    async with receiving(posture, replace(means, reading=Reading)) as world:
        before = len(world.service._tasks)
        assert await world.deliver(payload()) == 204
        await eventually(lambda: platform.at_once, "a reading to be under way")
        for _ in range(50):
            await world.service.reload(posture)
        await eventually(lambda: len(closed) == 49, "all but the first and the last to be closed")
        await eventually(lambda: len(world.service._tasks) == before + 1, "one task to wait for the reading")
        platform.gate.set()
        await eventually(lambda: len(closed) == 50, "the first to be closed after its reading")
        await eventually(lambda: len(world.service._tasks) == before, "no task to be left")
    assert len(opened) == len(closed) == 51


async def test_reload_without_webhooks_closes_the_receiver_and_with_them_opens_it(tmp_path: Path) -> None:
    webhooks = {"address": f"unix:{tmp_path}/s", "ddactic": {"secret": SECRETS["ddactic"]}}
    async with receiving(posture_of(tmp_path, webhooks=None), Means(drain_s=1.0)) as world:
        for _ in range(2):
            await world.service.reload(posture_of(tmp_path, webhooks=webhooks))
            assert await world.deliver({"event": "x", "data": {}}) == 204
            await world.service.reload(posture_of(tmp_path, webhooks=None))
            assert world.service.address is None
            with pytest.raises(OSError):
                await asyncio.open_unix_connection(f"{tmp_path}/s")
