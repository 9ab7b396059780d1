"""Puts the demo together: ports, configuration, the words on the terminal."""

from __future__ import annotations

import os
import shlex
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import parse_config
from gateway.demo.origin import SampleOrigin
from gateway.errors import PortTaken
from gateway.healthcheck import readiness

HOST = "127.0.0.1"

POLICY = Path(__file__).with_name("policy.yaml")
READY_POLL_INTERVAL_S = 0.1
READY_PATIENCE_S = 30.0
"""Starting takes about one second; whoever waits this long gets the last answer of /readyz instead of the URLs."""

BROWSER_HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-User": "?1",
    "Priority": "u=0, i",
}
"""What Firefox sends for a typed address, in its order."""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1; 0 means any free one."""

    gateway: int
    admin: int


def choose_ports(gateway: int, admin: int) -> Ports:
    """The two ports with 0 replaced by a free one. Raises PortTaken for one that is in use or not allowed."""
    with _bound(gateway, "--port") as one, _bound(admin, "--admin-port") as other:
        return Ports(one.getsockname()[1], other.getsockname()[1])


def _bound(port: int, option: str) -> socket.socket:
    """A bound socket. Without SO_REUSEPORT, with which two gateways would quietly share the port."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        bound.listen(1)  # with SO_REUSEADDR alone, bind succeeds beside a socket that is bound but does not listen
    except OSError as error:
        bound.close()
        reason = (error.strerror or str(error)).lower()
        raise PortTaken(f"{HOST}:{port}: {reason}; choose another port with {option}, 0 for any free one") from None
    return bound


def configuration(ports: Ports, origin_port: int) -> dict[str, Any]:
    """What `gateway demo` runs, as one would write it in a file."""
    return {
        "listeners": [{"address": f"{HOST}:{ports.gateway}"}],
        "drain_timeout": "2s",
        "sites": [{"name": "demo", "hosts": ["*"], "origin": {"servers": [f"http://{HOST}:{origin_port}"]}}],
        "protection": {"endpoint": "embedded", "key": "demo"},
        "engine": {"policy": str(POLICY)},
        "admin": {"address": f"{HOST}:{ports.admin}"},
        "logging": {"level": "warning", "format": "console"},
    }


def browser_command(url: str) -> str:
    """A curl command that asks as a browser does, one header a line."""
    headers = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in BROWSER_HEADERS.items()]
    return " \\\n      ".join([f"curl {url}", *headers])


def announcement(ports: Ports) -> str:
    """What the demo prints when it is ready."""
    url, admin = f"http://{HOST}:{ports.gateway}/", f"http://{HOST}:{ports.admin}"
    return f"""
The gateway is ready. It protects a sample origin.

  {url}    the protected site: open it in a browser
  {url}challenge    a page that asks for a challenge first
  {admin}/    the admin side: /metrics /readyz /config /status.json

Three commands to try in another terminal:

  a browser's request gets the page
    {browser_command(url)}

  a script's request is blocked
    curl -i {url}

  and both are counted
    curl -s {admin}/metrics | grep gateway_requests_total

Ctrl-C stops everything. Each exchange is one line below.
"""


class Announcer:
    """Prints the announcement once the gateway is ready, from a thread: the main thread is the supervisor's."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._announce, name="announcer", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _announce(self) -> None:
        last = ""
        for _ in range(int(READY_PATIENCE_S / READY_POLL_INTERVAL_S)):
            ready, last = readiness(f"{HOST}:{self._ports.admin}")
            if ready:
                print(announcement(self._ports), flush=True)
                return
            if self._stopped.wait(READY_POLL_INTERVAL_S):
                return
        print(f"gateway: not ready after {READY_PATIENCE_S:g} s: {last}", file=sys.stderr, flush=True)


def run(port: int, admin_port: int) -> int:
    """Run the demo until SIGINT or SIGTERM. Returns the supervisor's exit code; raises PortTaken."""
    from gateway import supervisor

    ports = choose_ports(port, admin_port)
    with SampleOrigin() as origin:
        config = parse_config(configuration(ports, origin.port))
        print(f"Starting (process {os.getpid()}) ...", flush=True)
        with Announcer(ports):
            return supervisor.run(config)
