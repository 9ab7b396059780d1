"""Documents of others over HTTPS: bounded in size and time, and never from where a document should not be from.

Plain http is for loopback alone (tests, a local mirror). A redirect is followed a few times and to https alone. Bodies
come uncompressed, because a compressed one has no honest size.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from importlib import import_module
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway import __version__
from gateway.errors import FetchFailed

if TYPE_CHECKING:
    import aiohttp

MAX_BYTES = 4 * 1024 * 1024  # the largest list in use has 60 KiB
TIMEOUT_S = 10.0
MAX_REDIRECTS = 3
_HEADERS = {
    "User-Agent": f"protection-gateway/{__version__}",
    "Accept": "application/json, text/plain;q=0.9, */*;q=0.1",
    "Accept-Encoding": "identity",
}
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Document:
    """`body`: None if it is the one whose `etag` was given. `max_age_s`: of Cache-Control, None without it."""

    body: bytes | None
    etag: str
    max_age_s: int | None


def is_fetchable(url: str) -> bool:
    """True for https, and for http on a loopback address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))


class Fetcher:
    """An HTTP client that begins with the first document. One for everything that an engine fetches."""

    def __init__(
        self, *, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES, tls: ssl.SSLContext | None = None
    ) -> None:
        """`timeout_s`: of one document, redirects included. `tls`: other authorities than the system's."""
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, *, etag: str = "", redirects: int = MAX_REDIRECTS) -> Document:
        """The document, or that it is still the one with that ETag. Raises FetchFailed for anything else."""
        if self._session is None:  # 10 MiB that an engine which fetches nothing does not need, and 80 ms on the loop
            await asyncio.to_thread(import_module, "aiohttp")
        import aiohttp

        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(url, etag, redirects)
        except TimeoutError:
            raise FetchFailed(f"no document from {_shown(url)} within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(f"no document from {_shown(url)}: {type(error).__name__} {error}"[:300]) from None

    async def close(self) -> None:
        """Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _follow(self, url: str, etag: str, redirects: int) -> Document:
        from yarl import URL

        https_only = url.startswith("https:")
        for _ in range(redirects + 1):
            if not is_fetchable(url) or (https_only and not url.startswith("https:")):
                raise FetchFailed(f"{_shown(url)} is not fetched: https only, or http of a loopback address")
            headers = {**_HEADERS, "If-None-Match": etag} if etag else _HEADERS
            async with self._client().get(url, headers=headers, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._document(response, etag)
                url = str(response.url.join(URL(response.headers.get("Location", ""))))
        raise FetchFailed(f"redirected over {redirects} times, at last to {_shown(url)}")

    def _client(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            connector = aiohttp.TCPConnector(limit=8, ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return self._session

    async def _document(self, response: aiohttp.ClientResponse, etag: str) -> Document:
        max_age_s = _max_age(response.headers.get("Cache-Control", ""))
        if response.status == 304 and etag:
            return Document(None, etag, max_age_s)
        if response.status != 200:
            raise FetchFailed(f"{_shown(str(response.url))} answered {response.status}, expected 200")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchFailed(f"{_shown(str(response.url))} answered with a compressed body, which was not asked for")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._max_bytes:
                raise FetchFailed(f"{_shown(str(response.url))} has over {self._max_bytes} bytes")
        return Document(bytes(body), response.headers.get("ETag", ""), max_age_s)


def _max_age(cache_control: str) -> int | None:
    """RFC 9111, 5.2.2.1; what must not be kept (no-store, no-cache) has 0."""
    if re.search(r"\bno-(?:store|cache)\b", cache_control, re.IGNORECASE):
        return 0
    found = re.search(r"\bmax-age=(\d{1,9})\b", cache_control, re.IGNORECASE)
    return int(found[1]) if found else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(url: str) -> str:
    """Without a query, which can hold somebody's key, and bounded."""
    return url.partition("?")[0][:100]
