"""What is checked and what passes unchecked (contract section 5): methods, addresses, static files, patterns."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from gateway.config import Protection
from gateway.http.message import RequestHead

STATIC_EXTENSIONS = (
    "avi avif bmp css eot flac flv gif gz ico jpeg jpg js json less map mka mkv mov mp3 mp4 mpeg mpg ogg ogm opus otf "
    "pdf png svg svgz swf tif tiff ttf wav webm webp woff woff2 xml zip"
).split()
_STATIC_METHODS = frozenset({b"GET", b"HEAD"})
_MATRIX_PARAMETERS = re.compile(rb";[^/]*")
# Encodings that another reader of the path may decode into a separator: looks static, is perhaps not.
_AMBIGUOUS = re.compile(rb"%(?:2[35f]|3[bf]|[01][0-9a-f]|7f)", re.IGNORECASE)


class Scope:
    """Decides from a request's head alone whether it is checked. One per `protection` section."""

    def __init__(self, settings: Protection) -> None:
        extensions = STATIC_EXTENSIONS if settings.static_extensions is None else settings.static_extensions
        self._mode_off = settings.mode == "off"
        names = b"|".join(re.escape(extension.lstrip(".").encode()) for extension in extensions)
        self._static: re.Pattern[bytes] | None = None
        if settings.exclude_static and names:
            self._static = re.compile(rb"\.(?:" + names + rb")\Z", re.IGNORECASE)
        self._exclude = _compile(settings.exclude)
        self._include = _compile(settings.include)
        self._methods = frozenset(method.encode() for method in settings.exclude_methods)
        self._networks = [ipaddress.ip_network(text, strict=False) for text in settings.exclude_ips]

    def bypass_reason(self, head: RequestHead, client_address: str) -> str | None:
        """Why a request is not checked: `off`, `method`, `address`, `static`, `excluded`, `not_included`; None = check.

        Exclusion is decided before inclusion. Patterns are searched in host (lower case, no port) + raw path (no
        query).
        """
        if self._mode_off:
            return "off"
        method = head.method
        if method in self._methods:
            return "method"
        if self._networks and self._excludes_address(client_address):
            return "address"
        path = head.path
        query_at = path.find(b"?")
        if query_at >= 0:
            path = path[:query_at]
        if self._static is not None and method in _STATIC_METHODS and path.find(b".") > 0 and self._is_static(path):
            return "static"
        if not self._exclude and not self._include:
            return None
        place = host_name(head.host) + path
        if any(pattern.search(place) for pattern in self._exclude):
            return "excluded"
        if self._include and not any(pattern.search(place) for pattern in self._include):
            return "not_included"
        return None

    def _is_static(self, path: bytes) -> bool:
        assert self._static is not None
        if _AMBIGUOUS.search(path):
            return False
        return self._static.search(_MATRIX_PARAMETERS.sub(b"", path)) is not None

    def _excludes_address(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._networks if network.version == address.version)


def host_name(host: bytes) -> bytes:
    """A Host value in lower case without its port; an IPv6 literal keeps its brackets."""
    host = host.lower()
    if host.startswith(b"["):
        return host[: host.find(b"]") + 1]
    return host.partition(b":")[0]


def _compile(patterns: Iterable[str]) -> tuple[re.Pattern[bytes], ...]:
    """One by one: joined, `(?i)` would not compile, group names could clash and `\\1` would mean another group."""
    return tuple(re.compile(pattern.encode()) for pattern in patterns)
