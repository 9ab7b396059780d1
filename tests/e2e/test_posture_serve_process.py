"""`gateway posture serve` as a process, beside commands that are other processes and share its store."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import Client
from posture.command.commands import QUICK, Ran
from posture.standin.ddactic import FINDINGS, DDacticStandIn
from posture.store.postgresql_server import MISSING, PASSWORD, PROGRAMS, PostgresqlServer
from posture.webhook.receiving import SECRETS, delivery
from processes import free_port, until

from gateway.config.patch import read_patches

KEY = "ddactic-key-of-serve"
HOST = "shop.example"
NEVER = {"interval": "1h", "max": "1h"}
"""Pauses between two polls: who waits so long is told by a webhook, or by nobody."""


@dataclass
class Desk:
    """A configuration, the platform, and the processes that were started with it."""

    folder: Path
    ddactic: DDacticStandIn
    port: int
    serving: asyncio.subprocess.Process | None = None

    @property
    def file(self) -> Path:
        return self.folder / "gateway.yaml"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def configure(self, **section: Any) -> None:
        posture = {
            "providers": {"ddactic": {"base_url": self.ddactic.url, "key": KEY, **QUICK, "poll": NEVER}},
            "webhooks": {"address": f"127.0.0.1:{self.port}", "ddactic": {"secret": SECRETS["ddactic"]}},
            **section,
        }
        sites = [{"hosts": [HOST], "origin": {"servers": ["http://127.0.0.1:9"]}}]
        self.file.write_text(yaml.safe_dump({"sites": sites, "posture": posture}))

    async def serve(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.serving = await self.start("serve", stderr=log)
        await until(self._is_serving, f"the receiver; the log:\n{self.log}")

    async def _is_serving(self) -> bool:
        assert self.serving is not None and self.serving.returncode is None, self.log
        try:
            return await self.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == 200
        except OSError:
            return False

    async def ask(self, request: bytes) -> int:
        async with await Client.connect(self.port) as client:
            client.send(request)
            return (await client.read_response()).status

    async def tell(self, event: dict[str, Any]) -> int:
        return await self.ask(delivery(json.dumps(event).encode()))

    async def start(self, *arguments: str, stderr: Any = subprocess.PIPE) -> asyncio.subprocess.Process:
        """`gateway posture ARGUMENTS -c FILE`."""
        command = [sys.executable, "-m", "gateway", "posture", *arguments, "-c", str(self.file)]
        return await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=stderr)

    async def finished(self, process: asyncio.subprocess.Process) -> Ran:
        async with asyncio.timeout(20):
            out, err = await process.communicate()
        ran = Ran(process.returncode or 0, out.decode(), err.decode())
        assert [text for text in (KEY, SECRETS["ddactic"], "Traceback") if text in ran.out + ran.err] == []
        return ran

    async def run(self, *arguments: str) -> Any:
        """The document of a command."""
        ran = await self.finished(await self.start(*arguments, "--format", "json"))
        assert ran.code == 0, ran.err
        return ran.json

    async def asked(self, path: str) -> None:
        """Returns when the platform has been asked for that."""

        async def is_asked() -> bool:
            return f"GET {path}" in self.ddactic.paths()

        await until(is_asked, f"GET {path}")

    async def stop(self) -> int:
        """The receiver's exit code."""
        if self.serving is None:
            return 0
        if self.serving.returncode is None:
            self.serving.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            code = await self.serving.wait()
        assert [text for text in (KEY, SECRETS["ddactic"], "Traceback") if text in self.log] == [], self.log
        return code


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    with DDacticStandIn(domains=[HOST], keys={KEY: "write"}, polls=10_000) as ddactic:
        made = Desk(tmp_path, ddactic, free_port())
        made.configure()
        yield made
        assert await made.stop() == 0
        assert ddactic.undocumented == []


async def test_serve_webhook_ends_the_wait_of_a_command_and_closes_what_was_found(desk: Desk) -> None:
    """All processes share the store; the command would poll again in an hour. The patch is for an engine elsewhere."""
    patches = desk.folder / "patches.json"
    rule = {"name": "close", "match": {"severity": "critical"}, "do": "block_path"}
    desk.configure(actions={"file": str(patches), "rules": [rule]})
    desk.ddactic.findings = [FINDINGS[0] | {"affected_asset": f"https://{HOST}/search"}]
    await desk.serve()
    document = await desk.run("scan", "start", HOST)
    assert document["scan"]["status"] == "queued"
    waiting = await desk.start("scan", "show", "scn_0001", "--wait", "--format", "json")
    await desk.asked("/scans/scn_0001")
    desk.ddactic.finish("scn_0001")
    assert await desk.tell(desk.ddactic.event("scan.completed", "scn_0001")) == 204
    ran = await desk.finished(waiting)
    assert (ran.code, ran.json["scan"]["status"]) == (0, "completed")
    assert [one["title"] for one in ran.json["findings"]] == [FINDINGS[0]["title"]]

    async def written() -> bool:
        return patches.exists() and [one.paths for one in read_patches(patches)] == [("/search",)]

    await until(written, "the patch")
    (action,) = (await desk.run("actions"))["actions"]
    assert (action["name"], action["host"], action["paths"]) == ("close", HOST, ["/search"])
    assert [one["event"] for one in (await desk.run("actions", "--history"))["history"]] == ["started"]


# ---- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture
def store_url() -> Iterator[str]:
    if PROGRAMS is None:
        pytest.skip(MISSING)
    server = PostgresqlServer()
    try:
        server.make()
        yield server.database()
    finally:
        server.remove()


async def test_commands_and_serve_share_a_store_in_postgresql(desk: Desk, store_url: str) -> None:
    """From the first command, which makes the schema, to findings that another process has stored."""
    desk.configure(store=store_url)
    assert await desk.run("findings") == {"findings": [], "total": 0}
    await desk.serve()
    starting = await desk.start("scan", "start", HOST, "--wait", "--format", "json")
    await desk.asked("/scans/scn_0001")
    desk.ddactic.finish("scn_0001")
    assert await desk.tell(desk.ddactic.event("scan.completed", "scn_0001")) == 204
    ran = await desk.finished(starting)
    assert (ran.code, ran.json["scan"]["status"]) == (0, "completed")
    findings = (await desk.run("findings", "--new"))["findings"]
    assert sorted(one["id"] for one in findings) == sorted(one["id"] for one in FINDINGS)
    assert [one["first_seen"] for one in findings] == [one["first_seen"] for one in ran.json["findings"]]
    shown = await desk.run("scan", "show", "scn_0001")
    assert (shown["findings"], shown["scan"]) == (ran.json["findings"], ran.json["scan"])
    events = await desk.run("events", "--scan", "scn_0001")
    assert [(one["event"], one["provider"]) for one in events["events"]] == [("scan.completed", "ddactic")]
    failing = await desk.finished(await desk.start("findings", "--fail-on", "critical"))
    assert failing.code == 3
    assert PASSWORD not in desk.log + ran.out + ran.err


async def test_command_without_its_postgresql_fails_with_a_line_that_has_no_password(
    desk: Desk, unused_port: int
) -> None:
    desk.configure(store=f"postgresql://posture:{PASSWORD}@127.0.0.1:{unused_port}/posture")
    ran = await desk.finished(await desk.start("findings"))
    assert ran.code == 1 and re.search(r"127\.0\.0\.1", ran.error) and PASSWORD not in ran.err
