"""A site behind a challenge: what a module and an engine do with the pure functions, in one aiohttp server.

Without a session in the cookie `datadome` a request gets the challenge; a proof in the cookie, or a step whose wait is
over in the query, gets a session. `requests` is what arrived at what is protected, in order (/open and /framing
are not).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from secrets import token_bytes, token_urlsafe
from typing import Literal

from aiohttp import web

from gateway.engine.challenge.page import PageRequest, challenge_page
from gateway.engine.challenge.step import local_location, take_step
from gateway.engine.challenge.token import Passed, Refused, check_proof, check_step, issue
from gateway.engine.keyring import Binding, Keyring

Outcome = Literal["challenged", "proved", "waited", "session"]


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    outcome: Outcome


@dataclass
class ChallengedSite:
    """`foreign_policy`: a Content-Security-Policy that something in front adds. `accepts`: False refuses all proofs."""

    difficulty: int = 12
    wait_s: int = 1
    foreign_policy: str = ""
    accepts: bool = True
    port: int = 0
    requests: list[Seen] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    keyring: Keyring = field(default_factory=lambda: Keyring([token_bytes(32)]))
    sessions: set[str] = field(default_factory=set)
    spent: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def outcomes(self) -> list[Outcome]:
        return [seen.outcome for seen in self.requests]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        client_id = _first_cookie(request)
        binding = Binding(request.headers["Host"], "127.0.0.0/24", request.headers.get("User-Agent", ""))
        if request.path in ("/open", "/framing", "/favicon.ico"):
            return _site(request)
        if client_id in self.sessions:
            self.bodies.append(body)
            return self._answer(request, "session", _site(request))
        if client_id and self._passes(check_proof(self.keyring, binding, client_id, time.time())):
            self.bodies.append(body)
            return self._answer(request, "proved", self._open_session(_site(request)))
        taken = take_step(request.raw_path)
        if taken and self._passes(check_step(self.keyring, binding, taken[0], time.time())):
            redirect = web.Response(status=302, headers={"Location": local_location(taken[1])})
            return self._answer(request, "waited", self._open_session(redirect))
        return self._answer(request, "challenged", self._challenge(request, binding))

    def _passes(self, answer: Passed | Refused) -> bool:
        if isinstance(answer, Refused):
            self.refusals.append(answer.reason)
        if isinstance(answer, Refused) or answer.id in self.spent or not self.accepts:
            return False
        self.spent.add(answer.id)
        return True

    def _challenge(self, request: web.BaseRequest, binding: Binding) -> web.Response:
        made = issue(
            self.keyring,
            binding,
            difficulty=self.difficulty,
            wait_s=self.wait_s,
            now_s=time.time(),
            entropy=token_bytes,
        )
        described = PageRequest(
            request_id="6f0d3c56-0f0e-4b0e-9b5f-0a4f3a3c9a11",
            method=request.method,
            protocol="http",
            host=request.headers["Host"],
            target=request.raw_path,
            accept_language=request.headers.get("Accept-Language", ""),
            contact="security@shop.example",
        )
        page = challenge_page(described, made)
        response = web.Response(status=403, body=page.body, content_type="text/html", charset="utf-8")
        response.headers["Content-Security-Policy"] = page.content_security_policy
        response.headers["Cache-Control"] = "no-store"
        if self.foreign_policy:
            response.headers.add("Content-Security-Policy", self.foreign_policy)
        return response

    def _open_session(self, response: web.Response) -> web.Response:
        session = token_urlsafe(30)
        self.sessions.add(session)
        response.headers["Set-Cookie"] = f"datadome={session}; Max-Age=3600; Path=/; SameSite=Lax"
        return response

    def _answer(self, request: web.BaseRequest, outcome: Outcome, response: web.Response) -> web.Response:
        self.requests.append(Seen(request.method, request.raw_path, outcome))
        return response


def _first_cookie(request: web.BaseRequest) -> str:
    """As a module reads it: the first of the name, raw."""
    for pair in request.headers.get("Cookie", "").split("; "):
        name, _, value = pair.partition("=")
        if name == "datadome":
            return value
    return ""


def _site(request: web.BaseRequest) -> web.Response:
    sandbox = f' sandbox="{request.query_string}"' if request.query_string else ""
    inner = f'<iframe name="inner" src="/inner?q=1"{sandbox}></iframe>' if request.path == "/framing" else ""
    form = '<form method="post" action="/order?n=1"><input name="item" value="tea"><button>Order</button></form>'
    page = f"<!DOCTYPE html><title>The shop</title><h1>Welcome</h1>{form}{inner}"
    return web.Response(text=page, content_type="text/html")


@contextlib.asynccontextmanager
async def serve(site: ChallengedSite) -> AsyncIterator[ChallengedSite]:
    runner = web.ServerRunner(web.Server(site.handle), shutdown_timeout=0.1)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    site.port = int(runner.addresses[0][1])
    try:
        yield site
    finally:
        await runner.cleanup()
