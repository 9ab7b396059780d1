"""Whole assessments of real servers on loopback: a site without a fault, and each fault alone."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

import pytest
import trustme
from posture.assessment.conftest import Assess, Tls
from posture.assessment.own_site import Behaviour, OwnSite

from gateway.config.posture import Place
from gateway.errors import PostureUsage, ScanFailed
from gateway.posture.assessment import risk_score
from gateway.posture.assessment.catalogue import KINDS
from gateway.posture.finding import Finding
from gateway.posture.scan import Counts, ScanResult
from gateway.posture.watching import Clock, Watcher

GOOD = Behaviour()
PASSIVE = [kind.id for kind in KINDS if kind.id not in ("rate-limit-absent", "slow-head")]
ACTIVE = ["rate-limit-absent", "slow-head"]


def kinds(result: ScanResult) -> dict[str, str]:
    """Fixed id -> severity of what was found."""
    return {finding.id: finding.severity for finding in result.findings}


def only(result: ScanResult) -> Finding:
    (finding,) = result.findings
    return finding


async def test_site_without_a_fault_has_no_finding(scan: Assess, tls: Tls) -> None:
    async with OwnSite(tls=tls()) as site:
        result = await scan(site.url, "full")
    assert result.findings == ()
    assert result.scan.raw["probes"] == dict.fromkeys([*PASSIVE, *ACTIVE], "ok")
    assert (result.scan.status, result.scan.risk_score, result.scan.counts) == ("completed", 0.0, Counts())
    assert (result.scan.provider, result.scan.target, result.scan.type) == ("embedded", "localhost", "full")
    assert result.scan.id is not None and result.scan.id.startswith("emb_") and len(result.scan.id) == 20


async def test_requests_name_us_ask_no_compression_and_go_to_two_pages_alone(scan: Assess, tls: Tls) -> None:
    async with OwnSite(tls=tls()) as site:
        await scan(site.url)
    page, absent = site.got
    assert (page.target, page.host, page.accept_encoding) == ("/", f"localhost:{site.port}", "identity")
    assert page.user_agent.startswith("gateway-posture/")
    assert absent.target.startswith("/gateway-posture-")


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (GOOD.without("Strict-Transport-Security"), {"header-hsts": "medium"}),
        (GOOD.having(Strict_Transport_Security="max-age=0"), {"header-hsts": "medium"}),
        (GOOD.without("Content-Security-Policy"), {"header-csp": "medium"}),
        (GOOD.without("X-Content-Type-Options"), {"header-nosniff": "low"}),
        (GOOD.without("X-Frame-Options"), {"header-frame": "low"}),
        (GOOD.without("X-Frame-Options").having(Content_Security_Policy="frame-ancestors 'none'"), {}),
        (GOOD.without("Referrer-Policy"), {"header-referrer": "info"}),
        (GOOD.but(cookies=("theme=dark; Secure; HttpOnly",)), {"cookie-flags": "low"}),
        (GOOD.but(cookies=("PHPSESSID=1; Secure; SameSite=Lax",)), {"cookie-flags": "medium"}),
        (GOOD.having(Server="nginx/1.22.1"), {"version-leak": "low"}),
        (GOOD.having(X_Powered_By="PHP/8.2.7"), {"version-leak": "low"}),
        (GOOD.but(absent_body="<hr><center>Apache Tomcat/9.0.1</center>"), {"version-leak": "low"}),
        (GOOD.but(limit=None), {"rate-limit-absent": "medium"}),
        (GOOD.but(limited_status=403), {}),
        (GOOD.but(head_timeout_s=None), {"slow-head": "medium"}),
        (GOOD.but(status=301).having(Location="https://elsewhere.example/"), {}),
    ],
)
async def test_fault_of_a_site_is_found_alone(
    scan: Assess, tls: Tls, behaviour: Behaviour, expected: dict[str, str]
) -> None:
    async with OwnSite(behaviour, tls=tls()) as site:
        result = await scan(site.url, "full")
    assert kinds(result) == expected
    assert [name for name, said in result.scan.raw["probes"].items() if said != "ok"] == list(expected)
    for finding in result.findings:
        assert (finding.provider, finding.scan, finding.asset, finding.port) == (
            "embedded", result.scan.id, "localhost", site.port,
        )  # fmt: skip
        assert finding.remediation is not None and finding.remediation.summary and finding.remediation.commands
        assert "HOST" not in " ".join(finding.remediation.commands)


@pytest.mark.parametrize(
    ("days", "expected"),
    [(-1, {"tls-expiry": "critical"}), (5, {"tls-expiry": "high"}), (20, {"tls-expiry": "medium"}), (31, {})],
)
async def test_certificate_that_ends_is_found_by_its_days(
    scan: Assess, tls: Tls, days: float, expected: dict[str, str]
) -> None:
    async with OwnSite(tls=tls(days=days)) as site:
        result = await scan(site.url)
    assert kinds(result) == expected


async def test_certificate_of_an_unknown_authority_is_not_trusted_and_the_rest_goes_on(scan: Assess, tls: Tls) -> None:
    async with OwnSite(GOOD.without("Referrer-Policy"), tls=tls(issuer=trustme.CA())) as site:
        result = await scan(site.url)
    assert kinds(result) == {"tls-untrusted": "high", "header-referrer": "info"}


async def test_certificate_of_another_name_is_not_trusted(scan: Assess, tls: Tls) -> None:
    async with OwnSite(tls=tls(name="other.example")) as site:
        finding = only(await scan(site.url))
    assert finding.id == "tls-untrusted"
    assert "Hostname mismatch" in finding.description


async def test_certificate_that_is_over_and_of_another_name_is_both(scan: Assess, tls: Tls) -> None:
    async with OwnSite(tls=tls(name="other.example", days=-2)) as site:
        assert kinds(await scan(site.url)) == {"tls-expiry": "critical", "tls-untrusted": "high"}


async def test_certificate_of_a_private_authority_without_ca_is_not_trusted(scan: Assess, tls: Tls) -> None:
    async with OwnSite(tls=tls()) as site:
        assert kinds(await scan(site.url, ca=False)) == {"tls-untrusted": "high"}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("lowest", "highest", "named"),
    [
        (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3, ["TLS 1.0", "TLS 1.1"]),
        (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ["TLS 1.1"]),
        (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1, ["TLS 1.0"]),
    ],
)
async def test_old_tls_is_found_and_a_server_with_nothing_else_is_assessed(
    scan: Assess, tls: Tls, lowest: ssl.TLSVersion, highest: ssl.TLSVersion, named: list[str]
) -> None:
    context = tls()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = lowest, highest
    async with OwnSite(tls=context) as site:
        finding = only(await scan(site.url))
    assert (finding.id, finding.severity, finding.raw["evidence"]["accepted"]) == ("tls-old", "high", named)


async def test_site_without_tls_is_found_and_what_needs_tls_is_not_done(scan: Assess) -> None:
    async with OwnSite(GOOD.without("Strict-Transport-Security")) as site:
        result = await scan(site.url)
    assert kinds(result) == {"tls-absent": "medium"}
    not_done = {name for name, said in result.scan.raw["probes"].items() if said == "not done: the url is not https"}
    assert not_done == {"tls-old", "tls-untrusted", "tls-expiry", "header-hsts"}


async def test_origin_that_answers_around_the_gateway_is_found_with_this_deployments_lines(
    scan: Assess, tls: Tls
) -> None:
    async with OwnSite(tls=tls()) as site, OwnSite() as origin:
        around = f"http://127.0.0.1:{origin.port}"
        result = await scan(site.url, around=(around,), place=Place(egress=("203.0.113.5",)))
    finding = only(result)
    assert (finding.id, finding.severity, finding.port) == ("origin-direct", "high", origin.port)
    assert finding.remediation is not None
    assert any("203.0.113.5" in command for command in finding.remediation.commands)
    assert [(got.target, got.host) for got in origin.got] == [("/", "localhost")]
    assert finding.raw["evidence"]["answers"] == {f"{around}/": 200}


async def test_origin_over_tls_is_asked_with_the_sites_name(scan: Assess, tls: Tls) -> None:
    names: list[str | None] = []
    context = tls()
    context.sni_callback = lambda _tls, name, _context: names.append(name)
    async with OwnSite(tls=tls()) as site, OwnSite(tls=context) as origin:
        result = await scan(site.url, around=(f"https://127.0.0.1:{origin.port}",))
    assert (only(result).id, names) == ("origin-direct", ["localhost"])


async def test_origin_that_closes_without_an_answer_is_no_finding(scan: Assess, tls: Tls) -> None:
    context = tls()
    context.verify_mode = ssl.CERT_REQUIRED  # the origin wants the gateway's certificate
    async with OwnSite(tls=tls()) as site, OwnSite(tls=context) as origin:
        result = await scan(site.url, around=(f"https://127.0.0.1:{origin.port}",))
    assert result.findings == ()
    assert result.scan.raw["probes"]["origin-direct"] == "ok"


async def test_origin_that_takes_the_connection_and_is_silent_is_not_done(scan: Assess, tls: Tls) -> None:
    async with OwnSite(tls=tls()) as site, OwnSite(GOOD.but(head_timeout_s=None)) as mute:
        mute._answer = lambda head: b""  # type: ignore[method-assign]
        result = await scan(site.url, around=(f"http://127.0.0.1:{mute.port}",), timeout="300ms")
    assert result.scan.raw["probes"]["origin-direct"].startswith("not done: ")


async def test_redirect_is_not_followed(scan: Assess, tls: Tls) -> None:
    async with OwnSite() as elsewhere:
        behaviour = GOOD.but(status=301).having(Location=elsewhere.url)
        async with OwnSite(behaviour, tls=tls()) as site:
            await scan(site.url, "full", burst=5)
    assert elsewhere.connections == 0


async def test_active_makes_only_the_active_probes(scan: Assess, tls: Tls) -> None:
    async with OwnSite(GOOD.without("X-Frame-Options"), tls=tls()) as site:
        result = await scan(site.url, "active")
    assert result.scan.raw["probes"] == {"rate-limit-absent": "ok", "slow-head": "ok"}


async def test_burst_sends_as_many_requests_as_configured(scan: Assess, tls: Tls) -> None:
    async with OwnSite(GOOD.but(limit=None), tls=tls()) as site:
        result = await scan(site.url, "active", burst=17)
    assert len(site.got) == 1 + 17
    assert only(result).raw["evidence"]["statuses"] == {"200": 17}


async def test_findings_come_worst_first_and_are_counted(scan: Assess) -> None:
    async with OwnSite(GOOD.without("Referrer-Policy", "X-Frame-Options")) as site, OwnSite() as origin:
        result = await scan(site.url, around=(origin.url,))
    assert [finding.severity for finding in result.findings] == ["high", "medium", "low", "info"]
    assert result.scan.counts == Counts(high=1, medium=1, low=1, info=1)
    assert result.scan.risk_score == risk_score(["high", "medium", "low", "info"]) == 7.5


async def test_two_scans_differ_in_id_and_their_findings_have_the_same_fingerprint(scan: Assess, tls: Tls) -> None:
    async with OwnSite(GOOD.without("Referrer-Policy"), tls=tls()) as site:
        first, second = await scan(site.url), await scan(site.url)
    assert first.scan.id != second.scan.id
    assert only(first).fingerprint == only(second).fingerprint


async def test_site_that_nobody_serves_is_a_failed_scan(scan: Assess) -> None:
    async with OwnSite() as site:
        url = site.url
    with pytest.raises(ScanFailed, match="embedded: localhost cannot be assessed: http://localhost:"):
        await scan(url)


async def test_type_that_there_is_not_is_a_wrong_usage(scan: Assess) -> None:
    with pytest.raises(PostureUsage, match="'nmap'; expected one of passive, active, full"):
        await scan("http://localhost:9", "nmap")


async def test_watcher_and_clock_of_the_clients_fit(scan: Assess, tls: Tls) -> None:
    @dataclass
    class Heard:
        calls: list[Any]
        sentences: list[str]

    heard = Heard([], [])
    watcher = Watcher(on_call=heard.calls.append, on_wait=heard.sentences.append)
    async with OwnSite(tls=tls()) as site:
        result = await scan(site.url, "active", watcher=watcher, clock=Clock(now_s=lambda: 1_700_000_000.0), burst=3)
    assert {(call.provider, call.method, call.path, call.status) for call in heard.calls} == {
        ("embedded", "GET", "/", 200)
    }
    assert heard.sentences == [
        "embedded: sending 3 requests", "embedded: holding an unfinished request for at most 1 s",
    ]  # fmt: skip
    assert result.scan.started_at == result.scan.completed_at == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("severities", "score"),
    [([], 0.0), (["info"], 0.0), (["low"], 1.0), (["medium"], 3.0), (["high"], 6.0), (["high", "high"], 8.4),
     (["critical"], 9.0), (["critical"] * 9, 10.0)],
)  # fmt: skip
def test_risk_score_follows_its_formula(severities: list[Any], score: float) -> None:
    assert risk_score(severities) == score
