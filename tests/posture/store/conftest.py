"""Stores for tests: each test that takes `store_url` or `store` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from posture.store.postgresql_server import MISSING, PROGRAMS, PostgresqlServer

from gateway.posture.store import Store
from gateway.posture.store.address import parse_address
from gateway.posture.store.database import Database
from gateway.posture.store.table import metadata


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    if PROGRAMS is None:
        pytest.skip(MISSING)
    server = PostgresqlServer()
    try:
        server.make()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def shared_url(postgresql: PostgresqlServer) -> str:
    """A database for all tests that need no fresh one: making one takes PostgreSQL much longer than emptying it."""
    return postgresql.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store that is not made yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/posture.db"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/posture.db"
    url: str = request.getfixturevalue("shared_url")
    Store.open(url).close()
    database = Database(parse_address(url))
    tables = ", ".join(metadata.tables)
    database.write(lambda connection: connection.exec_driver_sql(f"TRUNCATE {tables}"))
    database.close()
    return url


@pytest.fixture
def store(empty_url: str) -> Iterator[Store]:
    with Store.open(empty_url) as opened:
        yield opened
