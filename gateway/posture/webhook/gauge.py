"""The gauges of posture: open findings and risk scores, as the store has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.metrics import Metrics
from gateway.posture.document import shown
from gateway.posture.severity import SEVERITIES
from gateway.posture.store import Store

MOST_DOMAINS = 200
"""Domains with a gauge: those with the highest scores. The help of the metric says the number too."""
_LABEL = 200
"""Characters of a domain; those that differ only after them share a gauge, which has the highest score."""


@dataclass(frozen=True, slots=True)
class Standing:
    """findings: (provider, severity) -> how many are open, zeros of every provider included; risk_scores: by domain."""

    findings: Mapping[tuple[str, ...], float]
    risk_scores: Mapping[tuple[str, ...], float]


def read_standing(store: Store, providers: tuple[str, ...]) -> Standing:
    """Blocks. providers: those that are configured, for zeros before the first finding. Raises PostureStoreError."""
    counted = Counter(store.remembered("counts", store.current_counts))
    known = sorted({*providers, *(provider for provider, _ in counted)})
    findings: dict[tuple[str, ...], float] = {
        (provider, severity): counted[provider, severity] for provider in known for severity in SEVERITIES
    }
    highest = sorted(store.risk_scores().items(), key=lambda scored: (-scored[1], scored[0]))[:MOST_DOMAINS]
    return Standing(findings, {(shown(domain, _LABEL),): score for domain, score in reversed(highest)})


def show(metrics: Metrics, standing: Standing) -> None:
    """On the event loop: metrics belong to one thread."""
    for gauge, values in (
        (metrics.posture_findings, standing.findings),
        (metrics.posture_risk_score, standing.risk_scores),
    ):
        gauge.values.clear()
        gauge.values.update(values)
