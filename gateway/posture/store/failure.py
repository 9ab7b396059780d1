"""What is said of an error of the databases and their drivers: in our words where they are known, never with values."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import PostureStoreError, ValueRefused
from gateway.posture.store.address import Address

# By primary result code (https://www.sqlite.org/rescode.html).
_SQLITE = {
    sqlite3.SQLITE_PERM: "the file may not be used",
    sqlite3.SQLITE_BUSY: "the file is locked by another process, and stayed so",
    sqlite3.SQLITE_LOCKED: "the file is locked by another process, and stayed so",
    sqlite3.SQLITE_READONLY: "the file cannot be written: it, its directory or its file system is read-only",
    sqlite3.SQLITE_IOERR: "the file cannot be read or written (disk I/O error)",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore a copy of it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; its directory must be there and allow writing",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database, or is damaged",
}

# By SQLSTATE, whole or its class (PostgreSQL manual, appendix A).
_POSTGRESQL = {
    "28": "the login was refused",
    "3D000": "there is no such database",
    "25006": "the server is read-only",
    "42501": "the user may not do that",
    "53100": "the server's disk is full",
    "53200": "the server is out of memory",
    "53300": "the server has too many connections",
    "55P03": "a lock was held for too long by somebody else",
    "57014": "the server took too long",
    "57P": "the server is shutting down or starting",
    "08": "the connection was lost",
    "22021": "the database's encoding does not have a character; it should be UTF8",
    "XX001": "the database is damaged",
    "XX002": "the database is damaged",
}


# Likewise: the value is at fault. 22: data exception, 23: constraint violation, 54: program limit exceeded.
_SQLITE_VALUE = (sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH)
_POSTGRESQL_VALUE = ("22", "23", "54")


def failure(address: Address, error: BaseException) -> PostureStoreError:
    """The error to raise instead of a library's."""
    kind = ValueRefused if _is_of_value(_cause(error)) else PostureStoreError
    return kind(_said(address, _described(error)))


def refused(address: Address, why: str) -> PostureStoreError:
    """The error of a store that cannot be used, or not for this."""
    return PostureStoreError(_said(address, why))


def value_refused(address: Address, why: str) -> ValueRefused:
    """The error of a value that cannot be stored."""
    return ValueRefused(_said(address, why))


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of an error, "" if it has none."""
    return str(getattr(_cause(error), "sqlstate", None) or "")


def is_busy(error: sqlite3.Error) -> bool:
    """True if SQLite found the file locked."""
    return _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _said(address: Address, why: str) -> str:
    return f"the store {address}: {address.hide(why)}"


def _is_of_value(cause: BaseException) -> bool:
    if isinstance(cause, sqlite3.Error):
        return _primary(cause) in _SQLITE_VALUE
    return isinstance(cause, (TypeError, ValueError, OverflowError)) or sqlstate(cause)[:2] in _POSTGRESQL_VALUE


def _described(error: BaseException) -> str:
    if isinstance(error, PoolTimeout):
        return "all connections are in use, and stayed so"
    cause = _cause(error)
    known = _SQLITE.get(_primary(cause)) if isinstance(cause, sqlite3.Error) else _of_sqlstate(sqlstate(cause))
    said = _first_line(cause)
    if known is None:
        return said
    return f"{known} ({said})" if said else known


def _cause(error: BaseException) -> BaseException:
    """The driver's own error, under SQLAlchemy's, whose text has statements and values."""
    if isinstance(error, (DBAPIError, StatementError)) and error.orig is not None:
        return error.orig
    return error


def _primary(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _of_sqlstate(code: str) -> str | None:
    return next((text for key, text in _POSTGRESQL.items() if code.startswith(key)), None)


def _first_line(error: BaseException) -> str:
    """PostgreSQL's further lines (DETAIL, CONTEXT) may hold values."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
