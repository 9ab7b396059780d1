"""The table that `make detection` prints, what it refuses to call a success, and the requests that it is made of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "loadtests" / "detection"))

import detection
from asked_engine import AskedEngine
from browser_headers import KINDS, browser_request, read_browser
from detection import Row, table
from known_programs import FAKES, HELPERS, foreign_addresses, own_address

EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
    " Edg/131.0.0.0"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.3"
    " Mobile/15E148 Safari/604.1"
)


@pytest.fixture(scope="module")
def engine() -> AskedEngine:
    return AskedEngine()


def row(as_expected: int, other: int, required: float | None) -> Row:
    made = Row("corpus", "allowed", required)
    for n in range(as_expected + other):
        made.add(f"name {n}", as_expected=n < as_expected)
    return made


@pytest.mark.parametrize(
    ("made", "failed"),
    [
        (row(199, 1, 99.5), False),
        (row(198, 2, 99.5), True),
        (row(1, 99, None), False),
        (row(0, 0, None), True),  # a corpus that is not there proves nothing
        (Row("corpus", "refused", 100.0, skipped="not installed"), False),
    ],
)
def test_row_fails_below_what_is_required_and_when_nothing_was_asked(made: Row, failed: bool) -> None:
    assert made.failed is failed


def test_table_shows_counts_percentages_failures_and_what_was_skipped() -> None:
    skipped = Row("chromium", "refused", 100.0, skipped="not installed")
    lines = [line.split() for line in table([row(3, 1, 99.5), row(1, 0, None), skipped]).splitlines()[1:]]
    assert lines == [
        ["corpus", "4", "allowed", "3", "75.00", ">=", "99.5", "FAILED"],
        ["corpus", "1", "allowed", "1", "100.00", "-"],
        ["chromium", "-", "refused", "SKIPPED:", "not", "installed"],
    ]


def test_row_keeps_the_names_of_what_was_missed() -> None:
    assert row(1, 2, None).missed == ["name 1", "name 2"]


def test_chromium_without_an_executable_is_skipped_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "EXECUTABLE", "")
    asked = detection.Detection()
    asked.chromium()
    assert [(one.requests, one.failed, "not installed" in one.skipped) for one in asked.rows] == [(0, False, True)]


def test_browser_request_of_edge_has_its_hints_and_order() -> None:
    assert browser_request(read_browser(EDGE), "navigates") == (
        "https",
        b"GET /shoes?page=2 HTTP/1.1\r\n"
        b"host: shop.example\r\n"
        b"connection: keep-alive\r\n"
        b'sec-ch-ua: "Microsoft Edge";v="131", "Chromium";v="131", "Not_A Brand";v="24"\r\n'
        b"sec-ch-ua-mobile: ?0\r\n"
        b'sec-ch-ua-platform: "Windows"\r\n'
        b"upgrade-insecure-requests: 1\r\n"
        b"user-agent: " + EDGE.encode() + b"\r\n"
        b"accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
        b"application/signed-exchange;v=b3;q=0.7\r\n"
        b"sec-fetch-site: none\r\n"
        b"sec-fetch-mode: navigate\r\n"
        b"sec-fetch-user: ?1\r\n"
        b"sec-fetch-dest: document\r\n"
        b"accept-encoding: gzip, deflate, br, zstd\r\n"
        b"accept-language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7\r\n\r\n",
    )


def test_browser_request_of_firefox_has_no_hints_and_its_own_order() -> None:
    scheme, head = browser_request(read_browser(FIREFOX), "fetches")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:-2]]
    assert (scheme, names) == (
        "https",
        [
            b"host", b"user-agent", b"accept", b"accept-language", b"accept-encoding", b"referer", b"connection",
            b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site",
        ],
    )  # fmt: skip


def test_browser_request_of_a_phone_without_fetch_metadata_has_none() -> None:
    assert b"sec-" not in browser_request(read_browser(IPHONE), "navigates")[1]


def test_browser_request_over_http_has_what_insecure_contexts_have() -> None:
    scheme, head = browser_request(read_browser(EDGE), "navigates over http")
    assert scheme == "http"
    assert b"sec-" not in head and b"accept-encoding: gzip, deflate\r\n" in head


def test_read_browser_of_an_unknown_engine_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no engine is known in 'Lynx/2\.9'"):
        read_browser("Lynx/2.9")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("user_agent", [EDGE, FIREFOX, IPHONE])
def test_engine_lets_browsers_pass(engine: AskedEngine, user_agent: str, kind: str) -> None:
    scheme, head = browser_request(read_browser(user_agent), kind)
    outcome = engine.ask(head, scheme=scheme, address="81.2.69.142")
    assert (outcome.action, outcome.is_bot, outcome.score) == ("allow", False, 0)


def test_recorded_heads_are_requests_with_a_host() -> None:
    heads = {name: (scheme, head) for name, scheme, head in detection.recorded_heads()}
    assert len(heads) >= 40
    scheme, head = heads["chromium 156 opens a websocket over http"]
    assert scheme == "http" and head.startswith(b"GET /ws HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\n")
    assert all(head.lower().count(b"\r\nhost: ") == 1 for _, head in heads.values())


def test_engine_refuses_fakes_from_each_foreign_address(engine: AskedEngine) -> None:
    for fake in FAKES:
        head = f"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {fake.user_agent}\r\n\r\n".encode()
        addresses = list(foreign_addresses(fake))
        assert len(addresses) >= 4
        assert {engine.ask(head, scheme="https", address=address).action for address in addresses} == {"block"}


def test_helpers_have_unique_names_and_operators_with_addresses() -> None:
    helpers = [program for programs in HELPERS.values() for program in programs]
    assert len({program.name for program in helpers}) == len(helpers)
    assert all(own_address(program.operator) for program in helpers if program.operator)
