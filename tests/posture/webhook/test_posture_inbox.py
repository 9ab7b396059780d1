"""The durable inbox: commits that many events share, bounds, and what is said of a commit that fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest
from fakes import eventually

from gateway.errors import InboxFull, PostureStoreError, ValueRefused
from gateway.posture.event import Event
from gateway.posture.webhook.inbox import Inbox, InboxLimits


def numbered(number: int) -> Event:
    return Event(f"{number:032x}", "ddactic", "x", None, "2025-12-17T10:35:00Z", None, {})


class GatedStore:
    """Each commit waits until the test lets it through."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.entered = 0
        self.may_pass = threading.Semaphore(0)
        self.error: PostureStoreError | None = None
        self.stored: set[str] = set()

    def put_events(self, events: Sequence[Event]) -> list[bool]:
        self.entered += 1
        assert self.may_pass.acquire(timeout=10)
        if self.error is not None:
            raise self.error
        self.commits.append([event.id for event in events])
        new = [event.id not in self.stored for event in events]
        self.stored |= {event.id for event in events}
        return new


@pytest.fixture
def store() -> Iterator[GatedStore]:
    gated = GatedStore()
    yield gated
    gated.may_pass.release(1000)


async def begin(inbox: Inbox, numbers: Sequence[int]) -> list[asyncio.Task[bool]]:
    """Tasks that wait for these events, in order; the first of them may be in the store already."""
    tasks = [asyncio.create_task(inbox.put(numbered(number))) for number in numbers]
    await asyncio.sleep(0)
    return tasks


async def test_inbox_events_that_wait_share_one_commit_and_none_is_answered_before_it(store: GatedStore) -> None:
    told: list[int] = []
    inbox = Inbox(store.put_events, lambda: told.append(len(store.commits)), InboxLimits(batch=20))
    inbox.start()
    first = await begin(inbox, [0])
    await eventually(lambda: store.entered == 1, "the first commit to begin")
    rest = await begin(inbox, range(1, 51))
    assert not any(task.done() for task in first + rest)
    store.may_pass.release()
    assert await first[0] is True
    await eventually(lambda: store.entered == 2, "the second commit to begin")
    assert not any(task.done() for task in rest)
    store.may_pass.release(10)
    assert await asyncio.gather(*rest) == [True] * 50
    assert [len(commit) for commit in store.commits] == [1, 20, 20, 10]
    assert [id for commit in store.commits for id in commit] == [numbered(number).id for number in range(51)]
    assert told == [1, 2, 3, 4]
    await inbox.close(5)


async def test_inbox_repeats_are_told_apart_and_wake_nobody(store: GatedStore) -> None:
    told: list[str] = []
    inbox = Inbox(store.put_events, lambda: told.append("new"))
    inbox.start()
    store.may_pass.release(10)
    assert await inbox.put(numbered(1)) is True
    assert await inbox.put(numbered(1)) is False
    assert told == ["new"]
    await inbox.close(5)


async def test_inbox_full_refuses_and_keeps_what_it_took(store: GatedStore) -> None:
    inbox = Inbox(store.put_events, limits=InboxLimits(waiting=2, batch=1))
    inbox.start()
    tasks = await begin(inbox, [0])
    await eventually(lambda: store.entered == 1, "the first commit to begin")
    tasks += await begin(inbox, [1, 2])
    with pytest.raises(InboxFull, match="2 events wait"):
        await inbox.put(numbered(3))
    store.may_pass.release(10)
    assert await asyncio.gather(*tasks) == [True, True, True]
    await inbox.close(5)


async def test_inbox_failed_commit_told_to_every_waiter_and_the_next_works(store: GatedStore) -> None:
    inbox = Inbox(store.put_events)
    inbox.start()
    store.error = PostureStoreError("the disk is full")
    tasks = await begin(inbox, range(3))
    store.may_pass.release(10)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["the disk is full"] * 3
    assert inbox.failure == "the disk is full"
    store.error = None
    assert await inbox.put(numbered(0)) is True
    assert inbox.failure is None
    await inbox.close(5)


async def test_inbox_close_commits_what_waits_and_takes_nothing_more(store: GatedStore) -> None:
    inbox = Inbox(store.put_events, limits=InboxLimits(batch=1))
    inbox.start()
    tasks = await begin(inbox, range(3))
    closing = asyncio.create_task(inbox.close(5))
    await asyncio.sleep(0)
    with pytest.raises(InboxFull):
        await inbox.put(numbered(9))
    store.may_pass.release(10)
    await closing
    assert await asyncio.gather(*tasks) == [True, True, True]


async def test_inbox_close_with_a_store_that_hangs_fails_the_waiters(store: GatedStore) -> None:
    inbox = Inbox(store.put_events, limits=InboxLimits(batch=1))
    inbox.start()
    tasks = await begin(inbox, range(2))
    await eventually(lambda: store.entered == 1, "the first commit to begin")
    await inbox.close(0.01)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [PostureStoreError, PostureStoreError]


async def test_inbox_value_that_the_store_refuses_costs_its_own_event_alone() -> None:
    stored: list[str] = []

    def put_events(events: Sequence[Event]) -> list[bool]:
        if any(event.id == numbered(5).id for event in events):
            raise ValueRefused("a value is too long")
        stored.extend(event.id for event in events)
        return [True] * len(events)

    inbox = Inbox(put_events)
    tasks = await begin(inbox, range(8))
    inbox.start()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answer for answer in answers if answer is not True] == [answers[5]]
    assert isinstance(answers[5], PostureStoreError) and inbox.failure is None
    assert stored == [numbered(number).id for number in range(8) if number != 5]
    await inbox.close(1.0)
