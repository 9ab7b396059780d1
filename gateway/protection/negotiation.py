"""Which encoding the Protection API takes (contract section 1, `encoding: auto`): JSON, or form if JSON is refused."""

from __future__ import annotations

import asyncio
import time

from gateway.errors import NoAnswer
from gateway.http.client_address import Client
from gateway.http.framing import parse_request_head
from gateway.logs import get
from gateway.pool.question import ask_once
from gateway.protection.client import ProtectionClient
from gateway.protection.decision import Verdict, decide
from gateway.protection.encoding import ENCODERS
from gateway.protection.payload import PayloadBuilder

FIRST_TRY_S = 2.0
REPEAT_S = 30.0
_log = get("protection")


class Negotiation:
    """Settles the encoding of one client. builder: of a section that uses the client."""

    def __init__(self, client: ProtectionClient, builder: PayloadBuilder) -> None:
        self._client = client
        self._builder = builder

    async def first(self) -> bool:
        """At start, for at most 2 s; False: nobody answered, the encoding is `form` until `until_settled` succeeds."""
        try:
            async with asyncio.timeout(FIRST_TRY_S):
                settled = await self._settle()
        except TimeoutError:
            settled = False
        if not settled:
            self._client.use_encoding("form")
            _log.warning("the Protection API does not answer, using form encoding until it does",
                         api=self._client.pool.address.text, error=self._client.pool.last_error)
        return settled

    async def until_settled(self) -> None:
        """Repeat every 30 s until the API has answered."""
        while True:
            await asyncio.sleep(REPEAT_S)
            try:
                async with asyncio.timeout(FIRST_TRY_S):
                    if await self._settle():
                        return
            except TimeoutError:
                continue

    async def _settle(self) -> bool:
        for encoding in ("json", "form"):
            accepted = await self._try(encoding)
            if accepted is None:
                return False
            if accepted:
                self._client.use_encoding(encoding)
                _log.info("encoding negotiated with the Protection API", encoding=encoding,
                          api=self._client.pool.address.text)
                return True
        self._client.use_encoding("form")
        _log.error("the Protection API refuses JSON and form alike: is the key right?",
                   api=self._client.pool.address.text)
        return True

    def message(self, encoding: str) -> bytes:
        """The probe call in this encoding: it describes a request that nobody sent."""
        headers = [(b"host", b"localhost"), (b"user-agent", b"Protection-Gateway-Probe")]
        head = parse_request_head(b"GET / HTTP/1.1", headers)
        client = Client("127.0.0.1", "http", 80, False, "", b"")
        payload = self._builder.build(head, client, int(time.time() * 1_000_000), ENCODERS[encoding])
        return self._client.message(payload.body, encoding)

    async def _try(self, encoding: str) -> bool | None:
        """Whether the API takes it; None if it gave no answer that says so."""
        try:
            answer = await ask_once(self._client.pool, self.message(encoding), FIRST_TRY_S)
        except NoAnswer:
            return None
        decision = decide(answer.status, answer.headers, answer.fields, b"", strict=False, enforce_429=True)
        if decision.verdict != Verdict.ERROR:
            return True
        return False if 400 <= decision.status < 500 else None
