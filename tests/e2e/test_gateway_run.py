"""The promises of `gateway run` about whole processes: decisions, metrics, reload, death of a child, drain."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest
from fakes import Client, RecordingProtection, decision
from processes import BROWSER, SCRIPT, Load, exists, free_port, until


async def test_run_browser_passes_script_is_blocked_and_metrics_show_both(run, origin):
    """The first thing that anybody tries, with the embedded engine deciding."""
    gateway = await run()
    page = await gateway.ask(BROWSER)
    blocked = await gateway.ask(SCRIPT)
    assert (page.status, page.body) == (200, b"hello")
    assert [value for value in page.values(b"set-cookie") if value.startswith(b"datadome=")]
    assert (blocked.status, blocked.values(b"x-datadomeresponse")) == (403, [])
    assert len(origin.requests) == 1
    assert origin.requests[0].head.values(b"x-datadome-isbot") == [b"0"]
    outcomes = await gateway.samples("gateway_requests_total", "outcome")
    assert outcomes["allowed"] == 1
    assert outcomes["blocked"] + outcomes["challenged"] == 1
    checks = await gateway.samples("gateway_protection_checks_total", "result")
    assert (checks["allow"], checks["block"], checks["error"]) == (1, 1, 0)
    assert (await gateway.samples("gateway_request_duration_seconds_count"))[""] == 2


async def test_run_scrape_sums_the_workers(run):
    gateway = await run(workers=2)
    assert len(gateway.children("worker")) == 2
    assert (await gateway.samples("gateway_workers"))[""] == 2
    for _ in range(40):  # each on a connection of its own: the kernel spreads them
        assert (await gateway.ask(BROWSER)).status == 200
    assert (await gateway.samples("gateway_requests_total", "outcome"))["allowed"] == 40
    assert (await gateway.samples("gateway_connections_total"))[""] == 40


async def test_run_reload_under_load_changes_the_policy_and_loses_no_request(run):
    """N08, the good configuration: SIGHUP, and from some request on nothing is asked any more."""
    gateway = await run(workers=2)
    async with Load(gateway.port) as load:
        gateway.write({**gateway.config, "protection": {"mode": "off"}})
        gateway.signal(signal.SIGHUP)

        async def bypassed() -> bool:
            return (await gateway.samples("gateway_requests_total", "outcome"))["bypassed"] > 0

        await until(bypassed, "the new configuration")
        await load.more(100)
    assert load.errors == []
    assert set(load.statuses) == {200}
    assert (await gateway.samples("gateway_config_last_reload_successful"))[""] == 1
    assert (await gateway.ask(SCRIPT)).status == 200


@pytest.mark.parametrize("broken", ["sites: [", "unknown_key: 1\n", ""])
async def test_run_reload_of_a_bad_file_changes_nothing_and_says_why(run, broken):
    """N08, the bad configuration: the old one stays, the log names the file, the gauge says 0."""
    gateway = await run()
    async with Load(gateway.port) as load:
        gateway.write(broken or {**gateway.config, "workers": -1})
        gateway.signal(signal.SIGHUP)

        async def refused() -> bool:
            return (await gateway.samples("gateway_config_last_reload_successful"))[""] == 0

        await until(refused, "the refusal")
        await load.more(50)
    assert load.errors == []
    assert set(load.statuses) == {200}
    assert (await gateway.ask(SCRIPT)).status == 403
    assert "gateway.yaml" in gateway.log
    assert gateway.process.returncode is None


@pytest.mark.parametrize("broken", ["sites: [", None], ids=["bad file", "bad certificate"])
async def test_run_sighup_rotates_the_access_log_though_the_reload_is_refused(run, tmp_path, certificates, broken):
    """SIGHUP is what log rotation sends, whatever else is wrong at that time."""
    log, rotated, certificate = tmp_path / "access.log", tmp_path / "access.log.1", tmp_path / "server.pem"
    certificate.write_bytes(certificates.certificate_file.read_bytes())
    tls = {"certificate": str(certificate), "private_key": str(certificates.key_file)}
    address = f"127.0.0.1:{free_port()}"
    gateway = await run(more_listeners=[{"address": address, "tls": tls}], logging={"access_log": str(log)})
    await gateway.ask(BROWSER)

    async def written() -> bool:
        return log.read_bytes().endswith(b"\n")

    await until(written, "the first line")
    log.rename(rotated)
    if broken is not None:
        gateway.write(broken)
    else:
        certificate.write_text("half written")
    gateway.signal(signal.SIGHUP)

    async def reopened() -> bool:
        return log.exists()

    await until(reopened, "the new file")
    await gateway.ask(SCRIPT)
    assert (await gateway.samples("gateway_config_last_reload_successful"))[""] == 0
    await gateway.stop()
    assert [json.loads(line)["status"] for line in rotated.read_text().splitlines()] == [200]
    assert [json.loads(line)["status"] for line in log.read_text().splitlines()] == [403]


async def test_run_reload_changes_the_logs(run, tmp_path):
    """Level and format of the application's log, and the access log's file, without a restart."""
    gateway = await run(logging={"access_log": False, "level": "error"})
    assert "gateway ready" not in gateway.log
    log = tmp_path / "access.log"
    gateway.write({**gateway.config, "logging": {"access_log": str(log), "level": "info", "format": "console"}})
    gateway.signal(signal.SIGHUP)

    async def told() -> bool:
        return " INFO    supervisor supervisor: configuration reloaded" in gateway.log

    await until(told, "the new level and format")
    await gateway.ask(SCRIPT)
    await gateway.stop()
    assert json.loads(log.read_text())["status"] == 403


async def test_run_worker_killed_is_replaced_and_its_counts_stay(run):
    gateway = await run(workers=2)
    for _ in range(20):
        assert (await gateway.ask(BROWSER)).status == 200
    assert (await gateway.samples("gateway_requests_total", "outcome"))["allowed"] == 20
    first, second = gateway.children("worker")
    os.kill(first, signal.SIGKILL)

    async def replaced() -> bool:
        workers = gateway.children("worker")
        ready = (await gateway.samples("gateway_workers"))[""] == 2
        return len(workers) == 2 and second in workers and first not in workers and ready

    await until(replaced, "a new worker")
    assert (await gateway.samples("gateway_worker_restarts_total"))[""] == 1
    for _ in range(20):
        assert (await gateway.ask(BROWSER)).status == 200
    assert (await gateway.samples("gateway_requests_total", "outcome"))["allowed"] == 40


async def test_run_engine_killed_under_load_fails_open_and_is_replaced(run):
    """The embedded engine is one more process: its death costs decisions for a moment and no answer."""
    gateway = await run()
    async with Load(gateway.port) as load:
        (engine,) = gateway.children("engine")
        os.kill(engine, signal.SIGKILL)

        async def judging_again() -> bool:
            return (await gateway.ask(SCRIPT)).status == 403 and gateway.children("engine") != [engine]

        await until(judging_again, "a new engine")
        await load.more(50)
    assert load.errors == []
    assert set(load.statuses) == {200}


async def test_run_api_killed_and_restarted_under_load_shows_no_client_an_error(run):
    """The done-condition of the issue, with an API outside of the gateway."""
    api = RecordingProtection()
    await api.start()
    protection = {
        "endpoint": f"http://127.0.0.1:{api.port}",
        "encoding": "json",
        "key": "k",
        "timeout": "500ms",
        "breaker": {"failures": 20, "window": "10s", "open": "200ms"},
    }
    gateway = await run(protection=protection)
    async with Load(gateway.port) as load:
        await api.stop()
        await load.more(200)
        await api.start()
        api.default = decision(200, to_response=[(b"X-Back", b"1")])

        async def back() -> bool:
            return bool((await gateway.ask(BROWSER)).values(b"x-back"))

        await until(back, "checks to be answered again")
        await load.more(100)
    assert load.errors == []
    assert set(load.statuses) == {200}
    failures = await gateway.samples("gateway_protection_failures_total", "reason")
    assert failures["connect"] + failures["reset"] + failures["breaker_open"] > 0
    assert (await gateway.samples("gateway_requests_total", "outcome"))["failed_open"] > 0
    await gateway.stop()
    await api.stop()


async def test_run_sigterm_finishes_the_request_in_flight_and_exits_0(run, origin):
    """N07 without tunnels: ready says 503 while the last exchange is finished, nothing new is accepted."""
    gateway = await run(workers=2)
    gate = asyncio.Event()
    origin.scripts.append([gate, origin.default])
    async with await Client.connect(gateway.port) as client:
        client.send(BROWSER)
        await origin.received(1)
        gateway.signal(signal.SIGTERM)

        async def draining() -> bool:
            return await gateway.admin_status(b"/readyz") in (0, 503)

        await until(draining, "readiness to end")

        async def refusing() -> bool:
            try:
                async with await Client.connect(gateway.port) as late:
                    late.reset()
                return False
            except (ConnectionRefusedError, ConnectionResetError):  # the latter while it is being closed
                return True

        await until(refusing, "the listener to close")
        assert gateway.process.returncode is None
        gate.set()
        response = await client.read_response()
        assert await client.read_to_end() == b""
    assert (response.status, response.body) == (200, b"hello")
    assert response.value(b"connection") == b"close"
    assert await gateway.exited() == 0


async def test_run_sigterm_during_an_endless_exchange_ends_at_the_drain_timeout(run, origin):
    gateway = await run(drain_timeout="200ms")
    origin.scripts.append([asyncio.Event()])
    async with await Client.connect(gateway.port) as client:
        client.send(BROWSER)
        await origin.received(1)
        gateway.signal(signal.SIGTERM)
        assert await gateway.exited() == 0
        await client.read_to_end()


async def test_run_leaves_no_process_behind(run):
    gateway = await run(workers=2)
    children = gateway.children()
    assert len(children) == 3
    gateway.signal(signal.SIGINT)
    assert await gateway.exited() == 0

    async def gone() -> bool:
        return not any(exists(pid) for pid in children)

    await until(gone, "every child to end")


async def test_run_supervisor_killed_takes_its_children_along(run, tmp_path, monkeypatch):
    """A child whose control channel closes drains and exits: no orphan keeps the port."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    gateway = await run(workers=2, drain_timeout="1s")
    children = gateway.children()
    gateway.signal(signal.SIGKILL)
    await gateway.exited()

    async def gone() -> bool:
        return not any(exists(pid) for pid in children)

    await until(gone, "every orphan to end")
    assert list(tmp_path.glob("gateway-*")) == [], "the engine's folder goes with the last of them"


async def test_run_large_bodies_both_ways_keep_the_memory_flat(run, origin):
    """A tenth of the done-condition's gigabyte, 96 MiB each way: less than 32 MiB of growth."""
    gateway = await run(protection={"mode": "off"})
    (worker,) = gateway.children("worker")
    await gateway.ask(BROWSER)
    before = resident_kib(worker)
    size, piece = 96 * 1024 * 1024, b"x" * 1024 * 1024
    origin.scripts.append([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, *[piece] * 96])
    async with await Client.connect(gateway.port) as client:
        client.send(BROWSER)
        await client.read_head()
        for _ in range(96):
            await client.read_exactly(1024 * 1024)
        client.send(b"POST /up HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(96):
            client.send(piece)
            await client.drain()
        assert (await client.read_response()).status == 200
    assert len(origin.requests[-1].body) == size
    assert peak_kib(worker) - before < 32 * 1024


def resident_kib(pid: int) -> int:
    return _status_kib(pid, "VmRSS")


def peak_kib(pid: int) -> int:
    return _status_kib(pid, "VmHWM")


def _status_kib(pid: int, key: str) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key + ":"))
