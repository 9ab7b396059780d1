"""What a store forgot or refused reaches metrics, status and the list of what is degraded."""

from __future__ import annotations

from gateway.engine.question import Count, Spend
from gateway.engine.service.store_watch import COMPLAINT_S, StoreWatch
from gateway.engine.store import MemoryStore, store_of
from gateway.metrics import Metrics

NOW_S = 1_800_000_000.0


def counted(metrics: Metrics) -> dict[str, int]:
    return {
        name.removeprefix("gateway_engine_store_").removesuffix("_total"): rows[0][1]
        for name, rows in metrics.take()["counters"].items()
    }


def test_store_that_is_full_is_counted_once_and_said_until_nothing_was_refused_for_a_while() -> None:
    store, metrics = MemoryStore(2), Metrics()
    watch = StoreWatch(store, metrics, 2)
    for number in range(5):
        store.answer(Count(f"key{number}", 1, 60.0, 1), NOW_S)
        store.answer(Spend(f"id{number}", 60.0), NOW_S)

    for _ in range(2):
        watch.collect(NOW_S)
    assert counted(metrics) == {"evicted": 3, "refused": 3}
    reason = (
        "proofs of visitors are refused: 2 spent ones are held, which is all that engine.store.capacity allows "
        "(3 refused since the start)"
    )
    assert watch.full_reason(NOW_S + COMPLAINT_S - 0.1) == reason
    assert watch.status(NOW_S) == {"degraded": reason, "errors": 0, "local_answers": 0, "evicted": 3, "refused": 3}
    assert watch.full_reason(NOW_S + COMPLAINT_S) == ""
    assert watch.status(NOW_S + COMPLAINT_S)["degraded"] is None


def test_store_that_is_gone_has_its_local_answers_counted() -> None:
    store, metrics = store_of("valkey://127.0.0.1:1"), Metrics()
    watch = StoreWatch(store, metrics, 100)
    for _ in range(3):
        store.answer(Count("key", 10, 60.0, 10), NOW_S)

    watch.collect(NOW_S)
    assert counted(metrics) == {"local_answers": 3}
    assert metrics.engine_store_up.values == {(): 0}
    assert watch.status(NOW_S)["degraded"] == "not started"
