"""SIGHUP to `gateway engine`: real processes, real certificates. Everything is taken over, or nothing and why."""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
import yaml
from engine.browser_requests import BROWSER_REQUESTS
from fakes import within
from processes import free_port, until

BODY = orjson.dumps(BROWSER_REQUESTS["chrome navigates"])
CALL = (
    b"POST /validate-request HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (len(BODY), BODY)
)
HOST = "engine.internal"
REFUSED = "reload refused, the former configuration stays in force"


class Engine:
    """A running `gateway engine` and its file."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.port = free_port()
        self.folder = folder
        self.settings: dict[str, Any] = {"listen": {"address": f"127.0.0.1:{self.port}"}}
        self.logging: dict[str, Any] = {"format": "json"}
        self._process: asyncio.subprocess.Process | None = None
        self._log = folder / "engine.log"
        self._seen = 0

    def certificate(self, name: str = "engine") -> dict[str, str]:
        """A new one in the files of that name."""
        issued = self.authority.issue_cert(HOST)
        files = {"certificate": str(self.folder / f"{name}.pem"), "private_key": str(self.folder / f"{name}.key")}
        issued.cert_chain_pems[0].write_to_path(files["certificate"])
        issued.private_key_pem.write_to_path(files["private_key"])
        return files

    def write_half(self, key: str, text: str = "") -> None:
        """Put one half of another pair, or a text, into a file that is configured."""
        files = self.settings["listen"]["tls"]
        Path(files[key]).write_text(text or Path(self.certificate("other")[key]).read_text())

    def write(self) -> Path:
        file = self.folder / "engine.yaml"
        file.write_text(yaml.safe_dump({"engine": self.settings, "logging": self.logging, "drain_timeout": "1s"}))
        return file

    async def start(self) -> None:
        command = [sys.executable, "-m", "gateway", "engine", "-c", str(self.write())]
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stderr=log)
        await self.said("serving the Protection API")

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await within(self._process.wait(), "the end of the engine")

    async def said(self, *messages: str) -> str:
        """The next line of the log with one of these messages."""

        async def written() -> bool:
            return len(self._told(messages)) > self._seen

        await until(written, f"{messages}; the engine wrote:\n{self._log.read_text()}")
        return self._told(messages)[self._seen]

    def _told(self, messages: tuple[str, ...]) -> list[str]:
        return [line for line in self._log.read_text().splitlines(True) if line.endswith("\n")
                and any(message in line for message in messages)]  # fmt: skip

    async def reload(self) -> str:
        """The line that says what came of it."""
        assert self._process is not None
        outcomes = "configuration reloaded", REFUSED
        self._seen = len(self._told(outcomes))
        self._process.send_signal(signal.SIGHUP)
        return await self.said(*outcomes)

    async def reloaded(self) -> str:
        """What a reload came to: "" or why it was refused."""
        return str(orjson.loads(await self.reload()).get("error", ""))

    async def connect(self, *, tls: bool = True) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        options: dict[str, Any] = {"ssl": context, "server_hostname": HOST} if tls else {}
        return await within(asyncio.open_connection("127.0.0.1", self.port, **options), "the connection")

    async def serial(self) -> str:
        """Of the certificate that a new connection meets; it is asked something, too."""
        reader, writer = await self.connect()
        assert await asked(reader, writer) == 200
        serial = str(writer.get_extra_info("peercert")["serialNumber"])
        writer.close()
        await writer.wait_closed()
        return serial


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    writer.write(CALL)
    head = await within(reader.readuntil(b"\r\n\r\n"), "the answer")
    return int(head.split(b" ", 2)[1])


@pytest.fixture
def engine_in(tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Engine]:
        engine = Engine(tmp_path)
        if settings.pop("tls", False):
            engine.settings["listen"]["tls"] = engine.certificate()
        engine.settings |= settings
        try:
            await engine.start()
            yield engine
        finally:
            await engine.stop()

    return start


async def test_renewed_certificate_is_met_by_new_connections_and_open_ones_go_on(engine_in: Callable[..., Any]) -> None:
    async with engine_in(tls=True) as engine:
        reader, writer = await engine.connect()
        first = writer.get_extra_info("peercert")["serialNumber"]

        engine.certificate()
        assert await engine.serial() == first  # the files are not watched
        assert await engine.reloaded() == ""
        second = await engine.serial()

        assert second != first
        assert await asked(reader, writer) == 200
        writer.close()
        engine.certificate()
        assert await engine.reloaded() == ""
        assert await engine.serial() not in (first, second)


async def test_certificate_under_another_name_is_taken_over(engine_in: Callable[..., Any]) -> None:
    async with engine_in(tls=True) as engine:
        first = await engine.serial()

        engine.settings["listen"]["tls"] = engine.certificate("other")
        engine.write()

        assert await engine.reloaded() == ""
        assert await engine.serial() != first


@pytest.mark.parametrize("broken", ["certificate", "private_key"])
async def test_certificate_that_cannot_be_used_refuses_the_reload(engine_in: Callable[..., Any], broken: str) -> None:
    """Nothing of it is taken over: neither the keys nor half of a pair."""
    async with engine_in(tls=True) as engine:
        first = await engine.serial()
        files = engine.settings["listen"]["tls"]

        engine.write_half(broken)
        engine.settings["keys"] = ["another key"]
        engine.write()
        error = await engine.reloaded()

        assert error.startswith(f"certificate {files['certificate']} with private key {files['private_key']}: ")
        assert await engine.serial() == first
        engine.write_half(broken, "no certificate")
        assert "PEM" in await engine.reloaded()
        assert await engine.serial() == first


def _elsewhere(engine: Engine) -> None:
    engine.settings["listen"]["address"] = "127.0.0.1:1"


def _nowhere(engine: Engine) -> None:
    engine.settings["listen"] = None


def _with_tls(engine: Engine) -> None:
    engine.settings["listen"]["tls"] = engine.certificate()


def _another_store(engine: Engine) -> None:
    engine.settings["store"] = {"url": "valkey://127.0.0.1:6379"}


def _other_crawlers(engine: Engine) -> None:
    engine.settings["crawlers"] = {"dns": False}


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        (_elsewhere, "engine.listen.address"),
        (_nowhere, "engine.listen.address"),
        (_with_tls, "engine.listen.tls"),
        (_another_store, "engine.store"),
        (_other_crawlers, "engine.crawlers.dns"),
    ],
)
async def test_change_that_needs_a_restart_is_refused_and_named(
    engine_in: Callable[..., Any], change: Callable[[Engine], None], keys: str
) -> None:
    async with engine_in() as engine:
        change(engine)
        engine.settings["keys"] = ["another key"]
        file = engine.write()

        assert await engine.reloaded() == f"{file}: a change of {keys} needs a restart"
        reader, writer = await engine.connect(tls=False)
        assert await asked(reader, writer) == 200  # with the former keys
        writer.close()


async def test_tls_that_is_taken_away_needs_a_restart(engine_in: Callable[..., Any]) -> None:
    async with engine_in(tls=True) as engine:
        first = await engine.serial()
        del engine.settings["listen"]["tls"]

        assert await _refused(engine.write, engine.reloaded) == "engine.listen.tls"
        assert await engine.serial() == first


async def _refused(write: Callable[[], Path], reloaded: Callable[[], Awaitable[str]]) -> str:
    """The keys that the refusal names."""
    file = write()
    return (await reloaded()).removeprefix(f"{file}: a change of ").removesuffix(" needs a restart")


async def test_keys_are_taken_over(engine_in: Callable[..., Any]) -> None:
    async with engine_in() as engine:
        engine.settings["keys"] = ["another key"]
        engine.write()

        assert await engine.reloaded() == ""
        reader, writer = await engine.connect(tls=False)
        assert await asked(reader, writer) == 400
        writer.close()


async def test_form_of_the_log_is_taken_over(engine_in: Callable[..., Any]) -> None:
    async with engine_in() as engine:
        engine.logging["format"] = "console"
        engine.write()

        line = await engine.reload()
        assert "configuration reloaded" in line and not line.startswith("{")
