"""`domains add --verify-dns` and `onboard`: from nothing to a verified, scanned domain that is led to the gateway.

Both stand-ins are wired together: DDactic verifies a domain when SecuritySpace has published its record, and by nothing
else.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from posture.command.commands import assert_domain, assert_finding, assert_scan
from posture.command.platforms import Platforms, gateway, lose, platforms_in
from posture.standin.ddactic import FINDINGS
from posture.standin.securityspace import StandInRecord, StandInZone
from posture.standin.server import Fault
from processes import until

ZONE = "example.com"
NAME = "shop.example.com"
RECORD = "ddactic-verify=dom_0001xyz"
ADDRESSES = ["203.0.113.10", "2001:db8::10"]
OLD = [("A", "192.0.2.1"), ("A", "192.0.2.2")]


@pytest.fixture
def platforms(tmp_path: Path) -> Iterator[Platforms]:
    with platforms_in(tmp_path) as made:
        made.configure(gateway={"addresses": ADDRESSES})
        made.securityspace.add_zone(ZONE)
        yield made


def put(platforms: Platforms, type: str, name: str, data: str, zone: str = ZONE) -> StandInRecord:
    """A record of the zone, as it was before anybody typed a command."""
    added: StandInZone = platforms.securityspace.zones[zone]
    platforms.securityspace._add(added, type, {"name": name, "data": data})
    added.published = list(added.records)
    return added.records[-1]


# ---- domains add --verify-dns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "below"), [(ZONE, ""), (NAME, "shop"), ("a.b.c.example.com", "a.b.c")])
def test_verify_adds_the_record_publishes_it_and_waits(platforms: Platforms, name: str, below: str) -> None:
    ran = platforms.gateway("domains", "add", name, "--verify-dns", "--format", "json")
    assert (ran.code, ran.err) == (0, f"ddactic: waiting until {name} is verified\n")
    domain = ran.json["domain"]
    assert_domain(domain)
    assert (domain["id"], domain["name"], domain["verified"]) == ("dom_0001", name, True)
    assert domain["verification"] == {"method": "dns_txt", "record": RECORD}
    assert ran.json["dns"] == {"zone": ZONE, "name": below, "added": True, "published": True, "warnings": []}
    assert platforms.forms() == [
        ("dnsGetDomainList", {}),
        ("dnsGetDomainRecords", {"domain": ZONE}),
        ("dnsAddTXT", {"domain": ZONE, "name": below, "txtdata": RECORD}),
        ("dnsPublish", {"domain": ZONE}),
    ]
    assert platforms.ddactic.paths() == ["POST /domains", "GET /domains"]


def test_add_without_verify_calls_ddactic_alone(platforms: Platforms) -> None:
    platforms.configure(without="securityspace")
    document = platforms.document("domains", "add", NAME)
    assert_domain(document["domain"])
    assert (document["domain"]["verified"], document["dns"]) == (None, None)  # the answer says nothing about it
    assert platforms.sent() == ["ddactic POST /domains"]


def test_verify_takes_the_longest_zone_that_is_a_parent(platforms: Platforms) -> None:
    for zone in ("com.example", "shop.example.com", "op.example.com", "eu.shop.example.com", "xshop.example.com"):
        platforms.securityspace.add_zone(zone)
    document = platforms.document("domains", "add", "www.shop.example.com", "--verify-dns")
    assert (document["dns"]["zone"], document["dns"]["name"]) == ("shop.example.com", "www")


@pytest.mark.parametrize("name", ["example.org", "notexample.com"])
def test_verify_without_a_zone_fails_and_names_the_command(platforms: Platforms, name: str) -> None:
    error = platforms.failed("domains", "add", name, "--verify-dns")
    assert error == (
        f"securityspace has no zone for {name}; add it: gateway posture dns add-domain DOMAIN --accept-aup"
    )


@pytest.mark.parametrize(
    ("name", "listed", "data"),
    [
        (NAME, "shop", RECORD),
        (NAME, "shop.example.com", RECORD),
        (NAME, "SHOP.example.com.", RECORD),
        (NAME, "shop", f'"{RECORD}"'),
        (ZONE, "", RECORD),
        (ZONE, "@", f'"{RECORD}"'),
        (ZONE, "example.com", RECORD),
        (ZONE, "example.com.", RECORD),
    ],
)
def test_verify_record_that_is_there_is_published_and_not_added_again(
    platforms: Platforms, name: str, listed: str, data: str
) -> None:
    put(platforms, "TXT", listed, data)
    platforms.ddactic.published = lambda name: [RECORD]
    document = platforms.document("domains", "add", name, "--verify-dns")
    assert (document["dns"]["added"], document["dns"]["published"]) == (False, True)
    assert [form for form, _ in platforms.forms()] == ["dnsGetDomainList", "dnsGetDomainRecords", "dnsPublish"]


@pytest.mark.parametrize(("listed", "data"), [("", RECORD), ("www", RECORD), ("shop", "v=spf1"), ("shop", RECORD[:-1])])
def test_verify_record_that_is_another_one_does_not_count(platforms: Platforms, listed: str, data: str) -> None:
    put(platforms, "TXT", listed, data)
    assert platforms.document("domains", "add", NAME, "--verify-dns")["dns"]["added"] is True


def test_verify_warnings_of_the_publication_are_said_and_in_the_document(platforms: Platforms) -> None:
    platforms.securityspace.warnings[ZONE] = ["TTL is low"]
    ran = platforms.gateway("domains", "add", NAME, "--verify-dns", "--format", "json")
    assert (ran.code, ran.json["dns"]["warnings"]) == (0, ["TTL is low"])
    assert "securityspace: example.com: TTL is low" in ran.err


def test_verify_errors_of_the_publication_fail_and_nothing_is_waited_for(platforms: Platforms) -> None:
    platforms.securityspace.errors[ZONE] = ["two SOA records"]
    error = platforms.failed("domains", "add", NAME, "--verify-dns")
    assert error == "securityspace POST /dnsPublish.php: example.com is not published: two SOA records"
    assert platforms.ddactic.paths() == ["POST /domains"]


@pytest.mark.parametrize("listed", [True, False])
def test_verify_that_never_happens_ends_with_the_time_out(platforms: Platforms, listed: bool) -> None:
    platforms.ddactic.lists_unverified = listed
    platforms.ddactic.published = None
    error = platforms.failed("domains", "add", NAME, "--verify-dns", "--wait-timeout", "30ms")
    assert error == f"ddactic has not verified {NAME} within 0.03 s"
    assert platforms.ddactic.paths().count("GET /domains") > 1


@pytest.mark.parametrize("listed", [True, False])
def test_verify_waits_while_the_list_has_the_domain_not_or_unverified(platforms: Platforms, listed: bool) -> None:
    platforms.ddactic.lists_unverified = listed
    platforms.ddactic.published, platforms.ddactic.verify_after = None, 4
    document = platforms.document("domains", "add", NAME, "--verify-dns")
    assert document["domain"]["verified"] is True
    assert platforms.ddactic.paths() == ["POST /domains", *["GET /domains"] * 5]


def test_verify_finds_the_domain_on_a_later_page(platforms: Platforms) -> None:
    for number in range(120):
        platforms.ddactic.add_domain(f"other-{number}.example")
    assert platforms.document("domains", "add", NAME, "--verify-dns")["domain"]["verified"] is True


def test_verify_of_another_method_fails_and_changes_no_zone(platforms: Platforms) -> None:
    body = b'{"id": "dom_1", "domain": "shop.example.com", "verification": {"method": "http_file", "record": "x"}}'
    platforms.ddactic.script(Fault(status=200, body=body, path="/domains"))
    error = platforms.failed("domains", "add", NAME, "--verify-dns")
    assert error == "ddactic asks for http_file to verify shop.example.com, which cannot be done through DNS"
    assert platforms.forms() == []


@pytest.mark.parametrize("without", ["ddactic", "securityspace"])
def test_verify_without_an_account_is_refused_before_anything_is_sent(platforms: Platforms, without: str) -> None:
    platforms.configure(without=without, gateway={"addresses": ADDRESSES})
    for arguments in (("domains", "add", NAME, "--verify-dns"), ("onboard", NAME)):
        ran = platforms.refused(*arguments)
        assert ran.error.startswith(f"{without} is not configured: ")


def test_verify_of_a_name_that_ddactic_refuses_fails(platforms: Platforms) -> None:
    error = platforms.failed("domains", "add", "no_domain", "--verify-dns")
    assert error.startswith("ddactic POST /domains: 400 invalid_domain: Invalid domain")
    assert platforms.forms() == []


# ---- onboard ---------------------------------------------------------------------------------------------------------

STEPS = [
    ("ddactic", "/domains", 0), ("ddactic", "/domains", 1), ("securityspace", "/auth.php", 0),
    ("securityspace", "/dnsGetDomainList.php", 0), ("securityspace", "/dnsGetDomainRecords.php", 0),
    ("securityspace", "/dnsAddTXT.php", 0), ("securityspace", "/dnsPublish.php", 0), ("ddactic", "/domains", 2),
    ("ddactic", "/scans", 0), ("ddactic", "/scans/scn_0001", 0), ("ddactic", "/scans/scn_0001", 1),
    ("ddactic", "/scans/scn_0001/findings", 0),
]  # fmt: skip
"""Every call of `onboard`, in its order: the platform, the path, and the how manyth of that path."""

CHANGES = [STEPS[1], STEPS[5], STEPS[6], STEPS[8]]
"""Those for which it matters whether the platform has done its work when the answer is lost."""


def assert_onboarded(document: Any) -> None:
    assert list(document) == ["domain", "dns", "scan", "findings", "cutover"]
    assert_domain(document["domain"])
    assert_scan(document["scan"])
    for finding in document["findings"]:
        assert_finding(finding)
    assert (document["domain"]["name"], document["domain"]["verified"]) == (NAME, True)
    assert (document["scan"]["id"], document["scan"]["type"]) == ("scn_0001", "passive")
    assert (document["scan"]["status"], document["scan"]["target"]) == ("completed", NAME)
    assert [one["id"] for one in document["findings"]] == [one["id"] for one in FINDINGS]


def test_onboard_adds_verifies_and_scans(platforms: Platforms) -> None:
    ran = platforms.gateway("onboard", NAME, "--format", "json")
    assert ran.code == 0, ran.err
    assert_onboarded(ran.json)
    assert ran.json["dns"] == {"zone": ZONE, "name": "shop", "added": True, "published": True, "warnings": []}
    assert ran.json["cutover"] is None
    assert platforms.sent() == [
        "ddactic GET /domains", "ddactic POST /domains", "ddactic GET /domains", "ddactic POST /scans",
        "ddactic GET /scans/scn_0001", "ddactic GET /scans/scn_0001", "ddactic GET /scans/scn_0001/findings",
        "securityspace dnsGetDomainList", "securityspace dnsGetDomainRecords", "securityspace dnsAddTXT",
        "securityspace dnsPublish",
    ]  # fmt: skip


def test_onboard_again_starts_nothing_again(platforms: Platforms) -> None:
    first = platforms.document("onboard", NAME)
    platforms.forget()
    ran = platforms.gateway("onboard", NAME.upper(), "--format", "json")
    assert (ran.code, ran.json) == (0, first)
    assert platforms.sent() == ["ddactic GET /scans/scn_0001", "ddactic GET /scans/scn_0001/findings"]
    assert ran.err.splitlines() == [
        f"{NAME}: added already, going on", f"{NAME}: verified already, going on",
        f"{NAME}: scan scn_0001 is started already, going on", "ddactic scn_0001: completed",
    ]  # fmt: skip


def test_onboard_of_a_domain_that_is_verified_needs_no_dns(platforms: Platforms) -> None:
    platforms.ddactic.add_domain(NAME)
    document = platforms.document("onboard", NAME)
    assert_onboarded(document)
    assert document["dns"] is None
    assert platforms.forms() == []
    assert "POST /domains" not in platforms.ddactic.paths()


@pytest.mark.parametrize(
    ("who", "path", "number", "after"), [(*one, False) for one in STEPS] + [(*one, True) for one in CHANGES]
)
def test_onboard_interrupted_at_each_call_goes_on_where_it_stopped(
    platforms: Platforms, who: str, path: str, number: int, after: bool
) -> None:
    """The answer to one call is lost, before or after the platform did its work; then the same is typed again."""
    once = {"retry": {"attempts": 1}}
    platforms.configure(providers={"ddactic": once, "securityspace": once})
    lose(getattr(platforms, who), path, number, after=after)
    error = platforms.failed("onboard", NAME)
    assert error.startswith(f"{who} ") and f" {path}: the connection was lost" in error
    if path == "/scans" and after:  # nobody knows its id; the platform says that it runs, and nothing is started twice
        assert platforms.failed("onboard", NAME).startswith("ddactic POST /scans: 409 scan_in_progress")
        assert len(platforms.ddactic.scans) == 1
        return
    assert_onboarded(platforms.document("onboard", NAME))
    texts = [one for one in platforms.securityspace.zones[ZONE].records if one.type == "TXT"]
    assert [one.data for one in texts] == [{"name": "shop", "data": RECORD}]
    assert (len(platforms.ddactic.scans), len(platforms.ddactic.domains)) == (1, 1)


def test_onboard_that_times_out_at_the_verification_goes_on_with_it(platforms: Platforms) -> None:
    platforms.ddactic.published = None
    error = platforms.failed("onboard", NAME, "--wait-timeout", "30ms")
    assert error == f"ddactic has not verified {NAME} within 0.03 s"
    platforms.forget()
    platforms.ddactic.see_record(NAME)
    document = platforms.document("onboard", NAME)
    assert_onboarded(document)
    assert document["dns"]["added"] is True
    assert platforms.forms() == [("dnsGetDomainRecords", {"domain": ZONE})]
    assert "POST /domains" not in platforms.ddactic.paths()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_onboard_killed_while_it_waits_goes_on_with_what_it_waited_for(
    platforms: Platforms, number: signal.Signals
) -> None:
    platforms.ddactic.polls = 1_000_000
    process = platforms.process("onboard", NAME)

    async def waits() -> bool:
        return platforms.ddactic.paths().count("GET /scans/scn_0001") > 2

    await until(waits, "the scan to be asked for")
    process.send_signal(number)
    out, err = await asyncio.to_thread(process.communicate, timeout=20)
    assert out == "" and "Traceback" not in err
    if number == signal.SIGINT:
        assert process.returncode == 1 and err.splitlines()[-1] == "error: interrupted"
    platforms.ddactic.finish("scn_0001")
    assert_onboarded(await asyncio.to_thread(platforms.document, "onboard", NAME))
    assert (len(platforms.ddactic.scans), len(platforms.ddactic.domains)) == (1, 1)


def test_onboard_whose_record_was_deleted_before_it_was_seen_adds_it_again(platforms: Platforms) -> None:
    published, platforms.ddactic.published = platforms.ddactic.published, None
    platforms.failed("onboard", NAME, "--wait-timeout", "30ms")
    zone = platforms.securityspace.zones[ZONE]
    zone.records = [one for one in zone.records if one.type != "TXT"]
    platforms.ddactic.published = published
    assert_onboarded(platforms.document("onboard", NAME))


def test_onboard_of_a_domain_that_is_gone_from_the_account_begins_anew(platforms: Platforms) -> None:
    """Removed there, or the key is of another account now."""
    platforms.document("onboard", NAME)
    platforms.ddactic.scans.clear()
    platforms.ddactic.domains.clear()
    platforms.ddactic.records.clear()
    ran = platforms.gateway("onboard", NAME)
    assert ran.code == 1 and ran.error.startswith("ddactic GET /scans/scn_0001: 404 not_found")
    assert f"{NAME}: ddactic does not know it any more; the next run begins anew" in ran.err
    assert_onboarded(platforms.document("onboard", NAME))


def test_onboard_that_times_out_at_the_scan_goes_on_with_it(platforms: Platforms) -> None:
    platforms.ddactic.polls = 10_000
    document = platforms.document("onboard", NAME, "--wait-timeout", "50ms", code=1)
    assert document["scan"]["status"] in ("queued", "running")
    platforms.ddactic.finish("scn_0001")
    assert_onboarded(platforms.document("onboard", NAME))


def test_onboard_scan_that_fails_is_started_again_by_the_next_run(platforms: Platforms) -> None:
    platforms.ddactic.outcome = "failed"
    ran = platforms.gateway("onboard", NAME, "--cutover", "--yes", "--format", "json")
    assert (ran.code, ran.error, ran.json["cutover"]) == (1, "ddactic scan scn_0001 failed", None)
    platforms.ddactic.outcome = "completed"
    assert platforms.document("onboard", NAME)["scan"]["id"] == "scn_0002"


def test_onboard_yes_without_cutover_is_refused(platforms: Platforms) -> None:
    assert "--cutover" in platforms.refused("onboard", NAME, "--yes").err


def test_onboard_cutover_without_a_place_is_refused(platforms: Platforms) -> None:
    platforms.configure()
    ran = platforms.refused("onboard", NAME, "--cutover")
    assert ran.error == (
        "where does the gateway stand? Set posture.gateway.addresses, or posture.gateway.name"
    )


# ---- cutover ---------------------------------------------------------------------------------------------------------


def led(platforms: Platforms, name: str = "shop") -> list[tuple[str, str]]:
    """(type, where to) of the published records that lead visitors of a name, in any order."""
    return sorted(
        (type, data) for type, listed, data in platforms.published(ZONE, "A", "AAAA", "CNAME") if listed == name
    )


def undo(document: Any) -> None:
    """Type what the document says."""
    for line in document["cutover"]["undo"]:
        command = shlex.split(line)
        assert command[0] == "gateway"
        assert gateway(*command[1:]).code == 0


@pytest.fixture
def old(platforms: Platforms) -> Platforms:
    """The name leads elsewhere, and has records that are not for visitors; so has the zone."""
    for type, data in OLD:
        put(platforms, type, "shop", data)
    put(platforms, "A", "", "192.0.2.9")
    put(platforms, "A", "www", "192.0.2.9")
    return platforms


def rest(platforms: Platforms) -> list[tuple[str, str]]:
    """What is not the name's: (type, data) as JSON-able text, which no cutover of it may change."""
    records = platforms.securityspace.zones[ZONE].records
    return sorted((one.type, str(one.data)) for one in records if one.data.get("name") != "shop")


def test_cutover_without_yes_shows_the_plan_and_changes_nothing(old: Platforms) -> None:
    old.document("onboard", NAME)
    before, seqs = list(old.securityspace.zones[ZONE].records), old.securityspace._seq
    old.forget()
    ran = old.gateway("onboard", NAME, "--cutover", "--format", "json")
    cutover = ran.json["cutover"]
    numbers = {one.data["data"]: str(one.seq) for one in before if one.data.get("name") == "shop"}
    assert ran.code == 0
    assert cutover == {
        "zone": ZONE, "name": "shop",
        "add": [{"type": "A", "value": "203.0.113.10"}, {"type": "AAAA", "value": "2001:db8::10"}],
        "delete": [{"type": "A", "value": data, "seq": numbers[data]} for _, data in OLD],
        "applied": False, "warnings": [], "undo": cutover["undo"],
    }  # fmt: skip
    assert len(cutover["undo"]) == 5 and "SEQ" in cutover["undo"][0]
    assert f"{NAME}: the plan is not applied; say --yes to apply it" in ran.err
    assert [name for name, _ in old.forms()] == ["dnsGetDomainList", "dnsGetDomainRecords"]
    assert (old.securityspace.zones[ZONE].records, old.securityspace._seq) == (before, seqs)


def test_cutover_with_yes_applies_and_the_undo_commands_bring_it_back(old: Platforms) -> None:
    others = rest(old)
    document = old.document("onboard", NAME, "--cutover", "--yes")
    assert (document["cutover"]["applied"], document["cutover"]["warnings"]) == (True, [])
    assert led(old) == [("A", "203.0.113.10"), ("AAAA", "2001:db8::10")]
    assert rest(old) == others
    undo(document)
    assert (led(old), rest(old)) == (OLD, others)


def test_cutover_table_has_the_undo_commands_whole_on_their_lines(
    old: Platforms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    ran = old.gateway("onboard", NAME, "--cutover", "--yes")
    assert ran.code == 0
    again = old.document("onboard", NAME, "--cutover")
    lines = [line.strip() for line in ran.out.splitlines()]
    assert [line for line in lines if line.startswith("gateway posture dns ")] == again["cutover"]["undo"]


def test_cutover_is_seen_by_nobody_before_it_is_whole(old: Platforms) -> None:
    seen: list[list[tuple[str, str]]] = []
    old.securityspace.on_publish.append(lambda zone, records: seen.append(led(old)))
    old.document("onboard", NAME, "--cutover", "--yes")
    assert seen == [OLD, [("A", "203.0.113.10"), ("AAAA", "2001:db8::10")]]  # the verification's, and the cutover's


def test_cutover_that_is_done_already_changes_nothing_and_still_knows_the_way_back(old: Platforms) -> None:
    first = old.document("onboard", NAME, "--cutover", "--yes")
    old.forget()
    ran = old.gateway("onboard", NAME, "--cutover", "--yes", "--format", "json")
    cutover = ran.json["cutover"]
    assert (cutover["add"], cutover["delete"], cutover["applied"]) == ([], [], False)
    assert cutover["undo"] == first["cutover"]["undo"]
    assert f"{NAME}: its records lead to the gateway already, going on" in ran.err
    assert [name for name, _ in old.forms()] == ["dnsGetDomainList", "dnsGetDomainRecords"]


@pytest.mark.parametrize("data", ["2001:DB8::10", "2001:db8:0:0:0:0:0:10"])
def test_cutover_of_records_that_lead_to_the_gateway_in_another_spelling_has_nothing_to_do(
    platforms: Platforms, data: str
) -> None:
    put(platforms, "A", NAME + ".", "203.0.113.10")
    put(platforms, "AAAA", "SHOP", data)
    cutover = platforms.document("onboard", NAME, "--cutover", "--yes")["cutover"]
    assert (cutover["add"], cutover["delete"], cutover["undo"]) == ([], [], [])


def test_cutover_keeps_a_record_that_is_right_already(old: Platforms) -> None:
    kept = put(old, "A", "shop", "203.0.113.10")
    document = old.document("onboard", NAME, "--cutover", "--yes")
    assert document["cutover"]["add"] == [{"type": "AAAA", "value": "2001:db8::10"}]
    assert kept in old.securityspace.zones[ZONE].records
    undo(document)
    assert led(old) == sorted([*OLD, ("A", "203.0.113.10")])


def test_cutover_replaces_a_cname_by_addresses(platforms: Platforms) -> None:
    put(platforms, "CNAME", "shop", "old.cdn.example.")
    document = platforms.document("onboard", NAME, "--cutover", "--yes")
    assert led(platforms) == [("A", "203.0.113.10"), ("AAAA", "2001:db8::10")]
    undo(document)
    assert led(platforms) == [("CNAME", "old.cdn.example.")]


def test_cutover_at_the_top_of_the_zone_takes_its_addresses(platforms: Platforms) -> None:
    for name in ("", "@", "example.com."):
        put(platforms, "A", name, "192.0.2.1")
    document = platforms.document("onboard", ZONE, "--cutover", "--yes")
    assert (document["cutover"]["name"], len(document["cutover"]["delete"])) == ("", 3)
    assert led(platforms, "") == [("A", "203.0.113.10"), ("AAAA", "2001:db8::10")]
    undo(document)
    assert led(platforms, "") == [("A", "192.0.2.1")]


APPLYING = ["/dnsDeleteRecord.php", "/dnsDeleteRecord.php", "/dnsAddA.php", "/dnsAddAAAA.php", "/dnsPublish.php"]


@pytest.mark.parametrize(
    ("step", "after"), [(0, False), (0, True), (1, True), (2, False), (3, True), (4, False), (4, True)]
)
def test_cutover_interrupted_while_it_is_applied_goes_on_and_knows_the_way_back(
    old: Platforms, step: int, after: bool
) -> None:
    old.document("onboard", NAME)
    path = APPLYING[step]
    lose(old.securityspace, path, APPLYING[:step].count(path), after=after)
    error = old.failed("onboard", NAME, "--cutover", "--yes")
    assert error.startswith(f"securityspace POST {path}: ") and error.endswith("(may have been taken)")
    plan = old.document("onboard", NAME, "--cutover")["cutover"]
    assert plan["applied"] is False
    assert len(plan["add"]) + len(plan["delete"]) == max(0, 4 - step - after)
    document = old.document("onboard", NAME, "--cutover", "--yes")
    assert document["cutover"]["applied"] is True
    assert led(old) == [("A", "203.0.113.10"), ("AAAA", "2001:db8::10")]
    undo(document)
    assert led(old) == OLD


def test_cutover_that_the_platform_does_not_publish_fails_and_can_be_repeated(old: Platforms) -> None:
    old.document("onboard", NAME)
    old.securityspace.errors[ZONE] = ["a name server does not answer"]
    error = old.failed("onboard", NAME, "--cutover", "--yes")
    assert error.endswith("example.com is not published: a name server does not answer")
    assert led(old) == OLD
    old.securityspace.errors.clear()
    old.securityspace.warnings[ZONE] = ["TTL is low"]
    document = old.document("onboard", NAME, "--cutover", "--yes")
    assert (document["cutover"]["applied"], document["cutover"]["warnings"]) == (True, ["TTL is low"])
    undo(document)
    assert led(old) == OLD


def test_cutover_of_a_plan_that_was_undone_can_be_applied_again(old: Platforms) -> None:
    for _ in range(2):
        document = old.document("onboard", NAME, "--cutover", "--yes")
        assert led(old) == [("A", "203.0.113.10"), ("AAAA", "2001:db8::10")]
        undo(document)
        assert led(old) == OLD


# ---- cutover to a name -----------------------------------------------------------------------------------------------


@pytest.fixture
def named(old: Platforms) -> Platforms:
    """The gateway is known by a name instead of addresses."""
    old.configure(gateway={"name": "edge.gateway.example"})
    return old


def at_shop(platforms: Platforms) -> list[tuple[str, str]]:
    """Everything that is published at the name."""
    records = platforms.securityspace.published[ZONE]
    return sorted((one.type, one.data["data"]) for one in records if one.data.get("name") == "shop")


def test_cutover_to_a_name_leaves_the_cname_alone_there_and_can_be_undone(named: Platforms) -> None:
    """The text that verified the domain goes too, for nothing may stand beside a CNAME; undoing brings it back."""
    document = named.document("onboard", NAME, "--cutover", "--yes")
    cutover = document["cutover"]
    assert cutover["add"] == [{"type": "CNAME", "value": "edge.gateway.example."}]
    assert [(one["type"], one["value"]) for one in cutover["delete"]] == [*OLD, ("TXT", RECORD)]
    assert at_shop(named) == [("CNAME", "edge.gateway.example.")]
    again = named.document("onboard", NAME, "--cutover", "--yes")["cutover"]
    assert (again["add"], again["delete"], again["undo"]) == ([], [], cutover["undo"])
    undo(document)
    assert at_shop(named) == sorted([*OLD, ("TXT", RECORD)])


def test_cutover_to_a_name_interrupted_before_the_cname_brings_back_the_text_too(named: Platforms) -> None:
    named.document("onboard", NAME)
    named.securityspace.script(Fault(drop=True, path="/dnsAddCNAME.php"))
    named.failed("onboard", NAME, "--cutover", "--yes")
    document = named.document("onboard", NAME, "--cutover", "--yes")
    assert at_shop(named) == [("CNAME", "edge.gateway.example.")]
    undo(document)
    assert at_shop(named) == sorted([*OLD, ("TXT", RECORD)])


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("TXT", {"name": "shop", "data": "v=spf1 -all"}),
        ("MX", {"host": "shop", "data": "mail.example.com", "pri": 10}),
        ("CAA", {"name": "shop", "flag": 0, "tag": "issue", "caaval": "ca.example.net"}),
        ("NS", {"name": "shop", "data": "ns1.example.net"}),
    ],
)
def test_cutover_to_a_name_beside_records_that_are_not_ours_is_refused(
    named: Platforms, type: str, data: dict[str, Any]
) -> None:
    named.securityspace._add(named.securityspace.zones[ZONE], type, data)
    named.document("onboard", NAME)
    before = list(named.securityspace.zones[ZONE].records)
    error = named.failed("onboard", NAME, "--cutover", "--yes")
    assert error == (
        f"shop.example.com has {type} records, beside which no CNAME may stand; set posture.gateway.addresses instead "
        "of name"
    )
    assert named.securityspace.zones[ZONE].records == before


def test_cutover_to_a_name_at_the_top_of_the_zone_is_refused(named: Platforms) -> None:
    error = named.failed("onboard", ZONE, "--cutover", "--yes")
    assert error == (
        "example.com is the top of its zone, which cannot be a CNAME; set posture.gateway.addresses instead of name"
    )
    assert named.sent() == ["securityspace dnsGetDomainList"], "said before the domain is added"
