"""What every operation works with: the configuration, the platforms' clients, the store, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gateway.config.posture import PROVIDERS, Posture
from gateway.errors import PostureUsage
from gateway.posture.client.manner import Manner
from gateway.posture.watching import Clock, Watcher

if TYPE_CHECKING:
    from gateway.posture.client.caller import Caller
    from gateway.posture.client.cypersecurity import CyperSecurity
    from gateway.posture.client.ddactic import DDactic
    from gateway.posture.client.securityspace import SecuritySpace
    from gateway.posture.scan import Scan
    from gateway.posture.store import Store


@dataclass(frozen=True, slots=True)
class Audience:
    """Who watches a command. on_status: a scan's status, each time that it was asked; on_note: a sentence."""

    on_status: Callable[[Scan], None] = lambda scan: None
    on_note: Callable[[str], None] = lambda sentence: None


@dataclass
class Desk:
    """One command's means. A client is opened when it is first asked for and closed with the desk; so is the store.

    file: the configuration's, for sites and for commands that are shown.
    """

    posture: Posture
    file: Path
    watcher: Watcher = field(default_factory=Watcher)
    audience: Audience = field(default_factory=Audience)
    clock: Clock = field(default_factory=Clock)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    @cached_property
    def store(self) -> Store:
        """Raises PostureStoreError."""
        from gateway.posture.store import Store  # SQLAlchemy: a command that needs no store does not load it

        store = Store.open(self.posture.store.get_secret_value())
        self._stack.callback(store.close)
        return store

    def open_store(self) -> None:
        """Before something is started that must be stored. Raises PostureStoreError."""
        self.store  # noqa: B018  # a property that opens it

    @cached_property
    def ddactic(self) -> DDactic:
        """Raises PostureUsage if it is not configured; so do the others."""
        from gateway.posture.client.ddactic import DDactic

        section = self.posture.providers.ddactic
        if section is None or section.key is None:
            raise self._not_configured("ddactic")
        client = DDactic(
            section.key.get_secret_value(), base_url=section.base_url, manner=Manner.of(section),
            watcher=self.watcher, clock=self.clock,
        )  # fmt: skip
        self._hide_secrets(client.caller)
        self._stack.push_async_callback(client.close)
        return client

    @cached_property
    def cypersecurity(self) -> CyperSecurity:
        from gateway.posture.client.cypersecurity import CyperSecurity

        section = self.posture.providers.cypersecurity
        if section is None or section.key is None:
            raise self._not_configured("cypersecurity")
        client = CyperSecurity(
            section.key.get_secret_value(), base_url=section.base_url, manner=Manner.of(section),
            watcher=self.watcher, clock=self.clock,
        )  # fmt: skip
        self._hide_secrets(client.caller)
        self._stack.push_async_callback(client.close)
        return client

    @cached_property
    def securityspace(self) -> SecuritySpace:
        from gateway.posture.client.securityspace import SecuritySpace

        section = self.posture.providers.securityspace
        if section is None or section.key is None or section.password is None:
            raise self._not_configured("securityspace")
        client = SecuritySpace(
            section.key.get_secret_value(), section.userid, section.password.get_secret_value(),
            base_url=section.base_url, concurrency=section.concurrency, manner=Manner.of(section),
            watcher=self.watcher, clock=self.clock,
        )  # fmt: skip
        self._hide_secrets(client.caller)
        self._stack.push_async_callback(client.close)
        return client

    def _hide_secrets(self, caller: Caller) -> None:
        """Those of the other platforms too: one that was typed in a wrong place comes back from anywhere."""
        for secret in self.posture.secrets():
            caller.redaction.add(secret)

    def provider(self, given: str | None, scan: str | None = None) -> str:
        """Whose command it is: the given provider, else the one that the store has for the scan, else the only one that
        is configured. Raises PostureUsage if it is not clear, or not configured."""
        if given is not None:
            return self._usable(given)
        known = self.store.providers_of(scan) if scan is not None else ()
        found = known if len(known) == 1 else self.posture.configured()
        if len(found) != 1:
            which = ", ".join(known or found) or "none is configured"
            raise PostureUsage(f"which provider? Say --provider {'|'.join(PROVIDERS)} ({which})")
        return self._usable(found[0])

    def _usable(self, provider: str) -> str:
        if provider != "embedded" and getattr(self.posture.providers, provider) is None:
            raise self._not_configured(provider)
        return provider

    def _not_configured(self, provider: str) -> PostureUsage:
        return PostureUsage(f"{provider} is not configured: {self.file} has no posture.providers.{provider}")
