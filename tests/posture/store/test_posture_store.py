"""What is put into a store comes back: on SQLite and PostgreSQL alike."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from posture.store.postgresql_server import PostgresqlServer
from posture.store.sample import AT, LATER, a_finding, a_scan, an_event

from gateway.errors import PostureStoreError, ValueRefused
from gateway.posture.document import MAX_ID
from gateway.posture.finding import Remediation
from gateway.posture.scan import Counts
from gateway.posture.store import Notice, Store

RAW = {
    "z": 1,
    "a": [True, None, 0.1, 123456789012345678901234567890],
    "text": "caf\u00e9 \u691c\u67fb \U0001f512 \x00 \ud800 \\u0000 \\",
    "": {},
}


# -- scans and findings


def test_result_put_comes_back_equal(store: Store) -> None:
    scan, finding = a_scan(raw=RAW), a_finding(raw=RAW)
    stored = store.put_result(scan, [finding], AT)
    assert stored == [replace(finding, first_seen=AT)]
    assert store.scan("scn_1") == scan
    assert store.findings() == stored


def test_raw_document_comes_back_with_the_order_of_its_keys(store: Store) -> None:
    store.put_result(a_scan(raw=RAW), [a_finding(raw=RAW)])
    found = store.scan("scn_1")
    assert found is not None
    assert list(found.raw) == list(store.findings()[0].raw) == ["z", "a", "text", ""]


def test_result_that_says_the_least_comes_back_equal(store: Store) -> None:
    scan = a_scan(target=None, type=None, started_at=None, completed_at=None, risk_score=None, counts=None, raw=None)
    finding = a_finding(port=None, cve=(), cvss=None, remediation=None, raw=None, title="", description="", asset="")
    stored = store.put_result(scan, [finding], AT)
    assert (store.scan("scn_1"), store.findings()) == (scan, stored)
    assert stored == [replace(finding, first_seen=AT)]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=_json, text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_any_text_and_any_json_come_back_equal(store: Store, raw: Any, text: str) -> None:
    scan = a_scan(text, target=text, type=text, raw=raw)
    finding = a_finding(
        text, scan=text, title=text, description=text, asset=text, remediation=Remediation(text), raw=raw
    )
    first = store.put_result(scan, [finding])
    known = store.scan(text)
    assert known is not None
    # A document that is null, which is what an earlier example may have had, is one that is not there.
    assert replace(known, raw=scan.raw) == scan and (raw is None or known.raw == raw)
    assert store.findings(scan=text) == first


def test_text_that_is_half_a_surrogate_pair_comes_back_equal(store: Store) -> None:
    finding = a_finding(description="\ud83d alone", cve=())
    assert store.put_result(a_scan(), [finding], AT) == store.findings() == [replace(finding, first_seen=AT)]


def test_first_seen_of_a_known_finding_is_kept(store: Store) -> None:
    store.put_result(a_scan(), [a_finding()], AT)
    stored = store.put_result(a_scan(), [a_finding(title="New words"), a_finding("F-002")], LATER)
    assert [(each.id, each.title, each.first_seen) for each in stored] == [
        ("F-001", "New words", AT),
        ("F-002", "Origin IP Exposed", LATER),
    ]
    assert store.findings() == [stored[1], stored[0]]


def test_none_never_erases_what_is_known(store: Store) -> None:
    store.put_result(a_scan(), [a_finding()], AT)
    bare = a_scan(target=None, type=None, started_at=None, completed_at=None, risk_score=None, counts=None, raw=None)
    thin = a_finding(port=None, cvss=None, remediation=None, raw=None)
    assert store.put_result(bare, [thin], LATER) == [a_finding(first_seen=AT)]
    assert store.scan("scn_1") == a_scan()
    assert store.findings()[0].fingerprint == a_finding().fingerprint


def test_scan_grows_from_reading_to_reading(store: Store) -> None:
    queued = a_scan(status="queued", started_at=None, completed_at=None, risk_score=None, counts=None, estimated_s=300)
    store.put_result(queued)
    store.put_result(a_scan(type=None))
    assert store.scan("scn_1") == a_scan(estimated_s=300)


def test_scan_that_is_over_is_not_running_again_by_an_older_reading(store: Store) -> None:
    store.put_result(a_scan())
    store.put_result(a_scan(status="running", completed_at=None, counts=Counts(), estimated_s=300, raw={"old": True}))
    assert store.scan("scn_1") == a_scan(estimated_s=300)


def test_findings_that_a_reading_does_not_have_stay(store: Store) -> None:
    store.put_result(a_scan(), [a_finding("F-001"), a_finding("F-002")])
    store.put_result(a_scan(), [a_finding("F-001")])
    store.put_result(a_scan())
    assert sorted(each.id for each in store.findings()) == ["F-001", "F-002"]


def test_finding_twice_in_one_reading_is_one(store: Store) -> None:
    stored = store.put_result(a_scan(), [a_finding(cvss=None), a_finding(title="Second")], AT)
    assert stored == store.findings() == [a_finding(title="Second", first_seen=AT)]


def test_same_ids_of_two_platforms_are_apart(store: Store) -> None:
    store.put_result(a_scan("7"), [a_finding("1", "7")])
    store.put_result(a_scan("7", provider="securityspace"), [a_finding("1", "7", provider="securityspace")])
    assert store.providers_of("7") == ("ddactic", "securityspace")
    assert store.providers_of("8") == ()
    assert [store.scan("7", provider) for provider in ("ddactic", "securityspace", "embedded")] == [
        a_scan("7"),
        a_scan("7", provider="securityspace"),
        None,
    ]
    assert [each.provider for each in store.findings(provider="securityspace")] == ["securityspace"]
    assert len(store.findings(scan="7")) == 2


def test_scans_are_listed_newest_first_with_their_total(store: Store) -> None:
    for day, status in ((1, "completed"), (3, "running"), (2, "completed")):
        store.put_result(a_scan(f"s{day}", status=status, started_at=f"2025-01-0{day}T00:00:00Z"))
    store.put_result(a_scan("other", provider="embedded", started_at="2025-01-09T00:00:00Z"))
    scans, total = store.scans(limit=2)
    assert ([each.id for each in scans], total) == (["other", "s3"], 4)
    scans, total = store.scans(provider="ddactic", status="completed")
    assert ([each.id for each in scans], total) == (["s2", "s1"], 2)


def test_findings_are_listed_worst_first_then_newest(store: Store) -> None:
    for at, ids in ((AT, ("low", "high")), (LATER, ("info", "critical", "medium", "high"))):
        found = [a_finding(f"{severity} {at}", severity=severity) for severity in ids]
        store.put_result(a_scan(), found, at)
    assert [each.id for each in store.findings()] == [
        f"critical {LATER}", f"high {LATER}", f"high {AT}", f"medium {LATER}", f"low {AT}", f"info {LATER}",
    ]  # fmt: skip
    assert [each.severity for each in store.findings(at_least="high")] == ["critical", "high", "high"]


def test_target_of_a_finding_is_its_scans(store: Store) -> None:
    store.put_result(a_scan(), [a_finding()])
    assert store.target_of(a_finding()) == "example.com"
    assert store.target_of(a_finding(scan="scn_9")) is None


def test_risk_scores_are_those_of_the_latest_completed_scan(store: Store) -> None:
    store.put_result(a_scan("a", risk_score=1.5, completed_at="2025-01-02T00:00:00.5Z"))
    store.put_result(a_scan("b", risk_score=9.0, completed_at="2025-01-02T00:00:00Z"))
    store.put_result(a_scan("c", risk_score=None, completed_at="2025-01-03T00:00:00Z"))
    store.put_result(a_scan("d", risk_score=8.0, status="running", completed_at=None))
    store.put_result(a_scan("e", risk_score=2.0, target="other.example", type="full"))
    store.put_result(a_scan("f", risk_score=3.0, provider="embedded", target="third.example"))
    assert store.risk_scores() == {"example.com": 1.5, "other.example": 2.0}


@pytest.mark.parametrize(
    ("scan", "findings", "why"),
    [
        (a_scan(id=None), [], "it has no id"),  # type: ignore[arg-type]
        (a_scan(), [a_finding(scan="scn_2")], "a finding of another scan"),
        (a_scan(completed_at="yesterday"), [], "Invalid isoformat string"),
        (a_scan(raw={"x": object()}), [], "not JSON serializable"),
        (a_scan(), [a_finding(raw={"x": {1, 2}})], "not JSON serializable"),
    ],
)
def test_result_that_has_no_place_is_refused_and_nothing_is_stored(
    store: Store, scan: Any, findings: Any, why: str
) -> None:
    with pytest.raises(PostureStoreError, match=why):
        store.put_result(scan, findings)
    assert store.scans() == ([], 0)


def test_number_beyond_64_bits_is_refused(store: Store) -> None:
    with pytest.raises(PostureStoreError, match=r"64 bits|out of range"):
        store.put_result(a_scan(estimated_s=2**70))
    assert store.scans() == ([], 0)


# -- events


def test_event_put_comes_back_equal_and_a_repeat_is_stored_once(store: Store) -> None:
    first, second = an_event(1, data=RAW), an_event(2, timestamp=None, scan=None)
    assert store.put_events([first, second, first]) == [True, True, False]
    assert store.put_events([replace(first, received_at=LATER), an_event(3)]) == [False, True]
    assert store.events() == [first, second, an_event(3)]
    assert store.put_events([]) == []


def test_events_are_listed_in_the_order_of_their_arrival_by_scan_and_platform(store: Store) -> None:
    events = [an_event(number, provider=("ddactic", "cypersecurity")[number % 2]) for number in range(40)]
    store.put_events(events[:30])
    store.put_events(events[30:])
    assert store.events() == events
    assert store.events(provider="cypersecurity") == events[1::2]
    assert store.events(scan="scn_1", provider="ddactic") == events[::2]
    assert store.events(scan="scn_2") == []


def test_event_whose_work_is_done_or_given_up_is_not_unhandled(store: Store) -> None:
    events = [an_event(number) for number in range(4)]
    store.put_events(events)
    assert store.unhandled_events(2) == events[:2]
    assert [store.event_tried(events[0].id), store.event_tried(events[0].id), store.event_tried("none")] == [1, 2, 0]
    store.event_handled(events[0].id, None)
    store.event_handled(events[2].id, "ddactic GET /scans/scn_1: 404 not_found")
    assert store.unhandled_events(9) == [events[1], events[3]]
    assert store.events() == events


# -- what the gateway itself tells and does


def test_onboarding_is_kept_by_domain_in_any_case(store: Store) -> None:
    assert store.onboarding("shop.example") is None
    store.put_onboarding("Shop.example", {"step": "verify", "done": [1]})
    store.put_onboarding("shop.example", {"step": "scan"})
    assert store.onboarding("SHOP.example") == {"step": "scan"}


def test_notice_is_added_once_for_ever(store: Store) -> None:
    assert store.add_notices([("b", {"n": 1}), ("a", {"n": 2}), ("b", {"n": 3})]) == ["b", "a"]
    store.notice_done("a")
    assert store.add_notices([("a", {}), ("c", {}), ("b", {})]) == ["c"]
    assert store.add_notices([]) == []
    assert {each.id: each.payload for each in store.due_notices(0.0, 9)} == {"b": {"n": 1}, "c": {}}


def test_notice_that_failed_is_due_later_until_it_is_done_or_given_up(store: Store) -> None:
    store.add_notices([("a", {"n": 1})])
    store.notice_failed("a", 100.0, "503")
    assert store.due_notices(99.9, 9) == []
    assert store.due_notices(100.0, 9) == [Notice("a", {"n": 1}, 1)]
    store.notice_failed("a", None, "gone")
    assert store.due_notices(1e10, 9) == []


def test_notice_with_a_lease_is_nobody_elses_until_it_ends(store: Store) -> None:
    store.add_notices([("a", {}), ("b", {}), ("c", {})])
    taken = [each.id for each in store.due_notices(10.0, 2, lease_s=60.0)]
    rest = [each.id for each in store.due_notices(10.0, 9, lease_s=60.0)]
    assert sorted(taken + rest) == ["a", "b", "c"] and len(taken) == 2
    assert store.due_notices(69.0, 9) == []
    assert len(store.due_notices(70.0, 9)) == 3


def test_action_records_are_listed_newest_first(store: Store) -> None:
    store.add_action_records([{"n": 1}, {"n": 2}])
    store.add_action_records([])
    store.add_action_records([{"n": 3, "z": None}])
    assert store.action_records(2) == [{"n": 3, "z": None}, {"n": 2}]


def test_events_of_one_provider_or_of_all_but_some(store: Store) -> None:
    events = [an_event(number, provider=name) for number, name in enumerate(["ddactic", "cypersecurity"] * 3)]
    store.put_events(events)
    assert store.unhandled_events(2, provider="cypersecurity") == events[1:4:2]
    assert store.unhandled_events(9, without=["cypersecurity", "embedded"]) == events[::2]
    assert store.unhandled_events(9, without=[]) == events


def test_many_events_handled_together(store: Store) -> None:
    events = [an_event(number) for number in range(1203)]
    store.put_events(events)
    store.events_handled([event.id for event in events[:1201]], "why")
    store.events_handled([])
    assert store.unhandled_events(9) == events[1201:]


@pytest.mark.parametrize("length", [MAX_ID + 1, 1_000_000])
def test_id_that_is_too_long_refused_and_nothing_stored(store: Store, length: int) -> None:
    with pytest.raises(ValueRefused, match=f"an id has {length} characters, at most 200"):
        store.put_result(a_scan("s" * length))
    with pytest.raises(ValueRefused, match=f"an id has {length} characters, at most 200"):
        store.put_result(a_scan(), [a_finding(), a_finding("f" * length)])
    assert store.scans() == ([], 0)
    store.put_result(a_scan("\x00" * MAX_ID), [a_finding("\U0001f512" * MAX_ID, "\x00" * MAX_ID)])


def test_event_that_the_database_does_not_take_is_the_value_s_fault(postgresql: PostgresqlServer) -> None:
    with Store.open(postgresql.database()) as store:
        with pytest.raises(ValueRefused, match="index row"):
            store.put_events([an_event(1), an_event(2, scan=random.Random(7).randbytes(20_000).hex())])
        assert store.events() == []
