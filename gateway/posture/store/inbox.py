"""Events that platforms told, and how far the work that follows from them is. Each function works in the transaction
of its connection."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select, update

from gateway.posture.event import Event
from gateway.posture.store.record import event_of, event_row
from gateway.posture.store.statement import insert
from gateway.posture.store.table import event

_TOGETHER = 500
"""Ids in one statement: fewer than either database takes."""


def put(connection: Connection, events: Sequence[Event]) -> list[bool]:
    """For each whether it is new; of several with one id the first is.

    They are inserted in the order of their ids: two processes that were told the same ones wait for each other, and
    never each for the other.
    """
    now_ns = time.time_ns()
    rows = {each.id: event_row(each, now_ns + index) for index, each in reversed(list(enumerate(events)))}
    if not rows:
        return []
    statement = insert(connection, event).on_conflict_do_nothing(index_elements=["id"]).returning(event.c.id)
    fresh = set(connection.execute(statement, [rows[key] for key in sorted(rows)]).scalars())
    answers = []
    for each in events:
        answers.append(each.id in fresh)
        fresh.discard(each.id)
    return answers


def stored(connection: Connection, scan: str | None, provider: str | None) -> list[Event]:
    query = select(event).order_by(event.c.arrival, event.c.id)
    if scan is not None:
        query = query.where(event.c.scan == scan)
    if provider is not None:
        query = query.where(event.c.provider == provider)
    return [event_of(row) for row in connection.execute(query).mappings()]


def unhandled(connection: Connection, limit: int, provider: str | None, without: Collection[str]) -> list[Event]:
    query = select(event).where(event.c.handled_at.is_(None)).order_by(event.c.arrival).limit(limit)
    if provider is not None:
        query = query.where(event.c.provider == provider)
    if without:
        query = query.where(event.c.provider.not_in(sorted(without)))
    return [event_of(row) for row in connection.execute(query).mappings()]


def handled(connection: Connection, ids: Sequence[str], error: str | None, at: str) -> None:
    for begin in range(0, len(ids), _TOGETHER):
        some = event.c.id.in_(ids[begin : begin + _TOGETHER])
        connection.execute(update(event).where(some).values(handled_at=at, error=error))


def tried(connection: Connection, event_id: str) -> int:
    counted = update(event).where(event.c.id == event_id).values(attempts=event.c.attempts + 1)
    return connection.execute(counted.returning(event.c.attempts)).scalar_one_or_none() or 0
