"""Ways to the origin that do not lead through the gateway, and whether the site answers on them.

Which they are: the URLs that the configuration names, whatever they are; else the addresses of the site's origin
servers, of which only public ones are asked, as others cannot be reached from outside. Names are resolved once and the
addresses asked, so that a name that changes leads nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass, field
from typing import Any

from gateway.posture.assessment.target import Address, Target, read_url, with_path
from gateway.posture.assessment.verdict import Verdict, found, not_done, ok
from gateway.posture.assessment.visitor import Reply, Unanswered, Visitor, shown
from gateway.posture.assessment.wording import reason

_ASKED = 16
"""Ways that are asked at most; the others are named in the evidence."""


@dataclass(slots=True)
class Ways:
    """urls: what is asked; left_out: URL -> why not; failed: URL -> why it is not known."""

    urls: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


async def find_ways(target: Target, timeout_s: float) -> Ways:
    """The ways around the gateway."""
    if target.around is not None:
        ways = Ways([with_path(url) for url in dict.fromkeys(target.around)])
    else:
        ways = await _of_servers(target, timeout_s)
    for url in ways.urls[_ASKED:]:
        ways.failed[url] = f"only {_ASKED} are asked"
    del ways.urls[_ASKED:]
    return ways


async def probe_around(target: Target, ways: Ways, visitor: Visitor) -> Verdict:
    """origin-direct: whether one of them answers HTTP with the site's Host."""
    if not ways.urls and not ways.failed:
        return not_done(_no_way(target), left_out=ways.left_out)
    answers = await asyncio.gather(*(visitor.get(url, host=target.name, with_body=False) for url in ways.urls))
    by_url = dict(zip(ways.urls, answers, strict=True))
    exposed = {url: answer for url, answer in by_url.items() if isinstance(answer, Reply)}
    unanswered = {url: answer for url, answer in by_url.items() if isinstance(answer, Unanswered)}
    evidence: dict[str, Any] = {
        "answers": {url: reply.status for url, reply in exposed.items()},
        "no_answer": {url: silence.reason for url, silence in unanswered.items()},
        "left_out": ways.left_out,
    }
    if exposed:
        return found(_told(target, exposed), port=read_url(next(iter(exposed))).port, **evidence)
    unknown = ways.failed | {url: why for url, silence in unanswered.items() if (why := _why_unknown(silence))}
    if unknown:
        return not_done("; ".join(f"{url}: {why}" for url, why in unknown.items()), **evidence)
    return ok(**evidence)


def is_public(text: str) -> bool:
    """True for an address that anybody on the internet may reach; what an IPv6 address wraps decides for it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _told(target: Target, exposed: dict[str, Reply]) -> str:
    answered = "; ".join(f"{url} {shown(reply)}" for url, reply in exposed.items())
    return (
        f"asked for {target.name} past the gateway, {answered}. A firewall that lets this machine in, as it should the"
        " gateway, looks the same from here: if one is in place, assess from another machine"
    )


def _no_way(target: Target) -> str:
    if target.around is not None:
        return "around is empty: there is nothing to ask"
    if not target.servers:
        return "no site of this configuration serves it, and around is not set"
    return "no server of the origin has a public address, and around is not set"


def _why_unknown(silence: Unanswered) -> str | None:
    """None where the silence is an answer: nobody listens there, or not to us."""
    if silence.is_ours:
        return silence.reason
    return f"it was connected, and there was {silence.reason}" if silence.was_connected and silence.is_late else None


# --- the origin's servers --------------------------------------------------------------------------------------------


async def _of_servers(target: Target, timeout_s: float) -> Ways:
    ways = Ways()
    visited = await _addresses(target.address, timeout_s)
    own = set() if isinstance(visited, str) else {(address, target.address.port) for address in visited}
    for server in target.servers:
        if server.startswith("unix:"):
            ways.left_out[server] = "a Unix socket"
            continue
        address = read_url(server)
        resolved = await _addresses(address, timeout_s)
        if isinstance(resolved, str):
            ways.failed[server] = resolved
        else:
            _sort(ways, server, address, resolved, own)
    return ways


def _sort(ways: Ways, server: str, address: Address, resolved: list[str], own: set[tuple[str, int]]) -> None:
    """Which of a server's addresses are asked."""
    for one in resolved:
        if (one, address.port) in own:
            ways.left_out[server] = f"{one}: where visitors arrive"
        elif not is_public(one):
            ways.left_out[server] = f"{one}: not a public address"
        else:
            ways.urls.append(_url(address, one))


async def _addresses(address: Address, timeout_s: float) -> list[str] | str:
    """Of a host, each once; or why they are not known."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found_ones = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return f"its name was not resolved within {timeout_s:g} s"
    except (OSError, ValueError) as error:
        return f"its name was not resolved: {reason(error)}"
    return list(dict.fromkeys(str(one[4][0]) for one in found_ones))


def _url(address: Address, one: str) -> str:
    host = f"[{one}]" if ":" in one else one
    return f"{'https' if address.tls else 'http'}://{host}:{address.port}/"
