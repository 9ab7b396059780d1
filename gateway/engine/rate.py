"""The arithmetic of a rate limit: GCRA, the generic cell rate algorithm (ITU-T I.371, "virtual scheduling").

A limit of `limit` requests per `per_s` seconds means one request each interval T = per_s / limit, with `burst` of them
at once. One number is kept of whom is limited: TAT, the theoretical arrival time of the next request if they came
evenly. A request at the time `now`:

    TAT     = min(TAT, now + burst * T)         a clock that went back, or a burst that was lowered, locks nobody out
    next    = max(TAT, now) + T
    allowed   iff  next - burst * T <= now      then TAT = next; a refused request costs nothing
    retry   = next - burst * T - now            never more than T

All times are whole microseconds, T rounded up: sums of integers are exact, here and in the doubles of a store's Lua
(up to 2^53 = the year 2255), so a burst is `burst` requests and never one less, and no rate is above the limit. The
price: a limit of more than a million requests per second is one of a million.
"""

from __future__ import annotations

MICROSECONDS = 1_000_000


def interval_us(limit: int, per_s: float) -> int:
    """T in microseconds, at least 1. `limit` >= 1, `per_s` > 0."""
    return -(-round(per_s * MICROSECONDS) // limit) or 1


def conform(tat_us: int, now_us: int, limit: int, per_s: float, burst: int) -> tuple[bool, int, float]:
    """One request: (allowed, the TAT to keep, seconds until one would be allowed or 0.0).

    `tat_us`: what was kept, 0 of somebody new. What is kept says nothing any more once it is not after `now_us`.
    """
    step_us = -(-round(per_s * MICROSECONDS) // limit) or 1  # interval_us, written out: a call costs 60 ns
    full_us = now_us + burst * step_us
    if tat_us > full_us:
        tat_us = full_us
    next_us = (tat_us if tat_us > now_us else now_us) + step_us
    if next_us <= full_us:
        return True, next_us, 0.0
    return False, tat_us, (next_us - full_us) / MICROSECONDS
