"""Every metric of the product, in one list, and what carries the numbers from the workers to a scrape.

Theory of operation. A worker counts into plain Python objects: a counter is a dict of integers, a histogram cell a list
of integers and a sum. Nothing on the hot path knows about Prometheus, locks or other processes. About once a second,
and when a scrape asks for it, `Metrics.take` hands out what was counted since the last time and zeroes it in place, so
that cells and dicts which the hot path holds stay valid. The supervisor adds these deltas into `Totals`, which
outlives every worker: the counts of a dead worker stay, its gauges go. Only `Totals.expose` imports prometheus_client,
so that workers never load it.

A delta (JSON, sent over the control channel)::

    {"counters":   {name: [[labels, count], ...]},          # only series that moved
     "histograms": {name: [[labels, counts, sum], ...]},    # counts per bucket, not cumulative; the last is +Inf
     "gauges":     {name: [[labels, value], ...]}}          # all series of the process, as they stand

Labels never hold a path, an address, a user agent or free text: the number of series is bounded by the configuration.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

Labels = tuple[str, ...]
Delta = dict[str, dict[str, list[list[Any]]]]

OUTCOMES = (
    "allowed", "blocked", "redirected", "challenged", "bypassed", "failed_open", "failed_closed", "monitored",
    "rejected",
)  # fmt: skip
CHECK_RESULTS = ("allow", "block", "redirect", "error")
CHALLENGE_RESULTS = (
    "issued", "proved", "waited", "malformed", "forged", "future", "expired", "early", "unsolved", "replayed",
    "limited",
)  # fmt: skip
FAILURE_REASONS = (
    "timeout", "connect", "reset", "protocol", "integrity", "status", "unauthorized", "oversized", "breaker_open",
    "pool_full",
)  # fmt: skip
NOTICE_RESULTS = ("sent", "failed", "abandoned")

# Upper bounds, inclusive, in seconds (bytes for the payload). One more bucket, +Inf, follows the last bound.
EXCHANGE_BUCKETS = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
# Dense round the default budget of a check, 150 ms: what matters is how much of the tail is about to be cut off.
PROTECTION_BUCKETS = (
    0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.12, 0.13, 0.14,
    0.145, 0.15, 0.155, 0.16, 0.17, 0.2, 0.25, 0.5, 1.0,
)  # fmt: skip
OVERHEAD_BUCKETS = (
    0.00002, 0.00005, 0.0001, 0.00015, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip
# The last bound is the contract's budget of an encoded body, 24 kB: nothing may ever land past it.
PAYLOAD_BUCKETS = (512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 20480, 24576)


class Counter:
    """A count that only grows. The hot path does `counter.values[labels] += 1`.

    `labels` are the label names; a key of `values` holds their values in the same order (`()` if there are none).
    `known` are the series that are exposed as 0 before they are counted, so that a rate sees the first event.
    """

    kind = "counter"
    __slots__ = ("help", "known", "labels", "name", "values")

    def __init__(self, name: str, help: str, labels: Labels = (), known: Iterable[str] = ()) -> None:
        self.name = name
        self.help = help
        self.labels = labels
        self.known: tuple[Labels, ...] = tuple((value,) for value in known) if labels else ((),)
        self.values: defaultdict[Labels, int] = defaultdict(int)


class Gauge:
    """A value as it stands now. `combine` makes one value of those of several processes (sum, max or min)."""

    kind = "gauge"
    __slots__ = ("combine", "help", "labels", "name", "values")

    def __init__(
        self, name: str, help: str, labels: Labels = (), combine: Callable[[Iterable[float]], float] = sum
    ) -> None:
        self.name = name
        self.help = help
        self.labels = labels
        self.combine = combine
        self.values: dict[Labels, float] = {}


class Cell:
    """One series of a histogram: `counts` per bucket (not cumulative, the last is +Inf) and the `sum` observed."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value; a value equal to a bound belongs to that bucket, as Prometheus has it. About 0.1 us."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Histogram:
    """A distribution over fixed buckets. The hot path keeps `child(labels)` and calls its `observe`."""

    kind = "histogram"
    __slots__ = ("bounds", "cells", "help", "labels", "name")

    def __init__(self, name: str, help: str, bounds: tuple[float, ...], labels: Labels = ()) -> None:
        self.name = name
        self.help = help
        self.bounds = bounds
        self.labels = labels
        self.cells: dict[Labels, Cell] = {}

    def child(self, labels: Labels = ()) -> Cell:
        """The cell of these label values, the same object every time."""
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has labels {self.labels}, got the values {labels}")
        cell = self.cells.get(labels)
        if cell is None:
            cell = self.cells[labels] = Cell(self.bounds)
        return cell


class Metrics:
    """The list. One attribute per metric; one instance per process, never shared between threads."""

    def __init__(self) -> None:
        # What downstream sees.
        self.requests = Counter(
            "gateway_requests_total",
            "Requests by site, method, class of the status sent (1xx..5xx) and what was done with them.",
            ("site", "method", "status", "outcome"),
        )
        self.request_duration = Histogram(
            "gateway_request_duration_seconds",
            "The whole exchange, from the end of the request head to the last byte of the response.",
            EXCHANGE_BUCKETS,
            ("site",),
        )
        self.overhead = Histogram(
            "gateway_gateway_overhead_seconds",
            "The exchange less the waits for protection and origin: what the gateway itself adds.",
            OVERHEAD_BUCKETS,
        )
        self.open_connections = Gauge("gateway_open_connections", "Downstream connections open now.")
        self.connections = Counter("gateway_connections_total", "Downstream connections accepted.")
        self.rejected_requests = Counter(
            "gateway_rejected_requests_total",
            "Requests that the gateway refused itself (malformed, over a limit, no site, overload), by reason.",
            ("reason",),
        )
        # Protection.
        self.protection_duration = Histogram(
            "gateway_protection_duration_seconds",
            "One check, waiting for a connection included, by endpoint.",
            PROTECTION_BUCKETS,
            ("endpoint",),
        )
        self.protection_checks = Counter(
            "gateway_protection_checks_total",
            "Checks by result; error is every check without a decision, breaker_open and pool_full included.",
            ("result",),
            CHECK_RESULTS,
        )
        self.protection_failures = Counter(
            "gateway_protection_failures_total", "Checks without a decision, by reason.", ("reason",), FAILURE_REASONS
        )
        self.protection_connections = Gauge(
            "gateway_protection_connections", "Connections to the Protection API open now.", ("state",)
        )
        self.protection_connections_opened = Counter(
            "gateway_protection_connections_opened_total", "Connections opened to the Protection API."
        )
        self.protection_payload_bytes = Histogram(
            "gateway_protection_payload_bytes", "Size of the encoded body of a check.", PAYLOAD_BUCKETS
        )
        self.protection_payload_truncated = Counter(
            "gateway_protection_payload_truncated_total", "Payload fields cut to a limit, by field.", ("field",)
        )
        self.protection_breaker_state = Gauge(
            "gateway_protection_breaker_state",
            "The breaker in front of the Protection API: 0 closed, 1 half-open, 2 open; the worst of all workers.",
            combine=max,
        )
        # Origins.
        self.origin_duration = Histogram(
            "gateway_origin_duration_seconds",
            "From the request handed to the origin to the head of its response.",
            EXCHANGE_BUCKETS,
            ("site",),
        )
        self.origin_failures = Counter(
            "gateway_origin_failures_total", "Exchanges that an origin failed, by reason.", ("site", "reason")
        )
        self.origin_connections = Gauge(
            "gateway_origin_connections", "Connections to the servers of the site's origin open now.", ("site",)
        )
        self.origin_healthy = Gauge(
            "gateway_origin_healthy",
            "Servers of the site's origin that are not ejected; the fewest that any worker sees.",
            ("site",),
            combine=min,
        )
        # The gateway itself.
        self.engine_decisions = Counter(
            "gateway_engine_decisions_total",
            "Judgements of the embedded engine, by the rule that decided and what it did.",
            ("rule", "action"),
        )
        self.engine_dry_run = Counter(
            "gateway_engine_dry_run_total",
            "What rules would have done that are on a dry run.",
            ("rule", "action"),
        )
        self.engine_visitors = Counter(
            "gateway_engine_visitors_total",
            "Judgements by what the visitor is: human, a class of bots, or unknown automation.",
            ("class", "action"),
        )
        self.engine_challenges = Counter(
            "gateway_engine_challenges_total",
            "Challenges: issued, proved (solved), waited (passed without JavaScript), or why a proof was refused.",
            ("result",),
            CHALLENGE_RESULTS,
        )
        self.engine_sessions = Gauge(
            "gateway_engine_sessions", "Sessions that were seen in the last minutes, by what they proved.", ("kind",)
        )
        self.engine_overrides = Gauge(
            "gateway_engine_overrides", "Addresses and sessions that operators blocked, allowed or revoked by hand."
        )
        self.engine_store_errors = Counter(
            "gateway_engine_store_errors_total", "Questions that the shared store did not answer; local state did."
        )
        self.engine_store_local_answers = Counter(
            "gateway_engine_store_local_answers_total",
            "Questions that an engine with a shared store answered from its local state, also without asking.",
        )
        self.engine_store_evicted = Counter(
            "gateway_engine_store_evicted_total",
            "Counters that still counted and went because engine.store.capacity was reached.",
        )
        self.engine_store_refused = Counter(
            "gateway_engine_store_refused_total",
            "Proofs that were refused because as many as engine.store.capacity were held as spent.",
        )
        self.engine_store_up = Gauge(
            "gateway_engine_store_up", "1 if the engine's store answers; 0: decisions go on from local state."
        )
        self.engine_policy_last_reload_successful = Gauge(
            "gateway_engine_policy_last_reload_successful",
            "1 if the last (re)load of the policy file was taken over, else 0.",
        )
        # Posture.
        self.posture_findings = Gauge(
            "gateway_posture_findings", "Open findings by provider and severity.", ("provider", "severity"), max
        )
        self.posture_risk_score = Gauge(
            "gateway_posture_risk_score",
            "Risk score of a domain's latest completed scan; of the 200 domains with the highest.",
            ("domain",),
            max,
        )
        self.posture_webhooks = Counter(
            "gateway_posture_webhooks_total",
            "Webhooks of platforms: stored, repeated, or why they were refused.",
            ("provider", "result"),
        )
        self.posture_notices = Counter(
            "gateway_posture_notices_total",
            "Calls of the gateway's own webhook: sent, failed (repeated later), or abandoned.",
            ("result",),
            NOTICE_RESULTS,
        )

        self.config_last_reload_successful = Gauge(
            "gateway_config_last_reload_successful",
            "1 if the last (re)load of the configuration was taken over, else 0.",
        )
        self.config_last_reload_timestamp = Gauge(
            "gateway_config_last_reload_timestamp_seconds", "Time of the last (re)load that was taken over, Unix epoch."
        )
        self.workers = Gauge("gateway_workers", "Worker processes that are ready.")
        self.worker_restarts = Counter("gateway_worker_restarts_total", "Worker processes respawned after a death.")
        self.build_info = Gauge(
            "gateway_build_info", "Always 1; the versions are in the labels.", ("version", "python"), combine=max
        )

    def all(self) -> Iterator[Counter | Gauge | Histogram]:
        """Every metric, in the order of the list above."""
        yield from vars(self).values()

    def take(self) -> Delta:
        """What was counted since the last call (see the top of this file), zeroed in place: every `values` dict and
        every cell keeps its identity. Gauges are not zeroed."""
        delta: Delta = {"counters": {}, "histograms": {}, "gauges": {}}
        for metric in self.all():
            if isinstance(metric, Counter):
                _put(delta["counters"], metric.name, _take_counter(metric))
            elif isinstance(metric, Histogram):
                _put(delta["histograms"], metric.name, _take_histogram(metric))
            else:
                _put(delta["gauges"], metric.name, [[list(key), value] for key, value in metric.values.items()])
        return delta


def _put(section: dict[str, list[list[Any]]], name: str, rows: list[list[Any]]) -> None:
    if rows:
        section[name] = rows


def _take_counter(counter: Counter) -> list[list[Any]]:
    rows = [[list(key), count] for key, count in counter.values.items() if count]
    for key in counter.values:
        counter.values[key] = 0  # existing keys only: the dict does not change its size while we walk it
    return rows


def _take_histogram(histogram: Histogram) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for labels, cell in histogram.cells.items():
        if any(cell.counts):
            rows.append([list(labels), cell.counts.copy(), cell.sum])
            cell.counts[:] = [0] * len(cell.counts)
            cell.sum = 0.0
    return rows


@dataclass(slots=True)
class _Tally:
    """The running total of one histogram series."""

    counts: list[int]
    sum: float = 0.0


@dataclass(slots=True)
class Totals:
    """The counts of all processes since the supervisor started; a source's gauges until it is forgotten.

    Raises ValueError for a delta that does not fit the list of metrics, before any of it is added.
    """

    counters: dict[str, dict[Labels, int]] = field(default_factory=dict)
    histograms: dict[str, dict[Labels, _Tally]] = field(default_factory=dict)
    gauges: dict[str, dict[str, dict[Labels, float]]] = field(default_factory=dict)
    _metrics: dict[str, Counter | Gauge | Histogram] = field(
        default_factory=lambda: {m.name: m for m in Metrics().all()}
    )
    _registry: CollectorRegistry | None = None

    def add(self, source: str, delta: Delta) -> None:
        """Add the counts of `source` (a process's name) and let its gauges replace its former ones."""
        self._validate(delta)
        for name, rows in delta["counters"].items():
            series = self.counters.setdefault(name, {})
            for labels, count in rows:
                key = tuple(labels)
                series[key] = series.get(key, 0) + count
        for name, rows in delta["histograms"].items():
            tallies = self.histograms.setdefault(name, {})
            for labels, counts, total in rows:
                tally = tallies.setdefault(tuple(labels), _Tally([0] * len(counts)))
                tally.counts = [old + new for old, new in zip(tally.counts, counts, strict=True)]
                tally.sum += total
        self.gauges[source] = {
            name: {tuple(labels): value for labels, value in rows} for name, rows in delta["gauges"].items()
        }

    def forget(self, source: str) -> None:
        """Drop the gauges of a process that is gone. Its counts stay."""
        self.gauges.pop(source, None)

    def count(self, name: str, label: str | None = None) -> dict[str, int]:
        """A counter summed by the values of one label (`{"": total}` without one)."""
        metric = self._metrics[name]
        position = None if label is None else metric.labels.index(label)
        sums: dict[str, int] = {}
        for key, count in self.counters.get(name, {}).items():
            group = "" if position is None else key[position]
            sums[group] = sums.get(group, 0) + count
        return sums

    def gauge(self, name: str) -> dict[Labels, float]:
        """A gauge with the values of all sources combined, by label values."""
        metric = self._metrics[name]
        assert isinstance(metric, Gauge)
        grouped: dict[Labels, list[float]] = {}
        for source in self.gauges.values():
            for key, value in source.get(name, {}).items():
                grouped.setdefault(key, []).append(value)
        return {key: metric.combine(values) for key, values in grouped.items()}

    def quantiles(self, name: str, wanted: tuple[float, ...]) -> dict[float, float | None]:
        """Estimates from all series of a histogram, linear inside a bucket as PromQL's histogram_quantile does it.

        None if nothing was observed; the largest bound for what lies past it.
        """
        bounds = self._histogram(name).bounds
        counts = self.bucket_counts(name)
        return {quantile: _estimate(bounds, counts, quantile) for quantile in wanted}

    def bucket_counts(self, name: str) -> list[int]:
        """The counts per bucket (the last is +Inf) of all series of a histogram."""
        counts = [0] * (len(self._histogram(name).bounds) + 1)
        for tally in self.histograms.get(name, {}).values():
            counts = [old + new for old, new in zip(counts, tally.counts, strict=True)]
        return counts

    def expose(self) -> bytes:
        """The Prometheus text format (0.0.4), every metric of the list with HELP and TYPE."""
        from prometheus_client import CollectorRegistry, generate_latest

        if self._registry is None:
            self._registry = CollectorRegistry()
            self._registry.register(_Collector(self))
        return generate_latest(self._registry)

    def _histogram(self, name: str) -> Histogram:
        metric = self._metrics[name]
        assert isinstance(metric, Histogram)
        return metric

    def _validate(self, delta: Delta) -> None:
        for section, kind in (("counters", Counter), ("histograms", Histogram), ("gauges", Gauge)):
            for name, rows in delta[section].items():
                metric = self._metrics.get(name)
                if not isinstance(metric, kind):
                    raise ValueError(f"no such metric among the {section}: {name[:100]!r}")
                if any(len(row[0]) != len(metric.labels) for row in rows):
                    raise ValueError(f"{name} has labels {metric.labels}, got other ones")
                if isinstance(metric, Histogram) and any(len(row[1]) != len(metric.bounds) + 1 for row in rows):
                    raise ValueError(f"{name} has {len(metric.bounds) + 1} buckets, got another number")


def _estimate(bounds: tuple[float, ...], counts: list[int], quantile: float) -> float | None:
    if not any(counts):
        return None
    rank = quantile * sum(counts)
    cumulative = list(accumulate(counts))
    index = bisect_left(cumulative, rank)
    while counts[index] == 0:
        index += 1  # rank 0 points at leading empty buckets
    if index >= len(bounds):
        return bounds[-1]
    lower = bounds[index - 1] if index else 0.0
    below = cumulative[index] - counts[index]
    return lower + (bounds[index] - lower) * (rank - below) / counts[index]


class _Collector:
    """What prometheus_client asks at each scrape. Defined lazily in terms of its types: see `Totals.expose`."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def describe(self) -> list[Metric]:
        return []  # keeps the registry from calling `collect` at registration

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for metric in self._totals._metrics.values():
            if isinstance(metric, Counter):
                counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
                series = dict.fromkeys(metric.known, 0) | self._totals.counters.get(metric.name, {})
                for labels, count in series.items():
                    counter.add_metric(labels, count)
                yield counter
            elif isinstance(metric, Histogram):
                histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, tally in self._totals.histograms.get(metric.name, {}).items():
                    histogram.add_metric(labels, _cumulative(metric.bounds, tally.counts), tally.sum)
                yield histogram
            else:
                gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, value in self._totals.gauge(metric.name).items():
                    gauge.add_metric(labels, value)
                yield gauge


def _cumulative(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    names = [*(f"{float(bound)!r}" for bound in bounds), "+Inf"]
    return list(zip(names, map(float, accumulate(counts)), strict=True))


def metrics_table() -> list[tuple[str, str, Labels, str]]:
    """Name, type, label names and help of every metric: what the README's table is tested against."""
    return [(metric.name, metric.kind, metric.labels, metric.help) for metric in Metrics().all()]
