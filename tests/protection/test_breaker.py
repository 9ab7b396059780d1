"""The circuit breaker; times are given, none is waited for."""

from __future__ import annotations

from gateway.protection.breaker import CLOSED, HALF_OPEN, OPEN, Breaker


def opened(at_s: float = 100.0) -> Breaker:
    breaker = Breaker(3, 10.0, 5.0)
    assert [breaker.failed(at_s) for _ in range(3)] == [False, False, True]
    return breaker


def test_breaker_new_is_closed_and_allows() -> None:
    breaker = Breaker(3, 10.0, 5.0)
    assert (breaker.state, breaker.allows(0.0)) == (CLOSED, True)


def test_breaker_failures_within_the_window_open_it() -> None:
    breaker = Breaker(3, 10.0, 5.0)
    assert [breaker.failed(now_s) for now_s in (0.0, 5.0, 10.0)] == [False, False, True]
    assert breaker.state == OPEN


def test_breaker_failures_spread_over_more_than_the_window_do_not() -> None:
    breaker = Breaker(3, 10.0, 5.0)
    assert not any(breaker.failed(now_s) for now_s in (0.0, 5.1, 10.2, 15.3, 20.4))
    assert breaker.state == CLOSED


def test_breaker_window_slides() -> None:
    breaker = Breaker(3, 10.0, 5.0)
    assert [breaker.failed(now_s) for now_s in (0.0, 11.0, 12.0, 13.0)] == [False, False, False, True]


def test_breaker_successes_while_closed_do_not_forget_failures() -> None:
    breaker = Breaker(3, 10.0, 5.0)
    for now_s in (0.0, 1.0):
        breaker.failed(now_s)
        assert breaker.succeeded() is False
    assert breaker.failed(2.0) is True


def test_breaker_one_failure_suffices_if_configured() -> None:
    breaker = Breaker(1, 10.0, 5.0)
    assert (breaker.failed(0.0), breaker.state) == (True, OPEN)


def test_breaker_open_allows_nothing_until_its_time_is_over() -> None:
    breaker = opened(100.0)
    assert not any(breaker.allows(now_s) for now_s in (100.0, 102.0, 104.999))
    assert breaker.allows(105.0) is True
    assert breaker.state == HALF_OPEN


def test_breaker_open_ignores_late_answers_and_failures() -> None:
    breaker = opened(100.0)
    assert (breaker.succeeded(), breaker.failed(104.0), breaker.state) == (False, False, OPEN)
    assert breaker.allows(105.0) is True, "a late failure must not prolong it"


def test_breaker_half_open_has_one_probe_at_a_time() -> None:
    breaker = opened(100.0)
    assert [breaker.allows(105.0) for _ in range(3)] == [True, False, False]


def test_breaker_probe_that_succeeds_closes_it_with_a_clean_slate() -> None:
    breaker = opened(100.0)
    breaker.allows(105.0)
    assert (breaker.succeeded(), breaker.state) == (True, CLOSED)
    assert [breaker.failed(106.0) for _ in range(3)] == [False, False, True]


def test_breaker_probe_that_fails_opens_it_anew() -> None:
    breaker = opened(100.0)
    breaker.allows(105.0)
    assert (breaker.failed(105.2), breaker.state) == (True, OPEN)
    assert (breaker.allows(110.1), breaker.allows(110.2)) == (False, True)


def test_breaker_probe_that_never_reports_frees_its_place() -> None:
    breaker = opened(100.0)
    assert breaker.allows(105.0) is True
    assert breaker.allows(109.9) is False
    assert [breaker.allows(110.0), breaker.allows(110.0)] == [True, False]
