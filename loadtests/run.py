"""`make load`: a gateway and the sample origin on free loopback ports, users' mixed traffic, and a verdict.

Fails (exit code 1) if any answer was wrong, if the gateway counted other outcomes than were due, or if it did not stop
cleanly. Bounded: --seconds of a few users, on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gateway.demo.origin import SampleOrigin
from gateway.demo.runner import HOST, Ports, choose_ports, configuration
from gateway.healthcheck import readiness

HERE = Path(__file__).resolve().parent
START_PATIENCE_S = 30.0
STOP_PATIENCE_S = 15.0
COUNTERS_PATIENCE_S = 5.0
"""Workers report their counters about once a second."""

REQUESTS_LINE = re.compile(r'^gateway_requests_total\{.*?outcome="(\w+)".*?\} (\S+)$', re.MULTILINE)


def write_configuration(folder: Path, ports: Ports, origin_port: int) -> Path:
    """The demo's configuration without its access log, as a file (JSON is YAML)."""
    config = configuration(ports, origin_port)
    config["logging"]["access_log"] = False
    # The default of 150 ms is for production; here load, gateway, engine and origin share two cores, and a check that
    # is late because of that would fail open: a wrong outcome which says nothing about the gateway.
    config["protection"]["timeout"] = "2s"
    # All users come from one address and are faster than people: no limit of the policy is meant for them.
    policy = folder / "policy.yaml"
    policy.write_text("disable: [request-rate, address-rate, helper-rate, public-file-rate]\n")
    config["engine"] = {"policy": str(policy)}
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(config, indent=2))
    return file


@contextlib.contextmanager
def running_gateway(config_file: Path, admin: str) -> Iterator[subprocess.Popen[bytes]]:
    """`gateway run`, ready. Killed at the end if it is still there."""
    process = subprocess.Popen([sys.executable, "-m", "gateway", "run", "-c", str(config_file)])
    try:
        deadline = time.monotonic() + START_PATIENCE_S
        while not (answer := readiness(admin))[0]:
            if process.poll() is not None:
                raise SystemExit(f"the gateway ended with code {process.returncode}")
            if time.monotonic() > deadline:
                raise SystemExit(f"the gateway is not ready after {START_PATIENCE_S:g} s: {answer[1]}")
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def run_users(arguments: argparse.Namespace, ports: Ports, origin_port: int, report: Path) -> int:
    """Locust in a process of its own (it replaces the standard library's sockets). Returns its exit code."""
    command = [sys.executable, "-m", "locust", "--locustfile", str(HERE / "locustfile.py"), "--headless"]
    command += ["--users", str(arguments.users), "--spawn-rate", str(arguments.users)]
    command += ["--run-time", f"{arguments.seconds}s", "--stop-timeout", "5", "--host", f"http://{HOST}:{ports.gateway}"]
    command += ["--only-summary", "--skip-log-setup"]
    environment = {**os.environ, "LOAD_ORIGIN": f"http://{HOST}:{origin_port}", "LOAD_REPORT": str(report)}
    return subprocess.run(command, env=environment, timeout=arguments.seconds + 60, check=False).returncode


def counted_outcomes(admin: str) -> Counter[str]:
    """gateway_requests_total by outcome, over everything else."""
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=5) as answer:
        lines = REQUESTS_LINE.findall(answer.read().decode())
    counts: Counter[str] = Counter()
    for outcome, value in lines:
        counts[outcome] += int(float(value))
    return +counts


def counters_agree(admin: str, due: Counter[str]) -> bool:
    """Whether the gateway counted exactly what was sent, outcome by outcome."""
    deadline = time.monotonic() + COUNTERS_PATIENCE_S
    while (counted := counted_outcomes(admin)) != due and time.monotonic() < deadline:
        time.sleep(0.2)
    print(f"counted by the gateway: {dict(sorted(counted.items()))}")
    if counted != due:
        print(f"WRONG counters: due was {dict(sorted(due.items()))}", file=sys.stderr)
    return counted == due


def stops_cleanly(gateway: subprocess.Popen[bytes]) -> bool:
    gateway.send_signal(signal.SIGTERM)
    try:
        code = gateway.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        print(f"WRONG the gateway still runs {STOP_PATIENCE_S:g} s after SIGTERM", file=sys.stderr)
        return False
    if code != 0:
        print(f"WRONG the gateway stopped with code {code}", file=sys.stderr)
    return code == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="how long the users are there (default: 20)")
    parser.add_argument("--users", type=int, default=8, help="how many there are (default: 8)")
    arguments = parser.parse_args()
    ports = choose_ports(0, 0)
    admin = f"{HOST}:{ports.admin}"
    with tempfile.TemporaryDirectory(prefix="gateway-load-") as folder, SampleOrigin() as origin:
        report = Path(folder) / "report.json"
        config_file = write_configuration(Path(folder), ports, origin.port)
        with running_gateway(config_file, admin) as gateway:
            print(f"{arguments.users} users for {arguments.seconds} s ...", flush=True)
            answers_right = run_users(arguments, ports, origin.port, report) == 0
            due = Counter(json.loads(report.read_text())) if report.exists() else Counter[str]()
            verdicts = [answers_right, counters_agree(admin, due), stops_cleanly(gateway)]
    print("every outcome was right" if all(verdicts) else "FAILED: see WRONG above")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
