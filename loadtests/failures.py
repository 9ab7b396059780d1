"""What visitors notice of a Protection API that hangs, dies and comes back: nothing but the budget.

Usage: python loadtests/failures.py

1. The API accepts and never answers: every answer must come within the budget (150 ms) + 20 ms until the breaker opens,
   and then as fast as without protection (medians within 1 ms).
2. The API is killed and restarted, five times, under the load of 8 users: no user may see anything but a 200.
Fails (exit 1) otherwise. Loopback only; takes about 15 s.
"""

from __future__ import annotations

import http.client
import multiprocessing
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from bodies import ALLOW, Server, free_port

BUDGET_S = 0.150
SLACK_S = 0.020
BREAKER = 20


class Origin(Server):
    def answer(self, sock: socket.socket, head: bytes, body: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def serve_api(port: int) -> None:
    """An API that allows, as a process that can be killed."""

    class Api(Server):
        def __init__(self) -> None:
            self.body_bytes = 0
            self.listening = socket.create_server(("127.0.0.1", port))
            threading.Thread(target=self._accept, daemon=True).start()

        def answer(self, sock: socket.socket, head: bytes, body: bytes) -> None:
            sock.sendall(ALLOW)

    Api()
    threading.Event().wait()


def start_api(port: int) -> multiprocessing.process.BaseProcess:
    """Returns when it listens."""
    api = multiprocessing.get_context("spawn").Process(target=serve_api, args=(port,))
    api.start()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return api
        except ConnectionRefusedError:
            time.sleep(0.02)


class Gateway:
    def __init__(self, folder: str, origin: int, api: int, mode: str = "enforce") -> None:
        self.port, self.admin = free_port(), free_port()
        config = pathlib.Path(folder, f"{mode}-{self.port}.yaml")
        config.write_text(
            f"listeners: [{{address: '127.0.0.1:{self.port}'}}]\nadmin: {{address: '127.0.0.1:{self.admin}'}}\n"
            f"sites: [{{origin: {{servers: ['http://127.0.0.1:{origin}']}}}}]\n"
            f"protection: {{mode: {mode}, endpoint: 'http://127.0.0.1:{api}', key: k, encoding: json, "
            "breaker: {open: 300ms}}\n"
            "logging: {access_log: false, level: error}\n")
        self.process = subprocess.Popen([sys.executable, "-m", "gateway", "run", "-c", str(config)])
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=1).read()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the gateway did not become ready")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def ask(connection: http.client.HTTPConnection) -> tuple[int, float]:
    started = time.perf_counter()
    connection.request("GET", "/", headers={"User-Agent": "x"})
    response = connection.getresponse()
    response.read()
    return response.status, time.perf_counter() - started


def hanging(folder: str, origin: int) -> list[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        api = silent.getsockname()[1]
        gateway, bare = Gateway(folder, origin, api), Gateway(folder, origin, api, "off")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
            waited = [ask(connection)[1] for _ in range(BREAKER)]
            opened = [ask(connection)[1] for _ in range(500)]
            connection = http.client.HTTPConnection("127.0.0.1", bare.port, timeout=5)
            without = [ask(connection)[1] for _ in range(500)]
        finally:
            gateway.stop()
            bare.stop()
    print(f"API hangs: {BREAKER} answers in {min(waited) * 1e3:.1f} to {max(waited) * 1e3:.1f} ms (budget 150 ms); "
          f"breaker open: median {statistics.median(opened) * 1e3:.2f} ms, "
          f"without protection {statistics.median(without) * 1e3:.2f} ms")
    failures = []
    if max(waited) > BUDGET_S + SLACK_S:
        failures.append("answer later than the budget + 20 ms")
    if statistics.median(opened) > statistics.median(without) + 0.001:
        failures.append("open breaker costs time")
    return failures


def killed(folder: str, origin: int) -> list[str]:
    api_port = free_port()
    api = start_api(api_port)
    gateway = Gateway(folder, origin, api_port)
    statuses: dict[object, int] = {}
    over = threading.Event()

    def visit() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
        while not over.is_set():
            try:
                status: object = ask(connection)[0]
            except OSError as error:
                status = type(error).__name__
            statuses[status] = statuses.get(status, 0) + 1

    users = [threading.Thread(target=visit) for _ in range(8)]
    for user in users:
        user.start()
    for _ in range(5):
        time.sleep(0.7)
        api.kill()
        api.join()
        time.sleep(0.3)
        api = start_api(api_port)
    time.sleep(0.7)
    over.set()
    for user in users:
        user.join()
    api.kill()
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin}/metrics", timeout=5).read().decode()
    gateway.stop()
    checks = [line for line in metrics.splitlines() if line.startswith("gateway_protection_checks_total{")]
    print(f"API killed and restarted 5 times under load: statuses {statuses}; " + ", ".join(checks))
    failures = [] if set(statuses) == {200} else ["a visitor saw an error"]
    if any(f'result="{result}"}} 0.0' in metrics for result in ("allow", "error")):
        failures.append("the load met only one of the two states of the API")
    return failures


def main() -> int:
    origin = Origin()
    with tempfile.TemporaryDirectory() as folder:
        failures = hanging(folder, origin.port) + killed(folder, origin.port)
    if failures:
        print("FAILED: " + ", ".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
