"""What the Chromium of this machine sends when a program drives it: really started, read from its sockets."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass, field
from shutil import which

import trustme
from playwright.async_api import Browser, async_playwright

EXECUTABLE = which("chromium") or which("chromium-browser") or ""
HOST = "shop.example"
TIMEOUT_S = 60.0
_ARGUMENTS = (
    "--disable-gpu", "--disable-quic", "--disable-sync", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
)  # fmt: skip
_PAGE = b"<!doctype html><link rel=icon href=data:,><img src=/shoe.php><script>fetch('/stock')</script>"
_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
_REQUESTS = 3  # the page, its picture, its fetch


@dataclass
class Site:
    """Answers everything with a small page and keeps the request heads."""

    heads: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(_PAGE), _PAGE)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the browser closes its connections when it likes
        finally:
            writer.close()


def driven_requests() -> dict[str, list[bytes]]:
    """How it was driven -> the heads of the requests of one page over https. Needs EXECUTABLE."""
    return asyncio.run(asyncio.wait_for(_drive(), TIMEOUT_S))


async def _drive() -> dict[str, list[bytes]]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context)
    url = f"https://{HOST}:{server.sockets[0].getsockname()[1]}/"
    recorded: dict[str, list[bytes]] = {}
    async with async_playwright() as playwright:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root

        async def visit(name: str, user_agent: str | None = None, *arguments: str) -> str:
            browser = await playwright.chromium.launch(
                executable_path=EXECUTABLE, headless=True, args=[*_ARGUMENTS, *root, *arguments]
            )
            try:
                recorded[name] = await _visit(browser, site, url, user_agent)
                return browser.version
            finally:
                await browser.close()

        version = await visit("with defaults")
        linux = _user_agent("X11; Linux x86_64", version)
        windows = _user_agent("Windows NT 10.0; Win64; x64", version)
        await visit("user agent of Windows by option", None, f"--user-agent={windows}")
        await visit("user agent of Windows by driver", windows)
        await visit("user agent of Firefox by driver", _FIREFOX)
        await visit("user agent of an older Chrome by driver", _user_agent("X11; Linux x86_64", "131"))
        await visit("user agent of Linux by driver", linux)
    server.close()
    return recorded


async def _visit(browser: Browser, site: Site, url: str, user_agent: str | None) -> list[bytes]:
    site.heads.clear()
    context = await browser.new_context(ignore_https_errors=True, user_agent=user_agent)
    page = await context.new_page()
    await page.goto(url, wait_until="networkidle")
    await context.close()
    if len(site.heads) < _REQUESTS:
        raise RuntimeError(f"got {len(site.heads)} requests of a page, expected {_REQUESTS}")
    return list(site.heads)


def _user_agent(system: str, version: str) -> str:
    major = version.partition(".")[0]
    return f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36"
