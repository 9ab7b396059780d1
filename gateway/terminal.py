"""How the answers of `explain`, `check --probe` and `engine` look on a terminal, or in a pipe: tables of rich."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.explain import Answer, Explanation, Field, Headers
from gateway.probe import ProbeResult

if TYPE_CHECKING:
    from gateway import replay
    from gateway.engine.policy.explanation import Looked, Step
    from gateway.overriding import Listed
    from gateway.replay.tally import Example

PIPE_WIDTH = 200
"""Columns when nobody tells us the width: wide enough to be searched line by line."""

CUT_STYLE = "yellow"
ACTION_STYLES = {"allow": "green", "block": "red", "challenge": "yellow", "limit": "yellow", "redirect": "cyan"}
_NUMBERS = {"bytes", "limit", "ms", "#", "requests", "share"}


def print_probes(results: Sequence[ProbeResult], console: Console | None = None) -> None:
    """One line per peer: ok or not, which, how long it took, what it said."""
    table = _table("", "peer", "ms", "answer")
    for result in results:
        mark = Text("ok", "green") if result.ok else Text("FAILED", "bold red")
        table.add_row(mark, _shown(result.what), f"{result.duration_s * 1e3:.1f}", _shown(result.detail))
    (console or _console()).print(table)


def print_explanation(explanation: Explanation, console: Console | None = None) -> None:
    """Site, check or bypass, client address, the payload field by field, and the answer if somebody was asked."""
    console = console or _console()
    console.print(_facts(_basics(explanation)))
    if explanation.fields:
        console.print(_fields(explanation.fields))
    if explanation.answer is not None:
        _print_answer(explanation.answer, console)


def _basics(explanation: Explanation) -> Iterable[tuple[str, str]]:
    yield "site", f"{explanation.site or 'none'}: {explanation.site_reason}"
    yield "protection", f"{'check' if explanation.checked else 'bypass'}: {explanation.checked_reason}"
    yield "client address", f"{explanation.client_ip}: {explanation.client_ip_reason}"
    if explanation.fields:
        share = 100 * explanation.encoded_bytes / explanation.budget_bytes
        size = f"{explanation.encoded_bytes} of at most {explanation.budget_bytes} bytes ({share:.1f} %)"
        yield "payload", f"{len(explanation.fields)} fields as {explanation.encoding}, {size}"


def _fields(fields: Iterable[Field]) -> Table:
    table = _table("field", "bytes", "limit", "cut", "value")
    for field in fields:
        limit = "" if field.limit_bytes is None else str(field.limit_bytes)
        row = (field.name, str(field.sent_bytes), limit, "cut" if field.cut else "", _shown(field.value))
        table.add_row(*row, style=CUT_STYLE if field.cut else None)
    return table


def _print_answer(answer: Answer, console: Console) -> None:
    status = "no answer" if answer.status is None else f"status {answer.status}"
    decision = f"{answer.decision} ({answer.reason})" if answer.reason else answer.decision
    facts = [
        ("decision", decision),
        *([("rule", answer.rule)] if answer.rule else []),
        ("answer", f"{status} after {answer.duration_s * 1e3:.1f} ms"),
        ("outcome", answer.outcome),
    ]
    console.print(_facts(facts))
    _print_headers("merged into the request to the origin", answer.request_headers, console)
    _print_headers("merged into the response to the client", answer.response_headers, console)
    _print_lines("the origin gets", answer.origin_gets or ("nothing",), console)
    _print_lines("the client gets", answer.client_gets or ("the origin's response, with what is merged",), console)


def _print_headers(title: str, headers: Headers, console: Console) -> None:
    _print_lines(title, tuple(f"{name}: {value}" for name, value in headers) or ("nothing",), console)


def _print_lines(title: str, lines: Iterable[str], console: Console) -> None:
    console.print(Text(f"\n{title}", "bold"))
    for line in lines:
        console.print(Text("  ").append(_shown(line)))


def _facts(facts: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in facts:
        table.add_row(Text(name, "bold"), _shown(value))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in _NUMBERS else "left")
    return table


def _shown(value: str) -> Text:
    """`value` without markup; what is not printable is escaped, for it comes from peers and may command a terminal."""
    return Text("".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value))


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


# -- the engine


def print_json(value: object) -> None:
    """Indented, for people and programs."""
    import orjson

    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def print_rules(rows: Sequence[replay.RuleRow], console: Console | None = None) -> None:
    """One line per rule in force, in order."""
    hosts = any(row.hosts for row in rows)
    table = _table("#", "rule", "action", "from", "", *(["hosts"] if hosts else []))
    for row in rows:
        more = [row.hosts or "all others"] if hosts else []
        table.add_row(str(row.number), row.name, row.action, row.origin, "dry run" if row.dry_run else "", *more)
    (console or _console()).print(table)


def print_overrides(listed: Listed, console: Console | None = None) -> None:
    """What is in force, the one that ends first at the top."""
    console, now_s = console or _console(), time.time()
    if not listed.overrides:
        console.print(_shown(f"nothing is blocked, allowed or revoked by hand ({listed.where})"))
        return
    table = _table("subject", "action", "ends", "in", "reason")
    for one in listed.overrides:
        left = _left(max(0.0, one.until_s - now_s))
        table.add_row(one.subject, _action(one.action), _moment(one.until_s), left, _shown(one.reason))
    console.print(table)
    until = ", until the engine is restarted" if listed.in_memory else ""
    console.print(_shown(f"{len(listed.overrides)} in force{until} ({listed.where})"))


def print_replay(found: replay.Explanation | replay.Replay, console: Console | None = None) -> None:
    """One request rule by rule, or what a log came to; and what to bear in mind."""
    from gateway.replay import Replay

    console = console or _console()
    if isinstance(found, Replay):
        _print_log(found, console)
    else:
        _print_request(found, console)
    for note in found.notes:
        console.print(Text("note: ", "bold").append(_shown(note)))


@contextlib.contextmanager
def progress() -> Iterator[Callable[[int, float | None], None]]:
    """A line on stderr that says how far a log was read; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda lines, share: None
        return

    def show(lines: int, share: float | None) -> None:
        part = "" if share is None else f", {share:.0%}"
        print(f"\r\033[K{lines:,} lines{part}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _print_request(found: replay.Explanation, console: Console) -> None:
    console.print(_facts(_request_facts(found)))
    table = _table("#", "rule", "action", "", "why")
    for number, step in enumerate(found.explained.steps, 1):
        style = {"decided": "bold", "not_reached": "dim", "no_match": None}.get(step.outcome, "yellow")
        table.add_row(str(number), step.rule, step.action, step.outcome.replace("_", " "), _why(step), style=style)
    console.print(table)


def _request_facts(found: replay.Explanation) -> Iterable[tuple[str, str]]:
    request, who, verdict = found.request, found.identity, found.explained.verdict
    yield "policy", found.policy
    yield "request", f"{request.described.text('Method')} {request.target} of {request.host or 'no host'}"
    yield "from", f"{request.where.text}, {request.user_agent or 'no user agent'}"
    claim = f", its claim is {request.standing}" if request.standing else ""
    yield "visitor", f"{who.name} ({who.family}, {who.bot_class}){claim}, session: {request.session.kind}"
    yield "score", str(request.score)
    for name, weight, why in found.findings:
        yield "", f"+{weight} {name}: {why}"
    yield "verdict", f"{verdict.action}, by the rule {verdict.rule}"
    for rule, action in verdict.dry:
        yield "dry run", f"{rule} would {action}"
    if found.against is not None:
        other, decision = found.against
        yield f"with {other}", f"{decision.action}, by the rule {decision.rule}"


def _why(step: Step) -> Text:
    """The keys that made the rule fail, or all of them where it matched."""
    failed = [one for one in step.looked if one.holds is False]
    lines = [_looked(one) for one in failed or step.looked]
    return _stacked([*filter(None, [step.note]), *lines])


def _looked(looked: Looked) -> str:
    if not looked.inner:
        verb = {True: "holds", False: "is wanted", None: "is wanted"}[looked.holds]
        return f"{looked.key}: {looked.saw or 'nothing'}; {looked.wanted} {verb}"
    inner = " | ".join(" and ".join(_looked(one) for one in match) for match in looked.inner)
    return f"{looked.key} {'holds' if looked.holds else 'fails'}: {inner}"


def _print_log(found: replay.Replay, console: Console) -> None:
    console.print(_facts(_log_facts(found)))
    table = _table("rule", "action", "requests", "share", "most often")
    for row in found.rows:
        share = f"{100 * row.requests / found.judged:.1f} %"
        table.add_row(row.decision.rule, _action(row.decision.action), f"{row.requests:,}", share, _most(row.examples))
    console.print(table)
    if found.changes is not None:
        _print_changes(found, found.changes, console)


def _log_facts(found: replay.Replay) -> Iterable[tuple[str, str]]:
    yield "policy", found.policy
    formats = ", ".join(f"{name}: {count:,}" for name, count in found.formats.most_common())
    yield "judged", f"{found.judged:,} of {found.lines:,} lines ({formats})"
    if found.first_s > 0:
        yield "time", f"{_moment(found.first_s)} to {_moment(found.last_s)}"
    for name, reasons in (("not judged", found.unasked), ("not readable", found.unreadable)):
        if reasons:
            yield name, f"{reasons.total():,}: " + ", ".join(f"{why} ({n:,})" for why, n in reasons.most_common())
    yield "visitors", ", ".join(f"{name}: {count:,}" for name, count in found.classes.most_common())
    if found.dry:
        yield "dry run", ", ".join(f"{decision} {count:,}" for decision, count in found.dry.most_common())


def _print_changes(found: replay.Replay, changes: Sequence[replay.Change], console: Console) -> None:
    other = sum(one.requests for one in changes if one.before.action != one.after.action)
    same = sum(one.requests for one in changes) - other
    console.print(Text(f"\nwith {found.against} instead of {found.policy}", "bold"))
    console.print(f"{other:,} of {found.judged:,} requests get another action; {same:,} the same by another rule")
    if not changes:
        return
    table = _table("from", "to", "requests", "most often")
    for one in changes:
        before, after = (Text(str(decision), ACTION_STYLES.get(decision.action, "")) for decision in one[:2])
        table.add_row(before, after, f"{one.requests:,}", _most(one.examples))
    console.print(table)


def _most(examples: Sequence[Example]) -> Text:
    return _stacked(f"{one.requests:,} x {one.address} {one.first} {one.user_agent}" for one in examples)


def _stacked(lines: Iterable[str]) -> Text:
    return Text("\n").join(map(_shown, lines))


def _action(action: str) -> Text:
    return Text(action, ACTION_STYLES.get(action, ""))


def _moment(time_s: float) -> str:
    return datetime.fromtimestamp(time_s).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def _left(left_s: float) -> str:
    if left_s < 120:
        return f"{left_s:.0f} s"
    return f"{left_s / 60:.0f} min" if left_s < 7200 else f"{left_s / 3600:.1f} h"
