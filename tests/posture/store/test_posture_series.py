"""New, open, gone and current, over several scans."""

from __future__ import annotations

from typing import Any

from posture.store.sample import AT, LATER, a_finding, a_scan

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
