"""The challenge in a real browser: through with a script, through without, and never in a circle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from browser import chromium, chromium_with_preferences, needs_chromium, visitor
from engine.challenge.challenged_site import ChallengedSite, Seen, serve
from playwright.async_api import Browser, Frame, Page

pytestmark = needs_chromium

TARGET = "/a/b?x=%2f%20'&y=%E9&&url=http://x/?a=b&z=a+b;c&"  # a browser sends ' as %27
RAW_TARGET = TARGET.replace("'", "%27")
NO_WORKER = "delete self.Worker"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest.fixture
async def site() -> AsyncIterator[ChallengedSite]:
    async with serve(ChallengedSite()) as served:
        yield served


async def through(page: Page | Frame) -> None:
    """Returns when the shop's page is there."""
    await page.wait_for_selector("h1:text('Welcome')", timeout=30_000)


async def told(page: Page | Frame, text: str) -> None:
    """Returns when the challenge page has stopped and says this."""
    await page.wait_for_selector(f"[role=status]:has-text({text!r})", timeout=30_000)
    await page.wait_for_selector("button:visible")


async def test_browser_solves_and_is_back_on_the_page_and_then_straight_through(
    browser: Browser, site: ChallengedSite
) -> None:
    async with visitor(browser) as context:
        page = await context.new_page()
        violations: list[str] = []
        page.on("console", lambda message: violations.append(message.text) if "Policy" in message.text else None)
        page.on("pageerror", lambda error: violations.append(str(error)))
        await page.goto(f"{site.url}{TARGET}#the-fragment", wait_until="commit")
        await through(page)
        assert page.url == f"{site.url}{RAW_TARGET}#the-fragment"
        await page.goto(f"{site.url}/next")
        await through(page)
        assert site.requests == [
            Seen("GET", RAW_TARGET, "challenged"),
            Seen("GET", RAW_TARGET, "proved"),
            Seen("GET", "/next", "session"),
        ]
        assert violations == []
        cookies = [(cookie["name"], cookie["path"], cookie["sameSite"]) for cookie in await context.cookies()]
        assert cookies == [("datadome", "/", "Lax")]


async def test_browser_without_workers_solves_on_the_page(browser: Browser, site: ChallengedSite) -> None:
    async with visitor(browser) as context:
        await context.add_init_script(NO_WORKER)
        page = await context.new_page()
        await page.goto(f"{site.url}{TARGET}", wait_until="commit")
        await through(page)
        assert site.outcomes == ["challenged", "proved"]


async def test_browser_where_a_foreign_policy_forbids_workers_solves_on_the_page(
    browser: Browser, site: ChallengedSite
) -> None:
    site.foreign_policy = "worker-src 'none'"
    async with visitor(browser) as context:
        page = await context.new_page()
        await page.goto(site.url, wait_until="commit")
        await through(page)
        assert site.outcomes == ["challenged", "proved"]


async def test_browser_without_javascript_waits_and_is_back_on_the_page(browser: Browser, site: ChallengedSite) -> None:
    async with visitor(browser, java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(f"{site.url}{TARGET}", wait_until="commit")
        await through(page)
        assert page.url == f"{site.url}{RAW_TARGET}"
        assert site.outcomes == ["challenged", "waited", "session"]
        assert site.requests[2] == Seen("GET", RAW_TARGET, "session")


async def test_browser_under_a_foreign_policy_without_inline_scripts_waits(
    browser: Browser, site: ChallengedSite
) -> None:
    site.foreign_policy = "default-src 'self'"
    async with visitor(browser) as context:
        page = await context.new_page()
        await page.goto(f"{site.url}{TARGET}", wait_until="commit")
        await through(page)
        assert page.url == f"{site.url}{RAW_TARGET}"
        assert site.outcomes == ["challenged", "waited", "session"]


async def test_browser_that_cannot_compute_waits_after_all(browser: Browser, site: ChallengedSite) -> None:
    async with visitor(browser) as context:
        await context.add_init_script(f"{NO_WORKER}; delete self.MessageChannel")
        page = await context.new_page()
        await page.goto(f"{site.url}{TARGET}", wait_until="commit")
        await through(page)
        assert site.outcomes == ["challenged", "waited", "session"]


async def test_script_that_runs_has_made_the_refresh_inert(browser: Browser, site: ChallengedSite) -> None:
    site.difficulty = 22
    async with visitor(browser) as context:
        page = await context.new_page()
        await page.goto(site.url, wait_until="domcontentloaded")
        assert await page.locator("meta[http-equiv=refresh]").count() == 0
        kept = "document.querySelector('template').content.querySelector('meta').httpEquiv"
        assert await page.evaluate(kept) == "refresh"
        assert await page.locator(".waiting").count() == 0


async def test_browser_with_cookies_off_is_told_so_and_does_not_reload(site: ChallengedSite, tmp_path: Path) -> None:
    cookies_off = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    async with chromium_with_preferences(tmp_path, cookies_off) as context:
        page = await context.new_page()
        await page.goto(site.url, wait_until="commit")
        await told(page, "does not keep cookies")
        assert site.outcomes == ["challenged"]
        assert await page.locator("progress").is_hidden()


async def test_sandboxed_frame_has_no_cookies_and_is_told_so(browser: Browser, site: ChallengedSite) -> None:
    async with visitor(browser) as context:
        page = await context.new_page()
        await page.goto(f"{site.url}/framing?allow-scripts", wait_until="commit")
        await told(await _inner(page), "does not keep cookies")
        assert site.outcomes == ["challenged"]


async def test_frame_of_the_site_itself_solves_inside(browser: Browser, site: ChallengedSite) -> None:
    async with visitor(browser) as context:
        page = await context.new_page()
        await page.goto(f"{site.url}/framing", wait_until="commit")
        await through(await _inner(page))
        assert site.requests == [Seen("GET", "/inner?q=1", "challenged"), Seen("GET", "/inner?q=1", "proved")]


async def _inner(page: Page) -> Frame:
    element = await page.wait_for_selector("iframe")
    frame = await element.content_frame()
    assert frame
    return frame


async def test_browser_whose_proofs_are_refused_stops_after_three_reloads_and_can_try_again(
    browser: Browser, site: ChallengedSite
) -> None:
    site.accepts = False
    async with visitor(browser) as context:
        page = await context.new_page()
        await page.goto(site.url, wait_until="commit")
        await told(page, "still does not open")
        assert site.outcomes == ["challenged"] * 4
        site.accepts = True
        await page.get_by_role("button", name="Try again").click()
        await through(page)
        assert site.outcomes[-1] == "proved"


async def test_browser_without_a_memory_reloads_once(browser: Browser, site: ChallengedSite) -> None:
    site.accepts = False
    async with visitor(browser) as context:
        await context.add_init_script("Object.defineProperty(window, 'sessionStorage', {get() { throw new Error() }})")
        page = await context.new_page()
        await page.goto(site.url, wait_until="commit")
        await told(page, "still does not open")
        assert site.outcomes == ["challenged"] * 2


async def test_older_cookies_of_other_paths_and_domains_do_not_hide_the_proof(
    browser: Browser, site: ChallengedSite
) -> None:
    host = "www.shop.localhost"  # Chromium resolves *.localhost to the loopback address by itself
    async with visitor(browser) as context:
        old = {"name": "datadome", "expires": -1, "httpOnly": False, "secure": False, "sameSite": "Lax"}
        await context.add_cookies(
            [
                {**old, "value": "of-the-domain", "domain": ".shop.localhost", "path": "/"},
                {**old, "value": "of-the-path", "domain": host, "path": "/a"},
                {**old, "value": "of-both", "domain": ".shop.localhost", "path": "/a/b"},
                {**old, "value": "of-before", "domain": host, "path": "/"},
            ]
        )
        page = await context.new_page()
        await page.goto(f"http://{host}:{site.port}/a/b/c?d", wait_until="commit")
        await through(page)
        assert site.outcomes == ["challenged", "proved"]
        assert len(await context.cookies()) == 1


async def test_form_that_was_challenged_is_left_to_its_sender_with_the_proof_at_hand(
    browser: Browser, site: ChallengedSite
) -> None:
    """Browsers ask before they load the answer to a form again; without a screen nobody says yes."""
    async with visitor(browser) as context:
        page = await context.new_page()
        await page.goto(f"{site.url}/open")
        await page.get_by_role("button", name="Order").click(no_wait_after=True)
        await page.wait_for_url("**/order?n=1", wait_until="commit")
        await told(page, "send your form again")
        assert site.requests == [Seen("POST", "/order?n=1", "challenged")]
        again = await context.new_page()
        await again.goto(f"{site.url}/open")
        await again.get_by_role("button", name="Order").click()
        await through(again)
        assert site.requests[1:] == [Seen("POST", "/order?n=1", "proved")]
        assert site.bodies == [b"item=tea"]


async def test_page_tells_assistive_technology_what_goes_on(browser: Browser, site: ChallengedSite) -> None:
    site.difficulty = 22
    async with visitor(browser, locale="de-DE", reduced_motion="reduce") as context:
        page = await context.new_page()
        await page.goto(site.url, wait_until="domcontentloaded")
        assert await page.get_attribute("html", "lang") == "de"
        assert await page.title() == "Einen Moment, bitte"
        assert await page.get_by_role("status").text_content() == "Ihr Browser wird geprüft …"
        assert await page.get_by_role("progressbar", name="Fortschritt der Prüfung").is_visible()
        assert await page.get_by_role("heading", level=1).count() == 1
        assert await page.get_by_role("button").count() == 0  # hidden until there is something to try again
