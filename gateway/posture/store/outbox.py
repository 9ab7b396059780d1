"""What the gateway itself tells, does and has begun: notices, records of actions, the state of onboarding. Each
function works in the transaction of its connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from gateway.posture.store.statement import insert, insert_or_update
from gateway.posture.store.table import action_record, notice, onboarding


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell. id: the key that it was added with; attempts: how often it failed so far."""

    id: str
    payload: dict[str, Any]
    attempts: int


def add_notices(connection: Connection, notices: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The keys that were never there before, in the order given. Inserted in that of the keys: see inbox.put."""
    payloads = dict(reversed(notices))
    if not payloads:
        return []
    rows = [{"id": key, "payload": dict(payloads[key]), "attempts": 0, "due_s": 0.0} for key in sorted(payloads)]
    statement = insert(connection, notice).on_conflict_do_nothing(index_elements=["id"]).returning(notice.c.id)
    fresh = set(connection.execute(statement, rows).scalars())
    return [key for key in dict.fromkeys(key for key, _ in notices) if key in fresh]


def due_notices(connection: Connection, now_s: float, limit: int, lease_s: float) -> list[Notice]:
    due = notice.c.done_at.is_(None) & (notice.c.due_s <= now_s)
    query = select(notice).where(due).order_by(notice.c.due_s, notice.c.number).limit(limit)
    if lease_s:
        query = query.with_for_update(skip_locked=True)
    rows = connection.execute(query).mappings().all()
    if lease_s and rows:
        taken = update(notice).where(notice.c.number.in_([row["number"] for row in rows]))
        connection.execute(taken.values(due_s=now_s + lease_s))
    return [Notice(row["id"], row["payload"], row["attempts"]) for row in rows]


def notice_done(connection: Connection, notice_id: str, at: str) -> None:
    connection.execute(update(notice).where(notice.c.id == notice_id).values(done_at=at, error=None))


def notice_failed(connection: Connection, notice_id: str, retry_at_s: float | None, error: str, at: str) -> None:
    changed = {"attempts": notice.c.attempts + 1, "error": error}
    next_step = {"done_at": at} if retry_at_s is None else {"due_s": retry_at_s}
    connection.execute(update(notice).where(notice.c.id == notice_id).values(**changed, **next_step))


def add_action_records(connection: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    if records:
        connection.execute(insert(connection, action_record), [{"record": dict(each)} for each in records])


def action_records(connection: Connection, limit: int) -> list[dict[str, Any]]:
    query = select(action_record.c.record).order_by(action_record.c.number.desc()).limit(limit)
    return list(connection.execute(query).scalars())


def onboarding_state(connection: Connection, domain: str) -> dict[str, Any] | None:
    query = select(onboarding.c.state).where(onboarding.c.domain == domain.lower())
    state: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
    return state


def put_onboarding(connection: Connection, domain: str, state: Mapping[str, Any]) -> None:
    statement = insert_or_update(connection, onboarding, ["domain"])
    connection.execute(statement.values(domain=domain.lower(), state=dict(state)))
