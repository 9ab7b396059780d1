"""What is new, still open or gone: questions about series of scans, as SELECT statements.

A series is the scans of one provider, target and type. Completed scans of a series are ordered by when they were
completed, or, where the platform does not say, by when they were first stored; the one that was stored later is later
if that is the same. Findings of two scans are the same thing if their fingerprints are equal.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.sql.selectable import Subquery

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


def current_findings(provider: str | None) -> Select[Any]:
    """Findings of the latest completed scan of each series, and of scans that began after that one and still run.

    Further columns: target, and `earliest`, when something with the fingerprint was first seen. The newest scan's come
    first, and in it the worst: of several with the same fingerprint the first is the one to show.
    """
    latest = _latest()
    other = finding.alias("other")
    earliest = (
        select(func.min(other.c.first_seen)).where(other.c.fingerprint == finding.c.fingerprint).scalar_subquery()
    )
    runs_since = and_(
        scan.c.status.in_(("queued", "running")),
        or_(latest.c.number.is_(None), scan.c.began_s > latest.c.began_s),
    )
    return (
        findings()
        .add_columns(scan.c.target, earliest.label("earliest"))
        .outerjoin(latest, latest.c.series == scan.c.series)
        .where(or_(scan.c.number == latest.c.number, runs_since), *of_scan(provider, None))
        .order_by(scan.c.began_s.desc(), scan.c.number.desc(), finding.c.severity_rank, finding.c.id)
    )


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
