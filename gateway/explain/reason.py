"""Why: which host pattern, path, network, extension, method, pattern or mode decides.

Each reason is found with the classes that decide (Site, Scope, ClientFinder), asked again with one entry of a list at a
time: the first entry that decides the same alone is the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace
from typing import Any

from gateway.config import Config, Protection
from gateway.http.client_address import Client, ClientFinder
from gateway.http.message import RequestHead
from gateway.protection.scope import STATIC_EXTENSIONS, Scope, host_name
from gateway.server.site import Runtime, Site

_SHOWN = 100  # bytes of a request's host or path in a reason
_NOT_COUNTED = re.compile(rb";|%[0-9A-Fa-f]{2}")


def why_site(site: Site, head: RequestHead) -> str:
    """Which of the site's hosts and paths match."""
    host = host_name(head.host)
    pattern = next(pattern for pattern in site.hosts if _has_host(site, pattern, host))
    prefix = next((path for path in site.paths if head.path.startswith(path)), b"")
    path = f"path {_shown(_path(head))} begins with {_shown(prefix)}" if prefix else "`OPTIONS *` has no path"
    return f"host {pattern} matches {_shown(host)}, {path}"


def why_no_site(runtime: Runtime, head: RequestHead) -> str:
    """What the 421 is about: the host, or the path on sites that have the host."""
    host = host_name(head.host)
    of_host = [site for site in runtime.sites if site.has_host(host)]
    if not of_host:
        return f"none of the {len(runtime.sites)} sites has host {_shown(host)}; the client gets 421"
    named = "; ".join(f"{site.name} has {', '.join(map(_shown, site.paths))}" for site in of_host)
    return f"no site with host {_shown(host)} has path {_shown(_path(head))} ({named}); the client gets 421"


def why_client(config: Config, client: Client, peer: str) -> str:
    """The finding's own reason, and the trusted network that the connection's other end is in (or is not)."""
    networks = config.client_ip.trusted_proxies
    header = config.client_ip.header
    for network in networks:
        if ClientFinder([network], header).trusts(peer):
            return f"{client.reason}; {peer} is a trusted proxy ({network}), so {header} is believed"
    trusted = f"none of {', '.join(networks)} holds {peer}" if networks else "client_ip.trusted_proxies is empty"
    return f"{client.reason}: {trusted}"


def why_bypassed(word: str, settings: Protection, head: RequestHead, client: Client) -> str:
    """The whole of the word that Scope.bypass_reason gave for this request."""
    return _BYPASSES[word](settings, head, client)


def why_checked(settings: Protection, head: RequestHead, client: Client) -> str:
    """What includes it, what came near to excluding it, and whether the answer will be enforced."""
    include = _deciding(settings, "include", settings.include, None, head, client)
    parts = [f"include {include!r} matches {_place(head)}" if include else "nothing excludes it"]
    parts.extend(_near_static(settings, head, client))
    if settings.mode == "monitor":
        parts.append("the answer is not enforced (mode: monitor)")
    return "; ".join(parts)


def _off(settings: Protection, head: RequestHead, client: Client) -> str:
    return "mode: off, this site asks nothing"


def _method(settings: Protection, head: RequestHead, client: Client) -> str:
    return f"method {head.method.decode()} is one of exclude_methods ({', '.join(settings.exclude_methods)})"


def _address(settings: Protection, head: RequestHead, client: Client) -> str:
    network = _deciding(settings, "exclude_ips", settings.exclude_ips, "address", head, client)
    return f"client address {client.address} is in {network} of exclude_ips"


def _static(settings: Protection, head: RequestHead, client: Client) -> str:
    extension = _deciding(settings, "static_extensions", _extensions(settings), "static", head, client)
    kept = "the default list" if settings.static_extensions is None else "static_extensions"
    return f"{head.method.decode()} of a static file: .{extension} is in {kept} (exclude_static)"


def _excluded(settings: Protection, head: RequestHead, client: Client) -> str:
    pattern = _deciding(settings, "exclude", settings.exclude, "excluded", head, client)
    return f"exclude {pattern!r} matches {_place(head)}"


def _not_included(settings: Protection, head: RequestHead, client: Client) -> str:
    patterns = ", ".join(map(repr, settings.include))
    return f"none of include ({patterns}) matches {_place(head)}"


_BYPASSES: dict[str, Callable[[Protection, RequestHead, Client], str]] = {
    "off": _off, "method": _method, "address": _address, "static": _static, "excluded": _excluded,
    "not_included": _not_included,
}


def _near_static(settings: Protection, head: RequestHead, client: Client) -> Iterable[str]:
    """For a request that somebody might take for one of a static file: why it is none (contract section 5)."""
    as_get = replace(head, method=b"GET")
    if _bypass(settings, as_get, client) == "static":
        yield f"{head.method.decode()} is never one of a static file, only GET and HEAD are"
    elif _bypass(settings, replace(as_get, path=_NOT_COUNTED.sub(b"", head.path)), client) == "static":
        yield "it looks like a static file, but matrix parameters (;...) and encoded characters do not make it one"


def _deciding(
    settings: Protection, key: str, entries: Iterable[str], word: str | None, head: RequestHead, client: Client,
) -> str | None:
    """The first of `entries` with which alone, as the value of `key`, the request's bypass reason is `word`."""
    for entry in entries:
        if _bypass(settings, head, client, **{key: (entry,)}) == word:
            return entry
    return None


def _bypass(settings: Protection, head: RequestHead, client: Client, **changes: Any) -> str | None:
    return Scope(settings.model_copy(update=changes)).bypass_reason(head, client.address)


def _extensions(settings: Protection) -> Iterable[str]:
    return STATIC_EXTENSIONS if settings.static_extensions is None else settings.static_extensions


def _has_host(site: Site, pattern: str, host: bytes) -> bool:
    one = copy(site)
    one.hosts = [pattern]
    return one.has_host(host)


def _place(head: RequestHead) -> str:
    return _shown(host_name(head.host) + _path(head))


def _path(head: RequestHead) -> bytes:
    return head.path.partition(b"?")[0]


def _shown(raw: bytes) -> str:
    text = raw[:_SHOWN].decode("latin-1")
    return text if len(raw) <= _SHOWN else f"{text}..."
