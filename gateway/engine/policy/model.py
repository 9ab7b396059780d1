"""The policy file: what can be written in it, with the meaning of each key. `loading` reads it, `condition` makes
functions of its matches. The presets beside this module are written in the same words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema, model_validator

from gateway.config.scalar import typed
from gateway.config.section import Section, required, setting
from gateway.config.value import (
    Count,
    Duration,
    Finding,
    Flag,
    HostPattern,
    Method,
    Network,
    OneOf,
    ReadableFile,
    nearest,
    rejected,
    report,
)
from gateway.engine.browser import FINDINGS
from gateway.engine.verdict import DEFAULT_RULE
from gateway.engine.wire import INTEGERS, NUMBERS, TEXTS

_Class = Literal[
    "search_engine", "ai_crawler", "ai_assistant", "monitoring", "feed_reader", "webhook", "library", "package_manager",
    "headless", "scanner", "seo", "advertising", "social_preview", "archiver", "academic",
]  # fmt: skip
BOT_CLASSES = get_args(_Class)
PRESETS = ("permissive", "moderate", "aggressive")
FIELDS = frozenset((*TEXTS, *INTEGERS, *NUMBERS)) - {"Key"}
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LIST_URL = re.compile(r"(?:https://|http://(?:127\.0\.0\.1|\[::1\]|localhost)[:/])[!-~]+")
_WORD_EXPECTED = "a name of lower-case letters, digits, - and _ (at most 64)"
MAX_RULES = 500
RESERVED_RULES = (DEFAULT_RULE, "override-block", "override-allow", "challenge-passes")
"""What no rule may be called: decisions, metrics and counters of the engine's own have these names (`visit`)."""


def _listed(value: Any) -> Any:
    """One value stands for a list of one: `method: POST`."""
    return value if isinstance(value, (list, tuple)) or value is None else [value]


def _word(value: object) -> str:
    if isinstance(value, str) and _WORD.fullmatch(value):
        return str(value)
    raise rejected(_WORD_EXPECTED)


def _rule_name(value: object) -> str:
    name = _word(value)
    if name in RESERVED_RULES:
        raise rejected(f"another name: {', '.join(RESERVED_RULES)} are the engine's own")
    return name


def _score(value: object) -> int:
    number = typed(value)
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= 100:
        return number
    raise rejected("a whole number from 0 to 100")


def _pattern(value: object) -> str:
    """Searched in text, and not in bytes like the patterns of the configuration."""
    if not isinstance(value, str):
        raise rejected("a regular expression")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "possible nested set": [[:alpha:]] is no class here, so it is a mistake
            re.compile(value, re.ASCII)
    except (re.error, ValueError, OverflowError, RecursionError, Warning) as error:
        raise rejected(f"a regular expression ({str(error)[:100]})") from None
    return str(value)


def _finding(value: object) -> str:
    if isinstance(value, str) and value in FINDINGS:
        return str(value)
    raise rejected(f"a finding: {nearest(str(value), tuple(FINDINGS))}")


def _list_url(value: object) -> str:
    """Where lists may come from: over TLS, or from this machine (gateway.engine.lookup.fetcher)."""
    if isinstance(value, str) and _LIST_URL.fullmatch(value):
        return str(value)
    raise rejected("https://... in printable ASCII")


def _field(value: object) -> str:
    if isinstance(value, str) and value in FIELDS:
        return str(value)
    raise rejected("a field of the Protection API, such as AcceptLanguage or customFieldString1")


def _key(value: object) -> str:
    if isinstance(value, str) and (value in _KEYS or (value.startswith("field:") and value[6:] in FIELDS)):
        return str(value)
    raise rejected(f"one of {', '.join(_KEYS)} or field:NAME")


def _target(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"(?:https?://[!-~]+|/(?![/\\])[!-~]*)", value):
        return str(value)
    raise rejected("an absolute URL (https://...) or a path of the same site (/...), in printable ASCII")


def _set_or_network(value: object) -> str:
    """Names of sets are looked up by the whole file; what can be no name must be a network, which has a . or a :"""
    if isinstance(value, str) and _WORD.fullmatch(value):
        return str(value)
    if isinstance(value, str) and is_set_name(value):
        raise rejected("an address, a network (10.0.0.0/8) or the name of a set")
    return str(_NETWORK.validate_python(value))


def _redirect_status(value: object) -> int:
    number = typed(value)
    if number in (301, 302) and isinstance(number, int):
        return number
    raise rejected("301 or 302")


_KEYS = ("client", "address", "session", "host", "path")
Word = Annotated[str, PlainValidator(_word)]
Score = Annotated[int, PlainValidator(_score)]
Words = Annotated[tuple[Word, ...], BeforeValidator(_listed)]
Pattern = Annotated[str, PlainValidator(_pattern), WithJsonSchema({"type": "string", "format": "regex"})]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(_listed)]
BotClass = Annotated[Literal["any", "none", _Class], OneOf()]
Claim = Annotated[Literal["verified", "fake", "unknown"], OneOf()]
SessionKind = Annotated[Literal["none", "visitor", "waited", "proved", "revoked"], OneOf()]


def _network_adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Network)


_NETWORK = _network_adapter()


class AddressSet(Section):
    """Addresses under a name."""

    addresses: Annotated[tuple[Network, ...], BeforeValidator(_listed)] = setting([], "Addresses and networks (CIDR).")
    files: Annotated[tuple[ReadableFile, ...], BeforeValidator(_listed)] = setting(
        [], "Files with lists of addresses, text or JSON; read again when they change."
    )
    urls: Annotated[tuple[Annotated[str, PlainValidator(_list_url)], ...], BeforeValidator(_listed)] = setting(
        [], "https:// lists, plain or JSON, fetched in the background and kept when they cannot be fetched."
    )
    refresh: Duration = setting("1h", "How often the lists are fetched.")


class Limit(Section):
    """How often is too often."""

    requests: Count = required("Requests that are allowed in each period, on average.")
    per: Duration = setting("1m", "The period.")
    burst: Count | None = setting(None, "Requests that may come at once; null = a whole period's.")
    by: Annotated[tuple[Annotated[str, PlainValidator(_key)], ...], BeforeValidator(_listed)] = setting(
        ["client"],
        "What is counted on its own: client (the session that solved a challenge, else the address), address (IPv6 by "
        "/64), session, host, path, field:NAME; several together are counted by their combination.",
    )


class Match(Section):
    """Which requests a rule is for: all keys that are given must hold; of a list, one value must."""

    address: Annotated[tuple[Annotated[str, PlainValidator(_set_or_network)], ...], BeforeValidator(_listed)] = setting(
        [], "Addresses, networks or names of sets."
    )
    host: Annotated[tuple[HostPattern, ...], BeforeValidator(_listed)] = setting([], 'Exact or "*.example.com".')
    path: Patterns = setting(
        [], "Regular expressions, searched in the path without its query. A rule that allows needs it in the path as "
        "sent and in its normalised form; any other rule in one of the two."
    )  # fmt: skip
    method: Annotated[tuple[Method, ...], BeforeValidator(_listed)] = setting([], "Methods.")
    user_agent: Patterns = setting([], "Regular expressions, searched in the user agent.")
    field: dict[Annotated[str, PlainValidator(_field)], Patterns] = setting(
        {}, 'Any field of the payload: regular expressions, searched in it; a field that was not sent is "".'
    )
    bot: Annotated[tuple[BotClass, ...], BeforeValidator(_listed)] = setting(
        [], "Classes of automation that the user agent names; any, or none (it may be a person's)."
    )
    bot_name: Patterns = setting([], "Regular expressions, searched in the name of the automation.")
    claim: Annotated[tuple[Claim, ...], BeforeValidator(_listed)] = setting(
        [], "Whether it is the crawler that it claims to be: verified, fake, unknown (could not be asked in time)."
    )
    signed_by: Annotated[tuple[HostPattern, ...], BeforeValidator(_listed)] = setting(
        [], 'Host names of agents whose signature was verified (Web Bot Auth); "*" is any.'
    )
    session: Annotated[tuple[SessionKind, ...], BeforeValidator(_listed)] = setting(
        [], "none, visitor (has a cookie, proved nothing), waited, proved (passed the challenge), revoked."
    )
    score: Score | None = setting(None, "At least this much speaks against a person's browser, 0 to 100.")
    finding: Annotated[tuple[Annotated[str, PlainValidator(_finding)], ...], BeforeValidator(_listed)] = setting(
        [], "Names of single inconsistencies that make up the score; one must have been found."
    )
    absurd: Flag | None = setting(None, "true: something that no browser sends; false: nothing of that kind.")
    tag: Words = setting([], "Tags that former rules gave.")
    rate: Limit | None = setting(None, "Holds for requests over this limit; each request that gets here is counted.")
    any_of: tuple[Match, ...] = setting([], "At least one of these must hold.")
    none_of: tuple[Match, ...] = setting([], "None of these may hold.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        report([
            Finding((key, index, "rate"), {}, "nothing here: a rule counts once, in the match itself")
            for key in ("any_of", "none_of") for index, inner in enumerate(getattr(self, key)) if inner.rate is not None
        ])  # fmt: skip
        return self


class Redirect(Section):
    """Where a visitor is sent."""

    to: Annotated[str, PlainValidator(_target)] = required("An absolute URL, or a path of the same site.")
    status: Annotated[Literal[301, 302], PlainValidator(_redirect_status)] = setting(302, "301 (permanent) or 302.")


class Rule(Section):
    """One rule. The first whose action ends the judgement decides."""

    name: Annotated[str, PlainValidator(_rule_name)] = required(
        "Names the decision in X-DataDome-ruletype, logs and metrics; unique."
    )
    match: Match = setting({}, "Which requests it is for; empty = all.")
    action: Annotated[Literal["allow", "block", "challenge", "redirect", "rate_limit", "tag"], OneOf()] = required(
        "allow and block end the judgement; challenge ends it for who has not passed one; redirect sends elsewhere; "
        "rate_limit counts, and ends it over the limit; tag marks the request for later rules."
    )
    limit: Limit | None = setting(None, "For rate_limit.")
    over: Annotated[Literal["limit", "challenge", "block"], OneOf()] = setting(
        "limit", "What rate_limit does over the limit: 429 with Retry-After; a challenge (429 for who solved one); 403."
    )
    redirect: Redirect | None = setting(None, "For redirect.")
    tags: Words = setting([], "For tag: what the request is marked with.")
    add_score: Score = setting(0, "For tag: what is added to the score.")
    without_javascript: Flag | None = setting(
        None, "For challenge: whether there is a way without JavaScript; null = engine.challenge.without_javascript."
    )
    dry_run: Flag = setting(False, "Only counted and logged, as if the rule were not there.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        found = [*self._unfitting()]
        if self.action != "tag" and (self.tags or self.add_score):
            found.append(Finding(("action",), self.action, "tag, because tags or add_score are given"))
        if self.action == "rate_limit" and self.match.rate is not None:
            found.append(Finding(("match", "rate"), {}, "nothing here: rate_limit counts by its own limit"))
        report(found)
        return self

    def _unfitting(self) -> Iterator[Finding]:
        """Keys that the action needs and has not, or has and does not need."""
        none = f"nothing, since the action is {self.action}"
        for action, key in (("rate_limit", "limit"), ("redirect", "redirect")):
            given = getattr(self, key) is not None
            if given and self.action != action:
                yield Finding((key,), {}, none)
            elif not given and self.action == action:
                yield Finding((key,), None, f"a mapping of keys, since the action is {action}")
        if self.action != "rate_limit" and "over" in self.model_fields_set:
            yield Finding(("over",), self.over, none)
        if self.without_javascript is not None and self.action != "challenge" and self.over != "challenge":
            yield Finding(
                ("without_javascript",), self.without_javascript, "nothing, since the rule does not challenge"
            )


Preset = Annotated[Literal["permissive", "moderate", "aggressive", "none"], OneOf()]


class SitePolicy(Section):
    """Another preset, and rules of their own, for some hosts."""

    hosts: Annotated[tuple[HostPattern, ...], BeforeValidator(_listed)] = required('Exact, "*.example.com" or "*".')
    preset: Preset = setting("moderate", "In the place of the file's preset.")
    disable: Words = setting([], "Names of rules of that preset that are left out.")
    rules: tuple[Rule, ...] = setting([], "Rules of these hosts, in order; they come before the file's.")


class PolicyFile(Section):
    """A whole policy file."""

    preset: Preset = setting("moderate", "The rules that follow the ones below; none = only the ones below.")
    disable: Words = setting([], "Names of rules of the preset that are left out.")
    dry_run: Flag = setting(False, "Judge, count and log, and allow everything.")
    sets: dict[Word, AddressSet] = setting({}, "Address sets by name.")
    rules: tuple[Rule, ...] = setting([], "Rules, in order; they come before the preset's.")
    sites: tuple[SitePolicy, ...] = setting([], "What is different for some hosts; the first that matches counts.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        count = len(self.rules) + sum(len(site.rules) for site in self.sites)
        found = [Finding(("rules",), count, f"at most {MAX_RULES} rules")] if count > MAX_RULES else []
        found += self._wrong(self.rules, (), set())
        for index, site in enumerate(self.sites):
            found += self._wrong(site.rules, ("sites", index), {rule.name for rule in self.rules})
        report(found)
        return self

    def _wrong(self, rules: tuple[Rule, ...], keys: tuple[str | int, ...], seen: set[str]) -> Iterator[Finding]:
        """Names that stand twice (`seen`: in rules that are asked together with these), sets that are not there."""
        expected = f"an address, a network or a set: {', '.join(sorted(self.sets)) or 'there is none'}"
        for index, rule in enumerate(rules):
            if rule.name in seen:
                yield Finding((*keys, "rules", index, "name"), rule.name, "a name that no other rule has")
            seen.add(rule.name)
            for inner, name in _set_names(rule.match):
                if name not in self.sets:
                    yield Finding((*keys, "rules", index, "match", *inner), name, expected)


def is_set_name(text: str) -> bool:
    """True for what stands in `address` and is no address: those have a . or a :"""
    return "." not in text and ":" not in text


def _set_names(match: Match, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every name of a set in a match, with the keys that lead to it."""
    for index, text in enumerate(match.address):
        if is_set_name(text):
            yield (*keys, "address", index), text
    for key in ("any_of", "none_of"):
        for index, inner in enumerate(getattr(match, key)):
            yield from _set_names(inner, (*keys, key, index))
