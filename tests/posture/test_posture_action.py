"""From open findings to patches: which rule acts, on which host and path, for how long, and why another does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posture.patches import NOW_S, SEEN, action, finding, own_sites, patch

from gateway.config.patch import MAX_PATCHES, parse_patches, patch_document
from gateway.config.posture import Action
from gateway.engine.path import folded
from gateway.posture.action import Located, Plan, changes, host_of, path_of, plan
from gateway.posture.finding import Finding
from gateway.posture.moment import iso, seconds

SITES = own_sites()
DAY_S = 86_400


def planned(rules: Sequence[Action], *findings: Finding, target: str | None = None, now_s: float = NOW_S) -> Plan:
    return plan(rules, [Located(one, target) for one in findings], SITES, now_s)


def said(found: Plan) -> list[tuple[str, str]]:
    return [(one.rule, one.why) for one in found.skipped]


def deeds(found: Plan) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.name, one.host, one.paths) for one in found.patches]


# -- one finding, one rule


def test_open_finding_blocks_its_path_on_its_host_until_it_expires() -> None:
    found = finding()

    (made,) = planned([action()], found).patches

    assert made.model_dump(mode="json") == {
        "name": "close",
        "finding": {
            "fingerprint": found.fingerprint, "provider": "ddactic", "id": "F-001", "title": "SQL injection",
        },
        "host": "shop.example",
        "do": "block_path",
        "paths": ["/search"],
        "preset": None,
        "until": "2026-11-22T12:00:00Z",
        "dry_run": False,
    }  # fmt: skip


def test_open_finding_raises_the_preset_of_its_host() -> None:
    (made,) = planned([action(do="raise_preset", preset="moderate", dry_run=True)], finding()).patches

    assert (made.do, made.preset, made.paths, made.dry_run) == ("raise_preset", "moderate", (), True)


@pytest.mark.parametrize(
    ("match", "fields", "matches"),
    [
        ({}, {}, True),
        ({}, {"severity": "high"}, False),
        ({"severity": "medium"}, {"severity": "medium"}, True),
        ({"severity": "medium"}, {"severity": "low"}, False),
        ({"providers": ["embedded"]}, {}, False),
        ({"providers": ["embedded", "ddactic"]}, {}, True),
        ({"titles": ["(?i)sql"]}, {}, True),
        ({"titles": ["^injection"]}, {}, False),
        ({"titles": ["^origin-direct$"]}, {"provider": "embedded", "id": "origin-direct"}, True),
        ({"titles": ["^F-001$"]}, {}, False),  # another platform's ids are made anew by each scan
        ({"hosts": ["www.shop.example"]}, {}, False),
        ({"hosts": ["SHOP.example"]}, {}, True),
    ],
)
def test_rule_is_for_findings_that_every_key_fits(match: dict[str, Any], fields: dict[str, Any], matches: bool) -> None:
    assert bool(planned([action(match=match)], finding(**fields)).patches) is matches


@pytest.mark.parametrize(
    ("asset", "target", "host"),
    [
        ("shop.example", None, "shop.example"),
        ("SHOP.Example.", None, "shop.example"),
        ("shop.example:8443", None, "shop.example"),
        ("shop.example/admin", None, "shop.example"),
        ("https://user:secret@shop.example:8443/a@b?c@d", None, "shop.example"),
        ("192.0.2.1", "shop.example", "192.0.2.1"),
        ("192.0.2.1:443", None, "192.0.2.1"),
        ("2001:DB8::1", None, "[2001:db8::1]"),
        ("[2001:db8::1]:443", None, "[2001:db8::1]"),
        ("https://[2001:db8::1]:443/x", None, "[2001:db8::1]"),
        ("", "shop.example", "shop.example"),
        ("the log-in form", "https://shop.example/", "shop.example"),
        ("*.shop.example", "*", None),
        ("", None, None),
        ("[::1", "https://", None),
    ],
)
def test_host_is_the_assets_or_else_the_targets(asset: str, target: str | None, host: str | None) -> None:
    assert host_of(Located(finding(asset=asset), target)) == host


@pytest.mark.parametrize(
    ("asset", "raw", "path"),
    [
        ("https://shop.example/a/./b/../c%64?q=/x#y", {}, "/a/cd"),
        ("https://shop.example/", {"path": "/admin"}, "/admin"),
        ("https://shop.example/a", {"path": "/admin"}, "/a"),
        ("shop.example", {"path": "/admin?x=1"}, "/admin"),
        ("shop.example", {"url": "https://SHOP.example:443/admin"}, "/admin"),
        ("shop.example", {"url": "https://other.example/admin"}, None),
        ("shop.example", {"url": "//other.example/admin"}, None),
        ("shop.example", {"uri": "/a", "endpoint": "/b"}, "/a"),
        ("shop.example", {"path": 3, "endpoint": "/b"}, "/b"),
        ("shop.example", {"path": "/", "url": "/b"}, "/b"),
        ("shop.example", {"path": "/"}, "/"),
        ("shop.example", {"path": "admin"}, None),
        ("shop.example", ["/admin"], None),
        ("shop.example", None, None),
    ],
)
def test_path_is_the_assets_or_one_of_the_raw_object(asset: str, raw: object, path: str | None) -> None:
    assert path_of(finding(asset=asset, raw=raw), "shop.example") == path


NO_PATH = "the finding names no path"
ROOT = "the finding names no path but /: list it in paths to block the whole host"
UNUSABLE = "the finding's path is none that can be blocked"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"asset": "shop.example"}, NO_PATH),
        ({"asset": "https://shop.example"}, NO_PATH),
        ({"asset": "https://shop.example/"}, ROOT),
        ({"asset": "https://shop.example/..."}, ROOT),
        ({"asset": "https://shop.example/%2e%2e/;x"}, ROOT),
        ({"asset": "https://shop.example/%252f"}, ROOT),
        ({"asset": "https://shop.example/a/%252e%252e/b"}, UNUSABLE),
        ({"asset": "https://shop.example/" + "a" * 1024}, UNUSABLE),
        ({"asset": "https://shop.example/a%0ab"}, UNUSABLE),
        ({"asset": "https://else.example/a"}, "else.example is no host of sites"),
        ({"asset": "", "raw": {"path": "/a"}}, "neither the finding nor its scan names a host"),
        (
            {"asset": "192.0.2.1", "raw": {"path": "/a"}},
            "it is about the address 192.0.2.1: name the hosts that it counts for in match.hosts",
        ),
        (
            {"asset": "https://shop.example/backup.zip"},
            "the gateway does not check /backup.zip of shop.example (static), so nothing can block it there",
        ),
    ],
)
def test_rule_that_cannot_act_says_why(fields: dict[str, Any], why: str) -> None:
    found = planned([action()], finding(**fields))

    assert (found.patches, said(found)) == ((), [("close", why)])


def test_address_counts_for_the_hosts_that_the_rule_names_as_far_as_they_are_ours() -> None:
    rule = action(match={"hosts": ["shop.example", "else.example", "api.shop.example"]}, paths=["/admin"])

    found = planned([rule], finding(asset="192.0.2.1"))

    assert deeds(found) == [("close", "shop.example", ("/admin",)), ("close", "api.shop.example", ("/admin",))]
    assert said(found) == [("close", "else.example is no host of sites")]


@pytest.mark.parametrize("address", ["192.0.2.10", "2001:db8::1"])
def test_address_that_is_a_host_of_sites_is_one_of_ours(address: str) -> None:
    (made,) = planned([action(paths=["/admin"])], finding(asset=address)).patches

    assert made.host.strip("[]") == address


def test_root_is_blocked_where_the_rule_lists_it() -> None:
    assert deeds(planned([action(paths=["/"])], finding())) == [("close", "shop.example", ("/",))]


def test_listed_paths_take_the_place_of_the_findings_own() -> None:
    rule = action(paths=["/b/../c", "/a", "/x.css"])

    found = planned([rule], finding())

    assert deeds(found) == [("close", "shop.example", ("/a", "/c"))]
    assert said(found) == [
        ("close", "the gateway does not check /x.css of shop.example (static), so nothing can block it there")
    ]


def test_host_that_is_not_checked_gets_no_stricter_preset() -> None:
    sites = own_sites({"hosts": ["shop.example"], "protection": {"mode": "off"}})

    found = plan([action(do="raise_preset")], [Located(finding(), None)], sites, NOW_S)

    assert found.patches == ()
    assert said(found)[0][1] == "the gateway does not check / of shop.example (off), so nothing can block it there"


# -- several rules, several findings


def test_first_rule_that_can_act_does_and_the_others_do_not() -> None:
    rules = [action(name="block"), action(name="raise", do="raise_preset")]

    assert deeds(planned(rules, finding())) == [("block", "shop.example", ("/search",))]
    without_path = planned(rules, finding(asset="shop.example"))
    assert deeds(without_path) == [("raise", "shop.example", ())]
    assert said(without_path) == [("block", NO_PATH)]


def test_rule_on_a_dry_run_leaves_the_next_one_to_act() -> None:
    rules = [action(name="tried", dry_run=True), action(name="real"), action(name="late")]

    assert [(one.name, one.dry_run) for one in planned(rules, finding()).patches] == [("tried", True), ("real", False)]


def test_time_counts_from_when_the_finding_was_first_seen() -> None:
    rules = [action(expires="2h"), action(name="later", expires="48h")]
    end_s = seconds(SEEN) + 7200

    assert planned(rules, finding(), now_s=end_s - 1).patches[0].until == iso(end_s)
    assert planned(rules, finding(), now_s=end_s) == Plan((), (), frozenset({finding().fingerprint}))


def test_finding_that_was_never_stored_counts_from_now() -> None:
    assert planned([action(expires="1h")], finding(first_seen=None)).patches[0].until == iso(NOW_S + 3600)


def test_rule_that_cannot_act_leaves_the_next_one_to_act_after_its_time_too() -> None:
    rules = [action(expires="1h"), action(name="raise", do="raise_preset", expires="48h")]

    assert [one.name for one in planned(rules, finding(asset="shop.example"), now_s=NOW_S + DAY_S).patches] == ["raise"]


def test_findings_of_one_title_at_several_places_block_each_its_path() -> None:
    found = planned(
        [action()],
        finding(asset="shop.example", raw={"path": "/b"}, id="1"),
        finding(asset="shop.example", raw={"path": "/a"}, id="2"),
    )

    assert sorted(deeds(found)) == [("close", "shop.example", ("/a",)), ("close", "shop.example", ("/b",))]


def test_patch_lasts_from_the_last_scan_that_told_its_finding() -> None:
    old = finding(first_seen=iso(NOW_S - 30 * DAY_S), last_seen=iso(NOW_S - 3600))

    assert planned([action(expires="24h")], old).patches[0].until == iso(NOW_S - 3600 + DAY_S)


def test_patches_are_bounded_and_the_worst_findings_have_them() -> None:
    high = [finding(asset=f"https://shop.example/h{number}", severity="high") for number in range(MAX_PATCHES)]
    found = planned([action(match={"severity": "high"})], *high, finding())

    assert len(found.patches) == MAX_PATCHES
    assert found.patches[0].paths == ("/search",)
    assert said(found) == [("close", f"there are {MAX_PATCHES} patches already, which is the limit")]


def test_providers_take_turns_so_that_none_crowds_out_another() -> None:
    many = [finding(asset=f"https://shop.example/c{number}", id=str(number)) for number in range(3 * MAX_PATCHES)]
    few = [
        finding(asset=f"https://shop.example/f{number}", severity="high", provider="embedded", id="leak")
        for number in range(3)
    ]

    found = planned([action(match={"severity": "high"})], *many, *few)

    assert len(found.patches) == MAX_PATCHES
    assert [one.finding.provider for one in found.patches[:7]] == ["ddactic", "embedded"] * 3 + ["ddactic"]
    assert len(found.skipped) == 2 * MAX_PATCHES + 3
    assert {one.finding.provider for one in found.skipped} == {"ddactic"}


def test_patch_that_a_static_name_passes_by_is_told_once_and_what_to_do() -> None:
    rules = [action(paths=["/a.php", "/b"]), action(name="raise", do="raise_preset", match={"severity": "high"})]
    located = [Located(finding(), None), Located(finding(severity="high"), None)]

    (weak,) = plan(rules, located, SITES, NOW_S).weak

    assert weak.patch.paths == ("/a.php", "/b")
    assert weak.why == (
        "the gateway does not check GET /a.php/x.css (static): an origin that answers that as /a.php can still be "
        "reached; with protection.exclude_static: false for this site it is blocked"
    )
    assert plan(rules, located, own_sites(exclude_static=False), NOW_S).weak == ()


def test_path_that_only_the_engine_takes_for_none_is_skipped() -> None:
    rule = action().model_copy(update={"paths": ("/%25252525252e%25252525252e", "/%2525252e%2525252e")})

    assert [why for _, why in said(planned([rule], finding()))] == ["/%25252e%25252e is none that can be blocked"]


def test_text_of_a_finding_is_bounded_and_printable_in_a_patch() -> None:
    (made,) = planned([action()], finding(title="${HOME}\n" + "x" * 1000, id="\x1b[2J")).patches

    assert made.finding.title == "${HOME} " + "x" * 292
    assert made.finding.id == " [2J"


ANY_FINDING = st.builds(
    lambda **fields: finding(**fields),
    id=st.text(max_size=8),
    severity=st.sampled_from(["critical", "high", "info"]),
    title=st.text(max_size=20),
    asset=st.one_of(
        st.text(max_size=30),
        st.sampled_from(["shop.example", "192.0.2.10", "a.shop.example:80", "https://shop.example/x"]),
        st.text("/.%25;a\\", max_size=12).map(lambda text: f"https://shop.example/{text}"),
    ),
    raw=st.one_of(st.none(), st.dictionaries(st.sampled_from(["path", "url"]), st.text(max_size=20), max_size=2)),
)
RULES = [
    action(name="block", match={"severity": "high", "hosts": ["shop.example"]}),
    action(name="raise", do="raise_preset", dry_run=True),
    action(name="last", match={"severity": "info"}),
]


@given(st.lists(ANY_FINDING, max_size=6), st.randoms())
def test_any_findings_make_a_plan_that_can_be_written_the_same_in_any_order(found: list[Finding], random: Any) -> None:
    first = planned(RULES, *found, target="shop.example")
    random.shuffle(found)

    assert set(planned(RULES, *found, target="shop.example").patches) == set(first.patches)
    assert parse_patches(patch_document(first.patches), "patches.json") == first.patches
    for made in first.patches:
        assert SITES.has(made.host)
        assert all(folded(path) not in ("", "/") for path in made.paths)


# -- what changed


def test_changes_tell_what_began_what_is_different_and_what_is_over_and_why() -> None:
    before = planned([action(), action(name="tried", dry_run=True)], finding())
    closed, expired = patch(name="closed"), patch(name="expired", until=iso(NOW_S))
    unasked = before.patches[0].model_copy(update={"name": "unasked"})
    longer = planned([action(expires="30h"), action(name="new", do="raise_preset")], finding(), finding(
        asset="shop.example", title="Old TLS",
    ))  # fmt: skip

    found = changes([closed, expired, unasked, *before.patches], longer, NOW_S)

    assert [(one.event, one.patch.name, one.reason) for one in found] == [
        ("ended", "closed", "the finding is closed"),
        ("expired", "expired", "its time is over"),
        ("ended", "unasked", "no rule asks for it any more"),
        ("changed", "close", "the rule or the finding says something else"),
        ("started", "new", "ddactic found: Old TLS"),
    ]
    assert found[-1].as_record(NOW_S) == {
        "at": iso(NOW_S), "event": "started", "reason": "ddactic found: Old TLS",
        **found[-1].patch.model_dump(mode="json"),
    }  # fmt: skip


def test_changes_of_the_same_plan_are_none() -> None:
    found = planned([action()], finding())

    assert changes(found.patches, found, NOW_S) == []
    assert changes((), Plan(), NOW_S) == []


