"""The gateway's sites, as far as posture acts on them: which hosts are ours, and which paths are checked at all."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config import Site
from gateway.http.message import RequestHead
from gateway.posture.action import is_address
from gateway.protection.scope import Scope

_EXTENSION = "css"  # a static one, unless the site names its own
NOBODY = "0.0.0.0"  # no client's address, so that none is excluded


class OwnSites:
    """All sites of a configuration (its `sites`, with their protection merged in)."""

    def __init__(self, sites: Iterable[Site]) -> None:
        self._sites = [(site, Scope(site.protection)) for site in sites]

    def has(self, host: str) -> bool:
        """True for a host (lower case, without port) that a site serves: by its name, or as one of `*.example.com` or
        `*`. An address is one of ours only where it is written out."""
        return any(_serves(site, host) for site, _ in self._sites)

    def unchecked(self, host: str, path: str) -> str | None:
        """Why the gateway lets a GET of a path pass without asking anybody: `off`, `static`, `excluded`,
        `not_included`; `unreachable`: it does not let it pass. None = it asks."""
        found = self._at(host, path)
        return "unreachable" if found is None else found[1].bypass_reason(_head(host, path), NOBODY)

    def gap(self, host: str, path: str) -> tuple[str, str] | None:
        """(a name under a path that passes unchecked, why): a static file's, which some origins answer as the path
        itself (`/login.php/x.css`). None without one."""
        found = self._at(host, path)
        if found is None:
            return None
        settings = found[0].protection
        first = next(iter(settings.static_extensions or ()), _EXTENSION).lstrip(".")
        name = f"{path.removesuffix('/')}/x.{first}"
        reason = self.unchecked(host, name)
        return (name, reason) if reason == "static" else None

    def _at(self, host: str, path: str) -> tuple[Site, Scope] | None:
        for site, scope in self._sites:
            if _serves(site, host) and path.startswith(tuple(site.paths)):
                return site, scope
        return None


def _head(host: str, path: str) -> RequestHead:
    raw = path.encode("utf-8", "replace")
    return RequestHead(b"GET", raw, raw, 1, [], {}, host.encode(), None, False, True, False, (), [])


def _serves(site: Site, host: str) -> bool:
    if host in site.hosts:
        return True
    return not is_address(host) and any(
        pattern.startswith("*") and host.endswith(pattern[1:]) for pattern in site.hosts
    )
