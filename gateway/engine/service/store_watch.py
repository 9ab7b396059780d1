"""What a store counted, for those who look at an engine: metrics, status, and a complaint while it is too small."""

from __future__ import annotations

from typing import Any

from gateway.engine.store import Store
from gateway.metrics import Metrics

COMPLAINT_S = 30.0  # after the last refusal, as with failed checks


class StoreWatch:
    """Of one store. `collect` is called about once a second, or whenever somebody looks."""

    def __init__(self, store: Store, metrics: Metrics, capacity: int) -> None:
        """`capacity`: what the configuration says, for the complaint."""
        self._store = store
        self._capacity = capacity
        self._up = metrics.engine_store_up.values
        self._counters = {
            "errors": metrics.engine_store_errors.values,
            "local_answers": metrics.engine_store_local_answers.values,
            "evicted_live": metrics.engine_store_evicted.values,
            "refused_full": metrics.engine_store_refused.values,
        }
        self._seen = dict.fromkeys(self._counters, 0)
        self._full_until_s = 0.0

    def collect(self, now_s: float) -> None:
        """Bring the metrics up to date. `now_s`: Unix seconds."""
        self._up[()] = 0 if self._store.degraded_reason else 1
        for name, values in self._counters.items():
            total = getattr(self._store, name)
            values[()] += total - self._seen[name]
            if name == "refused_full" and total > self._seen[name]:
                self._full_until_s = now_s + COMPLAINT_S
            self._seen[name] = total

    def full_reason(self, now_s: float) -> str:
        """Why visitors who solved a challenge are refused; "" if none was in the last COMPLAINT_S."""
        if now_s >= self._full_until_s:
            return ""
        return (
            f"proofs of visitors are refused: {self._capacity} spent ones are held, which is all that "
            f"engine.store.capacity allows ({self._store.refused_full} refused since the start)"
        )

    def status(self, now_s: float) -> dict[str, Any]:
        """For people, JSON-able."""
        self.collect(now_s)
        store = self._store
        return {
            "degraded": store.degraded_reason or self.full_reason(now_s) or None,
            "errors": store.errors,
            "local_answers": store.local_answers,
            "evicted": store.evicted_live,
            "refused": store.refused_full,
        }
