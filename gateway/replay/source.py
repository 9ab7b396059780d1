"""A policy as it is named on the command line: a file, or a preset."""

from __future__ import annotations

from typing import NamedTuple

from gateway.engine.policy.judge import CompiledRule
from gateway.engine.policy.loading import LoadedPolicy, compile_policy, read_policy_file
from gateway.engine.policy.model import PRESETS, PolicyFile, SitePolicy


class NamedPolicy(NamedTuple):
    """`name`: as it was typed; `file`: what is written in it, without the preset's rules; `loaded`: all of it."""

    name: str
    file: PolicyFile
    loaded: LoadedPolicy


class RuleRow(NamedTuple):
    """A rule in force. `number`: from 1, for each of the `hosts`, "" = all that no site names; `origin`: `file` or
    `preset NAME`."""

    number: int
    name: str
    action: str
    origin: str
    dry_run: bool
    hosts: str = ""


def read_policy(name: str) -> NamedPolicy:
    """The policy of a preset's name (`permissive`, `moderate`, `aggressive`; a file of that name is `./moderate`) or of
    a file. Raises ConfigError with one line for each problem."""
    if name in PRESETS:
        file = PolicyFile.model_validate({"preset": name})
        return NamedPolicy(name, file, compile_policy(file, f"preset {name}"))
    file = read_policy_file(name)
    return NamedPolicy(name, file, compile_policy(file, name))


def rule_rows(policy: NamedPolicy) -> list[RuleRow]:
    """The rules in the order in which they are asked, those of sites behind the others."""
    file, rules = policy.file, policy.loaded.policy
    rows = _rows(file, file, rules.rules, "")
    for site, compiled in zip(file.sites, rules.sites, strict=True):
        rows += _rows(file, site, compiled.rules, " ".join(site.hosts))
    return rows


def _rows(
    file: PolicyFile, part: PolicyFile | SitePolicy, rules: tuple[CompiledRule, ...], hosts: str
) -> list[RuleRow]:
    own = {rule.name for rule in (*file.rules, *part.rules)}
    return [
        RuleRow(
            number, rule.name, rule.action, "file" if rule.name in own else f"preset {part.preset}",
            rule.dry_run or file.dry_run, hosts,
        )
        for number, (rule, *_) in enumerate(rules, 1)
    ]  # fmt: skip
