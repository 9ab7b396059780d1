"""An assessment as a whole: which probes are made, in which order, and what they make of a site.

Theory of operation. The site's page and a page that is not there are asked for once; most probes only judge these
answers. A page that is not answered with HTTP ends the assessment: then there is nothing to judge. Every probe gives a
Verdict; those that could not be done stand in the scan's raw with the reason, and are no findings and no passes.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from gateway.config.posture import EmbeddedPlatform
from gateway.errors import PostureUsage, ScanFailed
from gateway.posture.assessment.around import find_ways, probe_around
from gateway.posture.assessment.burst import probe_burst
from gateway.posture.assessment.catalogue import BY_ID, Kind
from gateway.posture.assessment.certificate import judge_expiry, judge_trust, look, verifying_context
from gateway.posture.assessment.cookie import judge_cookies
from gateway.posture.assessment.header import JUDGES, values
from gateway.posture.assessment.leak import judge_leak
from gateway.posture.assessment.raw_probe import probe_old_tls, probe_slow_head
from gateway.posture.assessment.target import Target, beside
from gateway.posture.assessment.verdict import Verdict, found, not_done, ok
from gateway.posture.assessment.visitor import Reply, Unanswered, Visitor
from gateway.posture.finding import Finding, Remediation
from gateway.posture.moment import iso
from gateway.posture.remedy import origin_exposed
from gateway.posture.scan import Counts, Scan, ScanResult
from gateway.posture.severity import Severity, rank
from gateway.posture.watching import Clock, Watcher

TYPES = ("passive", "active", "full")
_SHARES: dict[Severity, float] = {"critical": 0.9, "high": 0.6, "medium": 0.3, "low": 0.1, "info": 0.0}
_NO_TLS = "the url is not https"

Verdicts = dict[str, Verdict]


@dataclass(frozen=True, slots=True)
class Means:
    """What every probe needs."""

    target: Target
    platform: EmbeddedPlatform
    visitor: Visitor
    watcher: Watcher
    clock: Clock
    page: Reply


async def assess(
    target: Target, type: str, platform: EmbeddedPlatform, *, watcher: Watcher | None = None,
    clock: Clock | None = None,
) -> ScanResult:
    """A completed scan of one's own site, with its findings, the worst first. type: passive, active or full (both).

    watcher, clock: as those of `gateway.posture.client`; None = nobody is told, and the time of this machine.
    Passive makes a handful of requests; active sends `platform.burst` requests at once and holds a connection for up
    to `platform.slow_head` seconds. Raises ScanFailed if the site does not answer with HTTP, PostureUsage for another
    type or a `ca` without certificates.
    """
    if type not in TYPES:
        raise PostureUsage(f"embedded: type: got {type[:100]!r}; expected one of {', '.join(TYPES)}")
    if target.ca is not None:
        verifying_context(target)  # now, before anything is sent
    watcher, clock = watcher or Watcher(), clock or Clock()
    started_s, began_s = clock.now_s(), time.monotonic()
    async with Visitor(platform.timeout, watcher) as visitor:
        page = await visitor.get(target.url)
        if isinstance(page, Unanswered):
            raise ScanFailed(f"embedded: {target.name} cannot be assessed: {target.url}: {page.reason}")
        means = Means(target, platform, visitor, watcher, clock, page)
        verdicts: Verdicts = {}
        if type != "active":
            verdicts |= await _passive(means)
        if type != "passive":
            verdicts |= await _active(means)
    figures = {"requests": visitor.requests, "duration_s": round(time.monotonic() - began_s, 3), "status": page.status}
    return _result(target, type, verdicts, figures, (started_s, max(started_s, clock.now_s())))


def risk_score(severities: Sequence[Severity]) -> float:
    """From 0 (nothing) to 10: `10 * (1 - product of (1 - share))` over the findings, to one decimal; the shares are
    critical 0.9, high 0.6, medium 0.3, low 0.1, info 0. One critical finding is 9.0, two high ones 8.4; each more
    makes it worse, and none makes it better."""
    left = math.prod((1 - _SHARES[severity] for severity in severities), start=1.0)
    return round(10 * (1 - left), 1)


# --- probes ----------------------------------------------------------------------------------------------------------


async def _passive(means: Means) -> Verdicts:
    target, timeout_s = means.target, means.platform.timeout
    absent = await means.visitor.get(beside(target.url, f"/gateway-posture-{secrets.token_hex(8)}"))
    ways = await find_ways(target, timeout_s)
    return {
        "origin-direct": await probe_around(target, ways, means.visitor),
        **await _tls(means),
        **_headers(means),
        **_seen_in(means, absent),
    }


async def _tls(means: Means) -> Verdicts:
    target, platform = means.target, means.platform
    if not target.address.tls:
        absent = found(f"visitors are led to {target.url}, which is not encrypted", url=target.url)
        return {"tls-absent": absent, **dict.fromkeys(("tls-old", "tls-untrusted", "tls-expiry"), not_done(_NO_TLS))}
    now_s = means.clock.now_s()
    seen = await look(target, platform.timeout, now_s)
    return {
        "tls-absent": ok(),
        "tls-old": await probe_old_tls(target.address, platform.timeout),
        "tls-untrusted": judge_trust(seen),
        "tls-expiry": judge_expiry(seen, now_s, platform.expiry_days),
    }


def _headers(means: Means) -> Verdicts:
    """Of the page as it was answered, whatever its status: a redirect is not followed."""
    verdicts = {kind: judge(means.page.headers) for kind, judge in JUDGES.items()}
    if not means.target.address.tls:
        verdicts["header-hsts"] = not_done(_NO_TLS)
    return verdicts


def _seen_in(means: Means, absent: Reply | Unanswered) -> Verdicts:
    """What the page and the one that is not there have in common."""
    headers = means.page.headers + (absent.headers if isinstance(absent, Reply) else ())
    cookies = values(headers, "set-cookie")
    body = absent.body if isinstance(absent, Reply) else b""
    return {
        "cookie-flags": judge_cookies(cookies, tls=means.target.address.tls),
        "version-leak": judge_leak(headers, body, absent_answered=isinstance(absent, Reply)),
    }


async def _active(means: Means) -> Verdicts:
    target, platform = means.target, means.platform
    means.watcher.on_wait(f"embedded: sending {platform.burst} requests")
    burst = await probe_burst(means.visitor, target.url, platform.burst)
    means.watcher.on_wait(f"embedded: holding an unfinished request for at most {platform.slow_head:g} s")
    slow = await probe_slow_head(target.address, platform.timeout, platform.slow_head)
    return {"rate-limit-absent": burst, "slow-head": slow}


# --- the normal form -------------------------------------------------------------------------------------------------


def _result(
    target: Target, type: str, verdicts: Verdicts, figures: dict[str, Any], times_s: tuple[float, float]
) -> ScanResult:
    scan_id = f"emb_{secrets.token_hex(8)}"
    wrong = {kind: verdict for kind, verdict in verdicts.items() if verdict.state == "finding"}
    made = (_finding(scan_id, target, BY_ID[kind], verdict) for kind, verdict in wrong.items())
    findings = tuple(sorted(made, key=lambda finding: rank(finding.severity)))
    severities = [finding.severity for finding in findings]
    started, completed = map(iso, times_s)
    raw = {
        "id": scan_id,
        "target": target.name,
        "url": target.url,
        "type": type,
        "probes": {kind: verdict.text for kind, verdict in verdicts.items()},
        "evidence": {kind: verdict.evidence for kind, verdict in verdicts.items() if verdict.evidence},
        "figures": figures,
    }
    scan = Scan(
        scan_id, "embedded", target.name, type, "completed", started, started, completed, risk_score(severities),
        counts=Counts(**{severity: severities.count(severity) for severity in get_args(Severity)}), raw=raw,
    )  # fmt: skip
    return ScanResult(scan, findings)


def _finding(scan_id: str, target: Target, kind: Kind, verdict: Verdict) -> Finding:
    port = verdict.port or target.address.port
    severity = verdict.severity or kind.severity
    evidence = {"url": target.url, **verdict.evidence}
    return Finding(
        kind.id, "embedded", scan_id, severity, kind.title, _described(target, verdict), target.name, port, (), None,
        _remedy(target, kind, port), {"id": kind.id, "severity": severity, "evidence": evidence},
    )  # fmt: skip


def _described(target: Target, verdict: Verdict) -> str:
    return f"{target.url}: {verdict.seen}."


def _remedy(target: Target, kind: Kind, port: int) -> Remediation:
    if kind.id == "origin-direct":
        return origin_exposed(target.place, port)
    commands = tuple(command.replace("HOST", target.name) for command in kind.remedy.commands)
    return Remediation(kind.remedy.summary, commands)
