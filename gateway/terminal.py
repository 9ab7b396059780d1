"""How the answers of `explain` and `check --probe` look on a terminal, or in a pipe: tables of rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.explain import Answer, Explanation, Field, Headers
from gateway.probe import ProbeResult

PIPE_WIDTH = 200
"""Columns when nobody tells us the width: wide enough to be searched line by line."""

CUT_STYLE = "yellow"


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
        table.add_column(column, overflow="fold", justify="right" if column in {"bytes", "limit", "ms"} else "left")
    return table


def _shown(value: str) -> Text:
    """`value` without markup; what is not printable is escaped, for it comes from peers and may command a terminal."""
    return Text("".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value))


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)
