"""Is this request signed by who it says? The Respondent of Signed (Web Bot Auth).

RFC 9421 with draft-meunier-web-bot-auth-architecture, by the library http-message-signatures:

1. The signature with the tag `web-bot-auth`. Its agent is the host of Signature-Agent: a string (`"https://a.example"`),
   or the member of a dictionary that the signature names (`"signature-agent";key="g"`). Without that header it is
   whoever is known to have the key.
2. An agent that is not configured, or no such signature: unknown. From here on it is a claim, and what does not hold is
   fake.
3. It covers at most MOST_COMPONENTS, or it is unknown: each costs time, and the drafts and the agents that sign have
   two to four. For the same reason headers that are long or have many parts are not read.
4. It covers @authority (or @target-uri, which contains it), and Signature-Agent if that is there. What it covers beyond
   is of the request line; another header is not described to us, so such a signature is unknown.
5. `created` and `expires` are there, not over MAX_AGE_S apart or ago, and it is valid now, give or take SKEW_S.
6. The key is in the agent's directory (`directory`), and the signature verifies.

A signature can be used again until it expires, on the same authority: who can read it there could as well change the
request. Nonces are not kept.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.engine.lookup.directory import KeyDirectories
from gateway.engine.lookup.late_module import LateModule
from gateway.engine.lookup.waiting import SEATS, SEATS_OF_A_NETWORK, WaitingRoom
from gateway.engine.network import place
from gateway.engine.question import Question, Signed, SignedBy

if TYPE_CHECKING:
    from gateway.engine.lookup.jwk import VerificationKey

TAG = "web-bot-auth"
SKEW_S = 60  # between our clock and theirs
MAX_AGE_S = 86_400  # the draft: expires no more than 24 hours after created
MOST_COMPONENTS = 8  # that a signature covers; the drafts show two to four
LONGEST_FIELD = 1_024  # characters of each of the three headers; real ones have 300, an RSA signature 690
MOST_PARTS = 48  # of each of them: what spaces, commas and semicolons divide; parsing takes 5 us for each
MOST_PARAMETERS = 64  # of a query one of which is signed

UNKNOWN = SignedBy("unknown", "")
FAKE = SignedBy("fake", "")

_OF_THE_REQUEST_LINE = {
    "@method", "@authority", "@scheme", "@target-uri", "@path", "@query", "@query-param", "@request-target",
}  # fmt: skip
_OF_THE_TARGET = {"@target-uri", "@path", "@query", "@query-param", "@request-target"}


@dataclass(frozen=True, slots=True)
class _Claim:
    """One signature with our tag. `names`: what it covers, without parameters; `component_count`: with repetitions."""

    label: str
    component_count: int
    names: frozenset[str]
    parameters: dict[str, Any]
    agent_member: str | None

    @property
    def key_id(self) -> str:
        found = self.parameters.get("keyid")
        return found if isinstance(found, str) else ""


class SignatureVerifier:
    """Implements question.Respondent for Signed."""

    def __init__(
        self, directories: KeyDirectories, wait_s: float = 0.08, *, max_waiting: int = SEATS,
        max_waiting_of_a_network: int = SEATS_OF_A_NETWORK,
    ) -> None:  # fmt: skip
        """`wait_s`: how long an asker waits for a key directory, and for the cryptography when it is first needed."""
        self._directories = directories
        self._wait_s = wait_s
        self._waiting = WaitingRoom(max_waiting, max_waiting_of_a_network)
        self._library = LateModule("gateway.engine.lookup.rfc9421")
        if directories.has_keys():  # of files, which the cryptography has read
            self._library.load()

    def answer(self, question: Question, now_s: float, patience_s: float = inf) -> SignedBy | Awaitable[SignedBy]:
        """At once unless a key directory has to be fetched, or the cryptography to be imported, first."""
        assert isinstance(question, Signed)
        if not self._may_concern_us(question):
            return UNKNOWN
        wait_s = min(self._wait_s, patience_s)
        loading = self._library.begin()
        if loading is None:
            return self._judged(question, now_s, wait_s)
        seat = self._seat(question, loading, wait_s)
        until_s = asyncio.get_running_loop().time() + wait_s
        return UNKNOWN if seat is None else self._judged_later(question, now_s, seat, until_s)

    async def _judged_later(
        self, question: Signed, now_s: float, seat: asyncio.Future[bool], until_s: float
    ) -> SignedBy:
        if not await seat or not self._library.is_there:
            return UNKNOWN
        reply = self._judged(question, now_s, until_s - asyncio.get_running_loop().time())
        return reply if isinstance(reply, SignedBy) else await reply

    def _judged(self, question: Signed, now_s: float, wait_s: float) -> SignedBy | Awaitable[SignedBy]:
        claim = _claim(question)
        if claim is None or not _is_checked(question, claim):
            return UNKNOWN
        agent = self._agent(question, claim)
        if agent is None:
            return UNKNOWN
        if not _covers_enough(question, claim) or not _is_timely(claim, now_s) or not claim.key_id:
            return FAKE
        missing = self._directories.key(agent, claim.key_id, now_s) is None
        task = self._directories.refresh(agent, now_s, key_is_missing=missing)
        if not missing or task is None:
            return self._verified(question, claim, agent, now_s)
        seat = self._seat(question, task, wait_s)
        return UNKNOWN if seat is None else self._verified_later(question, claim, agent, now_s, seat)

    def _seat(self, question: Signed, awaited: asyncio.Task[None], wait_s: float) -> asyncio.Future[bool] | None:
        return self._waiting.seat(awaited, wait_s, place(question.address).prefix)

    async def settle(self) -> None:
        """Wait until the directories that are being fetched now are known."""
        await self._directories.settle()

    async def close(self) -> None:
        """Give up fetching keys."""
        await self._library.close()
        await self._directories.close()

    def _may_concern_us(self, question: Signed) -> bool:
        """False if no agent of ours can be meant: signatures of strangers are not even parsed."""
        if TAG not in question.signature_input:
            return False
        if question.signature_agent:
            return self._directories.mentions_agent(question.signature_agent)
        return self._directories.mentions_key(question.signature_input)

    def _agent(self, question: Signed, claim: _Claim) -> str | None:
        """The agent whose signature this claims to be; None if it is none of ours."""
        if question.signature_agent:
            agent = _named_agent(question.signature_agent, claim)
            return agent if agent is not None and self._directories.trusts(agent) else None
        owners = self._directories.agents_of(claim.key_id)
        return owners[0] if owners else None

    async def _verified_later(
        self, question: Signed, claim: _Claim, agent: str, now_s: float, seat: asyncio.Future[bool]
    ) -> SignedBy:
        return self._verified(question, claim, agent, now_s) if await seat else UNKNOWN

    def _verified(self, question: Signed, claim: _Claim, agent: str, now_s: float) -> SignedBy:
        key = self._directories.key(agent, claim.key_id, now_s)
        if key is None:
            return FAKE if self._directories.knows(agent) else UNKNOWN
        return SignedBy("verified", agent) if _holds(question, claim, key) else FAKE


def _claim(question: Signed) -> _Claim | None:
    """The one signature with our tag; None for none, several, or headers that are none."""
    from http_sf import parse

    fields = (question.signature, question.signature_input, question.signature_agent)
    if not question.signature or not question.signature_input or any(map(_is_long, fields)):
        return None
    try:
        inputs: Any = parse(question.signature_input.encode("latin-1"), tltype="dictionary")
        claims = [_read_claim(label, value) for label, value in inputs.items() if value[1].get("tag") == TAG]
    except (ValueError, TypeError, LookupError, AttributeError):  # structured fields of other shapes, too
        return None
    return claims[0] if len(claims) == 1 else None


def _is_long(field: str) -> bool:
    return len(field) > LONGEST_FIELD or len(_DIVIDERS(field)) >= MOST_PARTS


_DIVIDERS = re.compile("[ ,;]").findall


def _read_claim(label: str, value: Any) -> _Claim:
    components, parameters = value
    names = frozenset(name for name, _ in components)
    members = [inner.get("key") for name, inner in components if name == "signature-agent"]
    return _Claim(label, len(components), names, dict(parameters), members[0] if members else None)


def _named_agent(header: str, claim: _Claim) -> str | None:
    """Host of the directory that Signature-Agent names, lower case, with a port that is not 443."""
    try:
        parts = urlsplit(_agent_url(header, claim))
        host, port = parts.hostname, parts.port
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    if parts.scheme != "https" or not host or parts.username is not None:
        return None
    return host if port in (None, 443) else f"{host}:{port}"


def _agent_url(header: str, claim: _Claim) -> str:
    """The string, or the dictionary's member that the signature names, by default that of its own label. Raises what
    the parser raises for anything else."""
    from http_sf import parse

    raw = header.encode("latin-1")
    is_string = raw.lstrip().startswith(b'"')
    value: Any = parse(raw, tltype="item" if is_string else "dictionary")
    url, _ = value if is_string else value[claim.agent_member or claim.label]
    return url if isinstance(url, str) else ""


def _is_checked(question: Signed, claim: _Claim) -> bool:
    """False for a signature over what is not described to us, and for one whose check would cost too much."""
    if claim.component_count > MOST_COMPONENTS or not claim.names <= _OF_THE_REQUEST_LINE | {"signature-agent"}:
        return False
    return "@query-param" not in claim.names or question.target.count("&") < MOST_PARAMETERS


def _covers_enough(question: Signed, claim: _Claim) -> bool:
    covers_site = bool(claim.names & {"@authority", "@target-uri"})
    return covers_site and (not question.signature_agent or "signature-agent" in claim.names)


def _is_timely(claim: _Claim, now_s: float) -> bool:
    created, expires = claim.parameters.get("created"), claim.parameters.get("expires")
    if type(created) is not int or type(expires) is not int:
        return False
    began_and_goes_on = created - SKEW_S <= now_s < expires + SKEW_S
    return began_and_goes_on and expires - created <= MAX_AGE_S and now_s - created <= MAX_AGE_S


def _holds(question: Signed, claim: _Claim, key: VerificationKey) -> bool:
    """True if the signature is the key's. A target that is not signed is left out: it may be no URL at all."""
    from gateway.engine.lookup.rfc9421 import Message, verifies

    headers = {"Signature": question.signature, "Signature-Input": question.signature_input}
    if question.signature_agent:
        headers["Signature-Agent"] = question.signature_agent
    target = question.target if claim.names & _OF_THE_TARGET else "/"
    url = f"{question.scheme or 'https'}://{question.authority}{target}"
    return verifies(Message(question.method.upper(), url, headers), claim.label, claim.key_id, TAG, key)
