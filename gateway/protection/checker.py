"""One `protection` section at work: scope, payload, call, enforcement. All that `server` knows of protection."""

from __future__ import annotations

import time

from gateway.config import Protection
from gateway.http.client_address import Client
from gateway.http.message import RequestHead
from gateway.metrics import Metrics
from gateway.protection.client import Asker, Call, ProtectionClient
from gateway.protection.decision import Decision, Verdict
from gateway.protection.encoding import ENCODERS
from gateway.protection.enforcement import Enforcement, enforce
from gateway.protection.payload import PayloadBuilder
from gateway.protection.scope import Scope


class Checker:
    """client: shared by sections that ask the same API in the same way; None where the mode is off."""

    def __init__(
        self, settings: Protection, client: ProtectionClient | None, metrics: Metrics, *,
        server_name: str, version: str,
    ) -> None:
        self.scope = Scope(settings)
        self.payload = PayloadBuilder(
            settings, key=settings.key.get_secret_value(), server_name=server_name, version=version)
        self.client = client
        self._monitor = settings.mode == "monitor"
        self._block_on_failure = settings.on_failure == "block"
        self._allowed = enforce(Decision(Verdict.ALLOW), monitor=self._monitor, block_on_failure=False)
        self._payload_bytes = metrics.protection_payload_bytes.child(())
        self._truncated = metrics.protection_payload_truncated.values

    def ask(self, head: RequestHead, client: Client, asker: Asker) -> Call | None:
        """Ask about one request. The asker gets exactly one Decision, possibly before this returns (then None)."""
        protection = self.client
        assert protection is not None
        now_us = int(time.time() * 1_000_000)
        encode = ENCODERS[protection.encoding]
        body = self.payload.templates[encode].write(head, client, now_us)
        if body is not None:
            self._payload_bytes.observe(len(body))
            return protection.ask(body, asker)
        payload = self.payload.build(head, client, now_us, encode)
        self._payload_bytes.observe(len(payload.body))
        for field in payload.truncated:
            self._truncated[(field,)] += 1
        return protection.ask(payload.body, asker, session_by_header=payload.session_by_header)

    def enforce(self, decision: Decision) -> Enforcement:
        if decision.verdict == Verdict.ALLOW:
            return self._allowed
        return enforce(decision, monitor=self._monitor, block_on_failure=self._block_on_failure)
