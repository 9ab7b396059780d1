"""Patches at an engine at work: a real process that reads their file, and one in memory whose clock is the test's."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import yaml
from engine.browser_requests import BROWSER_REQUESTS
from fakes import within
from posture.patches import NOW_S, patch
from processes import free_port, until

from gateway.config import Engine, parse_config
from gateway.config.change import FileState, file_state
from gateway.config.patch import Patch
from gateway.engine.answer import Answer
from gateway.engine.api import Call
from gateway.engine.service import EnginePart
from gateway.engine.service import patches as patches_module
from gateway.engine.service import runtime as runtime_module
from gateway.engine.service.patches import Patches, Reader
from gateway.engine.service.runtime import EngineRuntime
from gateway.engine.wire import JSON
from gateway.posture.moment import iso
from gateway.posture.patch_file import write_patches

BROWSER = {field: value for field, value in BROWSER_REQUESTS["chrome navigates"].items() if value != ""}
ALLOW_ALL = "preset: none\nrules: [{name: all, action: allow}]"
LATER = iso(NOW_S + 10 * 365 * 86_400)


class Clock:
    """The engine's time, which the test moves."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


class Patched:
    """An engine in memory with a file of patches."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "patches.json"
        self.clock = Clock()
        self.runtime = self.make(str(self.file))

    def make(self, patches: str | None, handed: str | None = None) -> EngineRuntime:
        return EngineRuntime(engine(patches), supervised=True, trusted=True, patches=handed, clock=self.clock)

    async def write(self, *patches: Patch) -> None:
        write_patches(self.file, patches)
        await self.runtime.check_files()

    async def decision(self, path: str = "/admin", host: str = "shop.example") -> tuple[int, str]:
        """(status, rule)"""
        call = Call(orjson.dumps({**BROWSER, "Host": host, "Request": path}), JSON)
        answer = self.runtime.api.respond(call)
        answer = answer if isinstance(answer, Answer) else await answer
        return answer.status, dict(answer.headers)["X-DataDome-ruletype"]

    def degraded(self) -> list[str]:
        return [f"{one['part']}: {one['reason']}" for one in self.runtime.report()[1]]


def engine(patches: str | None = None, **more: Any) -> Engine:
    return parse_config({"engine": {"crawlers": {"dns": False, "agents": []}, "patches": patches, **more}}).engine


@pytest.fixture
async def patched(tmp_path: Path) -> AsyncIterator[Patched]:
    started = Patched(tmp_path)
    await started.runtime.start()
    yield started
    await started.runtime.stop()


async def test_path_is_blocked_on_its_host_from_the_next_call_on(patched: Patched) -> None:
    assert await patched.decision() == (200, "default")

    await patched.write(patch(), patch(name="tried", host="www.shop.example", dry_run=True))

    assert await patched.decision("//Admin;x/users?x=1") == (403, "patch-close")
    assert await patched.decision("/") == (200, "default")
    assert await patched.decision(host="www.shop.example") == (200, "default")
    delta, degraded = patched.runtime.report()
    assert [["patch-close", "block"], 1] in delta["counters"]["gateway_engine_decisions_total"]
    assert delta["counters"]["gateway_engine_dry_run_total"] == [[["patch-tried", "block"], 1]]
    assert degraded == []

    await patched.write()
    assert await patched.decision() == (200, "default")


async def test_patch_ends_by_the_engines_clock_though_its_file_stays(patched: Patched) -> None:
    await patched.write(patch(until=iso(NOW_S + 10)), patch(name="raise", do="raise_preset", until=iso(NOW_S + 20)))

    patched.clock.now_s += 9.9
    await patched.runtime.check_files()
    assert await patched.decision() == (403, "patch-close")
    patched.clock.now_s += 0.1
    await patched.runtime.check_files()
    assert await patched.decision() == (403, "patch-raise.every-browser")
    patched.clock.now_s += 10
    await patched.runtime.check_files()
    assert await patched.decision() == (200, "default")


async def test_patch_ends_while_the_engine_only_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_module, "WATCH_S", 0.01)
    write_patches(tmp_path / "patches.json", (patch(until=iso(NOW_S + 10)),))
    watching = Patched(tmp_path)
    await watching.runtime.start()
    assert await watching.decision() == (403, "patch-close")

    watching.clock.now_s += 10

    async def is_free() -> bool:
        return await watching.decision() == (200, "default")

    await until(is_free, "the end of the patch")
    await watching.runtime.stop()


@pytest.mark.parametrize("text", ["", "{", '{"patches": [{"name": "close"}]}', '{"patch": []}'])
async def test_broken_file_keeps_the_former_patches_until_they_end_and_is_said(patched: Patched, text: str) -> None:
    await patched.write(patch(until=iso(NOW_S + 10)))
    patched.file.write_text(text)

    await patched.runtime.check_files()

    assert await patched.decision() == (403, "patch-close")
    assert patched.degraded()[0].startswith(f"engine patches: {patched.file}")
    patched.clock.now_s += 10
    await patched.runtime.check_files()
    assert await patched.decision() == (200, "default")
    await patched.write(patch(until=LATER))
    assert await patched.decision() == (403, "patch-close")
    assert patched.degraded() == []


async def test_file_that_is_broken_at_the_start_has_no_patches_and_is_said(tmp_path: Path) -> None:
    (tmp_path / "patches.json").write_text("{")

    started = Patched(tmp_path)

    assert await started.decision() == (200, "default")
    assert "got no JSON" in started.degraded()[0]


async def test_file_that_is_taken_away_has_no_patches(patched: Patched) -> None:
    await patched.write(patch())
    patched.file.unlink()

    await patched.runtime.check_files()

    assert await patched.decision() == (200, "default")
    assert patched.degraded() == []


async def test_changed_policy_keeps_the_patches(patched: Patched, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("preset: none")
    await patched.runtime.reload(engine(str(patched.file), policy=str(policy)))
    await patched.write(patch())

    policy.write_text("preset: none\nrules: [{name: all, action: allow}]")
    await patched.runtime.check_files()

    assert await patched.decision() == (403, "patch-close")
    assert await patched.decision("/") == (200, "all")


async def test_reload_reads_another_file_or_none(patched: Patched, tmp_path: Path) -> None:
    await patched.write(patch())
    other = tmp_path / "other.json"
    write_patches(other, (patch(name="other"),))

    await patched.runtime.reload(engine(str(other)))
    assert await patched.decision() == (403, "patch-other")
    other.write_text("{")
    await patched.runtime.reload(engine(str(other)))
    assert await patched.decision() == (403, "patch-other")
    await patched.runtime.reload(engine())
    assert await patched.decision() == (200, "default")


async def test_configured_file_goes_before_the_one_that_is_handed_over(tmp_path: Path) -> None:
    started = Patched(tmp_path)
    write_patches(tmp_path / "handed.json", (patch(name="handed"),))
    write_patches(tmp_path / "configured.json", (patch(name="configured"),))
    handed, configured = str(tmp_path / "handed.json"), str(tmp_path / "configured.json")

    started.runtime = started.make(None, handed)
    assert (await started.decision())[1] == "patch-handed"
    started.runtime = started.make(configured, handed)
    assert (await started.decision())[1] == "patch-configured"


async def test_operators_see_what_is_in_force(patched: Patched) -> None:
    await patched.write(patch(), patch(name="over", until=iso(NOW_S - 1)))

    status = patched.runtime._status()["patches"]

    assert status == {"file": str(patched.file), "in_force": [patch().model_dump(mode="json")], "error": None}


async def test_patch_ends_though_a_pipe_has_taken_the_place_of_its_file(patched: Patched) -> None:
    await patched.write(patch(until=iso(NOW_S + 10)))
    patched.file.unlink()
    os.mkfifo(patched.file)

    await patched.runtime.check_files()
    assert await patched.decision() == (403, "patch-close")
    assert patched.degraded() == [f"engine patches: {patched.file}: cannot be read: it is no regular file"]

    patched.clock.now_s += 10
    await patched.runtime.check_files()
    assert await patched.decision() == (200, "default")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set: the disk answers. Otherwise a look at the file of patches does not return."""
    answers = threading.Event()
    answers.set()

    def hanging(file: str) -> FileState | None:
        answers.wait()
        return file_state(file)

    monkeypatch.setattr(patches_module, "file_state", hanging)
    monkeypatch.setattr(patches_module, "READ_S", 0.01)
    yield answers
    answers.set()


async def test_disk_that_hangs_holds_up_neither_the_end_of_a_patch_nor_a_policy(
    disk: threading.Event, tmp_path: Path
) -> None:
    engine_alone = Patched(tmp_path)
    await engine_alone.write(patch(until=iso(NOW_S + 10)), patch(name="longer", paths=("/b",)))
    disk.clear()

    await within(engine_alone.runtime.check_files(), "a look")
    assert engine_alone.degraded() == [f"engine patches: {engine_alone.file}: reading it does not end"]
    engine_alone.clock.now_s += 10
    await within(engine_alone.runtime.check_files(), "a look")
    assert await engine_alone.decision() == (200, "default")

    policy = tmp_path / "policy.yaml"
    policy.write_text(ALLOW_ALL)
    await within(engine_alone.runtime.reload(engine(str(engine_alone.file), policy=str(policy))), "the reload")
    assert [await engine_alone.decision(path) for path in ("/admin", "/b")] == [(200, "all"), (403, "patch-longer")]

    disk.set()
    write_patches(engine_alone.file, (patch(name="new"),))

    async def is_read() -> bool:
        await engine_alone.runtime.check_files()
        return await engine_alone.decision() == (403, "patch-new")

    await until(is_read, "the file")
    assert engine_alone.degraded() == []


async def test_engine_starts_and_drains_though_the_disk_hangs(disk: threading.Event, tmp_path: Path) -> None:
    disk.clear()

    started = Patched(tmp_path)
    await within(started.runtime.start(), "the start")
    assert await started.decision() == (200, "default")
    await within(started.runtime.stop(), "the drain")


def test_one_reading_waits_for_the_disk_however_often_it_is_asked(disk: threading.Event, tmp_path: Path) -> None:
    reader, file = Reader(), str(tmp_path / "patches.json")
    former = set(threading.enumerate())
    disk.clear()

    found = [reader.read(Patches(file)) for _ in range(5)]

    assert [one.hangs for one in found] == [True] * 5
    assert len(set(threading.enumerate()) - former) == 1


def test_pause_lasts_until_the_first_patch_ends() -> None:
    found = Patches("file", live=(patch(until=iso(NOW_S + 5)), patch(until=iso(NOW_S + 1))))

    assert found.ends_in(NOW_S, 2.0) == 1.0
    assert found.ends_in(NOW_S + 3, 2.0) == 0.0
    assert Patches("file").ends_in(NOW_S, 2.0) == 2.0


async def test_supervised_engine_reads_the_file_that_is_handed_over(tmp_path: Path) -> None:
    write_patches(tmp_path / "patches.json", (patch(until=LATER),))
    part = EnginePart()
    config = parse_config({"engine": {"crawlers": {"dns": False, "agents": []}}, "drain_timeout": "1s"})
    process = {"engine_socket": str(tmp_path / "engine.sock"), "patches": str(tmp_path / "patches.json")}

    await part.start(config, process)
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(process["engine_socket"])) as client:
        assert await asked(client, "http://engine", "/admin") == (403, "patch-close")
    await part.drain()


async def asked(client: aiohttp.ClientSession, base: str, path: str, host: str = "shop.example") -> tuple[int, str]:
    call = {**BROWSER, "Host": host, "Request": path}
    async with client.post(f"{base}/validate-request", json=call) as answer:
        return answer.status, answer.headers["X-DataDome-ruletype"]


async def test_engine_alone_takes_over_a_file_that_comes_changes_and_goes(tmp_path: Path) -> None:
    """`gateway engine` as it is started, asked over TCP."""
    port, file = free_port(), tmp_path / "patches.json"
    settings = {
        "listen": {"address": f"127.0.0.1:{port}"}, "patches": str(file), "crawlers": {"dns": False, "agents": []},
    }  # fmt: skip
    (tmp_path / "engine.yaml").write_text(yaml.safe_dump({"engine": settings, "drain_timeout": "1s"}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "engine", "-c", str(tmp_path / "engine.yaml"),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as client:

        async def decides(path: str, status: int, rule: str) -> bool:
            try:
                return await asked(client, base, path) == (status, rule)
            except aiohttp.ClientConnectorError:
                return False  # it has not started yet

        try:
            await until(lambda: decides("/admin", 200, "default"), "the engine")
            write_patches(file, (patch(until=LATER),))
            await until(lambda: decides("/admin", 403, "patch-close"), "the patch")
            assert await asked(client, base, "/admin", "www.shop.example") == (200, "default")
            assert await asked(client, base, "/shop") == (200, "default")
            write_patches(file, (patch(name="another", until=LATER),))
            await until(lambda: decides("/%61dmin/x", 403, "patch-another"), "the other patch")
            file.unlink()
            await until(lambda: decides("/admin", 200, "default"), "the end of the patch")
        finally:
            process.terminate()
            await within(process.wait(), "the end of the engine")
