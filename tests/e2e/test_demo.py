"""`gateway demo` as one types it: real processes, real sockets, and the end by Ctrl-C."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateway.demo.runner import BROWSER_HEADERS

PATIENCE_S = 60.0
"""Ends a demo that hangs, and with it the test; a start takes about one second."""


@dataclass
class Demo:
    process: subprocess.Popen[str]
    gateway: str
    admin: str

    def get(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        return get(self.gateway, path, headers)


def get(address: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def read_until(process: subprocess.Popen[str], end: str) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if end in line:
            return "".join(lines)
    raise AssertionError(f"the demo ended with {process.wait()} and said {''.join(lines)!r}")


@pytest.fixture
def demo() -> Iterator[Demo]:
    command = [sys.executable, "-m", "gateway", "demo", "--port", "0", "--admin-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        try:
            text = read_until(process, "Ctrl-C stops everything")
            gateway, admin = re.findall(r"^  http://(127\.0\.0\.1:\d+)/ ", text, re.MULTILINE)
            yield Demo(process, gateway, admin)
        finally:
            watchdog.cancel()
            process.kill()


def test_demo_shows_the_page_to_browsers_blocks_scripts_counts_both_and_stops(demo: Demo) -> None:
    status, page = demo.get("/", BROWSER_HEADERS)
    assert status == 200 and "This is the sample origin" in page
    assert "Allowed." in page and "X-DataDome-isbot".lower() in page.lower()

    status, page = demo.get("/", {"User-Agent": "curl/8.14.1", "Accept": "*/*"})
    assert status == 403 and "sample origin" not in page

    status, style = demo.get("/style.css", {"User-Agent": "curl/8.14.1"})
    assert status == 200 and "color-scheme" in style

    outcomes = {"allowed", "blocked", "bypassed"}
    for _ in range(100):  # the workers report about once a second
        status, metrics = get(demo.admin, "/metrics", {})
        assert status == 200
        counted = set(re.findall(r'^gateway_requests_total\{.*outcome="(\w+)".*\} 1\.0$', metrics, re.MULTILINE))
        if counted == outcomes:
            break
    assert counted == outcomes

    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait() == 0


def test_demo_on_taken_port_says_which_and_how_to_choose_another(demo: Demo) -> None:
    port = demo.gateway.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--port", port], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"gateway: 127.0.0.1:{port}: address already in use; choose another port with --port")
