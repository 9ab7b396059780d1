"""Start, reload and drain of the engine: in this process, and as `gateway engine`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from engine.browser_requests import BROWSER_REQUESTS
from fakes import eventually, within
from processes import free_port

from gateway.config import Config, parse_config
from gateway.engine.service import EnginePart, Standalone
from gateway.errors import ConfigError, EngineError, ListenError

BODY = orjson.dumps(BROWSER_REQUESTS["chrome navigates"])
CALL = (
    b"POST /validate-request HTTP/1.1\r\nHost: e\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def config(**engine: Any) -> Config:
    sites = [{"hosts": ["*"], "origin": {"servers": ["http://127.0.0.1:9000"]}}]
    return parse_config({"sites": sites, "engine": engine, "drain_timeout": "1s"})


async def status_of(path: Path) -> int:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(CALL)
    answer = await within(reader.read(), "the answer")
    writer.close()
    return int(answer.split(b" ", 2)[1])


async def test_part_serves_reloads_and_drains(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    part = EnginePart()

    await part.start(config(keys=["key"]), {"engine_socket": str(path)})
    assert await status_of(path) == 200
    await part.reload(config(keys=["another"]))
    assert await status_of(path) == 400
    delta, degraded = part.report()
    assert delta["counters"]["gateway_engine_decisions_total"] == [[["default", "allow"], 1]]
    assert delta["gauges"]["gateway_engine_store_up"] == [[[], 1]]
    assert degraded == []
    await within(part.drain(), "the drain")

    assert not path.exists()


async def test_part_replaces_the_socket_of_a_dead_engine(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    first, second = EnginePart(), EnginePart()
    await first.start(config(), {"engine_socket": str(path)})

    with pytest.raises(ListenError, match="Address already in use"):
        await second.start(config(), {"engine_socket": str(path)})
    await first.drain()
    await second.start(config(), {"engine_socket": str(path)})

    assert await status_of(path) == 200
    await second.drain()


async def test_part_without_a_socket_path_is_an_error_and_drains_all_the_same() -> None:
    part = EnginePart()

    with pytest.raises(EngineError, match="no engine_socket"):
        await part.start(config(), {"engine_socket": None})
    await part.drain()


async def test_serve_without_an_address_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"engine\.listen is null"):
        await Standalone(config()).serve()


async def test_serve_stops_when_told(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    standalone = Standalone(config(listen={"address": f"unix:{path}"}))

    serving = asyncio.create_task(standalone.serve())
    await eventually(path.exists, "the socket file")
    assert await status_of(path) == 200
    standalone.stop()
    await within(serving, "the end")

    assert not path.exists()


@pytest.mark.parametrize(
    ("address", "keys", "warned"),
    [("0.0.0.0", [], True), ("0.0.0.0", ["key"], False), ("127.0.0.1", [], False)],
)
async def test_engine_that_anybody_may_ask_says_so(
    address: str, keys: list[str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    listen = {"address": f"{address}:{free_port()}"}
    standalone = Standalone(config(listen=listen, keys=keys, crawlers={"dns": False, "agents": []}))
    with caplog.at_level("INFO", "gateway.engine"):
        serving = asyncio.create_task(standalone.serve())
        await eventually(lambda: "serving the Protection API" in caplog.messages, "the engine")
        standalone.stop()
        await within(serving, "the end")

    assert any("everybody who reaches the engine" in message for message in caplog.messages) is warned


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_gateway_engine_command_serves_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    path, file = tmp_path / "engine.sock", tmp_path / "engine.yaml"
    file.write_text(f"engine:\n  keys: [key]\n  listen: {{address: 'unix:{path}'}}\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "engine", "-c", str(file), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None

    try:
        lines = [await asyncio.wait_for(process.stderr.readline(), 20) for _ in range(2)]  # cold, on a busy machine
        assert b"serving the Protection API" in lines[1], lines
        assert await status_of(path) == 200
        process.send_signal(number)
        assert await within(process.wait(), "the end of the process") == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert not path.exists()
