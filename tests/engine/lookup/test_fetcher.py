"""Documents of others, from a real web server."""

from __future__ import annotations

import gzip
import ssl

import pytest
from engine.lookup.web_server import Page, WebServer

from gateway.engine.lookup.fetcher import Document, Fetcher, is_fetchable
from gateway.errors import FetchFailed


@pytest.mark.parametrize(
    ("url", "fetchable"),
    [
        ("https://www.bing.com/toolbox/bingbot.json", True),
        ("https://192.0.2.1/", True),
        ("http://127.0.0.1:8000/list", True),
        ("http://[::1]/list", True),
        ("http://localhost/list", True),
        ("http://www.bing.com/", False),
        ("http://localhost.example/", False),
        ("http://127.0.0.1.example/", False),
        ("ftp://127.0.0.1/", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_url_is_fetched_over_https_or_from_loopback(url: str, fetchable: bool) -> None:
    assert is_fetchable(url) is fetchable


async def test_document_comes_with_its_tag_and_age(web_server: WebServer) -> None:
    web_server.pages["/list"] = Page(b"192.0.2.1", headers={"ETag": '"1"', "Cache-Control": "public, max-age=600"})

    async with Fetcher() as fetcher:
        assert await fetcher.fetch(f"{web_server.url}/list") == Document(b"192.0.2.1", '"1"', 600)
        assert await fetcher.fetch(f"{web_server.url}/list", etag='"1"') == Document(None, '"1"', 600)


async def test_document_comes_over_tls_from_who_it_should(tls_server: WebServer, trust: ssl.SSLContext) -> None:
    tls_server.pages["/list"] = Page(b"x", headers={"Cache-Control": "no-store, max-age=9"})

    async with Fetcher(tls=trust) as fetcher:
        assert await fetcher.fetch(f"{tls_server.url}/list") == Document(b"x", "", 0)
    async with Fetcher() as stranger:
        with pytest.raises(FetchFailed, match="Certificate"):
            await stranger.fetch(f"{tls_server.url}/list")


async def test_redirect_is_followed_but_never_from_https_to_loopback(
    tls_server: WebServer, web_server: WebServer, trust: ssl.SSLContext
) -> None:
    tls_server.pages["/old"] = Page(status=301, headers={"Location": "/new"})
    tls_server.pages["/new"] = Page(b"here")
    tls_server.pages["/trap"] = Page(status=302, headers={"Location": f"{web_server.url}/secret"})
    tls_server.pages["/loop"] = Page(status=302, headers={"Location": "/loop"})

    async with Fetcher(tls=trust) as fetcher:
        assert (await fetcher.fetch(f"{tls_server.url}/old")).body == b"here"
        with pytest.raises(FetchFailed, match="https only"):
            await fetcher.fetch(f"{tls_server.url}/trap")
        with pytest.raises(FetchFailed, match="over 3 times"):
            await fetcher.fetch(f"{tls_server.url}/loop")
        with pytest.raises(FetchFailed, match="over 0 times"):
            await fetcher.fetch(f"{tls_server.url}/old", redirects=0)
    assert web_server.asked == []


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(status=404), "answered 404"),
        (Page(status=304), "answered 304"),
        (Page(b"x" * 101), "over 100 bytes"),
        (Page(gzip.compress(b"x" * 1000), headers={"Content-Encoding": "gzip"}), "compressed"),
        (Page(status=302, headers={"Location": "ftp://127.0.0.1/"}), "https only"),
        (Page(status=302), "over 3 times"),
        (Page(silent=True), "within 0.05 s"),
    ],
)
async def test_anything_but_the_document_is_a_failure(web_server: WebServer, page: Page, reason: str) -> None:
    web_server.pages["/list"] = page

    async with Fetcher(max_bytes=100, timeout_s=0.05 if page.silent else 10.0) as fetcher:
        with pytest.raises(FetchFailed, match=reason):
            await fetcher.fetch(f"{web_server.url}/list?key=secret")


async def test_server_that_is_gone_is_a_failure_that_does_not_show_the_query() -> None:
    async with Fetcher() as fetcher:
        with pytest.raises(FetchFailed, match="ClientConnectorError") as raised:
            await fetcher.fetch("http://127.0.0.1:9/list?key=secret")
    assert "secret" not in str(raised.value)
