"""A real Valkey or Redis server on loopback, for tests: started, killed, held and started again at will."""

from __future__ import annotations

import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
import redis
from processes import free_port

PROGRAM = shutil.which("valkey-server") or shutil.which("redis-server")
needs_server = pytest.mark.skipif(PROGRAM is None, reason="neither valkey-server nor redis-server is installed")
START_S = 20.0


@dataclass
class ValkeyServer:
    """Nothing of it outlives the process. `arguments`: further options of the server, such as `--requirepass x`;
    `{port}` in them is `port`, which is then not the plain one, and `{bus_port}` a second one."""

    folder: Path
    arguments: tuple[str, ...] = ()
    port: int = 0
    bus_port: int = 0
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it accepts connections, on the port that it had before if there was one. Skips the test if this
        build cannot do what the arguments ask."""
        first = self.port == 0
        for _ in range(10):  # another run of the tests may take the port first
            if first:
                self.port, self.bus_port = free_port(), free_port()
            said = self._start()
            if self.process is not None:
                return
            if "--tls-port" in self.arguments and "Bad directive" in said:
                pytest.skip(f"{PROGRAM} was built without TLS")
            if not first or "in use" not in said:
                break
        raise AssertionError(f"{PROGRAM} did not start:\n{said}")

    def _start(self) -> str:
        """What it said; it does not run afterwards if that was not that it is ready."""
        assert PROGRAM is not None and self.process is None
        port = () if "{port}" in self.arguments else ("--port", str(self.port))
        arguments = [each.format(port=self.port, bus_port=self.bus_port) for each in (*port, *self.arguments)]
        self.process = subprocess.Popen(
            [PROGRAM, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.folder),
             "--unixsocket", str(self.socket_file), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        said = _read_until_ready(self.process.stdout)
        if "eady to accept connections" not in said:
            self.kill()
        return said

    @property
    def socket_file(self) -> Path:
        return self.folder / "valkey.sock"

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        """A client beside the one under test; over the socket file, which needs no certificate."""
        return redis.Redis(unix_socket_path=str(self.socket_file), socket_timeout=START_S)

    def flush(self) -> None:
        """Empties it, scripts included."""
        with self.client() as client:
            client.flushall()
            client.script_flush()

    def hold(self) -> None:
        """It keeps its connections and answers nobody."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def release(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Gone at once, as in a crash. Does nothing the second time."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(START_S)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


def _read_until_ready(output: IO[str] | None) -> str:
    """What it says up to the line that it is ready, or all of it if it ends before."""
    said = ""
    for line in output or ():
        said += line
        if "eady to accept connections" in line:
            break
    return said
