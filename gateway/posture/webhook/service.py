"""Start, reload and drain of the receiver and what hangs on it: as a supervised child (`PosturePart`) and alone (`run`,
for `gateway posture serve`).

Order. Start: the address (in use is said at once), the store, then the tasks in the background, then the receiver.
Drain: the receiver stops accepting and answers who is being answered, the inbox commits what it took, then the rest is
cancelled: whatever it had not finished stands in the store, and is done after the next start.
"""

from __future__ import annotations

import asyncio
import functools
import math
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from gateway import logs
from gateway.binding import bound_socket, inode_of, remove_socket_file
from gateway.config.posture import Posture
from gateway.errors import PostureError, PostureUsage, ReloadError
from gateway.metrics import Metrics
from gateway.posture.client.redaction import Redaction
from gateway.posture.operation.desk import Desk
from gateway.posture.operation.reading import read
from gateway.posture.operation.summary import summary
from gateway.posture.store import Store
from gateway.posture.watching import Clock
from gateway.posture.webhook.followup import FollowUp, Patience
from gateway.posture.webhook.gauge import Standing, read_standing, show
from gateway.posture.webhook.inbox import Inbox
from gateway.posture.webhook.lease import Lease, Read
from gateway.posture.webhook.notice import Notifier
from gateway.posture.webhook.receiver import SIGNATURES, Receiver, ReceiverLimits, Terms

if TYPE_CHECKING:
    from gateway.config import Config

PROCESS = "posture"
FILE = Path("the configuration")
DRAIN_S = 3.0
"""For the answers that are under way, and again for the inbox: less than the supervisor waits for a process."""
REFRESH_S = 3.0
"""After a change, the gauges and the outbox follow within so many seconds."""
UNASKED_S = 60.0
"""And so often without one, because other processes write into the store too."""

log = logs.get("posture.service")

Reading = Callable[[Posture], AbstractAsyncContextManager[Read]]
"""Opens what scans are read with, for one configuration; closed when the next is in force, or at the end."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Work that is done again and again in the background, first at the start. run: gets the store, whose methods block
    (asyncio.to_thread), and the section in force; a failure is logged, and ends nothing."""

    name: str
    run: Callable[[Store, Posture], Awaitable[None]]
    every_s: float = 5.0


@asynccontextmanager
async def platform_reading(posture: Posture, file: Path = FILE) -> AsyncIterator[Read]:
    """Scans are read with the platforms' clients."""
    async with Desk(posture, file) as desk:
        yield functools.partial(read, desk)


@dataclass(frozen=True, slots=True)
class Means:
    """What a test may want otherwise. Times in seconds."""

    reading: Reading = platform_reading
    patience: Patience = Patience()  # noqa: RUF009  frozen
    limits: ReceiverLimits = ReceiverLimits()  # noqa: RUF009  frozen
    clock: Clock = Clock()  # noqa: RUF009  frozen
    refresh_s: float = REFRESH_S
    unasked_s: float = UNASKED_S
    drain_s: float = DRAIN_S


class Service:
    """Everything of one process. `start` once, then `reload` any number of times, then `close`."""

    def __init__(
        self, posture: Posture, hooks: Sequence[Hook] = (), metrics: Metrics | None = None, means: Means | None = None
    ) -> None:
        self.posture = posture
        self.metrics = metrics or Metrics()
        self._hooks = hooks
        self._means = means or Means()
        self._store: Store | None = None
        self._inbox: Inbox | None = None
        self._receiver: Receiver | None = None
        self._followup: FollowUp | None = None
        self._notifier: Notifier | None = None
        self._lease: Lease | None = None
        self._socket: tuple[socket.socket, int | None] | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._summary: dict[str, Any] | None = None
        self._failures = logs.RateLimited(log)

    async def start(self) -> None:
        """Return when webhooks are received. Raises PostureError, with everything closed again."""
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def reload(self, posture: Posture) -> None:
        """From the next webhook on, the new section counts; the receiver is opened or closed with `webhooks`. Raises
        ReloadError for what needs a restart, PostureError where the new address cannot be had, and changes nothing."""
        assert self._store is not None and self._followup is not None, "reload before start"
        _refuse_restart(self.posture, posture)
        lease = await Lease.open(self._means.reading(posture))
        try:
            await self._open_receiver(posture)
        except BaseException:
            await lease.close()
            raise
        former, self._lease = self._lease, lease
        self._followup.use(posture.configured(), lease.read)
        if former is not None:
            self._begin(former.retire())
        self.posture = posture
        if self._receiver is not None:
            self._receiver.terms = terms_of(posture)
        if posture.webhooks is None:
            await self._close_receiver(self._means.drain_s)
        await self._renew_notifier(self._store)
        self._changed.set()

    async def close(self, timeout_s: float | None = None) -> None:
        """Drain for at most timeout_s. Safe to call twice."""
        left_s = self._means.drain_s if timeout_s is None else timeout_s
        await self._close_receiver(left_s)
        if self._inbox is not None:
            await self._inbox.close(left_s)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._lease is not None:
            lease, self._lease = self._lease, None
            await lease.close()
        if self._notifier is not None:
            await self._notifier.close()
        if self._store is not None:
            store, self._store = self._store, None
            await asyncio.to_thread(store.close)

    @property
    def address(self) -> Any:
        """Of the socket: (host, port, ...) or a path; None without a receiver."""
        return None if self._socket is None else self._socket[0].getsockname()

    def degraded(self) -> list[dict[str, str]]:
        """What does not work now, as `{"part", "reason"}`."""
        reason = None if self._inbox is None else self._inbox.failure
        return [] if reason is None else [{"part": "posture store", "reason": reason}]

    def take_summary(self) -> dict[str, Any] | None:
        """What the dashboard shows; None if it is as it was taken last."""
        taken, self._summary = self._summary, None
        return taken

    # --- start -------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._bind(self.posture)
        store = self._store = await asyncio.to_thread(Store.open, self.posture.store.get_secret_value())
        lease = self._lease = await Lease.open(self._means.reading(self.posture))
        followup = self._followup = FollowUp(
            store, self.posture.configured(), lease.read, self._changed.set, self._means.patience, self._means.clock
        )
        self._inbox = Inbox(store.put_events, followup.wake)
        self._inbox.start()
        await self._renew_notifier(store)
        self._begin(followup.run())
        self._begin(self._refresh(store))
        for hook in self._hooks:
            self._begin(self._repeat(hook, store))
        await self._open_receiver(self.posture)

    def _bind(self, posture: Posture) -> None:
        if posture.webhooks is not None and self._socket is None:
            sock = _bind(str(posture.webhooks.address))
            self._socket = sock, inode_of(sock)

    async def _open_receiver(self, posture: Posture) -> None:
        """If it is wanted, and not open yet."""
        assert self._inbox is not None
        if posture.webhooks is None or self._receiver is not None:
            return
        self._bind(posture)
        assert self._socket is not None
        receiver = Receiver(terms_of(posture), self._inbox, self.metrics, self._means.limits, self._means.clock)
        try:
            await receiver.start(self._socket[0])
        except BaseException:
            await self._close_receiver(0.0)
            raise
        self._receiver = receiver
        log.info("receiving webhooks", address=str(posture.webhooks.address))

    async def _close_receiver(self, timeout_s: float) -> None:
        """If it is open: accept nobody any more, answer who is being answered."""
        bound, self._socket = self._socket, None
        receiver, self._receiver = self._receiver, None
        if bound is not None:
            sock, inode = bound
            if inode is not None:
                remove_socket_file(sock.getsockname(), inode)
            if receiver is None:
                sock.close()
        if receiver is not None:
            await receiver.close(timeout_s)
            log.info("webhooks are not received any more")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work ended", error=repr(error)[:200])

    async def _renew_notifier(self, store: Store) -> None:
        former, notify = self._notifier, self.posture.notify
        self._notifier = None if notify is None else Notifier(store, notify, self.metrics, self._means.clock)
        if former is not None:
            await former.close()

    # --- in the background -------------------------------------------------------------------------------------------

    async def _refresh(self, store: Store) -> None:
        """Gauges, summary and notices follow the store. What fails is tried again."""
        looked_s = -math.inf
        while True:
            try:
                if self._changed.is_set() or time.monotonic() - looked_s >= self._means.unasked_s:
                    self._changed.clear()
                    looked_s = time.monotonic()
                    await self._look(store)
                if self._notifier is not None:
                    await self._notifier.send_due()
            except Exception as error:
                self._failed("refresh", error)
            await asyncio.sleep(self._means.refresh_s)

    async def _look(self, store: Store) -> None:
        providers, notifier = self.posture.configured(), self._notifier

        def look() -> tuple[Standing, dict[str, Any]]:
            if notifier is not None:
                notifier.look()
            return read_standing(store, providers), summary(store)

        standing, self._summary = await asyncio.to_thread(look)
        show(self.metrics, standing)

    async def _repeat(self, hook: Hook, store: Store) -> None:
        while True:
            try:
                await hook.run(store, self.posture)
            except Exception as error:
                self._failed(hook.name, error)
            await asyncio.sleep(hook.every_s)

    def _failed(self, what: str, error: Exception) -> None:
        why = str(error) if isinstance(error, (PostureError, OSError)) else repr(error)[:200]
        self._failures.error(what, "background work failed", work=what, error=why)


def _bind(address: str) -> socket.socket:
    try:
        return bound_socket(address)
    except OSError as error:
        why = error.strerror or error
        raise PostureError(f"posture.webhooks.address: cannot listen on {address}: {why}") from None


def terms_of(posture: Posture) -> Terms:
    """Secrets of the receiver's paths, and every secret of the section, which is never stored."""
    webhooks, secrets = posture.webhooks, {}
    for provider in SIGNATURES:
        signed = getattr(webhooks, provider, None)
        if signed is not None and signed.secret is not None:
            secrets[provider] = signed.secret.get_secret_value()
    return Terms(secrets, Redaction(posture.secrets()))


def _refuse_restart(former: Posture, new: Posture) -> None:
    """The store is opened once, and an address is not changed for another."""
    changed = ["posture.store"] if former.store != new.store else []
    if former.webhooks is not None and new.webhooks is not None and former.webhooks.address != new.webhooks.address:
        changed.append("posture.webhooks.address")
    if changed:
        raise ReloadError(f"a change of {', '.join(changed)} needs a restart")


Hooks = Callable[[Callable[[], "Config"], dict[str, Any]], Sequence[Hook]]
"""(the configuration in force, the `process` object) -> work in the background."""


class PosturePart:
    """The receiver as the supervisor's child. Implements gateway.control.Part."""

    def __init__(self, hooks: Hooks = lambda config, process: (), means: Means | None = None) -> None:
        self._hooks = hooks
        self._means = means
        self._service: Service | None = None

    async def start(self, config: Config, process: dict[str, Any]) -> None:
        """Receive webhooks, if `posture.webhooks` stands in the configuration. Raises PostureError."""
        self._config = config
        service = Service(config.posture, self._hooks(lambda: self._config, process), means=self._means)
        await service.start()
        self._service = service

    async def reload(self, config: Config) -> None:
        """Raises ReloadError, and changes nothing."""
        assert self._service is not None, "reload before start"
        await self._service.reload(config.posture)
        self._config = config

    def reopen_logs(self) -> None:
        """It has none of its own."""

    async def drain(self) -> None:
        """Stop accepting, commit what was accepted; the rest is done after the next start."""
        if self._service is not None:
            await self._service.close(min(self._config.drain_timeout, DRAIN_S))

    def report(self) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """What was counted since the last report, and what is degraded."""
        if self._service is None:
            return Metrics().take(), []
        return self._service.metrics.take(), self._service.degraded()

    def status(self) -> dict[str, Any] | None:
        """What the dashboard shows of posture; None: what it showed before."""
        return None if self._service is None else self._service.take_summary()


def run(
    posture: Posture, file: Path = FILE, hooks: Sequence[Hook] = (), means: Means | None = None,
    level: logs.Level = "info", format: logs.Format = "json",
) -> int:
    """`gateway posture serve`: receive until SIGTERM or SIGINT. Returns the exit code 0; errors of the start are
    raised: PostureUsage without `posture.webhooks`, else PostureError. file: the configuration's, for error texts."""
    if posture.webhooks is None:
        raise PostureUsage(f"nothing to serve: {file} has no posture.webhooks")
    logs.setup(level, format, PROCESS)
    service_means = means or Means(reading=lambda section: platform_reading(section, file))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(posture, hooks, service_means))
    return 0


async def _serve(posture: Posture, hooks: Sequence[Hook], means: Means) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = Service(posture, hooks, means=means)
    await service.start()
    await stop.wait()
    log.info("draining", drain_timeout_s=means.drain_s)
    await service.close()
    log.info("stopped")
