"""The Protection API without the HTTP server: one call in, one answer out.

read (wire) -> who asks (the key) -> one visit, from its cookie to its answer (visit). The visit's questions are
answered by the Respondents; if one must be waited for, so is the answer.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import dataclass
from typing import NamedTuple, cast

from gateway.engine.answer import Answer, answer_refusal
from gateway.engine.bots.catalogue import Catalogue
from gateway.engine.entropy import Entropy
from gateway.engine.override import NO_OVERRIDES, Overrides
from gateway.engine.question import (
    Count,
    Counted,
    Identify,
    Question,
    Reply,
    Respondent,
    Signed,
    SignedBy,
    Spend,
)
from gateway.engine.visit import Means, Observer, Terms, Visit
from gateway.engine.wire import Described, decode
from gateway.errors import CallRefused

AT_ONCE = (Counted, bool, str, SignedBy)
"""The types of replies; anything else is something to await. Asking for Awaitable takes ten times as long."""

class Call(NamedTuple):
    """One POST to validate-request. `x_set_cookie`: its X-DataDome-X-Set-Cookie header is `true`."""

    body: bytes
    content_type: str
    x_set_cookie: bool = False


@dataclass(frozen=True, slots=True)
class Respondents:
    """Who answers the judgement's questions. `overrides`: the list that is in force, asked for each request."""

    store: Respondent
    verifier: Respondent
    signatures: Respondent
    overrides: Callable[[], Overrides] = lambda: NO_OVERRIDES

    def answer(self, question: Question, now_s: float, terms: Terms, spent_s: float) -> Reply | Awaitable[Reply]:
        """From whom it concerns. `spent_s`: what the call has waited for already."""
        match question:
            case Count() | Spend():
                return self.store.answer(question, now_s, terms.budget_s - spent_s)
            case Identify():
                return self.verifier.answer(question, now_s, terms.patience_s - spent_s)
            case Signed():
                return self.signatures.answer(question, now_s, terms.patience_s - spent_s)


class ProtectionApi:
    """Judges calls. `terms` may be replaced between two of them."""

    def __init__(
        self, terms: Terms, catalogue: Catalogue, respondents: Respondents, observer: Observer,
        clock: Callable[[], float], entropy: Callable[[int], bytes] | None = None,
    ) -> None:  # fmt: skip
        """`clock`: Unix seconds; `entropy`: n -> n random bytes that nobody can guess, None = the system's."""
        self.terms = terms
        self._respondents = respondents
        self._clock = clock
        self._means = Means(catalogue, respondents.overrides, observer, entropy or Entropy())

    def respond(self, call: Call) -> Answer | Awaitable[Answer]:
        """The answer, or something to await that gives it. Never raises, never waits long: a call that cannot be judged
        gets the status that says so (400, 413, 415)."""
        try:
            described = decode(call.body, call.content_type)
            self._admit(described)
        except CallRefused as refusal:
            return answer_refusal(refusal.status, str(refusal))
        now_s = self._clock()
        steps = Visit(self._means, self.terms, described, now_s, x_set_cookie=call.x_set_cookie).steps()
        try:
            question = next(steps)
            while True:
                reply = self._respondents.answer(question, now_s, self.terms, 0.0)
                if not isinstance(reply, AT_ONCE):
                    return self._respond_later(steps, reply, now_s)
                question = steps.send(reply)
        except StopIteration as done:
            return cast(Answer, done.value)

    async def _respond_later(
        self, steps: Generator[Question, Reply, Answer], awaited: Awaitable[Reply], now_s: float
    ) -> Answer:
        """All waiting of one call together is bounded by its terms: who calls gives up after a while, and a call that
        is late protects nobody."""
        reply: Reply | Awaitable[Reply] = awaited
        try:
            while True:
                if not isinstance(reply, AT_ONCE):
                    reply = await reply
                reply = self._respondents.answer(steps.send(reply), now_s, self.terms, self._clock() - now_s)
        except StopIteration as done:
            return cast(Answer, done.value)

    def _admit(self, described: Described) -> None:
        """Raises CallRefused 400 unless the key is accepted; the time that it takes tells nothing about the key."""
        key = described.text("Key").encode()
        if not key:
            raise CallRefused(400, "the Key field is missing")
        keys = self.terms.keys
        if keys and not any(hmac.compare_digest(key, accepted) for accepted in keys):
            raise CallRefused(400, "the Key field is no accepted key")


def accepted_keys(keys: Iterable[str]) -> tuple[bytes, ...]:
    """For Terms."""
    return tuple(key.encode() for key in keys)
