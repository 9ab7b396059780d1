"""The signature keys of agents: from a file, or from the directory that each agent publishes.

Theory of operation. The agent is named by a header that the client writes, so nothing is ever fetched because a request
names it: only for agents of the configuration. A directory is fetched when it is first needed, again after the time
that its Cache-Control gives (bounded), and when a signature names a key that it does not have (at most once in
UNKNOWN_KEY_S: keys are rotated). One fetch for however many ask. While a newer one cannot be had, the former counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import logs
from gateway.engine.lookup.fetcher import Fetcher, is_fetchable
from gateway.errors import ConfigError, FetchFailed, KeysRefused

if TYPE_CHECKING:
    from gateway.engine.lookup.jwk import VerificationKey

WELL_KNOWN = "/.well-known/http-message-signatures-directory"
SHORTEST_S, LONGEST_S = 3_600.0, 86_400.0
UNKNOWN_KEY_S = 300.0
RETRY_S = 60.0

KNOWN_AGENTS = {
    "chatgpt.com": "https://help.openai.com/en/articles/11845367-chatgpt-agent-allowlisting",
    "agent.bot.goog": "https://developers.google.com/crawling/docs/crawlers-fetchers/allow-google-agent",
}
"""Agents that document that they sign -> where they do."""

log = logs.get("engine.keys")


@dataclass(slots=True)
class _State:
    keys: dict[str, VerificationKey] = field(default_factory=dict)
    etag: str = ""
    fetched_s: float = 0.0
    due_s: float = 0.0
    known: bool = False  # fetched or read at least once


class KeyDirectories:
    """Keys by agent and thumbprint."""

    def __init__(self, agents: Mapping[str, str | Path | None], fetcher: Fetcher) -> None:
        """`agents`: host name (with a port if it is not 443) -> None for the well-known place, another URL, or a file
        that holds the JWK Set. Raises ConfigError for a URL that is not fetched and for a file that cannot be used."""
        agents = {agent.lower(): place for agent, place in agents.items()}
        self._urls = {agent: _url(agent, place) for agent, place in agents.items() if not isinstance(place, Path)}
        self._states = {agent: _State() for agent in agents}
        self._fetcher = fetcher
        self._running: dict[str, asyncio.Task[None]] = {}
        for agent, place in agents.items():
            if isinstance(place, Path):
                self._states[agent].keys = _read_file(agent, place)
                self._states[agent].known = True

    def trusts(self, agent: str) -> bool:
        """True for an agent of the configuration."""
        return agent in self._states

    def mentions_agent(self, text: str) -> bool:
        """True if the name of such an agent is anywhere in the text."""
        folded = text.lower()
        return any(agent in folded for agent in self._states)

    def mentions_key(self, text: str) -> bool:
        """True if the thumbprint of a known key is anywhere in the text."""
        return any(key_id in text for state in self._states.values() for key_id in state.keys)

    def agents_of(self, key_id: str) -> list[str]:
        """Who is known to have that key."""
        return [agent for agent, state in self._states.items() if key_id in state.keys]

    def key(self, agent: str, key_id: str, now_s: float) -> VerificationKey | None:
        """The key if it is known and not over."""
        found = self._states[agent].keys.get(key_id)
        return None if found is None or (found.expires_s is not None and found.expires_s <= now_s) else found

    def has_keys(self) -> bool:
        """True if a key of anybody is known."""
        return any(state.keys for state in self._states.values())

    def knows(self, agent: str) -> bool:
        """True once its directory was read: then "no such key" says something."""
        return self._states[agent].known

    def refresh(self, agent: str, now_s: float, *, key_is_missing: bool) -> asyncio.Task[None] | None:
        """What fetches the directory, if that is due now; None if there is nothing to wait for."""
        running = self._running.get(agent)
        if running is not None or agent not in self._urls:
            return running
        state = self._states[agent]
        missing_is_due = key_is_missing and state.known and now_s >= state.fetched_s + UNKNOWN_KEY_S
        if now_s < state.due_s and not missing_is_due:
            return None
        task = asyncio.get_running_loop().create_task(self._fetch(agent, now_s))
        self._running[agent] = task
        task.add_done_callback(lambda _: self._running.pop(agent, None))
        return task

    async def settle(self) -> None:
        """Wait until what is being fetched now has come or failed."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def close(self) -> None:
        """Give up what is being fetched."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _fetch(self, agent: str, now_s: float) -> None:
        """Never raises: the former keys count until there are newer ones."""
        state = self._states[agent]
        state.due_s, state.fetched_s = now_s + RETRY_S, now_s
        try:
            document = await self._fetcher.fetch(self._urls[agent], etag=state.etag, redirects=0)
            if document.body is not None:
                state.keys = await asyncio.to_thread(_read, document.body)  # imports the cryptography, which takes long
                state.etag = document.etag
        except (FetchFailed, KeysRefused) as error:
            log.warning("signature keys not refreshed, the former ones count", agent=agent, error=str(error))
            return
        state.known = True
        state.due_s = now_s + min(max(document.max_age_s or 0, SHORTEST_S), LONGEST_S)


def _url(agent: str, place: str | Path | None) -> str:
    url = f"https://{agent}{WELL_KNOWN}" if place is None else str(place)
    if not is_fetchable(url):
        raise ConfigError(f"the keys of {agent} are at {url[:100]}, expected https, or http of a loopback address")
    return url


def _read(document: bytes) -> dict[str, VerificationKey]:
    from gateway.engine.lookup.jwk import read_keys

    return read_keys(document)


def _read_file(agent: str, path: Path) -> dict[str, VerificationKey]:
    try:
        return _read(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the keys of {agent} cannot be read: {error}") from None
    except KeysRefused as error:
        raise ConfigError(f"the keys of {agent} in {path} cannot be used: {error}") from None
