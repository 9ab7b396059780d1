"""The Protection API without the HTTP server: one call in, one answer out.

read (wire) -> who asks (the key) -> judge (rules) -> write (answer).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from secrets import token_bytes

from gateway.engine.answer import Answer, Entropy, answer_refusal, answer_verdict
from gateway.engine.rules import Rule, judge
from gateway.engine.wire import Described, decode
from gateway.errors import CallRefused


@dataclass(frozen=True, slots=True)
class Call:
    """One POST to validate-request. `x_set_cookie`: its X-DataDome-X-Set-Cookie header is `true`."""

    body: bytes
    content_type: str
    x_set_cookie: bool = False


class ProtectionApi:
    """Immutable: a reload makes another one with the same rules."""

    def __init__(self, keys: Iterable[str], rules: tuple[Rule, ...], entropy: Entropy = token_bytes) -> None:
        """`keys`: the accepted ones; none = any that is not empty."""
        self._keys = tuple(key.encode() for key in keys)
        self._rules = rules
        self._entropy = entropy

    def with_keys(self, keys: Iterable[str]) -> ProtectionApi:
        """The same rules for other callers."""
        return ProtectionApi(keys, self._rules, self._entropy)

    def respond(self, call: Call) -> Answer:
        """Never raises: a call that cannot be judged gets the status that says so (400, 413, 415)."""
        try:
            described = decode(call.body, call.content_type)
            self._admit(described)
        except CallRefused as refusal:
            return answer_refusal(refusal.status, str(refusal))
        verdict = judge(self._rules, described)
        return answer_verdict(verdict, described, self._entropy, x_set_cookie=call.x_set_cookie)

    def _admit(self, described: Described) -> None:
        """Raises CallRefused 400 unless the key is accepted; the time that it takes tells nothing about the key."""
        key = described.text("Key").encode()
        if not key:
            raise CallRefused(400, "the Key field is missing")
        if self._keys and not any(hmac.compare_digest(key, accepted) for accepted in self._keys):
            raise CallRefused(400, "the Key field is no accepted key")
