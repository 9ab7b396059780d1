"""How many decisions a second the engine makes on one core, and how long one takes: `make bench-engine`.

Starts the real `gateway engine` with the built-in policy, pinned to core 0, and drives it from this process on core 1,
over keep-alive connections, with the calls that a gateway makes about 12,000 visitors (loadtests/engine/traffic.py).
For each store and transport it measures

- decisions/s with 32 connections that always ask again (wrk's where it is installed and can: over TCP), and the CPU
  time of the engine's process per decision (user + system, from /proc), which "per core" is computed from;
- the latency of calls that come by chance (Poisson) at half of that rate, each counted from when it was due: the median
  over windows of half a second, so that a moment in which the machine does something else does not decide.

With --gateway: `gateway run` with the embedded engine and an origin of its own, both cores for all of it.

Exit 1 if a row makes fewer than 12,000 decisions per second of a core, or its p99 is 5 ms or more. `waited` is the part
of the time in which the engine or the generator was ready to run and another program had its core. Above 2 % latencies
are this machine's and not the engine's: they are printed, and not judged.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop
import yaml
from generator import Generator, Load, ask_each
from traffic import KEY, Caller, Visitor, visitors

REQUIRED_PER_S = 12_000
REQUIRED_P99_MS = 5.0
VISITORS = 12_000
WINDOW_S = 0.5
QUIET = 0.02
START_PATIENCE_S = 20.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
COOKIE = re.compile(rb"\r\nset-cookie: datadome=([^;\r]+)", re.IGNORECASE)
WRK = shutil.which("wrk")
WRK_CALLS = 12_000
WRK_SCRIPT = """
local headers = {["Content-Type"] = "%s", ["Host"] = "engine", ["User-Agent"] = "DataDome"}
local bodies = {%s}
local requests, at = {}, 0
function init()
  for index, body in ipairs(bodies) do requests[index] = wrk.format("POST", "/validate-request", headers, body) end
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
"""
CORES = sorted(os.sched_getaffinity(0))
ENGINE_CORE, GENERATOR_CORE = 0, 1

Target = tuple[str, int] | str


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. cpu_us: of the engine's process per decision; waited: the share of the time in which it, or the
    generator, was kept from its core while latencies were measured."""

    store: str
    encoding: str
    transport: str
    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    waited: float
    statuses: Counter[int]

    @property
    def per_core_s(self) -> float:
        return 1e6 / self.cpu_us

    @property
    def is_enough(self) -> bool:
        return self.per_core_s >= REQUIRED_PER_S and (self.p99_ms < REQUIRED_P99_MS or self.waited > QUIET)


def cpu_s(pid: int) -> float:
    """User and system time of one process, in ticks of 10 ms."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(numbers[11]) + int(numbers[12])) / CLOCK_TICKS


def waited_s(pid: int) -> float:
    """How long a process has been ready to run without running (its run delay); 0 where nobody counts it."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def pin(core: int) -> None:
    """This process to one core, if there are two."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[core]})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def wait_until(is_up: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        if is_up():
            return
        time.sleep(0.05)
    raise SystemExit(f"{process.args!r} did not start:\n{log.read_text()}")


def accepts(target: Target) -> bool:
    with contextlib.suppress(OSError), socket.socket(
        socket.AF_UNIX if isinstance(target, str) else socket.AF_INET
    ) as probe:
        probe.connect(target)
        return True
    return False


@contextlib.contextmanager
def started(
    command: list[str], folder: Path, is_up: Callable[[], bool], core: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process while it is needed; its log is in `folder`."""
    log = folder / "log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, preexec_fn=None if core is None else lambda: pin(core))
    try:
        wait_until(is_up, process, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def engine_command(folder: Path, address: str, store: str) -> list[str]:
    """`gateway engine` on that address. store: `memory` or a URL."""
    engine: dict[str, object] = {"keys": [KEY], "listen": {"address": address}}
    if store != "memory":
        engine["store"] = {"url": store}
    file = folder / "engine.yaml"
    file.write_text(yaml.safe_dump({"engine": engine, "logging": {"level": "warning"}}))
    return [sys.executable, "-m", "gateway", "engine", "-c", str(file)]


def introduce(target: Target, people: list[Visitor]) -> None:
    """Most people have been here before: give them the cookie that the engine gave them."""
    caller = Caller("json")
    returning = [person for person in people if person.is_person and caller.returns()]
    answers = uvloop.run(ask_each(target, [caller.call(person) for person in returning]))
    for person, answer in zip(returning, answers, strict=True):
        found = COOKIE.search(answer)
        person.cookie = found[1].decode() if found else ""


def latency_ms(load: Load, percent: float) -> float:
    """The percentile of each window of WINDOW_S, and of those the median."""
    size = max(int(len(load.latencies_s) * WINDOW_S / load.seconds), 1)
    windows = [sorted(load.latencies_s[at : at + size]) for at in range(0, len(load.latencies_s) - size + 1, size)]
    return statistics.median(window[int(len(window) * percent / 100)] for window in windows) * 1e3


async def measure(target: Target, calls: list[bytes], pid: int, seconds: float) -> tuple[Load, float, Load, float]:
    """(saturated, CPU seconds of that, paced at half of the rate, share of time kept waiting meanwhile)."""
    await Generator(target, calls).saturate(0.5)  # warm up
    before_s = cpu_s(pid)
    if isinstance(target, tuple) and WRK is not None:
        saturated = await asyncio.to_thread(saturate_with_wrk, target, calls, seconds)
    else:
        saturated = await Generator(target, calls).saturate(seconds)
    used_s = cpu_s(pid) - before_s
    before_s = waited_s(pid) + waited_s(os.getpid())
    paced = await Generator(target, calls, connections=64).paced(saturated.calls / saturated.seconds / 2, seconds)
    return saturated, used_s, paced, (waited_s(pid) + waited_s(os.getpid()) - before_s) / seconds


def saturate_with_wrk(target: tuple[str, int], calls: list[bytes], seconds: float) -> Load:
    """As Generator.saturate, by a program in C: one in Python, busy beside the engine, slows it down by a quarter."""
    bodies = [call.partition(b"\r\n\r\n")[2].decode() for call in calls[:WRK_CALLS]]
    content_type = re.search(rb"Content-Type: (\S+)", calls[0])
    assert WRK is not None and content_type is not None
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK_SCRIPT % (content_type[1].decode(), ",\n".join(f"[==[{body}]==]" for body in bodies)))
        script.flush()
        host, port = target
        command = [WRK, "-t1", "-c32", f"-d{max(1, round(seconds))}s", "-s", script.name, f"http://{host}:{port}"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) requests in ([\d.]+)s", said)
    assert found is not None, said
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    calls_made, others = int(found[1]), int(refused[1]) if refused else 0
    return Load(calls=calls_made, seconds=float(found[2]), statuses=Counter({200: calls_made - others, 403: others}))


def row(store: str, encoding: str, transport: str, folder: Path, people: list[Visitor], seconds: float) -> Row:
    """One line of the table."""
    port = free_port()
    path = str(folder / f"{transport}.sock")
    target: Target = path if transport == "unix" else ("127.0.0.1", port)
    address = f"unix:{path}" if transport == "unix" else f"127.0.0.1:{port}"
    with started(engine_command(folder, address, store), folder, lambda: accepts(target), ENGINE_CORE) as engine:
        for person in people:
            person.cookie = ""
        introduce(target, people)
        caller = Caller(encoding)
        calls = [caller.call(person) for person in people]
        saturated, used_s, paced, waited = uvloop.run(measure(target, calls, engine.pid, seconds))
    return Row(
        "memory" if store == "memory" else "Valkey", encoding, "Unix" if transport == "unix" else "TCP",
        saturated.calls / saturated.seconds, used_s / saturated.calls * 1e6,
        latency_ms(paced, 50), latency_ms(paced, 99), waited, saturated.statuses + paced.statuses,
    )  # fmt: skip


def has_shared_store() -> bool:
    """Whether the engine can be told to use one, and a server for it is installed."""
    from gateway.config.models import Engine

    return "store" in Engine.model_fields and shutil.which("redis-server") is not None


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """A real server on the generator's core, as a shared one would not be on the engine's; its URL."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with started(command, folder, lambda: accepts(("127.0.0.1", port)), GENERATOR_CORE):
        yield f"redis://127.0.0.1:{port}/0"


def print_row(one: Row) -> None:
    statuses = " ".join(f"{status}:{count / one.statuses.total():.1%}" for status, count in one.statuses.most_common())
    print(
        f"{'moderate':10}{one.store:8}{one.encoding:6}{one.transport:6}{one.per_s:12,.0f}{one.per_core_s:14,.0f}"
        f"{one.cpu_us:9.1f}{one.p50_ms:9.2f}{one.p99_ms:9.2f}{one.waited:8.1%}  {statuses}"
        f"{'' if one.is_enough else '  TOO SLOW'}",
        flush=True,
    )


def bench_engine(seconds: float, people: list[Visitor]) -> int:
    print(
        f"{'policy':10}{'store':8}{'body':6}{'over':6}{'decisions/s':>12}{'/s of a core':>14}{'CPU us':>9}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'waited':>8}  statuses"
    )
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as name:
        folder = Path(name)
        for encoding, transport in (("json", "tcp"), ("json", "unix"), ("form", "tcp")):
            rows.append(row("memory", encoding, transport, folder, people, seconds))
            print_row(rows[-1])
        if has_shared_store():
            with valkey(folder) as url:
                print_row(row(url, "json", "unix", folder, people, seconds))
        else:
            print("left out: Valkey (redis-server is not installed, or the engine has no setting for it)")
    print(f"p50, p99: at half of decisions/s. Required: {REQUIRED_PER_S:,}/s of a core, p99 < {REQUIRED_P99_MS:g} ms")
    return 0 if all(one.is_enough for one in rows) else 1


# gateway + embedded engine


ORIGIN_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-cache\r\nContent-Length: 700\r\n\r\n"
    + b"x" * 700
)


class Origin(asyncio.Protocol):
    """Answers every read with 700 bytes: the gateway writes one request without a body at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ORIGIN_ANSWER)  # type: ignore[attr-defined]


async def measure_gateway(
    port: int, origin: socket.socket, requests: list[bytes], pids: dict[str, int], seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Origin, sock=origin)
    target = ("127.0.0.1", port)
    await Generator(target, requests).saturate(1.0)
    before_s = {name: cpu_s(pid) for name, pid in pids.items()}
    load = await Generator(target, requests).saturate(seconds)
    used_us = {name: (cpu_s(pid) - before_s[name]) / load.calls * 1e6 for name, pid in pids.items()}
    paced = await Generator(target, requests, connections=64).paced(load.calls / load.seconds / 2, seconds)
    server.close()
    print(f"{load.calls / load.seconds:,.0f} requests/s here, with the generator and the origin on the same two cores")
    print(", ".join(f"{name} {us:.1f} us of CPU per request" for name, us in used_us.items()))
    print(f"with a core for each: {1e6 / max(used_us.values()):,.0f} requests/s")
    print(
        f"at half of the first rate: p50 {latency_ms(paced, 50):.2f} ms, "
        f"p99 {latency_ms(paced, 99):.2f} ms; statuses {dict(load.statuses + paced.statuses)}"
    )


def bench_gateway(seconds: float, people: list[Visitor]) -> int:
    """`gateway run` with one worker and the embedded engine."""
    port, admin_port = free_port(), free_port()
    origin = socket.create_server(("127.0.0.1", 0))
    config = {
        "listeners": [{"address": f"127.0.0.1:{port}"}],
        "sites": [{"origin": {"servers": [f"http://127.0.0.1:{origin.getsockname()[1]}"]}}],
        "client_ip": {"trusted_proxies": ["127.0.0.0/8"]},  # so that visitors keep their addresses
        "protection": {"timeout": "1s"},
        "admin": {"address": f"127.0.0.1:{admin_port}"},
        "logging": {"access_log": False, "level": "warning"},
    }
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as name:
        folder = Path(name)
        file = folder / "gateway.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "gateway", "run", "-c", str(file)]
        with started(command, folder, lambda: is_ready(admin_port)) as run:
            caller = Caller("json")
            requests = [
                caller.request(person).replace(b"\r\n", f"\r\nX-Forwarded-For: {person.address}\r\n".encode(), 1)
                for person in people
            ]
            random.Random(4).shuffle(requests)
            uvloop.run(measure_gateway(port, origin, requests, children(run.pid), seconds))
    return 0


def is_ready(admin_port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/readyz") as answer:
        return bool(answer.status == 200)
    return False


def children(pid: int) -> dict[str, int]:
    """What a supervisor has started: `worker` and `engine`, with their process ids."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        role = Path(f"/proc/{child}/cmdline").read_text().rstrip("\0").rsplit("\0", 1)[-1]
        found[role] = int(child)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", action="store_true", help="measure gateway and engine together")
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped
    people = visitors(VISITORS)
    if arguments.gateway:
        return bench_gateway(arguments.seconds, people)
    pin(GENERATOR_CORE)
    return bench_engine(arguments.seconds, people)


if __name__ == "__main__":
    sys.exit(main())
