"""What is known of scans, findings and events: in SQLite by default, in PostgreSQL where several gateways share it."""

from __future__ import annotations

from gateway.posture.store.outbox import Notice
from gateway.posture.store.series import State
from gateway.posture.store.store import Store

__all__ = ["Notice", "State", "Store"]
