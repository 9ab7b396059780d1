"""Who is stopped and who passes under the built-in policy: `make detection`.

One table: corpus, requests, what is expected, how many were so, and what is required. Every request is put through the
gateway's payload builder and judged by the engine (preset `moderate`, memory store, shipped address ranges, no DNS).
Below it: programs by name, and what each script and each driven browser gave away.

Exit 1 if a row misses what is required of it, or a corpus is empty. Where Chromium is not installed its rows are
skipped, which is said, and they count neither way.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import crawleruseragents
from asked_engine import AskedEngine, Outcome
from browser_headers import KINDS, browser_request, read_browser
from known_programs import (
    BORROWED,
    ELSEWHERE,
    FAKES,
    HELPERS,
    SCRIPTS,
    Program,
    foreign_addresses,
    own_address,
)
from real_chromium import EXECUTABLE, driven_requests

Expected = Callable[[Outcome], bool]


@dataclass
class Row:
    """One line of the table. `required`: percent, None = nothing is. `missed`: names of what was not as expected."""

    corpus: str
    expected: str
    required: float | None
    requests: int = 0
    as_expected: int = 0
    missed: list[str] = field(default_factory=list)
    skipped: str = ""

    def add(self, name: str, *, as_expected: bool) -> None:
        self.requests += 1
        self.as_expected += as_expected
        if not as_expected:
            self.missed.append(name)

    @property
    def percent(self) -> float:
        return 100.0 * self.as_expected / self.requests if self.requests else 0.0

    @property
    def failed(self) -> bool:
        if self.skipped:
            return False
        return not self.requests or (self.required is not None and self.percent < self.required)


def allowed(outcome: Outcome) -> bool:
    return outcome.action == "allow"


def blocked(outcome: Outcome) -> bool:
    return outcome.action == "block"


def stopped(outcome: Outcome) -> bool:
    return outcome.action in ("block", "challenge")


def flagged(outcome: Outcome) -> bool:
    return outcome.is_bot


class Detection:
    """Asks about every corpus. `rows`: in order; `notes`: lines for below the table."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self._engine = AskedEngine()
        self._asked = 0

    def crawlers(self) -> None:
        """The examples of crawler-user-agents."""
        row = self._row("crawler-user-agents: examples", "flagged as bots", 99.0)
        entries = crawleruseragents.CRAWLER_USER_AGENTS_DATA
        for user_agent in sorted({instance for entry in entries for instance in entry.get("instances", [])}):
            outcome = self._ask(_program_head(user_agent))
            row.add(user_agent, as_expected=flagged(outcome))

    def browsers(self) -> None:
        """Every browser of fake-useragent with the headers that it would send."""
        rows = {kind: self._row(f"fake-useragent: {kind}", "allowed", 99.5) for kind in KINDS}
        for user_agent in _fake_useragent():
            browser = read_browser(user_agent)
            for kind, row in rows.items():
                scheme, head = browser_request(browser, kind)
                outcome = self._ask(head, scheme=scheme)
                row.add(f"{user_agent} {_findings(outcome)}", as_expected=allowed(outcome))

    def recorded(self) -> None:
        """What real browsers sent, read from their sockets."""
        row = self._row("recorded requests of real browsers", "allowed", 100.0)
        for name, scheme, head in recorded_heads():
            outcome = self._ask(head, scheme=scheme)
            row.add(f"{name}: {_findings(outcome)}", as_expected=allowed(outcome))

    def fakes(self) -> None:
        """The best-known crawlers, from addresses that are not theirs."""
        row = self._row("fakes of the best-known crawlers", "refused", 100.0)
        for program in FAKES:
            for address in foreign_addresses(program):
                outcome = self._ask(_program_head(program.user_agent), address=address)
                row.add(f"{program.name} from {address}: {outcome.action}", as_expected=blocked(outcome))

    def helpers(self) -> None:
        """Programs that shall pass, each by name."""
        for name, programs in HELPERS.items():
            row = self._row(name, "allowed", 100.0)
            for program in programs:
                outcome = self._ask(_program_head(program.user_agent, program.target), address=_address(program))
                row.add(f"{program.name}: {outcome.action}", as_expected=allowed(outcome))
            self.notes.append(f"{name}: {', '.join(program.name for program in programs)}")

    def robots(self) -> None:
        """Everybody may read what is forbidden, whoever he says he is."""
        row = self._row("crawlers, true or false, of /robots.txt", "allowed", 100.0)
        for program in FAKES:
            outcome = self._ask(_program_head(program.user_agent, "/robots.txt"))
            row.add(f"{program.name}: {outcome.action}", as_expected=allowed(outcome))

    def chromium(self) -> None:
        """Headless Chromium, really started."""
        if not EXECUTABLE:
            reason = "chromium is not installed (Debian: apt install chromium)"
            self._row("headless Chromium, defaults", "refused", 100.0).skipped = reason
            return
        for how, heads in driven_requests().items():
            defaults = how == "with defaults"
            row = self._row(
                f"headless Chromium, {how.removeprefix('with ')}", "refused" if defaults else "refused or challenged",
                100.0 if defaults else None,
            )  # fmt: skip
            outcomes = [self._ask(head) for head in heads]
            for outcome in outcomes:
                row.add(outcome.rule, as_expected=(blocked if defaults else stopped)(outcome))
            self.notes.append(f"headless Chromium, {how}: {_shown(outcomes[0])}")

    def scripts(self) -> None:
        """Scripted clients with a browser's user agent."""
        for scheme in ("https", "http"):
            row = self._row(f"scripts with a browser's name, {scheme}", "refused or challenged", None)
            for client, headers in SCRIPTS.items():
                shown = []
                for borrowed, user_agent in BORROWED.items():
                    lines = (line.replace("{}", user_agent) for line in (f"Host: {HOST}", *headers))
                    head = _head("GET", lines)
                    outcome = self._ask(head, scheme=scheme)
                    row.add(f"{client} as {borrowed}", as_expected=stopped(outcome))
                    shown.append(f"{borrowed} {outcome.action} {outcome.score}")
                self.notes.append(f"{client}, {scheme}: {', '.join(shown)}")

    def _row(self, corpus: str, expected: str, required: float | None) -> Row:
        row = Row(corpus, expected, required)
        self.rows.append(row)
        return row

    def _ask(self, head: bytes, *, scheme: str = "https", address: str = "") -> Outcome:
        """Everybody without an address of his own gets one, so that no rate limit is met."""
        self._asked += 1
        own = f"81.{self._asked >> 16 & 255}.{self._asked >> 8 & 255}.{self._asked & 255}"
        return self._engine.ask(head, scheme=scheme, address=address or own)


HOST = "shop.example"
RECORDINGS = Path(__file__).parents[2] / "tests" / "engine" / "browser" / "requests.txt"


def _head(method: str, lines: Iterable[str], target: str = "/shoes?page=2") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode()


def _program_head(user_agent: str, target: str = "/shoes?page=2") -> bytes:
    lines = (f"Host: {HOST}", f"User-Agent: {user_agent}", "Accept: */*", "Accept-Encoding: gzip, deflate")
    return _head("GET", lines, target)


def _address(program: Program) -> str:
    return own_address(program.operator) if program.operator else ELSEWHERE


def _fake_useragent() -> Iterator[str]:
    spec = importlib.util.find_spec("fake_useragent")
    if spec is None or spec.origin is None:
        raise SystemExit("fake-useragent is not installed: make install, then pip install -e .[dev]")
    for line in (Path(spec.origin).parent / "data" / "browsers.jsonl").read_text().splitlines():
        yield json.loads(line)["useragent"]


def recorded_heads() -> Iterator[tuple[str, str, bytes]]:
    """(name, scheme, request head) of the tests' recordings; a Host is put first where HTTP/2 had :authority."""
    for block in RECORDINGS.read_text().split("\n== ")[1:]:
        name, first, *lines = block.strip().splitlines()
        scheme, method, target = first.split(" ")
        host = () if lines[0].startswith("Host: ") else (f"Host: {HOST}",)
        yield name, scheme, "\r\n".join([f"{method} {target} HTTP/1.1", *host, *lines, "", ""]).encode()


def _findings(outcome: Outcome) -> str:
    return f"{outcome.action} by {outcome.rule}, {outcome.score} {' '.join(outcome.findings)}"


def _shown(outcome: Outcome) -> str:
    return f"{outcome.action} by {outcome.rule}, score {outcome.score} ({', '.join(outcome.findings) or 'no finding'})"


def table(rows: Sequence[Row]) -> str:
    """The table, one line per row."""
    lines = [f"{'corpus':<56}{'requests':>9}  {'expected':<22}{'as expected':>12}{'%':>8}{'required':>11}"]
    for row in rows:
        if row.skipped:
            lines.append(f"{row.corpus:<56}{'-':>9}  {row.expected:<22}SKIPPED: {row.skipped}")
            continue
        required = f">= {row.required:g}" if row.required is not None else "-"
        mark = "  FAILED" if row.failed else ""
        lines.append(
            f"{row.corpus:<56}{row.requests:>9,}  {row.expected:<22}{row.as_expected:>12,}{row.percent:>8.2f}"
            f"{required:>11}{mark}"
        )
    return "\n".join(lines)


def main() -> int:
    detection = Detection()
    detection.crawlers()
    detection.browsers()
    detection.recorded()
    detection.fakes()
    detection.helpers()
    detection.robots()
    detection.chromium()
    detection.scripts()
    print(table(detection.rows), end="\n\n")
    for note in detection.notes:
        print(note)
    failed = [row for row in detection.rows if row.failed]
    for row in failed:
        print(f"\n{row.corpus}: {row.requests - row.as_expected} of {row.requests} not {row.expected}", file=sys.stderr)
        for name in row.missed[:20]:
            print(f"  {name}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
