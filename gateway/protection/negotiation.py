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
UNANSWERED = "the API has not said yet which encoding it takes, form is used until it does"
REFUSED = "the API refuses JSON and form alike, form is used until it takes one: is the key right?"
_log = get("protection")


class Negotiation:
    """Settles the encoding of one client. builder: of a section that uses the client."""

    def __init__(self, client: ProtectionClient, builder: PayloadBuilder) -> None:
        self._client = client
        self._builder = builder

    async def first(self) -> bool:
        """At start, for at most 2 s; False: the encoding is `form` until `until_settled` succeeds."""
        settled = await self._attempt()
        if not settled:
            self._client.use_encoding("form")
        return settled

    async def until_settled(self) -> None:
        """Repeat every 30 s until the API takes an encoding. Until then `encoding_doubt` says why not."""
        while True:
            await asyncio.sleep(REPEAT_S)
            if await self._attempt():
                return

    async def _attempt(self) -> bool:
        try:
            async with asyncio.timeout(FIRST_TRY_S):
                doubt = await self._settle()
        except TimeoutError:
            doubt = UNANSWERED
        known, self._client.encoding_doubt = self._client.encoding_doubt, doubt
        if doubt and doubt != known:
            _log.warning("encoding not settled", why=doubt, api=self._client.pool.address.text,
                         error=self._client.pool.last_error)
        return not doubt

    async def _settle(self) -> str:
        """Ask; "" when the API has taken an encoding, which is used from now on, else why there is none."""
        for encoding in ("json", "form"):
            accepted = await self._try(encoding)
            if accepted is None:
                return UNANSWERED
            if accepted:
                self._client.use_encoding(encoding)
                _log.info("encoding negotiated with the Protection API", encoding=encoding,
                          api=self._client.pool.address.text)
                return ""
        return REFUSED

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
