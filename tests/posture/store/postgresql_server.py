"""A real PostgreSQL server on loopback, for tests: Debian's programs, a cluster of its own in a temporary directory."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from processes import free_port
from psycopg import sql

START_S = 60.0
ROLE = "gateway"
PASSWORD = "corr3ct-h0rse"


def _programs() -> Path | None:
    """The newest version's directory of programs: they are not on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    program = shutil.which("postgres")
    return None if program is None else Path(program).resolve().parent


PROGRAMS = _programs()
MISSING = "PostgreSQL's server is not installed (neither /usr/lib/postgresql/*/bin/postgres nor on the PATH)"


def _other_user() -> pwd.struct_passwd | None:
    """Whom the programs run as if we are root, which they refuse to be."""
    if os.geteuid() != 0:
        return None
    users = {each.pw_name: each for each in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]


@dataclass
class PostgresqlServer:
    """`start` makes the cluster the first time. Roles: ROLE, who needs PASSWORD; and the administrator `admin`, who
    needs none. Whoever makes one calls `remove` in the end."""

    folder: Path = field(init=False)
    fsync: bool = False
    """What a killed process has written is in the system's hands either way; only a power cut would show it."""
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    _databases: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="posture-postgresql-"))
        self._user = _other_user()
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)

    def make(self) -> None:
        """A new cluster, and the first start."""
        assert PROGRAMS is not None
        made = subprocess.run(
            self._as_user(str(PROGRAMS / "initdb"), "-D", str(self._data), "-U", "admin", "-A", "trust", "-E", "UTF8",
                          "--locale=C", "--no-sync"),
            capture_output=True, text=True, timeout=START_S, cwd=self.folder,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        rules = f"host all {ROLE} 127.0.0.1/32 scram-sha-256\nhost all admin 127.0.0.1/32 trust\n"
        (self._data / "pg_hba.conf").write_text(rules)
        self.port = free_port()
        self.start()
        self.ask(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(PASSWORD)))

    def start(self) -> None:
        """Returns when it accepts connections, on the same port each time."""
        assert PROGRAMS is not None and self.process is None
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._as_user(
                    str(PROGRAMS / "postgres"), "-D", str(self._data), "-p", str(self.port),
                    "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}",
                    "-c", f"fsync={'on' if self.fsync else 'off'}", "-c", "shared_buffers=16MB",
                    "-c", "max_connections=50", "-c", "log_min_messages=fatal",
                ),
                stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """The server writes `ready` into the last line of its pid file, which pg_ctl reads too; there is no event."""
        for _ in range(int(START_S / 0.02)):
            assert self.process is not None
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                if self._status() == "ready":
                    return
                continue
            break
        raise AssertionError(f"PostgreSQL did not start:\n{self._log.read_text()}")

    def _status(self) -> str:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return ""
        assert self.process is not None
        return lines[7].strip() if len(lines) > 7 and lines[0] == str(self.process.pid) else ""

    def crash(self) -> None:
        """Gone at once: nothing is written down in an orderly way, and the next start recovers from the log.
        Does nothing the second time."""
        self._end(signal.SIGQUIT)

    def remove(self) -> None:
        """Stop it, without writing down what nobody reads any more, and remove its files."""
        self.crash()
        shutil.rmtree(self.folder)

    def database(self) -> str:
        """The URL of a new, empty database, which belongs to ROLE."""
        name = f"posture_{next(self._databases)}"
        self.ask(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(ROLE)))
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def ask(self, statement: sql.Composed | sql.SQL, database: str = "postgres") -> None:
        """Run a statement as the administrator."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="admin", dbname=database, autocommit=True, connect_timeout=10
        ) as connection:
            connection.execute(statement)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _as_user(self, *command: str) -> list[str]:
        """It ends with us, however we end."""
        setpriv = shutil.which("setpriv")
        if self._user is None:
            return [*([setpriv, "--pdeathsig", "INT"] if setpriv else []), *command]
        assert setpriv is not None, "setpriv (util-linux) is needed to run PostgreSQL as another user than root"
        uid, gid = str(self._user.pw_uid), str(self._user.pw_gid)
        return [setpriv, "--reuid", uid, "--regid", gid, "--clear-groups", "--pdeathsig", "INT", *command]

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(START_S)
            self.process = None
