"""Opening: the file and its mode, migrations, databases that are not for us, and clear errors."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from posture.store.postgresql_server import PASSWORD, PostgresqlServer
from posture.store.sample import AT, a_finding, a_scan, an_event
from psycopg import sql

from gateway.errors import PostureStoreError
from gateway.posture.store import Store, schema
from gateway.posture.store.address import parse_address
from gateway.posture.store.column import Words
from gateway.posture.store.database import Database
from gateway.posture.store.table import metadata


def modes(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


# -- the file


def test_file_is_nobody_elses_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    with Store.open(f"sqlite:///{tmp_path}/posture.db") as store:
        store.put_result(a_scan())
        assert modes(tmp_path) == {"posture.db": 0o600, "posture.db-wal": 0o600, "posture.db-shm": 0o600}


def test_file_that_others_could_read_is_restricted(tmp_path: Path) -> None:
    file = tmp_path / "posture.db"
    file.touch()
    file.chmod(0o644)
    with Store.open(f"sqlite:///{file}") as store:
        store.put_result(a_scan())
        assert set(modes(tmp_path).values()) == {0o600}


def test_link_to_a_file_is_followed_and_the_file_restricted(tmp_path: Path) -> None:
    file, link = tmp_path / "real.db", tmp_path / "link.db"
    file.touch()
    file.chmod(0o644)
    link.symlink_to("real.db")
    with Store.open(f"sqlite:///{link}") as store:
        store.put_result(a_scan())
        assert modes(tmp_path) == dict.fromkeys(("link.db", "real.db", "real.db-wal", "real.db-shm"), 0o600)


@pytest.mark.parametrize("kind", ["device", "pipe", "socket", "directory"])
@pytest.mark.parametrize("through", [False, True], ids=["itself", "through a link"])
@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_what_is_no_regular_file_is_refused_and_left_as_it_is(
    tmp_path: Path, kind: str, through: bool, end: str
) -> None:
    file, found = tmp_path / "posture.db", tmp_path / ("found" if through else f"posture.db{end}")
    if end:
        Store.open(f"sqlite:///{file}").close()
    make_odd(found, kind)
    found.chmod(0o755)
    if through:
        Path(f"{file}{end}").symlink_to(found)
    before = found.stat()

    with pytest.raises(PostureStoreError, match="is no regular file"):
        Store.open(f"sqlite:///{file}")

    after = found.stat()
    assert (after.st_mode, after.st_ctime_ns, after.st_rdev) == (before.st_mode, before.st_ctime_ns, before.st_rdev)


def make_odd(file: Path, kind: str) -> None:
    """device: one of our own, which is as /dev/null."""
    if kind == "device":
        try:
            os.mknod(file, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    elif kind == "directory":
        file.mkdir()
    else:
        os.mknod(file, (stat.S_IFIFO if kind == "pipe" else stat.S_IFSOCK) | 0o600)


def test_file_waits_for_the_disk_and_lets_others_read_meanwhile(tmp_path: Path) -> None:
    database = Database(parse_address(f"sqlite:///{tmp_path}/posture.db"))
    schema.prepare(database)
    asked = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
    said = database.read(lambda connection: [connection.exec_driver_sql(f"PRAGMA {each}").scalar() for each in asked])
    database.close()
    assert said == ["wal", 2, 20_000, 1]  # 2 is FULL


def test_path_with_odd_characters_is_the_file(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/caf\u00e9 50%20 &x.db") as store:
        store.put_result(a_scan())
    assert [each.name for each in tmp_path.iterdir()] == ["caf\u00e9 50%20 &x.db"]


def test_relative_path_is_beside_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open("sqlite:///posture.db").close()
    assert (tmp_path / "posture.db").exists()


# -- versions


def types_differ(
    context: MigrationContext, _: object, __: object, made: sa.types.TypeEngine[Any], said: sa.types.TypeEngine[Any]
) -> bool:
    """Without the order of texts, which not every version of SQLAlchemy reads back; the next test looks at it."""
    found, expected = (each.compile(context.dialect).partition(" COLLATE")[0] for each in (made, said))
    return found != expected


def test_texts_of_postgresql_are_ordered_by_code_points(postgresql: PostgresqlServer) -> None:
    url = postgresql.database()
    Store.open(url).close()
    query = (
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE collation_name = 'C' AND table_schema = 'public'"
    )
    with psycopg.connect(url) as connection:
        found = set(connection.execute(query).fetchall())
    words = {
        (each.table.name, each.name)
        for table in metadata.sorted_tables
        for each in table.columns
        if isinstance(each.type, Words)
    }
    assert found == words


def test_schema_that_is_made_is_the_one_that_the_tables_say(store_url: str) -> None:
    def differences(connection: sa.Connection) -> object:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": types_differ}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    Store.open(store_url).close()
    database = Database(parse_address(store_url))
    found = database.read(differences)
    database.close()
    assert found == []


def test_revisions_are_those_of_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", "gateway.posture.store:migration")
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(reversed([each.revision for each in scripts])) == schema.REVISIONS


def first_release(url: str) -> None:
    """A store of the first revision, with a scan, a finding and an event in it."""
    database = Database(parse_address(url))
    database.make_file()
    database.write(lambda connection: schema.upgrade(connection, "0001"))
    old = [
        "INSERT INTO scan (number, provider, id, target, type, status, started_at, completed_at, risk_score, counts,"
        " raw, stored_at, series, over_s, began_s) VALUES (1, 'ddactic', 'scn_1', 'example.com', 'passive',"
        " 'completed', '2025-12-17T10:30:00Z', '2025-12-17T10:35:00Z', 4.2,"
        """ '{"critical":1,"high":3,"medium":8,"low":12,"info":0}', '{"scan_id":"scn_1"}', '2025-12-17T10:40:00Z',"""
        " '91b92a0b2c4c6d1e3f00000000000000', 1765967700, 1765967400)",
        "INSERT INTO finding (scan_number, id, severity_rank, title, description, asset, port, cve, cvss, remediation,"
        " raw, fingerprint, first_seen) VALUES (1, 'F-001', 0, 'Origin IP Exposed',"
        """ 'Origin server directly accessible', '192.0.2.1', 443, '["CVE-2021-44228"]', 9.8,"""
        """ '{"summary":"Restrict origin access","commands":["iptables -A INPUT -j DROP"]}', '{"id":"F-001"}',"""
        f" '{a_finding().fingerprint}', '2025-12-17T10:40:00Z')",
        f"INSERT INTO event VALUES ('{an_event().id}', 'ddactic', 'scan.completed', '2025-12-17T10:35:00Z',"
        """ '2025-12-17T10:40:00Z', 'scn_1', '{"scan_id":"scn_1","number":1}', 1765967700000000000)""",
    ]
    database.write(lambda connection: [connection.exec_driver_sql(each) for each in old])
    database.close()


def test_store_of_the_first_release_is_migrated_with_what_is_in_it(store_url: str) -> None:
    first_release(store_url)
    with Store.open(store_url) as store:
        assert store.scan("scn_1") == a_scan()
        assert store.findings() == store.findings(state="new") == [a_finding(first_seen=AT)]
        assert store.events() == store.unhandled_events(9) == [an_event()]
        assert store.event_tried(an_event().id) == 1
        assert store.add_notices([("a", {})]) == ["a"]


_upgrade = schema.upgrade


def upgrade_and_fail(connection: sa.Connection, revision: str) -> None:
    _upgrade(connection, revision)
    connection.exec_driver_sql("SELECT * FROM no_such_table")


def test_migration_that_fails_leaves_the_store_as_it_was(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first_release(store_url)
    database = Database(parse_address(store_url))
    monkeypatch.setattr(schema, "upgrade", upgrade_and_fail)
    with pytest.raises(PostureStoreError, match="no_such_table"):
        schema.prepare(database)
    monkeypatch.undo()
    version = "SELECT version_num FROM posture_version"
    assert database.read(lambda connection: connection.exec_driver_sql(version).scalar()) == "0001"
    tables = database.read(lambda connection: sa.inspect(connection).get_table_names())
    database.close()
    assert set(tables) == {"scan", "finding", "event", "posture_version"}
    Store.open(store_url).close()


def open_and_put(url: str, number: int) -> None:
    with Store.open(url) as store:
        store.put_result(a_scan(f"s{number}"))


def test_fresh_store_that_several_processes_open_at_once_is_made_once(store_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=open_and_put, args=(store_url, number)) for number in range(5)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(60)
    assert [each.exitcode for each in processes] == [0] * 5
    with Store.open(store_url) as store:
        assert store.scans()[1] == 5


def test_store_that_is_current_is_opened_without_alembic_and_client(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/posture.db"
    Store.open(url).close()
    program = (
        "import sys; from gateway.posture.store import Store; Store.open(sys.argv[1]).close();"
        "print(sorted({'alembic', 'aiohttp', 'psycopg', 'gateway.engine'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# -- databases that are not for us


def test_store_of_a_newer_version_is_refused_and_left_as_it_is(store_url: str) -> None:
    Store.open(store_url).close()
    database = Database(parse_address(store_url))
    database.write(lambda connection: connection.exec_driver_sql("UPDATE posture_version SET version_num = '9999'"))
    with pytest.raises(PostureStoreError, match=r"newer version of the gateway \(revision 9999; this one knows up to"):
        Store.open(store_url)
    version = "SELECT version_num FROM posture_version"
    assert database.read(lambda connection: connection.exec_driver_sql(version).scalar()) == "9999"
    database.close()


def test_database_of_something_else_is_refused_and_left_as_it_is(store_url: str, tmp_path: Path) -> None:
    database = Database(parse_address(store_url))
    if database.address.file is not None:
        sqlite3.connect(database.address.file).close()
        database.address.file.touch(0o640)
    database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE orders (id INTEGER)"))
    before = database.address.file and (database.address.file.read_bytes(), database.address.file.stat().st_mode)
    with pytest.raises(PostureStoreError, match=r"something else's \(it has orders\); expected an empty one"):
        Store.open(store_url)
    assert database.read(lambda connection: sa.inspect(connection).get_table_names()) == ["orders"]
    after = database.address.file and (database.address.file.read_bytes(), database.address.file.stat().st_mode)
    database.close()
    assert before == after


def test_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "posture.db"
    file.write_text("posture:\n  store: here\n" * 50)
    with pytest.raises(PostureStoreError, match="the file is no SQLite database, or is damaged"):
        Store.open(f"sqlite:///{file}")
    assert file.read_text() == "posture:\n  store: here\n" * 50
    assert [each.name for each in tmp_path.iterdir()] == ["posture.db"]


# -- errors


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing/posture.db", "the file cannot be made: No such file or directory"),
        ("", "the file cannot be made: .* is no regular file$"),
    ],
)
def test_file_that_cannot_be_opened_is_a_clear_error(tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(PostureStoreError, match=f"^the store sqlite:///{tmp_path}/?{path}: {why}"):
        Store.open(f"sqlite:///{tmp_path}/{path}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:///",
        "mysql://u:s3cret@h/d",
        "postgresql://u:s3cret@h",
        "postgresql://u:s3c:ret@h:s3cret/d",
        "s3cret",
    ],
)
def test_address_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(PostureStoreError, match="expected sqlite:///FILE") as refused:
        Store.open(url)
    assert "cret" not in str(refused.value)


def test_address_is_shown_without_password_and_parameters() -> None:
    address = parse_address("postgresql://me:p%40ss@db.example:5433/posture?sslmode=require&sslpassword=hush")
    assert str(address) == "postgresql://me@db.example:5433/posture"
    assert address.hide("p@ss and hush") == "*** and ***"
    assert "hush" not in repr(address) and "p%40ss" not in repr(address)


def test_login_that_is_refused_is_an_error_without_the_password(postgresql: PostgresqlServer) -> None:
    url = postgresql.database().replace(PASSWORD, "wr0ng-h0rse")
    with pytest.raises(
        PostureStoreError, match=r"^the store postgresql://gateway@127\.0\.0\.1.*password auth"
    ) as error:
        Store.open(url)
    assert "h0rse" not in str(error.value)


def test_server_that_is_not_there_is_an_error_without_the_password(postgresql: PostgresqlServer) -> None:
    url = postgresql.url("posture").replace(str(postgresql.port), "9")
    with pytest.raises(PostureStoreError, match="Connection refused") as error:
        Store.open(url)
    assert PASSWORD not in str(error.value)


def test_database_that_is_not_there_is_an_error(postgresql: PostgresqlServer) -> None:
    with pytest.raises(PostureStoreError, match='database "nowhere" does not exist'):
        Store.open(postgresql.url("nowhere"))


def test_database_of_another_encoding_is_refused(postgresql: PostgresqlServer) -> None:
    postgresql.ask(sql.SQL("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'"))
    with pytest.raises(PostureStoreError, match="the database's encoding is LATIN1; expected UTF8"):
        Store.open(postgresql.url("latin"))


def test_server_that_was_restarted_is_no_error(postgresql: PostgresqlServer) -> None:
    with Store.open(postgresql.database()) as store:
        store.put_result(a_scan())
        postgresql.crash()
        with pytest.raises(PostureStoreError):
            store.put_result(a_scan("s2"))
        postgresql.start()
        store.put_result(a_scan("s3"))
        assert sorted(each.id or "" for each in store.scans()[0]) == ["s3", "scn_1"]


def test_file_that_another_process_writes_to_is_waited_for_and_then_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.posture.store.database.BUSY_S", 0.05)
    file = tmp_path / "posture.db"
    with Store.open(f"sqlite:///{file}") as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(PostureStoreError, match="locked by another process"):
            store.put_result(a_scan())
        assert store.scans() == ([], 0)
        other.close()
        store.put_result(a_scan())


def test_row_that_somebody_else_holds_is_waited_for_and_then_an_error(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.posture.store.database.BUSY_S", 0.05)
    url = postgresql.database()
    with Store.open(url) as store, psycopg.connect(url) as other:
        store.put_result(a_scan())
        other.execute("SELECT * FROM scan FOR UPDATE")
        with pytest.raises(PostureStoreError, match="a lock was held for too long by somebody else"):
            store.put_result(a_scan(risk_score=9.9))
        other.rollback()
        store.put_result(a_scan(risk_score=9.9))
        assert store.scan("scn_1") == a_scan(risk_score=9.9)


def test_file_that_was_damaged_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "posture.db"
    with Store.open(f"sqlite:///{file}") as store:
        store.put_result(a_scan(), [a_finding(str(number)) for number in range(500)])
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(8192)
        opened.write(os.urandom(size - 8192))
    with pytest.raises(PostureStoreError, match="the file is damaged"), Store.open(f"sqlite:///{file}") as store:
        store.findings()


def fill(url: str) -> None:
    """Exit 0 if a file that may not grow is a clear error, and what was there before still is."""
    with Store.open(url) as store:
        store.put_result(a_scan())
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        with pytest.raises(PostureStoreError, match=r"the disk is full|disk I/O error"):
            store.put_result(a_scan("s2"), [a_finding("1", "s2", raw="x" * 1_000_000)])
        assert store.scans() == ([a_scan()], 1)


def test_file_that_cannot_grow_is_an_error_and_nothing_is_half_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/posture.db"
    process = multiprocessing.get_context("spawn").Process(target=fill, args=(url,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    with Store.open(url) as store:
        assert store.scans() == ([a_scan()], 1)


def test_disk_that_is_full_and_file_that_is_read_only_are_said_clearly(tmp_path: Path) -> None:
    database = Database(parse_address(f"sqlite:///{tmp_path}/posture.db"))
    schema.prepare(database)

    def write(connection: sa.Connection, pragma: str) -> None:
        connection.exec_driver_sql(pragma)
        insert = sa.text("INSERT INTO onboarding VALUES ('x', :text)")
        connection.execute(insert, {"text": "x" * 1_000_000})

    with pytest.raises(PostureStoreError, match="the disk is full"):
        database.write(lambda connection: write(connection, "PRAGMA max_page_count = 50"))
    with pytest.raises(PostureStoreError, match="read-only"):
        database.write(lambda connection: write(connection, "PRAGMA query_only = ON"))
    database.close()
