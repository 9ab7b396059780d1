"""State that several engines share, in Valkey or Redis: one limit, one list of overrides, proofs that count once.

Theory of operation. The store is either *reached* (there is a Link) or *gone*. While it is reached, a question is one
round trip that takes at most `timeout_s`, and this engine's own MemoryStore follows: it gets every Count that the store
answered and every id that was spent, so that a loss gives nobody a fresh burst and no proof a second life here. The
first failure makes the store gone: what is under way is answered from the own state, and so is everything
that follows, at once and without a look at the network. From then on one task alone tries to come back, every RETRY_S.
`degraded_reason` says why, and the log says it every 10 s. A refusal that concerns one question alone (somebody put a
list where a counter should be) is no loss: that question is answered from the own state, and counted.

While the store is gone, engines cannot know of each other's spent proofs: a proof is accepted once *by each engine*.
That is said in the log, and on return the ids are written to the store before it answers anything.

Overrides are read from a snapshot, never by a round trip. A change is published and read at once by every engine; each
of them also looks for a new version every REFRESH_S, for a message that was lost, and after each return. A store that
comes back without its list (restarted without persistence) gets it back from the engines; to empty the list on purpose
remove its entries.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from itertools import islice
from math import inf
from typing import Any

from redis.asyncio.client import PubSub

from gateway import logs
from gateway.engine.override import MAX_OVERRIDES, Override, Overrides, parse_subject
from gateway.engine.question import Count, Counted, Question, Spend
from gateway.engine.rate import MICROSECONDS
from gateway.engine.store.address import Address
from gateway.engine.store.client import Client, client_of, tls_context
from gateway.engine.store.link import (
    CONNECT_S,
    FAILURES,
    TRIPS,
    Command,
    Link,
    bounded,
    close_client,
    raise_first,
    send,
)
from gateway.engine.store.memory import CAPACITY, MemoryStore
from gateway.engine.store.script import PUT, REMOVE, count_command
from gateway.engine.store.shared_list import SharedList
from gateway.errors import OverrideError, StoreError

RETRY_S = 1.0
REFRESH_S = 5.0
CONNECTIONS = TRIPS + 12  # to each node: the trips, the subscription, operators
OWED_AT_ONCE = 256

log = logs.get("engine.store")


class ValkeyStore:
    """Implements question.Respondent for Count and Spend; belongs to one event loop.

    `degraded_reason`: "" while the store is reached, else why it is not.
    Counters: `errors` (failures of the store), `local_answers` (questions answered without it).
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout_s: float = 0.03,
        prefix: str = "gateway:",
        ca: str | None = None,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`timeout_s`: of one question; `ca`: PEM file of the only authorities for TLS, None = the system's;
        `capacity`: of the own MemoryStore. Raises ConfigError for a `ca` that cannot be read."""
        self.address = address
        self.degraded_reason = "not started"
        self.errors = 0
        self.local_answers = 0
        self._timeout_s = timeout_s
        self._prefix = prefix
        self._tls = tls_context(ca) if address.tls else None
        self._clock = clock
        self._local = MemoryStore(capacity, clock)
        self._owed: OrderedDict[str, float] = OrderedDict()  # ids spent without the store -> Unix time of expiry
        self._link: Link | None = None
        self._subscription: PubSub | None = None  # of the link, until its listener takes it
        self._tending: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()  # the list was changed, or the link failed
        self._complaints = logs.RateLimited(log)
        self._list = SharedList(f"{prefix}overrides", address, clock, self._complaints)

    @property
    def overrides(self) -> Overrides:
        """The snapshot in force."""
        return self._list.overrides

    @property
    def evicted_live(self) -> int:
        """Of the own MemoryStore."""
        return self._local.evicted_live

    @property
    def refused_full(self) -> int:
        """Of the own MemoryStore."""
        return self._local.refused_full

    async def start(self) -> None:
        """Try to reach the store once, which takes about CONNECT_S if it hangs, and go on trying in the background: a
        store that is not there is no error."""
        await self._connect()
        self._tending = asyncio.create_task(self._tend())

    async def stop(self) -> None:
        """Close the connections; questions are answered from the own state afterwards."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        link, self._link = self._link, None
        self.degraded_reason = "stopped"
        if link is not None:
            self._dispose(link.close())
        await asyncio.gather(*self._closing)

    # -- questions

    def answer(
        self, question: Question, now_s: float, patience_s: float = inf
    ) -> Counted | bool | Awaitable[Counted | bool]:
        """The reply to a Count or a Spend, at once if it needs no store, or there is no time to ask it. Raises
        TypeError for a question of another kind."""
        link = self._link if patience_s >= self._timeout_s else None
        if type(question) is Count:
            if link is None:
                return self._count_locally(question, now_s)
            return link.ask(
                count_command(question, self._prefix),
                partial(self._counted, question, now_s),
                partial(self._count_locally, question, now_s),
                partial(count_command, question, self._prefix, by_text=True),
            )
        if type(question) is Spend:
            if link is None or self._local.is_spent(question.id, now_s):
                return self._spend_locally(question, now_s)
            return link.ask(
                self._spend_command(question.id, question.ttl_s),
                partial(self._spent, question, now_s),
                partial(self._spend_locally, question, now_s),
            )
        raise TypeError(f"a store does not answer {type(question).__name__}")

    def _counted(self, question: Count, now_s: float, reply: list[int]) -> Counted:
        self._local.answer(question, now_s)
        allowed, wait_us = reply
        return Counted(bool(allowed), wait_us / MICROSECONDS)

    def _count_locally(self, question: Count, now_s: float) -> Counted | bool:
        self.local_answers += 1
        return self._local.answer(question, now_s)

    def _spend_command(self, id: str, ttl_s: float) -> Command:
        return "SET", f"{self._prefix}spent:{id}", 1, "NX", "PX", max(1, round(ttl_s * 1000))

    def _spent(self, question: Spend, now_s: float, reply: object) -> bool:
        self._local.answer(question, now_s)
        return bool(reply)

    def _spend_locally(self, question: Spend, now_s: float) -> bool:
        self.local_answers += 1
        fresh = bool(self._local.answer(question, now_s))
        if fresh:
            self._owe(question.id, now_s + question.ttl_s, now_s)
            self._complaints.warning(
                "spend",
                "a proof was accepted without the shared store: other engines may accept it once more",
                store=str(self.address),
                reason=self.degraded_reason,
            )
        return fresh

    def _owe(self, id: str, until_s: float, now_s: float) -> None:
        """Bounded by what the own MemoryStore accepts in the life of an id: what has expired goes first."""
        for _ in range(2):
            if self._owed and self._owed[next(iter(self._owed))] <= now_s:
                self._owed.popitem(last=False)
        self._owed[id] = until_s

    # -- overrides

    async def put(self, override: Override) -> None:
        """In force on every engine that reaches the store, on this one when the call returns. Raises OverrideError if
        there are too many, StoreError if the store cannot be asked."""
        if not await self._change(PUT, override.subject, override.encode(), "over"):
            raise OverrideError(f"there are {MAX_OVERRIDES} overrides in force, which is the limit")

    async def remove(self, subject: str) -> bool:
        """False if there was none. Raises OverrideError if that is no subject, StoreError as `put`."""
        return bool(await self._change(REMOVE, parse_subject(subject)))

    async def list(self) -> list[Override]:
        """Those in force, read from the store, the one that ends first at the top. Raises StoreError as `put`; what
        this engine goes by without the store is in `overrides`."""
        link = self._reached("the list cannot be read")
        try:
            await self._list.load(link.client)
        except FAILURES as error:
            raise self._refused(error, "the list cannot be read") from None
        return self.overrides.live(self._clock())

    async def _change(self, script: str, *arguments: str | bytes) -> int:
        link = self._reached("nothing was changed")
        try:
            command = "EVAL", script, 1, self._list.key, *arguments
            reply = await bounded(link.client.execute_command(*command))
            await self._list.load(link.client)
        except FAILURES as error:
            raise self._refused(error, "whether the change was made is not known") from None
        return int(reply)

    def _reached(self, consequence: str) -> Link:
        if self._link is None:
            raise StoreError(f"{self.address} is not reached ({self.degraded_reason}): {consequence}")
        return self._link

    def _refused(self, error: Exception, consequence: str) -> StoreError:
        return StoreError(f"{self.address} failed ({self._reason(error)}): {consequence}")

    # -- what look-ups found

    async def cache_get(self, key: str) -> str | None:
        """What one of the engines put there, until its time is over; None also if the store is gone."""
        found = await self._local.cache_get(key)
        if found is not None or self._link is None:
            return found
        reply: str | None = await self._link.ask(("GET", f"{self._prefix}cache:{key}"), _text, _nothing)
        return reply

    async def cache_put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep it for `ttl_s`, for this engine alone if the store is gone."""
        await self._local.cache_put(key, value, ttl_s)
        if self._link is not None:
            ttl_ms = max(1, round(ttl_s * 1000))
            await self._link.ask(("SET", f"{self._prefix}cache:{key}", value, "PX", ttl_ms), _nothing, _nothing)

    # -- reaching the store

    async def _tend(self) -> None:
        """Runs as long as the store is used: follows the link, and replaces it when it has failed."""
        while True:
            if self._link is None:
                await asyncio.sleep(RETRY_S)
                await self._connect()
            else:
                await self._follow(self._link)

    async def _connect(self) -> None:
        """One attempt: everything that will be needed is tried before the first decision asks for it."""
        client = client_of(self.address, self._tls, connect_s=CONNECT_S, connections=CONNECTIONS)
        try:
            await bounded(self._probe(client))
            subscription = await bounded(self._subscribe(client))
            await self._list.load(client)  # after the subscription, so that no change can fall between the two
            await self._settle(client)
        except Exception as error:  # a defect too: it must not end the attempts
            self._note_failure(error)
            self._dispose(close_client(client))
            return
        except asyncio.CancelledError:
            self._dispose(close_client(client))
            raise
        log.info("the shared store is reached", store=str(self.address))
        self.degraded_reason = ""
        self._subscription = subscription
        self._link = Link(client, self._timeout_s, self._lose, self._note_refusal)

    async def _probe(self, client: Client) -> None:
        """Ask what decisions ask, over as many connections: opens these, makes the script known, and finds a store that
        is read-only or full, or a user who may not."""
        command = count_command(Count("probe|", 1, 0.001, 1), self._prefix, by_text=True)
        probes = (send(client, [command]) for _ in range(TRIPS))
        for replies in await asyncio.gather(*probes, return_exceptions=True):
            raise_first([replies] if isinstance(replies, BaseException) else replies)

    async def _subscribe(self, client: Client) -> PubSub:
        subscription: PubSub = client.pubsub()
        await subscription.subscribe(self._list.key)
        await subscription.get_message(timeout=None)  # the confirmation; raises if the user may not
        return subscription

    async def _settle(self, client: Client) -> None:
        """Write the ids that were spent without the store, also those that are spent meanwhile."""
        while self._owed:
            now_s = self._clock()
            owed = dict(islice(self._owed.items(), OWED_AT_ONCE))
            commands = [self._spend_command(id, until_s - now_s) for id, until_s in owed.items() if until_s > now_s]
            raise_first(await bounded(send(client, commands)))
            for id in owed:
                self._owed.pop(id, None)

    def _lose(self, error: Exception) -> None:
        self._link = None
        self._note_failure(error)
        self._wake.set()

    def _note_refusal(self, error: Exception) -> None:
        self.errors += 1
        self._complaints.warning(
            "refused",
            "the shared store refused a question: it was answered from this engine's own state",
            store=str(self.address),
            reason=self._reason(error),
        )

    def _note_failure(self, error: Exception) -> None:
        self.errors += 1
        self.degraded_reason = self._reason(error)
        self._complaints.warning(
            "gone",
            "the shared store is gone: decisions go on from this engine's own state",
            store=str(self.address),
            reason=self.degraded_reason,
        )

    def _reason(self, error: Exception) -> str:
        """One line for people, without the password."""
        text = str(error) or (f"no reply within {CONNECT_S:g} s" if isinstance(error, TimeoutError) else repr(error))
        if self.address.password:
            text = text.replace(self.address.password, "***")
        return " ".join(text.split())[:200]

    async def _follow(self, link: Link) -> None:
        """Keep the list up to date until the link has failed, then close it."""
        listener = asyncio.create_task(self._listen(link))
        try:
            while self._link is link:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_S):
                        await self._wake.wait()
                self._wake.clear()
                if self._link is link:
                    await self._refresh(link)
        finally:
            listener.cancel()
            self._dispose(link.close())
            await asyncio.gather(listener, return_exceptions=True)

    def _dispose(self, closing: Coroutine[Any, Any, None]) -> None:
        """Close something beside what goes on; `stop` waits for it, and no cancellation leaves connections behind."""
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _refresh(self, link: Link) -> None:
        try:
            await self._list.load(link.client)
        except Exception as error:  # as in `_connect`
            link.fail(error)

    async def _listen(self, link: Link) -> None:
        """Wake the refresh for each change that is published."""
        assert self._subscription is not None
        subscription, self._subscription = self._subscription, None
        try:
            while True:
                await subscription.get_message(timeout=None)
                self._wake.set()
        except Exception as error:  # as in `_connect`
            link.fail(error)
        finally:
            with contextlib.suppress(*FAILURES):  # gone already
                await subscription.aclose()  # type: ignore[no-untyped-call]


def _text(reply: bytes | None) -> str | None:
    return None if reply is None else reply.decode("utf-8", "replace")


def _nothing(_reply: object = None) -> None:
    return None
