"""One engine at work: configuration in; policy, sessions, store and look-ups put together; what was counted out.

The policy file and the lists that it names are looked at every WATCH_S. A change is read, parsed and compiled in a
thread, since a long list takes seconds, and taken over by one assignment between two calls. A broken one changes
nothing: it is logged, counted, and said in `degraded`.

The file of patches is looked at in the same way, by a task of its own; another one takes each patch away when its time
is over. None of the three waits for another's file for longer
than patches.READ_S.

What the files were is noted before they are read, so that a change meanwhile is seen the next time. A list that was not
known before it was read counts as changed once for the same reason.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import logs
from gateway.config import Engine
from gateway.config.change import FileState, file_state
from gateway.engine.api import ProtectionApi, Respondents, accepted_keys
from gateway.engine.bots.catalogue import Catalogue, load_catalogue
from gateway.engine.keyring import Keyring
from gateway.engine.policy.judge import Judging
from gateway.engine.policy.loading import LoadedPolicy, load_policy
from gateway.engine.policy.patching import patched
from gateway.engine.service.counts import Counts
from gateway.engine.service.lookups import Lookups
from gateway.engine.service.observer import DecisionObserver
from gateway.engine.service.operator import Operator
from gateway.engine.service.patches import Patches, Reader
from gateway.engine.service.store_watch import StoreWatch
from gateway.engine.session import Sessions
from gateway.engine.store import Store, store_of
from gateway.engine.visit import ChallengeTerms, Terms
from gateway.errors import ConfigError
from gateway.logs import AccessLog
from gateway.metrics import Delta, Metrics

WATCH_S = 2.0

log = logs.get("engine")
FileStates = dict[str, FileState | None]
"""File name -> its state; None = it is not there."""


class EngineRuntime:
    """`api` judges, `operator` answers operators. Everything else is for who starts, reloads and ends it."""

    def __init__(
        self, engine: Engine, secret: bytes | None = None, *, supervised: bool, trusted: bool,
        patches: str | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """`secret`: signs where the configuration names none; None = a new one. `supervised`: `report` is called about
        once a second; `trusted`: whoever can connect may do what an operator may; `patches`: their file where the
        configuration names none, None = there are none. Loads the catalogue (0.2 s of CPU).

        Raises ConfigError for a policy, a store address or a list that cannot be used.
        """
        self.metrics = Metrics()
        self.engine = engine
        self._secret = secret or os.urandom(32)
        self._clock = clock
        self._patch_file = patches
        self._loaded, self._seen = _load(engine, ())
        self._reader = Reader()
        self._patches = self._reader.read(Patches(engine.patches or patches)).at(clock())
        self._reloading = asyncio.Lock()  # a signal may come while a changed file is read
        self._patching = asyncio.Lock()  # policy and patches are put together; nobody waits for a file in it
        self._policy_error = ""
        self._stack = AsyncExitStack()
        catalogue: Catalogue = load_catalogue()
        url = engine.store.url.get_secret_value()
        self.store: Store = store_of(
            url, timeout_s=engine.store.timeout, prefix=f"{engine.store.prefix}:", ca=engine.store.ca,
            capacity=engine.store.capacity,
        )  # fmt: skip
        self._store_watch = StoreWatch(self.store, self.metrics, engine.store.capacity)
        self.observer = DecisionObserver(self.metrics, _open_log(engine))
        self.lookups = Lookups(engine.crawlers, self.store, self._loaded.lists)
        respondents = Respondents(
            self.store, self.lookups.verifier, self.lookups.signatures, lambda: self.store.overrides
        )
        self.api = ProtectionApi(
            _terms(engine, patched(self._loaded, self._patches.live), self._secret), catalogue, respondents,
            self.observer, clock,
        )  # fmt: skip
        self.metrics.engine_policy_last_reload_successful.values[()] = 1
        self._counts = Counts(self._collect, supervised=supervised)
        self.operator = Operator(
            store=self.store, counts=self._counts, status=self._status, keys=lambda: self.api.terms.keys,
            trusted=trusted,
        )  # fmt: skip

    async def start(self) -> None:
        """Connect the store, begin to watch and to fetch. Nothing that is not there yet is an error."""
        await self.store.start()
        self._stack.push_async_callback(self.store.stop)
        await self.lookups.start()
        self._stack.push_async_callback(self.lookups.stop)
        for watch in (self._watch, self._watch_patches, self._end_patches):
            self._stack.push_async_callback(_end, asyncio.create_task(watch()))
        if self.store.degraded_reason:
            log.warning("the engine's store is not reached", reason=self.store.degraded_reason)
        log.info("policy in force", source=self._loaded.source, rules=len(self._loaded.policy.rules))
        self._log_patches(Patches(None))

    async def stop(self) -> None:
        """End everything that `start` began, and write out the decision log."""
        await self._stack.aclose()
        self._close_log(self.observer.log)

    async def reload(self, engine: Engine) -> None:
        """Take another configuration over. Raises ConfigError or OSError, and changes nothing, if it cannot be used."""
        async with self._reloading:
            loaded, seen = await asyncio.to_thread(_load, engine, self._loaded.files)
            is_other_log = engine.decision_log != self.engine.decision_log
            decision_log = _open_log(engine) if is_other_log else self.observer.log
            try:
                await self._take_over(engine, loaded, seen)
            except ConfigError:
                if is_other_log:
                    self._close_log(decision_log)
                raise
            if is_other_log:
                self._close_log(self.observer.log)
                self.observer.log = decision_log
            else:
                self.reopen_logs()

    def reopen_logs(self) -> None:
        """Open the decision log's name anew (log rotation)."""
        if self.observer.log is not None:
            self.observer.log.reopen()

    def report(self) -> tuple[Delta, list[dict[str, str]]]:
        """(what was counted since the last report, what is degraded now)."""
        return self._counts.take(), self._degraded()

    def _collect(self) -> Delta:
        """Set the gauges from what is there, and hand out what was counted."""
        metrics, now_s = self.metrics, time.time()
        self._store_watch.collect(now_s)
        metrics.engine_overrides.values[()] = len(self.store.overrides.live(now_s))
        counts = self.observer.sessions(now_s)
        for kind in ("visitor", "waited", "proved", "revoked"):
            metrics.engine_sessions.values[(kind,)] = counts[kind]
        return metrics.take()

    def _status(self) -> dict[str, Any]:
        """For people: which policy, store and lists are at work, and what is wrong with them."""
        return {
            "policy": {
                "source": self._loaded.source,
                "rules": [rule.rule.name for rule in self._loaded.policy.rules],
                "dry_run": self._loaded.policy.dry_run,
                "error": self._policy_error or None,
            },
            "patches": self._patches.status(),
            "store": self._store_watch.status(time.time()),
            "lists": self.lookups.status(),
        }

    def _degraded(self) -> list[dict[str, str]]:
        found = [
            ("engine policy", self._policy_error),
            ("engine patches", self._patches.why_stale),
            ("engine store", self.store.degraded_reason),
            ("engine store capacity", self._store_watch.full_reason(time.time())),
        ]
        return [{"part": part, "reason": reason} for part, reason in found if reason]

    async def _take_over(self, engine: Engine, loaded: LoadedPolicy, seen: FileStates) -> None:
        patches = await asyncio.to_thread(self._reader.read, self._patches.of(engine.patches or self._patch_file))
        terms = _terms(engine, loaded.policy, self._secret)
        await self.lookups.use(loaded.lists)
        async with self._patching:
            patches = patches.at(self._clock())
            judging = await asyncio.to_thread(patched, loaded, patches.live)
            self.engine, self._loaded, self._seen = engine, loaded, seen
            self.api.terms = replace(terms, policy=judging)
            self._note(patches)
        self._policy_error = ""
        self.metrics.engine_policy_last_reload_successful.values[()] = 1

    async def _use(self, find: Callable[[], Patches]) -> None:
        """Take over what is found when it is our turn, as far as it is in force."""
        async with self._patching:
            patches = find().at(self._clock())
            if patches.live != self._patches.live:
                judging = await asyncio.to_thread(patched, self._loaded, patches.live)
                self.api.terms = replace(self.api.terms, policy=judging)
            self._note(patches)

    def _note(self, patches: Patches) -> None:
        former, self._patches = self._patches, patches
        self._log_patches(former)

    def _log_patches(self, former: Patches) -> None:
        patches = self._patches
        if patches.why_stale and patches.why_stale != former.why_stale:
            log.error("patches not read, the former ones stay in force", error=patches.why_stale)
        if patches.live != former.live:
            names = sorted({patch.name for patch in patches.live})
            log.info("patches in force", file=patches.file, patches=len(patches.live), names=names)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            async with self._reloading:
                await self._check_policy()

    async def _watch_patches(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            await self._check_patches()

    async def _end_patches(self) -> None:
        while True:
            await asyncio.sleep(self._patches.ends_in(self._clock(), WATCH_S))
            await self._use(lambda: self._patches)

    async def check_files(self) -> None:
        """End patches whose time is over; read them again if their file has changed, and the policy if its file or a
        list of it has. Calls are answered meanwhile."""
        await self._use(lambda: self._patches)
        await self._check_patches()
        async with self._reloading:
            await self._check_policy()

    async def _check_patches(self) -> None:
        found = await asyncio.to_thread(self._reader.read, self._patches)
        # Meanwhile another configuration may have named another file.
        await self._use(lambda: found if found.file == self._patches.file else self._patches)

    async def _check_policy(self) -> None:
        seen = await asyncio.to_thread(_file_states, self.engine, self._loaded.files)
        if seen == self._seen:
            return
        try:
            loaded, seen = await asyncio.to_thread(_load, self.engine, self._loaded.files)
            await self._take_over(self.engine, loaded, seen)
        except (ConfigError, OSError) as error:
            self._refuse(seen, str(error))
        else:
            log.info("policy reloaded", source=self._loaded.source, rules=len(self._loaded.policy.rules))

    def _refuse(self, seen: FileStates, error: str) -> None:
        """Not read again until it changes anew."""
        self._seen, self._policy_error = seen, error
        self.metrics.engine_policy_last_reload_successful.values[()] = 0
        log.error("policy not reloaded, the former one stays in force", error=error)

    @staticmethod
    def _close_log(decision_log: AccessLog | None) -> None:
        if decision_log is not None:
            decision_log.close()


def _load(engine: Engine, known: Iterable[str]) -> tuple[LoadedPolicy, FileStates]:
    """(the policy, what its files were before they were read). `known`: the lists that it had the last time."""
    before = _file_states(engine, known)
    loaded = load_policy(engine.policy, without_javascript=engine.challenge.without_javascript)
    return loaded, {name: seen for name, seen in before.items() if name == engine.policy or name in loaded.files}


def _terms(engine: Engine, policy: Judging, secret: bytes) -> Terms:
    secrets = [one.get_secret_value().encode() for one in engine.session.secrets] or [secret]
    keyring = Keyring(secrets)
    challenge = engine.challenge
    return Terms(
        policy,
        keyring,
        Sessions(keyring, engine.session.lifetime),
        accepted_keys(key.get_secret_value() for key in engine.keys),
        engine.session.bind_address,
        ChallengeTerms(challenge.difficulty, round(challenge.wait), challenge.contact or ""),
        engine.crawlers.wait,
        engine.crawlers.wait + engine.store.timeout,
    )


def _open_log(engine: Engine) -> AccessLog | None:
    target = engine.decision_log
    if target is False:
        return None
    return AccessLog(None if target is True else Path(target))


def _file_states(engine: Engine, lists: Iterable[str]) -> FileStates:
    return {name: file_state(name) for name in (*([engine.policy] if engine.policy else []), *lists)}


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
