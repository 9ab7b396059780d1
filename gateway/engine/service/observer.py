"""Every judgement counted, and written to the decision log."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime

import orjson

from gateway.engine.visit import Decided
from gateway.logs import AccessLog
from gateway.metrics import Metrics

WINDOW_S = 300.0  # a session that was seen within one or two windows is active
MAX_SESSIONS = 50_000  # remembered in a window; more are counted as that many
TEXT_CHARACTERS = 512


class DecisionObserver:
    """Implements gateway.engine.api.Observer. `log`: one JSON line for each judgement that stops somebody (or would, on
    a dry run), None = none is written."""

    def __init__(self, metrics: Metrics, log: AccessLog | None) -> None:
        self.log = log
        self._decisions = metrics.engine_decisions.values
        self._visitors = metrics.engine_visitors.values
        self._challenges = metrics.engine_challenges.values
        self._dry_run = metrics.engine_dry_run.values
        self._active: dict[str, str] = {}  # session id -> kind, of this window
        self._former: dict[str, str] = {}  # of the one before
        self._window_ends_s = 0.0

    def observe(self, decided: Decided) -> None:
        """Count one judgement."""
        verdict = decided.verdict
        action = verdict.action
        self._decisions[(verdict.rule, action)] += 1
        self._visitors[(decided.identity.bot_class, action)] += 1
        session = decided.request.session
        if session.id and len(self._active) < MAX_SESSIONS:
            self._active[session.id] = session.kind
        if decided.presented:
            self._challenges[(decided.presented,)] += 1
        if action == "challenge":
            self._challenges[("issued",)] += 1
        for would in verdict.dry:
            self._dry_run[would] += 1
        if self.log is not None and (action != "allow" or verdict.dry):
            self.log.add_line(decision_line(decided, time.time()))

    def sessions(self, now_s: float) -> Counter[str]:
        """Active sessions by kind. Call it at least once in a window: it also ends the windows."""
        if now_s >= self._window_ends_s:
            self._former, self._active = self._active, {}
            self._window_ends_s = now_s + WINDOW_S
        return Counter({**self._former, **self._active}.values())


def decision_line(decided: Decided, now_s: float) -> bytes:
    """The line of the decision log: who asked for what, which rule did what, and why."""
    request, verdict = decided.request, decided.verdict
    fields: dict[str, object] = {
        "time": datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "rule": verdict.rule,
        "action": verdict.action,
        "client_ip": request.where.text[:TEXT_CHARACTERS],
        "method": request.described.text("Method")[:32],
        "host": request.host[:TEXT_CHARACTERS],
        "path": request.raw_path[:TEXT_CHARACTERS],
        "user_agent": request.user_agent[:TEXT_CHARACTERS],
        "bot": decided.identity.name if decided.identity.is_bot else None,
        "bot_class": decided.identity.bot_class,
        "score": request.score,
        "findings": request.inspection.findings,
        "session": request.session.id or None,
        "session_kind": request.session.kind,
        "presented": decided.presented or None,
        "dry_run": [f"{rule}: {action}" for rule, action in verdict.dry] or None,
        "request_id": decided.request_id,
    }
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE, default=str)
