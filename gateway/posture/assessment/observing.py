"""Who is told what happens, and the time: the shapes of `gateway.posture.client`'s Watcher and Clock, which fit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class WatcherLike(Protocol):
    """on_call: each request (an object with provider, method, path, status, duration_ms); on_wait: a sentence."""

    @property
    def on_call(self) -> Callable[[Any], None]: ...

    @property
    def on_wait(self) -> Callable[[str], None]: ...


class ClockLike(Protocol):
    """now_s: Unix seconds."""

    @property
    def now_s(self) -> Callable[[], float]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of ours. status: None where no answer came."""

    provider: str
    method: str
    path: str
    status: int | None
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nobody is told."""

    on_call: Callable[[Any], None] = lambda asked: None
    on_wait: Callable[[str], None] = lambda sentence: None


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The time of this machine."""

    now_s: Callable[[], float] = time.time
