"""The durable inbox: an event is answered after its commit, and many share one.

Theory of operation. `put` appends to a bounded queue and waits. One writer takes what waits, up to `batch` events,
stores them in one transaction on a thread of its own, and answers each waiter; meanwhile the next ones gather. So the
number of commits follows the disk, not the burst. Nobody is told "stored" before the transaction is durable, and of a
transaction that fails every waiter is told so: the platform sends again. If the store takes not a value of it, the
halves are stored each on its own, and theirs, so that only the event with that value fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gateway import logs
from gateway.errors import InboxFull, PostureStoreError, ValueRefused
from gateway.posture.event import Event

log = logs.get("posture.inbox")


@dataclass(frozen=True, slots=True)
class InboxLimits:
    """waiting: events that wait at most, the rest is refused; batch: events of one transaction, so that the first of
    them does not wait for the last of a burst."""

    waiting: int = 10_000
    batch: int = 500


_Waiting = tuple[Event, "asyncio.Future[bool]"]


class Inbox:
    """store: stores events in one transaction and says which are new (Store.put_events); on_new: told after a commit
    that brought new ones. Runs between `start` and `close`."""

    def __init__(
        self, store: Callable[[Sequence[Event]], list[bool]], on_new: Callable[[], None] = lambda: None,
        limits: InboxLimits = InboxLimits(),
    ) -> None:
        self.failure: str | None = None  # why the last commit failed; None = it did not
        self._store = store
        self._on_new = on_new
        self._limits = limits
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._thread = ThreadPoolExecutor(1, "posture-inbox")
        self._writer: asyncio.Task[None] | None = None
        self._failures = logs.RateLimited(log)

    def start(self) -> None:
        self._writer = asyncio.get_running_loop().create_task(self._write())

    async def put(self, event: Event) -> bool:
        """Return once the event is durable: True if it is new, False for a repeat. Raises InboxFull, or
        PostureStoreError if it was not stored."""
        if self._closing or len(self._waiting) >= self._limits.waiting:
            raise InboxFull(f"{len(self._waiting)} events wait to be stored")
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, future))
        self._wake.set()
        return await future

    async def close(self, timeout_s: float) -> None:
        """Store what waits, for at most timeout_s; who waits longer is told that it failed."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=timeout_s)
            self._writer.cancel()
        _fail(self._waiting, "the gateway stops")
        self._thread.shutdown(wait=False)

    async def _write(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._limits.batch))]
            try:
                await self._commit(batch)
            finally:  # of those that are not answered yet (cancelled), nobody knows what became
                _fail(batch, "the gateway stops")

    async def _commit(self, batch: list[_Waiting]) -> None:
        events = [event for event, _ in batch]
        try:
            new = await asyncio.get_running_loop().run_in_executor(self._thread, self._store, events)
        except ValueRefused as error:
            await self._commit_in_halves(batch, str(error))
        except PostureStoreError as error:
            self._refuse(batch, str(error))
        except Exception as error:  # a defect must not end the writer; its text could quote an event
            self._refuse(batch, f"an event cannot be stored: {type(error).__name__}")
        else:
            self.failure = None
            if any(new):
                self._on_new()
            for (_, future), is_new in zip(batch, new, strict=True):
                if not future.done():
                    future.set_result(is_new)

    async def _commit_in_halves(self, batch: list[_Waiting], why: str) -> None:
        """The store refused a value of some of them."""
        if len(batch) == 1:
            self._failures.error("value", "an event cannot be stored", error=why)
            _fail(batch, why)
            return
        half = len(batch) // 2
        await self._commit(batch[:half])
        await self._commit(batch[half:])

    def _refuse(self, batch: list[_Waiting], why: str) -> None:
        self.failure = why
        self._failures.error("commit", "events not stored", events=len(batch), error=why)
        _fail(batch, why)


def _fail(batch: Iterable[_Waiting], why: str) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(PostureStoreError(why))
