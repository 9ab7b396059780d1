"""The gateway's own webhook: one signed POST for each finding that is new.

    POST URL
    Content-Type: application/json
    X-Gateway-Signature: hexadecimal HMAC-SHA256 of the raw body
    X-Gateway-Timestamp: Unix seconds of this call

    {"event": "finding.new", "id": "...", "timestamp": "...Z", "target": "shop.example", "data": FINDING without raw}

Theory of operation. `look` puts every open finding that is bad enough into the store's outbox, which takes each
fingerprint once and for all. `send_due` takes what is due on a lease, so that several gateways with one store tell it
once, and calls. 2xx ends it; anything else is repeated with back-off, `retry.attempts` times in all. A process that
dies between the call and its note calls again after the lease: whoever listens drops an `id` that it knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.resolver import ThreadedResolver

from gateway import __version__, logs
from gateway.config.posture import Notify
from gateway.metrics import Metrics
from gateway.posture.client.manner import Manner, backoff_s
from gateway.posture.document import encoded
from gateway.posture.finding import Finding
from gateway.posture.moment import iso
from gateway.posture.signature import sign
from gateway.posture.store import Notice, Store
from gateway.posture.watching import Clock

EVENT = "finding.new"
_AT_ONCE = 4
_TAKEN = 20
"""Notices that are taken from the outbox together."""
_LEASE_MARGIN_S = 30.0
_ANSWER_BYTES = 64 * 1024
"""Of an answer, nothing matters but its status; so many bytes are read, to be polite."""

log = logs.get("posture.notice")


class Notifier:
    """notify: `posture.notify`. `close` it at the end."""

    def __init__(self, store: Store, notify: Notify, metrics: Metrics, clock: Clock = Clock()) -> None:  # noqa: B008
        self._store = store
        self._notify = notify
        self._secret = notify.secret.get_secret_value() if notify.secret is not None else ""
        self._counter = metrics.posture_notices
        self._clock = clock
        self._manner = Manner(
            timeout_s=notify.timeout, attempts=notify.retry.attempts, backoff_s=notify.retry.base,
            backoff_max_s=notify.retry.max,
        )  # fmt: skip
        self._offered: set[str] = set()
        self._session: aiohttp.ClientSession | None = None

    def look(self) -> None:
        """Put what is new into the outbox. Blocks. Raises PostureStoreError."""
        wanted = self._store.current(at_least=self._notify.severity)
        fresh = {finding.fingerprint: finding for finding in wanted if finding.fingerprint not in self._offered}
        added = self._store.add_notices([(key, self._payload(finding)) for key, finding in fresh.items()])
        self._offered = {finding.fingerprint for finding in wanted}
        for key in added:
            log.info("finding to be told", id=key, provider=fresh[key].provider, severity=fresh[key].severity)

    async def send_due(self) -> None:
        """Send what is due now. Raises PostureStoreError."""
        lease_s = self._manner.timeout_s * _TAKEN / _AT_ONCE + _LEASE_MARGIN_S
        turns = asyncio.Semaphore(_AT_ONCE)
        while due := await asyncio.to_thread(self._store.due_notices, self._clock.now_s(), _TAKEN, lease_s=lease_s):
            await asyncio.gather(*(self._send(notice, turns) for notice in due))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _payload(self, finding: Finding) -> Mapping[str, Any]:
        data = {key: value for key, value in finding.as_json().items() if key != "raw"}
        return {
            "event": EVENT, "id": finding.fingerprint, "timestamp": iso(self._clock.now_s()),
            "target": self._store.target_of(finding), "data": data,
        }  # fmt: skip

    async def _send(self, notice: Notice, turns: asyncio.Semaphore) -> None:
        async with turns:
            error = await self._call(encoded(notice.payload))
        if error is None:
            await asyncio.to_thread(self._store.notice_done, notice.id)
            self._counter.values["sent",] += 1
            log.info("finding told", id=notice.id)
            return
        attempts = notice.attempts + 1
        given_up = attempts >= self._manner.attempts
        retry_at_s = None if given_up else self._clock.now_s() + backoff_s(self._manner, self._clock, attempts)
        await asyncio.to_thread(self._store.notice_failed, notice.id, retry_at_s, error)
        self._counter.values["abandoned" if given_up else "failed",] += 1
        log.warning("finding not told", id=notice.id, error=error, attempts=attempts, given_up=given_up)

    async def _call(self, body: bytes) -> str | None:
        """None if it was taken, else why not."""
        headers = {
            "Content-Type": "application/json", "User-Agent": f"gateway-posture/{__version__}",
            "X-Gateway-Signature": sign(body, self._secret), "X-Gateway-Timestamp": f"{int(self._clock.now_s())}",
        }  # fmt: skip
        request = self._opened().post(self._notify.url, data=body, headers=headers, allow_redirects=False)
        try:
            async with request as response:
                await response.content.read(_ANSWER_BYTES)
                return None if 200 <= response.status < 300 else f"{response.status} {response.reason or ''}".strip()
        except TimeoutError:
            return f"no answer within {self._manner.timeout_s:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"[:200]

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(force_close=True, resolver=ThreadedResolver(), use_dns_cache=False)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=self._manner.timeout_s),
            )  # fmt: skip
        return self._session
