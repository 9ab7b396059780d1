"""Who may wait, of how many networks, and when a seat is free again."""

from __future__ import annotations

import asyncio

import pytest

from gateway.engine.lookup.waiting import WaitingRoom


def taken(room: WaitingRoom, awaited: asyncio.Future[None], *networks: str) -> list[asyncio.Future[bool]]:
    seats = [room.seat(awaited, 10.0, network) for network in networks]
    return [seat for seat in seats if seat is not None]


async def test_seats_are_bounded_in_all_and_for_each_network() -> None:
    awaited: asyncio.Future[None] = asyncio.Future()
    room = WaitingRoom(5, 2)

    assert len(taken(room, awaited, "a", "a", "a", "b", "c", "b", "d")) == 5
    assert room.taken_count == 5
    awaited.set_result(None)


@pytest.mark.parametrize("end", ["result", "error", "cancelled"])
async def test_who_waits_hears_that_it_is_over_however_it_ended(end: str) -> None:
    awaited: asyncio.Future[None] = asyncio.Future()
    room = WaitingRoom()
    (seat,) = taken(room, awaited, "a")
    match end:
        case "result":
            awaited.set_result(None)
        case "error":
            awaited.set_exception(OSError())
            awaited.exception()
        case _:
            awaited.cancel()

    assert await seat
    await asyncio.sleep(0)
    assert room.taken_count == 0


async def test_who_waits_for_what_is_over_already_is_called_at_once() -> None:
    awaited: asyncio.Future[None] = asyncio.Future()
    awaited.set_result(None)

    assert await taken(WaitingRoom(), awaited, "a")[0]


async def test_seat_is_left_when_its_time_is_over() -> None:
    awaited: asyncio.Future[None] = asyncio.Future()
    room = WaitingRoom(1, 1)
    seat = room.seat(awaited, 0.001, "a")

    assert seat is not None and not await seat
    await asyncio.sleep(0)
    assert (room.taken_count, len(taken(room, awaited, "a"))) == (0, 1)
    awaited.cancel()


async def test_the_more_wait_the_shorter_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, asked_s = asyncio.get_running_loop(), []
    monkeypatch.setattr(loop, "call_later", lambda wait_s, *_: asked_s.append(wait_s) or loop.call_soon(int))
    awaited: asyncio.Future[None] = asyncio.Future()

    taken(WaitingRoom(4, 4), awaited, *"abcd")
    assert asked_s == [10.0, 7.5, 5.0, 2.5]
    awaited.set_result(None)


async def test_seat_of_somebody_who_was_cancelled_is_left() -> None:
    awaited: asyncio.Future[None] = asyncio.Future()
    room = WaitingRoom(1, 1)
    taken(room, awaited, "a")[0].cancel()
    await asyncio.sleep(0)

    assert room.taken_count == 0
    awaited.set_result(None)  # which tells nobody


@pytest.mark.parametrize("wait_s", [0.0, -0.1])
async def test_who_has_no_time_gets_no_seat(wait_s: float) -> None:
    assert WaitingRoom().seat(asyncio.Future(), wait_s, "a") is None
