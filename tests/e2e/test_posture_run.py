"""The posture process of `gateway run`: what a platform finds is stored, shown and blocked, and free again when it is
gone; whatever becomes of that process, traffic is never touched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browser import EXECUTABLE, chromium, visitor
from fakes import Client, RecordingOrigin, TruncatedError
from posture.command.commands import QUICK
from posture.standin.ddactic import DDacticStandIn
from posture.webhook.receiving import SECRETS, delivery
from processes import BROWSER, GatewayProcess, Load, exists, free_port, until
from prometheus_client.parser import text_string_to_metric_families

from gateway.posture.store import Store

KEY = "ddactic-key-of-the-run"
HOST = "shop.example"
INJECTION: dict[str, Any] = {
    "id": "F-100", "severity": "critical", "title": "SQL injection", "description": "A quote reaches the database.",
    "affected_asset": f"https://{HOST}/search?q=1", "remediation": {"summary": "Bind parameters", "cli_commands": []},
}  # fmt: skip
NOISE: dict[str, Any] = INJECTION | {"id": "F-101", "severity": "low", "title": "Server tells its version"}
POLICY = "preset: none\n"
"""The engine blocks nobody but for findings: a load is many requests of one visitor."""
RULE = {"name": "close", "match": {"severity": "critical"}, "do": "block_path"}


@dataclass
class Watched:
    """A gateway whose domain DDactic scans, and the platform's webhooks."""

    gateway: GatewayProcess
    ddactic: DDacticStandIn
    hook_port: int
    access_log: Path

    async def scan(self, *found: dict[str, Any]) -> str:
        """A scan of the domain that is completed with these findings, and the platform's word of it."""
        self.ddactic.findings = list(found)
        number = len(self.ddactic.scans) + 1
        call = {"domain_id": self.ddactic.domains[0]["id"], "type": "passive"}
        self.ddactic._start(self.ddactic.domains[0], call)
        scan_id = f"scn_{number:04}"
        self.ddactic.finish(scan_id)
        assert await self.tell(self.ddactic.event("scan.completed", scan_id)) == 204
        return scan_id

    async def tell(self, event: dict[str, Any], request: bytes = b"") -> int:
        """The status of the answer to a webhook; 0 while nobody listens."""
        try:
            async with await Client.connect(self.hook_port) as client:
                client.send(request or delivery(json.dumps(event).encode()))
                return (await client.read_response()).status
        except (OSError, TruncatedError):
            return 0

    async def status(self, path: str) -> int:
        """What a browser gets."""
        return (await self.gateway.ask(BROWSER.replace(b"GET / ", f"GET {path} ".encode()))).status

    async def metrics(self, name: str) -> dict[tuple[str, ...], float]:
        """Label values -> value."""
        text = (await self.gateway.admin(b"/metrics")).body.decode()
        return {
            tuple(sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples if sample.name == name
        }  # fmt: skip

    async def summary(self) -> Any:
        """`posture` of /status.json."""
        return json.loads((await self.gateway.admin(b"/status.json")).body)["posture"]

    async def decisions(self) -> list[tuple[str, int, str | None]]:
        """(path, status, rule) of the whole lines of the access log."""
        text = await asyncio.to_thread(self.access_log.read_text)
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [(line["target"], line["status"], line["rule"]) for line in lines]

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        with Store.open(f"sqlite:///{self.gateway.file.parent}/posture.db") as store:
            yield store

    def configured(self, **section: Any) -> dict[str, Any]:
        """The configuration with other keys of `posture`."""
        config = self.gateway.config
        return {**config, "posture": {**config["posture"], **section}}

    async def reloaded(self, config: dict[str, Any], *, ok: bool = True) -> None:
        before = await self.metrics("gateway_config_last_reload_timestamp_seconds")
        self.gateway.write(config)
        self.gateway.signal(signal.SIGHUP)

        async def done() -> bool:
            seen = await self.gateway.samples("gateway_config_last_reload_successful")
            changed = await self.metrics("gateway_config_last_reload_timestamp_seconds") != before
            return (changed or not ok) and seen[""] == ok

        await until(done, f"the reload to be {'taken' if ok else 'refused'}; the log:\n{self.gateway.log}")


@pytest.fixture
def engine(tmp_path: Path) -> dict[str, str]:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    return {"policy": str(policy)}


@pytest.fixture
async def watched(run: Any, engine: dict[str, str], tmp_path: Path) -> AsyncIterator[Watched]:
    port = free_port()
    log = tmp_path / "access.log"
    with DDacticStandIn(domains=[HOST], keys={KEY: "write"}) as ddactic:
        gateway = await run(
            posture={
                "providers": {"ddactic": {"base_url": ddactic.url, "key": KEY, **QUICK}},
                "webhooks": {"address": f"127.0.0.1:{port}", "ddactic": {"secret": SECRETS["ddactic"]}},
                "actions": {"rules": [RULE]},
            },
            engine=engine, logging={"access_log": str(log), "level": "info"},
        )  # fmt: skip
        made = Watched(gateway, ddactic, port, log)
        await until(lambda: listening(made), f"the receiver; the log:\n{gateway.log}")
        yield made
        assert ddactic.undocumented == []
        await gateway.stop()
        written = gateway.log + log.read_text()
        assert [text for text in (KEY, SECRETS["ddactic"], "Traceback") if text in written] == [], gateway.log


async def listening(watched: Watched) -> bool:
    return await watched.tell({}, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == 200


# ---- the loop --------------------------------------------------------------------------------------------------------


async def test_run_finding_is_shown_and_its_path_blocked_until_a_scan_finds_it_no_more(watched: Watched) -> None:
    assert [await watched.status(path) for path in ("/", "/search?q=1")] == [200, 200]
    scan_id = await watched.scan(INJECTION, NOISE)

    async def blocked() -> bool:
        return await watched.status("/search?q=1") == 403

    await until(blocked, f"the finding's path to be blocked; the log:\n{watched.gateway.log}")
    paths = ("/search", "/search/", "/search/deep", "/%73earch", "/searching", "/", "/other")
    assert [await watched.status(path) for path in paths] == [403, 403, 403, 403, 200, 200, 200]

    async def logged() -> bool:
        return len([one for one in await watched.decisions() if one[1] == 403]) >= 5

    await until(logged, "the access log")
    assert {one for one in await watched.decisions() if one[1] == 403} == {
        (path, 403, "patch-close") for path in paths[:4]
    }  # fmt: skip
    with watched.store() as store:
        assert [(one.scan, one.id, one.severity) for one in store.findings()] == [
            (scan_id, "F-100", "critical"), (scan_id, "F-101", "low")
        ]  # fmt: skip
        assert [(one["event"], one["name"], one["paths"]) for one in store.action_records(10)] == [
            ("started", "close", ["/search"])
        ]
    await until(lambda: counted(watched, critical=1, low=1), "the metrics")
    assert await watched.metrics("gateway_posture_risk_score") == {(HOST,): 4.2}
    assert (await watched.metrics("gateway_posture_webhooks_total"))["ddactic", "stored"] == 1
    await until(lambda: total(watched, 2), "the summary")
    summary = await watched.summary()
    assert summary["severities"] == {"critical": 1, "high": 0, "medium": 0, "low": 1, "info": 0}
    assert [(site["site"], site["critical"], site["low"]) for site in summary["sites"]] == [(HOST, 1, 1)]
    assert [finding["title"] for finding in summary["findings"]] == ["SQL injection", "Server tells its version"]
    if EXECUTABLE:
        await assert_dashboard_shows(watched, "SQL injection", HOST)


    await killed(watched)
    await watched.scan(NOISE)

    async def free() -> bool:
        return await watched.status("/search?q=1") == 200

    await until(free, "the path to be free again")
    await until(lambda: counted(watched, low=1), "the metrics to follow")
    with watched.store() as store:
        assert [one["event"] for one in store.action_records(10)] == ["ended", "started"]
    watched.gateway.signal(signal.SIGTERM)
    assert await watched.gateway.exited() == 0


async def killed(watched: Watched) -> None:
    """The posture process dies at once and is replaced; traffic, the other processes and the block stay as they are."""
    (first,) = watched.gateway.children("posture")
    others = set(watched.gateway.children()) - {first}
    async with Load(watched.gateway.port, 2) as load:
        os.kill(first, signal.SIGKILL)

        async def replaced() -> bool:
            return watched.gateway.children("posture") not in ([], [first]) and await listening(watched)

        await until(replaced, "a new posture process")
        assert await watched.status("/search") == 403, "the block outlives the process that asked for it"
        await load.more(50)
    assert (load.errors, set(load.statuses)) == ([], {200})
    assert set(watched.gateway.children()) - {first} > others


async def counted(watched: Watched, **severities: int) -> bool:
    found = await watched.metrics("gateway_posture_findings")
    return {severity: count for (_, severity), count in found.items() if count} == severities


async def total(watched: Watched, count: int) -> bool:
    return bool((await watched.summary()).get("total") == count)


async def assert_dashboard_shows(watched: Watched, *texts: str) -> None:
    """As a person sees it: the section is there, and the rows are in it."""
    async with chromium() as browser, visitor(browser) as context:
        page = await context.new_page()
        await page.goto(f"http://127.0.0.1:{watched.gateway.admin_port}/")
        for text in texts:
            await page.wait_for_selector(f"#posture >> text={text}", timeout=20_000)
        row = await page.inner_text("#findings tr:has-text('SQL injection')")
    assert [part for part in ("critical", "SQL injection", HOST, "ddactic") if part not in row] == []


# ---- reload ----------------------------------------------------------------------------------------------------------


async def test_run_reload_changes_secrets_and_rules_and_refuses_what_needs_a_restart(watched: Watched) -> None:
    event = {"event": "scan.note", "data": {"n": 1}}
    hooks = watched.gateway.config["posture"]["webhooks"] | {"ddactic": {"secret": "another-hook-secret"}}
    await watched.reloaded(watched.configured(actions={"rules": [RULE | {"dry_run": True}]}))
    await watched.scan(INJECTION)
    await until(lambda: counted(watched, critical=1), "the finding")
    async with Load(watched.gateway.port, 2) as load:
        assert await watched.status("/search") == 200
        await watched.reloaded(watched.configured(webhooks=hooks))  # and the rule without its dry run
        assert await watched.tell(event) == 401

        async def blocked() -> bool:
            return await watched.status("/search") == 403

        await until(blocked, "the path to be blocked")
        await watched.reloaded(watched.configured(store="sqlite:///other.db"), ok=False)
        assert "posture.store" in watched.gateway.log
        assert await watched.tell(event) == 401, "the former configuration stays"
        await watched.reloaded(watched.gateway.config)
        assert await watched.tell(event) == 204
    assert (load.errors, set(load.statuses)) == ([], {200})
    assert (await watched.gateway.samples("gateway_worker_restarts_total"))[""] == 0


async def test_run_reload_brings_the_posture_process_and_takes_it_away(run: Any, engine: dict[str, str]) -> None:
    gateway: GatewayProcess = await run(engine=engine)
    assert gateway.children("posture") == []
    async with Load(gateway.port, 2) as load:
        gateway.write({**gateway.config, "posture": {"providers": {"embedded": {}}}})
        gateway.signal(signal.SIGHUP)

        async def summed() -> bool:
            posture = json.loads((await gateway.admin(b"/status.json")).body)["posture"]
            return posture is not None and posture.get("total") == 0

        await until(summed, "the posture process")
        (process,) = gateway.children("posture")
        gateway.write(gateway.config)
        gateway.signal(signal.SIGHUP)

        async def gone() -> bool:
            return not exists(process)

        await until(gone, "the posture process to end")
        assert json.loads((await gateway.admin(b"/status.json")).body)["posture"] is None
        await load.more(20)
    assert (load.errors, set(load.statuses)) == ([], {200})


# ---- start and end ---------------------------------------------------------------------------------------------------


async def test_run_posture_that_cannot_start_is_told_and_traffic_flows(run: Any, unused_port: int) -> None:
    posture = {"store": f"postgresql://nobody:secret-of-the-store@127.0.0.1:{unused_port}/posture",
               "providers": {"embedded": {}}}  # fmt: skip
    gateway: GatewayProcess = await run(posture=posture)

    async def told() -> bool:
        status = json.loads((await gateway.admin(b"/status.json")).body)
        return any(one["part"] == "posture" and "cannot start" in one["reason"] for one in status["degraded"])

    await until(told, "the status to say so")
    assert (await gateway.ask(BROWSER)).status == 200
    assert await gateway.admin_status(b"/readyz") == 200
    gateway.signal(signal.SIGTERM)
    assert await gateway.exited() == 0
    assert "secret-of-the-store" not in gateway.log


async def test_run_sigterm_keeps_every_event_that_was_accepted(watched: Watched, origin: RecordingOrigin) -> None:
    """The receiver answers who is being answered, while the workers finish what is in flight."""
    accepted: list[int] = []
    over = asyncio.Event()

    async def platform(first: int) -> None:
        for number in range(first, 1_000_000, 4):
            event = {"event": "scan.note", "data": {"n": number}}
            if over.is_set() or await watched.tell(event) != 204:
                return
            accepted.append(number)

    platforms = [asyncio.create_task(platform(first)) for first in range(4)]

    async def busy() -> bool:
        return len(accepted) > 20

    await until(busy, "some events")
    gate = asyncio.Event()
    origin.scripts.append([gate, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
    seen = len(origin.requests)
    async with await Client.connect(watched.gateway.port) as client:
        client.send(BROWSER)
        await origin.received(seen + 1)
        watched.gateway.signal(signal.SIGTERM)

        async def draining() -> bool:
            return await watched.gateway.admin_status(b"/readyz") in (0, 503)

        await until(draining, "readiness to end")
        gate.set()
        assert (await client.read_response()).status == 200
    assert await watched.gateway.exited() == 0
    over.set()
    await asyncio.gather(*platforms)
    with watched.store() as store:
        assert set(accepted) <= {event.data["n"] for event in store.events()}
