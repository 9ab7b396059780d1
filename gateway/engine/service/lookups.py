"""The engine's look-ups, put together: crawlers by address and name, agents by signature, lists that are fetched.

Lists of a policy are everybody's documents, and one that holds the whole world makes a rule that blocks or allows
everybody. So one with a network over WIDEST is refused. That is the most that a registry gives to one holder, and far
more than stands in any list in use. Who means more writes it into the policy itself, where nothing is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.config import EngineCrawlers
from gateway.engine.bots.ranges import load_ranges
from gateway.engine.lookup.directory import KNOWN_AGENTS, KeyDirectories
from gateway.engine.lookup.fetcher import Fetcher
from gateway.engine.lookup.list_fetcher import ListFetcher, TakeOver
from gateway.engine.lookup.refresher import RangeRefresher
from gateway.engine.lookup.signature import SignatureVerifier
from gateway.engine.lookup.verifier import SharedCache, Verifier, VerifierSettings
from gateway.engine.network import Network, Networks, extent
from gateway.engine.policy.loading import FetchedSet
from gateway.errors import ListRefused

WIDEST = {4: 8, 6: 16}  # prefix lengths
LONGEST_WAIT_S = 10.0  # the call's patience, engine.crawlers.wait, is shorter; it changes with a reload


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
            ranges, VerifierSettings(settings.dns, settings.nameservers, LONGEST_WAIT_S), shared
        )
        self._refresher = RangeRefresher(
            ranges, settings.refresh or 0.0, self._cache, self.verifier.use, fetcher=self._fetcher
        )
        agents: dict[str, str | Path | None] = dict.fromkeys(
            KNOWN_AGENTS if settings.agents is None else settings.agents
        )
        agents |= {agent: Path(file) for agent, file in settings.agent_keys.items()}
        self.signatures = SignatureVerifier(KeyDirectories(agents, self._fetcher), LONGEST_WAIT_S)
        self._held: dict[str, Networks] = {}  # URL -> what it had; a reload of the policy keeps it
        self._sets = sets
        self._lists = self._list_fetchers(sets)
        self._tasks: list[asyncio.Task[None]] = []
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what the cache has, and fetch what is due in the background."""
        await self._refresher.load_cache()
        self._refreshing = asyncio.create_task(self._refresher.run())
        await self._begin()

    async def stop(self) -> None:
        """Give up what is under way."""
        await _end([*self._tasks, *([self._refreshing] if self._refreshing else [])])
        await self.signatures.close()
        await self.verifier.close()
        await self._refresher.close()
        await self._fetcher.close()

    async def use(self, sets: Mapping[str, FetchedSet]) -> None:
        """Other sets are kept fresh from now on, those of a new policy; when this returns they hold what is known of
        their URLs. Raises ConfigError, and changes nothing, for a URL that cannot be fetched."""
        lists = self._list_fetchers(sets)
        await _end(self._tasks)
        for fetcher in lists:
            fetcher.adopt(self._lists)
        urls = {url for one in sets.values() for url in one.settings.urls}
        self._held = {url: networks for url, networks in self._held.items() if url in urls}
        self._sets, self._lists = sets, lists
        await self._begin()

    def status(self) -> dict[str, Any]:
        """Every list by name: its URL, when it was fetched, how many networks it has, what went wrong."""
        fetchers = [self._refresher.lists, *self._lists]
        return {name: asdict(one) for fetcher in fetchers for name, one in fetcher.status().items()}

    async def _begin(self) -> None:
        for one in self._sets.values():
            one.target.networks = await asyncio.to_thread(self._united, one)
        for fetcher in self._lists:
            await fetcher.load_cache()
        self._tasks = [asyncio.create_task(fetcher.run()) for fetcher in self._lists]

    def _list_fetchers(self, sets: Mapping[str, FetchedSet]) -> list[ListFetcher]:
        """One for each set: they have rhythms of their own."""
        return [self._list_fetcher(name, one) for name, one in sets.items()]

    def _list_fetcher(self, name: str, one: FetchedSet) -> ListFetcher:
        urls = {f"{name}[{index}]": url for index, url in enumerate(one.settings.urls)}

        def take(source: str, networks: tuple[Network, ...]) -> TakeOver:
            _refuse_wide(networks)
            url, held = urls[source], Networks(networks)
            united = self._united(one, {url: held})

            def take_over() -> None:
                self._held[url], one.target.networks = held, united

            return take_over

        return ListFetcher(urls, one.settings.refresh, self._cache, take, fetcher=self._fetcher)

    def _united(self, one: FetchedSet, newer: Mapping[str, Networks] | None = None) -> Networks:
        """A set's own addresses, and what is held of its URLs."""
        held = {**self._held, **(newer or {})}
        return Networks.union([one.fixed, *(held[url] for url in one.settings.urls if url in held)])


def _refuse_wide(networks: tuple[Network, ...]) -> None:
    for network in networks:
        version, length = extent(network)
        if length < WIDEST[version]:
            raise ListRefused(f"the list has {network}, expected nothing wider than /{WIDEST[4]}, IPv6 /{WIDEST[6]}")


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
