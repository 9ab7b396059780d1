"""What whoever makes calls is given: the time, chance, and somebody to tell what happens."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance. now_s: Unix seconds; random: from 0 to 1."""

    now_s: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Called:
    """One call, as it was made, for `-v`. status: None where no answer came."""

    provider: str
    method: str
    path: str
    status: int | None
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told what happens. on_call: each call, repeated ones too; on_wait: a sentence for people about a wait."""

    on_call: Callable[[Called], None] = lambda called: None
    on_wait: Callable[[str], None] = lambda sentence: None


_SHORT_S = 1.0
_PAUSE_MAX_S = 60.0


def pause_s(took_s: float) -> float:
    """After work that took so long, until it is done again: nine times as long, so that it takes a tenth of the time,
    but at most a minute. Short work needs none."""
    return 0.0 if took_s < _SHORT_S else min(9 * took_s, _PAUSE_MAX_S)
