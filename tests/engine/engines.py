"""Engines in memory: the pure API with a memory store, without sockets and look-ups."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from math import inf
from secrets import token_bytes

from gateway.config.reading import parse_section
from gateway.engine.api import ProtectionApi, Respondents, accepted_keys
from gateway.engine.bots.catalogue import Catalogue, load_catalogue
from gateway.engine.keyring import Keyring
from gateway.engine.override import NO_OVERRIDES, Overrides
from gateway.engine.policy.judge import Policy
from gateway.engine.policy.loading import compile_policy
from gateway.engine.policy.model import PolicyFile
from gateway.engine.question import Question, Reply, Signed, SignedBy
from gateway.engine.session import Sessions
from gateway.engine.store.memory import MemoryStore
from gateway.engine.visit import ChallengeTerms, Decided, Terms

SECRET = b"of the tests"


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """Loaded once: it takes 0.2 s."""
    return load_catalogue()


def policy(text: str = "") -> Policy:
    """Of a policy file's text; "" is the built-in one."""
    return compile_policy(parse_section(text, "policy.yaml", PolicyFile), "policy.yaml").policy


class Standing:
    """Answers every claim in the same way."""

    def __init__(self, standing: str) -> None:
        self.standing = standing

    def answer(self, question: Question, now_s: float, patience_s: float = inf) -> Reply:
        return SignedBy("unknown", "") if isinstance(question, Signed) else self.standing  # type: ignore[return-value]


class Seen:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.decided: list[Decided] = []

    def observe(self, decided: Decided) -> None:
        self.decided.append(decided)


def make_api(
    text: str = "",
    *,
    keys: Iterable[str] = (),
    standing: str = "fake",
    observer: Seen | None = None,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = token_bytes,
    overrides: Overrides = NO_OVERRIDES,
    challenge: ChallengeTerms | None = None,
    lifetime_s: float = 86_400.0,
) -> ProtectionApi:
    """An API with the policy of a text."""
    return ProtectionApi(
        make_terms(text, keys=keys, challenge=challenge, lifetime_s=lifetime_s), catalogue(),
        Respondents(MemoryStore(clock=clock), Standing(standing), Standing("unknown"), lambda: overrides),
        observer or Seen(), clock, entropy,
    )  # fmt: skip


def make_terms(
    text: str = "", *, keys: Iterable[str] = (), challenge: ChallengeTerms | None = None, lifetime_s: float = 86_400.0
) -> Terms:
    keyring = Keyring([SECRET])
    return Terms(
        policy(text), keyring, Sessions(keyring, lifetime_s), accepted_keys(keys),
        challenge=challenge or ChallengeTerms(difficulty=12),
    )  # fmt: skip
