"""With many findings no question reads all of them, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from posture.store.sample import AT, a_scan

from gateway.posture.store import Store, series
from gateway.posture.store.address import parse_address
from gateway.posture.store.database import Database
from gateway.posture.store.table import finding

SCANS = 100
FINDINGS_EACH = 100

STATEMENTS: dict[str, sa.Select[Any]] = {
    "one scan's": series.findings().where(*series.of_scan("ddactic", "s1")),
    "critical": series.findings().where(finding.c.severity_rank <= 0),
    "new": series.findings_in_state("new", None, None),
    "open": series.findings_in_state("open", None, None),
    "gone": series.findings_in_state("gone", None, None),
    "current": series.current_findings(None),
    "current critical": series.current_findings("ddactic", 0, 100, oldest_first=True),
    "counts": series.current_counts(),
    "sites": series.current_sites(10),
}


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    """Ten targets, ten scans of each; one finding in a hundred is critical. The database knows how much there is."""
    with Store.open(empty_url) as store:
        for number in range(SCANS):
            store.put_result(a_scan(f"s{number}", target=f"{number % 10}.example"), at=AT)
    opened = Database(parse_address(empty_url))
    opened.write(_fill)
    yield opened
    opened.close()


def _fill(connection: sa.Connection) -> None:
    rows = [
        {
            "scan_number": number, "id": str(index), "severity_rank": 0 if index == 0 else 4, "title": "t",
            "description": "d" * 200, "asset": "a", "cve": [], "fingerprint": f"{index:032x}", "first_seen": AT,
        }
        for number in connection.execute(sa.text("SELECT number FROM scan")).scalars()
        for index in range(FINDINGS_EACH)
    ]  # fmt: skip
    connection.execute(sa.insert(finding), rows)
    connection.exec_driver_sql("ANALYZE")


@pytest.mark.parametrize("name", STATEMENTS)
def test_question_reads_findings_by_an_index(database: Database, name: str) -> None:
    plan = database.read(lambda connection: _plan(connection, STATEMENTS[name]))
    assert not [
        step for step in plan if "SCAN finding" in step or "SCAN other" in step or "Seq Scan on finding" in step
    ]


def _plan(connection: sa.Connection, statement: sa.Select[Any]) -> list[str]:
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    literal = statement.compile(connection, compile_kwargs={"literal_binds": True})
    return [str(row) for row in connection.exec_driver_sql(f"{explain} {literal}")]
