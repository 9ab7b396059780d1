"""INSERT with ON CONFLICT, which both databases have, each in SQLAlchemy's words for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert


def insert(connection: Connection, table: Table) -> Insert:
    """An INSERT that has on_conflict_do_nothing and on_conflict_do_update."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as into  # not needed with SQLite
    else:
        from sqlalchemy.dialects.sqlite import insert as into  # type: ignore[assignment]  # the same methods
    return into(table)


def insert_or_update(connection: Connection, table: Table, key: Sequence[str], kept: Sequence[str] = ()) -> Insert:
    """An INSERT that, where the key is there already, replaces the other columns but those that are kept."""
    statement = insert(connection, table)
    replaced = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in key and column.name not in kept
    }
    return statement.on_conflict_do_update(index_elements=list(key), set_=replaced)
