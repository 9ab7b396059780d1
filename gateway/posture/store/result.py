"""Scans and their findings: written, and read back. Every function works in the transaction of its connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from gateway.posture.document import MAX_ID
from gateway.posture.finding import Finding
from gateway.posture.scan import Scan
from gateway.posture.severity import SEVERITIES, Severity, rank
from gateway.posture.store import series
from gateway.posture.store.record import finding_of, finding_row, merged_finding, merged_scan, scan_of, scan_row
from gateway.posture.store.series import State
from gateway.posture.store.statement import insert, insert_or_update
from gateway.posture.store.table import change, finding, scan


class OpenSite(NamedTuple):
    """What is open at one site, which is a scan's target, or, where that is not known, an asset. oldest: when the first
    of it was first seen."""

    site: str
    counts: Mapping[Severity, int]
    oldest: str


def put(connection: Connection, fresh: Scan, findings: Sequence[Finding], at: str) -> list[Finding]:
    """See Store.put_result. Raises TypeError or ValueError for what has no place in the tables."""
    if not fresh.id:
        raise ValueError("it has no id")
    if any((each.provider, each.scan) != (fresh.provider, fresh.id) for each in findings):
        raise ValueError("a finding of another scan")
    if (longest := max(len(id) for id in (fresh.id, *(each.id for each in findings)))) > MAX_ID:
        raise ValueError(f"an id has {longest} characters, at most {MAX_ID} are taken")
    number, is_changed = _put_scan(connection, fresh, at)
    stored, are_changed = _put_findings(connection, number, findings, at) if findings else ([], False)
    if is_changed or are_changed:
        _count_change(connection)  # last, so that others wait for its row no longer than for the commit
    return stored


def version(connection: Connection) -> int:
    """How often something changed."""
    found = connection.execute(select(change.c.count).where(change.c.of == _RESULTS)).scalar_one_or_none()
    return found or 0


def _count_change(connection: Connection) -> None:
    first = insert(connection, change).values(of=_RESULTS, count=1)
    connection.execute(first.on_conflict_do_update(index_elements=["of"], set_={"count": change.c.count + 1}))


_RESULTS = "results"


def _put_scan(connection: Connection, fresh: Scan, at: str) -> tuple[int, bool]:
    """(the scan's number, whether anything of it is new). Its row stays locked, so that another process's reading of it
    waits for ours."""
    first = (
        insert(connection, scan).values(scan_row(fresh, at)).on_conflict_do_nothing(index_elements=["id", "provider"])
    )
    is_new = connection.execute(first.returning(scan.c.number)).first() is not None
    same = select(scan).where(scan.c.id == fresh.id, scan.c.provider == fresh.provider).with_for_update()
    row = connection.execute(same).mappings().one()
    known = scan_of(row)
    merged = merged_scan(known, fresh)
    if merged != known:
        changed = update(scan).where(scan.c.number == row["number"]).values(scan_row(merged, row["stored_at"]))
        connection.execute(changed)
    return int(row["number"]), is_new or merged != known


def _put_findings(
    connection: Connection, number: int, findings: Iterable[Finding], at: str
) -> tuple[list[Finding], bool]:
    """(the findings as they are stored now, whether anything of them is new)"""
    rows = connection.execute(series.findings().where(finding.c.scan_number == number)).mappings()
    known = {row["id"]: finding_of(row) for row in rows}
    now: dict[str, Finding] = {}
    for fresh in findings:
        before = now.get(fresh.id) or known.get(fresh.id)
        now[fresh.id] = replace(fresh, first_seen=at) if before is None else merged_finding(before, fresh)
    changed = [finding_row(each, number) for each in now.values() if each != known.get(each.id)]
    if changed:
        key, kept = ("scan_number", "id"), ("first_seen",)
        connection.execute(insert_or_update(connection, finding, key, kept), changed)
    return list(now.values()), bool(changed)


def one(connection: Connection, scan_id: str, provider: str | None) -> Scan | None:
    query = select(scan).where(*series.of_scan(provider, scan_id)).order_by(scan.c.began_s.desc(), scan.c.number.desc())
    row = connection.execute(query.limit(1)).mappings().first()
    return None if row is None else scan_of(row)


def providers(connection: Connection, scan_id: str) -> tuple[str, ...]:
    query = select(scan.c.provider).where(scan.c.id == scan_id).order_by(scan.c.provider)
    return tuple(connection.execute(query).scalars())


def page(connection: Connection, provider: str | None, status: str | None, limit: int | None) -> tuple[list[Scan], int]:
    wanted = series.of_scan(provider, None)
    if status is not None:
        wanted.append(scan.c.status == status)
    total = connection.execute(select(func.count()).select_from(scan).where(*wanted)).scalar_one()
    newest = select(scan).where(*wanted).order_by(scan.c.began_s.desc(), scan.c.number.desc()).limit(limit)
    return [scan_of(row) for row in connection.execute(newest).mappings()], total


def findings(
    connection: Connection,
    provider: str | None,
    scan_id: str | None,
    at_least: Severity | None,
    state: State | None,
) -> list[Finding]:
    if state is None:
        query = series.findings().where(*series.of_scan(provider, scan_id))
    else:
        query = series.findings_in_state(state, provider, scan_id)
    if at_least is not None:
        query = query.where(finding.c.severity_rank <= rank(at_least))
    query = query.order_by(
        finding.c.severity_rank, finding.c.first_seen.desc(), finding.c.scan_number.desc(), finding.c.id
    )
    return [finding_of(row) for row in connection.execute(query).mappings()]


def current(
    connection: Connection, provider: str | None, at_least: Severity | None, limit: int | None, oldest_first: bool
) -> list[Finding]:
    query = series.current_findings(provider, None if at_least is None else rank(at_least), limit, oldest_first)
    found = []
    for row in connection.execute(query).mappings():
        told = finding_of(row)
        found.append(replace(told, first_seen=row["earliest"], last_seen=told.first_seen))
    return found


def current_counts(connection: Connection) -> dict[tuple[str, Severity], int]:
    rows = connection.execute(series.current_counts())
    return {(row.provider, SEVERITIES[row.severity_rank]): row.total for row in rows}


def current_sites(connection: Connection, limit: int) -> list[OpenSite]:
    return [
        OpenSite(row.site, {severity: getattr(row, severity) for severity in SEVERITIES}, row.oldest)
        for row in connection.execute(series.current_sites(limit))
    ]


def target(connection: Connection, provider: str, scan_id: str) -> str | None:
    query = select(scan.c.target).where(*series.of_scan(provider, scan_id))
    return connection.execute(query).scalar_one_or_none()


def risk_scores(connection: Connection) -> dict[str, float]:
    query = (
        select(scan.c.target, scan.c.risk_score)
        .where(scan.c.provider == "ddactic", scan.c.status == "completed")
        .where(scan.c.target.is_not(None), scan.c.risk_score.is_not(None))
        .order_by(scan.c.over_s, scan.c.number)
    )
    return {row.target: row.risk_score for row in connection.execute(query)}
