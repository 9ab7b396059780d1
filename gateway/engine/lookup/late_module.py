"""A module that takes long to import, imported in a thread by the first who needs it.

aiohttp takes 80 ms and the cryptography 60: on the event loop, the first signed request would make everybody's calls
late. At the start they would be a third of the memory of an engine that never needs them.
"""

from __future__ import annotations

import asyncio
from importlib import import_module

from gateway import logs

log = logs.get("engine.lookup")


class LateModule:
    """Once `is_there`, an import statement of it takes no time. Used on one event loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self.is_there = False

    def load(self) -> None:
        """Now, in this thread: for the start, before there is anybody to be late for."""
        import_module(self._name)
        self.is_there = True

    def begin(self) -> asyncio.Task[None] | None:
        """What imports it, one task for however many ask; None if it is there. The task raises nothing: a module that
        cannot be imported never is there."""
        if self.is_there:
            return None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._import())
        return self._task

    async def close(self) -> None:
        """Do not wait for it any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _import(self) -> None:
        try:
            await asyncio.to_thread(import_module, self._name)
        except ImportError:
            log.exception("a module cannot be imported", module=self._name)
        else:
            self.is_there = True
