"""What is new, still open or gone: questions about series of scans, as SELECT statements.

A series is the scans of one provider, target and type. Completed scans of a series are ordered by when they were
completed, or, where the platform does not say, by when they were first stored; the one that was stored later is later
if that is the same. Findings of two scans are the same thing if their fingerprints are equal.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal_column, or_, select
from sqlalchemy.sql.selectable import Subquery

from gateway.posture.severity import SEVERITIES
from gateway.posture.store.column import Words
from gateway.posture.store.table import finding, scan

State = Literal["new", "open", "gone"]

_COLUMNS = (*finding.columns, scan.c.provider.label("scan_provider"), scan.c.id.label("scan_id"))


def findings() -> Select[Any]:
    """Every finding with its scan's provider and id."""
    return select(*_COLUMNS).join(scan, scan.c.number == finding.c.scan_number)


def of_scan(provider: str | None, scan_id: str | None) -> list[ColumnElement[bool]]:
    """Conditions for what is given."""
    wanted = ((scan.c.provider, provider), (scan.c.id, scan_id))
    return [column == value for column, value in wanted if value is not None]


def findings_in_state(state: State, provider: str | None, scan_id: str | None) -> Select[Any]:
    """new: in the latest completed scan of its series and not in the one before; open: in both; gone: in the one before
    and not in the latest. With scan_id, that scan, if it is completed, stands for the latest."""
    pair = _pairs(provider, scan_id)
    here, there = (pair.c.previous, pair.c.number) if state == "gone" else (pair.c.number, pair.c.previous)
    other = finding.alias("other")
    is_there = exists().where(other.c.scan_number == there, other.c.fingerprint == finding.c.fingerprint)
    return findings().join(pair, finding.c.scan_number == here).where(is_there if state == "open" else ~is_there)


def _pairs(provider: str | None, scan_id: str | None) -> Subquery:
    """(number, previous): the latest completed scan of each series, or the one with that id, and the one before."""
    position = (scan.c.over_s, scan.c.number)
    ranked = (
        select(
            scan.c.number,
            scan.c.id,
            func.lag(scan.c.number).over(partition_by=scan.c.series, order_by=position).label("previous"),
            _place().label("place"),
        )
        .where(scan.c.status == "completed", *of_scan(provider, None))
        .subquery("ranked")
    )
    chosen = ranked.c.place == 1 if scan_id is None else ranked.c.id == scan_id
    return select(ranked.c.number, ranked.c.previous).where(chosen).subquery("pair")


def current_findings(
    provider: str | None = None, rank: int | None = None, limit: int | None = None, oldest_first: bool = False
) -> Select[Any]:
    """Findings of the latest completed scan of each series, and of scans that began after that one and still run. Of
    several of one (provider, target, fingerprint) the newest scan's, and in it the worst.

    rank: nothing milder. The worst come first, then those that were first seen last, or first. Further column:
    `earliest`, when something with the fingerprint was first seen.
    """
    shown = _shown(provider, rank)
    earliest = _earliest(shown.c.fingerprint)
    query = (
        select(*_COLUMNS, earliest.label("earliest"))
        .select_from(shown)
        .join(finding, and_(finding.c.scan_number == shown.c.scan_number, finding.c.id == shown.c.id))
        .join(scan, scan.c.number == shown.c.scan_number)
        .where(shown.c.place == 1)
    )
    if rank is not None:
        query = query.where(shown.c.severity_rank <= rank)
    age: ColumnElement[Any] = literal_column("earliest") if oldest_first else literal_column("earliest").desc()
    return query.order_by(shown.c.severity_rank, age, shown.c.scan_number.desc(), shown.c.id).limit(limit)


def current_counts() -> Select[Any]:
    """(provider, severity_rank, total) of the same."""
    shown = _shown(None)
    key = shown.c.provider, shown.c.severity_rank
    return select(*key, func.count().label("total")).where(shown.c.place == 1).group_by(*key)


def current_sites(limit: int) -> Select[Any]:
    """(site, critical .. info, oldest) of the same, the site with most of the worst first."""
    shown = _shown(None)
    site = func.coalesce(func.nullif(shown.c.target, ""), shown.c.asset, type_=Words)
    counts = [
        func.sum(case((shown.c.severity_rank == rank, 1), else_=0)).label(severity)
        for rank, severity in enumerate(SEVERITIES)
    ]
    oldest = func.min(_earliest(shown.c.fingerprint)).label("oldest")
    return (
        select(func.min(site, type_=Words).label("site"), *counts, oldest)
        .where(shown.c.place == 1)
        .group_by(func.lower(site))
        .order_by(*(literal_column(severity).desc() for severity in SEVERITIES), literal_column("site"))
        .limit(limit)
    )


def _earliest(fingerprint: ColumnElement[Any]) -> ColumnElement[Any]:
    other = finding.alias("other")
    return select(func.min(other.c.first_seen)).where(other.c.fingerprint == fingerprint).scalar_subquery()


def _shown(provider: str | None, rank: int | None = None) -> Subquery:
    """(scan_number, id, severity_rank, fingerprint, asset, provider, target, place) of what is open; `place` 1 is the
    one of its fingerprint that counts. rank: only fingerprints that were ever so bad, which are found by an index."""
    latest = _latest()
    ever = finding.alias("ever")
    wanted = of_scan(provider, None)
    if rank is not None:
        wanted.append(finding.c.fingerprint.in_(select(ever.c.fingerprint).where(ever.c.severity_rank <= rank)))
    runs_since = and_(
        scan.c.status.in_(("queued", "running")),
        or_(latest.c.number.is_(None), scan.c.began_s > latest.c.began_s),
    )
    newest_first = (scan.c.began_s.desc(), scan.c.number.desc(), finding.c.severity_rank, finding.c.id)
    same = (scan.c.provider, func.lower(scan.c.target), finding.c.fingerprint)
    return (
        select(
            finding.c.scan_number, finding.c.id, finding.c.severity_rank, finding.c.fingerprint, finding.c.asset,
            scan.c.provider, scan.c.target,
            func.row_number().over(partition_by=same, order_by=newest_first).label("place"),
        )
        .join(scan, scan.c.number == finding.c.scan_number)
        .outerjoin(latest, latest.c.series == scan.c.series)
        .where(or_(scan.c.number == latest.c.number, runs_since), *wanted)
        .subquery("shown")
    )  # fmt: skip


def _latest() -> Subquery:
    """(series, number, began_s) of the latest completed scan of each series."""
    ranked = (
        select(scan.c.series, scan.c.number, scan.c.began_s, _place().label("place"))
        .where(scan.c.status == "completed")
        .subquery("ranked")
    )
    return select(ranked.c.series, ranked.c.number, ranked.c.began_s).where(ranked.c.place == 1).subquery("latest")


def _place() -> ColumnElement[int]:
    """1 is the latest of its series."""
    newest_first = (scan.c.over_s.desc(), scan.c.number.desc())
    return func.row_number().over(partition_by=scan.c.series, order_by=newest_first)
