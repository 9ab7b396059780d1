"""The gauges of posture, from a real store."""

from __future__ import annotations

from pathlib import Path

from gateway.metrics import Metrics
from gateway.posture.finding import Finding
from gateway.posture.scan import Scan
from gateway.posture.severity import Severity
from gateway.posture.store import Store
from gateway.posture.webhook.gauge import MOST_DOMAINS, read_standing, show


def a_scan(number: int, target: str, risk: float | None = None, provider: str = "ddactic") -> Scan:
    at = f"2025-12-{number:02}T10:35:00Z"
    return Scan(f"scn_{number}", provider, target, "passive", "completed", completed_at=at, risk_score=risk, raw={})


def a_finding(id: str, scan: Scan, severity: Severity) -> Finding:
    assert scan.id is not None
    return Finding(id, scan.provider, scan.id, severity, id, "", "192.0.2.1", None, (), None, None, {})


def test_gauges_count_what_is_open_with_zeros_and_forget_what_is_gone(tmp_path: Path) -> None:
    metrics = Metrics()
    with Store.open(f"sqlite:///{tmp_path}/posture.db") as store:
        first, second = a_scan(1, "example.com", 4.2), a_scan(2, "example.com", 2.5)
        store.put_result(first, [a_finding("A", first, "critical"), a_finding("B", first, "low")])
        show(metrics, read_standing(store, ("cypersecurity",)))
        counted = {labels: count for labels, count in metrics.posture_findings.values.items() if count}
        assert counted == {("ddactic", "critical"): 1, ("ddactic", "low"): 1}
        assert len(metrics.posture_findings.values) == 10
        assert metrics.posture_risk_score.values == {("example.com",): 4.2}
        store.put_result(second, [a_finding("B", second, "low")])
        show(metrics, read_standing(store, ()))
        assert metrics.posture_findings.values["ddactic", "critical"] == 0
        assert metrics.posture_findings.values["ddactic", "low"] == 1
        assert metrics.posture_risk_score.values == {("example.com",): 2.5}


def test_gauges_of_many_domains_are_those_with_the_highest_scores(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/posture.db") as store:
        for number in range(MOST_DOMAINS + 10):
            scan = Scan(f"s{number}", "ddactic", f"{number}.example", "passive", "completed", risk_score=float(number))
            store.put_result(scan)
        scores = read_standing(store, ()).risk_scores
    assert len(scores) == MOST_DOMAINS
    assert min(scores.values()) == 10.0
