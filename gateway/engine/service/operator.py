"""The operator's paths of the engine: what it did, and what a person decides over its rules.

| path | does |
|---|---|
| `GET /healthz` | 200 while the process lives; open to everybody |
| `GET /metrics` | Prometheus text |
| `GET /engine/status` | JSON: policy, rules with their counts, visitors, sessions, store, lists |
| `GET /engine/overrides` | JSON: what is blocked, allowed or revoked by hand, the one that ends first at the top |
| `PUT /engine/overrides` | `{"subject": ..., "action": "block"|"allow"|"revoke", "for_s": seconds, "reason": ...}` |
| `DELETE /engine/overrides?subject=...` | takes it back |

Who may ask: on a Unix socket everybody who can open it (its mode is 0600); over TCP who sends `Authorization: Bearer
KEY` with one of the configured keys. Where no key is configured anybody may ask for decisions, and nobody for these.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

import orjson

from gateway import logs
from gateway.config.units import MAX_DURATION_S
from gateway.engine.figure import figures
from gateway.engine.override import Override
from gateway.engine.service.counts import Counts
from gateway.engine.service.route import OperatorRequest
from gateway.engine.store import MemoryStore, Store
from gateway.errors import OverrideError, StoreError

log = logs.get("engine")
Reply = tuple[int, str, bytes]
Handler = Callable[[OperatorRequest], Awaitable[Reply]]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
FIELDS = ("subject", "action", "for_s", "reason")
METRICS = "text/plain; version=0.0.4; charset=utf-8"
HINT = (
    "the operator's paths over TCP need a key: put one into engine.keys and send it as `Authorization: Bearer KEY`, or "
    "serve them on a Unix socket"
)


class Operator:
    """Implements gateway.engine.service.server.Operator; answers every request, and raises nothing of its own."""

    def __init__(
        self, *, store: Store, counts: Counts, status: Callable[[], dict[str, Any]],
        keys: Callable[[], Sequence[bytes]], trusted: bool, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """`status`: what only the engine knows (policy, lists), JSON-able, put in front of the figures; `keys`: those
        that are accepted now; `trusted`: who can connect may do everything (a Unix socket); `clock`: Unix seconds."""
        self._store = store
        self._counts = counts
        self._status = status
        self._keys = keys
        self._trusted = trusted
        self._clock = clock
        self._ends_with_process = isinstance(store, MemoryStore)  # which is said once
        self._handlers: dict[str, dict[str, Handler]] = {
            "/healthz": {"GET": self._health},
            "/metrics": {"GET": self._metrics},
            "/engine/status": {"GET": self._show_status},
            "/engine/overrides": {"GET": self._list, "PUT": self._put, "DELETE": self._remove},
        }

    async def __call__(self, request: OperatorRequest) -> Reply:
        """(status, Content-Type, body)"""
        if request.path != "/healthz" and (refusal := self._refusal(request)) is not None:
            return refusal
        handlers = self._handlers.get(request.path)
        if handlers is None:
            return _text(404, f"nothing is served here; there are {', '.join(self._handlers)}")
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            return _text(405, f"expected {' or '.join(handlers)}")
        try:
            return await handler(request)
        except OverrideError as error:
            return _text(400, str(error))
        except StoreError as error:
            return _text(503, str(error))

    def _refusal(self, request: OperatorRequest) -> Reply | None:
        if self._trusted:
            return None
        keys = self._keys()
        if not keys:
            return _text(403, HINT)
        scheme, _, given = request.authorization.partition(" ")
        key = given.strip().encode("latin-1", "replace")
        # every key is compared, in constant time: how long it takes tells nothing about any of them
        matches = [hmac.compare_digest(key, accepted) for accepted in keys]
        if any(matches) and scheme.lower() == "bearer":
            return None
        return _text(401, "expected `Authorization: Bearer KEY` with one of engine.keys")

    async def _health(self, request: OperatorRequest) -> Reply:
        return _json({"status": "ok"})

    async def _metrics(self, request: OperatorRequest) -> Reply:
        return 200, METRICS, self._counts.totals().expose()

    async def _show_status(self, request: OperatorRequest) -> Reply:
        return _json({**self._status(), **figures(self._counts.totals())})

    async def _list(self, request: OperatorRequest) -> Reply:
        return _json({"overrides": [override._asdict() for override in await self._store.list()]})

    async def _put(self, request: OperatorRequest) -> Reply:
        override = self._read(request.body)
        await self._store.put(override)
        if self._ends_with_process:
            self._ends_with_process = False
            log.info("decisions by hand end with this process; with a shared engine.store.url they would not")
        return _json({"override": override._asdict()})

    async def _remove(self, request: OperatorRequest) -> Reply:
        subjects = parse_qs(request.query).get("subject", [])
        if len(subjects) != 1:
            return _text(400, f"got {len(subjects)} subjects; expected one: /engine/overrides?subject=ADDRESS")
        return _json({"removed": await self._store.remove(subjects[0])})

    def _read(self, body: bytes) -> Override:
        """The override that a body describes. Raises OverrideError."""
        try:
            described = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise OverrideError(f"the body is not JSON: {error}"[:200]) from None
        if not isinstance(described, dict):
            raise OverrideError("the body is no JSON object; expected subject, action, for_s and perhaps reason")
        if unknown := set(described).difference(FIELDS):
            raise OverrideError(f"got {min(unknown)[:40]!r}; expected {', '.join(FIELDS)}")
        texts = [described.get(name, "") for name in ("subject", "action", "reason")]
        if not all(isinstance(text, str) for text in texts):
            raise OverrideError("expected subject, action and reason as strings")
        subject, action, reason = texts
        now_s = self._clock()
        return Override.of(subject, action, now_s + _duration(described.get("for_s")), reason, now_s)


def _duration(for_s: object) -> float:
    if isinstance(for_s, bool) or not isinstance(for_s, int | float) or not 0 < for_s <= MAX_DURATION_S:
        raise OverrideError(f"for_s: expected seconds, over 0 and up to {MAX_DURATION_S} (a year)")
    return float(for_s)


def _json(value: object) -> Reply:
    return 200, JSON, orjson.dumps(value)


def _text(status: int, text: str) -> Reply:
    return status, TEXT, f"{text}\n".encode("utf-8", "replace")
