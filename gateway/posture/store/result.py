"""Scans and their findings: written, and read back. Every function works in the transaction of its connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, func, select, update

from gateway.posture.document import MAX_ID
from gateway.posture.finding import Finding
from gateway.posture.scan import Scan
from gateway.posture.severity import Severity, rank
from gateway.posture.store import series
from gateway.posture.store.record import finding_of, finding_row, merged_finding, merged_scan, scan_of, scan_row
from gateway.posture.store.series import State
from gateway.posture.store.statement import insert, insert_or_update
from gateway.posture.store.table import finding, scan


def put(connection: Connection, fresh: Scan, findings: Sequence[Finding], at: str) -> list[Finding]:
    """See Store.put_result. Raises TypeError or ValueError for what has no place in the tables."""
    if not fresh.id:
        raise ValueError("it has no id")
    if any((each.provider, each.scan) != (fresh.provider, fresh.id) for each in findings):
        raise ValueError("a finding of another scan")
    if (longest := max(len(id) for id in (fresh.id, *(each.id for each in findings)))) > MAX_ID:
        raise ValueError(f"an id has {longest} characters, at most {MAX_ID} are taken")
    number = _put_scan(connection, fresh, at)
    return _put_findings(connection, number, findings, at) if findings else []


def _put_scan(connection: Connection, fresh: Scan, at: str) -> int:
    """The scan's number. Its row stays locked, so that another process's reading of it waits for ours."""
    first = (
        insert(connection, scan).values(scan_row(fresh, at)).on_conflict_do_nothing(index_elements=["id", "provider"])
    )
    connection.execute(first)
    same = select(scan).where(scan.c.id == fresh.id, scan.c.provider == fresh.provider).with_for_update()
    row = connection.execute(same).mappings().one()
    known = scan_of(row)
    merged = merged_scan(known, fresh)
    if merged != known:
        changed = update(scan).where(scan.c.number == row["number"]).values(scan_row(merged, row["stored_at"]))
        connection.execute(changed)
    return int(row["number"])


def _put_findings(connection: Connection, number: int, findings: Iterable[Finding], at: str) -> list[Finding]:
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
    return list(now.values())


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


def current(connection: Connection, provider: str | None) -> list[Finding]:
    shown = {}
    for row in connection.execute(series.current_findings(provider)).mappings():
        target = row["target"]
        key = row["scan_provider"], target and target.lower(), row["fingerprint"]
        if key not in shown:
            told = finding_of(row)
            shown[key] = replace(told, first_seen=row["earliest"], last_seen=told.first_seen)
    newest_first = sorted(shown.values(), key=lambda each: each.first_seen or "", reverse=True)
    return sorted(newest_first, key=lambda each: rank(each.severity))


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
