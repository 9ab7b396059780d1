"""New, open, gone and current, over several scans."""

from __future__ import annotations

from collections import Counter
from typing import Any

from posture.store.sample import AT, LATER, a_finding, a_scan

from gateway.posture.severity import Severity
from gateway.posture.store import Store


def put(store: Store, number: int, ids: str, **changes: Any) -> None:
    """Scan s<number>, of day <number>, completed unless `changes` say otherwise; each letter is a finding of that
    title, whose id is another one in every scan."""
    day = f"2025-01-{number:02}"
    values = {"started_at": f"{day}T10:00:00Z", "completed_at": f"{day}T11:00:00Z"} | changes
    scan = a_scan(f"s{number}", **values)
    findings = [a_finding(f"{number}{letter}", f"s{number}", title=letter, provider=scan.provider) for letter in ids]
    store.put_result(scan, findings, f"{day}T12:00:00Z")


def found(store: Store, state: Any, **wanted: Any) -> list[str]:
    return sorted(each.id for each in store.findings(state=state, **wanted))


def test_first_scan_has_only_new_findings(store: Store) -> None:
    put(store, 1, "ab")
    assert [found(store, state) for state in ("new", "open", "gone")] == [["1a", "1b"], [], []]


def test_three_scans_show_what_is_new_open_and_gone(store: Store) -> None:
    put(store, 1, "abx")
    put(store, 2, "bc")
    assert [found(store, state) for state in ("new", "open", "gone")] == [["2c"], ["2b"], ["1a", "1x"]]
    put(store, 3, "cda")
    assert [found(store, state) for state in ("new", "open", "gone")] == [["3a", "3d"], ["3c"], ["2b"]]
    put(store, 4, "")
    assert [found(store, state) for state in ("new", "open", "gone")] == [[], [], ["3a", "3c", "3d"]]


def test_scan_that_is_named_stands_for_the_latest(store: Store) -> None:
    put(store, 1, "ab")
    put(store, 2, "bc")
    put(store, 3, "z")
    put(store, 4, "", status="running", completed_at=None)
    states = ("new", "open", "gone")
    assert [found(store, state, scan="s2") for state in states] == [["2c"], ["2b"], ["1a"]]
    assert [found(store, state, scan="s1") for state in states] == [["1a", "1b"], [], []]
    assert [found(store, state, scan="s4") for state in states] == [[], [], []]


def test_order_of_scans_is_that_of_their_completion_and_not_of_storing(store: Store) -> None:
    put(store, 2, "bc")
    put(store, 1, "ab")
    assert [found(store, state) for state in ("new", "open", "gone")] == [["2c"], ["2b"], ["1a"]]


def test_scan_without_completion_counts_from_when_it_was_first_stored(store: Store) -> None:
    put(store, 1, "ab", completed_at=None)
    put(store, 2, "bc", completed_at=None)
    store.put_result(a_scan("s1", started_at=None, completed_at=None), at="2025-02-01T00:00:00Z")
    assert [found(store, state) for state in ("new", "open", "gone")] == [["2c"], ["2b"], ["1a"]]


def test_scans_of_other_types_targets_and_platforms_are_apart(store: Store) -> None:
    put(store, 1, "ab")
    put(store, 2, "c", type="full")
    put(store, 3, "d", target="other.example")
    put(store, 4, "e", provider="cypersecurity")
    put(store, 5, "b", target="EXAMPLE.com")
    assert found(store, "new") == ["2c", "3d", "4e"]
    assert found(store, "new", provider="cypersecurity") == ["4e"]
    assert (found(store, "open"), found(store, "gone")) == (["5b"], ["1a"])
    assert found(store, "gone", provider="cypersecurity") == []


def test_scans_that_are_not_completed_are_not_compared(store: Store) -> None:
    put(store, 1, "a")
    put(store, 2, "b", status="failed", completed_at=None)
    put(store, 3, "c", status="running", completed_at=None)
    assert [found(store, state) for state in ("new", "open", "gone")] == [["1a"], [], []]


def test_state_is_narrowed_by_severity(store: Store) -> None:
    severe, minor = a_finding("x", severity="high", title="x"), a_finding("y", severity="low", title="y")
    store.put_result(a_scan(), [severe, minor])
    assert found(store, "new", at_least="high") == ["x"]


def test_current_is_of_the_latest_scan_and_of_those_that_run_since(store: Store) -> None:
    put(store, 1, "a", status="running", completed_at=None)  # it began before, and was never heard of again
    put(store, 2, "ab")
    put(store, 3, "bc")
    put(store, 4, "d", status="running", completed_at=None)
    put(store, 5, "e", status="failed", completed_at=None)
    put(store, 6, "f", status="running", completed_at=None, provider="cypersecurity")
    assert sorted(each.id for each in store.current()) == ["3b", "3c", "4d", "6f"]
    assert [each.id for each in store.current(provider="cypersecurity")] == ["6f"]


def test_current_shows_the_same_thing_once_with_its_earliest_first_seen(store: Store) -> None:
    put(store, 1, "ab")
    put(store, 2, "b")
    put(store, 3, "bc", type="full")
    put(store, 4, "b", status="running", completed_at=None)
    put(store, 5, "b", target="other.example")
    current = [(each.id, each.first_seen) for each in store.current()]
    assert sorted(current) == [
        ("3c", "2025-01-03T12:00:00Z"),
        ("4b", "2025-01-01T12:00:00Z"),
        ("5b", "2025-01-01T12:00:00Z"),
    ]


def test_current_lists_the_worst_first_then_the_newest(store: Store) -> None:
    store.put_result(a_scan(), [a_finding("a", severity="low", title="a"), a_finding("b", title="b")], AT)
    store.put_result(a_scan(), [a_finding("c", title="c"), a_finding("d", severity="info", title="d")], LATER)
    assert [each.id for each in store.current()] == ["c", "b", "a", "d"]


def test_current_is_narrowed_by_the_severity_that_the_newest_scan_says(store: Store) -> None:
    def told(number: int, severity: Severity, **scan: Any) -> None:
        found = [a_finding(f"{number}{name}", f"s{number}", title=name, severity=severity) for name in "ab"]
        store.put_result(a_scan(f"s{number}", **scan), found, f"2025-01-0{number}T12:00:00Z")

    told(1, "critical", completed_at="2025-01-01T12:00:00Z")
    assert [each.id for each in store.current(at_least="high")] == ["1a", "1b"]
    told(2, "low", started_at="2025-12-18T00:00:00Z", completed_at=None, status="running")
    assert store.current(at_least="high") == []
    assert [each.id for each in store.current(at_least="low")] == ["2a", "2b"]
    assert store.current_counts() == {("ddactic", "low"): 2}


def test_current_is_cut_at_the_milder_and_the_older_or_the_newer(store: Store) -> None:
    store.put_result(a_scan(), [a_finding("a", severity="low", title="a"), a_finding("b", title="b")], AT)
    store.put_result(a_scan(), [a_finding("c", title="c")], LATER)

    assert [each.id for each in store.current(limit=2)] == ["c", "b"]
    assert [each.id for each in store.current(limit=2, oldest_first=True)] == ["b", "c"]
    assert store.current(limit=0) == []


def test_counts_and_sites_are_those_of_what_is_current(store: Store) -> None:
    put(store, 1, "ab")
    put(store, 2, "b")
    put(store, 3, "bc", type="full", target="EXAMPLE.com")
    put(store, 4, "d", target="other.example")
    put(store, 5, "e", target=None, provider="cypersecurity")

    assert store.current_counts() == Counter((each.provider, each.severity) for each in store.current())
    assert sum(store.current_counts().values()) == 4
    sites = [(one.site, one.counts["critical"], one.oldest) for one in store.current_sites(10)]
    assert sites == [
        ("EXAMPLE.com", 2, "2025-01-01T12:00:00Z"),
        ("192.0.2.1", 1, "2025-01-05T12:00:00Z"),
        ("other.example", 1, "2025-01-04T12:00:00Z"),
    ]
    assert [one.site for one in store.current_sites(1)] == ["EXAMPLE.com"]


def test_empty_store_has_no_counts_and_no_sites(store: Store) -> None:
    assert (store.current_counts(), store.current_sites(10), store.version()) == ({}, [], 0)


def test_version_changes_when_a_scan_or_a_finding_does_and_only_then(store: Store) -> None:
    seen = [store.version()]
    for scan, found in (
        (a_scan(), []),
        (a_scan(), [a_finding()]),
        (a_scan(), [a_finding(title="other")]),
        (a_scan(risk_score=9.9), [a_finding(title="other")]),
    ):
        store.put_result(scan, found)
        seen.append(store.version())
        store.put_result(scan, found)
        assert store.version() == seen[-1]
    assert seen == sorted(set(seen))


def test_version_is_that_of_all_processes(store: Store, empty_url: str) -> None:
    with Store.open(empty_url) as other:
        before = store.version()
        other.put_result(a_scan())
        assert store.version() != before


def test_what_is_remembered_is_read_again_after_a_change(store: Store) -> None:
    answers = iter("abc")
    assert [store.remembered("x", lambda: next(answers)) for _ in range(2)] == ["a", "a"]
    store.put_result(a_scan())
    assert [store.remembered("x", lambda: next(answers)) for _ in range(2)] == ["b", "b"]
    assert store.remembered("y", lambda: "other") == "other"
