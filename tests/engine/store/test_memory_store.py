"""gateway.engine.store.memory: bounded, and answered at once."""

from __future__ import annotations

import pytest

from gateway.engine.network import place
from gateway.engine.override import Override
from gateway.engine.question import Count, Counted, Identify, Spend
from gateway.engine.store.memory import CACHED, MemoryStore

NOW_S = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def count(key: str) -> Count:
    return Count(key, limit=10, per_s=60.0, burst=3)


def test_count_is_allowed_up_to_the_burst_and_again_after_the_wait() -> None:
    store = MemoryStore()
    assert [store.answer(count("a"), NOW_S) for _ in range(4)] == [Counted(True, 0.0)] * 3 + [Counted(False, 6.0)]
    assert store.answer(count("a"), NOW_S + 6.0) == Counted(True, 0.0)
    assert store.answer(count("b"), NOW_S) == Counted(True, 0.0)


def test_spend_counts_once_until_it_expires() -> None:
    store = MemoryStore()
    spend = Spend("id", 60.0)
    assert [store.answer(spend, NOW_S + after_s) for after_s in (0.0, 0.0, 59.9, 60.0, 60.1)] == [
        True, False, False, True, False,
    ]  # fmt: skip
    assert store.is_spent("id", NOW_S + 60.1)
    assert not store.is_spent("id", NOW_S + 120.1)


def test_question_of_another_kind_is_a_defect() -> None:
    with pytest.raises(TypeError, match="Identify"):
        MemoryStore().answer(Identify("google", "203.0.113.7"), NOW_S)


def test_new_keys_take_the_place_of_those_whose_time_has_passed() -> None:
    store = MemoryStore(capacity=100)
    for number in range(100):
        store.answer(count(f"old{number}"), NOW_S)
    for number in range(1, 1_000):
        store.answer(count(f"new{number}"), NOW_S + 10.0 * number)
    assert store.evicted_live == 0
    assert len(store._rates) <= 3  # the memory falls with the traffic


def test_store_full_of_live_keys_drops_the_one_idle_longest_and_says_so() -> None:
    store = MemoryStore(capacity=3)
    for key in ("a", "b", "c"):
        for _ in range(3):
            store.answer(count(key), NOW_S)
    store.answer(count("a"), NOW_S + 1.0)  # refused, and used all the same: b is idle longest
    store.answer(count("d"), NOW_S + 1.0)
    assert store.evicted_live == 1
    assert store.answer(count("a"), NOW_S + 1.0) == Counted(False, 5.0)
    assert store.answer(count("b"), NOW_S + 1.0) == Counted(True, 0.0)  # forgotten: forgiven


def test_flood_of_keys_pushes_no_spent_id_out() -> None:
    store = MemoryStore(capacity=10)
    store.answer(Spend("id", 60.0), NOW_S)
    for number in range(1_000):
        store.answer(count(str(number)), NOW_S)
    assert store.answer(Spend("id", 60.0), NOW_S) is False


def test_store_full_of_spent_ids_refuses_new_ones_until_one_expires() -> None:
    store = MemoryStore(capacity=2)
    assert store.answer(Spend("a", 60.0), NOW_S) is True
    assert store.answer(Spend("b", 10.0), NOW_S) is True
    assert store.answer(Spend("c", 60.0), NOW_S) is False
    assert store.refused_full == 1
    assert store.answer(Spend("c", 60.0), NOW_S + 10.0) is True
    assert store.answer(Spend("a", 60.0), NOW_S + 10.0) is False


async def test_override_is_in_force_from_put_to_remove() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    first = Override.of("203.0.113.0/24", "block", NOW_S + 60.0, "scraper", NOW_S)
    second = Override.of("session:abc", "revoke", NOW_S + 30.0, "", NOW_S)
    await store.put(first)
    await store.put(second)
    assert store.overrides.find(place("203.0.113.9"), NOW_S) == first
    assert store.overrides.is_revoked("abc", NOW_S)
    assert await store.list() == [second, first]
    assert await store.remove("203.0.113.0/24") is True
    assert await store.remove("203.0.113.0/24") is False
    clock.now_s += 30.0
    assert await store.list() == []


async def test_cache_keeps_what_was_found_for_its_time() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    await store.cache_put("k", "v", 10.0)
    assert [await store.cache_get("k"), await store.cache_get("other")] == ["v", None]
    clock.now_s += 10.0
    assert await store.cache_get("k") is None


async def test_cache_is_bounded_and_drops_what_was_used_longest_ago() -> None:
    store = MemoryStore(clock=Clock())
    for number in range(CACHED):
        await store.cache_put(str(number), "v", 10.0)
    await store.cache_get("0")
    await store.cache_put("more", "v", 10.0)
    assert [await store.cache_get(key) for key in ("0", "1", "more")] == ["v", None, "v"]


def test_capacity_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MemoryStore(capacity=0)
