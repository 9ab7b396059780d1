"""What scans are read with, of one configuration: used until it is retired, closed after the last reading with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Self

from gateway.posture.scan import ScanResult

Read = Callable[[str, str], Awaitable[ScanResult]]
"""(provider, scan id) -> what the platform says of the scan now. Raises PostureError."""


class Lease:
    """Use `open`, then `read` any number of times, at once too, then `retire` once."""

    def __init__(self, reading: AbstractAsyncContextManager[Read], read: Read) -> None:
        self._reading = reading
        self._read = read
        self._under_way = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @classmethod
    async def open(cls, reading: AbstractAsyncContextManager[Read]) -> Self:
        return cls(reading, await reading.__aenter__())

    async def read(self, provider: str, scan: str) -> ScanResult:
        self._under_way += 1
        self._is_idle.clear()
        try:
            return await self._read(provider, scan)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._is_idle.set()

    async def retire(self) -> None:
        """Close it when nothing is read with it any more; at once if cancelled. No reading may begin after this."""
        try:
            await self._is_idle.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        await self._reading.__aexit__(None, None, None)
