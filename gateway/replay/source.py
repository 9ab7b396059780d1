"""A policy as it is named on the command line: a file, or a preset."""

from __future__ import annotations

from typing import NamedTuple

from gateway.config.loading import load_section
from gateway.engine.policy.loading import LoadedPolicy, compile_policy
from gateway.engine.policy.model import PRESETS, PolicyFile


class NamedPolicy(NamedTuple):
    """`name`: as it was typed; `file`: what is written in it, without the preset's rules; `loaded`: all of it."""

    name: str
    file: PolicyFile
    loaded: LoadedPolicy


class RuleRow(NamedTuple):
    """A rule in force. `number`: from 1; `origin`: `file` or `preset NAME`."""

    number: int
    name: str
    action: str
    origin: str
    dry_run: bool


def read_policy(name: str) -> NamedPolicy:
    """The policy of a preset's name (`permissive`, `moderate`, `aggressive`; a file of that name is `./moderate`) or of
    a file. Raises ConfigError with one line for each problem."""
    if name in PRESETS:
        file = PolicyFile.model_validate({"preset": name})
        return NamedPolicy(name, file, compile_policy(file, f"preset {name}"))
    file = load_section(name, PolicyFile)
    return NamedPolicy(name, file, compile_policy(file, name))


def rule_rows(policy: NamedPolicy) -> list[RuleRow]:
    """The rules in the order in which they are asked."""
    own = {rule.name for rule in policy.file.rules}
    return [
        RuleRow(
            number, rule.name, rule.action, "file" if rule.name in own else f"preset {policy.file.preset}",
            rule.dry_run or policy.file.dry_run,
        )
        for number, (rule, _) in enumerate(policy.loaded.policy.rules, 1)
    ]  # fmt: skip
