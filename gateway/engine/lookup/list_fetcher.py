"""Address lists by URL, kept fresh: those of the policy, and those that operators publish (`refresher`).

Theory of operation. Each list has its own rhythm: it is fetched when `interval_s` has passed since it last was, or
RETRY_S after a failure, one list at a time. A document is read whole and offered to `on_update`; only if that does
not refuse it, it counts and is written to the cache. So whatever goes wrong, a time out, an error page, a full disk,
the former list stays in force; the log says when a list begins to fail and when it is back. A restart begins with
what the cache has, however old, and fetches only what is due.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from gateway import logs
from gateway.engine.bots.document import parse_networks
from gateway.engine.lookup.fetcher import Fetcher, is_fetchable
from gateway.engine.network import Network
from gateway.errors import ConfigError, FetchFailed, ListRefused

RETRY_S = 300.0
SHORTEST_PAUSE_S = 1.0

OnUpdate = Callable[[str, tuple[Network, ...]], None]
"""(name, networks); raises ListRefused to keep the former ones."""

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

    def load_cache(self) -> int:
        """Offer every list that the cache has; how many were taken over. Blocking, for the start (1 ms a list)."""
        return sum(self._load(name) for name in self._sources)

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
            if document.body is not None:
                networks = await asyncio.to_thread(parse_networks, document.body)
                self._on_update(name, networks)
                state.etag, state.networks = document.etag, len(networks)
                log.info("list refreshed", list=name, networks=len(networks))
                await self._save(name, networks)
        except (FetchFailed, ListRefused) as error:
            state.due_s = self._clock() + min(RETRY_S, self._interval_s or RETRY_S)
            if not state.error:  # every try of a machine without network would be a line for each list
                log.warning("list not refreshed, the former one stays in force", list=name, error=str(error))
            state.error = str(error)
            return False
        if state.error:
            log.warning("list is refreshed again", list=name, networks=state.networks)
        state.fetched_s, state.error = self._clock(), ""
        state.due_s = state.fetched_s + self._interval_s
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

    def _load(self, name: str) -> bool:
        path = self._path(name)
        if path is None:
            return False
        try:
            entry = json.loads(path.read_bytes())
            if entry["url"] != self._sources[name]:
                return False
            networks = tuple(ip_network(text) for text in entry["networks"])
            fetched_s = float(entry["fetched_s"])
            state = _State(str(entry["etag"]), fetched_s + self._interval_s, fetched_s, len(networks))
            self._on_update(name, networks)
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError, ListRefused) as error:
            log.warning("cached list not used", list=name, file=str(path), error=str(error)[:200])
            return False
        self._states[name] = state
        return True

    async def _save(self, name: str, networks: tuple[Network, ...]) -> None:
        path = self._path(name)
        if path is None:
            return
        entry = {
            "name": name,
            "url": self._sources[name],
            "etag": self._states[name].etag,
            "fetched_s": self._clock(),
            "networks": [str(network) for network in networks],
        }
        try:
            await asyncio.to_thread(_write_atomically, path, entry)
        except OSError as error:
            log.warning("list not cached", list=name, file=str(path), error=str(error))

    def _path(self, name: str) -> Path | None:
        """Names come from a configuration and URLs have slashes: neither makes a file name."""
        if self._directory is None:
            return None
        return self._directory / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


def _write_atomically(path: Path, entry: dict[str, Any]) -> None:
    """A reader sees the former file or this one, whole, even if the machine stops in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=path.name, suffix=".new", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(entry, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
