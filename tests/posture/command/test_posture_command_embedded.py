"""Scans that the gateway does itself, of a site on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from posture.assessment.own_site import Behaviour, OwnSite
from posture.command.commands import Operator, assert_finding, assert_scan

START = ("scan", "start", "localhost", "--provider", "embedded")
WEAK = Behaviour(headers={"Server": "nginx/1.18.0"}, limit=None)


@contextmanager
def served(site: OwnSite) -> Iterator[OwnSite]:
    """The site runs in a thread of its own: a command has this one."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with site:
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield site
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()


@pytest.fixture
def weak(operator: Operator) -> Iterator[OwnSite]:
    with served(OwnSite(WEAK)) as site:
        configure(operator, site)
        yield site


def configure(operator: Operator, site: OwnSite) -> None:
    settings = {"targets": {"localhost": {"url": site.url, "around": []}}, "timeout": "5s", "burst": 15}
    operator.configure("embedded", providers={"embedded": {**settings, "slow_head": "300ms"}})


def test_embedded_scan_runs_to_its_end_and_shows_what_it_found(operator: Operator, weak: OwnSite) -> None:
    ran = operator.run(*START, "--format", "json")

    assert ran.code == 0, ran.err
    document = ran.json
    assert list(document) == ["scan", "findings", "more"]
    assert_scan(document["scan"])
    for finding in document["findings"]:
        assert_finding(finding)
    scan = document["scan"]
    assert (scan["provider"], scan["target"], scan["type"], scan["status"]) == (
        "embedded", "localhost", "passive", "completed",
    )  # fmt: skip
    assert scan["completed_at"] >= scan["started_at"]
    assert {one["id"]: one["severity"] for one in document["findings"]}.items() >= {
        "tls-absent": "medium", "header-csp": "medium", "header-nosniff": "low", "header-frame": "low",
        "header-referrer": "info", "version-leak": "low",
    }.items()  # fmt: skip
    assert all(one["remediation"] and one["asset"] == "localhost" for one in document["findings"])
    assert sum(scan["counts"].values()) == len(document["findings"])
    assert ran.lines == [f"embedded {scan['id']}: completed"]
    assert len(weak.got) < 10


def test_embedded_scan_is_stored_and_read_back(operator: Operator, weak: OwnSite) -> None:
    started = operator.document(*START)
    asked = len(weak.got)

    shown = operator.document("scan", "show", started["scan"]["id"])

    assert shown == {"scan": started["scan"], "findings": started["findings"]}
    assert operator.document("scan", "show", started["scan"]["id"], "--wait") == shown
    assert operator.document("findings")["findings"] == started["findings"]
    assert operator.document("scan", "list")["scans"] == [started["scan"]]
    assert operator.document("scan", "list", "--status", "failed") == {"scans": [], "total": 0}
    assert len(weak.got) == asked


def test_embedded_scan_of_the_same_site_finds_the_same(operator: Operator, weak: OwnSite) -> None:
    first = {one["id"] for one in operator.document(*START)["findings"]}
    operator.document(*START)

    assert {one["id"] for one in operator.document("findings", "--open")["findings"]} == first
    assert operator.document("findings", "--new")["total"] == 0


@pytest.mark.parametrize(("fail_on", "code"), [("high", 0), ("medium", 3), ("info", 3)])
def test_fail_on_decides_over_an_embedded_scan(operator: Operator, weak: OwnSite, fail_on: str, code: int) -> None:
    started = operator.document(*START, "--fail-on", fail_on, code=code)

    operator.document("scan", "show", started["scan"]["id"], "--fail-on", fail_on, code=code)


def test_active_scan_finds_that_nothing_limits(operator: Operator, weak: OwnSite) -> None:
    document = operator.document(*START, "--type", "active")

    assert {one["id"] for one in document["findings"]} == {"rate-limit-absent"}
    assert len(weak.got) >= 15


def test_full_scan_does_both(operator: Operator) -> None:
    site = OwnSite(WEAK.but(head_timeout_s=None))
    with served(site):
        configure(operator, site)
        found = {one["id"] for one in operator.document(*START, "--type", "full")["findings"]}

    assert found >= {"rate-limit-absent", "slow-head", "tls-absent", "header-csp"}


def test_report_of_an_embedded_scan_is_its_document(operator: Operator, weak: OwnSite) -> None:
    started = operator.document(*START)
    file = operator.folder / "report.json"

    ran = operator.run("report", started["scan"]["id"], "--format", "json", "-o", str(file))

    assert ran.code == 0, ran.err
    assert json.loads(file.read_bytes()) == {"scan": started["scan"], "findings": started["findings"]}
    assert ran.json["report"]["provider"] == "embedded"


def test_verbose_says_each_request(operator: Operator, weak: OwnSite) -> None:
    lines = operator.run(*START, "-v").lines

    assert [line for line in lines if line.startswith("embedded GET / 200 ") and line.endswith(" ms")]


@pytest.mark.parametrize("target", ["example.com", "127.0.0.1", "LOCALHOST.", "http://localhost", "self", ""])
def test_target_that_is_not_ones_own_is_exit_2_and_nothing_is_sent(
    operator: Operator, weak: OwnSite, target: str
) -> None:
    said = operator.refused("scan", "start", target, "--provider", "embedded").err

    assert "is not a site of this configuration" in said
    assert weak.connections == 0


def test_site_of_the_gateway_needs_no_section(operator: Operator) -> None:
    site = {"hosts": ["127.9.8.7", "*.shop.example"], "origin": {"servers": ["http://127.0.0.1:9"]}}
    operator.configure("ddactic", sites=[site])

    assert operator.refused("scan", "start", "a.shop.example", "--provider", "embedded")
    ran = operator.run("scan", "start", "127.9.8.7", "--provider", "embedded", "-v")

    assert ran.code != 2  # who answers at its port 443 is not ours to say
    assert ran.lines[0].startswith("embedded GET / ")


def test_site_that_does_not_answer_is_exit_code_1(operator: Operator) -> None:
    targets = {"localhost": {"url": "http://127.0.0.1:9", "around": []}}  # discard: nobody listens
    operator.configure("embedded", providers={"embedded": {"targets": targets}})

    said = operator.failed(*START)

    assert said.startswith("embedded: localhost cannot be assessed: http://127.0.0.1:9/: ")


@pytest.mark.parametrize("command", [("scan", "show", "x"), ("report", "x", "--format", "json", "-o", "report.json")])
def test_embedded_scan_that_the_store_does_not_have_is_exit_code_1(
    operator: Operator, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    said = operator.failed(*command, "--provider", "embedded")

    assert said == "embedded: the store has no scan 'x'"
    assert not (tmp_path / "report.json").exists()
