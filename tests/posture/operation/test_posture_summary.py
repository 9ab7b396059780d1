"""What the dashboard shows, from a real store; and what it costs when nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from posture.patches import SEEN, finding

from gateway.posture.finding import Finding
from gateway.posture.operation.summary import SHOWN_FINDINGS, summary
from gateway.posture.scan import Scan
from gateway.posture.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/posture.db") as opened:
        yield opened


def put(store: Store, scan: str, target: str | None, *found: Finding, at: str = SEEN) -> None:
    store.put_result(Scan(scan, "ddactic", target, "passive", "completed"), found, at=at)


def test_summary_counts_all_findings_and_shows_the_worst(store: Store) -> None:
    worst = finding(scan="s1", first_seen=None)
    rest = [
        finding(scan="s2", id=str(number), title=str(number), severity="low", first_seen=None)
        for number in range(SHOWN_FINDINGS + 10)
    ]
    put(store, "s1", "Shop.example", worst)
    put(store, "s2", "blog.example", *rest, at="2026-11-22T12:00:00Z")

    found = summary(store)

    assert found["total"] == SHOWN_FINDINGS + 11
    assert found["severities"] == {"critical": 1, "high": 0, "medium": 0, "low": SHOWN_FINDINGS + 10, "info": 0}
    assert [(one["site"], one["critical"], one["low"], one["oldest"]) for one in found["sites"]] == [
        ("Shop.example", 1, 0, SEEN), ("blog.example", 0, SHOWN_FINDINGS + 10, "2026-11-22T12:00:00Z"),
    ]  # fmt: skip
    assert len(found["findings"]) == SHOWN_FINDINGS
    assert found["findings"][0]["title"] == worst.title


def test_site_of_a_scan_without_target_is_the_asset(store: Store) -> None:
    put(store, "s1", None, finding(scan="s1", asset="192.0.2.1"))

    assert [one["site"] for one in summary(store)["sites"]] == ["192.0.2.1"]


def test_summary_is_read_again_only_after_a_change(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "s1", "shop.example", finding(scan="s1"))
    first = summary(store)
    with monkeypatch.context() as patched:
        patched.delattr(Store, "current")
        assert summary(store) is first
    put(store, "s1", "shop.example", finding(scan="s1"))
    assert summary(store) is first
    put(store, "s1", "shop.example", finding(scan="s1", severity="low"))
    assert summary(store)["severities"]["low"] == 1
