"""`gateway engine ban`, `allow`, `revoke`, `unban`, `list`: what an operator decides by hand, put where engines see it.

Where that is depends on the configuration. A shared store is written to directly, and every engine on it follows at
once; no engine needs to run. With the store `memory` the list is in the engine's own memory, so the engine is asked:
`gateway engine` at engine.listen, or the embedded one of `gateway run` on the Unix socket that the admin side names.
Nothing else of the file is read. Each function raises ConfigError for what is wrong with these keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from gateway.config import EngineStore
from gateway.config.access import EngineAccess, StoreAccess
from gateway.config.reading import load_section
from gateway.engine.override import Override, parse_subject
from gateway.engine.store import MEMORY, store_of
from gateway.engine.store.valkey import ValkeyStore
from gateway.engine_client import RunningEngine, find_engine

Result = TypeVar("Result")


class Listed(NamedTuple):
    """What is in force, the one that ends first at the top. `where`: who said so, for people; `removed`: of `undo`,
    whether there was something to remove; `in_memory`: it ends with the engine's process."""

    where: str
    overrides: list[Override]
    removed: bool = False
    in_memory: bool = False

    def as_json(self) -> dict[str, object]:
        """JSON-able; times are Unix seconds."""
        return {"where": self.where, "overrides": [override._asdict() for override in self.overrides]}


class Register(Protocol):
    """Where overrides are kept: a store, or an engine with one. Raises OverrideError for what is none, StoreError if
    the store cannot be asked, EngineUnreachable or EngineRefused if the engine cannot."""

    async def put(self, override: Override) -> None: ...
    async def remove(self, subject: str) -> bool: ...
    async def list(self) -> list[Override]: ...


def decide(config: Path, subject: str, action: str, for_s: float, reason: str = "") -> Listed:
    """Put an override in force for `for_s` seconds. `action`: block, allow or revoke. Raises as Register does."""
    now_s = time.time()
    override = Override.of(subject, action, now_s + for_s, reason, now_s)

    async def put(register: Register, where: str) -> Listed:
        await register.put(override)
        return _listed(register, where, await register.list())

    return asyncio.run(_with_register(config, put))


def undo(config: Path, subject: str) -> Listed:
    """Remove the override of a subject, whatever it says. Raises as Register does."""
    subject = parse_subject(subject)

    async def remove(register: Register, where: str) -> Listed:
        removed = await register.remove(subject)
        return _listed(register, where, await register.list())._replace(removed=removed)

    return asyncio.run(_with_register(config, remove))


def listed(config: Path) -> Listed:
    """What is in force. Raises as Register does."""

    async def read(register: Register, where: str) -> Listed:
        return _listed(register, where, await register.list())

    return asyncio.run(_with_register(config, read))


def _listed(register: Register, where: str, overrides: list[Override]) -> Listed:
    """An engine is asked where nothing but its memory has the list."""
    return Listed(where, overrides, in_memory=isinstance(register, RunningEngine))


async def _with_register(config: Path, work: Callable[[Register, str], Awaitable[Result]]) -> Result:
    settings = load_section(config, StoreAccess).engine.store
    if settings.url.get_secret_value() == MEMORY:
        engine: RunningEngine = find_engine(load_section(config, EngineAccess))
        return await work(engine, engine.where)
    async with _shared_store(settings) as store:
        return await work(store, f"store {store.address}")


@contextlib.asynccontextmanager
async def _shared_store(settings: EngineStore) -> AsyncIterator[ValkeyStore]:
    """The store, started; one that is not reached refuses what it is asked, and says why."""
    store = store_of(settings.url.get_secret_value(), prefix=f"{settings.prefix}:", ca=settings.ca)
    assert isinstance(store, ValkeyStore)
    with _without_warnings():
        await store.start()
        try:
            yield store
        finally:
            await store.stop()


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """What the store would log for an engine's operator is the command's own error message here."""
    log = logging.getLogger("gateway.engine.store")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
