"""The whole service: its process, signals, bursts, kill -9, reload, and the supervisor's part."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import Client, TruncatedError, eventually
from posture.webhook.receiving import COMPLETED, SECRETS, delivery, posture_of, receiving
from processes import free_port, until

from gateway.config import parse_config
from gateway.config.posture import Posture, load_posture
from gateway.errors import PostureError, PostureStoreError, PostureUsage, ReloadError
from gateway.metrics import Totals
from gateway.posture.scan import Scan, ScanResult
from gateway.posture.store import Store
from gateway.posture.webhook.lease import Read
from gateway.posture.webhook.service import Hook, Means, PosturePart, Service, run

SCRIPT = """
import sys
from pathlib import Path
from gateway.config.posture import load_posture
from gateway.posture.webhook.service import run
file = Path(sys.argv[1])
sys.exit(run(load_posture(file), file))
"""
BURST = 5000


@dataclass
class Serving:
    """`gateway posture serve` as a process of its own."""

    file: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._spawn()
        await until(self._is_serving, "the receiver to serve")

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(self.file)], stderr=log)

    async def _is_serving(self) -> bool:
        try:
            async with await Client.connect(self.port) as client:
                client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                return (await client.read_response()).status == 200
        except OSError:
            return False

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 20)

    def events(self) -> list[Any]:
        with Store.open(load_posture(self.file).store.get_secret_value()) as store:
            return [event.data["n"] for event in store.events()]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    port = free_port()
    webhooks = {"address": f"127.0.0.1:{port}", "ddactic": {"secret": SECRETS["ddactic"]}}
    posture_of(tmp_path, webhooks=webhooks)
    made = Serving(tmp_path / "gateway.yaml", port, tmp_path / "log")
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()


def numbered(number: int) -> bytes:
    payload = {"event": "scan.note", "data": {"scan_id": f"scn_{number}", "n": number}}
    return delivery(json.dumps(payload).encode())


async def send(port: int, numbers: Iterator[int], accepted: list[int], refused: list[int]) -> None:
    """One platform's connection: events, one after the other, until there are no more or nobody answers."""
    try:
        async with await Client.connect(port) as client:
            for number in numbers:
                client.send(numbered(number))
                status = (await client.read_response()).status
                (accepted if status == 204 else refused).append(number)
    except (OSError, TruncatedError, asyncio.IncompleteReadError):
        return


async def test_serve_burst_of_signed_events_all_accepted_and_all_stored(serving: Serving) -> None:
    await serving.start()
    accepted: list[int] = []
    refused: list[int] = []
    numbers = iter(range(BURST))
    await asyncio.gather(*(send(serving.port, numbers, accepted, refused) for _ in range(50)))
    assert (len(accepted), refused) == (BURST, [])
    assert await serving.end(signal.SIGTERM) == 0
    assert sorted(serving.events()) == list(range(BURST))


async def test_serve_killed_in_mid_burst_has_every_event_that_got_204(serving: Serving) -> None:
    await serving.start()
    accepted: list[int] = []
    refused: list[int] = []
    numbers = iter(range(BURST))
    senders = [asyncio.create_task(send(serving.port, numbers, accepted, refused)) for _ in range(20)]
    await eventually(lambda: len(accepted) > 300, "some events to be accepted")
    assert await serving.end(signal.SIGKILL) == -signal.SIGKILL
    await asyncio.gather(*senders)
    assert refused == [] and len(accepted) < BURST
    await serving.start()
    stored = serving.events()
    assert set(accepted) <= set(stored) and len(stored) == len(set(stored))
    again: list[int] = []
    await send(serving.port, iter(accepted[:50]), again, refused)
    assert again == accepted[:50]
    assert serving.events() == stored
    assert await serving.end(signal.SIGINT) == 0


async def test_serve_stopped_answers_what_it_took_and_logs_no_secret(serving: Serving) -> None:
    await serving.start()
    accepted: list[int] = []
    numbers = iter(range(BURST))
    senders = [asyncio.create_task(send(serving.port, numbers, accepted, [])) for _ in range(20)]
    await eventually(lambda: len(accepted) > 100, "some events to be accepted")
    assert await serving.end(signal.SIGTERM) == 0
    await asyncio.gather(*senders)
    assert set(accepted) <= set(serving.events())
    log = await asyncio.to_thread(serving.log.read_text)
    assert '"event":"stopped"' in log and "Traceback" not in log and SECRETS["ddactic"] not in log


def test_serve_without_webhooks_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(PostureUsage, match=r"gateway\.yaml has no posture\.webhooks"):
        run(posture_of(tmp_path, webhooks=None), tmp_path / "gateway.yaml")


async def test_serve_address_in_use_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    async with receiving(posture_of(tmp_path)) as world:
        port = world.service.address[1]
        webhooks = {"address": f"127.0.0.1:{port}", "ddactic": {"secret": "s" * 8}}
        with pytest.raises(PostureError, match=rf"posture\.webhooks\.address: cannot listen on 127\.0\.0\.1:{port}: "):
            await Service(posture_of(tmp_path, webhooks=webhooks)).start()


async def test_serve_socket_that_is_served_stays_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    webhooks = {"address": f"unix:{tmp_path}/s", "ddactic": {"secret": SECRETS["ddactic"]}}
    posture = posture_of(tmp_path, webhooks=webhooks)
    async with receiving(posture) as world:
        with pytest.raises(PostureError, match="Address already in use"):
            await Service(posture).start()
        assert await world.deliver(COMPLETED) == 204
    stale = tmp_path / "s"
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", BIND_AND_DIE, str(stale)], check=True)
    async with receiving(posture) as world:
        assert await world.deliver(COMPLETED) == 204


BIND_AND_DIE = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"


async def test_serve_store_that_cannot_be_opened_frees_the_address(tmp_path: Path) -> None:
    port = free_port()
    webhooks = {"address": f"127.0.0.1:{port}", "ddactic": {"secret": SECRETS["ddactic"]}}
    with pytest.raises(PostureStoreError):
        await Service(posture_of(tmp_path, webhooks=webhooks, store="sqlite:///missing/posture.db")).start()
    async with receiving(posture_of(tmp_path, webhooks=webhooks)) as world:
        assert await world.deliver(COMPLETED) == 204


# ---- periodic work ---------------------------------------------------------------------------------------------------


async def test_hook_that_fails_is_logged_and_called_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[tuple[Store, Posture]] = []

    async def fail(store: Store, posture: Posture) -> None:
        calls.append((store, posture))
        raise PostureError("cannot do it now")

    async with receiving(posture_of(tmp_path), hooks=[Hook("actions", fail, 0.001)]) as world:
        await eventually(lambda: len(calls) >= 3, "the hook to be called again")
        assert calls[0] == (world.service._store, world.service.posture)
        assert await world.deliver(COMPLETED) == 204
    assert [getattr(record, "fields", {}) for record in caplog.records if "background" in record.message] == [
        {"work": "actions", "error": "cannot do it now"}
    ]


# ---- reload ----------------------------------------------------------------------------------------------------------


async def test_reload_takes_new_secrets_paths_and_readings_at_once(tmp_path: Path) -> None:
    closed: list[tuple[str, ...]] = []

    @asynccontextmanager
    async def reading(posture: Posture) -> AsyncIterator[Read]:
        async def read(provider: str, scan: str) -> ScanResult:
            return ScanResult(Scan(scan, provider, "example.com", None, "completed"))

        yield read
        closed.append(posture.configured())

    async with receiving(posture_of(tmp_path), Means(reading)) as world:
        assert await world.deliver(COMPLETED) == 204
        webhooks = {"address": "127.0.0.1:0", "cypersecurity": {"secret": SECRETS["cypersecurity"]}}
        providers = {"cypersecurity": {"key": "k" * 8, "base_url": "http://127.0.0.1:9"}}
        await world.service.reload(posture_of(tmp_path, webhooks=webhooks, providers=providers))
        assert await world.deliver(COMPLETED) == 404
        assert await world.deliver(COMPLETED, "cypersecurity") == 204
        await eventually(lambda: world.store.scans()[1] == 1, "the scan to be read with the new configuration")
        assert world.store.scans()[0][0].provider == "cypersecurity"
    assert closed == [("cypersecurity",), ()] or closed == [(), ("cypersecurity",)]


async def test_reload_of_what_needs_a_restart_refused_and_nothing_changed(tmp_path: Path) -> None:
    async with receiving(posture_of(tmp_path)) as world:
        elsewhere = {"address": f"127.0.0.1:{free_port()}", "ddactic": {"secret": SECRETS["ddactic"]}}
        for changed in ({"store": "sqlite:///other.db"}, {"webhooks": elsewhere}):
            with pytest.raises(ReloadError, match=r"a change of posture\.\S+ needs a restart"):
                await world.service.reload(posture_of(tmp_path, **changed))
        assert await world.deliver(COMPLETED) == 204


# ---- the supervisor's part -------------------------------------------------------------------------------------------


def config_of(directory: Path, **section: Any) -> Any:
    """A whole configuration with this section, as it comes over the control channel."""
    posture_of(directory, store=f"sqlite:///{directory}/posture.db", **section)
    loaded = yaml.safe_load((directory / "gateway.yaml").read_text())
    return parse_config({"sites": [{"hosts": ["*"], "origin": {"servers": ["http://127.0.0.1:9"]}}], **loaded})


async def test_part_starts_receives_reports_reloads_and_drains(tmp_path: Path) -> None:
    hooks: list[tuple[Any, ...]] = []

    def hooks_of(config: Any, process: dict[str, Any]) -> list[Hook]:
        hooks.append((config().posture, process))
        return []

    part = PosturePart(hooks_of, replace(Means(), refresh_s=0.001))
    assert part.report() == ({"counters": {}, "histograms": {}, "gauges": {}}, [])
    assert part.status() is None
    port = free_port()
    webhooks = {"address": f"127.0.0.1:{port}", "ddactic": {"secret": SECRETS["ddactic"]}}
    config = config_of(tmp_path, webhooks=webhooks)
    await part.start(config, {"name": "posture", "patches": "/patches.json"})
    assert hooks == [(config.posture, {"name": "posture", "patches": "/patches.json"})]
    async with await Client.connect(port) as client:
        client.send(numbered(1))
        assert (await client.read_response()).status == 204
    totals, shown = Totals(), []

    def is_shown() -> bool:
        if (status := part.status()) is not None:
            shown.append(status)
        return bool(shown)

    await eventually(is_shown, "a summary")
    assert part.status() is None and shown[0]["total"] == 0
    delta, degraded = part.report()
    totals.add("posture", delta)
    assert totals.count("gateway_posture_webhooks_total", "result") == {"stored": 1} and degraded == []
    part.reopen_logs()
    with pytest.raises(ReloadError):
        await part.reload(config_of(tmp_path, webhooks=webhooks | {"address": f"127.0.0.1:{free_port()}"}))
    await part.reload(config_of(tmp_path, webhooks=webhooks | {"ddactic": {"secret": "another-secret"}}))
    async with await Client.connect(port) as client:
        client.send(numbered(1))
        assert (await client.read_response()).status == 401
    await part.drain()
    with pytest.raises(OSError):
        await Client.connect(port)


async def test_part_without_webhooks_works_on_what_is_in_the_store(tmp_path: Path) -> None:
    part = PosturePart(means=replace(Means(), refresh_s=0.001))
    await part.start(config_of(tmp_path, webhooks=None), {"name": "posture"})
    await eventually(lambda: part.status() is not None, "a summary")
    await part.drain()
