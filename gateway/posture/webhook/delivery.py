"""From a delivery's body to the event that is stored."""

from __future__ import annotations

from gateway.posture.client.redaction import Redaction
from gateway.posture.document import MAX_ID, shown, well_formed
from gateway.posture.event import Event, event_id
from gateway.posture.moment import read_moment
from gateway.posture.signature import read_json

_NAME = 200
"""Characters of an event's name."""


def read_delivery(provider: str, body: bytes, redaction: Redaction, received_at: str) -> Event:
    """The event of a body: a UTF-8 JSON object with an `event` text and a `data` object, secrets replaced. Its name is
    cut; its scan is None if the id has over MAX_ID characters; `data` stays as it is. Raises ValueError for anything
    else, and for what is nested deeper than `signature.MAX_DEPTH`."""
    payload = read_json(body)
    if not isinstance(payload, dict):
        raise ValueError("expected a JSON object")
    name, data = payload.get("event"), payload.get("data")
    if not isinstance(name, str) or not isinstance(data, dict):
        raise ValueError("expected an event text and a data object")
    kept = redaction.json(data)
    return Event(
        event_id(provider, payload), provider, shown(redaction.text(name), _NAME), _timestamp(payload.get("timestamp")),
        received_at, _scan(kept.get("scan_id")), kept,
    )  # fmt: skip


def _timestamp(value: object) -> str | None:
    """None for what is no time: it is the platform's to say, and no reason to lose an event."""
    try:
        return read_moment(value)
    except (ValueError, OverflowError):
        return None


def _scan(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return well_formed(value) if isinstance(value, str) and 0 < len(value) <= MAX_ID else None
