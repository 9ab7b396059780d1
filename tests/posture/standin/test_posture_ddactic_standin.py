"""The stand-in of DDactic refuses, and notes, what the document does not have; what it has goes on by polls alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from posture.standin.ddactic import RESET_S, DDacticStandIn

KEY = {"Authorization": "Bearer write-key"}


@pytest.fixture
def platform() -> Iterator[DDacticStandIn]:
    with DDacticStandIn(now_s=lambda: RESET_S - 1) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def asked(
    session: aiohttp.ClientSession, platform: DDacticStandIn, method: str, path: str, **options: Any
) -> tuple[int, str, dict[str, str]]:
    """(status, `error.code` or "", headers)."""
    async with session.request(method, platform.url + path, **({"headers": KEY} | options)) as response:
        body = await response.json() if response.content_type == "application/json" else {}
        return response.status, body.get("error", {}).get("code", ""), dict(response.headers)


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/domain", {}),
        ("POST", "/scans/scn_0001", {"json": {}}),
        ("GET", "/scans", {}),
        ("PUT", "/domains", {}),
        ("PATCH", "/domains", {}),
        ("DELETE", "/scans/scn_0001", {}),
        ("GET", "/domains?page=2", {}),
        ("GET", "/domains?limit=101", {}),
        ("GET", "/domains?limit=0", {}),
        ("GET", "/domains?offset=-1", {}),
        ("GET", "/domains", {"json": {}}),
        ("POST", "/domains", {"json": {"domain": "a.example", "type": "dns"}}),
        ("POST", "/domains", {"json": {"domain": 7}}),
        ("POST", "/domains", {"json": ["a.example"]}),
        ("POST", "/domains", {"data": {"domain": "a.example"}}),
        ("POST", "/domains", {"data": b"{", "headers": KEY | {"Content-Type": "application/json"}}),
        ("POST", "/domains?domain=a.example", {"json": {"domain": "a.example"}}),
        ("POST", "/scans", {"json": {"domain_id": "dom_0001", "type": "nmap"}}),
        ("POST", "/scans", {"json": {"type": "full"}}),
        ("GET", "/scans/scn_0001?full=1", {}),
        ("GET", "/scans/scn_0001/report?format=xml", {}),
        ("GET", "/scans/scn_0001/report?type=short", {}),
        ("GET", "/scans/scn_0001/report?download=1", {}),
    ],
)
async def test_call_that_the_document_does_not_have_is_refused_and_noted(
    session: aiohttp.ClientSession, platform: DDacticStandIn, method: str, path: str, options: dict[str, Any]
) -> None:
    status, code, _ = await asked(session, platform, method, path, **options)
    assert (status in (400, 404), code, len(platform.undocumented)) == (True, "undocumented", 1)


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer wrong", "bearer write-key", "Basic write-key", "write-key"])
async def test_key_that_is_missing_or_wrong_is_unauthorized(
    session: aiohttp.ClientSession, platform: DDacticStandIn, value: str
) -> None:
    headers = {"Authorization": value} if value else {}
    assert (await asked(session, platform, "GET", "/domains", headers=headers))[:2] == (401, "unauthorized")


async def test_every_answer_has_the_headers_of_the_rate_limit(
    session: aiohttp.ClientSession, platform: DDacticStandIn
) -> None:
    platform.rate.left = 3
    for path, left in (("/domains", "2"), ("/nothing", "1"), ("/scans/none", "0"), ("/domains", "0")):
        status, _, headers = await asked(session, platform, "GET", path)
        assert headers["X-RateLimit-Limit"] == "300"
        assert headers["X-RateLimit-Remaining"] == left
        assert headers["X-RateLimit-Reset"] == "1702900000"
    assert status == 429


async def test_script_of_the_rate_limit_refuses_as_often_as_it_says(
    session: aiohttp.ClientSession, platform: DDacticStandIn
) -> None:
    platform.exhaust(2, reset_s=RESET_S + 5, headers={"Retry-After": "5"})
    answers = [await asked(session, platform, "GET", "/domains") for _ in range(3)]
    assert [(status, code) for status, code, _ in answers] == [(429, "rate_limited")] * 2 + [(200, "")]
    assert (answers[0][2]["Retry-After"], answers[0][2]["X-RateLimit-Reset"]) == ("5", "1702900005")


async def test_scan_goes_on_with_every_poll(session: aiohttp.ClientSession, platform: DDacticStandIn) -> None:
    platform.polls = 4
    await asked(session, platform, "POST", "/scans", json={"domain_id": "dom_0001"})
    statuses = []
    for _ in range(5):
        await asked(session, platform, "GET", "/scans/scn_0001")
        statuses.append(platform.scans["scn_0001"].status)
    assert statuses == ["queued", "running", "running", "completed", "completed"]
    assert platform.undocumented == []
