"""CyperSecurity's client against the stand-in: every call, every error, pages, reports, answers off the contract."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posture.standin.cypersecurity import KEY, PDF, VULNERABILITIES, CyperSecurityStandIn
from posture.standin.server import Fault

from gateway.errors import (
    CredentialsRefused,
    InvalidCall,
    NotFound,
    OffContract,
    PlatformError,
    PlatformFailed,
    PlatformRefused,
    PlatformUnreachable,
    PostureUsage,
    QuotaExhausted,
    RateLimited,
    WaitExpired,
)
from gateway.posture.answer import Node
from gateway.posture.client.cypersecurity import EVENTS, CyperSecurity, Report, ScanPage
from gateway.posture.client.manner import Manner
from gateway.posture.client.vulnerability import read_findings, read_scan
from gateway.posture.finding import Finding
from gateway.posture.scan import Counts, Scan, ScanResult
from gateway.posture.watching import Clock, Watcher

NOW_S = 1_735_646_000.0
HOOK = "https://gateway.example/webhooks/cypersecurity"


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time_s = NOW_S
        self.slept: list[float] = []

    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.time_s, sleep=self._sleep, random=lambda: 1.0)

    async def _sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        self.time_s += delay_s


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def platform(time: FakeTime) -> Iterator[CyperSecurityStandIn]:
    with CyperSecurityStandIn(now_s=lambda: time.time_s) as server:
        yield server
        assert server.undocumented == []


@pytest.fixture
async def cyper(platform: CyperSecurityStandIn, time: FakeTime) -> AsyncIterator[CyperSecurity]:
    async with CyperSecurity(KEY, base_url=platform.url, clock=time.clock()) as client:
        yield client


@contextlib.asynccontextmanager
async def answering(body: bytes, status: int = 200) -> AsyncIterator[CyperSecurity]:
    """A client whose next call, whatever it is, gets this body."""
    with CyperSecurityStandIn() as server:
        server.script(Fault(status=status, body=body))
        async with CyperSecurity(KEY, base_url=server.url) as client:
            yield client


async def completed(cyper: CyperSecurity, platform: CyperSecurityStandIn) -> str:
    scan = await cyper.start_scan("example.com")
    assert scan.id is not None
    platform.finish(scan.id)
    return scan.id


# --- scans ------------------------------------------------------------------------------------------------------------

DOCUMENTED = {
    "id": "scan_123abc", "target": "example.com", "type": "nmap", "status": "completed",
    "created_at": "2024-12-31T10:00:00Z", "completed_at": "2024-12-31T10:05:23Z", "findings_count": 5,
    "critical_count": 1,
}  # fmt: skip


async def test_scan_page_of_the_document_is_read_with_its_raw_object(
    cyper: CyperSecurity, platform: CyperSecurityStandIn
) -> None:
    told = {**DOCUMENTED, "owner": {"new": [1, None]}}
    platform.listed = [told]
    scan = Scan(
        "scan_123abc", "cypersecurity", "example.com", "nmap", "completed", created_at="2024-12-31T10:00:00Z",
        completed_at="2024-12-31T10:05:23Z", raw=told,
    )  # fmt: skip
    assert await cyper.scan_page() == ScanPage((scan,), 1)
    assert platform.calls[0].query == {"limit": "20", "offset": "0"}
    assert platform.calls[0].headers["x-api-key"] == KEY


@pytest.mark.parametrize(
    ("status", "found", "critical", "counts"),
    [
        ("completed", 5, 1, None),
        ("completed", 0, 0, Counts()),
        ("completed", 0, None, Counts()),
        ("completed", 2, 2, Counts(critical=2)),
        ("completed", None, 1, None),
        ("completed", None, None, None),
        ("running", 0, 0, None),
    ],
)
async def test_scan_counts_are_told_only_where_the_platform_gives_enough(
    cyper: CyperSecurity,
    platform: CyperSecurityStandIn,
    status: str,
    found: int | None,
    critical: int | None,
    counts: Counts | None,
) -> None:
    platform.listed = [{**DOCUMENTED, "status": status, "findings_count": found, "critical_count": critical}]
    assert (await cyper.scan_page()).scans[0].counts == counts


@pytest.mark.parametrize(
    ("word", "status"),
    [("pending", "queued"), ("running", "running"), ("completed", "completed"), ("failed", "failed"),
     ("paused", "running")],
)  # fmt: skip
async def test_scan_status_is_in_our_words(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, word: str, status: str
) -> None:
    platform.listed = [{**DOCUMENTED, "status": word}]
    assert (await cyper.scan_page()).scans[0].status == status


async def test_scans_over_250_come_in_three_pages_of_100(
    cyper: CyperSecurity, platform: CyperSecurityStandIn
) -> None:
    platform.listed = [{**DOCUMENTED, "id": f"scan_{number}"} for number in range(250)]
    assert [scan.id async for scan in cyper.scans()] == [f"scan_{number}" for number in range(250)]
    assert [call.query for call in platform.calls] == [
        {"limit": "100", "offset": str(offset)} for offset in (0, 100, 200)
    ]


@pytest.mark.parametrize(("limit", "pages"), [(0, 0), (1, 1), (100, 1), (101, 2), (1000, 3)])
async def test_scans_with_a_limit_ask_for_no_more_pages_than_it_takes(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, limit: int, pages: int
) -> None:
    platform.listed = [{**DOCUMENTED, "id": f"scan_{number}"} for number in range(250)]
    assert len([scan async for scan in cyper.scans(limit=limit)]) == min(limit, 250)
    assert len(platform.calls) == pages


@pytest.mark.parametrize("word", ["queued", "pending"])
async def test_scans_filter_is_sent_in_the_words_of_the_platform(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, word: str
) -> None:
    platform.listed = [DOCUMENTED, {**DOCUMENTED, "id": "scan_2", "status": "pending"}]
    assert [scan.id async for scan in cyper.scans(status=word)] == ["scan_2"]
    assert platform.calls[0].query["status"] == "pending"


def page_of(numbers: range, total: int) -> Fault:
    scans = [{**DOCUMENTED, "id": f"scan_{number}"} for number in numbers]
    return Fault(status=200, body=json.dumps({"scans": scans, "total": total}).encode())


@pytest.mark.parametrize(
    ("pages", "count"),
    [
        ([page_of(range(100), 1000), page_of(range(0), 1000)], 100),  # a total that is not reached
        ([page_of(range(150), 150)], 150),  # more than was asked for
        ([page_of(range(60), 120), page_of(range(60, 120), 120)], 120),  # smaller pages than were asked for
        ([page_of(range(100), 101), page_of(range(99, 100), 102), page_of(range(100, 101), 102)], 101),  # one came in
        ([page_of(range(5), 0)], 5),
    ],
)
async def test_scans_of_pages_that_do_not_fit_their_total_come_once_each(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, pages: list[Fault], count: int
) -> None:
    platform.script(*pages)
    assert [scan.id async for scan in cyper.scans()] == [f"scan_{number}" for number in range(count)]
    assert len(platform.calls) == len(pages)


async def test_scans_of_a_platform_that_repeats_its_page_end_with_an_error(
    cyper: CyperSecurity, platform: CyperSecurityStandIn
) -> None:
    platform.script(*[page_of(range(100), 10**9)] * 5)
    with pytest.raises(OffContract, match="cypersecurity GET /scans: scans: got the same scans again"):
        async for _ in cyper.scans():
            pass
    assert len(platform.calls) == 3


async def test_start_scan_sends_target_type_and_options(
    cyper: CyperSecurity, platform: CyperSecurityStandIn
) -> None:
    options = {"ports": "1-1000", "service_detection": True, "depth": 3}
    scan = await cyper.start_scan("scanme.nmap.org", type="zap", options=options)
    assert platform.calls[0].json == {"target": "scanme.nmap.org", "type": "zap", "options": options}
    assert (scan.id, scan.target, scan.type, scan.status) == ("scan_0001", "scanme.nmap.org", "zap", "queued")
    assert scan.created_at == "2024-12-31T12:00:00Z"


async def test_start_scan_without_options_sends_none(cyper: CyperSecurity, platform: CyperSecurityStandIn) -> None:
    await cyper.start_scan("example.com")
    assert platform.calls[0].json == {"target": "example.com", "type": "nmap"}


async def test_scan_goes_from_queued_to_completed_with_findings(
    cyper: CyperSecurity, platform: CyperSecurityStandIn
) -> None:
    platform.polls = 3
    scan_id = (await cyper.start_scan("example.com")).id
    results = [await cyper.scan(str(scan_id)) for _ in range(3)]
    assert [result.scan.status for result in results] == ["queued", "running", "completed"]
    assert [len(result.findings) for result in results] == [0, 0, 2]
    assert results[2].findings[0] == Finding(
        results[2].findings[0].id, "cypersecurity", "scan_0001", "medium", "Outdated Apache Version", "",
        "example.com", None, ("CVE-2021-1234",), 5.3, None, VULNERABILITIES[0],
    )  # fmt: skip


async def test_scan_that_failed_has_no_findings(cyper: CyperSecurity, platform: CyperSecurityStandIn) -> None:
    scan = await cyper.start_scan("example.com")
    platform.finish(str(scan.id), "failed")
    result = await cyper.scan(str(scan.id))
    assert (result.scan.status, result.findings) == ("failed", ())


async def test_scan_id_is_one_segment_of_the_path(cyper: CyperSecurity, platform: CyperSecurityStandIn) -> None:
    with pytest.raises(NotFound):
        await cyper.scan("../ä?c#%2F")
    assert platform.paths() == ["GET /scans/..%2F%C3%A4%3Fc%23%252F"]


# --- findings ---------------------------------------------------------------------------------------------------------


def details(*vulnerabilities: Any, **fields: Any) -> dict[str, Any]:
    results = {"services": [], "vulnerabilities": list(vulnerabilities)}
    scan = {"id": "scan_1", "target": "example.com", "type": "nmap", "status": "completed"}
    return {**scan, "results": results, **fields}


async def read(*vulnerabilities: Any, **fields: Any) -> ScanResult:
    async with answering(json.dumps(details(*vulnerabilities, **fields)).encode()) as client:
        return await client.scan("scan_1")


@pytest.mark.parametrize(
    ("word", "score", "severity"),
    [
        ("critical", None, "critical"),
        ("HIGH", 1.0, "high"),
        (" Medium ", None, "medium"),
        ("low", None, "low"),
        ("info", None, "info"),
        ("Informational", 9.9, "info"),
        ("None", None, "info"),
        (None, 9, "critical"),
        (None, 8.9, "high"),
        (None, 7.0, "high"),
        ("", 4.0, "medium"),
        (None, 0.1, "low"),
        (None, 0, "info"),
        ("severe", 5.0, "medium"),
    ],
)
async def test_finding_severity_is_the_word_else_that_of_the_score(
    word: str | None, score: float | None, severity: str
) -> None:
    result = await read({"title": "t", "severity": word, "cvss_score": score})
    assert result.findings[0].severity == severity


@pytest.mark.parametrize("severity", [{}, {"severity": None}, {"severity": "severe"}, {"severity": 5}])
async def test_finding_without_a_known_severity_and_score_is_off_the_contract(severity: dict[str, Any]) -> None:
    with pytest.raises(OffContract) as raised:
        await read({"title": "ok", "severity": "low"}, {"title": "t", **severity})
    assert raised.value.field == "results.vulnerabilities[1].severity"


@pytest.mark.parametrize(
    ("port", "read_as"),
    [(443, 443), ("443", 443), ("443/tcp", 443), (0, None), (None, None), (70000, None), ("700000", None),
     ("tcp", None), (True, None), (4.5, None), (-1, None), ([80], None)],
)  # fmt: skip
async def test_finding_port_is_a_number_if_it_is_one(port: Any, read_as: int | None) -> None:
    assert (await read({"title": "t", "severity": "low", "port": port})).findings[0].port == read_as


@pytest.mark.parametrize(
    ("cve", "read_as"),
    [(None, ()), ("", ()), ("cve-2021-1234", ("CVE-2021-1234",)), ("CVE-1, CVE-2", ("CVE-1", "CVE-2"))],
)
async def test_finding_cve_is_a_list_of_upper_case_identifiers(cve: str | None, read_as: tuple[str, ...]) -> None:
    assert (await read({"title": "t", "severity": "low", "cve_id": cve})).findings[0].cve == read_as


SIMILAR: list[dict[str, Any]] = [
    {"title": "XSS", "severity": "low", "url": "/b"},
    {"title": "XSS", "severity": "high", "url": "/a"},
    {"title": "XSS", "severity": "low", "url": "/a"},
    {"title": "XSS", "severity": "low", "url": "/a"},
    {"title": "XSS", "severity": "low", "url": "/a", "port": 80},
    {"title": "SQL", "severity": "low", "cve_id": "CVE-1"},
]


@given(st.permutations(SIMILAR))
@settings(max_examples=25)
def test_finding_ids_are_unique_and_do_not_depend_on_the_order(order: list[dict[str, Any]]) -> None:
    def ids(items: list[dict[str, Any]]) -> dict[str, Any]:
        node = Node("cypersecurity", "GET /scans/scan_1", details(*items))
        return {one.id: one.raw for one in read_findings(node, read_scan(node))}

    expected = ids(SIMILAR)
    assert len(expected) == len(SIMILAR)
    assert ids(order) == expected
    assert all(one.startswith("cs-") for one in expected)


async def test_finding_id_is_the_same_when_other_fields_change() -> None:
    first = await read({"title": "XSS", "severity": "low", "cve_id": "CVE-1", "checked_at": 1})
    again = await read({"checked_at": 2, "cvss_score": 7.5, "title": "XSS", "severity": "high", "cve_id": "CVE-1"})
    assert first.findings[0].id == again.findings[0].id == "cs-7377f8a499b776d5"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"results": None}, "results"),
        ({"results": []}, "results"),
        ({"results": {"vulnerabilities": {}}}, "results.vulnerabilities"),
        ({"results": {"services": []}, "findings_count": 5}, "results.vulnerabilities"),
    ],
)
async def test_completed_scan_without_its_results_is_off_the_contract(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(OffContract) as raised:
        await read(**fields)
    assert raised.value.field == field


async def test_completed_scan_of_services_alone_has_no_findings() -> None:
    assert (await read(results={"services": []})).findings == ()


# --- reports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("not_ready", [404, 409, 202])
async def test_report_is_asked_for_until_it_is_ready(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, time: FakeTime, not_ready: int
) -> None:
    platform.not_ready, platform.report_polls = not_ready, 3
    scan_id = await completed(cyper, platform)
    assert await cyper.report(scan_id, type="executive", deadline_s=600) == PDF
    assert platform.calls[1].json == {"format": "pdf", "type": "executive"}
    assert platform.paths()[1:] == ["POST /scans/scan_0001/report", *["GET /reports/report_0001/download"] * 4]
    assert time.slept == [5.0, 7.5, 11.25]


async def test_report_that_is_never_ready_ends_at_the_deadline(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, time: FakeTime
) -> None:
    platform.report_polls = 10**6
    scan_id = await completed(cyper, platform)
    with pytest.raises(WaitExpired, match="report report_0001 of scan scan_0001 was not ready within 60 s"):
        await cyper.report(scan_id, deadline_s=60)
    assert time.time_s == NOW_S + 60


async def test_generate_report_of_the_document_is_read(cyper: CyperSecurity, platform: CyperSecurityStandIn) -> None:
    scan_id = await completed(cyper, platform)
    raw = {"report_id": "report_0001", "status": "generating", "download_url": None}
    assert await cyper.generate_report(scan_id) == Report("report_0001", "generating", raw)


async def test_report_download_url_is_never_followed(cyper: CyperSecurity, platform: CyperSecurityStandIn) -> None:
    scan_id = await completed(cyper, platform)
    told = {"report_id": "report_0001", "status": "ready", "download_url": f"{platform.url}/elsewhere"}
    platform.script(Fault(status=200, body=json.dumps(told).encode(), after=True))
    assert await cyper.report(scan_id, deadline_s=60) == PDF
    assert not [path for path in platform.paths() if "elsewhere" in path]


async def test_report_that_failed_is_not_waited_for(cyper: CyperSecurity, platform: CyperSecurityStandIn) -> None:
    platform.script(Fault(status=200, body=b'{"report_id": "r", "status": "failed"}'))
    with pytest.raises(OffContract, match='POST /scans/s/report: status: got "failed"'):
        await cyper.report("s", deadline_s=60)
    assert len(platform.calls) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"status": "generating"}', b" %PDF-1.4"])
async def test_report_that_is_no_pdf_is_off_the_contract(body: bytes) -> None:
    async with answering(body) as client:
        with pytest.raises(OffContract, match=r"GET /reports/r/download: the answer: got \d+ bytes of app"):
            await client.download_report("r")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=404, body=b"<html>no such page"), NotFound),
        (Fault(status=404, body=b'{"error": {"code": "invalid_request"}}'), NotFound),
        (Fault(status=409, body=b'{"error": {"code": "insufficient_quota"}}'), QuotaExhausted),
        (Fault(status=400, body=b'{"error": {"code": "not_found"}}'), NotFound),
        (Fault(status=302, headers={"Location": "/v1/elsewhere"}), InvalidCall),
    ],
)
async def test_report_refused_for_another_reason_is_an_error_at_once(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, fault: Fault, error: type[PlatformRefused]
) -> None:
    platform.script(fault)
    with pytest.raises(error):
        await cyper.download_report("report_1")
    assert len(platform.calls) == 1


# --- the account ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bare", [True, False])
async def test_webhooks_come_bare_or_under_their_name_and_without_secrets(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, bare: bool
) -> None:
    platform.tells_secrets, platform.bare = True, bare
    created = await cyper.create_webhook(HOOK, ["scan.completed", "scan.completed", "critical.finding"], "hook-secret")
    expected = {
        "id": "webhook_0001", "url": HOOK, "events": ["scan.completed", "critical.finding"],
        "created_at": "2024-12-31T12:00:00Z",
    }  # fmt: skip
    assert platform.calls[0].json == {"url": HOOK, "events": expected["events"], "secret": "hook-secret"}
    assert (created, await cyper.webhooks()) == (expected, [expected])


async def test_webhook_secret_that_is_echoed_elsewhere_is_starred() -> None:
    echo = {"id": "w", "note": "signed with hook-secret", "nested": [{"signing_secret": "x", "secretary": "y"}]}
    async with answering(json.dumps(echo).encode()) as client:
        created = await client.create_webhook(HOOK, EVENTS, "hook-secret")
    assert created == {"id": "w", "note": "signed with ***", "nested": [{"secretary": "y"}]}


async def test_organization_is_shown_and_changed_field_by_field(
    cyper: CyperSecurity, platform: CyperSecurityStandIn
) -> None:
    before = await cyper.organization()
    after = await cyper.update_organization(name="Acme & Söhne")
    assert platform.calls[1].json == {"name": "Acme & Söhne"}
    assert after == {**before, "name": "Acme & Söhne"}
    await cyper.update_organization(industry="retail")
    assert platform.calls[2].json == {"industry": "retail"}


@pytest.mark.parametrize("bare", [True, False])
async def test_members_are_listed_and_invited(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, bare: bool
) -> None:
    platform.bare = bare
    invited = await cyper.invite("teammate@example.com")
    assert platform.calls[0].json == {"email": "teammate@example.com", "role": "member"}
    assert (await cyper.members())[1] == invited == {"id": "user_2", "email": "teammate@example.com", "role": "member"}


async def test_change_that_is_answered_without_a_body_gives_what_was_sent(
    cyper: CyperSecurity, platform: CyperSecurityStandIn
) -> None:
    platform.silent = True
    assert await cyper.update_organization(industry="retail") == {"industry": "retail"}
    assert await cyper.invite("a@b.example", role="admin") == {"email": "a@b.example", "role": "admin"}


# --- what is refused --------------------------------------------------------------------------------------------------

SEND: dict[str, tuple[str, Callable[[CyperSecurity], Awaitable[Any]]]] = {
    "limit 0": ("GET /scans: limit: got 0;", lambda c: c.scan_page(limit=0)),
    "limit 101": ("GET /scans: limit: got 101;", lambda c: c.scan_page(limit=101)),
    "offset": ("GET /scans: offset: got -1;", lambda c: c.scan_page(offset=-1)),
    "status": ("GET /scans: status: got 'done';", lambda c: c.scan_page(status="done")),
    "listing": ("GET /scans: limit: got -1;", lambda c: anext(c.scans(limit=-1))),
    "type": ("POST /scans: type: got 'x'; expected nmap, zap or sqlmap", lambda c: c.start_scan("h", type="x")),
    "target": ("POST /scans: target: got '';", lambda c: c.start_scan("")),
    "target line": ("POST /scans: target: got 'a\\nb';", lambda c: c.start_scan("a\nb")),
    "target space": ("POST /scans: target: got 'a b';", lambda c: c.start_scan("a b")),
    "options": ("POST /scans: options.a: got [1];", lambda c: c.start_scan("h", options={"a": [1]})),
    "option key": ("POST /scans: options: got '';", lambda c: c.start_scan("h", options={"": 1})),
    "option size": ("POST /scans: options: got {'a': ", lambda c: c.start_scan("h", options={"a": 2**80})),
    "scan": ("GET /scans/{scan_id}: scan_id: got '';", lambda c: c.scan("")),
    "scan ..": ("GET /scans/{scan_id}: scan_id: got '..';", lambda c: c.scan("..")),
    "scan key": ("GET /scans/{scan_id}: scan_id: got ' ***';", lambda c: c.scan(" " + KEY)),
    "report": ("POST /scans/s/report: type: got 'long';", lambda c: c.generate_report("s", type="long")),
    "report .": ("GET /reports/{report_id}/download: report_id: got '.';", lambda c: c.download_report(".")),
    "url": ("POST /webhooks: url: got 'ftp://x';", lambda c: c.create_webhook("ftp://x", EVENTS, "s")),
    "url host": ("POST /webhooks: url: got 'https://';", lambda c: c.create_webhook("https://", EVENTS, "s")),
    "url port": ("POST /webhooks: url: got 'https://a:b';", lambda c: c.create_webhook("https://a:b", EVENTS, "s")),
    "events": ("POST /webhooks: events: got [];", lambda c: c.create_webhook(HOOK, [], "s")),
    "event": ("POST /webhooks: events: got 'scan.over';", lambda c: c.create_webhook(HOOK, ["scan.over"], "s")),
    "secret": ("POST /webhooks: secret: expected", lambda c: c.create_webhook(HOOK, EVENTS, "")),
    "nothing": ("PATCH /organization: nothing to change", lambda c: c.update_organization()),
    "name": ("PATCH /organization: name: got ' ';", lambda c: c.update_organization(name=" ")),
    "role": ("POST /team/members: role: got 'a b';", lambda c: c.invite("a@b.example", role="a b")),
} | {
    f"mail {mail}": (f"POST /team/members: email: got {mail!r};", lambda c, mail=mail: c.invite(mail))
    for mail in ("", "nobody", "a@", "@b", "a b@c.d", "a@b@c", "a@b..c", "a@b\n", "a@-b")
}


@pytest.mark.parametrize("case", sorted(SEND))
async def test_argument_that_the_document_does_not_allow_is_a_usage_error_before_anything_is_sent(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, case: str
) -> None:
    said, ask = SEND[case]
    with pytest.raises(PostureUsage) as raised:
        await ask(cyper)
    assert str(raised.value).startswith(f"cypersecurity {said}")
    assert platform.calls == []


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX-Admin: 1", "schlüssel"])
def test_key_that_no_header_can_carry_is_a_usage_error_that_does_not_show_it(key: str) -> None:
    with pytest.raises(PostureUsage) as raised:
        CyperSecurity(key)
    assert str(raised.value) == "cypersecurity key: expected visible ASCII characters without spaces, at least one"


async def test_errors_of_the_document_are_typed_and_say_what_the_platform_says(
    cyper: CyperSecurity, platform: CyperSecurityStandIn
) -> None:
    def error(status: int, code: str, **details: str) -> Fault:
        body = {"error": {"code": code, "message": "So it is", "details": details}}
        return Fault(status=status, body=json.dumps(body).encode())

    expected: list[tuple[Fault, type[PlatformError], str]] = [
        (error(400, "invalid_request", field="target"), InvalidCall, "400 invalid_request: So it is (field target)"),
        (error(401, "authentication_failed"), CredentialsRefused, "401 authentication_failed: So it is"),
        (error(403, "insufficient_quota"), QuotaExhausted, "403 insufficient_quota: So it is"),
        (error(429, "insufficient_quota"), QuotaExhausted, "429 insufficient_quota: So it is"),
        (error(404, "not_found"), NotFound, "404 not_found: So it is"),
        (error(500, "internal_error"), PlatformFailed, "500 internal_error: So it is (may have been taken)"),
        (Fault(drop=True), PlatformUnreachable,
         "the connection was lost: closed before the answer (may have been taken)"),
    ]  # fmt: skip
    for fault, kind, said in expected:
        platform.script(fault)
        with pytest.raises(kind) as raised:
            await cyper.start_scan("example.com")
        assert str(raised.value) == f"cypersecurity POST /scans: {said}"
    assert len(platform.calls) == len(expected)  # none of them was repeated


@pytest.mark.parametrize("status", [429, 403])
async def test_quota_that_is_used_up_is_no_rate_limit(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, time: FakeTime, status: int
) -> None:
    platform.quota, platform.quota_status = 0, status
    with pytest.raises(QuotaExhausted):
        await cyper.start_scan("example.com")
    assert (len(platform.calls), time.slept) == (1, [])


async def test_wrong_key_is_refused_and_never_shown(platform: CyperSecurityStandIn) -> None:
    async with CyperSecurity("wrong-key", base_url=platform.url) as client:
        with pytest.raises(CredentialsRefused, match="401 authentication_failed: Invalid API key"):
            await client.organization()


async def test_rate_limit_that_ends_soon_is_waited_out_for_a_start_too(
    platform: CyperSecurityStandIn, time: FakeTime
) -> None:
    said: list[str] = []
    platform.exhaust(2, reset_s=NOW_S + 12)
    watcher = Watcher(on_wait=said.append)
    async with CyperSecurity(KEY, base_url=platform.url, clock=time.clock(), watcher=watcher) as client:
        await client.start_scan("example.com")
    assert said[0] == "cypersecurity: rate limited, waiting 12 s"
    assert time.slept[0] == 12.0
    assert len(platform.scans) == 1


async def test_rate_limit_of_an_hour_is_an_error_that_says_when_it_ends(
    cyper: CyperSecurity, platform: CyperSecurityStandIn, time: FakeTime
) -> None:
    platform.exhaust(1, reset_s=NOW_S + 3600)
    with pytest.raises(RateLimited, match="the rate limit ends at 2024-12-31T12:53:20Z, in 3600 s"):
        await cyper.organization()
    assert time.slept == []


# --- off the contract -------------------------------------------------------------------------------------------------

PAGE = {"scans": [DOCUMENTED], "total": 1, "limit": 20, "offset": 0}
DETAILS = details(*VULNERABILITIES, {"title": "t", "severity": "low", "port": 80, "description": "d"})
CALLS: dict[str, tuple[Any, Callable[[CyperSecurity], Awaitable[Any]]]] = {
    "GET /scans": (PAGE, lambda c: c.scan_page()),
    "POST /scans": (DOCUMENTED, lambda c: c.start_scan("example.com")),
    "GET /scans/scan_1": (DETAILS, lambda c: c.scan("scan_1")),
    "POST /scans/scan_1/report": (
        {"report_id": "r", "status": "generating", "download_url": None}, lambda c: c.generate_report("scan_1")
    ),
    "GET /webhooks": ({"webhooks": [{"id": "w"}]}, lambda c: c.webhooks()),
    "POST /webhooks": ({"id": "w", "url": HOOK}, lambda c: c.create_webhook(HOOK, EVENTS, "hook-secret")),
    "GET /organization": ({"name": "n"}, lambda c: c.organization()),
    "PATCH /organization": ({"name": "n"}, lambda c: c.update_organization(name="n")),
    "GET /team/members": ([{"id": "u"}], lambda c: c.members()),
    "POST /team/members": ({"id": "u"}, lambda c: c.invite("a@b.example")),
}  # fmt: skip


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def replaced(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(document)
    owner = changed
    for step in path[:-1]:
        owner = owner[step]
    owner[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("call", "path", "value", "said"),
    [
        ("GET /scans", ("scans",), None, "scans: got nothing; expected a list"),
        ("GET /scans", ("total",), None, "total: got nothing; expected a whole number"),
        ("GET /scans", ("total",), -1, "total: got -1; expected a whole number from 0 on"),
        ("GET /scans", ("scans", 0), "x", 'scans[0]: got "x"; expected an object'),
        ("GET /scans", ("scans", 0, "id"), 7, "scans[0].id: got 7; expected a text"),
        ("GET /scans", ("scans", 0, "id"), "..", 'scans[0].id: got ".."; expected an id'),
        ("GET /scans", ("scans", 0, "status"), None, "scans[0].status: got nothing; expected a text"),
        ("GET /scans", ("scans", 0, "created_at"), "soon", 'scans[0].created_at: got "soon"; expected a time'),
        ("GET /scans", ("scans", 0, "findings_count"), "many", 'scans[0].findings_count: got "many"; expected a whole'),
        ("POST /scans", ("target",), None, "target: got nothing; expected a text"),
        ("POST /scans", ("type",), [], "type: got a list of 0; expected a text"),
        ("GET /scans/scan_1", ("results", "vulnerabilities", 0, "title"), None,
         "results.vulnerabilities[0].title: got nothing; expected a text"),
        ("GET /scans/scan_1", ("results", "vulnerabilities", 0, "cvss_score"), "5.3",
         'results.vulnerabilities[0].cvss_score: got "5.3"; expected a number'),
        ("GET /scans/scan_1", ("results", "vulnerabilities", 0, "cvss_score"), 11,
         "results.vulnerabilities[0].cvss_score: got 11; expected a number from 0 to 10"),
        ("GET /scans/scan_1", ("results", "vulnerabilities", 0, "cve_id"), 1,
         "results.vulnerabilities[0].cve_id: got 1; expected a text"),
        ("POST /scans/scan_1/report", ("report_id",), "", 'report_id: got ""; expected an id'),
        ("POST /scans/scan_1/report", ("status",), None, "status: got nothing; expected a text"),
        ("GET /webhooks", (), "x", 'the answer: got "x"; expected a list, or one under webhooks'),
        ("GET /webhooks", ("webhooks",), {}, "webhooks: got an object of 0; expected a list"),
        ("GET /webhooks", ("webhooks", 0), 1, "webhooks[0]: got 1; expected an object"),
        ("POST /webhooks", ("id",), None, "id: got nothing; expected a text"),
        ("GET /organization", (), [], "the answer: got a list of 0; expected an object"),
        ("PATCH /organization", (), None, "the answer: got nothing; expected an object"),
        ("GET /team/members", (0,), [], "[0]: got a list of 0; expected an object"),
    ],
)  # fmt: skip
async def test_answer_off_the_contract_names_call_field_and_what_came(
    call: str, path: tuple[str | int, ...], value: Any, said: str
) -> None:
    document, ask = CALLS[call]
    async with answering(json.dumps(replaced(document, path, value)).encode()) as client:
        with pytest.raises(OffContract) as raised:
            await ask(client)
    assert str(raised.value).startswith(f"cypersecurity {call}: {said}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    call = draw(st.sampled_from(sorted(CALLS)))
    document = CALLS[call][0]
    return call, json.dumps(replaced(document, draw(st.sampled_from(places(document))), draw(JSON))).encode()


@pytest.fixture(scope="module")
def echo() -> Iterator[CyperSecurityStandIn]:
    with CyperSecurityStandIn() as server:
        yield server


@given(mutated())
def test_answer_of_any_shape_raises_nothing_but_platform_errors(
    echo: CyperSecurityStandIn, case: tuple[str, bytes]
) -> None:
    call, body = case

    async def ask() -> None:
        echo.script(Fault(status=200, body=body))
        async with CyperSecurity(KEY, base_url=echo.url, manner=Manner(attempts=1)) as client:
            try:
                await CALLS[call][1](client)
            except PlatformError as error:
                assert str(error).startswith(f"cypersecurity {call}: ")  # it may as well succeed

    asyncio.run(ask())


@pytest.mark.parametrize("body", [b"[" * 900 + b"]" * 900, b"[" * 5000, b"\xff\xfe", b"NaN", b'"\\ud800"'])
@pytest.mark.parametrize("call", sorted(CALLS))
async def test_answer_that_nobody_can_read_is_an_error_of_the_platform(call: str, body: bytes) -> None:
    async with answering(body) as client:
        with pytest.raises(OffContract):
            await CALLS[call][1](client)


async def test_all_eleven_calls_of_the_document_are_made(cyper: CyperSecurity, platform: CyperSecurityStandIn) -> None:
    scan_id = await completed(cyper, platform)
    await cyper.scan_page()
    await cyper.scan(scan_id)
    await cyper.report(scan_id, deadline_s=600)
    for ask in (cyper.webhooks, cyper.organization, cyper.members):
        await ask()
    await cyper.create_webhook(HOOK, EVENTS, "hook-secret")
    await cyper.update_organization(name="n")
    await cyper.invite("a@b.example")
    assert set(platform.paths()) == {
        "GET /scans", "POST /scans", "GET /scans/scan_0001", "POST /scans/scan_0001/report",
        "GET /reports/report_0001/download", "GET /webhooks", "POST /webhooks", "GET /organization",
        "PATCH /organization", "GET /team/members", "POST /team/members",
    }  # fmt: skip
