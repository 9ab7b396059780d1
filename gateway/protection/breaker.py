"""The circuit breaker in front of the Protection API: while it is open, no call is made and nothing waits.

closed --(failures within window)--> open --(open_s over)--> half-open, one probe at a time --success--> closed
                                      ^------------------------------- failure of the probe --'
"""

from __future__ import annotations

from collections import deque

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


class Breaker:
    """failures: how many within window_s open it; open_s: how long no call is made. Times are monotonic seconds."""

    __slots__ = ("_failed_at", "_failures", "_opened_at", "_probe_at", "_window_s", "open_s", "state")

    def __init__(self, failures: int, window_s: float, open_s: float) -> None:
        self._failures = failures
        self._window_s = window_s
        self.open_s = open_s
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._opened_at = 0.0
        self._probe_at: float | None = None
        self.state = CLOSED

    def allows(self, now_s: float) -> bool:
        """Whether a call may be made now. In half-open state the caller that gets True is the probe."""
        if self.state == CLOSED:
            return True
        if self.state == OPEN and now_s - self._opened_at >= self.open_s:
            self.state = HALF_OPEN
            self._probe_at = None
        if self.state == OPEN or (self._probe_at is not None and now_s - self._probe_at < self.open_s):
            return False  # a probe that never reports (its client went away) frees its place after open_s
        self._probe_at = now_s
        return True

    def succeeded(self) -> bool:
        """A call got an answer. True if this closes the breaker; while it is open, late answers change nothing."""
        if self.state != HALF_OPEN:
            return False
        self.state = CLOSED
        self._probe_at = None
        self._failed_at.clear()
        return True

    def failed(self, now_s: float) -> bool:
        """A call got no answer. True if this opens the breaker."""
        if self.state == OPEN:
            return False
        if self.state == CLOSED:
            self._failed_at.append(now_s)
            if len(self._failed_at) < self._failures or now_s - self._failed_at[0] > self._window_s:
                return False
        self.state = OPEN
        self._opened_at = now_s
        self._probe_at = None
        self._failed_at.clear()
        return True
