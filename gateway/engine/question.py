"""What a judgement may ask of the world outside: counters, spent proofs, who an address belongs to.

The judgement (`policy`) is pure: it yields a Question and is sent the reply. Whoever drives it (`api`) answers from
memory, from a shared store, or by a look-up; a reply that needs waiting is awaited there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable
from math import inf
from typing import Literal, NamedTuple, Protocol

Standing = Literal["verified", "fake", "unknown"]
"""Of a claim: confirmed; refuted; not known (yet), because nobody could be asked or the answer is late."""


class Count(NamedTuple):
    """Count one request against a limit (GCRA). Reply: Counted.

    `key`: what is counted, `rule|value`, printable, at most 200 characters. At most `limit` requests per `per_s`
    seconds on average, `burst` of them at once.
    """

    key: str
    limit: int
    per_s: float
    burst: int


class Counted(NamedTuple):
    """`retry_after_s`: 0.0 if allowed, else seconds until one request would be."""

    allowed: bool
    retry_after_s: float


class Spend(NamedTuple):
    """Use up something that counts once. Reply: True the first time, False for `ttl_s` seconds afterwards."""

    id: str
    ttl_s: float


class Identify(NamedTuple):
    """Does `address` (in text) belong to `operator` (a key of bots.OPERATORS)? Reply: Standing."""

    operator: str
    address: str


class Signed(NamedTuple):
    """Is this request signed by who its Signature-Agent says (RFC 9421, Web Bot Auth)? Reply: SignedBy.

    All values as described: `authority` is the Host, `target` the raw path and query; `address` (in text) is who sent
    it, which the signature does not depend on: few of one network wait for the answer.
    """

    method: str
    scheme: str
    authority: str
    target: str
    signature: str
    signature_input: str
    signature_agent: str
    address: str = ""


class SignedBy(NamedTuple):
    """`agent`: host name of the key directory (`chatgpt.com`), "" unless `standing` is verified."""

    standing: Standing
    agent: str


Question = Count | Spend | Identify | Signed
Reply = Counted | bool | Standing | SignedBy


class Respondent(Protocol):
    """Who answers one kind of question: at once, or with something to await that never raises."""

    def answer(self, question: Question, now_s: float, patience_s: float = inf) -> Reply | Awaitable[Reply]:
        """The reply that the question's docstring names. `now_s`: Unix time; `patience_s`: for how long the reply may
        be awaited, beside the respondent's own bound. A look-up that is late is the standing `unknown`, a shared store
        that has too little time is not asked."""
