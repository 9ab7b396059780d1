"""The vendor's own module for ASGI applications (`datadome-asgi` of PyPI, as it is) asks `gateway engine` over TLS.

The module trusts the test authority by SSL_CERT_FILE, which is how an operator would make it trust a private one. What
is behind it is an application that tells which headers reached it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import yaml
from conftest import Certificates
from datadome_asgi import DataDomeMiddleware
from processes import START_S, free_port

PATIENCE_MS = 5000  # the module's default of 150 is a busy machine's failure
VISITOR = ("81.2.69.142", 52_811)
CHROME = {
    "Host": "shop.example",
    "Connection": "keep-alive",
    "sec-ch-ua": '"Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Windows"',
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
}
CURL = {"Host": "shop.example", "User-Agent": "curl/8.9.1", "Accept": "*/*"}


async def application(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Answers with the headers that it got, as JSON."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x-application", b"1")]}
    await send(start)
    await send({"type": "http.response.body", "body": orjson.dumps(headers)})


@pytest.fixture
async def endpoint(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    """host:port of a running `gateway engine` whose certificate httpx trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    address = f"localhost:{free_port()}"
    tls = {"certificate": str(certificates.certificate_file), "private_key": str(certificates.key_file)}
    file = tmp_path / "engine.yaml"
    file.write_text(yaml.safe_dump({"engine": {"keys": ["secret"], "listen": {"address": address, "tls": tls}}}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "engine", "-c", str(file), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        await until_serving(process.stderr)
        yield address
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(START_S):
            await process.communicate()


async def until_serving(log: asyncio.StreamReader) -> None:
    """Reads the log up to the line that says so; it ends without one if the engine does."""
    lines = []
    async with asyncio.timeout(START_S):
        while line := await log.readline():
            lines.append(line)
            if b"serving the Protection API" in line:
                return
    raise AssertionError(b"".join(lines).decode())


Visit = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def visit(endpoint: str) -> AsyncIterator[Visit]:
    """`await visit(headers, key=...)`: one request to the application, through the module."""
    modules: list[DataDomeMiddleware] = []

    async def ask(
        headers: dict[str, str], *, key: str = "secret", method: str = "GET", content: bytes = b""
    ) -> httpx.Response:
        module = DataDomeMiddleware(application, key, endpoint_host=endpoint, timeout=PATIENCE_MS)
        modules.append(module)
        request = httpx.Request(method, "https://shop.example/cart?step=2", headers=headers, content=content)
        response = await httpx.ASGITransport(module, client=VISITOR).handle_async_request(request)
        await response.aread()
        return response

    yield ask
    for module in modules:
        await module.http_client.aclose()


async def test_browser_reaches_the_application_with_what_the_engine_knows(visit: Visit) -> None:
    response = await visit(CHROME)

    seen = orjson.loads(response.content)
    assert (response.status_code, response.headers["x-application"]) == (200, "1")
    assert seen["x-datadome-isbot"] == "0"
    assert {"x-datadome-requestid", "x-datadome-ruletype", "x-datadome-botname"} <= set(seen)
    assert response.headers["x-datadome"] == "protected"
    assert response.headers["set-cookie"].startswith("datadome=")
    assert "Secure" in response.headers["set-cookie"]


async def test_browser_that_comes_back_with_its_cookie_goes_straight_through(visit: Visit) -> None:
    cookie = (await visit(CHROME)).headers["set-cookie"].partition(";")[0]

    response = await visit({**CHROME, "Cookie": cookie})

    assert orjson.loads(response.content)["x-datadome-isbot"] == "0"


async def test_session_by_header_comes_back_in_its_own_header(visit: Visit) -> None:
    response = await visit({**CHROME, "X-DataDome-ClientID": "none-of-ours"})

    assert response.headers["x-set-cookie"].startswith("datadome=")
    assert "set-cookie" not in response.headers


async def test_script_gets_the_engines_page_and_never_reaches_the_application(visit: Visit) -> None:
    response = await visit(CURL)

    assert response.status_code == 403
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.content.startswith(b"<!DOCTYPE html>") or response.content.startswith(b"<!doctype html>")
    assert "x-application" not in response.headers


async def test_script_that_speaks_json_gets_json(visit: Visit) -> None:
    response = await visit({**CURL, "Content-Type": "application/json"}, method="POST", content=b"{}")

    assert (response.status_code, response.headers["x-dd-b"]) == (403, "1")
    assert response.headers["content-type"].startswith("application/json")
    assert "request_id" in orjson.loads(response.content)


async def test_wrong_key_lets_everybody_pass(visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    response = await visit(CURL, key="another")

    assert (response.status_code, response.headers["x-application"]) == (200, "1")
    assert "x-datadome-isbot" not in orjson.loads(response.content)
    assert [record.message for record in caplog.records if record.name.startswith("datadome")] == [
        'Header "x-datadomeresponse" not found in DataDome API response, skipping DataDome'
    ]
