"""Payloads and logs replayed against policies: counts, limits on the log's own clock, differences, bounds."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from engine.browser_requests import CHROME, FIREFOX
from replay.samples import GOOGLE_ADDRESS, GOOGLEBOT, PAYLOAD, access, combined, decision, payload

from gateway.errors import ConfigError, DescriptionError
from gateway.replay import Explanation, Options, Replay, explain, read_policy, rule_rows
from gateway.replay.reading import LINE_BYTES, WINDOW, Source
from gateway.replay.tally import REMEMBERED, Decision, Example

SCRIPT = "python-requests/2.32.3"
STRICT = """\
preset: none
rules:
  - {name: fake-crawler, action: block, match: {claim: fake}}
  - {name: search-engine, action: allow, match: {bot: search_engine, claim: verified}}
  - {name: automation, action: block, match: {bot: any}}
  - {name: suspicious-browser, action: challenge, match: {score: 30}}
"""
LOOSE = """\
preset: none
rules:
  - {name: fake-crawler, action: block, match: {claim: fake}}
  - {name: declared-bot, action: allow, match: {bot: any}}
"""
MIXED = (
    combined(agent=SCRIPT, request="GET /admin HTTP/1.1"),
    combined(agent=SCRIPT, request="GET /login HTTP/1.1", second=1),
    combined(GOOGLE_ADDRESS, agent=GOOGLEBOT, second=1, host="shop.example:443"),
    b"\n",
    combined("192.0.2.66", agent=GOOGLEBOT, second=2),
    b'203.0.113.9 - - [21/Nov/2026:10:00:02 +0000] "-" 408 0 "-" "-"\n',
    access("198.51.100.4"),
    access("198.51.100.4", outcome="bypassed"),
    decision("198.51.100.5", CHROME),
    payload(IP="198.51.100.6", TimeRequest=1_795_255_203_000_000),
    b"Traceback (most recent call last):\n",
    combined(second=3, tail=' "-" rt=0.001'),
)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    """`written(line, ...)` is a log of these lines."""

    def write(*lines: bytes, name: str = "access.log") -> str:
        file = tmp_path / name
        file.write_bytes(b"".join(lines))
        return str(file)

    return write


@pytest.fixture
def policy(tmp_path: Path) -> Callable[[str], Any]:
    """`policy(text)` is the policy of a file with this text."""

    def write(text: str) -> Any:
        file = tmp_path / f"policy{len(list(tmp_path.iterdir()))}.yaml"
        file.write_text(text)
        return read_policy(str(file))

    return write


def replayed(policy: Any, name: str, against: Any = None, **options: Any) -> Replay:
    found = explain(policy, name, against, Options(**options))
    assert isinstance(found, Replay)
    return found


def counts(found: Replay) -> dict[str, int]:
    return {str(row.decision): row.requests for row in found.rows}


def test_log_of_several_formats_is_counted_line_by_line(
    written: Callable[..., str], policy: Callable[[str], Any]
) -> None:
    found = replayed(policy(STRICT), written(*MIXED))
    assert (found.lines, found.judged) == (11, 8)  # an empty line is none
    assert found.formats == {"combined": 5, "access": 1, "decision": 1, "payload": 1}
    assert found.unreadable == {"no request in it": 1, "no known format": 1}
    assert found.unasked == {"the gateway asked nobody about it: bypassed": 1}
    assert found.lines == found.judged + found.unreadable.total() + found.unasked.total()
    assert counts(found) == {
        "block (automation)": 2,
        "allow (search-engine)": 1,
        "block (fake-crawler)": 1,
        "allow (default)": 3,
        "challenge (suspicious-browser)": 1,
    }
    assert found.classes == {"library": 2, "search_engine": 2, "human": 4}
    assert (found.first_s, found.last_s) == (1_795_255_200.0, 1_795_255_203.0)


def test_examples_are_the_most_frequent_visitors(written: Callable[..., str]) -> None:
    others = [combined(f"192.0.2.{number}", agent=SCRIPT) for number in range(10)]
    name = written(*others, *[combined("203.0.113.9", f"GET /{n} HTTP/1.1", SCRIPT, second=1) for n in range(20)])
    (row,) = replayed(read_policy("moderate"), name, examples=2).rows
    assert (row.requests, row.examples[0]) == (30, Example(20, "203.0.113.9", SCRIPT, "GET /0"))
    assert [example.requests for example in row.examples] == [20, 1]


def test_frequent_visitor_is_found_among_more_than_are_remembered(written: Callable[..., str]) -> None:
    lines = []
    for number in range(4 * REMEMBERED):
        lines += [combined(f"10.0.{number >> 8}.{number & 255}", agent=SCRIPT), combined("203.0.113.9", agent=SCRIPT)]
    (row,) = replayed(read_policy("moderate"), written(*lines)).rows
    assert row.requests == 8 * REMEMBERED
    assert row.examples[0].address == "203.0.113.9" and row.examples[0].requests > 3 * REMEMBERED


def test_limits_are_counted_on_the_clock_of_the_log(written: Callable[..., str], policy: Callable[[str], Any]) -> None:
    limited = policy(
        "preset: none\nrules: [{name: rate, action: rate_limit, limit: {requests: 3, per: 1m, by: address}}]"
    )
    name = written(*(combined(minute=minute, second=second) for minute in (0, 30) for second in range(5)))
    assert counts(replayed(limited, name)) == {"allow (default)": 6, "limit (rate)": 4}


def test_order_of_a_log_is_mended(written: Callable[..., str], policy: Callable[[str], Any]) -> None:
    limited = policy(
        "preset: none\nrules: [{name: rate, action: rate_limit, limit: {requests: 1, per: 1m, by: address}}]"
    )
    minutes = [3, 0, 2, 1]
    found = replayed(limited, written(*(combined(minute=minute) for minute in minutes)))
    assert counts(found) == {"allow (default)": 4}
    assert not [note for note in found.notes if "out of order" in note]


def test_line_far_out_of_order_is_counted_at_a_later_time_and_said(written: Callable[..., str]) -> None:
    late = combined(minute=0)
    found = replayed(read_policy("moderate"), written(*[combined(minute=5)] * (WINDOW + 10), late))
    assert found.judged == WINDOW + 11
    assert "1 lines stood far out of order and were counted at a later time than theirs" in found.notes


def test_what_the_log_cannot_show_is_said(written: Callable[..., str]) -> None:
    notes = replayed(read_policy("moderate"), written(combined(), access(), combined("8.8.8.8", agent=GOOGLEBOT))).notes
    assert any(note.startswith("lines of the format combined do not show: headers but user agent") for note in notes)
    assert any(note.startswith("lines of the format access do not show: ") for note in notes)
    assert not any("of the format decision" in note for note in notes)
    assert any(note.startswith("1 claims to be a known crawler stayed unknown: ") and "--dns" in note for note in notes)
    assert any("--session proved" in note for note in notes)


def test_fetched_sets_are_said_to_be_empty(written: Callable[..., str], policy: Callable[[str], Any]) -> None:
    listed = policy(
        "sets: {bad: {urls: ['https://lists.example/bad.txt']}}\n"
        "rules: [{name: a, action: block, match: {address: bad}}]"
    )
    notes = replayed(listed, written(combined(), combined())).notes
    assert "of these sets only their own addresses and files count, nothing is fetched: bad" in notes


def test_another_policy_shows_what_would_change(written: Callable[..., str], policy: Callable[[str], Any]) -> None:
    other = policy(LOOSE)
    found = replayed(policy(STRICT), written(*MIXED), other)
    assert found.against == other.name and found.changes is not None
    assert [(str(one.before), str(one.after), one.requests) for one in found.changes] == [
        ("block (automation)", "allow (declared-bot)", 2),
        ("challenge (suspicious-browser)", "allow (default)", 1),
        ("allow (search-engine)", "allow (declared-bot)", 1),
    ]
    assert found.changes[0].examples == [Example(2, "203.0.113.9", SCRIPT, "GET /admin")]


def test_policy_against_itself_changes_nothing(written: Callable[..., str]) -> None:
    assert replayed(read_policy("moderate"), written(*MIXED), read_policy("moderate")).changes == []


def test_limits_of_two_policies_are_counted_apart(written: Callable[..., str], policy: Callable[[str], Any]) -> None:
    text = "preset: none\nrules: [{name: rate, action: rate_limit, limit: {requests: %d, per: 1m, by: address}}]"
    first, second = policy(text % 4), policy(text % 2)
    found = replayed(first, written(*[combined()] * 5), second)
    assert counts(found) == {"allow (default)": 4, "limit (rate)": 1}
    assert found.changes is not None
    assert [(str(one.before), str(one.after), one.requests) for one in found.changes] == [
        ("allow (default)", "limit (rate)", 2)
    ]


def test_session_option_is_what_visitors_have(written: Callable[..., str]) -> None:
    name = written(combined(), combined())
    assert counts(replayed(read_policy("aggressive"), name)) == {"challenge (every-browser)": 2}
    assert counts(replayed(read_policy("aggressive"), name, session="proved")) == {"allow (default)": 2}


def test_limit_of_sessions_is_one_for_each_visitor(written: Callable[..., str], policy: Callable[[str], Any]) -> None:
    limited = policy("preset: none\nrules: [{name: rate, action: rate_limit, limit: {requests: 2, by: client}}]")
    name = written(*(combined(f"192.0.2.{number}") for number in range(9)), *[combined("198.51.100.1")] * 3)
    assert counts(replayed(limited, name, session="proved")) == {"allow (default)": 11, "limit (rate)": 1}


def test_dry_run_is_counted_apart(written: Callable[..., str], policy: Callable[[str], Any]) -> None:
    found = replayed(policy(f"dry_run: true\n{STRICT}"), written(*MIXED[:3]))
    assert counts(found) == {"allow (default)": 3}
    assert found.dry == {Decision("automation", "block"): 2, Decision("search-engine", "allow"): 1}


def test_one_payload_is_explained(written: Callable[..., str]) -> None:
    lines = orjson.dumps({**PAYLOAD, "UserAgent": "HeadlessChrome/131"}, option=orjson.OPT_INDENT_2)
    found = explain(read_policy("moderate"), written(lines), read_policy("permissive"))
    assert isinstance(found, Explanation)
    assert found.decision == Decision("automation", "block")
    assert (found.identity.bot_class, found.identity.is_bot) == ("headless", True)
    assert [step.rule for step in found.explained.steps if step.outcome == "decided"] == ["automation"]
    assert found.explained.steps[-1].outcome == "not_reached"
    assert found.against == ("permissive", Decision("declared-bot-allowed", "allow"))
    assert found.as_json()["rules"][0]["rule"] == "absurd-request"


def test_score_of_a_payload_has_its_findings(written: Callable[..., str]) -> None:
    bare = {key: value for key, value in PAYLOAD.items() if not key.startswith(("SecCH", "SecFetch"))}
    bare["HeadersList"] = "host,user-agent,accept,accept-encoding,accept-language"
    found = explain(read_policy("moderate"), written(orjson.dumps(bare)))
    assert isinstance(found, Explanation)
    assert found.decision == Decision("suspicious-browser", "challenge")
    assert {name for name, _, _ in found.findings} >= {"hints_missing", "fetch_metadata_missing"}
    assert found.request.score == min(100, sum(weight for _, weight, _ in found.findings))


def test_line_of_a_log_alone_is_explained_too(written: Callable[..., str]) -> None:
    found = explain(read_policy("moderate"), written(combined(agent="curl/8.9.1")))
    assert isinstance(found, Explanation) and found.decision.rule == "automation"


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BytesIO(b"".join(MIXED))

    monkeypatch.setattr(sys, "stdin", Input)
    assert replayed(read_policy("moderate"), "-").judged == 8


def test_compressed_log_is_read(written: Callable[..., str]) -> None:
    assert replayed(read_policy("moderate"), written(gzip.compress(b"".join(MIXED)))).judged == 8


def test_compressed_log_that_breaks_off_is_an_error(written: Callable[..., str]) -> None:
    whole = gzip.compress(b"".join(MIXED))
    with pytest.raises(DescriptionError, match="cannot be read to its end"):
        explain(read_policy("moderate"), written(whole[: len(whole) // 2]))


def test_line_that_is_too_long_is_counted_and_the_next_one_read(written: Callable[..., str]) -> None:
    found = replayed(read_policy("moderate"), written(b"{" + b"x" * 3 * LINE_BYTES + b"\n", combined(), combined()))
    assert (found.lines, found.judged, found.unreadable) == (3, 2, {"a line that is too long": 1})


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ((), "got 0 lines and no request in them (it is empty); expected payloads"),
        ((b"x\n", b"{}\n"), "got 2 lines and no request in them (no known format: 1, JSON of another kind: 1)"),
        ((b'{"Port": "a",\n"IP": "x"}',), "(a payload that the engine refuses (Port is a JSON string 'a', "),
    ],
)
def test_input_without_a_request_is_refused(written: Callable[..., str], lines: Any, complaint: str) -> None:
    with pytest.raises(DescriptionError) as refused:
        explain(read_policy("moderate"), written(*lines))
    assert complaint in str(refused.value)


def test_input_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none.log"), str(tmp_path)):
        with pytest.raises(DescriptionError, match="cannot be read"):
            explain(read_policy("moderate"), name)


def test_progress_is_told_with_the_share(written: Callable[..., str]) -> None:
    told: list[tuple[int, float | None]] = []
    name = written(*[combined()] * 4_000)
    replayed(read_policy("moderate"), name, on_progress=lambda lines, share: told.append((lines, share)))
    assert told == [(2_000, 0.5), (4_000, 1.0)]


def test_entries_are_streamed(written: Callable[..., str]) -> None:
    """No more than the window is held: the first entry comes when as many lines were read."""
    source = Source(written(*[combined()] * (3 * WINDOW)))
    next(source.entries())
    assert source.lines == WINDOW + 1
    source.close()


def test_preset_and_file_are_read_by_name(policy: Callable[[str], Any]) -> None:
    own = policy(
        "preset: permissive\ndisable: [attack-tool]\n"
        "rules: [{name: mine, action: allow, dry_run: true}, {name: declared-bot, action: block}]"
    )
    rows = rule_rows(own)
    assert [(row.number, row.name, row.origin, row.dry_run) for row in rows[:7]] == [
        (1, "mine", "file", True),
        (2, "absurd-request", "preset permissive", False),
        (3, "public-file-rate", "preset permissive", False),
        (4, "acme-challenge", "preset permissive", False),
        (5, "robots-txt", "preset permissive", False),
        (6, "fake-crawler", "preset permissive", False),
        (7, "declared-bot", "file", False),
    ]
    assert {row.name for row in rows}.isdisjoint({"attack-tool"})
    site = policy("preset: none\nsites: [{hosts: a.example, preset: permissive, rules: [{name: its, action: allow}]}]")
    assert [(row.number, row.name, row.origin, row.hosts) for row in rule_rows(site)[:2]] == [
        (1, "its", "file", "a.example"),
        (2, "absurd-request", "preset permissive", "a.example"),
    ]
    assert {row.origin for row in rule_rows(read_policy("aggressive"))} == {"preset aggressive"}
    with pytest.raises(ConfigError, match="cannot be read"):
        read_policy("no-such-policy")


def test_user_agent_of_a_browser_is_allowed_by_the_moderate_policy(written: Callable[..., str]) -> None:
    found = replayed(read_policy("moderate"), written(combined(agent=CHROME), combined(agent=FIREFOX)))
    assert counts(found) == {"allow (default)": 2}
