"""From a described request to its explanation, in the order in which an exchange goes: head, client, site, scope,
payload; and if asked, the check and what follows from the decision."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from gateway.building import EMBEDDED, Builder
from gateway.config import Config, Protection
from gateway.errors import RequestRefused
from gateway.explain.answer import describe_answer
from gateway.explain.model import Described, Explanation
from gateway.explain.payload import build_payload, describe_payload
from gateway.explain.reason import why_bypassed, why_checked, why_client, why_no_site, why_site
from gateway.explain.request import CheckedRequest, choose_listener, find_client, parse_head
from gateway.metrics import Metrics
from gateway.protection.client import ProtectionClient
from gateway.protection.decision import Decision
from gateway.protection.payload import Payload
from gateway.rehearsal import rehearsal
from gateway.server.site import Runtime


def explain(config: Config, described: Described) -> Explanation:
    """Everything that is decided before anybody is asked; opens no connection.

    Raises DescriptionError. Not for use inside a running event loop: pools are made on one, so it starts its own.
    """
    return asyncio.run(_explain(config, described))


async def _explain(config: Config, described: Described) -> Explanation:
    runtime = Builder(Metrics(), None).build(config).runtime
    explanation, check = _decide(config, runtime, described)
    if check is None:
        return explanation
    encoding, remark = _encoding_before_asking(check.settings)
    explanation = describe_payload(explanation, check, encoding, build_payload(check, encoding))
    return replace(explanation, encoding=encoding + remark)


async def ask(config: Config, described: Described) -> Explanation:
    """The same, and the answer of the Protection API with what follows from it; None about a bypass or a refusal.

    The API is asked once, with the payload shown, within `protection.timeout`; before that as at the start of a worker:
    `encoding: auto` is settled (at most 2 s), warm connections are opened (at most 1 s). Raises DescriptionError,
    ListenError, OSError.
    """
    async with rehearsal(config) as built:
        explanation, check = _decide(config, built.runtime, described)
        if check is None:
            return explanation
        client = check.site.checker.client
        assert client is not None, "a request is checked only where the mode is not off"
        await next(new for new in built.new_clients if new.client is client).get_ready()
        payload = build_payload(check, client.encoding)
        explanation = describe_payload(explanation, check, client.encoding, payload)
        started_s = time.perf_counter()
        decision = await _ask(client, payload)
        answer = describe_answer(check, decision, time.perf_counter() - started_s, client.pool.last_error)
        return replace(explanation, answer=answer)


def _decide(config: Config, runtime: Runtime, described: Described) -> tuple[Explanation, CheckedRequest | None]:
    """Head, client, site, body limit and scope, as in Exchange.start."""
    listener = choose_listener(config, described.url)
    try:
        head = parse_head(described, config.limits)
    except RequestRefused as refusal:
        return _refused(refusal, described), None
    client = find_client(runtime.clients, listener, described, head)
    explanation = Explanation(
        None, "", False, "", client.address, why_client(config, client, described.ip))
    site = runtime.site_of(head)
    if site is None:
        return replace(explanation, site_reason=why_no_site(runtime, head), checked_reason="no site, no question"), None
    settings = config.sites[runtime.sites.index(site)].protection
    explanation = replace(explanation, site=site.name, site_reason=why_site(site, head))
    limit = config.limits.request_body_bytes
    if limit is not None and (head.content_length or 0) > limit:
        reason = f"a body of {head.content_length} bytes is over request_body_bytes ({limit}); the client gets 413"
        return replace(explanation, checked_reason=reason), None
    word = site.checker.scope.bypass_reason(head, client.address)
    if word is not None:
        return replace(explanation, checked_reason=why_bypassed(word, settings, head, client)), None
    explanation = replace(explanation, checked=True, checked_reason=why_checked(settings, head, client))
    return explanation, CheckedRequest(head, client, site, settings, runtime)


def _refused(refusal: RequestRefused, described: Described) -> Explanation:
    what = f"refused with {refusal.status} ({refusal.reason.replace('_', ' ')})"
    return Explanation(
        None, f"the request is {what}", False, "a refused request is not looked at any further",
        described.ip, "the connection's other end")


def _encoding_before_asking(settings: Protection) -> tuple[str, str]:
    """(the encoding, a remark on it). The embedded engine is known to take JSON; of others only an answer tells."""
    if settings.encoding != "auto":
        return settings.encoding, ""
    return ("json", "") if settings.endpoint == EMBEDDED else ("form", " (json if the API takes it: encoding is auto)")


class _Asker:
    """Waits for the one Decision of a call."""

    def __init__(self) -> None:
        self.decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

    def on_decision(self, decision: Decision) -> None:
        self.decided.set_result(decision)


async def _ask(client: ProtectionClient, payload: Payload) -> Decision:
    """The client ends every call within `protection.timeout`, so nothing here can wait longer."""
    asker = _Asker()
    client.ask(payload.body, asker, session_by_header=payload.session_by_header)
    return await asker.decided
