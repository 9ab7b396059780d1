"""Requests of the assessment: GET, never redirected, no cookie kept, every size and time bounded.

Certificates are not verified here: what is wrong with them is a finding of its own, and the other probes go on. Old
versions of TLS are spoken for the same reason.
"""

from __future__ import annotations

import errno
import ssl
import time
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from gateway import __version__
from gateway.posture.assessment.header import Headers
from gateway.posture.assessment.target import read_url
from gateway.posture.assessment.wording import clean, reason
from gateway.posture.watching import Called, Watcher

USER_AGENT = f"gateway-posture/{__version__}"
BODY_BYTES = 64 * 1024
"""Of a body, more is not read."""

_CHUNK = 16 * 1024
_CONNECTIONS = 10
_HEADERS = 2000
_FIELD_BYTES = 8190
"""Header lines of an answer, and bytes of one; 16 MiB in all."""
_OURS = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EMFILE, errno.ENFILE})
"""Errors of this machine, which say nothing about the other."""
_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT, which ssl names from Python 3.12 on


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. body: its first 64 KiB, or what came of them in time."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No HTTP answer. was_connected: a connection was made; is_late: the time was over; is_ours: this machine is to
    blame, or the name."""

    reason: str
    was_connected: bool = False
    is_late: bool = False
    is_ours: bool = False


def tolerant_context() -> ssl.SSLContext:
    """Speaks with whatever server there is, and verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= _LEGACY_SERVER_CONNECT
    context.set_alpn_protocols(["http/1.1"])
    return context


class Visitor:
    """Asks over HTTP. timeout_s: of one request, connect included. `requests` counts them."""

    def __init__(self, timeout_s: float, watcher: Watcher) -> None:
        self.requests = 0
        self._timeout_s = timeout_s
        self._watcher = watcher
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_note_connected)
        trace.on_connection_reuseconn.append(_note_connected)
        connector = aiohttp.TCPConnector(
            ssl=tolerant_context(), limit=_CONNECTIONS, resolver=ThreadedResolver(), use_dns_cache=False
        )
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[trace], auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s), trust_env=False, max_headers=_HEADERS,
            max_field_size=_FIELD_BYTES, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, *, host: str | None = None, with_body: bool = True) -> Reply | Unanswered:
        """The answer to GET. host: what the Host header and SNI say instead of the URL's. Never raises for what a
        server does; a body that does not come in time, or breaks off, is cut."""
        self.requests += 1
        began_s, seen = time.monotonic(), SimpleNamespace(connected=False, status=None)
        try:
            return await self._ask(url, host, seen, most=BODY_BYTES if with_body else 0)
        except TimeoutError:
            return Unanswered(f"no answer within {self._timeout_s:g} s", seen.connected, is_late=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Unanswered(reason(error), seen.connected, is_ours=_is_ours(error))
        finally:
            duration_ms = (time.monotonic() - began_s) * 1e3
            self._watcher.on_call(Called("embedded", "GET", read_url(url).path, seen.status, duration_ms))

    async def _ask(self, url: str, host: str | None, seen: SimpleNamespace, *, most: int) -> Reply:
        assert self._session is not None, "used as a context manager"
        request = self._session.get(
            URL(url, encoded=True), allow_redirects=False, trace_request_ctx=seen,
            headers={} if host is None else {"Host": host}, server_hostname=_server_name(url, host),
        )  # fmt: skip
        async with request as response:
            seen.status = response.status
            headers = tuple((name.lower(), value) for name, value in response.headers.items())
            body = await _read(response, most)
            if len(body) >= most:
                response.close()  # the rest is not waited for
        return Reply(response.status, headers, body[:most])


def _server_name(url: str, host: str | None) -> str | None:
    """Only where it differs from the URL's; an IPv6 host has no brackets there."""
    return None if host is None or not read_url(url).tls else host.strip("[]")


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, or a little more than `most` bytes of it."""
    body = bytearray()
    try:
        while len(body) < most:
            piece = await response.content.read(_CHUNK)
            if not piece:
                break
            body += piece
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        response.close()  # the head has come, and what came of the body counts
    return bytes(body)


async def _note_connected(session: object, context: SimpleNamespace, parameters: object) -> None:
    context.trace_request_ctx.connected = True


def _is_ours(error: BaseException) -> bool:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return True
    return getattr(getattr(error, "os_error", None) or error, "errno", None) in _OURS


def shown(reply: Reply) -> str:
    """For findings: `answered 301 to /de/`."""
    location = next((value for name, value in reply.headers if name == "location"), None)
    return f"answered {reply.status}" + (f" to {clean(location, 100)} (not followed)" if location is not None else "")
