"""The supervisor with real processes, real signals and its admin side over real HTTP on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from processes import free_port

GATEWAY = str(Path(__file__).with_name("gateway_process.py"))
PATIENCE_S = 30.0
QUICK = {"first_backoff_s": 0.01, "watch_s": 0.02, "poll_s": 0.02, "exit_s": 2.0}


@dataclass
class Gateway:
    """One `gateway run`. Its configuration file may be rewritten; `stderr` is what it has said so far."""

    folder: Path
    process: asyncio.subprocess.Process
    config: dict[str, Any]
    stderr: list[str] = field(default_factory=list)

    @property
    def admin(self) -> str:
        return str(self.config["admin"]["address"]).removeprefix("unix:")

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(self.admin)) as session,
            session.get(f"http://admin{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads((await self.get("/status.json"))[1])
        return status

    async def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in (await self.status())["processes"]}

    async def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first /status.json for which the condition holds."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    status = await self.status()
                    if condition(status):
                        return status
                except (aiohttp.ClientError, OSError):
                    if self.process.returncode is not None:
                        raise AssertionError(f"the gateway is gone: {self.stderr}") from None
                await asyncio.sleep(0.01)

    async def until_ready(self) -> dict[str, Any]:
        return await self.until(lambda status: status["state"] == "running")

    async def until_said(self, text: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not any(text in line for line in self.stderr):  # noqa: ASYNC110 - another process's words
                await asyncio.sleep(0.01)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.exit_code()

    async def exit_code(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    def write_config(self, **changes: Any) -> None:
        self.config |= changes
        (self.folder / "new").write_text(yaml.safe_dump(self.config))
        (self.folder / "new").replace(self.folder / "gateway.yaml")

    def hold_drain(self) -> Path:
        """While this file stands, the children do not finish draining."""
        (runtime,) = self.folder.glob("gateway-*")
        hold = runtime / "hold"
        hold.touch()
        return hold


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """`await start(patience, workers=2, ...)` runs a gateway until the test ends."""
    running: list[tuple[Gateway, asyncio.Task[None]]] = []
    with tempfile.TemporaryDirectory(prefix="gw") as name:  # short: a Unix socket's path has 107 bytes at most
        folder = Path(name)

        async def run(patience: dict[str, float] | None = None, **changes: Any) -> Gateway:
            config: dict[str, Any] = {
                "listeners": [{"address": f"127.0.0.1:{free_port()}"}],
                "server_name": "one",
                "sites": [{"origin": {"servers": ["http://127.0.0.1:9"]}, "protection": {"mode": "off"}}],
                "admin": {"address": f"unix:{folder}/admin.sock"},
                **changes,
            }
            (folder / "gateway.yaml").write_text(yaml.safe_dump(config))
            process = await asyncio.create_subprocess_exec(
                sys.executable, GATEWAY, str(folder / "gateway.yaml"), json.dumps(QUICK | (patience or {})),
                stderr=asyncio.subprocess.PIPE, env=os.environ | {"TMPDIR": str(folder)}, start_new_session=True,
            )  # fmt: skip
            gateway = Gateway(folder, process, config)
            running.append((gateway, asyncio.create_task(listen(gateway))))
            return gateway

        yield run
        for gateway, listening in running:
            with contextlib.suppress(ProcessLookupError):  # the group: a stopped child would not see its channel close
                os.killpg(gateway.process.pid, signal.SIGKILL)
            await asyncio.wait_for(listening, PATIENCE_S)
            await gateway.exit_code()


async def listen(gateway: Gateway) -> None:
    """Until the supervisor and all its children, which share the pipe, are gone."""
    assert gateway.process.stderr is not None
    async for line in gateway.process.stderr:
        gateway.stderr.append(line.decode())


def is_socket(path: str) -> bool:
    return Path(path).is_socket()


def slot(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next(process for process in status["processes"] if process["name"] == name)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def reported(status: dict[str, Any]) -> dict[str, list[str]]:
    """What the children say: their configuration's server_name, by who says it."""
    return {entry["reason"]: entry["processes"] for entry in status["degraded"] if entry["part"] == "test"}


# ---- start -----------------------------------------------------------------------------------------------------------


async def test_start_serves_admin_and_counts_of_all_workers(start: Start) -> None:
    gateway = await start(workers=2)
    status = await gateway.until_ready()
    assert [(p["name"], p["state"], p["restarts"]) for p in status["processes"]] == [
        ("worker-0", "ready", 0),
        ("worker-1", "ready", 0),
    ]
    status_code, metrics = await gateway.get("/metrics")
    assert status_code == 200
    assert 'gateway_requests_total{method="GET",outcome="allowed",site="shop",status="2xx"} 2.0' in metrics
    assert "gateway_open_connections 10.0" in metrics
    assert "gateway_workers 2.0" in metrics
    assert "gateway_worker_restarts_total 0.0" in metrics
    assert "gateway_config_last_reload_successful 1.0" in metrics
    assert 'gateway_build_info{python="' in metrics
    assert (await gateway.get("/readyz"))[0] == 200
    assert await gateway.stop() == 0
    assert not list(gateway.folder.glob("gateway-*")) and not is_socket(gateway.admin)


async def test_start_with_worker_that_refuses_ends_with_its_words(start: Start) -> None:
    gateway = await start(server_name="refused-at-start")
    assert await gateway.exit_code() == 1
    await gateway.until_said("gateway: worker-0 cannot start: listeners[0].address: what the worker says")


async def test_start_with_worker_that_dies_says_how(start: Start) -> None:
    gateway = await start(server_name="dies-at-start")
    assert await gateway.exit_code() == 1
    await gateway.until_said("gateway: worker-0 ended with exit code 7 before it was ready")


async def test_start_with_worker_that_never_gets_ready_ends(start: Start) -> None:
    gateway = await start({"start_s": 0.5}, server_name="hangs-at-start")
    assert await gateway.exit_code() == 1
    await gateway.until_said("gateway: worker-0 ended with SIGKILL before it was ready")


async def test_start_on_a_port_in_use_names_the_key(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        gateway = await start(listeners=[{"address": address}])
        assert await gateway.exit_code() == 1
        await gateway.until_said(f"gateway: listeners[0].address: cannot bind {address}: Address already in use")


async def test_start_while_starting_is_not_ready_and_can_be_stopped(start: Start) -> None:
    gateway = await start(server_name="hangs-at-start")
    status = await gateway.until(lambda status: status["processes"])
    assert status["state"] == "starting"
    status_code, body = await gateway.get("/readyz")
    assert (status_code, json.loads(body)["status"]) == (503, "starting")
    assert await gateway.stop() == 0


async def test_start_unix_listener_bound_once_and_inherited(start: Start) -> None:
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        address = f"unix:{folder}/l.sock"
        gateway = await start(workers=2, listeners=[{"address": address}])
        status = await gateway.until(lambda status: reported(status))
        assert list(reported(status)) == [f"one {address}"]
        assert is_socket(f"{folder}/l.sock")
        assert await gateway.stop() == 0
        assert not is_socket(f"{folder}/l.sock")


async def test_start_engine_first_and_loud_when_it_is_late(start: Start) -> None:
    sites = [{"origin": {"servers": ["http://127.0.0.1:9"]}}]
    gateway = await start({"engine_s": 0.1}, sites=sites, server_name="engine-hangs")
    status = await gateway.until_ready()
    assert slot(status, "engine")["state"] == "starting" and slot(status, "worker-0")["state"] == "ready"
    body = json.loads((await gateway.get("/readyz"))[1])
    assert {"part": "engine", "reason": "starting, requests go unchecked", "processes": ["supervisor"]} in body[
        "degraded"
    ]
    await gateway.until_said("the embedded engine is not ready, requests go unchecked")


# ---- deaths ----------------------------------------------------------------------------------------------------------


async def test_worker_killed_is_respawned_and_its_counts_stay(start: Start) -> None:
    gateway = await start(workers=2)
    before = slot(await gateway.until(lambda s: s["requests"]["allowed"] == 2), "worker-0")["pid"]
    os.kill(before, signal.SIGKILL)
    status = await gateway.until(
        lambda s: slot(s, "worker-0")["restarts"] == 1 and slot(s, "worker-0")["state"] == "ready"
    )
    assert slot(status, "worker-0")["pid"] != before
    assert slot(status, "worker-1")["restarts"] == 0
    metrics = (await gateway.get("/metrics"))[1]
    assert 'gateway_requests_total{method="GET",outcome="allowed",site="shop",status="2xx"} 3.0' in metrics
    assert "gateway_open_connections 10.0" in metrics  # the dead worker's gauge went with it
    assert "gateway_worker_restarts_total 1.0" in metrics
    await gateway.until_said('"ended_with":"SIGKILL"')


async def test_worker_hung_is_killed_and_respawned(start: Start) -> None:
    gateway = await start({"silence_s": 2.5})
    await gateway.until_ready()
    os.kill((await gateway.pids())["worker-0"], signal.SIGSTOP)
    await gateway.until(lambda s: slot(s, "worker-0")["restarts"] == 1 and slot(s, "worker-0")["state"] == "ready")
    await gateway.until_said("it does not answer")


async def test_worker_hung_does_not_hold_up_a_scrape(start: Start) -> None:
    gateway = await start(workers=2)
    await gateway.until_ready()
    os.kill((await gateway.pids())["worker-0"], signal.SIGSTOP)
    assert (await gateway.get("/metrics"))[0] == 200


async def test_all_workers_gone_is_not_ready(start: Start) -> None:
    gateway = await start({"first_backoff_s": 30.0})
    await gateway.until_ready()
    os.kill((await gateway.pids())["worker-0"], signal.SIGKILL)
    status = await gateway.until(lambda s: slot(s, "worker-0")["state"] == "backoff")
    assert status["state"] == "starting"
    assert {"part": "workers", "reason": "0 of 1 are ready", "processes": ["supervisor"]} in status["degraded"]
    assert (await gateway.get("/readyz"))[0] == 503
    assert await gateway.stop() == 0


async def test_supervisor_killed_children_exit(start: Start) -> None:
    gateway = await start(workers=2)
    await gateway.until_ready()
    pids = (await gateway.pids()).values()
    gateway.process.kill()
    await gateway.exit_code()
    async with asyncio.timeout(PATIENCE_S):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110 - not our children: nobody tells us
            await asyncio.sleep(0.01)
    assert not list(gateway.folder.glob("gateway-*")), "the last of them removes the supervisor's folder"


# ---- reload ----------------------------------------------------------------------------------------------------------


async def test_reload_on_sighup_reaches_every_child(start: Start) -> None:
    gateway = await start({"poll_s": 60.0}, workers=2)
    await gateway.until(lambda s: reported(s) == {"one": ["worker-0", "worker-1"]})
    gateway.write_config(server_name="two")
    gateway.process.send_signal(signal.SIGHUP)
    status = await gateway.until(lambda s: reported(s) == {"two": ["worker-0", "worker-1"]})
    assert status["reload"]["ok"] is True
    assert "server_name: two" in (await gateway.get("/config"))[1]


async def test_reload_on_changed_file_happens_alone(start: Start) -> None:
    gateway = await start()
    await gateway.until_ready()
    gateway.write_config(server_name="two")
    await gateway.until(lambda s: reported(s) == {"two": ["worker-0"]})


async def test_reload_of_a_broken_file_keeps_the_old_configuration_and_says_why(start: Start) -> None:
    gateway = await start()
    await gateway.until(lambda s: reported(s) == {"one": ["worker-0"]})
    gateway.write_config(nonsense=True)
    status = await gateway.until(lambda s: not s["reload"]["ok"])
    assert "nonsense" in status["reload"]["error"]
    assert any(entry["part"] == "config" for entry in status["degraded"])
    assert "gateway_config_last_reload_successful 0.0" in (await gateway.get("/metrics"))[1]
    assert (await gateway.get("/readyz"))[0] == 200
    del gateway.config["nonsense"]
    gateway.write_config(server_name="two")
    status = await gateway.until(lambda s: s["reload"]["ok"] and reported(s) == {"two": ["worker-0"]})


async def test_reload_of_what_needs_a_restart_refused_with_the_keys(start: Start) -> None:
    gateway = await start()
    await gateway.until_ready()
    gateway.write_config(workers=2, listeners=[{"address": f"127.0.0.1:{free_port()}"}], server_name="two")
    status = await gateway.until(lambda s: not s["reload"]["ok"])
    assert status["reload"]["error"].endswith("a change of listeners, workers needs a restart")
    assert list(await gateway.pids()) == ["worker-0"]


async def test_reload_that_one_worker_refuses_is_taken_back_everywhere(start: Start) -> None:
    gateway = await start(workers=2)
    await gateway.until(lambda s: reported(s) == {"one": ["worker-0", "worker-1"]})
    gateway.write_config(server_name="refused-by-worker-1")
    status = await gateway.until(lambda s: not s["reload"]["ok"])
    assert status["reload"]["error"] == "worker-1: only I refuse"
    await gateway.get("/metrics")
    assert reported(await gateway.status()) == {"one": ["worker-0", "worker-1"]}


async def test_reload_that_kills_a_worker_is_taken_back(start: Start) -> None:
    gateway = await start()
    await gateway.until_ready()
    gateway.write_config(server_name="dies-at-reload")
    status = await gateway.until(lambda s: not s["reload"]["ok"])
    assert status["reload"]["error"] == "worker-0 ended with exit code 9 during the reload"
    await gateway.until(lambda s: reported(s) == {"one": ["worker-0"]})


async def test_reload_that_needs_the_engine_starts_it_and_back_again_stops_it(start: Start) -> None:
    gateway = await start()
    await gateway.until_ready()
    off = gateway.config["sites"]
    gateway.write_config(sites=[{"origin": {"servers": ["http://127.0.0.1:9"]}}])
    await gateway.until(
        lambda s: [p["name"] for p in s["processes"] if p["state"] == "ready"] == ["worker-0", "engine"]
    )
    gateway.write_config(sites=off)
    await gateway.until(lambda s: [p["name"] for p in s["processes"]] == ["worker-0"])


# ---- drain -----------------------------------------------------------------------------------------------------------


async def test_drain_is_not_ready_waits_for_workers_and_keeps_the_engine_until_last(start: Start) -> None:
    gateway = await start(sites=[{"origin": {"servers": ["http://127.0.0.1:9"]}}])
    pids = {p["name"]: p["pid"] for p in (await gateway.until_ready())["processes"]}
    hold = gateway.hold_drain()
    gateway.process.send_signal(signal.SIGTERM)
    os.kill(pids["engine"], signal.SIGTERM)  # a service manager signals the whole group
    status = await gateway.until(lambda s: s["state"] == "draining")
    assert slot(status, "worker-0")["state"] == "draining"
    assert slot(status, "engine")["state"] == "ready"
    assert (await gateway.get("/readyz"))[0] == 503
    assert (await gateway.get("/healthz"))[0] == 200
    hold.unlink()
    assert await gateway.exit_code() == 0
    assert not any(alive(pid) for pid in pids.values())


async def test_drain_that_exceeds_its_time_is_ended(start: Start) -> None:
    gateway = await start({"drain_margin_s": 0.1}, drain_timeout="200ms")
    await gateway.until_ready()
    gateway.hold_drain()
    assert await gateway.stop() == 0
    await gateway.until_said("not drained in time")


async def test_drain_second_signal_does_not_wait(start: Start) -> None:
    gateway = await start()
    await gateway.until_ready()
    gateway.hold_drain()
    gateway.process.send_signal(signal.SIGINT)
    await gateway.until(lambda s: s["state"] == "draining")
    gateway.process.send_signal(signal.SIGINT)
    assert await gateway.exit_code() == 0
    await gateway.until_said("second signal")


async def test_drain_keeps_the_last_counts_of_a_worker_that_was_told_to_end(start: Start) -> None:
    gateway = await start({"first_backoff_s": 30.0})
    await gateway.until_ready()
    os.kill((await gateway.pids())["worker-0"], signal.SIGTERM)
    status = await gateway.until(lambda s: slot(s, "worker-0")["state"] == "backoff")
    assert status["requests"]["allowed"] == 1
    await gateway.until_said('"ended_with":"exit code 0"')
