"""The embedded engine, asked in this process over the wire contract: a request head in, what became of it out.

The head goes through the gateway's own payload builder, so that the engine judges what it would get from a gateway.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from importlib.metadata import version
from typing import NamedTuple

from gateway.config import parse_config
from gateway.engine.api import Call, ProtectionApi, Respondents
from gateway.engine.bots.catalogue import load_catalogue
from gateway.engine.bots.ranges import load_ranges
from gateway.engine.bots.standing import standing_by_ranges
from gateway.engine.keyring import Keyring
from gateway.engine.policy.loading import load_policy
from gateway.engine.question import Question, Reply, Signed, SignedBy
from gateway.engine.session import Sessions
from gateway.engine.store.memory import MemoryStore
from gateway.engine.visit import ChallengeTerms, Decided, Terms
from gateway.http.client_address import Client
from gateway.http.head import parse_request
from gateway.protection.encoding import CONTENT_TYPES, encode_json
from gateway.protection.payload import PayloadBuilder

KEY = "detection"


class Outcome(NamedTuple):
    """action: allow, block, challenge, limit or redirect. rule: that decided. findings: of the browser's claim."""

    action: str
    rule: str
    is_bot: bool
    score: int
    findings: tuple[str, ...]


class AskedEngine:
    """An engine with the preset `moderate` and a memory store. Implements the engine's Observer."""

    def __init__(self) -> None:
        self._api = make_engine(self)
        protection = parse_config({"protection": {"key": KEY}}).sites[0].protection
        self._builder = PayloadBuilder(protection, key=KEY, server_name="edge-1", version=version("protection-gateway"))
        self._decided: Decided | None = None

    def observe(self, decided: Decided) -> None:
        self._decided = decided

    def ask(self, head: bytes, *, scheme: str, address: str) -> Outcome:
        """One request of a client at `address`."""
        client = Client(address, scheme, 443 if scheme == "https" else 80, False, "", b"")
        payload = self._builder.build(parse_request(head), client, time.time_ns() // 1000, encode_json)
        answer = self._api.respond(Call(payload.body, CONTENT_TYPES["json"].decode()))
        if isinstance(answer, Awaitable):
            answer = asyncio.run(_wait(answer))
        if self._decided is None:
            raise RuntimeError(f"the engine did not judge: {answer.status} {answer.body[:200]!r}")
        decided, self._decided = self._decided, None
        is_bot = ("X-DataDome-isbot", "1") in answer.headers
        inspection = decided.request.inspection
        return Outcome(decided.verdict.action, decided.verdict.rule, is_bot, inspection.score, inspection.findings)


def make_engine(observer: AskedEngine) -> ProtectionApi:
    """Claims are judged by the address ranges that are shipped, without asking DNS."""
    keyring = Keyring([b"detection"])
    terms = Terms(load_policy(None).policy, keyring, Sessions(keyring, 3600.0), challenge=ChallengeTerms(difficulty=12))
    respondents = Respondents(MemoryStore(), _ShippedRanges(), _ShippedRanges())
    return ProtectionApi(terms, load_catalogue(), respondents, observer, time.time)


class _ShippedRanges:
    """Answers who an address belongs to, as far as that is known without a look-up."""

    def __init__(self) -> None:
        self._ranges = load_ranges()

    def answer(self, question: Question, now_s: float, patience_s: float = 0.0) -> Reply:
        if isinstance(question, Signed):
            return SignedBy("unknown", "")
        return standing_by_ranges(self._ranges, question.operator, question.address) or "unknown"  # type: ignore[union-attr]


async def _wait(answer: Awaitable[object]) -> object:
    return await answer
