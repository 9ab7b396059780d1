"""The receiver: `POST /webhooks/<provider>`, and `GET /healthz`.

In this order: 404 another path, or a provider without a secret; 405 another method; 413 over MAX_BODY_BYTES; 401 no
signature, or a wrong one; 400 no UTF-8 JSON object with an `event` text and a `data` object; 204 once the event is
durable, a repeat included. Besides: 408 for a body that is not there within `body_s`; 503 with Retry-After where the
store cannot take the event now, or too much is under way. Platforms send again after both.

Whoever calls is a stranger until the signature is checked. So each connection has deadlines (a head within `idle_s`, a
body within `body_s`), connections and the bytes of bodies in memory are bounded, and a long body is verified on a
thread of its own, one at a time. What is logged and counted names provider, event, scan and outcome, never a body or a
signature.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from aiohttp import http_parser, web

from gateway import logs
from gateway.errors import InboxFull, PostureError, PostureStoreError
from gateway.metrics import Metrics
from gateway.posture.client.redaction import Redaction
from gateway.posture.event import Event
from gateway.posture.moment import iso
from gateway.posture.signature import cypersecurity_is_valid, ddactic_is_valid, is_written_well
from gateway.posture.watching import Clock
from gateway.posture.webhook.connection import HEADERS, RETRY_AFTER_S, Busy, Connection
from gateway.posture.webhook.delivery import read_delivery
from gateway.posture.webhook.inbox import Inbox

MAX_BODY_BYTES = 1024 * 1024
_OFF_LOOP_BYTES = 4 * 1024
"""Verifying so many takes about 1 ms where somebody means ill; longer ones would hold up the others."""
_PREFIX = "/webhooks/"
_OTHER_FILES = 200
"""Of this process: the store, platforms, logs."""
_SHOWN = 100
"""Characters of a platform's text in a log line."""
_QUIET: dict[str, Any] = {"access_log": None, "auto_decompress": False}  # signatures are over the bytes as they came

log = logs.get("posture.receiver")

Check = Callable[[bytes, str, str], bool]

SIGNATURES: dict[str, tuple[str, Check]] = {
    "ddactic": ("X-DDactic-Signature", ddactic_is_valid),
    "cypersecurity": ("X-Webhook-Signature", cypersecurity_is_valid),
}
"""Provider -> the header of its signature, and what checks it."""


@dataclass(frozen=True, slots=True)
class ReceiverLimits:
    """Times in seconds. idle_s: for a request's head, from the connection or the last answer on; body_s: for its body;
    linger_s: how long the rest of a refused body is read, so that the answer is; connections; held_bytes: of all bodies
    in memory."""

    idle_s: float = 30.0
    body_s: float = 10.0
    linger_s: float = 3.0
    connections: int = 2000
    held_bytes: int = 32 * 1024 * 1024
    backlog: int = 4096


@dataclass(frozen=True, slots=True)
class Terms:
    """Of the configuration. secrets: provider -> secret, those with a path; redaction: what is never stored."""

    secrets: Mapping[str, str]
    redaction: Redaction


class _Refused(Exception):
    """An answer that is no success. word: in logs and metrics."""

    def __init__(self, status: int, word: str) -> None:
        super().__init__(word)
        self.status = status
        self.word = word


class Receiver:
    """Serves on one socket between `start` and `close`."""

    def __init__(
        self, terms: Terms, inbox: Inbox, metrics: Metrics,
        limits: ReceiverLimits = ReceiverLimits(), clock: Clock = Clock(),  # noqa: B008  frozen
    ) -> None:
        self.terms = terms
        self._inbox = inbox
        self._counter = metrics.posture_webhooks
        self._limits = limits
        self._clock = clock
        self._most_connections = min(
            limits.connections, _descriptors(limits.connections + _OTHER_FILES) - _OTHER_FILES
        )
        self._held_bytes = 0
        self._thread = ThreadPoolExecutor(1, "posture-verifier")
        self._refusals = logs.RateLimited(log)
        self._manager: web.Server | None = None
        self._listening: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Serve on a bound socket, which is closed with the receiver. Raises PostureError without aiohttp's parser."""
        if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
            raise PostureError("aiohttp was installed without its C parser: reinstall it from a wheel")
        self._manager = web.Server(self._handle)
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._connect, sock=sock, backlog=self._limits.backlog)

    async def close(self, timeout_s: float) -> None:
        """Accept nobody any more, answer who is being answered, for at most timeout_s."""
        if self._listening is None or self._manager is None:
            return
        self._listening.close()
        self._manager.pre_shutdown()
        with contextlib.suppress(TimeoutError):  # the connections are closed all the same
            async with asyncio.timeout(timeout_s + 1.0):
                await self._manager.shutdown(timeout_s)
        self._thread.shutdown(wait=False)

    def _connect(self) -> asyncio.Protocol:
        assert self._manager is not None
        if len(self._manager.connections) >= self._most_connections:
            self._counter.values["", "busy"] += 1
            self._refusals.warning("connections", "too many connections", most=self._most_connections)
            return Busy()
        return Connection(
            self._manager, loop=asyncio.get_running_loop(), keepalive_timeout=self._limits.idle_s,
            lingering_time=self._limits.linger_s, **_QUIET,
        )  # fmt: skip

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path == "/healthz":
            return _answer(200) if request.method in ("GET", "HEAD") else _answer(405, Allow="GET, HEAD")
        provider = path.removeprefix(_PREFIX)
        secret = self.terms.secrets.get(provider) if path.startswith(_PREFIX) else None
        if secret is None:
            return _answer(404)
        try:
            return await self._receive(request, provider, secret)
        except _Refused as refusal:
            return self._refuse(provider, refusal)

    async def _receive(self, request: web.BaseRequest, provider: str, secret: str) -> web.StreamResponse:
        if request.method != "POST":
            raise _Refused(405, "method")
        body = bytearray()
        try:
            await self._read(request, body)
            event = await self._verified(request, provider, secret, bytes(body))
            is_new = await self._store(event)
        finally:
            self._held_bytes -= len(body)
        outcome = "stored" if is_new else "repeated"
        self._counter.values[provider, outcome] += 1
        scan = None if event.scan is None else event.scan[:_SHOWN]
        log.info("webhook", provider=provider, webhook_event=event.event[:_SHOWN], scan=scan, outcome=outcome)
        return _answer(204)

    def _refuse(self, provider: str, refusal: _Refused) -> web.StreamResponse:
        self._counter.values[provider, refusal.word] += 1
        self._refusals.warning(
            (provider, refusal.word), "webhook refused", provider=provider, status=refusal.status, outcome=refusal.word
        )
        if refusal.status == 405:
            return _answer(405, Allow="POST")
        response = _answer(refusal.status, **({"Retry-After": str(RETRY_AFTER_S)} if refusal.status == 503 else {}))
        if refusal.status in (408, 413):
            response.force_close()
        return response

    async def _read(self, request: web.BaseRequest, body: bytearray) -> None:
        """The body, raw. Its bytes count as held as they come."""
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise _Refused(413, "too_large")
        await _invite(request)
        try:
            async with asyncio.timeout(self._limits.body_s):
                while piece := await request.content.readany():
                    self._hold(body, piece)
        except TimeoutError:
            raise _Refused(408, "slow") from None
        except (web.RequestPayloadError, OSError):  # no HTTP any more, or gone: nobody reads the answer
            raise _Refused(400, "cut") from None

    def _hold(self, body: bytearray, piece: bytes) -> None:
        if len(body) + len(piece) > MAX_BODY_BYTES:
            raise _Refused(413, "too_large")
        if self._held_bytes + len(piece) > self._limits.held_bytes:
            raise _Refused(503, "busy")
        body += piece
        self._held_bytes += len(piece)

    async def _verified(self, request: web.BaseRequest, provider: str, secret: str, body: bytes) -> Event:
        header, check = SIGNATURES[provider]
        signatures = request.headers.getall(header, [])
        if len(signatures) != 1 or not is_written_well(signatures[0]):
            raise _Refused(401, "signature")
        received_at, redaction = iso(self._clock.now_s()), self.terms.redaction

        def verify() -> Event:
            if not check(body, signatures[0], secret):
                raise _Refused(401, "signature")
            try:
                return read_delivery(provider, body, redaction, received_at)
            except ValueError:
                raise _Refused(400, "malformed") from None

        if len(body) <= _OFF_LOOP_BYTES:
            return verify()
        return await asyncio.get_running_loop().run_in_executor(self._thread, verify)

    async def _store(self, event: Event) -> bool:
        try:
            return await self._inbox.put(event)
        except InboxFull:
            raise _Refused(503, "busy") from None
        except PostureStoreError:  # logged by the inbox
            raise _Refused(503, "failed") from None


async def _invite(request: web.BaseRequest) -> None:
    """Whoever waits for 100 Continue sends the body after it (RFC 9110 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # this was no answer yet


def _descriptors(wanted: int) -> int:
    """Files that this process may have open, raised to what is wanted if the system allows it: past it, nobody could be
    told that there are too many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return wanted if soft == resource.RLIM_INFINITY else soft


def _answer(status: int, **headers: str) -> web.Response:
    return web.Response(status=status, headers={**HEADERS, **headers})
