"""Ask the Protection API and the origins of a configuration once each: `gateway check --probe`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass

from gateway.building import Built, NewClient
from gateway.config import Config, Protection, Site
from gateway.errors import NoAnswer
from gateway.origin.server import OriginServer
from gateway.pool.question import Answer, ask_once
from gateway.protection.decision import Decision, Verdict, decide
from gateway.protection.negotiation import FIRST_TRY_S
from gateway.rehearsal import rehearsal

ORIGIN_TRY_S = 10.0  # an origin whose front page takes longer cannot be told from a dead one by somebody who waits
_REASONS = {
    "connect": "cannot connect",
    "timeout": "no answer in time",
    "reset": "closed the connection without an answer",
    "protocol": "what it answers is not valid HTTP/1.1",
    "oversized": "its answer is over the limit",
}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One peer, asked once."""

    what: str
    """Which: "protection https://...", "origin http://... of site shop"."""
    ok: bool
    detail: str
    """What it said, or why it cannot be used."""
    duration_s: float
    """From the first byte of its connection to its answer."""


async def probe(config: Config) -> list[ProbeResult]:
    """Every Protection API first, then every server of every site, in the configuration's order; all asked at once.

    The API is usable if it gives a decision (the key is accepted then), an origin if it answers HTTP at all. Nothing
    takes longer than 5 s (API: negotiation, connections and question) or 10 s (origin), name resolution included where
    the resolver can be interrupted. Raises ListenError or OSError where something of our own cannot be used.
    """
    async with rehearsal(config) as built:
        return list(await asyncio.gather(*_questions(config, built)))


def _questions(config: Config, built: Built) -> Iterator[Awaitable[ProbeResult]]:
    several = len(built.new_clients) > 1
    for new in built.new_clients:
        users = [site.name for site in built.runtime.sites if site.checker.client is new.client]
        yield _ask_api(new, f" of site {', '.join(users)}" if several else "")
    for settings, site in zip(config.sites, built.runtime.sites, strict=True):
        for server in site.origin.servers:
            yield _ask_origin(settings, server)


# the Protection API


async def _ask_api(new: NewClient, of_sites: str) -> ProbeResult:
    client, settings = new.client, new.settings
    what = f"protection {settings.endpoint}{of_sites}"
    await new.get_ready()
    started_s = time.perf_counter()
    try:
        answer = await ask_once(client.pool, new.negotiation.message(client.encoding), FIRST_TRY_S)
    except NoAnswer as error:
        return ProbeResult(what, False, _why(error, client.pool.last_error), time.perf_counter() - started_s)
    duration_s = time.perf_counter() - started_s
    decision = decide(
        answer.status, answer.headers, answer.fields, answer.body, strict=settings.integrity == "strict",
        enforce_429=settings.enforce_429)
    ok = decision.verdict != Verdict.ERROR
    said = _describe_decision(answer, decision)
    slow = _describe_lateness(settings, duration_s) if ok else ""
    return ProbeResult(what, ok, f"status {answer.status}, encoding {client.encoding}: {said}{slow}", duration_s)


def _describe_decision(answer: Answer, decision: Decision) -> str:
    if decision.reason == "unauthorized":
        return "it refuses the key (or the payload)"
    if decision.reason == "integrity":
        marker = answer.fields.get(b"x-datadomeresponse")
        shown = "missing" if marker is None else repr(marker[:20].decode("latin-1"))
        return f"ignored, its X-DataDomeResponse is {shown}, expected {answer.status}"
    if decision.reason:
        return "no decision, is this a Protection API?"
    return f"it decides ({decision.verdict})"


def _describe_lateness(settings: Protection, duration_s: float) -> str:
    """Connecting included, which warm connections save; still the operator's first sight of a budget too small."""
    if duration_s <= settings.timeout:
        return ""
    return f", but slower than protection.timeout ({settings.timeout * 1000:g} ms) on a new connection"


# the origins


async def _ask_origin(site: Site, server: OriginServer) -> ProbeResult:
    what = f"origin {server.name} of site {site.name}"
    message = b"GET / HTTP/1.1\r\nHost: %b\r\nUser-Agent: gateway-probe\r\nConnection: close\r\n\r\n" % (
        _host(site, server).encode())
    started_s = time.perf_counter()
    try:
        answer = await ask_once(server.pool, message, ORIGIN_TRY_S, head_only=True)
    except NoAnswer as error:
        return ProbeResult(what, False, _why(error, server.pool.last_error), time.perf_counter() - started_s)
    return ProbeResult(what, True, f"status {answer.status}", time.perf_counter() - started_s)


def _host(site: Site, server: OriginServer) -> str:
    """What the origin would be asked for: the first host of the site that is no pattern, else the server's own name."""
    own = server.pool.address.authority
    if not site.origin.preserve_host:
        return own
    return next((host for host in site.hosts if "*" not in host), own)


def _why(error: NoAnswer, last_error: str) -> str:
    text = _REASONS.get(error.reason, error.reason)
    return f"{text}: {last_error}" if last_error else text
