"""The list of metrics, the deltas of the workers, their totals and the exposition."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import (
    CHECK_RESULTS,
    FAILURE_REASONS,
    PROTECTION_BUCKETS,
    Counter,
    Gauge,
    Histogram,
    Metrics,
    Totals,
    metrics_table,
)

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.sampled_from(["shop", "api"]), st.sampled_from(["allowed", "blocked"])),
        st.tuples(st.just("check"), st.sampled_from(CHECK_RESULTS)),
        st.tuples(st.just("duration"), st.floats(0, 3)),
        st.tuples(st.just("take")),
    ),
    max_size=60,
)


def samples(totals: Totals) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Everything that is exposed, by sample name and sorted labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(totals.expose().decode())
        for sample in family.samples
    }


def over_the_wire(delta: Any) -> Any:
    return json.loads(json.dumps(delta))


@given(EVENTS)
def test_totals_of_any_deltas_equal_what_was_counted(events: list[tuple[Any, ...]]) -> None:
    metrics, totals = Metrics(), Totals()
    cell = metrics.protection_duration.child(("api",))
    requests: dict[tuple[str, str], int] = {}
    durations: list[float] = []
    for event in [*events, ("take",)]:
        match event:
            case ("request", site, outcome):
                metrics.requests.values[site, "GET", "2xx", outcome] += 1
                requests[site, outcome] = requests.get((site, outcome), 0) + 1
            case ("check", result):
                metrics.protection_checks.values[(result,)] += 1
            case ("duration", seconds):
                cell.observe(seconds)
                durations.append(seconds)
            case _:
                totals.add("worker-0", over_the_wire(metrics.take()))
    exposed = samples(totals)
    for (site, outcome), count in requests.items():
        labels = (("method", "GET"), ("outcome", outcome), ("site", site), ("status", "2xx"))
        assert exposed["gateway_requests_total", labels] == count
    for bound in (*PROTECTION_BUCKETS, float("inf")):
        le = "+Inf" if bound == float("inf") else repr(bound)
        expected = sum(seconds <= bound for seconds in durations)
        name = ("gateway_protection_duration_seconds_bucket", (("endpoint", "api"), ("le", le)))
        assert exposed.get(name, 0) == expected
    if durations:
        total = exposed["gateway_protection_duration_seconds_sum", (("endpoint", "api"),)]
        assert total == pytest.approx(sum(durations))
    for result in CHECK_RESULTS:
        expected = sum(event == ("check", result) for event in events)
        assert exposed["gateway_protection_checks_total", (("result", result),)] == expected


def test_take_zeroes_in_place_and_keeps_what_the_hot_path_holds() -> None:
    metrics = Metrics()
    values, cell = metrics.requests.values, metrics.overhead.child()
    values["shop", "GET", "2xx", "allowed"] += 2
    cell.observe(0.0001)
    metrics.open_connections.values[()] = 3
    first = metrics.take()
    assert first["counters"] == {"gateway_requests_total": [[["shop", "GET", "2xx", "allowed"], 2]]}
    assert first["histograms"]["gateway_gateway_overhead_seconds"][0][2] == 0.0001
    assert metrics.take() == {"counters": {}, "histograms": {}, "gauges": {"gateway_open_connections": [[[], 3]]}}
    assert metrics.requests.values is values and metrics.overhead.child() is cell
    values["shop", "GET", "2xx", "allowed"] += 1
    assert metrics.take()["counters"] == {"gateway_requests_total": [[["shop", "GET", "2xx", "allowed"], 1]]}


def test_totals_forgotten_source_keeps_counts_and_loses_gauges() -> None:
    totals = Totals()
    for source, open_now in (("worker-0", 3), ("worker-1", 4)):
        metrics = Metrics()
        metrics.connections.values[()] += 10
        metrics.open_connections.values[()] = open_now
        totals.add(source, metrics.take())
    assert samples(totals)["gateway_open_connections", ()] == 7
    totals.forget("worker-0")
    assert samples(totals)["gateway_open_connections", ()] == 4
    assert samples(totals)["gateway_connections_total", ()] == 20


def test_totals_gauges_of_several_workers_combined_as_they_mean() -> None:
    totals = Totals()
    for index, (breaker, healthy, idle) in enumerate([(0, 3, 5), (2, 2, 6)]):
        metrics = Metrics()
        metrics.protection_breaker_state.values[()] = breaker
        metrics.origin_healthy.values[("shop",)] = healthy
        metrics.protection_connections.values[("idle",)] = idle
        totals.add(f"worker-{index}", metrics.take())
    assert totals.gauge("gateway_protection_breaker_state") == {(): 2}
    assert totals.gauge("gateway_origin_healthy") == {("shop",): 2}
    assert totals.gauge("gateway_protection_connections") == {("idle",): 11}


def test_totals_gauge_series_that_a_worker_dropped_is_gone() -> None:
    totals, metrics = Totals(), Metrics()
    metrics.origin_healthy.values[("old",)] = 1
    totals.add("worker-0", metrics.take())
    del metrics.origin_healthy.values[("old",)]
    totals.add("worker-0", metrics.take())
    assert totals.gauge("gateway_origin_healthy") == {}


@pytest.mark.parametrize(
    "delta",
    [
        {"counters": {"gateway_lies_total": [[[], 1]]}, "histograms": {}, "gauges": {}},
        {"counters": {"gateway_open_connections": [[[], 1]]}, "histograms": {}, "gauges": {}},
        {"counters": {"gateway_connections_total": [[["surplus"], 1]]}, "histograms": {}, "gauges": {}},
        {"counters": {}, "histograms": {"gateway_gateway_overhead_seconds": [[[], [1, 2], 0.1]]}, "gauges": {}},
    ],
)
def test_totals_delta_that_does_not_fit_refused_whole(delta: Any) -> None:
    totals = Totals()
    with pytest.raises(ValueError, match="gateway_"):
        totals.add("worker-0", {**delta, "counters": {"gateway_connections_total": [[[], 1]], **delta["counters"]}})
    assert totals.count("gateway_connections_total") == {}


def test_expose_without_traffic_has_every_metric_and_known_series_as_zero() -> None:
    text = Totals().expose().decode()
    for name, kind, _, help_text in metrics_table():
        assert f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n" in text
    for reason in FAILURE_REASONS:
        assert f'gateway_protection_failures_total{{reason="{reason}"}} 0.0' in text


def test_metrics_table_is_the_public_interface() -> None:
    assert {name: labels for name, _, labels, _ in metrics_table()} == {
        "gateway_requests_total": ("site", "method", "status", "outcome"),
        "gateway_request_duration_seconds": ("site",),
        "gateway_protection_duration_seconds": ("endpoint",),
        "gateway_protection_checks_total": ("result",),
        "gateway_protection_failures_total": ("reason",),
        "gateway_protection_connections": ("state",),
        "gateway_protection_connections_opened_total": (),
        "gateway_protection_payload_bytes": (),
        "gateway_protection_payload_truncated_total": ("field",),
        "gateway_protection_breaker_state": (),
        "gateway_origin_duration_seconds": ("site",),
        "gateway_origin_failures_total": ("site", "reason"),
        "gateway_origin_connections": ("site",),
        "gateway_origin_healthy": ("site",),
        "gateway_open_connections": (),
        "gateway_connections_total": (),
        "gateway_rejected_requests_total": ("reason",),
        "gateway_gateway_overhead_seconds": (),
        "gateway_engine_decisions_total": ("rule", "action"),
        "gateway_engine_dry_run_total": ("rule", "action"),
        "gateway_engine_visitors_total": ("class", "action"),
        "gateway_engine_challenges_total": ("result",),
        "gateway_engine_sessions": ("kind",),
        "gateway_engine_overrides": (),
        "gateway_engine_store_errors_total": (),
        "gateway_engine_store_local_answers_total": (),
        "gateway_engine_store_evicted_total": (),
        "gateway_engine_store_refused_total": (),
        "gateway_engine_store_up": (),
        "gateway_engine_policy_last_reload_successful": (),
        "gateway_posture_findings": ("provider", "severity"),
        "gateway_posture_risk_score": ("domain",),
        "gateway_posture_webhooks_total": ("provider", "result"),
        "gateway_posture_notices_total": ("result",),
        "gateway_config_last_reload_successful": (),
        "gateway_config_last_reload_timestamp_seconds": (),
        "gateway_workers": (),
        "gateway_worker_restarts_total": (),
        "gateway_build_info": ("version", "python"),
    }


def test_quantiles_interpolated_inside_the_bucket() -> None:
    metrics, totals = Metrics(), Totals()
    cell = metrics.protection_duration.child(("api",))
    for _ in range(99):
        cell.observe(0.0015)  # bucket (1 ms, 2 ms]
    cell.observe(5.0)  # past the last bound
    totals.add("worker-0", metrics.take())
    found = totals.quantiles("gateway_protection_duration_seconds", (0.0, 0.495, 0.995))
    assert found == pytest.approx({0.0: 0.001, 0.495: 0.0015, 0.995: 1.0})


def test_quantiles_without_observations_are_unknown() -> None:
    assert Totals().quantiles("gateway_request_duration_seconds", (0.5,)) == {0.5: None}


def test_child_with_wrong_labels_refused() -> None:
    with pytest.raises(ValueError, match="has labels"):
        Histogram("h", "help", (1.0,), ("site",)).child(())


def test_buckets_ascend_and_the_budget_is_a_bound() -> None:
    for metric in Metrics().all():
        if isinstance(metric, Histogram):
            assert list(metric.bounds) == sorted(set(metric.bounds))
    assert 0.15 in PROTECTION_BUCKETS
    assert Counter("c", "help").known == ((),)
    assert Gauge("g", "help").values == {}
