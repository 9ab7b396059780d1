"""How a platform is called: limits and time-outs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from gateway.config.posture import Platform
from gateway.posture.watching import Clock


@dataclass(frozen=True, slots=True)
class Manner:
    """The keys that every platform has in the configuration (`posture.providers`), with their defaults. Times are
    seconds; ca: PEM file of authorities that are trusted besides the system's."""

    timeout_s: float = 30.0
    attempts: int = 4
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0
    max_wait_s: float = 90.0
    poll_s: float = 5.0
    poll_max_s: float = 30.0
    max_answer_bytes: int = 64 * 1024 * 1024
    ca: str | None = None

    @classmethod
    def of(cls, platform: Platform) -> Self:
        """That of a section of the configuration."""
        return cls(
            platform.timeout, platform.retry.attempts, platform.retry.base, platform.retry.max,
            platform.rate_limit.max_wait, platform.poll.interval, platform.poll.max, platform.max_answer, platform.ca,
        )  # fmt: skip

    def pauses(self) -> Iterator[float]:
        """Seconds between two questions whether something is done: from poll_s, by half longer each, to poll_max_s."""
        pause_s = self.poll_s
        while True:
            yield pause_s
            pause_s = min(pause_s * 1.5, self.poll_max_s)


def backoff_s(manner: Manner, clock: Clock, attempt: int) -> float:
    """Exponential with jitter: half to all of base * 2^(attempt - 1), at most backoff_max_s."""
    longest: float = min(manner.backoff_s * 2 ** min(attempt - 1, 32), manner.backoff_max_s)
    return longest * (0.5 + clock.random() / 2)
