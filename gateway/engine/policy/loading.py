"""From a policy file to rules that can judge: the file, its preset, its address sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from gateway.config.reading import load_section
from gateway.engine.bots.document import read_networks
from gateway.engine.network import Network, Networks, parse_network
from gateway.engine.policy.condition import NamedSet, conditions, host_matcher
from gateway.engine.policy.judge import CompiledRule, Policy, SiteRules
from gateway.engine.policy.model import AddressSet, PolicyFile, Rule, SitePolicy
from gateway.errors import ConfigError, ConfigProblem, ListRefused

PRESETS = Path(__file__).parent / "preset"
BUILT_IN = "moderate"
MAX_LIST_BYTES = 8 * 1024 * 1024


class LoadedPolicy(NamedTuple):
    """A policy and what it was made of. `lists`: the sets that have URLs, by name; `files`: the lists that were read,
    to watch; `source`: its name for people; `sets`: all of them, as the rules look into them; `file`: as it was
    read."""

    policy: Policy
    lists: Mapping[str, FetchedSet]
    files: tuple[str, ...]
    source: str
    sets: Mapping[str, NamedSet]
    file: PolicyFile


class FetchedSet(NamedTuple):
    """A set that has URLs: `fixed` are its addresses and files; what is fetched is put on top of them."""

    settings: AddressSet
    target: NamedSet
    fixed: Networks


def load_policy(path: str | Path | None, *, without_javascript: bool = True) -> LoadedPolicy:
    """The policy of a file, None = the preset BUILT_IN alone.

    Raises ConfigError with one line for each problem: `FILE:LINE: key: got VALUE; expected ...`.
    """
    if path is None:
        return compile_policy(PolicyFile(), f"preset {BUILT_IN}", without_javascript=without_javascript)
    return compile_policy(read_policy_file(path), str(path), without_javascript=without_javascript)


def read_policy_file(path: str | Path) -> PolicyFile:
    """What is written in a file. Raises ConfigError as load_policy does, also for a file without any key: somebody is
    just writing it, and the preset alone is not what he means."""
    file = load_section(path, PolicyFile)
    if not file.model_fields_set:
        expected = "at least one, such as preset: moderate"
        raise ConfigError.of([ConfigProblem(str(path), None, "", "no key", expected)])
    return file


def compile_policy(file: PolicyFile, source: str, *, without_javascript: bool = True) -> LoadedPolicy:
    """Rules of a read file, the preset's behind its own. `source`: its name in messages. Raises ConfigError."""
    _check_disabled(file, source)
    for index, site in enumerate(file.sites):
        _check_disabled(site, source, f"sites[{index}].")
    fixed = {name: Networks(_networks(one, source, name)) for name, one in file.sets.items()}
    sets = {name: NamedSet(networks) for name, networks in fixed.items()}
    sites = tuple(
        SiteRules(host_matcher(site.hosts), compiled_rules(site, (*site.rules, *file.rules), sets))
        for site in file.sites
    )
    return LoadedPolicy(
        Policy(compiled_rules(file, file.rules, sets), without_javascript, file.dry_run, sites),
        {name: FetchedSet(one, sets[name], fixed[name]) for name, one in file.sets.items() if one.urls},
        tuple(listed for one in file.sets.values() for listed in one.files),
        source,
        sets,
        file,
    )


@lru_cache(maxsize=4)
def _preset(name: str) -> PolicyFile:
    return load_section(PRESETS / f"{name}.yaml", PolicyFile)


def compiled_rules(
    file: PolicyFile | SitePolicy, own: tuple[Rule, ...], sets: Mapping[str, NamedSet]
) -> tuple[CompiledRule, ...]:
    """`own` rules and a section's preset, ready to judge with. Raises KeyError for a set that is not there."""
    return tuple(
        CompiledRule(
            rule,
            conditions(rule.match, sets, strict=rule.action == "allow"),
            for_bots=bool(rule.match.bot) and "none" not in rule.match.bot,
        )
        for rule in _ordered(file, own)
    )


def _ordered(file: PolicyFile | SitePolicy, own: tuple[Rule, ...]) -> Iterable[Rule]:
    """`own`, then the preset's; a rule of the same name stands in the place of the preset's."""
    preset = () if file.preset == "none" else _preset(file.preset).rules
    places = {rule.name for rule in preset} - set(file.disable)
    named = {rule.name: rule for rule in own}
    yield from (rule for rule in own if rule.name not in places)
    yield from (named.get(rule.name, rule) for rule in preset if rule.name in places)


def _check_disabled(file: PolicyFile | SitePolicy, source: str, prefix: str = "") -> None:
    problems = []
    known = {rule.name for rule in _preset(file.preset).rules} if file.preset != "none" else set()
    for index, name in enumerate(file.disable):
        if name not in known:
            expected = f"a rule of the preset {file.preset}: {', '.join(sorted(known)) or 'it has none'}"
            problems.append(ConfigProblem(source, None, f"{prefix}disable[{index}]", repr(name), expected))
    if problems:
        raise ConfigError.of(problems)


def _networks(one: AddressSet, source: str, name: str) -> Iterable[Network]:
    yield from map(parse_network, one.addresses)
    for index, path in enumerate(one.files):
        try:
            yield from read_networks(_read(path))
        except (OSError, ListRefused) as error:
            reason = getattr(error, "strerror", None) or str(error)
            problem = ConfigProblem(source, None, f"sets.{name}.files[{index}]", f"{path!r} ({reason})", _LIST)
            raise ConfigError.of([problem]) from None


_LIST = f"a list of addresses and networks, text or JSON, at most {MAX_LIST_BYTES} bytes"


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        raw = file.read(MAX_LIST_BYTES + 1)
    if len(raw) > MAX_LIST_BYTES:
        raise ListRefused("too long")
    return raw
