"""The sample origin, asked as the gateway asks it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from yarl import URL

from gateway.demo.origin import DOWNLOAD_LIMIT_BYTES, PATTERN, SampleOrigin


@pytest.fixture
def origin() -> Iterator[SampleOrigin]:
    with SampleOrigin() as running:
        yield running


@pytest.fixture
async def client(origin: SampleOrigin) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{origin.port}") as session:
        yield session


async def test_page_of_protected_request_marks_who_added_each_header(client: aiohttp.ClientSession) -> None:
    headers = {"Via": "1.1 gateway", "X-Forwarded-For": "192.0.2.7", "X-DataDome-isbot": "0", "Accept": "text/html"}
    async with client.get("/", headers=headers) as response:
        page = await response.text()
    assert response.status == 200
    assert "Allowed." in page and "Not protected." not in page
    assert '<tr class="protection"><td>X-DataDome-isbot</td><td>0</td></tr>' in page
    assert '<tr class="gateway"><td>X-Forwarded-For</td><td>192.0.2.7</td></tr>' in page
    assert '<tr class=""><td>Accept</td><td>text/html</td></tr>' in page


async def test_page_of_direct_request_says_not_protected(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as response:
        page = await response.text()
    assert "Not protected." in page and "Allowed." not in page


async def test_page_with_markup_in_header_escapes_it(client: aiohttp.ClientSession) -> None:
    async with client.get("/", headers={"X-Evil": "<script>$rows</script>"}) as response:
        page = await response.text()
    assert "&lt;script&gt;$rows&lt;/script&gt;" in page and "<script>" not in page


async def test_echo_of_json_returns_headers_size_and_digest(client: aiohttp.ClientSession) -> None:
    body = b'{"basket": [1, 2]}'
    headers = {"Content-Type": "application/json", "X-Plan": "gold"}
    async with client.post(URL("/api/echo?q=%2F", encoded=True), data=body, headers=headers) as response:
        echo = await response.json()
    assert ["X-Plan", "gold"] in echo.pop("headers")
    assert echo == {
        "method": "POST",
        "target": "/api/echo?q=%2F",
        "body_bytes": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "json": {"basket": [1, 2]},
    }


async def test_echo_of_broken_json_returns_none(client: aiohttp.ClientSession) -> None:
    async with client.post("/api/echo", data=b"{", headers={"Content-Type": "application/json"}) as response:
        assert (await response.json())["json"] is None


async def test_upload_in_chunks_returns_size_and_digest(client: aiohttp.ClientSession) -> None:
    pieces = [PATTERN] * 40

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async with client.post("/upload", data=body()) as response:
        answer = await response.json()
    assert answer == {"bytes": 40 * len(PATTERN), "sha256": hashlib.sha256(b"".join(pieces)).hexdigest()}


@pytest.mark.parametrize("size_bytes", [0, 1, len(PATTERN) - 1, len(PATTERN), 3 * len(PATTERN) + 17])
async def test_download_of_any_size_sends_the_pattern(client: aiohttp.ClientSession, size_bytes: int) -> None:
    async with client.get(f"/download?bytes={size_bytes}") as response:
        body = await response.read()
    assert response.content_length == size_bytes
    assert body == (PATTERN * 4)[:size_bytes]


@pytest.mark.parametrize("wanted", ["x", "-1", "", "1e3", "٣", str(DOWNLOAD_LIMIT_BYTES + 1), "9" * 5000])
async def test_download_of_no_or_too_large_size_gets_400(client: aiohttp.ClientSession, wanted: str) -> None:
    async with client.get("/download", params={"bytes": wanted}) as response:
        assert (response.status, response.content_type) == (400, "text/plain")


async def test_style_is_static_and_unknown_path_gets_404(client: aiohttp.ClientSession) -> None:
    async with client.get("/style.css") as response:
        assert (response.status, response.content_type) == (200, "text/css")
    async with client.get("/nothing") as response:
        assert response.status == 404


def test_origin_after_its_block_has_closed_its_port() -> None:
    import socket

    with SampleOrigin() as origin:
        port = origin.port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
