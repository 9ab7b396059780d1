"""DNS at SecuritySpace: every call, what the platform makes of it, and what is refused before it is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from posture.standin.securityspace import (
    KEY,
    ON_HOLD,
    PASSWORD,
    USERID,
    SecuritySpaceStandIn,
    StandInRecord,
    write_ca,
)
from posture.standin.server import Fault

from gateway.errors import Conflict, InvalidCall, NotFound, OffContract, PostureUsage
from gateway.posture import SecuritySpace
from gateway.posture.answer import Node
from gateway.posture.client.dns import read_publication, read_records, read_zones
from gateway.posture.client.manner import Manner
from gateway.posture.client.securityspace import (
    RECORD_FIELDS,
    Publication,
    Record,
    Zone,
    ZoneAccount,
    ZoneList,
    ZoneRecords,
)

EXPIRY = "2027-01-01T00:00:00Z"


@pytest.fixture(params=[(True, False), (False, False), (True, True)], ids=["text", "numbers", "lists"])
def platform(request: pytest.FixtureRequest) -> Iterator[SecuritySpaceStandIn]:
    """With numbers as text, as numbers, and with maps as lists."""
    textual, listed = request.param
    with SecuritySpaceStandIn(textual=textual, listed=listed) as server:
        server.add_zone("example.com")
        yield server
        assert server.undocumented == []


@pytest.fixture
async def client(platform: SecuritySpaceStandIn, tmp_path: Path) -> AsyncIterator[SecuritySpace]:
    manner = Manner(ca=write_ca(tmp_path), timeout_s=20.0)
    async with SecuritySpace(KEY, USERID, PASSWORD, base_url=platform.url, manner=manner) as securityspace:
        yield securityspace


def sent(platform: SecuritySpaceStandIn) -> tuple[str, dict[str, str]]:
    """(path, parameters without apikey and token) of the last call."""
    call = platform.calls[-1]
    fields = {name: values[0] for name, values in parse_qs(call.body.decode(), keep_blank_values=True).items()}
    return call.path, {name: value for name, value in fields.items() if name not in ("apikey", "sessionToken")}


def types(zone: ZoneRecords) -> list[str]:
    return [record.type for record in zone.records]


# --- zones ----------------------------------------------------------------------------------------------------------


async def test_zone_that_is_added_has_default_records_and_is_on_hold(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    await client.add_zone("example.net")
    assert sent(platform) == ("/dnsAddDomain.php", {"domain": "example.net", "domaintype": "master", "aup": "YES"})
    zone = await client.zone("example.net")
    assert (zone.domain, zone.state, zone.state_text) == ("example.net", 0, "Unvalidated")
    assert types(zone) == ["SOA", "NS", "NS", "NS", "NS"]
    assert int(zone.records[0].data["min"]) == 86400
    assert zone.records[4].data == {"name": "", "data": "ns4.securityspace.net."}
    assert await client.publish("example.net") == Publication(False, (), (ON_HOLD,))
    assert (await client.zone("example.net")).state == 1
    platform.release("example.net")
    assert await client.publish("example.net") == Publication(True, (), ())
    with pytest.raises(Conflict, match="unableToAddDuplicate"):
        await client.add_zone("example.net", domaintype="slave")


async def test_zones_are_listed_with_the_account(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    seq = platform.add_zone("example.org").seq
    found = await client.zones()
    assert [zone.domain for zone in found.zones] == ["example.com", "example.org"]
    raw = found.zones[1].raw
    assert found.zones[1] == Zone("example.org", seq, 1, 0, "Unvalidated", raw)
    assert raw["stateText"] == "Unvalidated"
    assert (found.domaincount, found.domainweight, found.expiry) == (2, 2, EXPIRY)
    assert found.as_json()["domains"][1] == {
        "domain": "example.org", "seq": seq, "weight": 1, "state": 0, "state_text": "Unvalidated",
    }  # fmt: skip


async def test_zone_that_is_deleted_is_gone(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    left = await client.delete_zone("example.com")
    assert left == ZoneAccount(0, 0, EXPIRY)
    assert left.as_json() == {"domaincount": 0, "domainweight": 0, "expiry": EXPIRY}
    assert await client.zones() == ZoneList((), 0, 0, EXPIRY)
    with pytest.raises(NotFound, match="domainNotDeleted"):
        await client.delete_zone("example.com")
    with pytest.raises(NotFound, match="noSuchDomain"):
        await client.zone("example.com")


async def test_build_zone_gives_the_zone_file(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    assert (await client.build_zone("example.com")).startswith("$ORIGIN example.com.\n; SOA ")
    assert sent(platform) == ("/dnsBuildZone.php", {"domain": "example.com"})


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ({"admin": "dns@example.com"}, {"admin": "dns@example.com"}),
        ({"ttl": 300}, {"ttl": "300"}),
        ({"ttl": "0", "admin": "a.b@c.example"}, {"ttl": "0", "admin": "a.b@c.example"}),
    ],
)
async def test_set_soa_sends_what_is_given(
    client: SecuritySpace, platform: SecuritySpaceStandIn, values: dict[str, Any], form: dict[str, str]
) -> None:
    await client.set_soa("example.com", **values)
    assert sent(platform) == ("/dnsSetSOA.php", {"domain": "example.com"} | form)
    soa = (await client.zone("example.com")).records[0].data
    assert str(soa["min"]) == form.get("ttl", "86400")
    assert soa["mail"] == form.get("admin", "hostmaster@example.com").replace("@", ".")


async def test_set_options_sends_what_is_given(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    options = {"masters": "192.0.2.1,192.0.2.2", "allowtransferacl": "any", "notify": "explicit", "alsonotify": ""}
    await client.set_options("example.com", **options)
    assert sent(platform) == ("/dnsSetOptions.php", {"domain": "example.com"} | options)
    assert types(await client.zone("example.com"))[-1] == "Options"
    with pytest.raises(InvalidCall, match="logicAlsoNotifyRequiresNotify"):
        await client.set_options("example.com", alsonotify="192.0.2.1")


# --- publishing -----------------------------------------------------------------------------------------------------


async def test_zone_goes_from_unvalidated_to_active(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    async def state() -> tuple[int, str]:
        zone = await client.zone("example.com")
        return zone.state, zone.state_text

    seen: list[tuple[str, list[StandInRecord]]] = []
    platform.on_publish.append(lambda domain, records: seen.append((domain, records)))
    await client.add_record("example.com", "TXT", {"name": "_check", "txtdata": "token=1"})
    assert await state() == (0, "Unvalidated")
    assert platform.texts("example.com") == set()
    assert await client.publish("example.com") == Publication(True, (), ())
    assert await state() == (2, "Waiting for distribution to name servers")
    assert platform.texts("example.com") == {("_check", "token=1")}
    assert [(domain, records[-1].type) for domain, records in seen] == [("example.com", "TXT")]
    platform.advance(300)
    assert await state() == (3, "Active")
    await client.delete_record((await client.zone("example.com")).records[-1].seq)
    assert await state() == (0, "Unvalidated")


async def test_publication_with_warnings_is_published(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    platform.warnings["example.com"] = ["no MX record", "ns4 is slow"]
    published = await client.publish("example.com")
    assert published == Publication(True, ("no MX record", "ns4 is slow"), ())
    assert published.as_json() == {"published": True, "warnings": ["no MX record", "ns4 is slow"], "errors": []}


@pytest.mark.parametrize("status", [0, -1])
async def test_publication_with_errors_is_none_whatever_its_status(
    client: SecuritySpace, platform: SecuritySpaceStandIn, status: int
) -> None:
    platform.failed_status = status
    platform.warnings["example.com"], platform.errors["example.com"] = ["no MX record"], ["CNAME and other data"]
    assert await client.publish("example.com") == Publication(False, ("no MX record",), ("CNAME and other data",))
    assert platform.published == {}
    assert (await client.zone("example.com")).state_text == "Configuration Errors"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status": 0}, Publication(True, (), ())),
        ({"status": "0", "warnings": [], "errors": []}, Publication(True, (), ())),
        ({"status": "0", "warnings": None, "errors": {}}, Publication(True, (), ())),
        ({"status": "0", "warnings": {"1": "a", "3": "b"}}, Publication(True, ("a", "b"), ())),
        ({"status": 1, "error": "unspecifiedError", "errors": ["c"]}, Publication(False, (), ("c",))),
        ({"status": 1, "errors": {"0": "c"}}, Publication(False, (), ("c",))),
    ],
)
def test_publication_is_read_from_whatever_form_it_has(answer: dict[str, Any], expected: Publication) -> None:
    assert read_publication(Node("securityspace", "POST /dnsPublish.php", answer)) == expected


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"status": 1}, "error: got nothing; expected a text"),
        ({"status": 0, "errors": "none"}, 'errors: got "none"; expected an object'),
        ({"status": 0, "errors": [7]}, "errors[0]: got 7; expected a text"),
        ({"status": 0, "warnings": {"a": []}}, "warnings.a: got a list of 0; expected a text"),
        ({"errors": ["c"]}, "status: got nothing; expected 0, or another number with an error"),
    ],
)
def test_publication_off_the_contract_names_the_field(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(OffContract) as off:
        read_publication(Node("securityspace", "POST /dnsPublish.php", answer))
    assert str(off.value) == f"securityspace POST /dnsPublish.php: {message}"


async def test_publication_of_what_is_not_there_is_refused(client: SecuritySpace) -> None:
    with pytest.raises(NotFound, match=r"POST /dnsPublish\.php: .*noSuchDomain"):
        await client.publish("example.org")


# --- records --------------------------------------------------------------------------------------------------------

ADDED: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("A", {"ip": "192.0.2.7"}, {"name": "", "data": "192.0.2.7"}),
    ("A", {"name": "*", "ip": "192.0.2.7"}, {"name": "*", "data": "192.0.2.7"}),
    ("AAAA", {"name": "www", "ip": "2001:db8::7"}, {"name": "www", "data": "2001:db8::7"}),
    ("CNAME", {"alias": "www", "name": "gw.example.net."}, {"name": "www", "data": "gw.example.net."}),
    ("MX", {"mxname": "mail.example.net.", "priority": "99"}, {"pri": 99, "host": "", "data": "mail.example.net."}),
    ("NS", {"subdomain": "dev", "nameserver": "ns.example.net."}, {"name": "dev", "data": "ns.example.net."}),
    (
        "CAA",
        {"flag": "255", "tag": "iodef", "value": "mailto:ca@example.com"},
        {"name": "", "flag": 255, "tag": "iodef", "caaval": "mailto:ca@example.com"},
    ),
    ("TXT", {"txtdata": 'v=spf1 "&+=;%é ü -all'}, {"name": "", "data": 'v=spf1 "&+=;%é ü -all'}),
    (
        "SRV",
        {"srvc": "_sip", "prot": "_tcp", "pri": "0", "weight": "65535", "port": "5060", "target": "sip"},
        {"srvc": "_sip", "prot": "_tcp", "host": "", "pri": 0, "weight": 65535, "port": 5060, "target": "sip"},
    ),
]


@pytest.mark.parametrize(("type", "fields", "data"), ADDED)
async def test_record_that_is_added_is_listed_until_it_is_deleted(
    client: SecuritySpace, platform: SecuritySpaceStandIn, type: str, fields: dict[str, str], data: dict[str, Any]
) -> None:
    await client.add_record("example.com", type, fields)
    blank = {name: "" for name, required in RECORD_FIELDS[type] if not required}
    assert sent(platform) == (f"/dnsAdd{type}.php", {"domain": "example.com"} | blank | fields)
    record = (await client.zone("example.com")).records[-1]
    shown = {name: str(value) for name, value in record.data.items()}
    assert (record.type, shown) == (type, {name: str(value) for name, value in data.items()})
    await client.delete_record(record.seq)
    assert sent(platform) == ("/dnsDeleteRecord.php", {"seq": record.seq})
    assert type in ("NS", "SOA") or type not in types(await client.zone("example.com"))
    with pytest.raises(NotFound, match="recordNotDeleted"):
        await client.delete_record(record.seq)


async def test_record_type_in_lower_case_is_the_same(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    await client.add_record("example.com", "txt", {"txtdata": "a"})
    assert sent(platform)[0] == "/dnsAddTXT.php"


async def test_record_of_the_wrong_zone_is_not_found(client: SecuritySpace) -> None:
    with pytest.raises(NotFound, match=r"POST /dnsAddSRV\.php: .*noSuchDomain"):
        await client.add_record("example.org", "SRV", ADDED[-1][1])


@pytest.mark.parametrize("records", [{}, [], None])
def test_zone_without_records_has_none(records: Any) -> None:
    answer = {"domain": "example.com", "state": "3", "stateText": "Active", "records": records}
    zone = read_records(Node("securityspace", "POST /dnsGetDomainRecords.php", answer))
    assert zone == ZoneRecords("example.com", 3, "Active", ())


def test_records_keep_the_data_as_it_came() -> None:
    records = {
        "7": {"seq": 7, "type": "MX", "data": {"pri": "10", "host": "", "data": "mail", "more": [1]}},
        "8": {"type": "WebForwarding", "data": []},
    }
    answer = {"domain": "example.com", "state": 1, "stateText": "Configuration Errors", "records": records}
    zone = read_records(Node("securityspace", "POST /dnsGetDomainRecords.php", answer))
    assert zone.records == (
        Record("7", "MX", {"pri": "10", "host": "", "data": "mail", "more": [1]}), Record("8", "WebForwarding", {}),
    )  # fmt: skip
    assert zone.as_json()["records"][1] == {"seq": "8", "type": "WebForwarding", "data": {}}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"type": "A", "data": {}}], "records[0].seq: got nothing; expected a text or a whole number"),
        ({"7": {"data": {}}}, "records.7.type: got nothing; expected a text"),
        ({"7": {"type": "A", "data": ["a"]}}, "records.7.data: got a list of 1; expected an object"),
        ({"7": {"type": "A"}}, "records.7.data: got nothing; expected an object"),
        ("none", 'records: got "none"; expected an object'),
    ],
)
def test_records_off_the_contract_name_the_field(records: Any, message: str) -> None:
    answer = {"domain": "example.com", "state": 1, "stateText": "", "records": records}
    with pytest.raises(OffContract) as off:
        read_records(Node("securityspace", "POST /dnsGetDomainRecords.php", answer))
    assert str(off.value) == f"securityspace POST /dnsGetDomainRecords.php: {message}"


def test_zone_without_seq_has_the_key_of_its_entry() -> None:
    zone = {"domain": "example.com", "weight": 2, "state": 3, "stateText": "Active"}
    answer = {"domaincount": 1, "domainweight": "2", "expiryjtime": 0, "domains": {"17": zone}}
    assert read_zones(Node("", "", answer)) == ZoneList((Zone("example.com", 17, 2, 3, "Active", zone),), 1, 2, None)
    with pytest.raises(OffContract, match=r"domains\.a\.seq: got nothing; expected a whole number"):
        read_zones(Node("", "", answer | {"domains": {"a": zone}}))


# --- refused before anything is sent --------------------------------------------------------------------------------

A, MX, CAA = {"ip": "192.0.2.7"}, {"mxname": "mail", "priority": "10"}, {"flag": "0", "tag": "issue", "value": "ca"}
SRV = ADDED[-1][1]
NUMBERS = ["-1", "65536", "", " 1", "1.0", "+1", "x", "\u0661"]


@pytest.mark.parametrize(
    ("type", "fields", "field"),
    [
        ("A", {"ip": "2001:db8::7"}, "ip"),
        ("A", {"ip": "192.0.2.256"}, "ip"),
        ("A", {"ip": ""}, "ip"),
        ("A", {}, "ip"),
        ("A", A | {"name": "a\nb"}, "name"),
        ("A", A | {"name": "a" * 5000}, "name"),
        ("A", A | {"ttl": "300"}, "'ttl'"),
        ("AAAA", {"ip": "192.0.2.7"}, "ip"),
        ("AAAA", {"ip": "fe80::1%eth0"}, "ip"),
        ("CNAME", {"alias": "www", "name": ""}, "name"),
        ("CNAME", {"alias": "", "name": "gw.example.net."}, "alias"),
        ("CNAME", {"name": "gw.example.net."}, "alias"),
        *(("MX", MX | {"priority": value}, "priority") for value in [*NUMBERS, "100"]),
        ("MX", MX | {"mxname": " "}, "mxname"),
        ("NS", {"subdomain": ""}, "nameserver"),
        *(("CAA", CAA | {"flag": value}, "flag") for value in [*NUMBERS, "256"]),
        ("CAA", CAA | {"tag": "issuer"}, "tag"),
        ("CAA", CAA | {"value": ""}, "value"),
        ("TXT", {"txtdata": ""}, "txtdata"),
        ("TXT", {"txtdata": "a\x00b"}, "txtdata"),
        ("TXT", {"txtdata": "\udcff"}, "txtdata"),
        *(("SRV", SRV | {field: value}, field) for value in NUMBERS for field in ("pri", "weight", "port")),
        ("SRV", {name: value for name, value in SRV.items() if name != "target"}, "target"),
    ],
)
async def test_record_with_a_wrong_value_is_refused_before_anything_is_sent(
    type: str, fields: dict[str, str], field: str
) -> None:
    async with SecuritySpace(KEY, USERID, PASSWORD, base_url="https://localhost:1/") as client:
        with pytest.raises(PostureUsage) as refused:
            await client.add_record("example.com", type, fields)
    assert str(refused.value).startswith(f"securityspace POST /dnsAdd{type}.php: {field}: ")
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("type", ["", "SOA", "PTR", "A.php?"])
async def test_record_of_an_unknown_type_is_refused_before_anything_is_sent(type: str) -> None:
    async with SecuritySpace(KEY, USERID, PASSWORD, base_url="https://localhost:1/") as client:
        with pytest.raises(PostureUsage, match="type: expected one of A, AAAA, CNAME, MX, NS, CAA, TXT, SRV"):
            await client.add_record("example.com", type, {})


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("set_soa", {}, "POST /dnsSetSOA.php: admin, ttl: expected at least one of them"),
        ("set_soa", {"ttl": -1}, "POST /dnsSetSOA.php: ttl: got '-1'; expected a whole number from 0 to 2147483647"),
        ("set_soa", {"ttl": 2**31}, "POST /dnsSetSOA.php: ttl: got '2147483648'"),
        ("set_soa", {"admin": "dns.example.com"}, "POST /dnsSetSOA.php: admin: got 'dns.example.com'; expected a mail"),
        ("set_soa", {"admin": "dns@localhost"}, "POST /dnsSetSOA.php: admin: "),
        (
            "set_options",
            {},
            "POST /dnsSetOptions.php: masters, allowtransferacl, notify, alsonotify: expected at least",
        ),
        ("set_options", {"notify": "a\tb"}, "POST /dnsSetOptions.php: notify: "),
        (
            "add_zone",
            {"domaintype": "primary"},
            "POST /dnsAddDomain.php: domaintype: got 'primary'; expected one of ma",
        ),
    ],
)
async def test_setting_with_a_wrong_value_is_refused_before_anything_is_sent(
    method: str, arguments: dict[str, Any], message: str
) -> None:
    async with SecuritySpace(KEY, USERID, PASSWORD, base_url="https://localhost:1/") as client:
        with pytest.raises(PostureUsage) as refused:
            await getattr(client, method)("example.com", **arguments)
    assert str(refused.value).startswith(f"securityspace {message}")


@pytest.mark.parametrize("method", ["zone", "add_zone", "delete_zone", "publish", "build_zone", "delete_record"])
@pytest.mark.parametrize("value", ["", " ", "a\nb", "x" * 5000])
async def test_name_that_is_none_is_refused_before_anything_is_sent(method: str, value: str) -> None:
    async with SecuritySpace(KEY, USERID, PASSWORD, base_url="https://localhost:1/") as client:
        with pytest.raises(PostureUsage, match=r"(domain|seq): got '.*; expected (a text|digits)"):
            await getattr(client, method)(value)


async def test_zone_without_a_file_is_off_the_contract(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    body = json.dumps({"status": "0", "zone": None}).encode()
    platform.script(Fault(status=200, body=body, path="/dnsBuildZone.php"))
    with pytest.raises(OffContract, match=r"POST /dnsBuildZone\.php: zone: got nothing; expected a text"):
        await client.build_zone("example.com")


@pytest.mark.parametrize("seq", ["7; touch /tmp/owned; #", "-7", "7.5", "", "٣", "7\n", "1" * 21, "$(id)"])
@pytest.mark.parametrize("is_key", [True, False])
def test_record_whose_number_is_no_number_is_off_the_contract(seq: str, is_key: bool) -> None:
    record: dict[str, Any] = {"type": "A", "data": {"name": "www", "data": "192.0.2.1"}}
    records: Any = {seq: record} if is_key else [record | {"seq": seq}]
    answer = Node("securityspace", "POST /dnsGetDomainRecords.php", {
        "domain": "example.com", "state": 3, "stateText": "ok", "records": records,
    })  # fmt: skip

    with pytest.raises(OffContract, match=r"seq: got .*; expected at most 20 digits"):
        read_records(answer)
