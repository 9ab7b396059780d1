"""One working connection to a shared store, from the first probe to its first failure.

Theory of operation. Commands that are asked for in one turn of the event loop travel together, as one pipeline: the
first of them makes `_depart` run at the end of the turn. At most TRIPS pipelines are under way; what is asked meanwhile
waits for the next return, so the store is never asked by more connections when it is slow, only by longer pipelines.
No command has a task or a timer of its own.

Every command is answered within `timeout_s` of being asked, or a fifth later if it had to wait for another trip: there
is one timer for each trip, and what waits is younger than what travels. A trip that is late or fails ends the link:
everything that is under way gets its fallback at once, `on_failure` is called once, and the link is thrown away with
all its connections, so that no reply can ever be read as the answer to another question. Commands are never sent twice.

A command that the store refuses for a reason of its own (a key of another type) gets its fallback, `on_refusal` is
called, and the link goes on: one key must not take the store from everybody. A refusal that the next command would meet
too (read-only, full, not allowed) is a failure.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from gateway.engine.store.client import Client

Command = tuple[str | bytes | int, ...]

CONNECT_S = 1.0  # for each step that no decision waits for: connecting, probing, an operator's change
TRIPS = 4  # pipelines under way: one that is slow does not stop the others
TRIP_COMMANDS = 256  # more would keep the store, and our reading of its replies, from others for over a millisecond
WAITING = 10_000  # a store that is asked for more at once is not asked
FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError)  # the second one stands beside the first
# Refusals that concern the store. redis-py has classes for some (AskError is MOVED's too); of the others, and of those
# that a script passes on, the text tells.
_OF_THE_STORE = (AskError, ClusterDownError, NoPermissionError, NoScriptError, OutOfMemoryError, ReadOnlyError)
_SAYS_SO = re.compile(
    r"\b(?:BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOAUTH|NOPERM|NOREPLICAS|OOM|READONLY|UNKILLABLE"
    r"|can't run this command|unknown command)\b"
)

T = TypeVar("T")


class Asked(NamedTuple):
    """`finish`: reply of the store -> result; `fallback`: the result without one; `again`: makes the
    command for a store that does not know its script."""

    command: Command
    again: Callable[[], Command] | None
    finish: Callable[[Any], object]
    fallback: Callable[[], object]
    future: asyncio.Future[Any]
    deadline: float


class Link:
    """Belongs to the running event loop. `on_failure` gets the reason, once; `on_refusal` that of each command."""

    def __init__(
        self,
        client: Client,
        timeout_s: float,
        on_failure: Callable[[Exception], None],
        on_refusal: Callable[[Exception], None],
    ) -> None:
        self.client = client
        self._timeout_s = timeout_s
        self._last_look_s = timeout_s / 5
        self._on_failure = on_failure
        self._on_refusal = on_refusal
        self._loop = asyncio.get_running_loop()
        self._failed = False
        self._departing = False
        self._waiting: list[Asked] = []
        self._trips: dict[asyncio.Task[None], list[Asked]] = {}

    def ask(
        self,
        command: Command,
        finish: Callable[[Any], object],
        fallback: Callable[[], object],
        again: Callable[[], Command] | None = None,
    ) -> asyncio.Future[Any]:
        """Send a command; the future never fails, and is done after `timeout_s` at the latest."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._failed or len(self._waiting) >= WAITING:
            future.set_result(fallback())
            return future
        deadline = self._loop.time() + self._timeout_s
        self._waiting.append(Asked(command, again, finish, fallback, future, deadline))
        if not self._departing:
            self._departing = True
            self._loop.call_soon(self._depart)
        return future

    def fail(self, error: Exception) -> None:
        """End the link; what is under way gets its fallback. Does nothing the second time."""
        if not self._failed:
            self._failed = True
            self._on_failure(error)
            self._abandon()

    async def close(self) -> None:
        """End the link without a failure, or after one, and close its connections: bounded by the client's time for
        connecting."""
        self._failed = True
        self._abandon()
        await asyncio.gather(*self._trips, return_exceptions=True)
        await close_client(self.client)

    def _abandon(self) -> None:
        left, self._waiting = self._waiting, []
        for trip, asked in self._trips.items():
            trip.cancel()
            left = asked + left
        for each in left:
            if not each.future.done():
                each.future.set_result(each.fallback())

    def _depart(self) -> None:
        self._departing = False
        while self._waiting and len(self._trips) < TRIPS and not self._failed:
            asked, self._waiting = self._waiting[:TRIP_COMMANDS], self._waiting[TRIP_COMMANDS:]
            trip = self._loop.create_task(self._travel(asked))
            self._trips[trip] = asked
            timer = self._loop.call_at(asked[0].deadline - self._last_look_s, self._look, trip)
            trip.add_done_callback(partial(self._returned, timer))

    def _look(self, trip: asyncio.Task[None]) -> None:
        """The trip's time is nearly over. A loop that was held up (by a collection of garbage, 20 ms at times) runs its
        timers before it reads: what has arrived meanwhile must not be taken for missing."""
        self._loop.call_later(self._last_look_s, self._late, trip)

    def _late(self, trip: asyncio.Task[None]) -> None:
        if not trip.done():
            self.fail(TimeoutError(f"no reply within {self._timeout_s * 1000:g} ms"))

    def _returned(self, timer: asyncio.TimerHandle, trip: asyncio.Task[None]) -> None:
        timer.cancel()
        del self._trips[trip]
        self._depart()

    async def _travel(self, asked: list[Asked]) -> None:
        try:
            replies = await self._replies(asked)
            for each, reply in zip(asked, replies, strict=True):
                if isinstance(reply, Exception):
                    if not _is_of_one_command(reply):
                        raise reply
                    self._on_refusal(reply)
                if not each.future.done():  # else whoever asked has gone
                    each.future.set_result(each.fallback() if isinstance(reply, Exception) else each.finish(reply))
        except Exception as error:  # a defect of anybody's too: whoever waits must get an answer
            self.fail(error)

    async def _replies(self, asked: list[Asked]) -> list[Any]:
        replies = await send(self.client, [each.command for each in asked])
        unknown = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # the store was restarted, or its scripts were flushed: the text makes them known again
            resent = await send(self.client, [_again(asked[index]) for index in unknown])
            for index, reply in zip(unknown, resent, strict=True):
                replies[index] = reply
        return replies


def _is_of_one_command(refusal: Exception) -> bool:
    if isinstance(refusal, _OF_THE_STORE) or not isinstance(refusal, ResponseError):
        return False
    return _SAYS_SO.search(str(refusal)) is None


def _again(asked: Asked) -> Command:
    return asked.again() if asked.again else asked.command


async def send(client: Client, commands: list[Command]) -> list[Any]:
    """The replies in order, in one round trip; what the store refused is an exception among them."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    return replies


def raise_first(replies: Iterable[object]) -> None:
    """Raises the first reply that is an error."""
    for reply in replies:
        if isinstance(reply, BaseException):
            raise reply


async def bounded(reply: Awaitable[T]) -> T:
    """The reply, or TimeoutError after CONNECT_S."""
    async with asyncio.timeout(CONNECT_S):
        return await reply


async def close_client(client: Client) -> None:
    """Closes the connections; one that cannot be closed properly is left to the system."""
    try:
        await client.aclose()
    except FAILURES:
        pass  # it is gone already, and nothing depends on how
