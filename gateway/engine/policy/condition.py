"""The keys of a rule's `match` as functions of a request: all of them must hold.

`strict` is for rules that allow: there a path must match in every spelling, so that none of them lets more through than
was meant; everywhere else one spelling is enough, so that none of them passes a rule by. `none_of` turns it round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from gateway.engine.absurd import is_cut_path
from gateway.engine.network import Networks
from gateway.engine.policy.model import Match, is_set_name
from gateway.engine.request import Request

Condition = Callable[[Request], bool]


class NamedSet:
    """A named address set. `networks` is replaced whole when a file or a list changed."""

    __slots__ = ("networks",)

    def __init__(self, networks: Networks) -> None:
        self.networks = networks


class Conditions(NamedTuple):
    """`plain` need nothing but the request; `asking` hold only after it was asked who the visitor really is."""

    plain: tuple[Condition, ...]
    asking: tuple[Condition, ...]


def conditions(match: Match, sets: Mapping[str, NamedSet], *, strict: bool) -> Conditions:
    """The conditions of a match, cheap ones first. Raises KeyError for a set that is not there."""
    plain = [*_of_request(match, sets, strict=strict), *_of_visitor(match)]
    asking = list(_of_standing(match))
    for inner in match.none_of:
        plain_inner, asking_inner = conditions(inner, sets, strict=not strict)
        (asking if asking_inner else plain).append(_either([plain_inner + asking_inner], wanted=False))
    if match.any_of:
        choices = [conditions(inner, sets, strict=strict) for inner in match.any_of]
        asks = any(choice.asking for choice in choices)
        (asking if asks else plain).append(_either([one.plain + one.asking for one in choices], wanted=True))
    return Conditions(tuple(plain), tuple(asking))


def _of_request(match: Match, sets: Mapping[str, NamedSet], *, strict: bool) -> Iterable[Condition]:
    """What the request says about itself."""
    if match.method:
        methods = frozenset(match.method)
        yield lambda request: request.described.text("Method").upper() in methods
    if match.host:
        yield _host(match.host)
    if match.address:
        yield _address(match.address, sets)
    if match.path:
        yield _path(_search(match.path), strict=strict)
    if match.user_agent:
        user_agent = _search(match.user_agent)
        yield lambda request: user_agent(request.user_agent)
    for name, patterns in match.field.items():
        yield _field(name, _search(patterns))


def _of_visitor(match: Match) -> Iterable[Condition]:
    """What was found out about the visitor."""
    if match.session:
        kinds = frozenset(match.session)
        yield lambda request: request.session.kind in kinds
    if match.bot:
        yield _bot(frozenset(match.bot))
    if match.bot_name:
        name = _search(match.bot_name)
        yield lambda request: request.bot is not None and name(request.bot.name)
    if match.absurd is not None:
        wanted = match.absurd
        yield lambda request: bool(request.absurdity) is wanted
    if match.tag:
        tags = frozenset(match.tag)
        yield lambda request: not tags.isdisjoint(request.tags)
    if match.score is not None:
        least = match.score
        yield lambda request: request.score >= least
    if match.finding:
        findings = frozenset(match.finding)
        yield lambda request: not findings.isdisjoint(request.inspection.findings)


def _of_standing(match: Match) -> Iterable[Condition]:
    if match.claim:
        claims = frozenset(match.claim)
        yield lambda request: request.standing in claims
    if match.signed_by:
        matches = host_matcher(match.signed_by)
        yield lambda request: request.signed_by != "" and matches(request.signed_by)


def _either(choices: list[tuple[Condition, ...]], *, wanted: bool) -> Condition:
    def holds(request: Request) -> bool:
        return any(all(condition(request) for condition in choice) for choice in choices) is wanted

    return holds


def _search(patterns: Iterable[str]) -> Callable[[str], bool]:
    searches = [re.compile(pattern, re.ASCII).search for pattern in patterns]
    if len(searches) == 1:
        only = searches[0]
        return lambda text: only(text) is not None
    return lambda text: any(search(text) is not None for search in searches)


def _path(search: Callable[[str], bool], *, strict: bool) -> Condition:
    """A path that was cut may be any: it matches where that stops somebody, never where it lets somebody through."""
    if strict:
        return lambda request: (
            search(request.raw_path)
            and (request.raw_path == request.path or search(request.path))
            and not is_cut_path(request.target)
        )
    return lambda request: (
        search(request.raw_path)
        or (request.raw_path != request.path and search(request.path))
        or is_cut_path(request.target)
    )


def _field(name: str, search: Callable[[str], bool]) -> Condition:
    return lambda request: search(str(request.described.fields.get(name, "")))


def _bot(classes: frozenset[str]) -> Condition:
    def holds(request: Request) -> bool:
        bot = request.bot
        if bot is None:
            return "none" in classes
        return "any" in classes or bot.bot_class in classes

    return holds


def _host(patterns: tuple[str, ...]) -> Condition:
    matches = host_matcher(patterns)
    return lambda request: matches(request.host)


def host_matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    exact = frozenset(pattern for pattern in patterns if not pattern.startswith("*"))
    endings = tuple(pattern[1:] for pattern in patterns if pattern.startswith("*"))  # "" of "*": any
    return lambda host: host in exact or host.endswith(endings)


def _address(names: tuple[str, ...], sets: Mapping[str, NamedSet]) -> Condition:
    """Sets by name, everything else is a network."""
    named = [sets[name] for name in names if is_set_name(name)]
    own = Networks.parse(name for name in names if not is_set_name(name))
    if not named:
        return lambda request: own.holds(request.where)
    return lambda request: own.holds(request.where) or any(one.networks.holds(request.where) for one in named)
