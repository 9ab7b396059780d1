"""A browser, the gateway, the embedded engine and an origin: challenged, solved, through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from browser import chromium, needs_chromium, visitor
from fakes import RecordingOrigin
from playwright.async_api import Browser, Page
from processes import BROWSER, GatewayProcess, until

POLICY = """
preset: none
rules:
  - {name: known, match: {path: ^/open}, action: allow}
  - {name: ask, action: challenge}
"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest.fixture
async def gateway(run, tmp_path: Path, origin: RecordingOrigin) -> GatewayProcess:
    page = b"<!doctype html><link rel=icon href=data:,><h1>Welcome</h1>"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page)
    origin.default = head + page
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    engine = {"policy": str(policy), "challenge": {"difficulty": 12, "wait": "1s"}}
    return await run(engine=engine)


async def opened(page: Page, gateway: GatewayProcess, target: str) -> None:
    """Returns when the origin's page is there."""
    await page.goto(f"http://127.0.0.1:{gateway.port}{target}", wait_until="commit")
    await page.wait_for_selector("h1:text('Welcome')", timeout=30_000)


def targets(origin: RecordingOrigin) -> list[bytes]:
    return [request.head.start.split()[1] for request in origin.requests]


@needs_chromium
async def test_browser_is_challenged_once_and_comes_back_to_the_same_address(
    browser: Browser, gateway: GatewayProcess, origin: RecordingOrigin
) -> None:
    async with visitor(browser) as context:
        page = await context.new_page()
        await opened(page, gateway, "/shop?a=b%2Fc&d=#part")
        assert page.url.endswith("/shop?a=b%2Fc&d=#part")
        await opened(page, gateway, "/next")
    assert targets(origin) == [b"/shop?a=b%2Fc&d=", b"/next"]
    results = await gateway.samples("gateway_engine_challenges_total", "result")
    assert (results["proved"], results["waited"]) == (1, 0)
    outcomes = await gateway.samples("gateway_requests_total", "outcome")
    assert (outcomes["challenged"], outcomes["allowed"]) == (1, 2)


@needs_chromium
async def test_browser_without_javascript_waits_and_comes_back_to_the_same_address(
    browser: Browser, gateway: GatewayProcess, origin: RecordingOrigin
) -> None:
    async with visitor(browser, java_script_enabled=False) as context:
        page = await context.new_page()
        await opened(page, gateway, "/shop?a=b%2Fc&d=")
        assert page.url.endswith("/shop?a=b%2Fc&d=")
        await opened(page, gateway, "/next")
    assert targets(origin) == [b"/shop?a=b%2Fc&d=", b"/next"]
    results = await gateway.samples("gateway_engine_challenges_total", "result")
    assert (results["proved"], results["waited"]) == (0, 1)
    outcomes = await gateway.samples("gateway_requests_total", "outcome")
    assert (outcomes["challenged"], outcomes["redirected"], outcomes["allowed"]) == (1, 1, 2)


async def test_stopped_visitor_is_named_by_rule_in_the_metrics(gateway: GatewayProcess) -> None:
    before = await gateway.samples("gateway_engine_decisions_total", "rule")  # the gateway's own first call
    assert (await gateway.ask(BROWSER)).status == 403
    after = await gateway.samples("gateway_engine_decisions_total", "rule")
    assert after["ask"] - before["ask"] == 1


async def test_changed_policy_is_taken_over_and_a_broken_one_is_not(gateway: GatewayProcess, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"

    async def passes() -> bool:
        return (await gateway.ask(BROWSER)).status == 200

    policy.write_text("preset: none")
    await until(passes, "the new policy")
    policy.write_text("preset: nonsense")

    async def refused() -> bool:
        return (await gateway.samples("gateway_engine_policy_last_reload_successful"))[""] == 0

    await until(refused, "the refusal of the broken policy")
    assert await passes()
    assert "policy.yaml:1: preset: got 'nonsense'; expected one of permissive" in gateway.log
    assert b"engine policy" in (await gateway.admin(b"/readyz")).body
