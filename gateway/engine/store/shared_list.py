"""The overrides that several engines share: a hash in the store, and this engine's snapshot of it.

Whoever changes the list raises its version; an engine reads the list when it sees another version than its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice

from gateway import logs
from gateway.engine.override import MAX_OVERRIDES, NO_OVERRIDES, Override, Overrides
from gateway.engine.store.address import Address
from gateway.engine.store.client import Client
from gateway.engine.store.link import Command, bounded, raise_first, send
from gateway.engine.store.script import PUT, VERSION
from gateway.errors import OverrideError

DECODED_AT_ONCE = 100

log = logs.get("engine.store")


class SharedList:
    """`overrides`: the snapshot; `key`: of the hash, and the channel that tells of its changes."""

    def __init__(self, key: str, address: Address, clock: Callable[[], float], complaints: logs.RateLimited) -> None:
        """`address`: for the log; `clock`: Unix time."""
        self.key = key
        self.overrides: Overrides = NO_OVERRIDES
        self._address = address
        self._clock = clock
        self._complaints = complaints
        self._loading = asyncio.Lock()
        self._version: bytes | None = None  # of `overrides`
        self._decoded: dict[bytes, Override] = {}

    async def load(self, client: Client) -> None:
        """Read the list if it is another than `overrides`. One at a time: an older one must not come last. Raises
        what redis-py raises, and TimeoutError."""
        async with self._loading:
            version = await bounded(client.execute_command("HGET", self.key, VERSION))
            if version == self._version:
                return
            if version is None:
                await self._restore(client)
            flat: dict[bytes, bytes] = await bounded(client.execute_command("HGETALL", self.key))
            version = flat.pop(VERSION.encode(), None)
            await self._decode(flat.values())
            self.overrides = Overrides(islice(self._decoded.values(), MAX_OVERRIDES))
            self._version = version

    async def _restore(self, client: Client) -> None:
        """The store has lost the list: what is in force here goes back, unless somebody has written anew."""
        live = self.overrides.live(self._clock())
        if not live:
            return
        log.warning("the shared store has lost the overrides: written again", store=str(self._address), count=len(live))
        commands: list[Command] = [("EVAL", PUT, 1, self.key, entry.subject, entry.encode(), "new") for entry in live]
        raise_first(await bounded(send(client, commands)))

    async def _decode(self, raws: Iterable[bytes]) -> None:
        """Make `_decoded` hold these entries. What is known is not parsed again, and decisions go on between portions
        of what is not: an entry takes 20 us, a full list would hold them up for 0.2 s."""
        known, self._decoded = self._decoded, {}
        parsed_count = 0
        for raw in raws:
            entry = known.get(raw)
            if entry is None:
                parsed_count += 1
                if not parsed_count % DECODED_AT_ONCE:
                    await asyncio.sleep(0)
                entry = self._parsed(raw)
            if entry is not None:
                self._decoded[raw] = entry

    def _parsed(self, raw: bytes) -> Override | None:
        """None, and a line in the log, for what no engine has written."""
        try:
            return Override.decode(raw)
        except OverrideError as error:
            self._complaints.error("entry", "an override in the shared store is not readable", error=str(error))
            return None
