"""SecuritySpace's client against the stand-in: its audits, every documented error, and answers off the contract."""

from __future__ import annotations

import asyncio
import copy
import json
import ssl
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posture.standin.securityspace import (
    KEY,
    MONTH_S,
    PASSWORD,
    USERID,
    SecuritySpaceStandIn,
    authority,
    entry,
    write_ca,
)
from posture.standin.securityspace_document import DOCUMENTED
from posture.standin.server import Fault

from gateway.errors import (
    Conflict,
    CredentialsRefused,
    InvalidCall,
    NotFound,
    OffContract,
    PermissionRefused,
    PlatformError,
    PlatformFailed,
    PlatformRefused,
    PlatformUnreachable,
    PostureUsage,
    QuotaExhausted,
    RateLimited,
)
from gateway.posture import SecuritySpace
from gateway.posture.answer import Node
from gateway.posture.client.audit import read_audits, read_report
from gateway.posture.client.caller import MAY_HAVE_BEEN_TAKEN, Call
from gateway.posture.client.dns import read_account, read_publication, read_records, read_zones
from gateway.posture.client.manner import Manner
from gateway.posture.client.refusal import REFUSALS, succeeded
from gateway.posture.scan import Counts, Scan
from gateway.posture.watching import Called, Watcher

Use = Callable[[SecuritySpace], Awaitable[object]]

USES: dict[str, Use] = {
    "/auth.php": lambda client: client.audits(),
    "/saGetAuditList.php": lambda client: client.audits(),
    "/saGetAuditReport.php": lambda client: client.audit("1100005104"),
    "/saRunAudit.php": lambda client: client.run_audit("192.0.2.7", type="standard"),
    "/dnsGetDomainList.php": lambda client: client.zones(),
    "/dnsGetDomainRecords.php": lambda client: client.zone("example.com"),
    "/dnsAddDomain.php": lambda client: client.add_zone("example.net"),
    "/dnsDeleteDomain.php": lambda client: client.delete_zone("example.com"),
    "/dnsDeleteRecord.php": lambda client: client.delete_record("402"),
    "/dnsAddA.php": lambda client: client.add_record("example.com", "A", {"ip": "192.0.2.7"}),
    "/dnsAddAAAA.php": lambda client: client.add_record("example.com", "AAAA", {"ip": "2001:db8::7"}),
    "/dnsAddCNAME.php": lambda client: client.add_record(
        "example.com", "CNAME", {"alias": "www", "name": "gateway.example.net."}
    ),
    "/dnsAddMX.php": lambda client: client.add_record("example.com", "MX", {"mxname": "mail", "priority": "10"}),
    "/dnsAddNS.php": lambda client: client.add_record("example.com", "NS", {"nameserver": "ns.example.net."}),
    "/dnsAddCAA.php": lambda client: client.add_record(
        "example.com", "CAA", {"flag": "0", "tag": "issue", "value": "ca.example.net"}
    ),
    "/dnsAddTXT.php": lambda client: client.add_record("example.com", "TXT", {"txtdata": "v=spf1 -all"}),
    "/dnsAddSRV.php": lambda client: client.add_record(
        "example.com",
        "SRV",
        {"srvc": "_sip", "prot": "_tcp", "pri": "1", "weight": "2", "port": "5060", "target": "sip"},
    ),
    "/dnsSetSOA.php": lambda client: client.set_soa("example.com", ttl=300),
    "/dnsSetOptions.php": lambda client: client.set_options("example.com", notify="yes"),
    "/dnsPublish.php": lambda client: client.publish("example.com"),
    "/dnsBuildZone.php": lambda client: client.build_zone("example.com"),
}
"""Path -> the method that calls it, with arguments that the stand-in takes."""

READS = {path for path in USES if path.startswith(("/auth", "/saGet", "/dnsGet", "/dnsBuildZone"))}

KINDS: dict[type[PlatformRefused], str] = {
    CredentialsRefused: "invalid apikey format,invalid apikey - not in db,missing credentials,invalidLogin,"
    "sessionTimeout,sessionAuthenticationFailure",
    PermissionRefused: "IPPermissionsProblem,notEntitled",
    NotFound: "noSuchDomain,domainNotDeleted,recordNotDeleted,reportLoadFailure[3]",
    Conflict: "unableToAddDuplicate",
    QuotaExhausted: "noriskAlreadyRun,dnsEntitlementsOrCreditsMissing",
    PlatformFailed: "sysErrEntitlementLoad,tokenCreation,sysErrdoLogin,missingScanClientsRec,dbConnectionFailure,"
    "dnsDomainRetrievalFailure,unableToAddSystem,unspecifiedError",
}
"""Every other documented word is InvalidCall."""


def kind_of(word: str) -> type[PlatformRefused]:
    return next((kind for kind, words in KINDS.items() if word in words.split(",")), InvalidCall)


@pytest.fixture
def ca(tmp_path: Path) -> str:
    return write_ca(tmp_path)


@pytest.fixture
def platform() -> Iterator[SecuritySpaceStandIn]:
    with SecuritySpaceStandIn() as server:
        server.add_zone("example.com")
        server.add_audit("192.0.2.1", completed=True)
        yield server
        assert server.undocumented == []


@pytest.fixture
async def client(platform: SecuritySpaceStandIn, ca: str) -> AsyncIterator[SecuritySpace]:
    async with client_of(platform, ca) as securityspace:
        yield securityspace


def client_of(platform: SecuritySpaceStandIn, ca: str, **more: Any) -> SecuritySpace:
    manner = Manner(ca=ca, timeout_s=20.0, backoff_s=0.001)
    return SecuritySpace(KEY, USERID, PASSWORD, base_url=platform.url, manner=manner, **more)


def form(platform: SecuritySpaceStandIn, path: str) -> dict[str, str]:
    """What the last call of a path sent, without apikey and token."""
    body = next(call.body for call in reversed(platform.calls) if call.path == path)
    fields = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
    return {name: value for name, value in fields.items() if name not in ("apikey", "sessionToken")}


def ok(**fields: Any) -> Fault:
    """The next answer of any call but auth.php is status 0 with these."""
    return Fault(status=200, body=json.dumps({"status": "0", **fields}).encode())


# --- TLS alone ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://localhost:1/api/", "localhost", "", "ftp://localhost/"])
def test_client_without_tls_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(PostureUsage, match="base_url"):
        SecuritySpace(KEY, USERID, PASSWORD, base_url=url)


def test_client_with_no_call_at_a_time_is_refused() -> None:
    with pytest.raises(PostureUsage, match="concurrency: got 0"):
        SecuritySpace(KEY, USERID, PASSWORD, concurrency=0)


async def test_certificate_of_a_stranger_is_refused_at_once(platform: SecuritySpaceStandIn) -> None:
    async with SecuritySpace(KEY, USERID, PASSWORD, base_url=platform.url) as stranger:
        with pytest.raises(PlatformUnreachable, match=r"POST /auth\.php: its certificate is not accepted"):
            await stranger.audits()
    assert platform.calls == []


def test_platform_asked_without_tls_says_notssl() -> None:
    with SecuritySpaceStandIn(tls=False) as server:
        body = b"apikey=a&userid=b&password=c"
        with urllib.request.urlopen(f"{server.url}/auth.php", body, timeout=10) as answer:
            assert json.loads(answer.read()) == {"status": "-1", "error": "notSSL"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth.php?apikey=a", b""),
        ("/nothing.php", b"apikey=a"),
        ("/auth.php", None),
        ("/auth.php", b"no form"),
        ("/saGetAuditList.php", b"apikey=a&sessionToken=b&more=c"),
        ("/saGetAuditReport.php", b"apikey=a&sessionToken=b"),
        ("/saGetAuditReport.php", b"apikey=a&sessionToken=b&scanuid=1&scanuid=2"),
    ],
)
def test_platform_refuses_and_notes_what_its_document_does_not_have(path: str, body: bytes | None) -> None:
    trust = ssl.create_default_context(cadata=authority().cert_pem.bytes().decode())
    with SecuritySpaceStandIn() as server:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(server.url + path, body, timeout=10, context=trust)
        refused.value.close()
        assert len(server.undocumented) == 1


# --- audits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("textual", "listed"), [(True, False), (False, False), (True, True), (False, True)])
async def test_audit_goes_from_queued_to_running_to_completed(ca: str, textual: bool, listed: bool) -> None:
    with SecuritySpaceStandIn(textual=textual, listed=listed) as platform:
        async with client_of(platform, ca) as client:
            assert await client.audits() == []
            await client.run_audit("192.0.2.7", type="standard")
            audits = [(await client.audits())[0] for _ in range(3)]
            result = await client.audit("1100005104")
        assert platform.undocumented == []
    assert [audit.status for audit in audits] == ["queued", "running", "completed"]
    raw = audits[2].raw
    assert audits[2] == Scan(
        id="1100005104", provider="securityspace", target="192.0.2.7", type="standard", status="completed",
        created_at="2025-12-17T10:30:00Z", started_at="2025-12-17T10:31:00Z", completed_at="2025-12-17T11:00:00Z",
        raw=raw,
    )  # fmt: skip
    assert (raw["folder"], raw["time_end"]) == ("Inbox", "1765969200")
    assert result.scan == Scan(
        id="1100005104", provider="securityspace", target="192.0.2.7", type="standard", status="completed",
        created_at="2025-12-17T10:30:00Z", started_at="2025-12-17T10:31:00Z", completed_at="2025-12-17T11:00:00Z",
        counts=Counts(critical=0, high=1, medium=1, low=1, info=1), raw=result.scan.raw,
    )  # fmt: skip
    assert set(result.scan.raw) == {"basic", "ports", "risk", "riskcatgrid"}
    assert [
        (one.id, one.severity, one.asset, one.port, one.cve, one.cvss, one.remediation) for one in result.findings
    ] == [
        ("1100005104_58", "high", "192.0.2.7", 443, ("CVE-2014-0160", "CVE-2014-0346"), None, None),
        ("1100005104_59", "medium", "192.0.2.7", 443, ("CVE-2011-3389",), None, None),
        ("1100005104_60", "low", "192.0.2.7", None, (), None, None),
        ("1100005104_61", "info", "192.0.2.7", None, (), None, None),
    ]
    first = result.findings[0]
    assert (first.title, first.description, first.scan, first.provider, first.raw["shortid"]) == (
        "OpenSSL reads beyond its buffer", "What the test found.", "1100005104", "securityspace", "58",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "status", "completed_at"),
    [
        ("", "", "queued", None),
        ("0", "", "queued", None),
        (0, 0, "queued", None),
        (None, None, "queued", None),
        ("1765967460", "0", "running", None),
        ("2025-12-17 10:31:00", "", "running", None),
        ("2025-12-17 10:31:00", "2025-12-17 11:00:00", "completed", "2025-12-17T11:00:00Z"),
        (1765967460, 1765969200, "completed", "2025-12-17T11:00:00Z"),
        ("", "2025-12-17T12:00:00+01:00", "completed", "2025-12-17T11:00:00Z"),
    ],
)
def test_audit_status_is_told_by_its_times(start: Any, end: Any, status: str, completed_at: str | None) -> None:
    entry = {"scanuid": 7, "hostip": "192.0.2.7", "type": "", "time_queued": "0", "time_start": start, "time_end": end}
    audit = read_audits(node({"status": 0, "scancount": 1, "scans": [entry]}))[0]
    assert (audit.id, audit.type, audit.created_at, audit.status, audit.completed_at) == (
        "7", None, None, status, completed_at,
    )  # fmt: skip


@pytest.mark.parametrize("scans", [{}, [], None])
def test_audit_list_of_nothing_is_empty(scans: Any) -> None:
    assert read_audits(node({"scans": scans})) == []


@pytest.mark.parametrize(
    ("port", "expected"),
    [("443", 443), (443, 443), ("443/tcp", 443), ("https (443/tcp)", None), ("general/tcp", None), ("0", None),
     (0, None), ("", None), (None, None), ("0080/tcp", 80), ("65535", 65535)],
)  # fmt: skip
def test_finding_port_is_its_leading_digits(port: Any, expected: int | None) -> None:
    assert read_report("7", report(port=port)).findings[0].port == expected


@pytest.mark.parametrize(
    ("cve", "expected"),
    [("", ()), (None, ()), (" , ", ()), ("cve-2014-0160", ("CVE-2014-0160",)),
     ("CVE-2014-0160,CVE-2014-0346 ,CVE-2014-0160", ("CVE-2014-0160", "CVE-2014-0346"))],
)  # fmt: skip
def test_finding_cves_are_split_at_commas(cve: Any, expected: tuple[str, ...]) -> None:
    assert read_report("7", report(cve=cve)).findings[0].cve == expected


def test_finding_without_entrykey_has_the_key_of_its_entry() -> None:
    assert read_report("7", report(entrykey=None)).findings[0].id == "7_58"


@pytest.mark.parametrize("entries", [{}, [], None, {"high": []}, {"high": {}, "low": None}])
def test_report_without_entries_has_no_findings(entries: Any) -> None:
    answer = report()
    answer.raw["scaninfo"] |= {"entries": entries, "risk": []}
    result = read_report("7", answer)
    assert (result.findings, result.scan.counts) == ((), Counts())


def test_report_with_a_list_of_entries_needs_their_keys() -> None:
    answer = report()
    answer.raw["scaninfo"]["entries"] = {"low": [entry(7, 1, "low", "192.0.2.7"), {"title": "", "ip": ""}]}
    with pytest.raises(OffContract, match=r"scaninfo\.entries\.low\[1\]\.entrykey: got nothing; expected a text"):
        read_report("7", answer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": "65536"}, 'scaninfo.entries.high.7_58.port: got "65536"; expected a port of at most 65535'),
        ({"title": None}, "scaninfo.entries.high.7_58.title: got nothing; expected a text"),
        ({"ip": 7}, "scaninfo.entries.high.7_58.ip: got 7; expected a text"),
        ({"cve": ["CVE-2014-0160"]}, "scaninfo.entries.high.7_58.cve: got a list of 1; expected a text"),
    ],
)
def test_finding_off_the_contract_names_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OffContract) as off:
        read_report("7", report(**change))
    assert str(off.value) == f"securityspace POST /saGetAuditReport.php: {message}"


def test_report_with_an_unknown_risk_group_is_off_the_contract() -> None:
    answer = report()
    answer.raw["scaninfo"]["entries"]["severe"] = {"7_59": entry(7, 59, "severe", "192.0.2.7")}
    with pytest.raises(OffContract, match=r"scaninfo\.entries\.severe: got an object of 1; expected risk groups"):
        read_report("7", answer)


def test_report_with_the_same_entrykey_twice_is_off_the_contract() -> None:
    answer = report()
    answer.raw["scaninfo"]["entries"]["low"] = {"7_59": entry(7, 58, "low", "192.0.2.7")}
    with pytest.raises(OffContract, match=r"low\.7_59\.entrykey: got \"7_58\"; expected a key that no other entry has"):
        read_report("7", answer)


async def test_audit_document_is_the_answer_as_it_came(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    document = await client.audit_document("1100005104")
    assert document["status"] == "0"
    assert document["scaninfo"]["entries"]["high"]["1100005104_58"]["static_description"] == "What the test looks for."
    assert form(platform, "/saGetAuditReport.php") == {"scanuid": "1100005104"}


@pytest.mark.parametrize("scanuid", ["1", "nonsense"])
async def test_audit_without_a_report_is_not_found(client: SecuritySpace, scanuid: str) -> None:
    with pytest.raises(NotFound, match=r"POST /saGetAuditReport\.php: .*reportLoadFailure\[1\]"):
        await client.audit(scanuid)


async def test_run_audit_sends_what_is_asked_for(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    await client.run_audit(None, type="basic")
    assert form(platform, "/saRunAudit.php") == {"audittype": "basic"}
    await client.run_audit("192.168.1.*,10.1.1-2.32-63", type="advanced", exclude_dos=True, notify=True)
    assert form(platform, "/saRunAudit.php") == {
        "ipaddr": "192.168.1.*,10.1.1-2.32-63", "audittype": "advanced", "excludedos": "1", "notification": "OCMP",
    }  # fmt: skip
    assert [(one.target, one.type) for one in (await client.audits())[1:]] == [
        ("127.0.0.1", "basic"), ("192.168.1.*", "advanced"), ("10.1.1-2.32-63", "advanced"),
    ]  # fmt: skip


async def test_norisk_audit_runs_once_for_each_address_a_month(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    await client.run_audit("192.0.2.7", type="norisk")
    await client.run_audit("192.0.2.8", type="norisk")
    with pytest.raises(QuotaExhausted, match="noriskAlreadyRun"):
        await client.run_audit("192.0.2.7", type="norisk")
    platform.advance(MONTH_S)
    await client.run_audit("192.0.2.7", type="norisk")


async def test_audit_of_what_the_account_may_not_audit_is_refused(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    platform.auditable = lambda address: address == "192.0.2.7"
    platform.subscribed = {"standard"}
    with pytest.raises(PermissionRefused, match="IPPermissionsProblem"):
        await client.run_audit("192.0.2.7,192.0.2.8", type="standard")
    with pytest.raises(PermissionRefused, match="notEntitled"):
        await client.run_audit("192.0.2.7", type="advanced")
    assert len(platform.audits) == 1  # the one that the fixture made


@pytest.mark.parametrize(
    "ipaddr",
    ["", " ", "192.0.2", "192.0.2.7.1", "192.0.2.256", "192.0.2.9-3", "192.0.2.07", "192.0.2.1*", "*.*.*", "192.0.2.-",
     "192.0.2.7,", "192.0.2.7, 192.0.2.8", "www.example.com", "192.0.2.7\n", "fe80::1%eth0", "\u0661.2.3.4",
     "1" * 5000],
)  # fmt: skip
async def test_audit_of_no_address_is_refused_before_anything_is_sent(
    client: SecuritySpace, platform: SecuritySpaceStandIn, ipaddr: str
) -> None:
    with pytest.raises(PostureUsage, match=r"^securityspace POST /saRunAudit\.php: ipaddr: got .*; expected addresses"):
        await client.run_audit(ipaddr, type="standard")
    with pytest.raises(PostureUsage, match="ipaddr"):
        client.check_audit(ipaddr, type="standard")
    assert platform.calls == []


@pytest.mark.parametrize("ipaddr", ["*.*.*.*", "0.0.0.0-255", "192.0.2.7,2001:db8::7", "10.1-2.*.32-63", None])
def test_audit_of_addresses_ranges_and_wildcards_is_accepted(ipaddr: str | None) -> None:
    SecuritySpace(KEY, USERID, PASSWORD).check_audit(ipaddr, type="norisk")


async def test_audit_of_an_unknown_type_is_refused_before_anything_is_sent(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    with pytest.raises(PostureUsage) as refused:
        await client.run_audit("192.0.2.7", type="nmap")
    assert str(refused.value) == (
        "securityspace POST /saRunAudit.php: audittype: got 'nmap'; expected one of"
        " advanced, standard, norisk, desktop, basic"
    )
    with pytest.raises(PostureUsage, match="scanuid: got ''; expected a text"):
        await client.audit("")
    assert platform.calls == []


# --- errors ---------------------------------------------------------------------------------------------------------


def test_every_documented_call_is_used() -> None:
    assert USES.keys() == DOCUMENTED.keys()
    assert len(USES) == 21


def test_every_documented_error_has_its_exception() -> None:
    documented = {word.partition("[")[0] for call in DOCUMENTED.values() for word in call.errors}
    assert documented == REFUSALS.keys()


@pytest.mark.parametrize("path", sorted(USES))
async def test_every_documented_error_of_a_call_is_its_exception(
    platform: SecuritySpaceStandIn, ca: str, path: str
) -> None:
    for word in DOCUMENTED[path].errors:
        platform.refuse(path, *[word] * (2 if word.startswith("session") else 1))
        async with client_of(platform, ca) as client:
            with pytest.raises(PlatformRefused) as refused:
                await USES[path](client)
        error = refused.value
        assert (type(error), error.code, error.call) == (kind_of(word), word, f"POST {path}")
        assert str(error).startswith(f"securityspace POST {path}: ") and error.message


async def test_undocumented_error_is_an_invalid_call_with_the_word_on_one_line(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    await client.audits()
    platform.script(Fault(status=200, body=json.dumps({"status": "-7", "error": "new\nword " + "x" * 999}).encode()))
    with pytest.raises(InvalidCall) as refused:
        await client.zones()
    assert refused.value.code == ("new word " + "x" * 999)[:100]


@pytest.mark.parametrize(
    ("status", "body", "kind", "calls"),
    [
        (400, b"", InvalidCall, 1),
        (401, b"", CredentialsRefused, 1),
        (403, b"<html>no</html>", PermissionRefused, 1),
        (404, b'{"status": "-1", "error": "dbConnectionFailure"}', NotFound, 1),
        (400, b'{"status": "-1", "error": "noSuchDomain"}', NotFound, 1),
        (302, b'{"status": "-1", "error": "sessionTimeout"}', InvalidCall, 1),
        (500, b'{"status": "-1", "error": "noSuchDomain"}', PlatformFailed, 4),
        (503, b"", PlatformFailed, 4),
        (429, b'{"status": "-1", "error": "notEntitled"}', RateLimited, 4),
    ],
)
async def test_http_error_of_a_reading_call(
    client: SecuritySpace, platform: SecuritySpaceStandIn, status: int, body: bytes, kind: type[PlatformRefused],
    calls: int,
) -> None:  # fmt: skip
    platform.script(*[Fault(status=status, body=body, path="/dnsGetDomainList.php")] * 4)
    with pytest.raises(PlatformRefused) as refused:
        await client.zones()
    assert (type(refused.value), refused.value.status) == (kind, status)
    assert platform.paths() == ["POST /auth.php"] + ["POST /dnsGetDomainList.php"] * calls


async def test_http_error_with_a_word_of_the_session_renews_it(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    word = b'{"status": "-1", "error": "sessionTimeout"}'
    platform.script(Fault(status=401, body=word, path="/dnsPublish.php"))
    assert (await client.publish("example.com")).published
    assert platform.paths() == ["POST /auth.php", "POST /dnsPublish.php", "POST /auth.php", "POST /dnsPublish.php"]


@pytest.mark.parametrize("path", sorted(USES))
async def test_lost_connection_is_repeated_for_calls_that_read_alone(
    client: SecuritySpace, platform: SecuritySpaceStandIn, path: str
) -> None:
    platform.script(Fault(drop=True, path=path))
    if path in READS:
        await USES[path](client)
        assert platform.paths().count(f"POST {path}") == 2
    else:
        with pytest.raises(PlatformUnreachable, match=MAY_HAVE_BEEN_TAKEN):
            await USES[path](client)
        assert platform.paths() == ["POST /auth.php", f"POST {path}"]


async def test_watcher_sees_each_call(platform: SecuritySpaceStandIn, ca: str) -> None:
    seen: list[Called] = []
    async with client_of(platform, ca, watcher=Watcher(on_call=seen.append)) as client:
        await client.zones()
    assert [(one.provider, one.method, one.path, one.status) for one in seen] == [
        ("securityspace", "POST", "/auth.php", 200), ("securityspace", "POST", "/dnsGetDomainList.php", 200),
    ]  # fmt: skip


# --- off the contract -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the answer: got 0 bytes of application/json; expected JSON"),
        (b"<html>", "the answer: got 6 bytes of application/json; expected JSON"),
        (b"[]", "the answer: got a list of 0; expected an object"),
        (b"{}", "status: got nothing; expected 0, or another number with an error"),
        (b'{"status": true}', "status: got true; expected 0, or another number with an error"),
        (b'{"status": [0]}', "status: got a list of 1; expected 0, or another number with an error"),
        (b'{"status": "1"}', "error: got nothing; expected a text"),
        (b'{"status": 1, "error": {}}', "error: got an object of 0; expected a text"),
        (b'{"status": 1, "error": " "}', 'error: got " "; expected a word that says why'),
        (b'{"status": "0", "domains": 7}', "domains: got 7; expected an object"),
        (b'{"status": "0", "domains": {"7": 7}}', "domains.7: got 7; expected an object"),
        (b'{"status": "0"}', "domaincount: got nothing; expected a whole number"),
        (b'{"status": "0", "domaincount": "many"}', 'domaincount: got "many"; expected a whole number'),
    ],
)
async def test_answer_off_the_contract_names_call_field_and_what_came(
    client: SecuritySpace, platform: SecuritySpaceStandIn, body: bytes, message: str
) -> None:
    await client.audits()
    platform.script(Fault(status=200, body=body))
    with pytest.raises(OffContract) as off:
        await client.zones()
    assert str(off.value) == f"securityspace POST /dnsGetDomainList.php: {message}"


READERS: dict[str, Callable[[Node], object]] = {
    "/saGetAuditList.php": lambda answer: read_audits(succeeded(answer)),
    "/saGetAuditReport.php": lambda answer: read_report("1100005104", succeeded(answer)),
    "/dnsGetDomainList.php": lambda answer: read_zones(succeeded(answer)),
    "/dnsGetDomainRecords.php": lambda answer: read_records(succeeded(answer)),
    "/dnsDeleteDomain.php": lambda answer: read_account(succeeded(answer)),
    "/dnsPublish.php": read_publication,
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the stand-in answers to each call that says more than its status."""
    ca = write_ca(tmp_path_factory.mktemp("ca"))
    with SecuritySpaceStandIn(textual=False) as server:
        server.add_zone("example.com")
        server.add_audit("192.0.2.1", completed=True)
        server.warnings["example.com"] = ["no MX record"]
        return asyncio.run(_answers(server, ca))


async def _answers(server: SecuritySpaceStandIn, ca: str) -> dict[str, Any]:
    fields: dict[str, dict[str, str]] = {path: {} for path in ("/saGetAuditList.php", "/dnsGetDomainList.php")}
    fields["/saGetAuditReport.php"] = {"scanuid": "1100005104"}
    found = {}
    async with client_of(server, ca) as client:
        await client.audits()
        secret = {"apikey": KEY, "sessionToken": next(iter(server.tokens))}
        for path in sorted(READERS, key=lambda path: path == "/dnsDeleteDomain.php"):
            form = secret | fields.get(path, {"domain": "example.com"})
            found[path] = (await client.caller.json(Call("POST", path, is_read=True, form=form))).raw
    return found


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["0", "-1", "443"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_answer_with_anything_in_any_place_is_read_or_a_platform_error(answers: dict[str, Any], data: Any) -> None:
    path = data.draw(st.sampled_from(sorted(READERS)))
    answer = copy.deepcopy(answers[path])
    for _ in range(data.draw(st.integers(1, 3))):
        answer = mutated(answer, data)
    try:
        READERS[path](Node("securityspace", f"POST {path}", orjson.loads(json.dumps(answer))))
    except PlatformError as error:
        assert str(error).startswith(f"securityspace POST {path}: ")


def mutated(value: Any, data: Any) -> Any:
    """The value with something in it replaced by any JSON, or left out."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or data.draw(st.integers(0, 9)) == 0:
        return data.draw(JSON)
    key = data.draw(st.sampled_from(keys))
    if data.draw(st.booleans()):
        value[key] = mutated(value[key], data)
    else:
        del value[key]
    return value


# --- secrets --------------------------------------------------------------------------------------------------------


async def test_secrets_that_the_platform_echoes_are_hidden(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    await client.zones()
    secrets = [KEY, PASSWORD, next(iter(platform.tokens))]
    echo = {"domain": " ".join(secrets), "state": 0, "stateText": secrets[2], "records": {secrets[0]: {}}}
    platform.script(ok(**echo))
    with pytest.raises(OffContract) as off:
        await client.zone("example.com")
    assert "records.***" in str(off.value)
    platform.script(ok(**echo | {"records": []}))
    zone = await client.zone("example.com")
    assert (zone.domain, zone.state_text) == ("*** *** ***", "***")
    for secret in secrets:
        platform.script(Fault(status=200, body=json.dumps({"status": 1, "error": f"no {secret}!"}).encode()))
        with pytest.raises(InvalidCall) as refused:
            await client.zone("example.com")
        assert refused.value.code == "no ***!"
        platform.script(Fault(status=403, body=secret.encode()))
        with pytest.raises(PermissionRefused) as forbidden:
            await client.zone("example.com")
        assert secret not in str(forbidden.value)


async def test_secret_that_was_typed_as_a_value_is_hidden(client: SecuritySpace) -> None:
    with pytest.raises(PostureUsage, match=r"seq: got '\*\*\*'; expected digits"):
        await client.delete_record(PASSWORD)


# --- answers made by hand -------------------------------------------------------------------------------------------


def node(raw: Any) -> Node:
    return Node("securityspace", "POST /saGetAuditList.php", raw)


def report(**change: Any) -> Node:
    """A report with one entry, changed."""
    found = entry(7, 58, "high", "192.0.2.7", **change)
    raw = {
        "status": "0",
        "scaninfo": {
            "basic": {"hostip": "192.0.2.7", "scantype": "standard", "sjtime": 1765967460, "ejtime": "1765969200"},
            "entries": {"high": {"7_58": found}},
            "risk": {"high": "1"},
        },
    }
    return Node("securityspace", "POST /saGetAuditReport.php", raw)


def test_report_of_another_audit_is_off_the_contract() -> None:
    info = {"basic": {"scanuid": 999, "hostip": "192.0.2.1", "sjtime": 1, "qjtime": 1, "ejtime": "2", "scantype": ""}}
    answer = Node("securityspace", "POST /saGetAuditReport.php", {"status": 0, "scaninfo": info})
    with pytest.raises(OffContract, match=r"scaninfo\.basic\.scanuid: got 999; expected 106, which was asked for"):
        read_report("106", answer)
