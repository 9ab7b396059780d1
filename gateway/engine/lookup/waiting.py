"""Who waits for a look-up, and how many may.

Theory of operation. Who asks holds a connection of the gateway while he waits, and the gateway has 256 of them: claims
from an address whose name server is silent would take them all, everybody's checks would come too late, and the gateway
would let everybody through. So there are few seats, and few of them for one network. Who finds none hears at once that
it is not known, without a task and without a timer; the look-up goes on all the same.

The more wait, the shorter they do, down to nothing: what comes in one burst has queued before it is asked about, the
later the longer, and all of a request's time together is bounded by who calls.

A seat is taken when somebody asks and is left by its own timer at the latest: it does not depend on the coroutine that
waits for it, which may be closed before it has begun.
"""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.engine.lookup.tally import Tally

SEATS = 32
"""An eighth of the gateway's connections."""
SEATS_OF_A_NETWORK = 4
"""Of one /24 or /56. Crawlers come from many, and what one of their requests finds out counts for the next."""


class WaitingRoom:
    """At most `seats` at a time, at most `per_network` of one network."""

    def __init__(self, seats: int = SEATS, per_network: int = SEATS_OF_A_NETWORK) -> None:
        self._seats = seats
        self._per_network = per_network
        self._networks = Tally()
        self._taken = 0

    @property
    def taken_count(self) -> int:
        """Who waits now."""
        return self._taken

    def seat(self, awaited: asyncio.Future[Any], wait_s: float, network: str) -> asyncio.Future[bool] | None:
        """Somebody of `network` (Place.prefix) waits for `awaited`: True when it is done, however it ended; False after
        `wait_s`, or the part of it that the free seats are of all. None, and nothing was made, if there is no seat or
        no time."""
        if wait_s <= 0 or self._taken >= self._seats or self._networks[network] >= self._per_network:
            return None
        loop = asyncio.get_running_loop()
        seat: asyncio.Future[bool] = loop.create_future()

        def settle(is_done: bool) -> None:
            if not seat.done():  # who waited was cancelled
                seat.set_result(is_done)

        def arrived(_: object) -> None:
            settle(True)

        def left(_: object) -> None:
            timer.cancel()
            awaited.remove_done_callback(arrived)
            self._taken -= 1
            self._networks.leave(network)

        timer = loop.call_later(wait_s * (1 - self._taken / self._seats), settle, False)
        awaited.add_done_callback(arrived)
        seat.add_done_callback(left)
        self._taken += 1
        self._networks.enter(network)
        return seat
