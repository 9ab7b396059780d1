"""Address lists by URL, kept fresh: those of the policy, and those that operators publish (`refresher`).

Theory of operation. Each list has its own rhythm: it is fetched when `interval_s` has passed since it last was, or
RETRY_S after a failure, one list at a time. A document is read whole and offered to `on_update`; only if that does
not refuse it, it counts and is written to the cache. So whatever goes wrong, a time out, an error page, a full disk,
the former list stays in force; the log says when a list begins to fail and when it is back. A restart begins with
what the cache has, however old, and fetches only what is due.

A list of 100,000 networks takes half a second to read, and decisions are made on this event loop: so reading, checking
and putting together are done in a thread, and the loop only takes the result over.

The cache has a file for each URL; its time of modification is when the list was last known to be the newest, so that an
answer "not modified" is remembered without writing the list again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gateway import logs
from gateway.engine.bots.document import parse_networks
from gateway.engine.lookup.fetcher import Fetcher, is_fetchable
from gateway.engine.network import Network, parse_network
from gateway.errors import ConfigError, FetchFailed, ListRefused

RETRY_S = 300.0
SHORTEST_PAUSE_S = 1.0

TakeOver = Callable[[], None]
OnUpdate = Callable[[str, tuple[Network, ...]], TakeOver]
"""(name, networks), called in a thread; what it returns is called on the event loop, and takes the list over at once.
Raises ListRefused to keep the former one."""

log = logs.get("engine.lists")


@dataclass(frozen=True, slots=True)
class ListStatus:
    """`fetched_s`: Unix time at which the list in force was last known to be the newest, None if there is none yet.
    `networks`: how many it has. `error`: why it could not be fetched the last time, "" if it could."""

    url: str
    fetched_s: float | None
    networks: int
    error: str


@dataclass(slots=True)
class _State:
    etag: str = ""
    due_s: float = 0.0
    fetched_s: float | None = None
    networks: int = 0
    error: str = ""


class ListFetcher:
    """Background work for lists by URL: `run` until it is cancelled, `close` afterwards."""

    def __init__(
        self,
        sources: Mapping[str, str],
        interval_s: float,
        cache_directory: Path | None,
        on_update: OnUpdate,
        *,
        fetcher: Fetcher | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`sources`: name -> URL (https, or http of a loopback address). `interval_s`: 0 = never fetch, only what the
        cache has. `cache_directory`: made if it is not there; None = no cache. `fetcher`: one to share, not closed
        here. Raises ConfigError for a URL that cannot be fetched."""
        for name, url in sources.items():
            if not is_fetchable(url):
                raise ConfigError(
                    f"the list {name} has the URL {url[:100]}, expected https, or http of a loopback address"
                )
        self._sources = dict(sources)
        self._interval_s = interval_s
        self._directory = cache_directory
        self._on_update = on_update
        self._own_fetcher = fetcher is None
        self._fetcher = fetcher or Fetcher()
        self._clock = clock
        self._states = {name: _State() for name in sources}

    def adopt(self, former: Iterable[ListFetcher]) -> None:
        """Go on where others stopped, for the URLs that they had too. The lists themselves are theirs who took them."""
        known = {fetcher._sources[name]: state for fetcher in former for name, state in fetcher._states.items()}
        for name, url in self._sources.items():
            if url in known:
                state = replace(known[url])
                if state.fetched_s is not None and not state.error:
                    state.due_s = state.fetched_s + self._interval_s
                self._states[name] = state

    async def load_cache(self) -> int:
        """Offer what the cache has of the lists that are not there yet; how many were taken over."""
        missing = [name for name, state in self._states.items() if state.fetched_s is None]
        return sum([await self._load(name) for name in missing])

    async def run(self) -> None:
        """Fetch what is due, for ever; with interval 0 return at once. What fails is tried again."""
        while self._interval_s and self._sources:
            for name, state in self._states.items():
                if self._clock() >= state.due_s:
                    await self.refresh(name)
            pause_s = min(state.due_s for state in self._states.values()) - self._clock()
            await asyncio.sleep(max(pause_s, SHORTEST_PAUSE_S))

    async def refresh(self, name: str) -> bool:
        """Fetch one list now. True if it is taken over or still the same; otherwise the former one stays."""
        state = self._states[name]
        try:
            document = await self._fetcher.fetch(self._sources[name], etag=state.etag)
            if document.body is None:
                self._is_newest(name)
                self._renew(name)
                return True
            networks, take_over = await asyncio.to_thread(self._read, name, document.body)
        except (FetchFailed, ListRefused) as error:
            self._fails(name, str(error))
            return False
        take_over()
        state.etag, state.networks = document.etag, len(networks)
        log.info("list refreshed", list=name, networks=len(networks))
        self._is_newest(name)
        await self._save(name, networks)
        return True

    def status(self) -> dict[str, ListStatus]:
        """By name, for people."""
        return {
            name: ListStatus(self._sources[name], state.fetched_s, state.networks, state.error)
            for name, state in self._states.items()
        }

    async def close(self) -> None:
        """Close the connections. Cancel `run` before."""
        if self._own_fetcher:
            await self._fetcher.close()

    def _read(self, name: str, document: bytes) -> tuple[tuple[Network, ...], TakeOver]:
        networks = parse_networks(document)
        return networks, self._on_update(name, networks)

    def _is_newest(self, name: str) -> None:
        state = self._states[name]
        if state.error:
            log.warning("list is refreshed again", list=name, networks=state.networks)
        state.fetched_s, state.error = self._clock(), ""
        state.due_s = state.fetched_s + self._interval_s

    def _fails(self, name: str, error: str) -> None:
        state = self._states[name]
        state.due_s = self._clock() + min(RETRY_S, self._interval_s or RETRY_S)
        if not state.error:  # every try of a machine without network would be a line for each list
            log.warning("list not refreshed, the former one stays in force", list=name, error=error)
        state.error = error

    async def _load(self, name: str) -> bool:
        path = self._path(name)
        if path is None:
            return False
        try:
            found = await asyncio.to_thread(self._read_cached, name, path)
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError, ListRefused) as error:
            log.warning("cached list not used", list=name, file=str(path), error=str(error)[:200])
            return False
        if found is None:
            return False
        self._states[name], take_over = found
        take_over()
        return True

    def _read_cached(self, name: str, path: Path) -> tuple[_State, TakeOver] | None:
        """None for another URL's, which only a person can have put there."""
        fetched_s = min(path.stat().st_mtime, self._clock())  # a clock that went back does not put fetching off
        entry = json.loads(path.read_bytes())
        if entry["url"] != self._sources[name]:
            return None
        networks = tuple(map(parse_network, entry["networks"]))
        state = _State(str(entry["etag"]), fetched_s + self._interval_s, fetched_s, len(networks))
        return state, self._on_update(name, networks)

    async def _save(self, name: str, networks: tuple[Network, ...]) -> None:
        path, state = self._path(name), self._states[name]
        if path is None:
            return
        entry = _Entry(self._sources[name], state.etag, networks, self._clock())
        try:
            await asyncio.to_thread(_write_atomically, path, entry)
        except OSError as error:
            log.warning("list not cached", list=name, file=str(path), error=str(error))

    def _renew(self, name: str) -> None:
        path, now_s = self._path(name), self._clock()
        if path is not None:
            with contextlib.suppress(OSError):  # it could not be written when it came, which the log said then
                os.utime(path, (now_s, now_s))

    def _path(self, name: str) -> Path | None:
        """By URL, which is no file name itself: a list that is renamed in the policy keeps its file."""
        if self._directory is None:
            return None
        return self._directory / f"{hashlib.sha256(self._sources[name].encode()).hexdigest()[:32]}.json"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A list for the cache."""

    url: str
    etag: str
    networks: tuple[Network, ...]
    fetched_s: float

    def encode(self) -> str:
        return json.dumps({"url": self.url, "etag": self.etag, "networks": list(map(str, self.networks))})


def _write_atomically(path: Path, entry: _Entry) -> None:
    """A reader sees the former file or this one, whole, even if the machine stops in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=path.name, suffix=".new", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(entry.encode())
            file.flush()
            os.fsync(file.fileno())
        os.utime(temporary, (entry.fetched_s, entry.fetched_s))
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
