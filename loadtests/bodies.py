"""Large bodies: a 1 GiB upload and a 1 GiB download through the gateway, and its memory meanwhile.

Usage: python loadtests/bodies.py [--mebibytes 1024]

Starts an origin, a Protection API and `gateway run` on free loopback ports. Fails (exit 1) if a body arrives changed in
length, if the worker's resident memory grows by 32 MiB or more, or if a byte of a blocked upload reaches the origin.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PIECE = bytes(256 * 1024)
BLOCK = (
    b"HTTP/1.1 403 Forbidden\r\nX-DataDomeResponse: 403\r\nX-DataDome-headers: Content-Type\r\n"
    b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\nno"
)
ALLOW = b"HTTP/1.1 200 OK\r\nX-DataDomeResponse: 200\r\nContent-Length: 0\r\n\r\n"


class Server:
    """A thread per connection: reads a request's head and body, then calls `answer(sock, head, body_bytes)`."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.body_bytes = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            sock, _ = self.listening.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb", buffering=1 << 16) as stream:
            while line := stream.readline():
                lines = [line]
                while (line := stream.readline()) not in (b"\r\n", b""):
                    lines.append(line)
                head = b"".join(lines).lower()
                left = int((re.search(rb"content-length: *(\d+)", head) or [b"", b"0"])[1])
                kept = b""
                while left and (data := stream.read1(min(left, 1 << 16))):
                    left -= len(data)
                    self.body_bytes += len(data)
                    kept = (kept + data)[:4096]
                self.answer(sock, head, kept)

    def answer(self, sock: socket.socket, head: bytes, body: bytes) -> None:
        raise NotImplementedError


class Origin(Server):
    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__()

    def answer(self, sock: socket.socket, head: bytes, body: bytes) -> None:
        if head.startswith(b"get"):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.size)
            for _ in range(self.size // len(PIECE)):
                sock.sendall(PIECE)
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Api(Server):
    def answer(self, sock: socket.socket, head: bytes, body: bytes) -> None:
        sock.sendall(BLOCK if b"/blocked" in body else ALLOW)


def resident_mib(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


def worker_of(pid: int) -> int:
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[-1])


class Watch:
    """The most memory that a process held while this ran."""

    def __init__(self, pid: int) -> None:
        self.before_mib = self.most_mib = resident_mib(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(pid,))

    def _run(self, pid: int) -> None:
        while not self._over.wait(0.05):
            self.most_mib = max(self.most_mib, resident_mib(pid))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def upload(port: int, path: bytes, size: int) -> bytes:
    """The status line of the answer; stops sending when the gateway does not take more."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock:
        sock.sendall(b"POST %b HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nContent-Length: %d\r\n\r\n" % (path, size))
        try:
            for _ in range(size // len(PIECE)):
                sock.sendall(PIECE)
        except OSError:
            pass  # refused while we were sending: the answer is there
        return sock.recv(4096).partition(b"\r\n")[0]


def download(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = 0
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        received = len(head) - head.find(b"\r\n\r\n") - 4
        buffer = bytearray(1 << 18)
        while count := sock.recv_into(buffer):
            received += count
        return received


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mebibytes", type=int, default=1024)
    size = parser.parse_args().mebibytes << 20
    origin, api, port, admin = Origin(size), Api(), free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "gateway.yaml")
        config.write_text(
            f"listeners: [{{address: '127.0.0.1:{port}'}}]\nadmin: {{address: '127.0.0.1:{admin}'}}\n"
            f"sites: [{{origin: {{servers: ['http://127.0.0.1:{origin.port}']}}}}]\n"
            f"protection: {{endpoint: 'http://127.0.0.1:{api.port}', key: k, encoding: json, timeout: 2s}}\n"
            "logging: {access_log: false}\n")
        gateway = subprocess.Popen([sys.executable, "-m", "gateway", "run", "-c", str(config)])
        try:
            for _ in range(100):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=1).read()
                    break
                except OSError:
                    time.sleep(0.1)
            return check(origin, worker_of(gateway.pid), port, size)
        finally:
            gateway.terminate()
            gateway.wait(10)


def check(origin: Origin, worker: int, port: int, size: int) -> int:
    failures = []
    upload(port, b"/", len(PIECE))  # warm: what every worker allocates once
    for what in ("upload", "download"):
        origin.body_bytes = 0
        started = time.perf_counter()
        with Watch(worker) as watch:
            if what == "upload":
                status = upload(port, b"/", size)
                right = status.endswith(b"200 OK") and origin.body_bytes == size
            else:
                right = download(port) == size
        took_s = time.perf_counter() - started
        grown_mib = watch.most_mib - watch.before_mib
        print(f"{what:9} {size >> 20} MiB in {took_s:5.1f} s ({(size >> 20) / took_s:5.0f} MiB/s), worker's memory "
              f"{watch.before_mib:.0f} MiB, grown by at most {grown_mib:.1f} MiB")
        if not right or grown_mib >= 32:
            failures.append(what)
    origin.body_bytes = 0
    status = upload(port, b"/blocked", size)
    print(f"blocked upload: {status.decode()}, bytes of it at the origin: {origin.body_bytes}")
    if b" 403 " not in status or origin.body_bytes:
        failures.append("blocked upload")
    if failures:
        print("FAILED: " + ", ".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
