"""The version of the schema: found out with a SELECT or two, and migrated forward by Alembic only if it is behind.

What a database holds is looked at before anything is changed: one of somebody else's, or of a newer version of the
gateway, stays as it is.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from gateway.errors import PostureStoreError
from gateway.posture.store.database import Database, lock_schema
from gateway.posture.store.failure import refused

REVISIONS = ("0001", "0002", "0003")
"""Every revision in `migration/versions`, oldest first; the last one is what this version of the gateway works with."""
VERSION_TABLE = "posture_version"

_SQLITE_TABLES = "SELECT name FROM sqlite_master ORDER BY name"
# Tables of an extension are nobody's data.
_POSTGRESQL_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
      AND NOT EXISTS (SELECT FROM pg_depend
                      WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
    ORDER BY relname
"""


def prepare(database: Database) -> None:
    """Make or migrate the schema if needed. Raises PostureStoreError, and leaves the database as it was then."""
    database.make_file()
    found = database.read(lambda connection: _revision(database, connection))
    database.secure_file()
    if found != REVISIONS[-1]:
        database.write(lambda connection: _migrate(database, connection))


def _migrate(database: Database, connection: Connection) -> None:
    """Several processes may come here at once: those that had to wait find it done."""
    lock_schema(connection)
    if _revision(database, connection) != REVISIONS[-1]:
        upgrade(connection, REVISIONS[-1])


def upgrade(connection: Connection, revision: str) -> None:
    """Run the scripts up to a revision, in the connection's transaction."""
    from alembic import command  # not for a schema that is current: it costs a third of a second
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", "gateway.posture.store:migration")
    command.upgrade(config, revision)


def _revision(database: Database, connection: Connection) -> str | None:
    """The schema's; None if the database is empty."""
    tables = _tables(connection)
    if VERSION_TABLE not in tables:
        if tables:
            shown = ", ".join(tables[:3]) + (", ..." if len(tables) > 3 else "")
            raise refused(
                database.address, f"this database is something else's (it has {shown}); expected an empty one"
            )
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()
    if len(found) != 1 or found[0] not in REVISIONS:
        raise _newer(database, ", ".join(found))
    return str(found[0])


def _tables(connection: Connection) -> list[str]:
    query = _SQLITE_TABLES if connection.dialect.name == "sqlite" else _POSTGRESQL_TABLES
    return list(connection.execute(text(query)).scalars())


def _newer(database: Database, found: str) -> PostureStoreError:
    return refused(
        database.address,
        f"the database is of a newer version of the gateway (revision {found or 'unknown'}; this one knows up to "
        f"{REVISIONS[-1]}); nothing was changed",
    )
