"""Waiting with a clock that a test moves: growing pauses, the end of the time, a webhook that cuts a pause short."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config import parse_config
from gateway.errors import WaitExpired
from gateway.posture.client.manner import Manner
from gateway.posture.event import Event
from gateway.posture.operation.desk import Desk
from gateway.posture.operation.scanning import show
from gateway.posture.operation.waiting import LOOK_S, wait_until
from gateway.posture.scan import Scan, ScanResult
from gateway.posture.watching import Clock

NEVER = 10**9
MANNER = Manner(poll_s=4.0, poll_max_s=10.0)


class Hands:
    """A clock whose time passes only while somebody sleeps. at: (time, what happens then)."""

    def __init__(self, *at: tuple[float, Callable[[], object]]) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self._at = sorted(at, key=lambda one: one[0])

    async def sleep(self, pause_s: float) -> None:
        assert pause_s > 0
        self.slept.append(pause_s)
        self.now_s += pause_s
        while self._at and self._at[0][0] <= self.now_s:
            self._at.pop(0)[1]()

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, self.sleep, lambda: 0.5)


class Asked:
    """Answers "done" from the given question on. at: the times of all questions."""

    def __init__(self, hands: Hands, done_at: int = NEVER) -> None:
        self.at: list[float] = []
        self._hands, self._done_at = hands, done_at

    async def __call__(self) -> str | None:
        self.at.append(self._hands.now_s)
        return "done" if len(self.at) >= self._done_at else None


async def waited(hands: Hands, asked: Asked, timeout_s: float, **keys: Any) -> str:
    return await wait_until(asked, what="it is not over", timeout_s=timeout_s, manner=MANNER, clock=hands.clock, **keys)


async def test_answer_that_is_there_is_not_waited_for() -> None:
    hands = Hands()

    assert await waited(hands, Asked(hands, 1), 60) == "done"
    assert hands.slept == []


async def test_pauses_grow_by_half_up_to_the_longest() -> None:
    hands = Hands()

    assert await waited(hands, Asked(hands, 7), 600) == "done"
    assert hands.slept == [4.0, 6.0, 9.0, 10.0, 10.0, 10.0]


async def test_last_pause_ends_with_the_time_and_asks_once_more() -> None:
    hands = Hands()
    asked = Asked(hands)

    with pytest.raises(WaitExpired, match=r"^it is not over within 12 s$"):
        await waited(hands, asked, 12.0)
    assert asked.at == [0.0, 4.0, 10.0, 12.0]


async def test_question_at_the_very_end_may_succeed() -> None:
    hands = Hands()

    assert await waited(hands, Asked(hands, 4), 12.0) == "done"


async def test_time_of_nothing_asks_once() -> None:
    hands = Hands()
    asked = Asked(hands)

    with pytest.raises(WaitExpired):
        await waited(hands, asked, 0.0)
    assert (asked.at, hands.slept) == ([0.0], [])


async def test_question_that_does_not_end_is_cut_short_by_what_one_call_may_take() -> None:
    hands, cut = Hands(), []

    async def ask() -> str | None:
        try:
            await asyncio.Event().wait()
        finally:
            cut.append(hands.now_s)
        return None

    with pytest.raises(WaitExpired, match=r"^it is not over within 0 s$"):
        await wait_until(ask, what="it is not over", timeout_s=0, manner=Manner(timeout_s=0.01), clock=hands.clock)
    assert cut == [0.0]


async def test_word_cuts_a_pause_short() -> None:
    told = [False]
    hands = Hands((1.2, lambda: told.__setitem__(0, True)))
    asked = Asked(hands, 2)

    assert await waited(hands, asked, 60, is_told=lambda: told[0]) == "done"
    assert asked.at == [0.0, pytest.approx(1.5)]
    assert hands.slept == [LOOK_S] * 3


async def test_pause_without_a_word_is_as_long_as_ever() -> None:
    hands = Hands()
    asked = Asked(hands, 3)

    await waited(hands, asked, 60, is_told=lambda: False)

    assert asked.at == pytest.approx([0.0, 4.0, 10.0])


async def test_last_pause_with_a_receiver_ends_with_the_time() -> None:
    hands = Hands()
    asked = Asked(hands)

    with pytest.raises(WaitExpired):
        await waited(hands, asked, 4.2, is_told=lambda: False)
    assert asked.at == pytest.approx([0.0, 4.0, 4.2])


# --- a scan that a webhook tells of -----------------------------------------------------------------------------------


def told(scan: str, number: int) -> Event:
    at = "2025-12-17T10:35:00Z"
    return Event(f"{number:032}", "ddactic", "scan.completed", at, at, scan, {"scan_id": scan})


@pytest.mark.parametrize(
    ("secret", "scan", "asked"),
    [
        ("a-secret", "scn_1", [0.0, 3.0]),
        ("a-secret", "scn_2", [0.0, 100.0]),
        (None, "scn_1", [0.0, 100.0]),
    ],
    ids=["of this scan", "of another scan", "no receiver"],
)
async def test_stored_event_of_the_scan_ends_the_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str | None, scan: str, asked: list[float]
) -> None:
    webhooks = {"ddactic": {"secret": secret}} if secret else {}
    keys = {"key": "a-key", "poll": {"interval": "100s", "max": "100s"}}
    section = {"store": f"sqlite:///{tmp_path}/posture.db", "providers": {"ddactic": keys}, "webhooks": webhooks}
    numbers = itertools.count()
    hands = Hands((2.8, lambda: desk.store.put_events([told(scan, next(numbers))])))
    at: list[float] = []

    async def read(desk: Desk, provider: str, scan_id: str) -> ScanResult:
        at.append(hands.now_s)
        status = "running" if len(at) == 1 else "completed"
        return ScanResult(Scan(scan_id, provider, "example.com", "passive", status))  # type: ignore[arg-type]

    monkeypatch.setattr("gateway.posture.operation.scanning.read", read)
    async with Desk(parse_config({"posture": section}).posture, tmp_path / "c.yaml", clock=hands.clock) as desk:
        outcome = await show(desk, "ddactic", "scn_1", wait=True, timeout_s=3600)

    assert outcome.scan.status == "completed"
    assert at == pytest.approx(asked)
