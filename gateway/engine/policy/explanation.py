"""Why a policy decides as it does: every rule in order, every key of its match, and what that key looked at.

Nothing is matched here. A rule's match is taken apart into matches of one key each, which `condition` compiles with the
function that it has for whole rules; the rule itself is judged by `judge`, alone and in its place, so that counting,
claims, tags and dry runs go as in a real judgement. A match holds if all its keys hold: the parts are the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from copy import copy
from typing import Literal, NamedTuple

from gateway.config.units import format_duration
from gateway.engine.policy.condition import Condition, NamedSet, conditions
from gateway.engine.policy.judge import CompiledRule, Policy
from gateway.engine.policy.loading import LoadedPolicy
from gateway.engine.policy.model import Limit, Match, Rule
from gateway.engine.question import Count, Counted, Question, Reply
from gateway.engine.request import Request
from gateway.engine.verdict import DEFAULT_RULE, Action, Verdict

SHOWN_CHARACTERS = 200

Outcome = Literal["decided", "passed_on", "would_decide", "no_match", "not_reached"]
"""`passed_on`: it matched, and the judgement went on (a tag, a count under the limit, a challenge that was passed);
`would_decide`: it matched on a dry run."""


class Looked(NamedTuple):
    """One key of a match. `wanted`: as the rule says it; `saw`: what it was held against; `holds`: None if it was not
    looked at, because another key had failed before anybody was asked. `inner`: of any_of and none_of, the matches in
    order."""

    key: str
    wanted: str
    saw: str
    holds: bool | None
    inner: tuple[tuple[Looked, ...], ...] = ()


class Step(NamedTuple):
    """One rule. `action`: what it is for; `note`: what came of it, in words, "" if the outcome says all."""

    rule: str
    action: str
    outcome: Outcome
    looked: tuple[Looked, ...]
    note: str = ""


class Explained(NamedTuple):
    """The verdict is the one that `policy.judge` comes to; `steps` has every rule of the policy."""

    verdict: Verdict
    steps: tuple[Step, ...]


class _Part(NamedTuple):
    """A key of a match, compiled."""

    key: str
    wanted: str
    saw: Callable[[Request], str]
    condition: Condition
    asks: bool
    inner: tuple[tuple[_Part, ...], ...] = ()


class _Explainable(NamedTuple):
    compiled: CompiledRule
    parts: tuple[_Part, ...]


class ExplainedPolicy:
    """A policy ready to explain with: some 50 us for each rule and request."""

    def __init__(self, loaded: LoadedPolicy) -> None:
        policy = loaded.policy
        self._dry_run = policy.dry_run
        self._without_javascript = policy.without_javascript
        self._sites = tuple((site.matches, _explainable(site.rules, loaded)) for site in policy.sites)
        self._rules = _explainable(policy.rules, loaded)

    def explain(self, request: Request) -> Generator[Question, Reply, Explained]:
        """A judgement: asks what `policy.judge` would ask, in the same order."""
        steps: list[Step] = []
        dry: list[tuple[str, Action]] = []
        verdict: Verdict | None = None
        rules = next((rules for matches, rules in self._sites if matches(request.host)), self._rules)
        for rule in rules:
            if verdict is not None:
                steps.append(_not_reached(rule.compiled.rule))
                continue
            step, found = yield from self._step(rule, request)
            steps.append(step)
            dry += found.dry
            if found.rule != DEFAULT_RULE:
                verdict = found
            elif self._dry_run and found.dry and not rule.compiled.rule.dry_run:
                verdict = Verdict("allow", DEFAULT_RULE)
        return Explained((verdict or Verdict("allow", DEFAULT_RULE))._replace(dry=tuple(dry)), tuple(steps))

    def _step(self, explainable: _Explainable, request: Request) -> Generator[Question, Reply, tuple[Step, Verdict]]:
        """One rule, judged as a policy of its own."""
        compiled, parts = explainable
        rule = compiled.rule
        view = _view(request)
        looked = [_look(part, view) for part in parts if not part.asks]
        counted: Counted | None = None
        judgement = Policy((compiled,), self._without_javascript, self._dry_run).judge(request)
        try:
            question = next(judgement)
            while True:
                reply = yield question
                counted = reply if isinstance(question, Count) and isinstance(reply, Counted) else counted
                question = judgement.send(reply)
        except StopIteration as done:
            verdict: Verdict = done.value
        view.standing, view.signed_by = request.standing, request.signed_by
        plain_hold, asked = all(one.holds for one in looked), request.is_established
        looked += [_look(part, view) if asked else _unasked(part) for part in parts if part.asks]
        matched = plain_hold and all(one.holds for one in looked)
        if rule.match.rate is not None:
            looked.append(_rate(rule.match.rate, counted))
            matched = matched and looked[-1].holds is True
        outcome, note = _outcome(rule, verdict, counted, matched=matched)
        return Step(rule.name, rule.action, outcome, tuple(looked), note), verdict


def _explainable(rules: tuple[CompiledRule, ...], loaded: LoadedPolicy) -> tuple[_Explainable, ...]:
    return tuple(
        _Explainable(one, _parts(one.rule.match, loaded.sets, strict=one.rule.action == "allow")) for one in rules
    )


def _view(request: Request) -> Request:
    """The request as a rule finds it. Looking at all of its keys must not change what the judgement sees, which stops
    at the first that fails."""
    view = copy(request)
    view.tags = set(request.tags)
    return view


def _outcome(rule: Rule, verdict: Verdict, counted: Counted | None, *, matched: bool) -> tuple[Outcome, str]:
    if not matched:
        return "no_match", ""
    if verdict.dry:
        return "would_decide", f"a dry run: would {verdict.dry[0][1]}"
    if verdict.rule != DEFAULT_RULE:
        return "decided", _decision(verdict)
    if rule.action == "tag":
        score = f", score +{rule.add_score}" if rule.add_score else ""
        nothing = "; a dry run: not done" if rule.dry_run else ""
        return "passed_on", f"tagged {', '.join(rule.tags) or 'with nothing'}{score}{nothing}"
    if rule.action == "rate_limit":
        return "passed_on", f"under the limit of {_limit(rule.limit)}"
    return "passed_on", "the visitor has passed this challenge"


def _decision(verdict: Verdict) -> str:
    match verdict.action:
        case "limit":
            return f"over the limit, again in {verdict.retry_after_s:.1f} s"
        case "redirect":
            return f"{verdict.status} to {verdict.location}"
        case "challenge":
            return "with" + ("" if verdict.without_javascript else "out") + " a way for browsers without JavaScript"
    return ""


def _not_reached(rule: Rule) -> Step:
    return Step(rule.name, rule.action, "not_reached", ())


def _rate(limit: Limit, counted: Counted | None) -> Looked:
    if counted is None:
        return Looked("rate", f"over {_limit(limit)}", "not counted", None)
    saw = "under the limit" if counted.allowed else f"over it for {counted.retry_after_s:.1f} s more"
    return Looked("rate", f"over {_limit(limit)}", saw, not counted.allowed)


def _limit(limit: Limit | None) -> str:
    if limit is None:
        return ""
    burst = limit.burst or limit.requests
    return f"{limit.requests} in {format_duration(limit.per)}, {burst} at once, by {' and '.join(limit.by)}"


# -- the keys of a match


def _parts(match: Match, sets: Mapping[str, NamedSet], *, strict: bool) -> tuple[_Part, ...]:
    """The keys that are given, but `rate`, in the order of the file's description; those that ask last."""
    parts = []
    for key in type(match).model_fields:
        value = getattr(match, key)
        if key == "rate" or value is None or value == () or value == {}:
            continue
        if key == "field":
            parts += [_part(f"field.{name}", {name: one}, sets, strict=strict) for name, one in value.items()]
        else:
            parts.append(_part(key, value, sets, strict=strict))
    return tuple(sorted(parts, key=lambda part: part.asks))


def _part(key: str, value: object, sets: Mapping[str, NamedSet], *, strict: bool) -> _Part:
    name, _, field = key.partition(".")
    plain, asking = conditions(_EMPTY.model_copy(update={name: value}), sets, strict=strict)
    (condition,) = (*plain, *asking)
    inner: tuple[tuple[_Part, ...], ...] = ()
    if isinstance(value, tuple) and name in ("any_of", "none_of"):
        inner = tuple(_parts(one, sets, strict=strict is (name == "any_of")) for one in value)
    saw = _SAW.get(name, _nothing) if not field else lambda request: str(request.described.fields.get(field, ""))
    return _Part(key, _wanted(name, value), saw, condition, bool(asking), inner)


def _look(part: _Part, request: Request) -> Looked:
    inner = tuple(tuple(_look(one, request) for one in match) for match in part.inner)
    return Looked(part.key, part.wanted, _cut(part.saw(request)), part.condition(request), inner)


def _unasked(part: _Part) -> Looked:
    return Looked(part.key, part.wanted, "not asked", None)


def _wanted(key: str, value: object) -> str:
    if key in ("any_of", "none_of"):
        return f"{len(value)} matches" if isinstance(value, tuple) else ""
    if key == "field" and isinstance(value, Mapping):
        value = next(iter(value.values()))
    if key == "score":
        return f"at least {value}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _cut(" or ".join(map(str, value)) if isinstance(value, tuple) else str(value))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def _nothing(request: Request) -> str:
    return ""


def _path(request: Request) -> str:
    return request.raw_path if request.raw_path == request.path else f"{request.raw_path}, normalised {request.path}"


def _bot(request: Request) -> str:
    return "none" if request.bot is None else f"{request.bot.bot_class} ({request.bot.name})"


def _claim(request: Request) -> str:
    operator = "" if request.bot is None or request.bot.operator is None else f" to be of {request.bot.operator}"
    return f"{request.standing}: claims{operator}" if request.standing else "claims nothing that can be confirmed"


_EMPTY = Match()
_SAW: dict[str, Callable[[Request], str]] = {
    "address": lambda request: request.where.text,
    "host": lambda request: request.host,
    "path": _path,
    "method": lambda request: request.described.text("Method"),
    "user_agent": lambda request: request.user_agent,
    "bot": _bot,
    "bot_name": _bot,
    "claim": _claim,
    "signed_by": lambda request: request.signed_by or "nobody",
    "session": lambda request: request.session.kind,
    "score": lambda request: str(request.score),
    "finding": lambda request: ", ".join(request.inspection.findings) or "nothing",
    "absurd": lambda request: request.absurdity or "nothing impossible",
    "tag": lambda request: ", ".join(sorted(request.tags)) or "no tag",
}
