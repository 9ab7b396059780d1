"""The judgement: rules in order, the first that ends it decides.

A generator, so that it stays pure: what must be counted or looked up is yielded as a Question, and the reply sent in.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from hashlib import blake2b
from typing import NamedTuple, Protocol, cast

from gateway.engine.policy.condition import Condition, Conditions
from gateway.engine.policy.model import Limit, Rule
from gateway.engine.question import Count, Counted, Identify, Question, Reply, Signed, SignedBy, Standing
from gateway.engine.request import Request
from gateway.engine.verdict import DEFAULT_RULE, Action, Verdict

KEY_CHARACTERS = 120  # of a counter's key; what is longer is counted by its hash

# operator (a key of bots.OPERATORS) -> host names of its Web Bot Auth key directories, as it documents them
SIGNERS = {
    "OpenAI": ("chatgpt.com",),  # chatgpt.com/.well-known/http-message-signatures-directory
    "Google fetchers": ("agent.bot.goog",),  # developers.google.com, "Allow Google-Agent traffic"
}

Judgement = Generator[Question, Reply, Verdict]


class Judging(Protocol):
    """Who judges requests: a Policy, or one with patches."""

    def judge(self, request: Request) -> Judgement: ...


class CompiledRule(NamedTuple):
    """A Rule with its conditions. `for_bots`: it matches nothing but what says that it is automation, so that requests
    of people pass it by at once."""

    rule: Rule
    conditions: Conditions
    for_bots: bool = False


class SiteRules(NamedTuple):
    """The rules of some hosts. `matches`: whether a host is one of them."""

    matches: Callable[[str], bool]
    rules: tuple[CompiledRule, ...]


class Policy(NamedTuple):
    """Rules ready to judge with. `without_javascript`: of challenges whose rule leaves it open; `dry_run`: allow
    everything, and say what would have been done; `sites`: hosts with rules of their own, the first that matches."""

    rules: tuple[CompiledRule, ...]
    without_javascript: bool = True
    dry_run: bool = False
    sites: tuple[SiteRules, ...] = ()

    def rules_for(self, host: str) -> tuple[CompiledRule, ...]:
        """All the rules that judge requests for a host, in order."""
        for site in self.sites:
            if site.matches(host):
                return site.rules
        return self.rules

    def judge(self, request: Request) -> Judgement:
        """The verdict of the first rule that ends it; DEFAULT_RULE allows what is left."""
        dry: list[tuple[str, Action]] = []
        for rule, (plain, asking), for_bots in self.rules_for(request.host) if self.sites else self.rules:
            if (for_bots and request.bot is None) or not _hold(plain, request):
                continue
            if asking:
                if not request.is_established:
                    yield from _establish(request)
                if not _hold(asking, request):
                    continue
            if rule.match.rate is not None:
                counted = yield _count(rule.name, rule.match.rate, request)
                if cast(Counted, counted).allowed:
                    continue
            if rule.limit is not None:
                counted = yield _count(rule.name, rule.limit, request)
                verdict = self._limited(rule, request, cast(Counted, counted))
            else:
                verdict = self._apply(rule, request)
            if verdict is None:
                continue
            if not rule.dry_run and not self.dry_run:
                return verdict._replace(dry=tuple(dry)) if dry else verdict
            dry.append((rule.name, verdict.action))
            if self.dry_run and not rule.dry_run:
                break
        return Verdict("allow", DEFAULT_RULE, dry=tuple(dry))

    def _apply(self, rule: Rule, request: Request) -> Verdict | None:
        """What any other action than rate_limit makes of a request that matches; None if the judgement goes on."""
        match rule.action:
            case "allow" | "block":
                return Verdict(rule.action, rule.name)
            case "challenge":
                return self._challenge(rule, request)
            case "redirect":
                assert rule.redirect is not None
                return Verdict("redirect", rule.name, location=rule.redirect.to, status=rule.redirect.status)
            case "tag":
                if not rule.dry_run:
                    request.tags.update(rule.tags)
                    request.score_added += rule.add_score
        return None

    def _challenge(self, rule: Rule, request: Request) -> Verdict | None:
        """A challenge, unless the visitor has passed one."""
        chosen = rule.without_javascript
        without_javascript = self.without_javascript if chosen is None else chosen
        kind = request.session.kind
        if kind == "proved" or (kind == "waited" and without_javascript):
            return None
        return Verdict("challenge", rule.name, without_javascript=without_javascript)

    def _limited(self, rule: Rule, request: Request, counted: Counted) -> Verdict | None:
        """What the action rate_limit makes of it."""
        if counted.allowed:
            return None
        if rule.over == "block":
            return Verdict("block", rule.name)
        challenge = self._challenge(rule, request) if rule.over == "challenge" else None
        return challenge or Verdict("limit", rule.name, retry_after_s=counted.retry_after_s)


def _hold(conditions: tuple[Condition, ...], request: Request) -> bool:
    for condition in conditions:  # written out: all() over a generator takes three times as long
        if not condition(request):
            return False
    return True


def _establish(request: Request) -> Generator[Question, Reply, None]:
    """Ask who the visitor really is: by its signature, and whether it is the crawler that it claims to be by its
    address. A signature confirms that claim only if it is the operator's: everybody can sign as himself."""
    request.is_established = True
    described = request.described
    signature = described.text("Signature")
    if signature and described.text("SignatureInput"):
        reply = yield Signed(
            described.text("Method"), described.text("Protocol").lower(), described.text("Host"), request.target,
            signature, described.text("SignatureInput"), described.text("SignatureAgent"),
            request.where.text,
        )  # fmt: skip
        standing, request.signed_by = cast(SignedBy, reply)
        if standing == "fake":
            request.standing = standing
            return
    bot = request.bot
    if bot is None or bot.operator is None:
        return
    if request.signed_by in SIGNERS.get(bot.operator, ()):
        request.standing = "verified"
    else:
        request.standing = cast(Standing, (yield Identify(bot.operator, request.where.text)))


def _count(rule: str, limit: Limit, request: Request) -> Count:
    by = limit.by
    value = _value(by[0], request) if len(by) == 1 else "|".join([_value(key, request) for key in by])
    if len(value) > KEY_CHARACTERS or not (value.isascii() and value.isprintable()):
        value = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return Count(f"{rule}|{value}", limit.requests, limit.per, limit.burst or limit.requests)


def _value(key: str, request: Request) -> str:
    """What is counted on its own. A session that cost no work is thrown away and made anew as one likes, so it is no
    client."""
    session = request.session
    if (key == "client" and session.kind == "proved") or (key == "session" and session.id):
        return session.id
    if key in ("client", "session"):
        return request.where.group
    if key == "address":
        return request.where.group
    if key == "host":
        return request.host
    if key == "path":
        return request.path
    return str(request.described.fields.get(key.removeprefix("field:"), ""))
