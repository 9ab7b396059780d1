"""Patches over a policy: paths that nobody reaches, and hosts with a stricter preset, for a while.

A host with patches gets a policy of its own; all others are judged by the policy as it is. Who takes a patch away when
its time is over makes another one of these (`service.patches`): nothing here looks at a clock.

A path is blocked by a rule before all others, `patch-NAME`. A raised preset takes the place of the host's; those of its
rules that the former one has not, or has otherwise, are called `patch-NAME.RULE`, so that figures and logs say what the
patch did. On a dry run of it each request is judged twice, the second time by a copy that counts apart; what would have
come of it is counted as `patch-NAME` where it is something else.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping
from copy import copy
from typing import NamedTuple

from gateway.config.patch import Patch
from gateway.engine.absurd import is_cut_path
from gateway.engine.path import folded, normalised
from gateway.engine.policy.condition import Condition, Conditions, host_matcher
from gateway.engine.policy.judge import CompiledRule, Judgement, Judging, Policy
from gateway.engine.policy.loading import LoadedPolicy, compiled_rules
from gateway.engine.policy.model import PRESETS, PolicyFile, Rule, SitePolicy
from gateway.engine.question import Question, Reply
from gateway.engine.request import Request
from gateway.engine.verdict import Verdict

PREFIX = "patch-"
_STRICTNESS = {preset: rank for rank, preset in enumerate(("none", *PRESETS))}


class PatchedPolicy(NamedTuple):
    """`hosts`: host -> who judges its requests; `policy`: everybody else's."""

    policy: Policy
    hosts: Mapping[str, Judging]

    def judge(self, request: Request) -> Judgement:
        """As Policy.judge."""
        return (self.hosts.get(request.host) or self.policy).judge(request)


class Trial(NamedTuple):
    """A policy, and another one on a dry run. `rule`: the name of what that would do."""

    policy: Policy
    tried: Policy
    rule: str

    def judge(self, request: Request) -> Generator[Question, Reply, Verdict]:
        """The policy's verdict, and in `dry` what the other one would decide, if that is something else."""
        view = copy(request)
        view.tags = set(request.tags)
        tried = yield from self.tried.judge(view)
        request.is_established = view.is_established  # asked once
        request.standing, request.signed_by = view.standing, view.signed_by
        verdict = yield from self.policy.judge(request)
        if tried.action == verdict.action:
            return verdict
        return verdict._replace(dry=(*verdict.dry, (self.rule, tried.action)))


def patched(loaded: LoadedPolicy, patches: Iterable[Patch]) -> Judging:
    """The policy with patches, all of which are in force; without any it is the policy itself."""
    by_host: dict[str, list[Patch]] = {}
    for patch in patches:
        by_host.setdefault(patch.host, []).append(patch)
    if not by_host:
        return loaded.policy
    return PatchedPolicy(loaded.policy, {host: _Host(loaded, host, own).judging() for host, own in by_host.items()})


class _Host:
    """One host, and what is changed for it."""

    def __init__(self, loaded: LoadedPolicy, host: str, patches: list[Patch]) -> None:
        self._loaded = loaded
        self._patches = patches
        self._section, self._own = _section(loaded.file, host)
        self._rules = loaded.policy.rules_for(host)

    def judging(self) -> Judging:
        blocks = tuple(_blocks(self._patches))
        raising, trying = self._strictest(dry_run=False), self._strictest(dry_run=True)
        rules = self._rules if raising is None else self._raised(raising)
        policy = self._policy((*blocks, *rules))
        if trying is None or not _is_stricter(trying, raising):
            return policy
        tried = tuple(_renamed(rule, trying) for rule in self._raised(trying))
        return Trial(policy, self._policy((*blocks, *tried)), PREFIX + trying.name)

    def _policy(self, rules: tuple[CompiledRule, ...]) -> Policy:
        whole = self._loaded.policy
        return Policy(rules, whole.without_javascript, whole.dry_run)

    def _strictest(self, *, dry_run: bool) -> Patch | None:
        """The one with the strictest preset, if that is stricter than the host's; of equal ones the first."""
        found = [one for one in self._patches if one.do == "raise_preset" and one.dry_run is dry_run]
        best = max(found, key=lambda one: _STRICTNESS[str(one.preset)], default=None)
        if best is None or _STRICTNESS[str(best.preset)] <= _STRICTNESS[self._section.preset]:
            return None
        return best

    def _raised(self, patch: Patch) -> tuple[CompiledRule, ...]:
        """The host's rules with the patch's preset. What is disabled stays disabled."""
        former = {one.rule.name: one.rule for one in self._rules}
        section = self._section.model_copy(update={"preset": patch.preset})
        return tuple(
            one if former.get(one.rule.name) == one.rule else _renamed(one, patch)
            for one in compiled_rules(section, self._own, self._loaded.sets)
        )


def _section(file: PolicyFile, host: str) -> tuple[PolicyFile | SitePolicy, tuple[Rule, ...]]:
    """(what a host's preset stands in, the host's own rules)"""
    for site in file.sites:
        if host_matcher(site.hosts)(host):
            return site, (*site.rules, *file.rules)
    return file, file.rules


def _is_stricter(patch: Patch, other: Patch | None) -> bool:
    return other is None or _STRICTNESS[str(patch.preset)] > _STRICTNESS[str(other.preset)]


def _renamed(one: CompiledRule, patch: Patch) -> CompiledRule:
    """With another name its limit is counted apart, too."""
    if one.rule.name.startswith(f"{PREFIX}{patch.name}."):
        return one
    return one._replace(rule=one.rule.model_copy(update={"name": f"{PREFIX}{patch.name}.{one.rule.name}"}))


def _blocks(patches: Iterable[Patch]) -> Iterable[CompiledRule]:
    """One rule for all paths of one name. What is enforced comes first: after it, nothing is left to try."""
    paths: dict[tuple[bool, str], list[str]] = {}
    for patch in patches:
        if patch.do == "block_path":
            paths.setdefault((patch.dry_run, patch.name), []).extend(patch.paths)
    for (dry_run, name), blocked in sorted(paths.items(), key=lambda item: item[0][0]):
        rule = Rule(name=PREFIX + name, action="block").model_copy(update={"dry_run": dry_run})
        yield CompiledRule(rule, Conditions((_under(blocked),), ()))


def _under(paths: Iterable[str]) -> Condition:
    """Holds for what is one of the paths or under one, by any of its names; and for a path that climbs or was cut,
    which may be any (as in `condition`). For nothing if none of the paths names anything: that would be everything."""
    blocked = sorted({folded(normalised(path)) for path in paths} - {""})
    if "/" in blocked:
        return lambda request: True
    if not blocked:
        return lambda request: False
    begins = re.compile(f"(?:{'|'.join(map(re.escape, blocked))})(?:/|\\Z)").match

    def holds(request: Request) -> bool:
        path = folded(request.raw_path)
        if not path or begins(path) is not None or is_cut_path(request.target):
            return True
        return ":" in path and begins(folded(request.raw_path, streams=True)) is not None

    return holds
