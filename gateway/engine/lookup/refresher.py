"""The operators' published ranges, kept fresh over what the product ships. Off unless it is given an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.engine.bots.operator import OPERATORS
from gateway.engine.bots.ranges import Ranges
from gateway.engine.lookup.fetcher import Fetcher
from gateway.engine.lookup.list_fetcher import ListFetcher, TakeOver
from gateway.engine.network import Network
from gateway.errors import ListRefused

# No operator of a crawler has more; a list that claims it is broken, or was taken over.
WIDEST_V4 = 10
WIDEST_V6 = 19
MAX_NETWORKS = 20_000


class RangeRefresher:
    """`load_cache` at the start, then `run` in the background, `close` at the end: as of a ListFetcher. Each list is
    checked and becomes part of `ranges`."""

    def __init__(
        self,
        ranges: Ranges,
        interval_s: float,
        cache_directory: Path | None,
        on_ranges: Callable[[Ranges], None],
        *,
        fetcher: Fetcher | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> None:
        """`ranges`: to begin with. `on_ranges`: gets all of them whenever one list is newer. `sources`: name of a list
        -> URL, instead of the operators' own (a mirror)."""
        self.ranges = ranges
        self._on_ranges = on_ranges
        chosen = published_sources() if sources is None else sources
        self.lists = ListFetcher(chosen, interval_s, cache_directory, self._take, fetcher=fetcher)

    async def load_cache(self) -> int:
        """How many lists were taken over from the cache."""
        return await self.lists.load_cache()

    async def run(self) -> None:
        """Fetch what is due until cancelled; with interval 0 return at once."""
        await self.lists.run()

    async def close(self) -> None:
        """Cancel `run` before."""
        await self.lists.close()

    def _take(self, name: str, networks: tuple[Network, ...]) -> TakeOver:
        _check(networks)
        ranges = self.ranges.with_list(name, networks)  # lists come one after the other: no other one is lost

        def take_over() -> None:
            self.ranges = ranges
            self._on_ranges(ranges)

        return take_over


def published_sources() -> dict[str, str]:
    """Name -> URL of every list that can be read from where its operator publishes it."""
    return {each.name: each.url for operator in OPERATORS.values() for each in operator.lists if each.refresh}


def _check(networks: tuple[Network, ...]) -> None:
    if len(networks) > MAX_NETWORKS:
        raise ListRefused(f"the list has {len(networks)} networks, expected at most {MAX_NETWORKS}")
    for network in networks:
        if network.prefixlen < (WIDEST_V4 if network.version == 4 else WIDEST_V6) or not network.is_global:
            raise ListRefused(f"the list has {network}, which cannot be a crawler's")
