"""From open findings to patches (`posture.actions`). Pure.

For each finding the rules are asked in their order. The first that matches it and can act on it makes patches, one for
each host that the finding is about; so does every rule on a dry run before it. What a rule that matches cannot do is
said with the reason, so that nobody takes a site for patched that is not.

A finding comes from outside, and so do its asset and its raw fields: it can name a path, and nothing else. What is
touched are the gateway's own hosts, and `/` only where the operator wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, NamedTuple, Protocol

from gateway.config.address import parse_host_pattern
from gateway.config.patch import MAX_PATCHES, MAX_PATH_CHARACTERS, Patch, PatchedFinding
from gateway.config.posture import Action
from gateway.engine.path import folded, normalised
from gateway.posture.finding import PLACE_KEYS, Finding
from gateway.posture.moment import iso, seconds
from gateway.posture.severity import is_at_least, rank


class Sites(Protocol):
    """Which hosts are ours: posture.site.OwnSites."""

    def has(self, host: str) -> bool: ...

    def unchecked(self, host: str, path: str) -> str | None: ...

    def gap(self, host: str, path: str) -> tuple[str, str] | None: ...


class Skipped(NamedTuple):
    """A rule that matches a finding and does nothing about it. `rule`: its name; `why`: in words."""

    finding: Finding
    rule: str
    why: str


class Weak(NamedTuple):
    """A patch that some requests may pass by. `why`: in words, and what to do about it."""

    patch: Patch
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What should be in force. `open`: fingerprints of all findings that there are, to tell why a patch has ended."""

    patches: tuple[Patch, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    open: frozenset[str] = frozenset()
    weak: tuple[Weak, ...] = ()


class Located(NamedTuple):
    """An open finding, and the target of its scan."""

    finding: Finding
    target: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one patch, and why."""

    event: Literal["started", "changed", "ended", "expired"]
    reason: str
    patch: Patch

    def as_record(self, now_s: float) -> dict[str, Any]:
        """For the store: at, event, reason, and the patch in the words of its file."""
        return {"at": iso(now_s), "event": self.event, "reason": self.reason, **self.patch.model_dump(mode="json")}


def plan(rules: Sequence[Action], found: Iterable[Located], sites: Sites, now_s: float) -> Plan:
    """The patches of all findings: of each provider the worst finding's and the oldest one's first, the providers in
    turn, so that none of them crowds out another. At most MAX_PATCHES, those over it are skipped. The same findings
    give the same plan, in whatever order they come."""
    ordered = sorted(found, key=_order)
    asked: dict[_Key, tuple[Finding, Patch]] = {}
    skipped: list[Skipped] = []
    for located in ordered:
        for act in _acts(rules, located, sites, now_s):
            skipped += [Skipped(located.finding, act.rule.name, why) for why in act.why]
            for patch in act.patches:
                finding, former = asked.get(patch.key, (located.finding, patch))
                asked[patch.key] = finding, max(former, patch, key=lambda one: one.until)
    taken = _in_turn(asked)
    skipped += [Skipped(finding, patch.name, TOO_MANY) for finding, patch in taken[MAX_PATCHES:]]
    patches = tuple(patch for _, patch in taken[:MAX_PATCHES])
    known = frozenset(one.finding.fingerprint for one in ordered)
    return Plan(patches, tuple(skipped), known, tuple(_weak(patches, sites)))


_Key = tuple[str, str, str]


def _in_turn(asked: Mapping[_Key, tuple[Finding, Patch]]) -> list[tuple[Finding, Patch]]:
    """The first of each provider, then the second of each, ..."""
    queues: dict[str, list[tuple[Finding, Patch]]] = {}
    for one in asked.values():
        queues.setdefault(one[0].provider, []).append(one)
    return [one for turn in zip_longest(*queues.values()) for one in turn if one is not None]


def _weak(patches: Iterable[Patch], sites: Sites) -> Iterator[Weak]:
    """Patches that leave a way round, as far as the gateway's own configuration tells."""
    for patch in patches:
        gaps = [(path, gap) for path in patch.paths if (gap := sites.gap(patch.host, path)) is not None]
        if gaps:
            path, (name, reason) = gaps[0]
            yield Weak(patch, _WAY_ROUND.format(name=name, reason=reason, path=path))


def changes(before: Sequence[Patch], after: Plan, now_s: float) -> list[Change]:
    """What is different, each with its reason: first what is over, then what began."""
    former, later = {patch.key: patch for patch in before}, {patch.key: patch for patch in after.patches}
    over = [_over(patch, after.open, now_s) for key, patch in former.items() if key not in later]
    begun = [Change("started", _reason(patch), patch) for key, patch in later.items() if key not in former]
    other = [
        Change("changed", "the rule or the finding says something else", patch)
        for key, patch in later.items() if key in former and former[key] != patch
    ]  # fmt: skip
    return [*over, *other, *begun]


def _order(located: Located) -> tuple[Any, ...]:
    finding = located.finding
    return rank(finding.severity), finding.first_seen or "~", finding.fingerprint, finding.scan, finding.id


def _over(patch: Patch, open_fingerprints: frozenset[str], now_s: float) -> Change:
    if patch.until_s <= now_s:
        return Change("expired", "its time is over", patch)
    if patch.finding.fingerprint not in open_fingerprints:
        return Change("ended", "the finding is closed", patch)
    return Change("ended", "no rule asks for it any more", patch)


def _reason(patch: Patch) -> str:
    return f"{patch.finding.provider} found: {patch.finding.title}"


class _Act(NamedTuple):
    """What one rule does about one finding. `why`: what of it it cannot do."""

    rule: Action
    patches: tuple[Patch, ...]
    why: tuple[str, ...]


def _acts(rules: Sequence[Action], located: Located, sites: Sites, now_s: float) -> Iterator[_Act]:
    """Of each rule that matches, up to the first that can act and is no dry run. One whose time is over has acted."""
    finding = located.finding
    since_s = seconds(finding.last_seen or finding.first_seen or iso(now_s))
    for rule in rules:
        if not _matches(rule, located):
            continue
        act = _act(rule, located, sites, iso(since_s + rule.expires))
        can_act = bool(act.patches)
        yield act if now_s < int(since_s + rule.expires) else _Act(rule, (), act.why)
        if can_act and not rule.dry_run:
            return


def _matches(rule: Action, located: Located) -> bool:
    match, finding = rule.match, located.finding
    if not is_at_least(finding.severity, match.severity):
        return False
    if match.providers and finding.provider not in match.providers:
        return False
    if match.titles and not any(re.search(title, text) for title in match.titles for text in _named(finding)):
        return False
    host = host_of(located)
    return not match.hosts or host is None or is_address(host) or host in match.hosts


def _named(finding: Finding) -> set[str]:
    return {finding.title[:_TITLE_CHARACTERS], finding.kind[:_TITLE_CHARACTERS]}


def _act(rule: Action, located: Located, sites: Sites, until: str) -> _Act:
    hosts, why = _hosts(rule, located, sites)
    patches = []
    for host in hosts:
        paths, reasons = _paths(rule, located, host, sites) if rule.do == "block_path" else _no_paths(host, sites)
        why += reasons
        if paths or (rule.do == "raise_preset" and not reasons):
            patches.append(_patch(rule, located.finding, host, paths, until))
    return _Act(rule, tuple(patches), tuple(why))


def _patch(rule: Action, finding: Finding, host: str, paths: Sequence[str], until: str) -> Patch:
    why = {
        "fingerprint": finding.fingerprint,
        "provider": finding.provider,
        "id": _printable(finding.id),
        "title": _printable(finding.title),
    }
    return Patch(
        name=rule.name, finding=PatchedFinding(**why), host=host, do=rule.do, paths=tuple(paths),
        preset=rule.preset if rule.do == "raise_preset" else None, until=until, dry_run=rule.dry_run,
    )  # fmt: skip


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:_NAME_CHARACTERS])


# -- where


def host_of(located: Located) -> str | None:
    """The host that a finding is about, as `sites` would name it: of its asset, else of its scan's target. An IPv6
    address has brackets. None if neither is a host, an address or a URL."""
    for text in (located.finding.asset, located.target or ""):
        host = _split(text)[0]
        if host is not None:
            return host
    return None


def is_address(host: str) -> bool:
    """True for an IP address as `host_of` gives it."""
    return host.startswith("[") or host.replace(".", "").isdigit()


def _hosts(rule: Action, located: Located, sites: Sites) -> tuple[Sequence[str], list[str]]:
    """(hosts to act on, why not on others)"""
    host = host_of(located)
    if host is None:
        return (), ["neither the finding nor its scan names a host"]
    named = rule.match.hosts
    if sites.has(host) and (not named or host in named):
        return (host,), []
    if not is_address(host):
        return (), [f"{host} is no host of sites"]
    if not named:
        return (), [f"it is about the address {host}: name the hosts that it counts for in match.hosts"]
    own = [each for each in named if sites.has(each)]
    return own, [f"{each} is no host of sites" for each in named if each not in own]


def _no_paths(host: str, sites: Sites) -> tuple[Sequence[str], list[str]]:
    """Of a rule for a whole host."""
    return (), _unchecked(host, "/", sites, only=("off",))


def _paths(rule: Action, located: Located, host: str, sites: Sites) -> tuple[Sequence[str], list[str]]:
    """(paths to block, why not others). What the gateway does not ask the engine about is not blocked by it."""
    found = [normalised(path) for path in rule.paths]
    if not found:
        path = path_of(located.finding, host)
        unusable = _unusable(path)
        if unusable:
            return (), [unusable]
        found = [str(path)]
    why = {path: _unchecked(host, path, sites) or _unclear(path) for path in found}
    return sorted({path for path in found if not why[path]}), [reason for reasons in why.values() for reason in reasons]


def _unclear(path: str) -> list[str]:
    """Of a path that only the configuration's words are clear about."""
    is_clear = path == "/" or not {"", "/"} & {*_forms(path)}
    return [] if is_clear else [f"{path} is none that can be blocked"]


def _unusable(path: str | None) -> str:
    """Why a finding's path is not blocked, "" if it may be."""
    if path is None:
        return "the finding names no path"
    forms = _forms(path)
    if "/" in forms:
        return "the finding names no path but /: list it in paths to block the whole host"
    if "" in forms or len(path) > MAX_PATH_CHARACTERS or not path.isprintable():
        return "the finding's path is none that can be blocked"
    return ""


def _forms(path: str) -> tuple[str, str]:
    """What an origin may take it for, and what the engine takes it for, which reads its spellings away once more."""
    return folded(path), folded(normalised(path))


def _unchecked(host: str, path: str, sites: Sites, only: Sequence[str] = ()) -> list[str]:
    reason = sites.unchecked(host, path)
    if reason is None or (only and reason not in only):
        return []
    if reason == "unreachable":
        return [f"no site of {host} serves {path}"]
    return [f"the gateway does not check {path} of {host} ({reason}), so nothing can block it there"]


def path_of(finding: Finding, host: str) -> str | None:
    """The path that a finding is about, normalised and without query: of its asset if that is a URL, else of PLACE_KEYS
    of its raw object, each a path or a URL of the host. One that is more than `/` goes before one that is not; None
    without any."""
    raw: Mapping[Any, Any] = finding.raw if isinstance(finding.raw, Mapping) else {}
    texts = [finding.asset, *(raw.get(key) for key in PLACE_KEYS)]
    paths = [path for text in texts if isinstance(text, str) and (path := _path_in(text, host)) is not None]
    return next((path for path in paths if path != "/"), paths[0] if paths else None)


def _path_in(text: str, host: str) -> str | None:
    if text.startswith("/") and not text.startswith("//"):
        return normalised(_QUERY.split(text, maxsplit=1)[0])
    named, path = _split(text)
    return normalised(path) if path and named == host else None


def _split(text: str) -> tuple[str | None, str]:
    """(host, path) of a host, an address, HOST:PORT, HOST/PATH or a URL; None if it is none of them."""
    rest = _SCHEME.sub("", text.strip())
    authority, slash, path = _QUERY.split(rest, maxsplit=1)[0].partition("/")
    name = authority.rpartition("@")[2]
    bare = f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else _PORT.sub("", name)
    try:
        host = parse_host_pattern(bare.removesuffix("."))
    except ValueError:
        return None, ""
    return (None if host.startswith("*") else host), slash + path


_SCHEME = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]{0,20}://")
_QUERY = re.compile("[?#]")
_PORT = re.compile(r":\d*\Z")
_TITLE_CHARACTERS = 1000  # searched with an operator's expressions
_NAME_CHARACTERS = 300
_WAY_ROUND = (
    "the gateway does not check GET {name} ({reason}): an origin that answers that as {path} can still be reached; "
    "with protection.exclude_static: false for this site it is blocked"
)
TOO_MANY = f"there are {MAX_PATCHES} patches already, which is the limit"
