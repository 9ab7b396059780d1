"""How long a challenge keeps a visitor, on cores as slow as a phone's: `make bench-challenge`.

Drives Debian's Chromium through real challenge pages of the default difficulty: from the navigation to the page that
the visitor wanted, with the page's load, the proof, the cookie and the second load. DevTools slow the browser's main
thread down (Emulation.setCPUThrottlingRate) by 1, 4 (a phone of the middle) and 6 (a cheap one); workers they do not
reach. So there are two rows for each: `in a worker` is what browsers do, of which only the page's own part is slowed
down, and `on the page`, where the whole proof is computed on the one slow core, as in browsers that are refused
workers: the worst that a phone can meet.

Every solve has a profile of its own, so that no session, cache or compiled script of another helps it. How much work a
proof is varies by chance: 65,536 hashes on average, with a deviation of a third.

Exit 1 if at 4 the mean or the 95th percentile of a row is over 2 s. Without Chromium nothing is measured, which is
said.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from browser import EXECUTABLE, chromium, visitor
from engine.challenge.challenged_site import ChallengedSite, serve
from percentiles import percentile
from playwright.async_api import Browser

from gateway.config import EngineChallenge

RATES = (1, 4, 6)
JUDGED_RATE = 4
LIMIT_S = 2.0
WAYS = {"in a worker": "", "on the page": "delete self.Worker"}
"""How it is computed -> what is run before the page's own script."""
TIMEOUT_MS = 60_000


@dataclass(frozen=True)
class Row:
    """The solves of one way at one rate, in seconds."""

    way: str
    rate: int
    durations_s: tuple[float, ...]

    @property
    def mean_s(self) -> float:
        return statistics.fmean(self.durations_s)

    @property
    def p95_s(self) -> float:
        return percentile(sorted(self.durations_s), 95)

    @property
    def failed(self) -> bool:
        return self.rate == JUDGED_RATE and max(self.mean_s, self.p95_s) > LIMIT_S

    def __str__(self) -> str:
        mark = f"  FAILED: over {LIMIT_S:g} s" if self.failed else ""
        return (
            f"{self.way:<14}{self.rate:>9}{len(self.durations_s):>8}{self.mean_s:>9.2f}{self.p95_s:>9.2f}"
            f"{max(self.durations_s):>9.2f}{mark}"
        )


HEADING = f"{'proof':<14}{'slowed by':>9}{'solves':>8}{'mean s':>9}{'p95 s':>9}{'worst s':>9}"


async def solve(browser: Browser, site: ChallengedSite, before: str, rate: int) -> float:
    """The seconds of one visit. Raises if it was no challenge, or was passed without a proof."""
    site.requests.clear()
    async with visitor(browser) as context:
        if before:
            await context.add_init_script(before)
        page = await context.new_page()
        devtools = await context.new_cdp_session(page)
        await devtools.send("Emulation.setCPUThrottlingRate", {"rate": rate})
        began_s = time.perf_counter()
        await page.goto(f"{site.url}/shoes?page=2", wait_until="commit")
        await page.wait_for_selector("h1:text('Welcome')", timeout=TIMEOUT_MS)
        took_s = time.perf_counter() - began_s
    if site.outcomes != ["challenged", "proved"]:
        raise RuntimeError(f"expected a challenge and a proof, got {site.outcomes}")
    return took_s


async def measure(count: int, rates: Iterable[int] = RATES, difficulty: int | None = None) -> list[Row]:
    """Rows for each way and rate. `difficulty`: None = the default of the configuration."""
    work = EngineChallenge().difficulty if difficulty is None else difficulty
    site = ChallengedSite(difficulty=work, wait_s=60)  # too long for anybody to get through by waiting
    rows = []
    async with serve(site), chromium() as browser:
        print(f"Chromium {browser.version}, difficulty {work}\n\n{HEADING}", flush=True)
        for way, before in WAYS.items():
            for rate in rates:
                rows.append(Row(way, rate, tuple([await solve(browser, site, before, rate) for _ in range(count)])))
                print(rows[-1], flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solves", type=int, default=20, help="of each row")
    arguments = parser.parse_args()
    if not EXECUTABLE:
        print("SKIPPED: chromium is not installed (Debian: apt install chromium)")
        return 0
    rows = asyncio.run(measure(arguments.solves))
    return 1 if any(row.failed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
