"""A real browser for tests: Debian's Chromium, driven by Playwright.

`async with chromium() as browser` starts one; `needs_chromium` marks tests that are skipped where there is none.
Headless Chromium calls itself HeadlessChrome, so `visitor(browser)` opens a context with the user agent of the same
browser with a screen.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Playwright, async_playwright

EXECUTABLE = which("chromium") or which("chromium-browser") or which("google-chrome") or ""
needs_chromium = pytest.mark.skipif(not EXECUTABLE, reason="chromium is not installed (Debian: apt install chromium)")

ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


def _options() -> dict[str, Any]:
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root
    return {"executable_path": EXECUTABLE, "args": [*ARGUMENTS, *root], "headless": True}


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**_options())
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def visitor(browser: Browser, **options: Any) -> AsyncIterator[BrowserContext]:
    """A new profile; `options` as of Browser.new_context (java_script_enabled, locale, color_scheme, viewport...)."""
    context = await browser.new_context(**{"user_agent": user_agent(browser), **options})
    try:
        yield context
    finally:
        await context.close()


def user_agent(browser: Browser) -> str:
    """As Chromium of that version sends it on a desktop with a screen."""
    major = browser.version.partition(".")[0]
    return f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36"


@contextlib.asynccontextmanager
async def chromium_with_preferences(folder: Path, preferences: Mapping[str, Any]) -> AsyncIterator[BrowserContext]:
    """A browser whose profile (in `folder`) has these preferences, as a person sets them: the settings of a context do
    not reach them all, cookies off for one."""
    (folder / "Default").mkdir()
    (folder / "Default" / "Preferences").write_text(json.dumps(preferences))
    async with async_playwright() as playwright:
        context = await _persistent(playwright, folder)
        try:
            yield context
        finally:
            await context.close()


async def _persistent(playwright: Playwright, folder: Path) -> BrowserContext:
    return await playwright.chromium.launch_persistent_context(str(folder), **_options())
