"""What an engine remembers between requests: `memory` alone, or `valkey` for several engines together.

`store_of` makes the one that an address names; both of them are a `Store`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from gateway.engine.override import Override, Overrides
from gateway.engine.question import Counted, Question
from gateway.engine.store.address import parse_address
from gateway.engine.store.memory import CAPACITY, MemoryStore
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.engine.store.valkey import ValkeyStore

__all__ = ["MEMORY", "MemoryStore", "Store", "store_of"]

MEMORY = "memory"


class Store(Protocol):
    """What MemoryStore and ValkeyStore have in common; their docstrings say the rest."""

    errors: int
    local_answers: int

    @property
    def overrides(self) -> Overrides: ...
    @property
    def degraded_reason(self) -> str: ...
    @property
    def evicted_live(self) -> int: ...
    @property
    def refused_full(self) -> int: ...

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def answer(
        self, question: Question, now_s: float, patience_s: float = ...
    ) -> Counted | bool | Awaitable[Counted | bool]: ...
    async def put(self, override: Override) -> None: ...
    async def remove(self, subject: str) -> bool: ...
    async def list(self) -> list[Override]: ...
    async def cache_get(self, key: str) -> str | None: ...
    async def cache_put(self, key: str, value: str, ttl_s: float) -> None: ...


def store_of(
    url: str,
    *,
    timeout_s: float = 0.03,
    prefix: str = "gateway:",
    ca: str | None = None,
    capacity: int = CAPACITY,
) -> MemoryStore | ValkeyStore:
    """The store of an address: `memory`, or one of gateway.engine.store.address. Not started.

    Raises ConfigError for what can never work: an address of another form, a `ca` that is no file of authorities or is
    not used.
    """
    if url == MEMORY:
        return MemoryStore(capacity)
    from gateway.engine.store.valkey import ValkeyStore  # 10 MiB that an engine of its own does not need

    address = parse_address(url)
    if ca is not None and not address.tls:
        raise ConfigError(f"the store's authorities: got {ca!r:.100}; expected none, since {address} is without TLS")
    return ValkeyStore(address, timeout_s=timeout_s, prefix=prefix, ca=ca, capacity=capacity)
