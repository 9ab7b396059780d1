"""How each provider starts a scan."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.config.access import load_sites
from gateway.errors import PlatformError, PostureUsage, WaitExpired
from gateway.posture.operation.desk import Desk
from gateway.posture.operation.domain import canonical
from gateway.posture.operation.waiting import wait_until
from gateway.posture.scan import Scan

TYPES = {
    "ddactic": ("passive", "active", "full"),
    "cypersecurity": ("nmap", "zap", "sqlmap"),
    "securityspace": ("advanced", "standard", "norisk", "desktop", "basic"),
    "embedded": ("passive", "active", "full"),
}
"""The first one is the default, but SecuritySpace has none."""
_LISTED_WITHIN_S = 6.0
"""How long a new SecuritySpace audit is looked for in the audit list."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to start. type: None = the provider's default; options: CyperSecurity's; _OPTIONS names the others."""

    target: str
    type: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    webhook_url: str | None = None
    exclude_dos: bool = False
    notify: bool = False


_OPTIONS = {
    "options": ("--option", "cypersecurity"),
    "webhook_url": ("--webhook-url", "ddactic"),
    "exclude_dos": ("--exclude-dos", "securityspace"),
    "notify": ("--notify", "securityspace"),
}
"""Field -> (the option that sets it, the only provider that has it)."""


def read_option(text: str) -> tuple[str, Any]:
    """(key, value) of KEY=VALUE: true, false and integers are what they say, the rest is text. Raises PostureUsage."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise PostureUsage(f"--option: got {text[:60]!r}; expected KEY=VALUE")
    if value in ("true", "false"):
        return key, value == "true"
    return key, int(value) if re.fullmatch("-?[0-9]{1,18}", value) else value


async def start_scan(desk: Desk, provider: str, wanted: Wanted) -> tuple[Scan, tuple[str, ...]]:
    """(the scan, ids of further ones that the same call started). Its id is None if the platform does not tell it.
    An embedded one is over, and stored. Raises PlatformError, ScanFailed, PostureUsage."""
    return await _STARTERS[provider](desk, wanted)


def checked(provider: str, wanted: Wanted) -> Wanted:
    """With the default type filled in. Raises PostureUsage for a type or an option that the provider does not have."""
    for name, (option, owner) in _OPTIONS.items():
        if getattr(wanted, name) not in (None, False, {}) and owner != provider:
            raise PostureUsage(f"{option} is for {owner}, and not for {provider}")
    types = TYPES[provider]
    if wanted.type is None and provider == "securityspace":
        raise PostureUsage(f"--type is needed: {', '.join(types)}")
    if wanted.type is not None and wanted.type not in types:
        raise PostureUsage(f"--type: got {wanted.type[:60]!r}; {provider} has {', '.join(types)}")
    return replace(wanted, type=wanted.type or types[0])


async def _start_ddactic(desk: Desk, wanted: Wanted) -> tuple[Scan, tuple[str, ...]]:
    client = desk.ddactic
    url = webhook_url(desk, "ddactic") if wanted.webhook_url is None else wanted.webhook_url
    assert wanted.type is not None
    client.check_scan(type=wanted.type, webhook_url=url)  # before the domains are asked for
    domain_id, name = wanted.target, None
    if not wanted.target.startswith("dom_"):
        domain_id, name = await _domain_id(desk, wanted.target), canonical(wanted.target)
    scan = await client.start_scan(domain_id, type=wanted.type, webhook_url=url)
    return replace(scan, target=scan.target or name, type=scan.type or wanted.type), ()


async def _domain_id(desk: Desk, name: str) -> str:
    wanted = canonical(name)
    async for domain in desk.ddactic.domains():
        if canonical(domain.name) == wanted:
            return domain.id
    raise PlatformError("ddactic", "GET /domains", f"no domain {name[:80]!r}; add it: gateway posture domains add")


def webhook_url(desk: Desk, provider: str) -> str | None:
    """What the platform is told to call; None without posture.webhooks.public_url."""
    webhooks = desk.posture.webhooks
    if webhooks is None or webhooks.public_url is None:
        return None
    return f"{webhooks.public_url.rstrip('/')}/webhooks/{provider}"


async def _start_cypersecurity(desk: Desk, wanted: Wanted) -> tuple[Scan, tuple[str, ...]]:
    assert wanted.type is not None
    return await desk.cypersecurity.start_scan(wanted.target, type=wanted.type, options=wanted.options or None), ()


async def _start_securityspace(desk: Desk, wanted: Wanted) -> tuple[Scan, tuple[str, ...]]:
    """The call's answer has no id: the audit list is read before and after it."""
    client, address = desk.securityspace, None if wanted.target == "self" else wanted.target
    assert wanted.type is not None
    client.check_audit(address, type=wanted.type)  # before the list is asked for
    known = {scan.id for scan in await client.audits()}
    await client.run_audit(address, type=wanted.type, exclude_dos=wanted.exclude_dos, notify=wanted.notify)
    try:
        new = await wait_until(
            lambda: _new_audits(desk, known, address), what="the new audit is not listed", timeout_s=_LISTED_WITHIN_S,
            manner=client.caller.manner, clock=desk.clock,
        )  # fmt: skip
    except PlatformError:
        desk.audience.on_note("securityspace: the audit was taken, but the audit list cannot be read: look there first")
        raise
    except WaitExpired as error:
        desk.audience.on_note(f"securityspace: the audit was taken, but {error}: its id is not known")
        return Scan(None, "securityspace", address, wanted.type, "queued"), ()
    return replace(new[0], type=new[0].type or wanted.type), tuple(str(scan.id) for scan in new[1:])


async def _new_audits(desk: Desk, known: set[str | None], address: str | None) -> list[Scan] | None:
    new = [scan for scan in await desk.securityspace.audits() if scan.id not in known and _is_for(scan, address)]
    return sorted(new, key=lambda scan: (scan.created_at or "", scan.id or "")) or None


def _is_for(scan: Scan, address: str | None) -> bool:
    """True if the audit is of the address, or of one that the ranges and wildcards cover; of "self", any."""
    if address is None or scan.target is None or scan.target == address:
        return True
    return any(_covers(one.strip(), scan.target) for one in address.split(","))


def _covers(pattern: str, address: str) -> bool:
    """192.168.1.* and 10.1.1-2.32-63 cover an address octet by octet (SecuritySpace's REST API Guide, saRunAudit)."""
    parts, octets = pattern.split("."), address.split(".")
    if pattern == address:
        return True
    if len(parts) == len(octets) == 4:
        return all(map(_in_range, parts, octets))
    try:
        return ipaddress.ip_address(pattern) == ipaddress.ip_address(address)
    except ValueError:
        return False


def _in_range(part: str, octet: str) -> bool:
    match = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", "0-255" if part == "*" else part)
    return match is not None and octet.isdecimal() and int(match[1]) <= int(octet) <= int(match[2] or match[1])


async def _start_embedded(desk: Desk, wanted: Wanted) -> tuple[Scan, tuple[str, ...]]:
    """Runs to its end: what it found is stored here."""
    from gateway.posture.assessment import assess, find_target

    platform = desk.posture.providers.embedded
    target = find_target(wanted.target, platform, load_sites(desk.file), desk.posture.gateway)
    assert wanted.type is not None
    result = await assess(target, wanted.type, platform, watcher=desk.watcher, clock=desk.clock)
    desk.store.put_result(result.scan, result.findings)
    return result.scan, ()


_STARTERS: dict[str, Callable[[Desk, Wanted], Awaitable[tuple[Scan, tuple[str, ...]]]]] = {
    "ddactic": _start_ddactic,
    "cypersecurity": _start_cypersecurity,
    "securityspace": _start_securityspace,
    "embedded": _start_embedded,
}
