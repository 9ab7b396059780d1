"""Connections and transactions: what differs between SQLite and PostgreSQL, and the translation of errors.

`read(work)` and `write(work)` run `work(connection)` in one transaction; a write is durable when it returns. On SQLite
a write holds the file's one writer's lock from its beginning (BEGIN IMMEDIATE): it never has to give up half-way.
On PostgreSQL a write that the server broke off for another one (deadlock) is done again.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.errors import PostureStoreError
from gateway.posture.store.address import Address
from gateway.posture.store.failure import failure, is_busy, refused, sqlstate, value_refused
from gateway.posture.store.file import make_private, restrict

BUSY_S = 20.0
"""How long a transaction waits for another process's."""
_CONNECT_S = 10
_STATEMENT_S = 60
_POOLED = 4
_TRIES = 5
_BROKEN_OFF = ("40001", "40P01")  # serialization_failure, deadlock_detected
_OLDEST_SQLITE = (3, 35, 0)  # RETURNING

Result = TypeVar("Result")
Work = Callable[[Connection], Result]


class Database:
    """Thread-safe. Nothing is opened before the first transaction."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.is_sqlite = address.file is not None
        self._writing = threading.Lock()
        self._engine = _sqlite(address) if self.is_sqlite else _postgresql(address)

    def read(self, work: Work[Result]) -> Result:
        """What `work` gives. Raises PostureStoreError."""
        return self._translated(work, write=False)

    def write(self, work: Work[Result]) -> Result:
        """The same, and what it wrote is kept; nothing of it is if it raises. It may be run several times."""
        if not self.is_sqlite:
            return self._translated(work, write=True)
        # Threads of one process take turns here at once; between processes SQLite asks again after growing pauses.
        if not self._writing.acquire(timeout=BUSY_S):
            raise refused(self.address, "another thread has been writing for too long")
        try:
            return self._translated(work, write=True)
        finally:
            self._writing.release()

    def make_file(self) -> None:
        """SQLite: an empty file, if there is none."""
        if self.address.file is not None:
            try:
                make_private(self.address.file)
            except OSError as error:
                raise refused(self.address, f"the file cannot be made: {error.strerror}") from error

    def secure_file(self) -> None:
        """SQLite: the mode of the file, and its log of writes (WAL), which lets others read meanwhile."""
        if self.address.file is None:
            return
        try:
            restrict(self.address.file)
            _log_writes(self.address)
        except OSError as error:
            why = f"others can read the file, and that cannot be changed: {error.strerror}"
            raise refused(self.address, why) from error
        except sqlite3.Error as error:
            raise failure(self.address, error) from error

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    def _translated(self, work: Work[Result], *, write: bool) -> Result:
        try:
            return self._repeated(work, write=write)
        except PostureStoreError:
            raise
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise failure(self.address, error) from error
        except OverflowError as error:
            raise value_refused(self.address, "a whole number has more than 64 bits") from error

    def _repeated(self, work: Work[Result], *, write: bool) -> Result:
        for tries_left in reversed(range(_TRIES)):
            try:
                return self._run(work, write=write)
            except DBAPIError as error:
                if sqlstate(error) not in _BROKEN_OFF or not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    def _run(self, work: Work[Result], *, write: bool) -> Result:
        with self._engine.connect().execution_options(posture_write=write) as connection, connection.begin():
            return work(connection)


def _sqlite(address: Address) -> Engine:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise refused(address, f"SQLite is {sqlite3.sqlite_version}; expected 3.35 or newer")
    engine = create_engine(
        address.url, creator=lambda: _open_file(address), pool_size=_POOLED, max_overflow=_POOLED, pool_timeout=BUSY_S
    )
    event.listen(engine, "begin", _begin)
    return engine


def _open_file(address: Address) -> sqlite3.Connection:
    """A connection that never makes the file (with whatever mode), and leaves transactions to `_begin`."""
    connection = sqlite3.connect(
        f"file:{quote(str(address.file))}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip
    try:
        connection.execute("PRAGMA synchronous=FULL")  # a commit is on the disk when it returns
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("posture_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _log_writes(address: Address) -> None:
    """The mode is kept in the file. SQLite does not wait for others who look into the file when it is changed."""
    deadline_s = time.monotonic() + BUSY_S
    connection = _open_file(address)
    try:
        while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return  # a file system that cannot do it keeps the former mode, which is as durable
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.01)
    finally:
        connection.close()


def _postgresql(address: Address) -> Engine:
    limits = {"connect_timeout": _CONNECT_S, "client_encoding": "utf8", "application_name": "gateway posture"}
    limits |= {"keepalives_idle": 30, "tcp_user_timeout": _STATEMENT_S * 1000}
    engine = create_engine(
        address.url,
        connect_args={key: value for key, value in limits.items() if key not in address.url.query},
        pool_size=_POOLED,
        max_overflow=_POOLED,
        pool_timeout=BUSY_S,
        pool_pre_ping=True,  # a server that was restarted meanwhile is no error
    )
    event.listen(engine, "connect", lambda connection, _: _set_up(address, connection))
    return engine


def _set_up(address: Address, connection: Any) -> None:
    """A new connection to PostgreSQL, which nobody closes if this raises."""
    try:
        _set_limits(address, connection)
    except BaseException:
        connection.close()
        raise


def _set_limits(address: Address, connection: Any) -> None:
    """Statements and not `options` of the connection, which poolers between here and the server refuse."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise refused(address, f"the database's encoding is {encoding}; expected UTF8")
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{_STATEMENT_S}s'")
        cursor.execute(f"SET lock_timeout = '{BUSY_S * 1000:.0f}ms'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{_STATEMENT_S}s'")
        # "Durable when it returns" is not for the server's configuration to take back.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()


def lock_schema(connection: Connection) -> None:
    """PostgreSQL: one transaction at a time changes the schema, and has the time for it. SQLite has the file's lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = '600s'"))
        connection.execute(text("SET LOCAL lock_timeout = '600s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(7020109161331401)"))
