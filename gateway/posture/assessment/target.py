"""Which sites may be assessed, and how they are reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from gateway.config.models import Site
from gateway.config.posture import EmbeddedPlatform, Place
from gateway.errors import PostureUsage
from gateway.posture.assessment.wording import clean

_NAMED = 20
"""Hosts that an error names at most."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where an http(s) URL leads. host: without brackets; authority: as in the URL, for the Host header; path: with
    the query, at least /."""

    tls: bool
    host: str
    port: int
    authority: str
    path: str


@dataclass(frozen=True, slots=True)
class Target:
    """A site of one's own.

    name: its host, in lower case; url: where visitors reach it; around: the URLs that the configuration names as
    leading around the gateway, None = the origin's servers whose address is public; servers: those servers, as
    configured; ca: PEM file of authorities that are trusted besides the system's; place: where the gateway is.
    """

    name: str
    url: str
    around: tuple[str, ...] | None
    servers: tuple[str, ...]
    ca: str | None
    place: Place

    @property
    def address(self) -> Address:
        return read_url(self.url)


def find_target(name: str, platform: EmbeddedPlatform, sites: Sequence[Site], place: Place) -> Target:
    """The site of that host. Accepted are the keys of `platform.targets` and the exact hosts of `sites`, in any case.

    Raises PostureUsage for anything else: nothing but one's own sites is ever assessed.
    """
    host = name.lower()
    exact = {pattern.lower() for site in sites for pattern in site.hosts if "*" not in pattern}
    settings = platform.targets.get(host)
    if settings is None and host not in exact:
        raise PostureUsage(_refusal(name, sorted(exact | set(platform.targets))))
    servers = tuple(dict.fromkeys(server for site in _sites_of(host, sites) for server in site.origin.servers))
    if settings is None:
        return Target(host, f"https://{host}/", None, servers, None, place)
    url = with_path(settings.url or f"https://{host}/")
    return Target(host, url, settings.around, servers, settings.ca, place)


def read_url(url: str) -> Address:
    """The parts of an http(s) URL, which the configuration has checked."""
    parts = urlsplit(url)
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    port = parts.port or _DEFAULT_PORTS[parts.scheme.lower()]
    return Address(parts.scheme.lower() == "https", (parts.hostname or "").lower(), port, parts.netloc, path)


def with_path(url: str) -> str:
    """The URL with a path, at least /."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme.lower(), parts.netloc, parts.path or "/", parts.query, ""))


def beside(url: str, path: str) -> str:
    """The URL of another path of the same server."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _sites_of(host: str, sites: Sequence[Site]) -> Iterator[Site]:
    """Those that serve the host, whatever the path."""
    return (site for site in sites if any(_matches(pattern.lower(), host) for pattern in site.hosts))


def _matches(pattern: str, host: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))



def _refusal(name: str, accepted: list[str]) -> str:
    shown = ", ".join(accepted[:_NAMED]) + (f" and {len(accepted) - _NAMED} more" if len(accepted) > _NAMED else "")
    expected = shown or "none is configured"
    return (
        f"embedded: {clean(name, 100)} is not a site of this configuration; expected an exact host of sites or a key"
        f" of posture.providers.embedded.targets ({expected})"
    )
