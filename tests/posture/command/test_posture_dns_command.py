"""`gateway posture dns`: every command, every type of record, and what is refused before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from posture.command.commands import Ran
from posture.command.platforms import Platforms, platforms_in
from posture.standin.securityspace import zone_file
from posture.standin.server import Fault

ZONE = "example.com"


@pytest.fixture
def platforms(tmp_path: Path) -> Iterator[Platforms]:
    with platforms_in(tmp_path) as made:
        made.securityspace.add_zone(ZONE)
        yield made


def sent(platforms: Platforms) -> tuple[str, dict[str, str]]:
    """The one call that a command has made."""
    (form,) = platforms.forms()
    return form


# ---- zones -----------------------------------------------------------------------------------------------------------


def test_dns_list_gives_the_zones_and_the_account(platforms: Platforms) -> None:
    zone = platforms.securityspace.add_zone("example.org")
    assert platforms.document("dns", "list") == {
        "domains": [
            {"domain": ZONE, "seq": 401, "weight": 1, "state": 0, "state_text": "Unvalidated"},
            {"domain": "example.org", "seq": zone.seq, "weight": 1, "state": 0, "state_text": "Unvalidated"},
        ],
        "domaincount": 2, "domainweight": 2, "expiry": "2027-01-01T00:00:00Z",
    }  # fmt: skip
    assert sent(platforms) == ("dnsGetDomainList", {})


@pytest.mark.parametrize("textual", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_dns_list_reads_every_notation_of_the_document(platforms: Platforms, textual: bool, listed: bool) -> None:
    platforms.securityspace.textual, platforms.securityspace.listed = textual, listed
    (domain,) = platforms.document("dns", "list")["domains"]
    assert domain == {"domain": ZONE, "seq": 401, "weight": 1, "state": 0, "state_text": "Unvalidated"}


def test_dns_list_of_an_account_without_zones_is_empty(platforms: Platforms) -> None:
    platforms.securityspace.zones.clear()
    document = platforms.document("dns", "list")
    assert (document["domains"], document["domaincount"]) == ([], 0)


def test_dns_show_gives_each_zone_in_the_order_that_was_typed(platforms: Platforms) -> None:
    platforms.securityspace.textual = False
    names = [f"zone-{number}.example" for number in range(6)]
    for name in names:
        platforms.securityspace.add_zone(name)
    document = platforms.document("dns", "show", *reversed(names))
    assert [one["domain"] for one in document["domains"]] == names[::-1]
    assert document["domains"][0] == {
        "domain": "zone-5.example", "state": 0, "state_text": "Unvalidated",
        "records": [
            {"seq": str(one.seq), "type": one.type, "data": one.data}
            for one in platforms.securityspace.zones["zone-5.example"].records
        ],
    }  # fmt: skip
    assert sorted(form["domain"] for _, form in platforms.forms()) == names


def test_dns_show_asks_several_at_a_time_and_no_more_than_configured(platforms: Platforms) -> None:
    platforms.configure(providers={"securityspace": {"concurrency": 3}})
    names = [f"zone-{number}.example" for number in range(9)]
    for name in names:
        platforms.securityspace.add_zone(name)
    platforms.securityspace.meet(3)
    platforms.document("dns", "show", *names)
    assert platforms.securityspace.peak == 3
    assert platforms.securityspace.counts["/auth.php"] == 1


def test_dns_show_of_one_zone_that_is_not_there_fails_as_a_whole(platforms: Platforms) -> None:
    error = platforms.failed("dns", "show", ZONE, "absent.example", "--format", "json")
    assert error.startswith("securityspace POST /dnsGetDomainRecords.php: noSuchDomain")


def test_dns_add_domain_accepts_the_policy_and_says_so_to_the_platform(platforms: Platforms) -> None:
    document = platforms.document("dns", "add-domain", "new.example", "--accept-aup")
    assert document == {"domain": "new.example", "added": True}
    assert sent(platforms) == ("dnsAddDomain", {"domain": "new.example", "domaintype": "master", "aup": "YES"})
    platforms.document("dns", "add-domain", "slave.example", "--domaintype", "slave", "--accept-aup")
    assert platforms.securityspace.zones["slave.example"].domaintype == "slave"


def test_dns_add_domain_that_the_account_has_already_fails(platforms: Platforms) -> None:
    error = platforms.failed("dns", "add-domain", ZONE, "--accept-aup")
    assert error.startswith("securityspace POST /dnsAddDomain.php: unableToAddDuplicate")


def test_dns_delete_domain_gives_what_is_left(platforms: Platforms) -> None:
    document = platforms.document("dns", "delete-domain", ZONE, "--yes")
    assert document == {
        "domain": ZONE, "deleted": True, "domaincount": 0, "domainweight": 0, "expiry": "2027-01-01T00:00:00Z"
    }  # fmt: skip
    assert sent(platforms) == ("dnsDeleteDomain", {"domain": ZONE})


# ---- records ---------------------------------------------------------------------------------------------------------

RECORDS: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("A", {"ip": "192.0.2.7"}, {"name": ""}),
    ("A", {"name": "www", "ip": "192.0.2.7"}, {}),
    ("AAAA", {"ip": "2001:db8::7"}, {"name": ""}),
    ("AAAA", {"name": "*", "ip": "2001:db8::7"}, {}),
    ("CNAME", {"alias": "www", "name": "shop.example."}, {}),
    ("MX", {"mxname": "mail.example.com", "priority": "0"}, {"name": ""}),
    ("MX", {"name": "news", "mxname": "mail.example.com", "priority": "99"}, {}),
    ("NS", {"nameserver": "ns1.example.net"}, {"subdomain": ""}),
    ("NS", {"subdomain": "lab", "nameserver": "ns1.example.net"}, {}),
    ("CAA", {"flag": "0", "tag": "issue", "value": "ca.example.net; policy=ev"}, {"subdomain": ""}),
    ("CAA", {"subdomain": "www", "flag": "128", "tag": "iodef", "value": "mailto:security@example.com"}, {}),
    ("TXT", {"txtdata": "v=spf1 a mx ~all & more=+"}, {"name": ""}),
    ("TXT", {"name": "_dmarc", "txtdata": "v=DMARC1; p=reject"}, {}),
    ("SRV", {"srvc": "_sip", "prot": "_tcp", "pri": "0", "weight": "5", "port": "5060", "target": "sip.example.com"},
     {"host": ""}),
    ("SRV", {"srvc": "_sip", "prot": "_udp", "host": "voice", "pri": "1", "weight": "0", "port": "65535",
             "target": "sip.example.com"}, {}),
]  # fmt: skip
"""Type, the options, and what is sent besides for those that were left out."""


def typed(fields: dict[str, str]) -> list[str]:
    return [part for name, value in fields.items() for part in (f"--{name}", value)]


@pytest.mark.parametrize(("type", "fields", "blank"), RECORDS)
def test_dns_add_record_sends_the_fields_of_its_type(
    platforms: Platforms, type: str, fields: dict[str, str], blank: dict[str, str]
) -> None:
    document = platforms.document("dns", "add-record", ZONE, type, *typed(fields))
    assert document == {"domain": ZONE, "type": type, "added": True}
    assert sent(platforms) == (f"dnsAdd{type}", {"domain": ZONE, **fields, **blank})
    assert platforms.securityspace.zones[ZONE].records[-1].type == type


def test_dns_add_record_takes_the_type_in_any_case(platforms: Platforms) -> None:
    document = platforms.document("dns", "add-record", ZONE, "aaaa", "--ip", "2001:db8::7")
    assert document == {"domain": ZONE, "type": "AAAA", "added": True}


OPTIONAL = ("name", "subdomain", "host")
FIELDS = {name for _, fields, _ in RECORDS for name in fields}
MISSING = [
    (type, {name: value for name, value in fields.items() if name != missing}, missing)
    for type, fields, blank in RECORDS if blank or type == "CNAME"
    for missing in fields if missing not in OPTIONAL or type == "CNAME"
]  # fmt: skip


@pytest.mark.parametrize(("type", "fields", "missing"), MISSING)
def test_dns_add_record_without_an_option_of_its_type_is_refused(
    platforms: Platforms, type: str, fields: dict[str, str], missing: str
) -> None:
    ran = platforms.refused("dns", "add-record", ZONE, type, *typed(fields))
    assert ran.error == f"securityspace POST /dnsAdd{type}.php: {missing}: is missing"


FOREIGN = [
    (type, fields, foreign)
    for type, fields, blank in RECORDS if not blank
    for foreign in sorted(FIELDS - fields.keys())[::6]
]  # fmt: skip


def test_dns_add_record_with_an_option_of_another_type_is_refused(platforms: Platforms) -> None:
    for type, fields, foreign in FOREIGN:
        ran = platforms.refused("dns", "add-record", ZONE, type, *typed(fields), f"--{foreign}", "1")
        assert ran.error.startswith(f"securityspace POST /dnsAdd{type}.php: '{foreign}': no such parameter")


@pytest.mark.parametrize(
    ("type", "fields", "field"),
    [
        ("A", {"ip": "2001:db8::7"}, "ip"),
        ("A", {"ip": "www.example.com"}, "ip"),
        ("AAAA", {"ip": "192.0.2.7"}, "ip"),
        ("CNAME", {"alias": "www", "name": ""}, "name"),
        ("MX", {"mxname": "mail.example.com", "priority": "100"}, "priority"),
        ("MX", {"mxname": "mail.example.com", "priority": "ten"}, "priority"),
        ("CAA", {"flag": "256", "tag": "issue", "value": "ca.example.net"}, "flag"),
        ("CAA", {"flag": "0", "tag": "issuer", "value": "ca.example.net"}, "tag"),
        ("TXT", {"txtdata": ""}, "txtdata"),
        ("TXT", {"txtdata": "two\nlines"}, "txtdata"),
        ("SRV", {"srvc": "_sip", "prot": "_tcp", "pri": "0", "weight": "5", "port": "65536", "target": "s"}, "port"),
    ],
)
def test_dns_add_record_with_a_value_that_cannot_be_is_refused(
    platforms: Platforms, type: str, fields: dict[str, str], field: str
) -> None:
    ran = platforms.refused("dns", "add-record", ZONE, type, *typed(fields))
    assert ran.error.startswith(f"securityspace POST /dnsAdd{type}.php: {field}: got ")


def test_dns_add_record_of_an_unknown_type_is_refused(platforms: Platforms) -> None:
    assert "PTR" in platforms.refused("dns", "add-record", ZONE, "PTR", "--name", "www").err


def test_dns_delete_record_takes_the_number_that_show_gives(platforms: Platforms) -> None:
    platforms.document("dns", "add-record", ZONE, "A", "--name", "www", "--ip", "192.0.2.7")
    record = platforms.document("dns", "show", ZONE)["domains"][0]["records"][-1]
    assert (record["type"], record["data"]) == ("A", {"name": "www", "data": "192.0.2.7"})
    platforms.forget()
    assert platforms.document("dns", "delete-record", record["seq"]) == {"seq": record["seq"], "deleted": True}
    assert sent(platforms) == ("dnsDeleteRecord", {"seq": record["seq"]})
    error = platforms.failed("dns", "delete-record", record["seq"])
    assert error.startswith("securityspace POST /dnsDeleteRecord.php: recordNotDeleted")


# ---- SOA and options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "given", "fields"),
    [
        ("set-soa", {"admin": "dns@example.com"}, {"admin": "dns@example.com"}),
        ("set-soa", {"ttl": "300"}, {"ttl": 300}),
        ("set-soa", {"admin": "dns@example.com", "ttl": "0"}, {"admin": "dns@example.com", "ttl": 0}),
        ("set-options", {"masters": "192.0.2.1"}, {"masters": "192.0.2.1"}),
        ("set-options", {"allowtransferacl": "192.0.2.0/24;"}, {"allowtransferacl": "192.0.2.0/24;"}),
        ("set-options", {"notify": "yes", "alsonotify": "192.0.2.3;"}, {"notify": "yes", "alsonotify": "192.0.2.3;"}),
        ("set-options", {"masters": "", "allowtransferacl": "", "notify": "", "alsonotify": ""},
         {"masters": "", "allowtransferacl": "", "notify": "", "alsonotify": ""}),
    ],
)  # fmt: skip
def test_dns_set_sends_what_is_given_and_nothing_else(
    platforms: Platforms, command: str, given: dict[str, str], fields: dict[str, Any]
) -> None:
    document = platforms.document("dns", command, ZONE, *typed(given))
    assert document == {"domain": ZONE, "set": fields}
    path = {"set-soa": "dnsSetSOA", "set-options": "dnsSetOptions"}[command]
    assert sent(platforms) == (path, {"domain": ZONE, **given})


# ---- build and publish -----------------------------------------------------------------------------------------------


def test_dns_build_zone_prints_the_zone_alone(platforms: Platforms) -> None:
    zone = zone_file(platforms.securityspace.zones[ZONE])
    ran = platforms.gateway("dns", "build-zone", ZONE)
    assert (ran.code, ran.out, ran.err) == (0, zone, "")
    assert platforms.document("dns", "build-zone", ZONE) == {"domain": ZONE, "zone": zone}


def test_dns_publish_hands_the_zone_to_the_name_servers(platforms: Platforms) -> None:
    document = platforms.document("dns", "publish", ZONE)
    assert document == {"domain": ZONE, "published": True, "warnings": [], "errors": []}
    assert len(platforms.securityspace.published[ZONE]) == 5


def test_dns_publish_with_warnings_is_done_all_the_same(platforms: Platforms) -> None:
    platforms.securityspace.warnings[ZONE] = ["MX points to a CNAME", "TTL is low"]
    ran = platforms.gateway("dns", "publish", ZONE, "--format", "json")
    assert (ran.code, ran.json) == (
        0, {"domain": ZONE, "published": True, "warnings": ["MX points to a CNAME", "TTL is low"], "errors": []}
    )  # fmt: skip
    assert "MX points to a CNAME" in platforms.gateway("dns", "publish", ZONE).out


@pytest.mark.parametrize("status", [-1, 0, 7])
def test_dns_publish_with_errors_fails_with_the_document(platforms: Platforms, status: int) -> None:
    platforms.securityspace.failed_status = status
    platforms.securityspace.warnings[ZONE] = ["TTL is low"]
    platforms.securityspace.errors[ZONE] = ["no A record for the name server", "two SOA records"]
    ran = platforms.gateway("dns", "publish", ZONE, "--format", "json")
    assert (ran.code, ran.json) == (
        1,
        {
            "domain": ZONE, "published": False, "warnings": ["TTL is low"],
            "errors": ["no A record for the name server", "two SOA records"],
        },
    )  # fmt: skip
    assert ran.error == (
        "securityspace POST /dnsPublish.php: example.com is not published: no A record for the name server; two SOA "
        "records"
    )
    assert platforms.securityspace.published == {}


def test_dns_publish_of_a_zone_that_is_on_hold_fails_with_the_document(platforms: Platforms) -> None:
    platforms.document("dns", "add-domain", "new.example", "--accept-aup")
    document = platforms.document("dns", "publish", "new.example", code=1)
    assert (document["published"], document["errors"]) == (False, ["domain is on hold"])


# ---- refused before anything is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add-domain", "new.example"), "--accept-aup"),
        (("add-domain", "new.example", "--domaintype", "primary", "--accept-aup"), "primary"),
        (("delete-domain", ZONE), "--yes"),
        (("set-soa", ZONE), "nothing to set: give --admin or --ttl"),
        (("set-soa", ZONE, "--ttl", "soon"), "--ttl"),
        (("set-soa", ZONE, "--ttl", "-1"), "ttl"),
        (("set-soa", ZONE, "--admin", "nobody"), "admin"),
        (("set-options", ZONE), "nothing to set: give --masters, --allowtransferacl, --notify or --alsonotify"),
        (("delete-record", "abc"), "seq"),
        (("delete-record",), "SEQ"),
        (("show",), "DOMAIN"),
        (("show", ""), "domain"),
        (("list", "--format", "yaml"), "yaml"),
        (("publish", ZONE, "--force"), "--force"),
    ],
)
def test_dns_command_that_cannot_be_is_refused(platforms: Platforms, arguments: tuple[str, ...], said: str) -> None:
    assert said in platforms.refused("dns", *arguments).err


def test_dns_without_an_account_is_refused(platforms: Platforms) -> None:
    platforms.configure(without="securityspace")
    for arguments in (("list",), ("show", ZONE), ("publish", ZONE), ("add-record", ZONE, "A", "--ip", "192.0.2.7")):
        ran = platforms.refused("dns", *arguments)
        assert ran.error.startswith("securityspace is not configured: ")
        assert ran.error.endswith("has no posture.providers.securityspace")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_dns_over_plain_http_is_refused_even_on_loopback(platforms: Platforms, host: str) -> None:
    url = platforms.securityspace.url.replace("https://localhost", f"http://{host}")
    platforms.configure(providers={"securityspace": {"base_url": url}})
    assert "posture.providers.securityspace.base_url" in platforms.refused("dns", "list").err


# ---- the session, and what goes wrong --------------------------------------------------------------------------------


def test_dns_session_that_expires_in_the_middle_is_renewed_once(platforms: Platforms) -> None:
    names = [f"zone-{number}.example" for number in range(8)]
    for name in names:
        platforms.securityspace.add_zone(name)
    platforms.securityspace.expire_after(3)
    document = platforms.document("dns", "show", *names)
    assert [one["domain"] for one in document["domains"]] == names
    assert platforms.securityspace.counts["/auth.php"] == 2


def test_dns_change_is_repeated_with_a_new_token_and_made_once(platforms: Platforms) -> None:
    platforms.securityspace.expire_after(0)
    platforms.document("dns", "add-record", ZONE, "A", "--name", "www", "--ip", "192.0.2.7")
    assert [one.type for one in platforms.securityspace.zones[ZONE].records].count("A") == 1
    assert [name for name, _ in platforms.forms()] == ["dnsAddA", "dnsAddA"]


def test_dns_session_that_is_refused_again_fails(platforms: Platforms) -> None:
    platforms.securityspace.refuse("/dnsGetDomainList.php", "sessionTimeout", "sessionTimeout")
    assert platforms.failed("dns", "list").startswith("securityspace POST /dnsGetDomainList.php: sessionTimeout")
    assert platforms.securityspace.counts["/auth.php"] == 2


def test_dns_with_a_wrong_password_fails_and_tries_it_once(platforms: Platforms) -> None:
    platforms.securityspace.password = "another one"
    assert platforms.failed("dns", "list").startswith("securityspace POST /auth.php: invalidLogin")
    assert platforms.securityspace.counts["/auth.php"] == 1
    assert platforms.forms() == []


def test_dns_with_a_wrong_key_fails(platforms: Platforms) -> None:
    platforms.securityspace.key = "A" * 32
    assert platforms.failed("dns", "list").startswith("securityspace POST /auth.php: invalid apikey - not in db")


def test_dns_reading_is_repeated_and_a_change_is_not(platforms: Platforms) -> None:
    platforms.securityspace.script(Fault(status=502, body=b"", path="/dnsGetDomainList.php"))
    assert platforms.document("dns", "list")["domaincount"] == 1
    platforms.forget()
    platforms.securityspace.script(Fault(drop=True, after=True, path="/dnsPublish.php"))
    error = platforms.failed("dns", "publish", ZONE)
    assert error.startswith("securityspace POST /dnsPublish.php: the connection was lost")
    assert error.endswith("(may have been taken)")
    assert [name for name, _ in platforms.forms()] == ["dnsPublish"]


def test_dns_answer_off_the_contract_names_call_field_and_what_came(platforms: Platforms) -> None:
    body = json.dumps({"status": 0, "zone": 7}).encode()
    platforms.securityspace.script(Fault(status=200, body=body, path="/dnsBuildZone.php"))
    error = platforms.failed("dns", "build-zone", ZONE)
    assert error == "securityspace POST /dnsBuildZone.php: zone: got 7; expected a text"


def test_dns_platform_that_echoes_secrets_has_them_starred(platforms: Platforms) -> None:
    secrets = " ".join((platforms.securityspace.key, platforms.securityspace.password))
    platforms.securityspace.errors[ZONE] = [f"refused for {secrets}"]
    document = platforms.document("dns", "publish", ZONE, code=1)
    assert document["errors"] == ["refused for *** ***"]
    body = json.dumps({"status": -1, "error": f"broken {secrets}"}).encode()
    platforms.securityspace.script(Fault(status=200, body=body, path="/dnsGetDomainList.php"))
    assert "broken *** ***" in platforms.failed("dns", "list")


def test_dns_verbose_shows_each_call_on_stderr(platforms: Platforms) -> None:
    ran: Ran = platforms.gateway("dns", "list", "-v", "--format", "json")
    assert ran.json["domaincount"] == 1
    lines = [line.rsplit(" ", 2)[0] for line in ran.err.splitlines()]
    assert lines == ["securityspace POST /auth.php 200", "securityspace POST /dnsGetDomainList.php 200"]


def test_dns_of_an_unreachable_platform_fails(platforms: Platforms, unused_port: int) -> None:
    platforms.configure(
        providers={"securityspace": {"base_url": f"https://localhost:{unused_port}/api", "retry": {"attempts": 1}}}
    )
    assert platforms.failed("dns", "list").startswith("securityspace POST /auth.php: no connection: ")


def test_dns_of_a_platform_whose_certificate_nobody_vouches_for_fails(platforms: Platforms) -> None:
    platforms.configure(providers={"securityspace": {"ca": None}})
    assert "its certificate is not accepted" in platforms.failed("dns", "list")
    assert platforms.securityspace.calls == []
