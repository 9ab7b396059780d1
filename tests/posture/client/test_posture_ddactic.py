"""DDactic's client against the stand-in: every call, every error, paging, and answers that are off the contract."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posture.standin.ddactic import FINDINGS, DDacticStandIn
from posture.standin.server import Fault

from gateway.errors import (
    Conflict,
    CredentialsRefused,
    GatewayError,
    InvalidCall,
    NotFound,
    OffContract,
    PermissionRefused,
    PlatformError,
    PlatformFailed,
    PlatformUnreachable,
    PostureUsage,
    RateLimited,
)
from gateway.posture.answer import Node
from gateway.posture.client import ddactic as ddactic_client
from gateway.posture.client.ddactic import DDactic, DomainPage
from gateway.posture.client.manner import Manner
from gateway.posture.domain import Domain, Verification
from gateway.posture.finding import Finding, Remediation
from gateway.posture.scan import Counts, Scan
from gateway.posture.watching import Clock, Watcher

NOW_S = 1_702_899_990.0


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
def platform(time: FakeTime) -> Iterator[DDacticStandIn]:
    with DDacticStandIn(now_s=lambda: time.time_s) as server:
        yield server
        assert server.undocumented == []


@pytest.fixture
async def ddactic(platform: DDacticStandIn, time: FakeTime) -> AsyncIterator[DDactic]:
    async with DDactic("write-key", base_url=platform.url, clock=time.clock()) as client:
        yield client


@contextlib.asynccontextmanager
async def answering(body: bytes, content_type: str = "application/json") -> AsyncIterator[DDactic]:
    """A client whose next call, whatever it is, gets 200 and this body."""
    with DDacticStandIn() as server:
        server.script(Fault(status=200, body=body, content_type=content_type))
        async with DDactic("write-key", base_url=server.url) as client:
            yield client


async def completed(ddactic: DDactic, platform: DDacticStandIn) -> str:
    scan = await ddactic.start_scan(platform.domains[0]["id"])
    assert scan.id is not None
    platform.finish(scan.id)
    return scan.id


# --- domains ----------------------------------------------------------------------------------------------------------


async def test_domain_page_of_the_document_is_read_with_its_raw_object(
    ddactic: DDactic, platform: DDacticStandIn
) -> None:
    told = {
        "id": "dom_abc123", "name": "shop.example", "verified": True, "last_scan": "2025-12-17T10:30:00Z",
        "risk_score": 4.2, "owner": {"new": [1, None]},
    }  # fmt: skip
    platform.domains = [told]
    domain = Domain("dom_abc123", "shop.example", True, None, "2025-12-17T10:30:00Z", 4.2, told)
    assert await ddactic.domain_page() == DomainPage((domain,), 1)
    assert platform.calls[0].query == {"limit": "50", "offset": "0"}
    assert platform.calls[0].headers["authorization"] == "Bearer write-key"


async def test_domain_page_of_a_domain_that_was_never_scanned_has_no_score(ddactic: DDactic) -> None:
    page = await ddactic.domain_page(limit=1)
    assert (page.domains[0].last_scan, page.domains[0].risk_score) == (None, None)


async def test_domains_over_250_come_in_three_pages_of_100(ddactic: DDactic, platform: DDacticStandIn) -> None:
    platform.domains = []
    names = [f"d{number}.example" for number in range(250)]
    for name in names:
        platform.add_domain(name)
    assert [domain.name async for domain in ddactic.domains()] == names
    assert [call.query for call in platform.calls] == [
        {"limit": "100", "offset": str(offset)} for offset in (0, 100, 200)
    ]


@pytest.mark.parametrize(("limit", "pages"), [(0, 0), (1, 1), (100, 1), (101, 2), (1000, 3)])
async def test_domains_with_a_limit_ask_for_no_more_pages_than_it_takes(
    ddactic: DDactic, platform: DDacticStandIn, limit: int, pages: int
) -> None:
    platform.domains = []
    for number in range(250):
        platform.add_domain(f"d{number}.example")
    assert len([domain async for domain in ddactic.domains(limit=limit)]) == min(limit, 250)
    assert len(platform.calls) == pages


def page_of(numbers: range, total: int) -> bytes:
    domains = [{"id": f"dom_{number}", "name": f"d{number}.example", "verified": True} for number in numbers]
    return json.dumps({"domains": domains, "total": total}).encode()


@pytest.mark.parametrize(
    ("pages", "count"),
    [
        ([page_of(range(100), 300), page_of(range(0), 300)], 100),
        ([page_of(range(100), 300), page_of(range(100), 300)], 100),
        ([page_of(range(50), 120), page_of(range(50, 100), 120), page_of(range(100, 120), 120)], 120),
        ([page_of(range(100), 150), page_of(range(90, 140), 150)], 140),
        ([page_of(range(100), 0)], 100),
    ],
    ids=["empty page", "page that repeats", "pages shorter than asked", "pages that overlap", "total too small"],
)
async def test_domains_of_a_platform_that_pages_badly_end_with_each_once(
    ddactic: DDactic, platform: DDacticStandIn, pages: list[bytes], count: int
) -> None:
    platform.script(*(Fault(status=200, body=page) for page in pages))
    names = [domain.name async for domain in ddactic.domains()]
    assert names == [f"d{number}.example" for number in range(count)]
    assert len(platform.calls) == len(pages)


async def test_domains_without_an_end_are_off_the_contract(
    ddactic: DDactic, monkeypatch: pytest.MonkeyPatch, platform: DDacticStandIn
) -> None:
    monkeypatch.setattr("gateway.posture.client.ddactic._MOST_DOMAINS", 200)
    platform.script(*(Fault(status=200, body=page_of(range(at, at + 100), at + 200)) for at in (0, 100)))
    with pytest.raises(OffContract, match=r"ddactic GET /domains: total: got 300; expected at most 200"):
        async for _ in ddactic.domains():
            pass


async def test_add_domain_gives_the_record_that_verifies_it(ddactic: DDactic, platform: DDacticStandIn) -> None:
    domain = await ddactic.add_domain("shop.example")
    told = {"id": "dom_0002", "domain": "shop.example"}
    verification = {"method": "dns_txt", "record": "ddactic-verify=dom_0002xyz"}
    assert domain == Domain(
        "dom_0002", "shop.example", None, Verification(**verification), None, None,
        told | {"verification": verification},
    )  # fmt: skip
    assert platform.calls[0].json == {"domain": "shop.example"}


async def test_domain_that_was_added_is_verified_after_some_looks(ddactic: DDactic, platform: DDacticStandIn) -> None:
    await ddactic.add_domain("shop.example")
    looks = [(await ddactic.domain_page()).domains[-1].verified for _ in range(3)]
    assert looks == [False, False, True]


async def test_domain_is_verified_once_its_record_is_published(time: FakeTime) -> None:
    texts: list[str] = []
    standin = DDacticStandIn(
        domains=[], verify_after=None, published=lambda name: texts, lists_unverified=False, now_s=lambda: NOW_S
    )
    with standin as server:
        async with DDactic("write-key", base_url=server.url, clock=time.clock()) as ddactic:
            domain = await ddactic.add_domain("shop.example")
            assert await ddactic.domain_page() == DomainPage((), 0)
            assert domain.verification is not None
            texts.append(domain.verification.record)
            assert [one.name async for one in ddactic.domains()] == ["shop.example"]


# --- scans ------------------------------------------------------------------------------------------------------------


async def test_scan_goes_from_queued_to_completed(ddactic: DDactic, platform: DDacticStandIn) -> None:
    platform.polls = 3
    began = await ddactic.start_scan("dom_0001")
    raw = {"scan_id": "scn_0001", "status": "queued", "estimated_time": 300}
    assert began == Scan("scn_0001", "ddactic", None, "passive", "queued", estimated_s=300, raw=raw)
    polled = [await ddactic.scan("scn_0001") for _ in range(3)]
    assert [scan.status for scan in polled] == ["queued", "running", "completed"]
    assert polled[-1] == Scan(
        "scn_0001", "ddactic", "example.com", None, "completed", None, "2025-12-17T10:30:00Z", "2025-12-17T10:35:00Z",
        4.2, None, Counts(critical=1, medium=1), polled[-1].raw,
    )  # fmt: skip


async def test_start_scan_sends_its_type_and_where_to_tell(ddactic: DDactic, platform: DDacticStandIn) -> None:
    scan = await ddactic.start_scan("dom_0001", type="full", webhook_url="https://gateway.example/webhooks/ddactic")
    assert scan.type == "full"
    assert platform.calls[0].json == {
        "domain_id": "dom_0001", "type": "full", "webhook_url": "https://gateway.example/webhooks/ddactic",
    }  # fmt: skip


async def test_scan_that_fails_says_so(ddactic: DDactic, platform: DDacticStandIn) -> None:
    platform.polls, platform.outcome = 1, "failed"
    await ddactic.start_scan("dom_0001")
    scan = await ddactic.scan("scn_0001")
    assert (scan.status, scan.completed_at, scan.counts) == ("failed", None, None)


async def test_scan_with_a_status_that_is_not_documented_is_running() -> None:
    async with answering(b'{"scan_id": "scn_1", "status": "verifying", "info": 1, "started_at": 1702899990}') as client:
        scan = await client.scan("scn_1")
    assert (scan.status, scan.target, scan.started_at) == ("running", None, "2023-12-18T11:46:30Z")
    assert scan.raw["info"] == 1


async def test_findings_keep_order_remediation_and_unknown_fields(ddactic: DDactic, platform: DDacticStandIn) -> None:
    platform.findings = [FINDINGS[0] | {"references": ["CWE-200"]}, FINDINGS[1] | {"remediation": None}]
    scan_id = await completed(ddactic, platform)
    first, second = await ddactic.findings(scan_id)
    command = "iptables -I INPUT -p tcp --dport 443 -s CDN_IP_RANGE -j ACCEPT"
    assert first == Finding(
        "F-001", "ddactic", scan_id, "critical", "Origin IP Exposed", "Origin server directly accessible...",
        "192.0.2.1", None, (), None, Remediation("Restrict origin access to CDN IPs", (command,)),
        FINDINGS[0] | {"references": ["CWE-200"]},
    )  # fmt: skip
    assert (second.severity, second.remediation) == ("medium", None)


async def test_findings_of_a_scan_that_runs_are_none_yet(ddactic: DDactic) -> None:
    await ddactic.start_scan("dom_0001")
    assert await ddactic.findings("scn_0001") == []


# --- reports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "type", "begins"),
    [("json", "technical", b"{"), ("pdf", "executive", b"%PDF-1.4\n% exec"), ("html", "full", b"<!doctype html>")],
)
async def test_report_comes_in_each_format(
    ddactic: DDactic, platform: DDacticStandIn, format: str, type: str, begins: bytes
) -> None:
    scan_id = await completed(ddactic, platform)
    assert (await ddactic.report(scan_id, format=format, type=type)).startswith(begins)
    assert platform.calls[-1].query == {"format": format, "type": type}


async def test_report_in_json_is_given_as_it_came(ddactic: DDactic, platform: DDacticStandIn) -> None:
    platform.reports["json"] = b'{ "b": 1,\n  "a": 2.50 }\n'
    assert await ddactic.report(await completed(ddactic, platform)) == platform.reports["json"]
    assert platform.calls[-1].query == {"format": "json", "type": "technical"}


@pytest.mark.parametrize(("unfinished", "error"), [(409, Conflict), (404, NotFound)])
async def test_report_of_a_scan_that_runs_is_refused(
    ddactic: DDactic, platform: DDacticStandIn, unfinished: int, error: type[PlatformError]
) -> None:
    platform.unfinished = unfinished
    await ddactic.start_scan("dom_0001")
    with pytest.raises(error, match="Scan is not completed"):
        await ddactic.report("scn_0001")


@pytest.mark.parametrize(
    ("format", "body", "said"),
    [
        ("json", b"<html>", r"got 6 bytes of text/odd; expected JSON"),
        ("json", b"", r"got 0 bytes of text/odd; expected JSON"),
        ("pdf", b"\n%PDF-1.7", r"got 9 bytes of text/odd; expected a PDF, which begins with %PDF-"),
        ("html", b" \r\n", r"got 3 bytes of text/odd; expected HTML that is not empty"),
    ],
)
async def test_report_of_another_format_is_off_the_contract(format: str, body: bytes, said: str) -> None:
    async with answering(body, "text/odd") as client:
        with pytest.raises(OffContract, match=rf"^ddactic GET /scans/scn_1/report: the answer: {said}"):
            await client.report("scn_1", format=format)


@pytest.mark.parametrize(
    ("format", "body", "given"),
    [
        ("json", rb'{"key": "Bearer a\/b+key-1"}', b'{"key":"Bearer ***"}'),
        ("html", b"<p>a/b+key-1 a%2Fb%2Bkey-1</p>", b"<p>*** ***</p>"),
    ],
)
async def test_report_that_echoes_the_key_is_given_without(format: str, body: bytes, given: bytes) -> None:
    with DDacticStandIn() as server:
        server.script(Fault(status=200, body=body))
        async with DDactic("a/b+key-1", base_url=server.url) as client:
            assert await client.report("scn_1", format=format) == given


# --- paths and arguments ----------------------------------------------------------------------------------------------


async def test_id_with_a_slash_is_one_segment_of_the_path(ddactic: DDactic, platform: DDacticStandIn) -> None:
    for call in (ddactic.scan, ddactic.findings, ddactic.report):
        with pytest.raises(NotFound):
            await call("a/b?c#d %2e")
    assert [call.path for call in platform.calls] == [
        f"/scans/a%2Fb%3Fc%23d%20%252e{end}" for end in ("", "/findings", "/report")
    ]


BAD_CALLS: list[tuple[Callable[[DDactic], Awaitable[Any]], str]] = [
    (lambda it: it.domain_page(limit=101), "GET /domains: limit: got 101; expected a whole number from 1 to 100"),
    (lambda it: it.domain_page(limit=0), "GET /domains: limit: got 0; expected a whole number from 1 to 100"),
    (lambda it: it.domain_page(limit=True), "GET /domains: limit: got True; expected a whole number from 1 to 100"),
    (lambda it: it.domain_page(offset=-1), "GET /domains: offset: got -1; expected a whole number from 0 on"),
    (lambda it: anext(it.domains(limit=-1)), "GET /domains: limit: got -1; expected a whole number from 0 on"),
    (lambda it: it.add_domain(""), "POST /domains: domain: got ''; expected 1 to 253 printable"),
    (lambda it: it.add_domain("a b.example"), "POST /domains: domain: got 'a b.example'; expected 1 to 253"),
    (lambda it: it.add_domain("x" * 254), "POST /domains: domain: got 'xxx"),
    (lambda it: it.start_scan(""), "POST /scans: domain_id: got ''"),
    (lambda it: it.start_scan("dom_1", type="nmap"), "POST /scans: type: got 'nmap'; expected passive, active or full"),
    (lambda it: it.start_scan("dom_1", webhook_url="ftp://x"), "POST /scans: webhook_url: got 'ftp://x'; expected an"),
    (lambda it: it.start_scan("dom_1", webhook_url=""), "POST /scans: webhook_url: got ''"),
    (lambda it: it.scan(""), "GET /scans/{scan_id}: scan_id: got ''; expected 1 to 200 printable characters"),
    (lambda it: it.scan(".."), "GET /scans/{scan_id}: scan_id: got '..'; expected an id"),
    (lambda it: it.scan("\udcff"), "GET /scans/{scan_id}: scan_id: got '\\udcff'"),
    (lambda it: it.findings("a\nb"), "GET /scans/{scan_id}/findings: scan_id: got 'a\\nb'"),
    (lambda it: it.report("s", format="xml"), "GET /scans/s/report: format: got 'xml'; expected json, pdf or html"),
    (lambda it: it.report("s", type="all"), "GET /scans/s/report: type: got 'all'; expected executive, technical or"),
]


@pytest.mark.parametrize(("make", "said"), BAD_CALLS, ids=[said for _, said in BAD_CALLS])
async def test_argument_that_is_not_documented_is_usage_and_nothing_is_sent(
    ddactic: DDactic, platform: DDacticStandIn, make: Callable[[DDactic], Awaitable[Any]], said: str
) -> None:
    with pytest.raises(PostureUsage) as raised:
        await make(ddactic)
    assert str(raised.value).startswith(f"ddactic {said}")
    assert len(str(raised.value)) < 200
    assert platform.calls == []


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
def test_key_that_no_header_can_carry_is_usage_and_is_not_shown(key: str) -> None:
    with pytest.raises(PostureUsage) as raised:
        DDactic(key)
    assert not key or key not in str(raised.value)


# --- errors -----------------------------------------------------------------------------------------------------------


async def test_unknown_key_is_credentials_refused(platform: DDacticStandIn) -> None:
    async with DDactic("wrong-key", base_url=platform.url) as client:
        with pytest.raises(CredentialsRefused) as raised:
            await client.domain_page()
    assert str(raised.value) == "ddactic GET /domains: 401 unauthorized: Invalid or missing API key"


@pytest.mark.parametrize(
    ("key", "make", "said"),
    [
        ("read-key", lambda it: it.add_domain("a.example"), "POST /domains: 403 forbidden: {} (a write key is needed)"),
        ("read-key", lambda it: it.start_scan("dom_0001"), "POST /scans: 403 forbidden: {} (a write key is needed)"),
        ("admin-key", lambda it: it.domain_page(), "GET /domains: 403 forbidden: {} (a read key is needed)"),
    ],
)
async def test_key_of_another_type_is_refused_with_the_type_that_is_needed(
    platform: DDacticStandIn, key: str, make: Callable[[DDactic], Awaitable[Any]], said: str
) -> None:
    async with DDactic(key, base_url=platform.url) as client:
        with pytest.raises(PermissionRefused) as raised:
            await make(client)
    assert str(raised.value) == "ddactic " + said.format("Insufficient permissions")


async def test_403_without_an_envelope_says_which_key_is_needed(ddactic: DDactic, platform: DDacticStandIn) -> None:
    platform.script(Fault(status=403, body=b""))
    with pytest.raises(PermissionRefused, match=r"^ddactic POST /scans: 403: a write key is needed$"):
        await ddactic.start_scan("dom_0001")


async def test_read_key_makes_every_call_that_reads(platform: DDacticStandIn) -> None:
    async with DDactic("write-key", base_url=platform.url) as client:
        scan_id = await completed(client, platform)
    async with DDactic("read-key", base_url=platform.url) as client:
        assert (await client.domain_page()).total == 1
        assert (await client.scan(scan_id)).status == "completed"
        assert len(await client.findings(scan_id)) == 2
        assert await client.report(scan_id, format="html")


async def test_scan_of_a_domain_that_is_scanned_is_a_conflict(ddactic: DDactic) -> None:
    await ddactic.start_scan("dom_0001")
    with pytest.raises(Conflict) as raised:
        await ddactic.start_scan("dom_0001", type="full")
    assert str(raised.value) == "ddactic POST /scans: 409 scan_in_progress: Scan already running for domain"


async def test_scan_of_a_domain_that_is_not_verified_is_an_invalid_call(ddactic: DDactic) -> None:
    domain = await ddactic.add_domain("shop.example")
    with pytest.raises(InvalidCall, match="400 invalid_domain: Domain not verified"):
        await ddactic.start_scan(domain.id)
    with pytest.raises(InvalidCall, match="400 invalid_domain: Invalid domain"):
        await ddactic.add_domain("shop..example")


async def test_what_is_not_there_is_not_found(ddactic: DDactic) -> None:
    for call in (ddactic.start_scan, ddactic.scan, ddactic.findings, ddactic.report):
        with pytest.raises(NotFound, match="404 not_found: Resource doesn't exist"):
            await call("none")


async def test_rate_limit_is_waited_out_for_a_call_that_starts_something(
    platform: DDacticStandIn, time: FakeTime
) -> None:
    waits: list[str] = []
    platform.exhaust(reset_s=NOW_S + 12)
    client = DDactic("write-key", base_url=platform.url, clock=time.clock(), watcher=Watcher(on_wait=waits.append))
    async with client:
        assert (await client.start_scan("dom_0001")).id == "scn_0001"
    assert (waits, time.slept) == (["ddactic: rate limited, waiting 12 s"], [12.0])
    assert platform.paths() == ["POST /scans", "POST /scans"]


async def test_rate_limit_that_ends_too_late_is_an_error_at_once(platform: DDacticStandIn, time: FakeTime) -> None:
    platform.exhaust(reset_s=NOW_S + 91)
    async with DDactic("write-key", base_url=platform.url, clock=time.clock()) as client:
        with pytest.raises(RateLimited, match="the rate limit ends at 2023-12-18T11:48:01Z, in 91 s"):
            await client.domain_page()
    assert time.slept == []


async def test_last_call_of_a_minute_makes_the_next_one_wait(
    ddactic: DDactic, platform: DDacticStandIn, time: FakeTime
) -> None:
    platform.rate.left, platform.rate.reset_s = 1, NOW_S + 10
    await ddactic.domain_page()
    await ddactic.domain_page()
    assert time.slept == [10.0]
    assert [call.method for call in platform.calls] == ["GET", "GET"]


async def test_scans_of_the_day_used_up_are_rate_limited(time: FakeTime) -> None:
    manner = Manner(attempts=2)
    with DDacticStandIn(domains=["a.example", "b.example"], scans_a_day=1) as server:
        async with DDactic("write-key", base_url=server.url, manner=manner, clock=time.clock()) as client:
            await client.start_scan("dom_0001")
            with pytest.raises(RateLimited, match=r"429 rate_limited: Too many scans today \(after 2 attempts\)"):
                await client.start_scan("dom_0002")


async def test_server_error_is_repeated_for_a_call_that_reads(ddactic: DDactic, platform: DDacticStandIn) -> None:
    platform.script(Fault(status=503), Fault(drop=True))
    assert (await ddactic.domain_page()).total == 1
    assert len(platform.calls) == 3


@pytest.mark.parametrize("fault", [Fault(status=500, after=True), Fault(drop=True, after=True)])
async def test_scan_that_may_have_been_started_is_not_started_again(
    ddactic: DDactic, platform: DDacticStandIn, fault: Fault
) -> None:
    platform.script(fault)
    with pytest.raises((PlatformFailed, PlatformUnreachable), match="may have been taken"):
        await ddactic.start_scan("dom_0001")
    assert platform.paths() == ["POST /scans"]


async def test_client_that_was_closed_opens_anew(ddactic: DDactic) -> None:
    assert (await ddactic.domain_page()).total == 1
    await ddactic.close()
    await ddactic.close()
    assert (await ddactic.domain_page()).total == 1


# --- off the contract -------------------------------------------------------------------------------------------------

DOMAINS = {"domains": [{"id": "dom_1", "name": "a.example", "verified": True, "last_scan": None}], "total": 1}
ADDED = {"id": "dom_1", "domain": "a.example", "verification": {"method": "dns_txt", "record": "r=1"}}
SCAN = {
    "scan_id": "scn_1", "domain": "a.example", "status": "completed", "started_at": "2025-12-17T10:30:00Z",
    "completed_at": "2025-12-17T10:35:00Z", "risk_score": 4.2, "findings_count": {"critical": 1, "low": 12},
}  # fmt: skip
STARTED = {"scan_id": "scn_1", "status": "queued", "estimated_time": 300}
FOUND = {"findings": FINDINGS}

CALLS: dict[str, tuple[Any, Callable[[DDactic], Awaitable[Any]]]] = {
    "GET /domains": (DOMAINS, lambda it: it.domain_page()),
    "POST /domains": (ADDED, lambda it: it.add_domain("a.example")),
    "POST /scans": (STARTED, lambda it: it.start_scan("dom_1")),
    "GET /scans/scn_1": (SCAN, lambda it: it.scan("scn_1")),
    "GET /scans/scn_1/findings": (FOUND, lambda it: it.findings("scn_1")),
}


def replaced(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The document with another value at the path."""
    if not path:
        return value
    document = copy.copy(document)
    document[path[0]] = replaced(document[path[0]], path[1:], value)
    return document


@pytest.mark.parametrize(
    ("call", "path", "value", "said"),
    [
        ("GET /domains", (), [], "the answer: got a list of 0; expected an object"),
        ("GET /domains", ("domains",), None, "domains: got nothing; expected a list"),
        ("GET /domains", ("total",), "many", 'total: got "many"; expected a whole number'),
        ("GET /domains", ("total",), -1, "total: got -1; expected a whole number from 0 on"),
        ("GET /domains", ("domains", 0), "a.example", 'domains[0]: got "a.example"; expected an object'),
        ("GET /domains", ("domains", 0, "id"), 7, "domains[0].id: got 7; expected a text"),
        ("GET /domains", ("domains", 0, "id"), "", 'domains[0].id: got ""; expected a text that is not empty'),
        ("GET /domains", ("domains", 0, "verified"), "yes", 'domains[0].verified: got "yes"; expected true or false'),
        ("GET /domains", ("domains", 0, "last_scan"), "soon", 'domains[0].last_scan: got "soon"; expected a time'),
        ("POST /domains", ("domain",), None, "domain: got nothing; expected a text"),
        ("POST /domains", ("verification",), None, "verification: got nothing; expected an object"),
        ("POST /domains", ("verification", "record"), None, "verification.record: got nothing; expected a text"),
        ("POST /scans", ("scan_id",), None, "scan_id: got nothing; expected a text"),
        ("POST /scans", ("status",), 1, "status: got 1; expected a text"),
        ("POST /scans", ("estimated_time",), 1.5, "estimated_time: got 1.5; expected a whole number"),
        ("GET /scans/scn_1", ("risk_score",), "high", 'risk_score: got "high"; expected a number'),
        ("GET /scans/scn_1", ("findings_count",), [1], "findings_count: got a list of 1; expected an object"),
        ("GET /scans/scn_1", ("findings_count", "low"), {}, "findings_count.low: got an object of 0; expected a whole"),
        ("GET /scans/scn_1/findings", ("findings",), {}, "findings: got an object of 0; expected a list"),
        ("GET /scans/scn_1/findings", ("findings", 1, "severity"), "urgent",
         'findings[1].severity: got "urgent"; expected critical, high, medium, low or info'),
        ("GET /scans/scn_1/findings", ("findings", 0, "title"), None, "findings[0].title: got nothing; expected a"),
        ("GET /scans/scn_1/findings", ("findings", 0, "remediation", "cli_commands"), "iptables",
         'findings[0].remediation.cli_commands: got "iptables"; expected a list'),
    ],
)  # fmt: skip
async def test_answer_off_the_contract_names_call_field_and_what_came(
    call: str, path: tuple[str | int, ...], value: Any, said: str
) -> None:
    document, make = CALLS[call]
    async with answering(json.dumps(replaced(document, path, value)).encode()) as client:
        with pytest.raises(OffContract) as raised:
            await make(client)
    assert str(raised.value).startswith(f"ddactic {call}: {said}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def places(document: Any) -> list[tuple[str | int, ...]]:
    """The path of every value in a document, its own first."""
    found: list[tuple[str | int, ...]] = [()]
    pairs: Any = document.items() if isinstance(document, dict) else ()
    if isinstance(document, list):
        pairs = enumerate(document)
    for key, value in pairs:
        found += [(key, *rest) for rest in places(value)]
    return found


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A call, and its answer with a value or two of it replaced, or cut in the middle."""
    call = draw(st.sampled_from(sorted(CALLS)))
    document = CALLS[call][0]
    for _ in range(draw(st.integers(1, 2))):
        document = replaced(document, draw(st.sampled_from(places(document))), draw(JSON))
    body = json.dumps(document).encode()
    return call, body if draw(st.booleans()) else body[: draw(st.integers(0, len(body)))]


@pytest.fixture(scope="module")
def echo() -> Iterator[DDacticStandIn]:
    with DDacticStandIn() as server:
        yield server


@settings(max_examples=150)
@given(mutated())
def test_answer_of_any_shape_raises_nothing_but_platform_errors(echo: DDacticStandIn, case: tuple[str, bytes]) -> None:
    call, body = case

    async def ask() -> None:
        echo.script(Fault(status=200, body=body))
        async with DDactic("write-key", base_url=echo.url) as client:
            try:
                await CALLS[call][1](client)
            except PlatformError as error:
                assert str(error).startswith(f"ddactic {call}: ")  # it may as well succeed

    asyncio.run(ask())


@pytest.mark.parametrize("body", [b"[" * 900 + b"]" * 900, b"[" * 5000, b"\xff\xfe", b"NaN", b'"\\ud800"'])
@pytest.mark.parametrize("call", sorted(CALLS))
async def test_answer_that_nobody_can_read_is_an_error_of_the_platform(call: str, body: bytes) -> None:
    async with answering(body) as client:
        with pytest.raises(OffContract):
            await CALLS[call][1](client)


def test_every_error_of_the_client_is_one_of_the_gateway() -> None:
    assert issubclass(PlatformError, GatewayError)
    assert issubclass(PostureUsage, GatewayError)


# --- large answers ----------------------------------------------------------------------------------------------------


def found_of(count: int) -> bytes:
    """That many findings, as the platform writes them."""
    one = copy.deepcopy(FINDINGS[0])
    return json.dumps({"findings": [one | {"id": f"fnd_{number}"} for number in range(count)]}).encode()


async def test_findings_of_a_large_answer_are_read_while_the_event_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    readers, read = [], ddactic_client._findings

    def noted(answer: Node, scan_id: str) -> list[Finding]:
        readers.append(threading.get_ident())
        return read(answer, scan_id)

    monkeypatch.setattr(ddactic_client, "_findings", noted)
    for count in (1, 2000):
        async with answering(found_of(count)) as ddactic:
            assert len(await ddactic.findings("scn_1")) == count

    assert readers[0] == threading.get_ident() != readers[1]


async def test_findings_in_a_number_that_no_scan_has_are_off_the_contract() -> None:
    body = b'{"findings": [' + b"{}," * 100_000 + b"{}]}"
    async with answering(body) as ddactic:
        with pytest.raises(OffContract, match="findings: got a list of 100001; expected at most 100000"):
            await ddactic.findings("scn_1")


async def test_answer_of_millions_of_values_is_refused_before_they_fill_the_memory() -> None:
    async with answering(b"[" + b"{}," * 2_500_000 + b"{}]") as ddactic:
        with pytest.raises(OffContract, match="got over 5000000 values; expected at most 5000000"):
            await ddactic.findings("scn_1")


async def test_secret_in_a_large_answer_is_starred_however_it_is_written() -> None:
    escaped = "".join(f"\\u{ord(one):04x}" for one in "a-key-1")
    body = found_of(1000).replace(b"fnd_7\"", f'fnd_7{escaped}"'.encode())
    async with answering(body) as ddactic:
        ddactic.caller.redaction.add("a-key-1")
        assert (await ddactic.findings("scn_1"))[7].id == "fnd_7***"
