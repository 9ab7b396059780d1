"""The engine's look-ups, put together: crawlers by address and name, agents by signature, lists that are fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.config import EngineCrawlers
from gateway.engine.bots.ranges import load_ranges
from gateway.engine.lookup.directory import KNOWN_AGENTS, KeyDirectories
from gateway.engine.lookup.fetcher import Fetcher
from gateway.engine.lookup.list_fetcher import ListFetcher
from gateway.engine.lookup.refresher import RangeRefresher
from gateway.engine.lookup.signature import SignatureVerifier
from gateway.engine.lookup.verifier import SharedCache, Verifier, VerifierSettings
from gateway.engine.network import Network, Networks
from gateway.engine.policy.loading import FetchedSet


class Lookups:
    """`verifier` and `signatures` answer questions; the rest keeps what they know fresh.

    Raises ConfigError for an agent's keys or a list's URL that cannot be used.
    """

    def __init__(self, settings: EngineCrawlers, shared: SharedCache, sets: Mapping[str, FetchedSet]) -> None:
        """Needs a running event loop."""
        self._cache = Path(settings.cache) if settings.cache else None
        self._fetcher = Fetcher()
        ranges = load_ranges()
        self.verifier = Verifier(
            ranges, VerifierSettings(settings.dns, settings.nameservers, settings.wait), shared
        )
        self._refresher = RangeRefresher(
            ranges, settings.refresh or 0.0, self._cache, self.verifier.use, fetcher=self._fetcher
        )
        agents: dict[str, str | Path | None] = dict.fromkeys(
            KNOWN_AGENTS if settings.agents is None else settings.agents
        )
        agents |= {agent: Path(file) for agent, file in settings.agent_keys.items()}
        self.signatures = SignatureVerifier(KeyDirectories(agents, self._fetcher), settings.wait)
        self._fetched: dict[str, tuple[Network, ...]] = {}  # URL -> what it had; a reload of the policy keeps it
        self._lists = self._list_fetchers(sets)
        self._tasks: list[asyncio.Task[None]] = []
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what the cache has, and fetch what is due in the background."""
        self._refresher.load_cache()
        self._refreshing = asyncio.create_task(self._refresher.run())
        self._run_lists()

    async def stop(self) -> None:
        """Give up what is under way."""
        running = [*self._tasks, *([self._refreshing] if self._refreshing else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.signatures.close()
        await self.verifier.close()
        await self._refresher.close()
        await self._fetcher.close()

    def use(self, sets: Mapping[str, FetchedSet]) -> None:
        """Other sets are kept fresh from now on, those of a new policy. Raises ConfigError, and changes nothing, for a
        URL that cannot be fetched."""
        lists = self._list_fetchers(sets)
        for task in self._tasks:
            task.cancel()
        self._lists = lists
        self._run_lists()

    def status(self) -> dict[str, Any]:
        """Every list by name: its URL, when it was fetched, how many networks it has, what went wrong."""
        fetchers = [self._refresher.lists, *self._lists]
        return {name: asdict(one) for fetcher in fetchers for name, one in fetcher.status().items()}

    def _run_lists(self) -> None:
        for fetcher in self._lists:
            fetcher.load_cache()
        self._tasks = [asyncio.create_task(fetcher.run()) for fetcher in self._lists]

    def _list_fetchers(self, sets: Mapping[str, FetchedSet]) -> list[ListFetcher]:
        """One for each set: they have rhythms of their own."""
        return [self._list_fetcher(name, one) for name, one in sets.items()]

    def _list_fetcher(self, name: str, one: FetchedSet) -> ListFetcher:
        urls = {f"{name}[{index}]": url for index, url in enumerate(one.settings.urls)}

        def take(source: str, networks: tuple[Network, ...]) -> None:
            self._fetched[urls[source]] = networks
            _put_together(one, [self._fetched.get(url, ()) for url in urls.values()])

        fetcher = ListFetcher(urls, one.settings.refresh, self._cache, take, fetcher=self._fetcher)
        _put_together(one, [self._fetched.get(url, ()) for url in urls.values()])
        return fetcher


def _put_together(one: FetchedSet, lists: Iterable[tuple[Network, ...]]) -> None:
    one.target.networks = Networks.union([one.fixed, *map(Networks, lists)])
