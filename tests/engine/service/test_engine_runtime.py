"""An engine put together from a configuration: files that change, lists that are fetched, a store that two share."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from engine.browser_requests import BROWSER_REQUESTS
from fakes import eventually
from valkey_server import ValkeyServer, needs_server

from gateway.config import Engine, parse_config
from gateway.engine.answer import Answer
from gateway.engine.api import Call
from gateway.engine.override import Override
from gateway.engine.policy.loading import LoadedPolicy, load_policy
from gateway.engine.question import Spend
from gateway.engine.service import runtime as runtime_module
from gateway.engine.service.runtime import EngineRuntime
from gateway.engine.wire import JSON
from gateway.errors import ConfigError

START = Callable[..., Awaitable[EngineRuntime]]
BROWSER = {field: value for field, value in BROWSER_REQUESTS["chrome navigates"].items() if value != ""}
LIMITED = "preset: none\nrules: [{name: slow, action: rate_limit, limit: {requests: 5, per: 1h}}]"


def engine(**settings: Any) -> Engine:
    return parse_config({"engine": settings, "protection": {"timeout": "60s"}}).engine


@pytest.fixture
async def start() -> AsyncIterator[START]:
    """`await start(policy=..., store=...)` is an engine at work."""
    started: list[EngineRuntime] = []

    async def begin(**settings: Any) -> EngineRuntime:
        crawlers = {"dns": False, "agents": [], **settings.pop("crawlers", {})}
        runtime = EngineRuntime(engine(crawlers=crawlers, **settings), supervised=True, trusted=True)
        started.append(runtime)
        await runtime.start()
        return runtime

    yield begin
    for runtime in started:
        await runtime.stop()


async def ask(runtime: EngineRuntime, **fields: Any) -> Answer:
    answer = runtime.api.respond(Call(orjson.dumps({**BROWSER, **fields}), JSON))
    return answer if isinstance(answer, Answer) else await answer


async def rule_of(runtime: EngineRuntime, **fields: Any) -> str:
    return dict((await ask(runtime, **fields)).headers)["X-DataDome-ruletype"]


def written(folder: Path, text: str) -> str:
    file = folder / "policy.yaml"
    file.write_text(text)
    return str(file)


async def test_changed_policy_counts_from_the_next_call(start: START, tmp_path: Path) -> None:
    policy = written(tmp_path, "preset: none\nrules: [{name: one, action: allow}]")
    runtime = await start(policy=policy)
    assert await rule_of(runtime) == "one"
    written(tmp_path, "preset: none\nrules: [{name: another, action: allow}]")
    await runtime.check_files()
    assert await rule_of(runtime) == "another"


async def test_broken_policy_changes_nothing_and_is_said_until_it_is_mended(start: START, tmp_path: Path) -> None:
    policy = written(tmp_path, "preset: none\nrules: [{name: one, action: allow}]")
    runtime = await start(policy=policy)
    written(tmp_path, "preset: none\nrules: [{name: one, action: alow}]")
    await runtime.check_files()
    assert await rule_of(runtime) == "one"
    delta, degraded = runtime.report()
    assert delta["gauges"]["gateway_engine_policy_last_reload_successful"] == [[[], 0]]
    assert [part["part"] for part in degraded] == ["engine policy"]
    assert "rules[0].action: got 'alow'; expected one of allow, block" in degraded[0]["reason"]
    written(tmp_path, "preset: none")
    await runtime.check_files()
    assert await rule_of(runtime) == "default"
    assert runtime.report()[1] == []


async def test_missing_policy_keeps_the_one_in_force(start: START, tmp_path: Path) -> None:
    policy = written(tmp_path, "preset: none\nrules: [{name: one, action: allow}]")
    runtime = await start(policy=policy)
    os.unlink(policy)
    await runtime.check_files()
    assert await rule_of(runtime) == "one"
    assert "cannot be read" in runtime.report()[1][0]["reason"]


async def test_changed_list_of_a_set_counts_from_the_next_call(start: START, tmp_path: Path) -> None:
    office = tmp_path / "office.txt"
    office.write_text("203.0.113.0/24  # us\n")
    text = f"preset: none\nsets: {{office: {{files: '{office}'}}}}\nrules: [{{name: in, match: {{address: office}}, "
    runtime = await start(policy=written(tmp_path, text + "action: allow}]"))
    assert await rule_of(runtime, IP="203.0.113.9") == "in"
    office.write_text("198.51.100.0/24\n")
    await runtime.check_files()
    assert await rule_of(runtime, IP="203.0.113.9") == "default"
    assert await rule_of(runtime, IP="198.51.100.9") == "in"


class SlowReader:
    """Reads a policy, and keeps it until the test lets it go."""

    def __init__(self) -> None:
        self.has_read, self.go_on = threading.Event(), threading.Event()

    def __call__(self, *arguments: Any, **named: Any) -> LoadedPolicy:
        loaded = load_policy(*arguments, **named)
        self.has_read.set()
        assert self.go_on.wait(20)
        return loaded


@pytest.fixture
def slow_reader(monkeypatch: pytest.MonkeyPatch) -> SlowReader:
    """Of everything that is read once `go_on` is cleared."""
    reader = SlowReader()
    reader.go_on.set()
    monkeypatch.setattr(runtime_module, "load_policy", reader)
    return reader


async def begin_reading(runtime: EngineRuntime, reader: SlowReader, work: Awaitable[None]) -> asyncio.Future[None]:
    reader.has_read.clear()
    reader.go_on.clear()
    reading = asyncio.ensure_future(work)
    assert await asyncio.to_thread(reader.has_read.wait, 20)
    return reading


@pytest.mark.parametrize("by_signal", [False, True])
async def test_calls_are_answered_while_the_policy_is_read(
    start: START, tmp_path: Path, slow_reader: SlowReader, by_signal: bool
) -> None:
    runtime = await start(policy=written(tmp_path, "preset: none\nrules: [{name: one, action: allow}]"))
    written(tmp_path, "preset: none\nrules: [{name: another, action: allow}]")
    work = runtime.reload(runtime.engine) if by_signal else runtime.check_files()
    reading = await begin_reading(runtime, slow_reader, work)
    assert await rule_of(runtime) == "one"
    assert not reading.done()
    slow_reader.go_on.set()
    await reading
    assert await rule_of(runtime) == "another"


async def test_change_while_the_policy_is_read_is_not_lost(
    start: START, tmp_path: Path, slow_reader: SlowReader
) -> None:
    runtime = await start(policy=written(tmp_path, "preset: none\nrules: [{name: one, action: allow}]"))
    written(tmp_path, "preset: none\nrules: [{name: second, action: allow}]")
    reading = await begin_reading(runtime, slow_reader, runtime.check_files())
    written(tmp_path, "preset: none\nrules: [{name: third, action: allow}]")
    slow_reader.go_on.set()
    await reading
    assert await rule_of(runtime) == "second"
    await runtime.check_files()
    assert await rule_of(runtime) == "third"


async def test_list_that_a_policy_names_anew_is_read_once_more_and_then_when_it_changes(
    start: START, tmp_path: Path, slow_reader: SlowReader
) -> None:
    runtime = await start(policy=written(tmp_path, "preset: none"))
    office = tmp_path / "office.txt"
    office.write_text("203.0.113.0/24\n")
    rule = "rules: [{name: in, match: {address: office}, action: allow}]"
    written(tmp_path, f"preset: none\nsets: {{office: {{files: '{office}'}}}}\n{rule}")
    reading = await begin_reading(runtime, slow_reader, runtime.check_files())
    office.write_text("198.51.100.0/24\n")
    slow_reader.go_on.set()
    await reading
    assert await rule_of(runtime, IP="203.0.113.9") == "in"
    await runtime.check_files()
    assert await rule_of(runtime, IP="198.51.100.9") == "in"
    slow_reader.has_read.clear()
    await runtime.check_files()
    assert not slow_reader.has_read.is_set()


async def test_reload_waits_for_the_one_under_way(start: START, tmp_path: Path, slow_reader: SlowReader) -> None:
    policy = written(tmp_path, "preset: none\nrules: [{name: one, action: allow}]")
    runtime = await start(policy=policy)
    written(tmp_path, "preset: none\nrules: [{name: another, action: allow}]")
    reading = await begin_reading(runtime, slow_reader, runtime.check_files())
    other = asyncio.ensure_future(runtime.reload(engine(policy=policy, keys=["new"])))
    slow_reader.go_on.set()
    await asyncio.gather(reading, other)
    assert (await ask(runtime, Key="old")).status == 400
    assert await rule_of(runtime, Key="new") == "another"


@pytest.mark.parametrize("text", ["", "# all of it was taken out\n", "{}"])
async def test_policy_that_is_cut_off_before_its_first_key_keeps_the_one_in_force(
    start: START, tmp_path: Path, text: str
) -> None:
    runtime = await start(policy=written(tmp_path, "preset: none\nrules: [{name: one, action: allow}]"))
    written(tmp_path, text)
    await runtime.check_files()
    assert await rule_of(runtime) == "one"
    assert "got no key; expected at least one" in runtime.report()[1][0]["reason"]


async def test_fetched_list_is_put_to_the_fixed_addresses_and_survives_a_reload(start: START, tmp_path: Path) -> None:
    async def serve_list(request: web.Request) -> web.Response:
        return web.Response(text="198.51.100.0/24\n")

    application = web.Application()
    application.router.add_get("/list", serve_list)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    text = (
        f"preset: none\nsets: {{partners: {{addresses: 203.0.113.7, urls: 'http://127.0.0.1:{port}/list'}}}}\n"
        "rules: [{name: partner, match: {address: partners}, action: allow}]"
    )
    try:
        runtime = await start(policy=written(tmp_path, text))
        assert await rule_of(runtime, IP="203.0.113.7") == "partner"
        await eventually(lambda: runtime.lookups.status()["partners[0]"]["networks"] == 1, "the list")
        assert await rule_of(runtime, IP="198.51.100.9") == "partner"
        assert await rule_of(runtime, IP="203.0.113.7") == "partner"
    finally:
        await runner.cleanup()
    written(tmp_path, text + "\n# changed")
    await runtime.check_files()
    assert await rule_of(runtime, IP="198.51.100.9") == "partner"


async def test_policy_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    policy = written(tmp_path, "rules: [{name: x, match: {address: nowhere}, action: allow}]")
    with pytest.raises(ConfigError, match=r"rules\[0\]\.match\.address\[0\]: got 'nowhere'; expected an address"):
        EngineRuntime(engine(policy=policy), supervised=True, trusted=True)


async def test_reload_takes_over_keys_policy_and_secrets(start: START, tmp_path: Path) -> None:
    runtime = await start(keys=["old"], session={"secrets": ["first"]})
    cookie = dict((await ask(runtime, Key="old")).headers)["Set-Cookie"].split(";")[0].removeprefix("datadome=")
    policy = written(tmp_path, "preset: none\nrules: [{name: known, match: {session: visitor}, action: allow}]")
    await runtime.reload(engine(keys=["new"], policy=policy, session={"secrets": ["second", "first"]}))
    assert (await ask(runtime, Key="old")).status == 400
    assert await rule_of(runtime, Key="new", ClientID=cookie) == "known"
    await runtime.reload(engine(keys=["new"], policy=policy, session={"secrets": ["second"]}))
    assert await rule_of(runtime, Key="new", ClientID=cookie) == "default"


async def test_reload_that_cannot_be_used_changes_nothing(start: START, tmp_path: Path) -> None:
    runtime = await start(keys=["old"])
    with pytest.raises(ConfigError):
        await runtime.reload(engine(keys=["new"], policy=written(tmp_path, "preset: x")))
    assert (await ask(runtime, Key="old")).status == 200


async def test_decision_log_names_rule_score_and_findings_of_who_is_stopped(start: START, tmp_path: Path) -> None:
    log = tmp_path / "decisions.log"
    runtime = await start(decision_log=str(log))
    await ask(runtime)
    await ask(runtime, UserAgent="curl/8.9.1", IP="203.0.113.7", Request="/a?secret=1")
    await runtime.stop()
    (line,) = [json.loads(text) for text in log.read_text().splitlines()]
    line.pop("time")
    line.pop("request_id")
    assert line == {
        "rule": "automation",
        "action": "block",
        "client_ip": "203.0.113.7",
        "method": "GET",
        "host": BROWSER["Host"],
        "path": "/a",
        "user_agent": "curl/8.9.1",
        "bot": "curl",
        "bot_class": "library",
        "score": line["score"],
        "findings": line["findings"],
        "session": None,
        "session_kind": "none",
        "presented": None,
        "dry_run": None,
    }


async def test_sessions_are_counted_by_what_they_proved(start: START) -> None:
    runtime = await start()
    for _ in range(3):
        await ask(runtime)
    gauges = runtime.report()[0]["gauges"]["gateway_engine_sessions"]
    assert [["visitor"], 3] in gauges


async def test_store_that_is_full_is_degraded(start: START) -> None:
    runtime = await start(store={"capacity": 1})
    for number in range(2):
        runtime.store.answer(Spend(f"proof{number}", 60.0), time.time())
    delta, _ = runtime.report()
    assert delta["counters"]["gateway_engine_store_refused_total"] == [[[], 1]]
    assert [part["part"] for part in runtime.report()[1]] == ["engine store capacity"]


@needs_server
async def test_two_engines_share_limits_and_overrides_and_go_on_without_the_store(
    start: START, tmp_path: Path
) -> None:
    server = ValkeyServer(tmp_path)
    server.start()
    settings = {"policy": written(tmp_path, LIMITED), "store": {"url": server.url, "timeout": "10s"}}
    try:
        one, other = await start(**settings), await start(**settings)
        statuses = [(await ask(engine_, IP="203.0.113.7")).status for engine_ in (one, other) * 5]
        assert statuses == [200] * 5 + [429] * 5
        override = Override.of("198.51.100.9", "block", 4e9, "by hand", 1.0)
        await one.store.put(override)
        await eventually(lambda: len(other.store.overrides) == 1, "the override at the other engine")
        assert await rule_of(other, IP="198.51.100.9") == "override-block"
    finally:
        server.kill()
    assert (await ask(one, IP="203.0.113.7")).status == 429  # what it knows itself
    assert (await ask(one, IP="192.0.2.55")).status == 200
    assert await rule_of(other, IP="198.51.100.9") == "override-block"
    await eventually(lambda: bool(one.report()[1]), "the loss to be said")
    delta, degraded = one.report()
    assert [part["part"] for part in degraded] == ["engine store"]
    assert delta["gauges"]["gateway_engine_store_up"] == [[[], 0]]
