"""gateway.engine.rate against a naive model that keeps the time of every request."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.rate import MICROSECONDS, conform, interval_us

START_US = 1_700_000_000 * MICROSECONDS

limits = st.integers(1, 1_000)
periods = st.sampled_from([0.5, 1.0, 7.3, 60.0, 3600.0])
bursts = st.integers(1, 40)
gaps = st.lists(st.integers(0, 3) | st.integers(0, 90 * MICROSECONDS), min_size=1, max_size=120)


class Model:
    """A bucket of `burst` tokens that gains one each interval, computed in whole microseconds from every request."""

    def __init__(self, step_us: int, burst: int, now_us: int) -> None:
        self.step_us = step_us
        self.full_us = burst * step_us
        self.level_us = self.full_us  # one token is step_us of it
        self.now_us = now_us

    def take(self, now_us: int) -> bool:
        self.level_us = min(self.full_us, self.level_us + now_us - self.now_us)
        self.now_us = now_us
        if self.level_us < self.step_us:
            return False
        self.level_us -= self.step_us
        return True


@settings(deadline=None)
@given(limits, periods, bursts, gaps)
def test_conform_decides_as_a_bucket_of_tokens_does(limit: int, per_s: float, burst: int, gaps_us: list[int]) -> None:
    now_us, tat_us = START_US, 0
    model = Model(interval_us(limit, per_s), burst, now_us)
    for gap_us in gaps_us:
        now_us += gap_us
        allowed, tat_us, _ = conform(tat_us, now_us, limit, per_s, burst)
        assert allowed is model.take(now_us)


@settings(deadline=None)
@given(limits, periods, bursts, gaps)
def test_conform_of_any_window_allows_no_more_than_burst_and_average(
    limit: int, per_s: float, burst: int, gaps_us: list[int]
) -> None:
    now_us, tat_us, times_us = START_US, 0, []
    for gap_us in gaps_us:
        now_us += gap_us
        allowed, tat_us, _ = conform(tat_us, now_us, limit, per_s, burst)
        if allowed:
            times_us.append(now_us)
    for first, start_us in enumerate(times_us):
        for count, end_us in enumerate(times_us[first:], start=1):
            assert count <= burst + (end_us - start_us) * limit / (per_s * MICROSECONDS) + 1e-9


@settings(deadline=None)
@given(limits, periods, bursts, gaps)
def test_retry_after_is_the_first_microsecond_that_is_allowed(
    limit: int, per_s: float, burst: int, gaps_us: list[int]
) -> None:
    now_us, tat_us = START_US, 0
    for gap_us in gaps_us:
        now_us += gap_us
        allowed, tat_us, retry_after_s = conform(tat_us, now_us, limit, per_s, burst)
        assert (retry_after_s == 0.0) is allowed
        if not allowed:
            wait_us = round(retry_after_s * MICROSECONDS)
            assert 0 < wait_us <= interval_us(limit, per_s)
            assert conform(tat_us, now_us + wait_us, limit, per_s, burst)[0]
            assert not conform(tat_us, now_us + wait_us - 1, limit, per_s, burst)[0]


@given(limits, periods, bursts)
def test_burst_at_one_moment_is_allowed_exactly(limit: int, per_s: float, burst: int) -> None:
    tat_us, allowed_count = 0, 0
    for _ in range(burst + 5):
        allowed, tat_us, _ = conform(tat_us, START_US, limit, per_s, burst)
        allowed_count += allowed
    assert allowed_count == burst


def test_clock_that_went_back_a_year_costs_one_interval() -> None:
    tat_us = START_US
    for _ in range(5):
        _, tat_us, _ = conform(tat_us, START_US, 10, 60.0, 5)
    earlier_us = START_US - 365 * 86_400 * MICROSECONDS
    assert conform(tat_us, earlier_us, 10, 60.0, 5) == (False, earlier_us + 30 * MICROSECONDS, 6.0)
    assert conform(earlier_us + 30 * MICROSECONDS, earlier_us + 6 * MICROSECONDS, 10, 60.0, 5)[0]


def test_refused_requests_do_not_prolong_the_wait() -> None:
    _, tat_us, _ = conform(0, START_US, 1, 10.0, 1)
    for second in range(1, 10):
        allowed, tat_us, retry_after_s = conform(tat_us, START_US + second * MICROSECONDS, 1, 10.0, 1)
        assert (allowed, retry_after_s) == (False, 10.0 - second)
    assert conform(tat_us, START_US + 10 * MICROSECONDS, 1, 10.0, 1)[0]


def test_interval_is_rounded_up_and_never_nothing() -> None:
    assert [interval_us(3, 1.0), interval_us(10, 60.0), interval_us(5_000_000, 1.0)] == [333_334, 6_000_000, 1]
