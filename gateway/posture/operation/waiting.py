"""Waiting until something is done: asking with growing pauses, cut short when a webhook says that it is time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from gateway.errors import WaitExpired
from gateway.posture.client.manner import Manner
from gateway.posture.watching import Clock

Answer = TypeVar("Answer")

LOOK_S = 0.5
"""How often the store is looked into while a pause lasts; a local read."""


async def wait_until(
    ask: Callable[[], Awaitable[Answer | None]], *, what: str, timeout_s: float, manner: Manner, clock: Clock,
    is_told: Callable[[], bool] | None = None,
) -> Answer:
    """The first answer of `ask` that is not None. is_told: true when asking is worth while at once.

    Raises WaitExpired naming `what` after timeout_s, and what one call may take; `ask` is called once more at the very
    end. An `ask` that repeats its calls, or waits for a rate limit, is cut short by that.
    """
    ends_s = clock.now_s() + timeout_s
    left_s = timeout_s
    for pause_s in manner.pauses():
        with suppress(TimeoutError):
            async with asyncio.timeout(max(left_s, 0) + manner.timeout_s):
                answer = await ask()
                if answer is not None:
                    return answer
        left_s = ends_s - clock.now_s()
        if left_s <= 0:
            break
        await _pause(min(pause_s, left_s), clock, is_told)
    raise WaitExpired(f"{what} within {timeout_s:g} s")


async def _pause(pause_s: float, clock: Clock, is_told: Callable[[], bool] | None) -> None:
    if is_told is None:
        await clock.sleep(pause_s)
        return
    ends_s = clock.now_s() + pause_s
    while (left_s := ends_s - clock.now_s()) > 0 and not is_told():
        await clock.sleep(min(LOOK_S, left_s))
