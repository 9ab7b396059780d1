"""The engine's counters as people read them: for /status.json of the gateway, and for the engine's own status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

TOP_RULES = 10
STOPS = ("block", "challenge", "limit", "redirect")
"""What keeps a request from the site; everything else is `allow`."""

Series = Mapping[tuple[str, ...], float]


class Counted(Protocol):
    """Where the counts are: gateway.metrics.Totals."""

    counters: dict[str, dict[tuple[str, ...], int]]

    def count(self, name: str, label: str | None = None) -> dict[str, int]: ...
    def gauge(self, name: str) -> dict[tuple[str, ...], float]: ...


def figures(totals: Counted) -> dict[str, Any]:
    """Counts since the start, by the words of the metrics' labels, and gauges as they stand; JSON-able.

    `rules`: rule -> action -> judgements, `top_rules` those that stopped most, at most TOP_RULES; `store_up`: None if
    no engine has said so yet.
    """
    decisions = totals.counters.get("gateway_engine_decisions_total", {})
    store_up = totals.gauge("gateway_engine_store_up").get(())
    return {
        "decisions": totals.count("gateway_engine_decisions_total", "action"),
        "rules": _nested(decisions),
        "top_rules": _top_rules(decisions),
        "dry_run": _nested(totals.counters.get("gateway_engine_dry_run_total", {})),
        "visitors": _nested(totals.counters.get("gateway_engine_visitors_total", {})),
        "challenges": totals.count("gateway_engine_challenges_total", "result"),
        "sessions": {kind: int(count) for (kind,), count in totals.gauge("gateway_engine_sessions").items()},
        "overrides": int(totals.gauge("gateway_engine_overrides").get((), 0)),
        "store_up": None if store_up is None else bool(store_up),
        "store_errors": totals.count("gateway_engine_store_errors_total").get("", 0),
    }


def _nested(series: Mapping[tuple[str, ...], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (outer, inner), count in series.items():
        nested.setdefault(outer, {})[inner] = count
    return nested


def _top_rules(decisions: Mapping[tuple[str, ...], int]) -> list[dict[str, Any]]:
    stopped = [(count, rule, action) for (rule, action), count in decisions.items() if action in STOPS and count]
    stopped.sort(key=lambda one: (-one[0], one[1], one[2]))
    return [{"rule": rule, "action": action, "count": count} for count, rule, action in stopped[:TOP_RULES]]
