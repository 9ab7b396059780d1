"""`gateway check --probe`: the API and every origin, asked once, over real sockets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import BlackHole, RecordingOrigin, RecordingProtection, Step, decision, within

from gateway.__main__ import main
from gateway.config import parse_config
from gateway.probe import ProbeResult, probe


class Peers:
    """One API and one origin; `config` is a configuration that uses both."""

    def __init__(self) -> None:
        self.protection = RecordingProtection()
        self.origin = RecordingOrigin()

    def config(self, protection: Mapping[str, Any] = {}, **site: Any) -> dict[str, Any]:
        return {
            "sites": [{"name": "shop", "origin": {"servers": [self.origin_url]}, **site}],
            "protection": {"endpoint": self.protection_url, "key": "very-secret", "timeout": "5s", **protection},
        }

    @property
    def protection_url(self) -> str:
        return f"http://127.0.0.1:{self.protection.port}"

    @property
    def origin_url(self) -> str:
        return f"http://127.0.0.1:{self.origin.port}"


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    peers = Peers()
    for server in (peers.protection, peers.origin):
        await server.start()
    yield peers
    for server in (peers.protection, peers.origin):
        await server.stop()
        assert server.violations == []


async def probed(config: Mapping[str, Any]) -> list[tuple[str, bool, str]]:
    """What each result says, but how long it took."""
    results = await within(probe(parse_config(dict(config))), "the probe")
    assert all(isinstance(result, ProbeResult) and result.duration_s > 0 for result in results)
    return [(result.what, result.ok, result.detail) for result in results]


# --- the Protection API ---


async def test_probe_of_usable_peers_says_status_and_encoding(peers: Peers) -> None:
    assert await probed(peers.config()) == [
        (f"protection {peers.protection_url}", True, "status 200, encoding json: it decides (allow)"),
        (f"origin {peers.origin_url} of site shop", True, "status 200"),
    ]


async def test_probe_negotiates_the_encoding_as_a_start_does(peers: Peers) -> None:
    peers.protection.scripts.append(decision(415))
    (_, ok, detail), _ = await probed(peers.config())
    assert (ok, detail) == (True, "status 200, encoding form: it decides (allow)")
    assert [request.head.value(b"content-type") for request in peers.protection.requests] == [
        b"application/json", b"application/x-www-form-urlencoded", b"application/x-www-form-urlencoded"]


async def test_probe_with_a_pinned_encoding_asks_once(peers: Peers) -> None:
    (_, ok, detail), _ = await probed(peers.config({"encoding": "form"}))
    assert (ok, detail) == (True, "status 200, encoding form: it decides (allow)")
    assert [request.payload["Key"] for request in peers.protection.requests] == ["very-secret"]


@pytest.mark.parametrize("encoding", ["auto", "json", "form"])
async def test_probe_of_an_api_that_refuses_the_key_is_not_ok(peers: Peers, encoding: str) -> None:
    peers.protection.default = decision(400)
    (_, ok, detail), _ = await probed(peers.config({"encoding": encoding}))
    used = "form" if encoding == "auto" else encoding
    assert (ok, detail) == (False, f"status 400, encoding {used}: it refuses the key (or the payload)")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (decision(200, marker=None),
         "status 200, encoding json: ignored, its X-DataDomeResponse is missing, expected 200"),
        (decision(200, marker=b"403"),
         "status 200, encoding json: ignored, its X-DataDomeResponse is '403', expected 200"),
        (decision(404), "status 404, encoding json: no decision, is this a Protection API?"),
        (decision(500), "status 500, encoding json: no decision, is this a Protection API?"),
        (b"220 mail.example ESMTP\r\n\r\n", "what it answers is not valid HTTP/1.1"),
        ((Step.RESET,), "closed the connection without an answer"),
    ],
)  # fmt: skip
async def test_probe_of_an_api_without_a_decision_is_not_ok(peers: Peers, script: Any, said: str) -> None:
    peers.protection.default = script
    (_, ok, detail), _ = await probed(peers.config({"encoding": "json"}))
    assert (ok, detail) == (False, said)


async def test_probe_of_an_api_that_blocks_is_ok(peers: Peers) -> None:
    peers.protection.default = decision(403, body=b"<html>")
    (_, ok, detail), _ = await probed(peers.config())
    assert (ok, detail) == (True, "status 403, encoding json: it decides (block)")


async def test_probe_of_an_api_over_the_budget_says_so(peers: Peers) -> None:
    (_, ok, detail), _ = await probed(peers.config({"timeout": "1ms", "pool": {"warm": 0}, "encoding": "json"}))
    assert ok
    assert detail in (
        "status 200, encoding json: it decides (allow)",
        "status 200, encoding json: it decides (allow), but slower than protection.timeout (1 ms) on a new connection",
    )


async def test_probe_of_a_refused_connection_says_so(peers: Peers, unused_port: int) -> None:
    (what, ok, detail), (_, origin_ok, _) = await probed(
        peers.config({"endpoint": f"http://127.0.0.1:{unused_port}", "encoding": "auto"}))
    assert (what, ok, origin_ok) == (f"protection http://127.0.0.1:{unused_port}", False, True)
    assert detail.startswith("cannot connect: ")


async def test_probe_of_a_silent_api_ends_with_its_deadline(peers: Peers) -> None:
    peers.protection.default = (Step.STALL,)
    (_, ok, detail), (_, origin_ok, _) = await probed(peers.config({"encoding": "json"}))
    assert (ok, detail, origin_ok) == (False, "no answer in time", True)


async def test_probe_asks_an_api_once_for_all_sites_that_share_it(peers: Peers) -> None:
    config = peers.config({"encoding": "json"})
    servers = {"servers": [peers.origin_url]}
    config["sites"] += [
        {"name": "blog", "origin": servers},
        {"name": "api", "origin": servers, "protection": {"key": "another"}},
        {"name": "files", "origin": servers, "protection": {"mode": "off"}},
    ]
    whats = [what for what, _, _ in await probed(config)]
    assert whats == [
        f"protection {peers.protection_url} of site shop, blog", f"protection {peers.protection_url} of site api",
        *(f"origin {peers.origin_url} of site {name}" for name in ("shop", "blog", "api", "files")),
    ]  # fmt: skip
    assert sorted(request.payload["Key"] for request in peers.protection.requests) == ["another", "very-secret"]


async def test_probe_of_mode_off_asks_no_api(peers: Peers) -> None:
    assert [what for what, _, _ in await probed(peers.config({"mode": "off"}))] == [
        f"origin {peers.origin_url} of site shop"]


async def test_probe_of_the_embedded_engine_runs_it(peers: Peers) -> None:
    (what, ok, detail), _ = await probed(peers.config({"endpoint": "embedded"}))
    assert (what, ok) == ("protection embedded", True)
    assert detail == "status 200, encoding json: it decides (allow)"


# --- the origins ---


@pytest.mark.parametrize("status", [200, 301, 404, 500])
async def test_probe_of_an_origin_takes_any_status(peers: Peers, status: int) -> None:
    peers.origin.default = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status
    assert (await probed(peers.config()))[1][1:] == (True, f"status {status}")


async def test_probe_of_an_origin_does_not_wait_for_the_page(peers: Peers) -> None:
    peers.origin.default = (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 2_000_000, Step.STALL)
    assert (await probed(peers.config()))[1][1:] == (True, "status 200")


@pytest.mark.parametrize(
    ("site", "host"),
    [
        ({"hosts": ["*.shop.example", "shop.example", "b.example"]}, b"shop.example"),
        ({"hosts": ["*"]}, None),
        ({"hosts": ["*.shop.example"]}, None),
    ],
)
async def test_probe_of_an_origin_asks_for_a_host_of_the_site(peers: Peers, site: dict[str, Any], host: bytes) -> None:
    await probed(peers.config(**site))
    request = peers.origin.requests[0]
    assert request.line == b"GET / HTTP/1.1"
    assert request.head.value(b"host") == (host or peers.origin_url.removeprefix("http://").encode())


async def test_probe_of_an_origin_that_does_not_keep_the_host_asks_for_its_own(peers: Peers) -> None:
    origin = {"servers": [peers.origin_url], "preserve_host": False}
    await probed(peers.config(hosts=["shop.example"], origin=origin))
    assert peers.origin.requests[0].head.value(b"host") == peers.origin_url.removeprefix("http://").encode()


async def test_probe_asks_every_server_on_its_own(peers: Peers, unused_port: int) -> None:
    with BlackHole() as hole:
        urls = [peers.origin_url, f"http://127.0.0.1:{unused_port}", f"http://127.0.0.1:{hole.port}"]
        _, works, refused, dropped = await probed(
            peers.config(origin={"servers": urls, "connect_timeout": "300ms"}))
    assert works == (f"origin {urls[0]} of site shop", True, "status 200")
    assert refused[:2] == (f"origin {urls[1]} of site shop", False)
    assert refused[2].startswith("cannot connect: ")
    assert dropped == (f"origin {urls[2]} of site shop", False, "no answer in time: no connection within 0.3 s")


async def test_probe_of_an_origin_with_an_unknown_certificate_is_not_ok(peers: Peers, certificates: Any) -> None:
    origin = RecordingOrigin(tls=certificates.server_context())
    await origin.start()
    servers = [f"https://localhost:{origin.port}"]
    unknown = (await probed(peers.config(origin={"servers": servers})))[1]
    known = (await probed(peers.config(origin={"servers": servers, "tls": {"ca": str(certificates.ca_file)}})))[1]
    await origin.stop()
    assert not unknown[1] and "CERTIFICATE_VERIFY_FAILED" in unknown[2]
    assert known[1:] == (True, "status 200")


async def test_probe_of_an_origin_on_a_unix_socket_works(peers: Peers, tmp_path: Path) -> None:
    origin = RecordingOrigin(unix=str(tmp_path / "origin.sock"))
    await origin.start()
    found = (await probed(peers.config(origin={"servers": [f"unix:{tmp_path}/origin.sock"]})))[1]
    await origin.stop()
    assert found == (f"origin unix:{tmp_path}/origin.sock of site shop", True, "status 200")
    assert origin.requests[0].head.value(b"host") == b"localhost"


async def test_probe_leaves_no_connection_open(peers: Peers) -> None:
    await probed(peers.config())
    for server in (peers.protection, peers.origin):
        for connection in server.connections:
            await server.lost(connection.number)


# --- command line ---


def written(folder: Path, config: Mapping[str, Any]) -> str:
    """The name of a file with that configuration."""
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(config))
    return str(file)


async def test_check_probe_typed_with_usable_peers_is_exit_code_0(
    capsys: pytest.CaptureFixture[str], peers: Peers, tmp_path: Path
) -> None:
    file = written(tmp_path, peers.config())
    code = await asyncio.to_thread(main, ["check", "--probe", "-c", file])
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    lines = printed.out.splitlines()
    assert lines[0] == f"{file}: ok"
    assert [line.split()[0] for line in lines[2:]] == ["ok", "ok"]
    assert "very-secret" not in printed.out


async def test_check_probe_typed_with_a_refused_key_is_exit_code_1_and_says_so_once(
    capsys: pytest.CaptureFixture[str], peers: Peers, tmp_path: Path
) -> None:
    peers.protection.default = decision(400)
    code = await asyncio.to_thread(main, ["check", "--probe", "-c", written(tmp_path, peers.config())])
    printed = capsys.readouterr()
    assert (code, printed.err) == (1, "")
    assert printed.out.count("it refuses the key") == 1


async def test_check_without_probe_asks_nobody(peers: Peers, tmp_path: Path) -> None:
    assert await asyncio.to_thread(main, ["check", "-c", written(tmp_path, peers.config())]) == 0
    assert (peers.protection.connections, peers.origin.connections) == ([], [])


def test_check_probe_typed_with_the_embedded_engine_names_the_origin_that_is_down(
    tmp_path: Path, unused_port: int
) -> None:
    config = {"sites": [{"origin": {"servers": [f"http://127.0.0.1:{unused_port}"]}}]}
    typed = ["check", "--probe", "-c", written(tmp_path, config)]
    done = subprocess.run([sys.executable, "-m", "gateway", *typed], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    marks = [line.split()[:2] for line in done.stdout.splitlines()[2:]]
    assert marks == [["ok", "protection"], ["FAILED", "origin"]]
