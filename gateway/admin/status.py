"""The figures of /status.json, read from the totals of all processes. The dashboard shows nothing that is not here."""

from __future__ import annotations

from typing import Any

from gateway.engine.figure import figures as engine_figures
from gateway.metrics import (
    CHALLENGE_RESULTS,
    CHECK_RESULTS,
    FAILURE_REASONS,
    OUTCOMES,
    PROTECTION_BUCKETS,
    Totals,
)

QUANTILES = (0.5, 0.95, 0.99)
BREAKER_STATES = ("closed", "half_open", "open")
LATENCIES = {
    "exchange": "gateway_request_duration_seconds",
    "protection": "gateway_protection_duration_seconds",
    "origin": "gateway_origin_duration_seconds",
    "overhead": "gateway_gateway_overhead_seconds",
}


def figures(totals: Totals) -> dict[str, Any]:
    """Counts since the start and gauges as they stand, by the words of the metrics' labels."""
    breaker = totals.gauge("gateway_protection_breaker_state").get((), 0)
    return {
        "requests": dict.fromkeys(OUTCOMES, 0) | totals.count("gateway_requests_total", "outcome"),
        "checks": dict.fromkeys(CHECK_RESULTS, 0) | totals.count("gateway_protection_checks_total", "result"),
        "failures": dict.fromkeys(FAILURE_REASONS, 0) | totals.count("gateway_protection_failures_total", "reason"),
        "rejected": totals.count("gateway_rejected_requests_total", "reason"),
        "origin_failures": totals.count("gateway_origin_failures_total", "reason"),
        "breaker": BREAKER_STATES[int(breaker)],
        "open_connections": int(totals.gauge("gateway_open_connections").get((), 0)),
        "protection_connections": {
            labels[0]: int(value) for labels, value in totals.gauge("gateway_protection_connections").items()
        },
        "origins_healthy": {labels[0]: int(value) for labels, value in totals.gauge("gateway_origin_healthy").items()},
        "latency_ms": {what: _quantiles_ms(totals, name) for what, name in LATENCIES.items()},
        "protection_histogram": _protection_histogram(totals),
        "engine": _engine(totals),
    }


def _engine(totals: Totals) -> dict[str, Any]:
    """The embedded engine's counts; all 0 where none runs."""
    found = engine_figures(totals)
    return found | {"challenges": dict.fromkeys(CHALLENGE_RESULTS, 0) | found["challenges"]}


def _quantiles_ms(totals: Totals, name: str) -> dict[str, float | None]:
    """Estimates over everything since the start, `{"p50": ..., "p95": ..., "p99": ...}`."""
    return {
        f"p{quantile * 100:g}": None if value is None else round(value * 1000, 3)
        for quantile, value in totals.quantiles(name, QUANTILES).items()
    }


def _protection_histogram(totals: Totals) -> dict[str, Any]:
    """Bounds and counts per bucket (the last is +Inf), for whoever wants the quantiles of the last minute: two
    readings and a difference."""
    return {
        "bounds_ms": [round(bound * 1000, 3) for bound in PROTECTION_BUCKETS],
        "counts": totals.bucket_counts("gateway_protection_duration_seconds"),
    }
