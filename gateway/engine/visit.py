"""One judged request, from the admitted call to its answer.

who visits (proof, step or session) -> what operators decided by hand (overrides) -> judge (policy) -> what the visitor
gets to keep (a session) -> write (answer). A generator, like the judgement that it contains: questions out, replies in.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast

from gateway.engine.answer import Answer, Outcome, answer_outcome
from gateway.engine.bots.catalogue import Catalogue
from gateway.engine.challenge.step import local_location, take_step
from gateway.engine.challenge.token import (
    Challenge,
    Passed,
    Refused,
    check_proof,
    check_step,
    difficulty_of,
    is_proof,
    issue,
)
from gateway.engine.keyring import Binding, Keyring
from gateway.engine.override import Overrides
from gateway.engine.policy.judge import Judging
from gateway.engine.question import Count, Counted, Question, Reply, Spend
from gateway.engine.request import Request
from gateway.engine.session import Session, Sessions
from gateway.engine.verdict import Identity, Verdict, identity
from gateway.engine.wire import Described

PASSES = (60, 60.0, 120)
"""Challenges that one address may pass: requests, seconds, burst. Work is cheap for a machine: without a bound, one
address would collect sessions, each with limits of its own. An office behind one address passes them once a day."""

NETWORK_PASSES = (600, 60.0, 1200)
"""The same of a /24 or /56, whose owner has addresses as he likes."""

OVERRIDE_RULES = {"block": "override-block", "allow": "override-allow"}



class Decided(NamedTuple):
    """One judged request, for counters and logs. `presented`: what became of a proof or a step that was shown:
    `proved`, `waited`, or why it was refused (a Reason of the token, `replayed`, or `limited`: too many of this
    address); "" if none was."""

    request: Request
    verdict: Verdict
    identity: Identity
    request_id: str
    presented: str


class Observer(Protocol):
    """Who is told about every judgement. Must not raise."""

    def observe(self, decided: Decided) -> None: ...


@dataclass(frozen=True, slots=True)
class ChallengeTerms:
    """`difficulty`: of who has no score (2**difficulty hashes); `wait_s`: of the way without JavaScript; `contact`:
    whom a stopped visitor can ask, "" = nobody is named."""

    difficulty: int = 16
    wait_s: int = 6
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a reload may change. `keys`: of callers; none = any that is not empty; `patience_s`: what all look-ups of
    one call may take together; `budget_s`: what they and the store may."""

    policy: Judging
    keyring: Keyring
    sessions: Sessions
    keys: tuple[bytes, ...] = ()
    bind_address: bool = True
    challenge: ChallengeTerms = field(default_factory=ChallengeTerms)
    patience_s: float = 0.08
    budget_s: float = 0.11


class Means(NamedTuple):
    """What every visit uses. `overrides`: the list that is in force, asked for each request; `entropy`: n -> n random
    bytes that nobody can guess."""

    catalogue: Catalogue
    overrides: Callable[[], Overrides]
    observer: Observer
    entropy: Callable[[int], bytes]


class Visit:
    """One request from the admitted call to its answer."""

    __slots__ = (
        "_binding", "_cookie_due", "_means", "_now_s", "_presented", "_request", "_target", "_terms", "_x_set_cookie",
    )  # fmt: skip

    def __init__(self, means: Means, terms: Terms, described: Described, now_s: float, *, x_set_cookie: bool) -> None:
        self._means = means
        self._terms = terms
        self._now_s = now_s
        self._x_set_cookie = x_set_cookie
        self._request = Request(described, means.catalogue)
        self._binding: Binding = self._request.binding(to_address=self._terms.bind_address)
        self._presented = ""
        self._cookie_due = False
        self._target = ""  # of a visitor with a step, good or bad: where he wanted to go

    def steps(self) -> Generator[Question, Reply, Answer]:
        """The questions, and in the end the answer."""
        request = self._request
        presented = request.described.text("ClientID")
        request.session = self._session(presented)
        shown = self._check(presented)
        if isinstance(shown, Passed):
            yield from self._pass(shown)
        elif shown is not None:
            self._presented = shown.reason
        verdict = self._overridden()
        if verdict is None:
            verdict = yield from self._terms.policy.judge(request)
        return self._answer(verdict)

    def _pass(self, passed: Passed) -> Generator[Question, Reply, None]:
        """Open the session that a proof or a step is worth: once, and as often as its address and network may. What was
        spent before costs nobody anything."""
        where = self._request.where
        if not (yield Spend(passed.id, passed.ttl_s)):
            self._presented = "replayed"
            return
        for who, limit in ((where.group, PASSES), (where.prefix, NETWORK_PASSES)):
            if not cast(Counted, (yield Count(f"challenge-passes|{who}", *limit))).allowed:
                self._presented = "limited"
                return
        self._presented = passed.kind
        self._open(passed.kind)

    def _check(self, presented: str) -> Passed | Refused | None:
        """A proof in the cookie's place, or a step in the address; None if there is neither."""
        terms = self._terms
        if is_proof(presented):
            return check_proof(terms.keyring, self._binding, presented, self._now_s)
        returning = take_step(self._request.target)
        if returning is None:
            return None
        step, target = returning
        result = check_step(terms.keyring, self._binding, step, self._now_s)
        if result == Refused("malformed"):
            return result  # perhaps a parameter of the site's own: it stays
        self._target = target
        return None if self._request.session.kind == "proved" else result  # who solved needs not wait

    def _session(self, presented: str) -> Session:
        """Of the cookie."""
        session = self._terms.sessions.read(presented, self._binding, self._now_s)
        if session.id and self._means.overrides().is_revoked(session.id, self._now_s):
            return session._replace(kind="revoked")
        return session

    def _open(self, kind: str) -> None:
        self._request.session = self._terms.sessions.open(kind, self._now_s, self._means.entropy)  # type: ignore[arg-type]
        self._cookie_due = True

    def _overridden(self) -> Verdict | None:
        found = self._means.overrides().find(self._request.where, self._now_s)
        if found is None or found.action not in OVERRIDE_RULES:
            return None
        return Verdict("block" if found.action == "block" else "allow", OVERRIDE_RULES[found.action])

    def _answer(self, verdict: Verdict) -> Answer:
        request = self._request
        who = identity(request)
        request_id = uuid4(self._means.entropy(16))
        if verdict.action == "allow" and self._target:
            verdict = verdict._replace(action="redirect", location=local_location(self._target), status=302)
        challenge = self._challenge(verdict) if verdict.action == "challenge" else None
        cookie = self._cookie(verdict)
        self._means.observer.observe(Decided(request, verdict, who, request_id, self._presented))
        contact = self._terms.challenge.contact
        return answer_outcome(
            Outcome(verdict, who, request_id, cookie, challenge, contact),
            request.described, x_set_cookie=self._x_set_cookie,
        )  # fmt: skip

    def _challenge(self, verdict: Verdict) -> Challenge:
        terms = self._terms.challenge
        return issue(
            self._terms.keyring, self._binding, difficulty=difficulty_of(self._request.score, terms.difficulty),
            wait_s=terms.wait_s if verdict.without_javascript else 0, now_s=self._now_s, entropy=self._means.entropy,
        )  # fmt: skip

    def _cookie(self, verdict: Verdict) -> tuple[str, int]:
        """(token, seconds that it lives) to hand out, ("", 0) if the visitor keeps what he has. Who is let through is
        known from then on; who is stopped gets nothing that he could use. Nor does who shows a proof again: another of
        his requests has got its session, which a visitor's must not overwrite."""
        session, sessions = self._request.session, self._terms.sessions
        if self._presented == "replayed":
            return "", 0
        if not self._cookie_due and verdict.action == "allow" and not self._is_foreign():
            if session.kind in ("none", "revoked"):
                self._open("visitor")
            elif sessions.is_due(session, self._now_s):
                self._request.session = session = Session(session.kind, session.id, int(self._now_s))
                self._cookie_due = True
        if not self._cookie_due:
            return "", 0
        return sessions.write(self._request.session, self._binding), int(sessions.lifetime_s)


    def _is_foreign(self) -> bool:
        """True for a form that another site had the browser send: it comes without the cookie, because that is
        SameSite=Lax, and must not replace it."""
        described = self._request.described
        if described.text("Method") in ("GET", "HEAD"):
            return False
        if described.text("SecFetchSite"):
            return described.text("SecFetchSite") == "cross-site"
        origin = described.text("Origin")
        return bool(origin) and origin.partition("://")[2].lower() != described.text("Host").lower()


def uuid4(random: bytes) -> str:
    """A UUID of version 4 (RFC 9562, 5.4) of 16 random bytes, in text; the standard library's takes 4 us."""
    digits = random.hex()
    variant = "89ab"[random[8] >> 6]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
