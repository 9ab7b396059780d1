"""What follows from events: the scan is read with the platform's API, and stored with its findings.

Theory of operation. The store knows which events nobody has handled; this works off that list, so that nothing is lost
when the process dies. Events are gathered by scan: however many there are, the scan is read once for all that had come
by then. A platform has at most `concurrency` readings under way, and `known_events` in memory, so that one that is
slow or down holds up no other. A
reading that fails for a reason that may pass is repeated with back-off until the newest of its events was tried
`attempts` times; then, or at once for any other reason, its events are handled with that error. Events that need no
reading, or whose platform is not configured, are handled with what they tell themselves (told.py).

Several processes may share the store; both reading a scan costs a call and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway import logs
from gateway.errors import (
    PlatformFailed,
    PlatformUnreachable,
    PostureError,
    PostureStoreError,
    RateLimited,
    ValueRefused,
)
from gateway.posture.client.manner import Manner, backoff_s
from gateway.posture.document import MAX_ID, shown
from gateway.posture.event import Event
from gateway.posture.finding import Finding
from gateway.posture.scan import ScanResult
from gateway.posture.store import Store
from gateway.posture.watching import Clock
from gateway.posture.webhook.lease import Read
from gateway.posture.webhook.told import told

log = logs.get("posture.followup")

Key = tuple[str, str]
_MAY_PASS = (PlatformUnreachable, PlatformFailed, RateLimited, TimeoutError)
_HANDLED_TOGETHER = 200
"""Events that one turn of the store's thread works off: others wait for it meanwhile."""
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """Times in seconds. manner: how often a reading is tried, and the pauses between; reading_s: of one of them;
    concurrency: readings at a time of one platform; round_events: unhandled events that are looked at together;
    known_events: of one platform that are kept in memory at most; look_s: how often the store is asked without a
    reason, for events that another process received; gather_s: how long more of them are waited for after one has
    come."""

    manner: Manner = Manner(attempts=12, backoff_s=5.0, backoff_max_s=600.0)  # noqa: RUF009  frozen
    reading_s: float = 600.0
    concurrency: int = 4
    round_events: int = 500
    known_events: int = 5000
    look_s: float = 30.0
    gather_s: float = 0.2


class FollowUp:
    """providers: those that `read` can ask; on_change: told when scans or findings were stored. `run` it as a task."""

    def __init__(
        self, store: Store, providers: Sequence[str], read: Read, on_change: Callable[[], None] = lambda: None,
        patience: Patience = Patience(), clock: Clock = Clock(),  # noqa: B008  frozen
    ) -> None:
        self._store = store
        self._providers = frozenset(providers)
        self._read = read
        self._on_change = on_change
        self._patience = patience
        self._clock = clock
        self._pending: dict[Key, list[Event]] = {}
        self._known: dict[str, str] = {}  # event id -> provider
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._may_be_more = False  # in the store than were looked at
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "posture-followup")
        self._failures = logs.RateLimited(log)

    def wake(self) -> None:
        """There are new events."""
        self._wake.set()

    def use(self, providers: Sequence[str], read: Read) -> None:
        """From the next reading on, these."""
        self._providers, self._read = frozenset(providers), read
        self.wake()

    async def run(self) -> None:
        """Until cancelled. What is not done by then is done after the next start."""
        try:
            while True:
                self._wake.clear()
                await self._round()
                try:
                    async with asyncio.timeout(self._patience.look_s):
                        await self._wake.wait()
                    await asyncio.sleep(self._patience.gather_s)
                except TimeoutError:
                    continue
        finally:
            await self._stop()

    async def _stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._thread.shutdown(wait=False)

    # --- what there is to do -----------------------------------------------------------------------------------------

    async def _round(self) -> None:
        """Take up the events that are not known yet."""
        try:
            events, may_be_more = await self._in_store(self._waiting, self._limits())
            fresh = [event for event in events if event.id not in self._known]
            alone = [event for event in fresh if self._key(event) is None]
            if alone:
                await self._in_store(lambda: self._handle(alone, None, alone=True))
                self._on_change()
        except PostureStoreError as error:
            self._failures.error("store", "events cannot be followed up", error=str(error))
            return
        for event in fresh:
            if (key := self._key(event)) is not None:
                self._enqueue(key, event)
        self._may_be_more = may_be_more
        if may_be_more and fresh:
            self._wake.set()

    def _limits(self) -> dict[str, int]:
        """Provider -> for how many of its events the store is asked: those that are known, and more."""
        known, patience = Counter(self._known.values()), self._patience
        return {
            provider: min(known[provider] + patience.round_events, patience.known_events)
            for provider in sorted(self._providers.union(known))
        }

    def _key(self, event: Event) -> Key | None:
        """Which scan must be read for the event; None: none can be, or needs to be."""
        wanted = event.concerns_findings and event.scan is not None and event.provider in self._providers
        return (event.provider, event.scan) if wanted and event.scan is not None else None

    def _enqueue(self, key: Key, event: Event) -> None:
        self._known[event.id] = event.provider
        self._pending.setdefault(key, []).append(event)
        if key not in self._tasks:
            self._tasks[key] = asyncio.get_running_loop().create_task(self._follow(key))

    # --- one scan ----------------------------------------------------------------------------------------------------

    async def _follow(self, key: Key) -> None:
        """Read the scan until no event waits for it."""
        try:
            while key in self._pending:
                async with self._turns.setdefault(key[0], asyncio.Semaphore(self._patience.concurrency)):
                    delay_s = await self._read_for(key, self._pending.pop(key))
                if delay_s is not None:
                    await self._clock.sleep(delay_s)
        finally:
            self._tasks.pop(key, None)
            if self._may_be_more:
                self._wake.set()

    async def _read_for(self, key: Key, events: list[Event]) -> float | None:
        """One reading for these events. Returns seconds until the next attempt; None: they are handled."""
        try:
            async with asyncio.timeout(self._patience.reading_s):
                result = await self._read(*key)
        except _MAY_PASS as failure:
            return await self._tried(key, events, str(failure) or "no answer in time")
        except PostureError as failure:
            error = str(failure)
        except Exception as failure:  # a defect of one reading ends no other; its text could quote anything
            error = type(failure).__name__
        else:
            return await self._keep(key, events, result)
        log.error("scan not read", provider=key[0], scan=shown(key[1], 100), error=error)
        return await self._done(key, events, error)

    async def _keep(self, key: Key, events: list[Event], result: ScanResult) -> float | None:
        findings = self._storable(key, result.findings)
        try:
            await self._in_store(lambda: self._store.put_result(result.scan, findings))
        except ValueRefused as error:  # the platform would say the same again
            log.error("scan not stored", provider=key[0], scan=shown(key[1], 100), error=str(error))
            return await self._done(key, events, str(error))
        except PostureStoreError as error:
            return await self._tried(key, events, str(error))
        log.info(
            "scan read", provider=key[0], scan=shown(key[1], 100), status=result.scan.status, findings=len(findings)
        )
        return await self._done(key, events, None)

    def _storable(self, key: Key, findings: Sequence[Finding]) -> list[Finding]:
        """Without those that the store would refuse: they are no reason to lose the others."""
        kept = [finding for finding in findings if len(finding.id) <= MAX_ID]
        if len(kept) < len(findings):
            log.error(
                "findings not stored", provider=key[0], scan=shown(key[1], 100), findings=len(findings) - len(kept),
                error=f"an id of over {MAX_ID} characters",
            )  # fmt: skip
        return kept

    async def _tried(self, key: Key, events: list[Event], error: str) -> float | None:
        """After a failure that may pass."""
        try:
            attempts = await self._in_store(self._store.event_tried, events[-1].id)
        except PostureStoreError as failure:
            return self._again(key, events, str(failure), 1)
        if attempts < self._patience.manner.attempts:
            return self._again(key, events, error, attempts)
        log.error("scan not read", provider=key[0], scan=shown(key[1], 100), error=error, attempts=attempts)
        return await self._done(key, events, error)

    def _again(self, key: Key, events: list[Event], error: str, attempts: int) -> float:
        self._pending[key] = events + self._pending.get(key, [])
        delay_s = backoff_s(self._patience.manner, self._clock, attempts)
        self._failures.warning(
            key[0], "scan not read yet", provider=key[0], scan=shown(key[1], 100), error=error, attempts=attempts,
            in_s=round(delay_s, 1),
        )  # fmt: skip
        return delay_s

    async def _done(self, key: Key, events: list[Event], error: str | None) -> float | None:
        """The events are handled; where the scan could not be read, with what they tell themselves."""
        for begin in range(0, len(events), _HANDLED_TOGETHER):
            some = events[begin : begin + _HANDLED_TOGETHER]
            try:
                await self._in_store(self._handle, some, error)
            except PostureStoreError as failure:
                return self._again(key, events[begin:], str(failure), 1)
            for event in some:
                self._known.pop(event.id, None)
        self._on_change()
        return None

    # --- on the thread -----------------------------------------------------------------------------------------------

    def _handle(self, events: list[Event], error: str | None, *, alone: bool = False) -> None:
        outcomes: dict[str | None, list[str]] = {}
        for event in events:
            why = error
            if event.concerns_findings and (alone or error is not None):
                why = self._store_told(event) or error
            outcomes.setdefault(why, []).append(event.id)
        for why, ids in outcomes.items():
            self._store.events_handled(ids, why)

    def _waiting(self, limits: Mapping[str, int]) -> tuple[list[Event], bool]:
        """Unhandled events of these providers, each up to its limit, and of all others; and if there may be more."""
        pages = [(self._store.unhandled_events(most, provider=name), most) for name, most in limits.items()]
        most = self._patience.round_events
        pages.append((self._store.unhandled_events(most, without=limits), most))
        return [event for page, _ in pages for event in page], any(len(page) == most for page, most in pages)

    def _store_told(self, event: Event) -> str | None:
        """Store what the event itself tells. Returns why it cannot be; a store that is down says so again at once."""
        if event.scan is None:
            return None
        try:
            scan, findings = told(event, self._store.scan(event.scan, event.provider))
            if scan is not None:
                self._store.put_result(scan, findings)
        except PostureStoreError as error:
            return str(error)
        return None

    async def _in_store(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """The store waits for disks and networks: never on the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
