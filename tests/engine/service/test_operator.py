"""The operator's paths on a real server: who may ask, what is answered, and what the next decision makes of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from engine.browser_requests import BROWSER_REQUESTS
from engine.service.operated import KEY, Operated

from gateway.engine.override import MAX_OVERRIDES, Override, Overrides
from gateway.engine.service.listener import bind
from gateway.engine.store import store_of
from gateway.metrics import Totals

NOW_S = 1_800_000_000.0
BROWSER = {**BROWSER_REQUESTS["chrome navigates"], "IP": "198.51.100.7", "Key": KEY}
BAN = {"subject": "198.51.100.0/24", "action": "block", "for_s": 600, "reason": "scraping"}
PATHS = ["/metrics", "/engine/status", "/engine/overrides", "/engine/nothing"]


class Client:
    """Asks one engine. Answers are (status, text)."""

    def __init__(self, session: aiohttp.ClientSession, base: str, key: str) -> None:
        self._session = session
        self._base = base
        self._key = key

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        sent = body if isinstance(body, bytes | None) else orjson.dumps(body)
        given = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with self._session.request(method, self._base + path, data=sent, headers=given | headers) as answer:
            return answer.status, await answer.text()

    async def judge(self, **fields: Any) -> int:
        """The status of a decision about a browser."""
        headers = {"Content-Type": "application/json"}
        return (await self.ask("POST", "/validate-request", {**BROWSER, **fields}, **headers))[0]


@contextlib.asynccontextmanager
async def asking(operated: Operated, key: str = KEY) -> AsyncIterator[Client]:
    sock = bind("127.0.0.1:0")
    base = f"http://127.0.0.1:{sock.getsockname()[1]}"
    async with operated.serving(sock), aiohttp.ClientSession() as session:
        yield Client(session, base, key)


@pytest.mark.parametrize("path", PATHS)
async def test_path_without_a_key_is_refused_over_tcp(path: str) -> None:
    async with asking(Operated(), key="") as client:
        status, text = await client.ask("GET", path)
        assert (status, text) == (401, "expected `Authorization: Bearer KEY` with one of engine.keys\n")


@pytest.mark.parametrize("authorization", ["Bearer other", f"Basic {KEY}", KEY, "Bearer", f"Bearer {KEY}x", "Bearer é"])
async def test_path_with_another_key_is_refused(authorization: str) -> None:
    async with asking(Operated(), key="") as client:
        assert (await client.ask("GET", "/engine/overrides", Authorization=authorization))[0] == 401


@pytest.mark.parametrize("path", PATHS)
async def test_path_of_an_engine_without_keys_is_forbidden_over_tcp_and_says_what_to_do(path: str) -> None:
    async with asking(Operated(keys=()), key="any") as client:
        status, text = await client.ask("GET", path)
        assert status == 403 and "put one into engine.keys" in text


async def test_healthz_is_open_to_everybody() -> None:
    async with asking(Operated(keys=()), key="") as client:
        assert await client.ask("GET", "/healthz") == (200, '{"status":"ok"}')


async def test_every_configured_key_is_accepted() -> None:
    async with asking(Operated(keys=("new", KEY))) as client:
        assert (await client.ask("GET", "/engine/overrides"))[0] == 200


async def test_unix_socket_needs_no_key(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    connector = aiohttp.UnixConnector(path)
    async with (
        Operated(keys=(), trusted=True).serving(bind(f"unix:{path}")),
        aiohttp.ClientSession(connector=connector) as session,
    ):
        assert await Client(session, "http://engine", "").ask("GET", "/engine/overrides") == (200, '{"overrides":[]}')


async def test_ban_is_in_force_for_the_next_decision_and_ends_by_itself() -> None:
    now_s = [NOW_S]
    async with asking(Operated(clock=lambda: now_s[0])) as client:
        assert await client.judge() == 200
        status, text = await client.ask("PUT", "/engine/overrides", BAN)
        put = {"subject": "198.51.100.0/24", "action": "block", "until_s": NOW_S + 600, "reason": "scraping",
               "created_s": NOW_S}  # fmt: skip
        assert (status, orjson.loads(text)) == (200, {"override": put})
        assert await client.judge() == 403
        assert await client.judge(IP="192.0.2.9") == 200
        assert orjson.loads((await client.ask("GET", "/engine/overrides"))[1]) == {"overrides": [put]}
        now_s[0] += 600
        assert await client.judge() == 200
        assert orjson.loads((await client.ask("GET", "/engine/overrides"))[1]) == {"overrides": []}


async def test_first_override_in_memory_is_said_to_end_with_the_process(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gateway.engine")
    async with asking(Operated()) as client:
        for _ in range(2):
            await client.ask("PUT", "/engine/overrides", BAN)
    assert [record.message for record in caplog.records if "end with this process" in record.message] == [
        "decisions by hand end with this process; with a shared engine.store.url they would not"
    ]


async def test_allow_passes_a_script_and_delete_takes_it_back() -> None:
    async with asking(Operated()) as client:
        script = {"UserAgent": "curl/8.9.1", "IP": "2001:db8::1"}
        assert await client.judge(**script) == 403
        await client.ask("PUT", "/engine/overrides", {"subject": "2001:DB8::/64", "action": "allow", "for_s": 60})
        assert await client.judge(**script) == 200
        encoded = "/engine/overrides?subject=2001%3Adb8%3A%3A%2F64"
        assert await client.ask("DELETE", encoded) == (200, '{"removed":true}')
        assert await client.judge(**script) == 403
        assert await client.ask("DELETE", "/engine/overrides?subject=2001:db8::/64") == (200, '{"removed":false}')


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{", "the body is not JSON: "),
        (b"[]", "the body is no JSON object; expected subject, action, for_s and perhaps reason"),
        ({**BAN, "for": 1}, "got 'for'; expected subject, action, for_s, reason"),
        ({**BAN, "subject": "nobody"}, "got 'nobody'; expected an address, a network or session:ID"),
        ({**BAN, "subject": "198.51.100.7/24"}, "got '198.51.100.7/24'; expected "),
        ({**BAN, "subject": 1}, "expected subject, action and reason as strings"),
        ({**BAN, "action": "stop"}, "got the action 'stop' for 198.51.100.0/24; expected block or allow"),
        ({**BAN, "subject": "session:abc"}, "got the action 'block' for session:abc; expected revoke"),
        ({**BAN, "for_s": 0}, "for_s: expected seconds, over 0"),
        ({**BAN, "for_s": "10m"}, "for_s: expected seconds, over 0"),
        ({**BAN, "for_s": True}, "for_s: expected seconds, over 0"),
        ({"subject": "192.0.2.1", "action": "block"}, "for_s: expected seconds, over 0"),
        ({**BAN, "for_s": 10**9}, "for_s: expected seconds, over 0"),
    ],
)
async def test_override_that_is_none_is_400_with_the_reason(body: Any, complaint: str) -> None:
    operated = Operated()
    async with asking(operated) as client:
        status, text = await client.ask("PUT", "/engine/overrides", body)
        assert status == 400 and text.startswith(complaint)
        assert len(operated.store.overrides) == 0


@pytest.mark.parametrize("query", ["", "?subject=", "?subject=a&subject=b", "?subject=nobody", "?other=192.0.2.1"])
async def test_delete_without_one_subject_is_400(query: str) -> None:
    async with asking(Operated()) as client:
        assert (await client.ask("DELETE", f"/engine/overrides{query}"))[0] == 400


async def test_too_many_overrides_are_400_and_change_nothing() -> None:
    operated = Operated(clock=lambda: NOW_S)
    networks = (f"10.{number >> 8}.{number & 255}.0/24" for number in range(MAX_OVERRIDES - 1))
    operated.store.overrides = Overrides(Override.of(each, "block", NOW_S + 60, "", NOW_S) for each in networks)
    async with asking(operated) as client:
        assert (await client.ask("PUT", "/engine/overrides", BAN))[0] == 200
        status, text = await client.ask("PUT", "/engine/overrides", {**BAN, "subject": "203.0.113.9"})
        assert (status, text) == (400, f"there are {MAX_OVERRIDES} overrides in force, which is the limit\n")


async def test_store_that_is_gone_is_503_with_the_reason() -> None:
    store = store_of("valkey://127.0.0.1:1")
    async with asking(Operated(store=store)) as client:
        for method in ("PUT", "GET"):
            status, text = await client.ask(method, "/engine/overrides", BAN if method == "PUT" else None)
            assert status == 503 and text.startswith("valkey://127.0.0.1:1 is not reached (")
        assert (await client.ask("GET", "/engine/status"))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/engine/nothing", (404, "nothing is served here; there are ")),
        ("POST", "/engine/overrides", (405, "expected GET or PUT or DELETE")),
        ("DELETE", "/engine/status", (405, "expected GET")),
    ],
)
async def test_what_is_not_there_is_refused(method: str, path: str, expected: tuple[int, str]) -> None:
    async with asking(Operated()) as client:
        status, text = await client.ask(method, path)
        assert status == expected[0] and text.startswith(expected[1])


async def test_status_shows_what_the_engine_knows_and_what_it_counted() -> None:
    async with asking(Operated()) as client:
        for _ in range(3):
            await client.judge()
        await client.judge(UserAgent="curl/8.9.1")
        status = orjson.loads((await client.ask("GET", "/engine/status"))[1])
        assert status["policy"] == {"source": "preset moderate"}
        assert status["decisions"] == {"allow": 3, "block": 1}
        assert status["rules"] == {"default": {"allow": 3}, "automation": {"block": 1}}
        assert status["top_rules"] == [{"rule": "automation", "action": "block", "count": 1}]
        assert status["visitors"] == {"human": {"allow": 3}, "library": {"block": 1}}


async def test_metrics_are_everything_since_the_start_in_the_text_format() -> None:
    async with asking(Operated()) as client:
        for expected in (1, 2):
            await client.judge(UserAgent="curl/8.9.1")
            status, text = await client.ask("GET", "/metrics")
            line = f'gateway_engine_decisions_total{{action="block",rule="automation"}} {expected}.0'
            assert status == 200 and line in text.splitlines()


async def test_supervisor_gets_each_count_once_whoever_looks_in_between() -> None:
    operated = Operated(supervised=True)
    supervisor = Totals()
    async with asking(operated) as client:
        for _ in range(3):
            await client.judge(UserAgent="curl/8.9.1")
            await client.ask("GET", "/metrics")
            await client.judge(UserAgent="curl/8.9.1")
            supervisor.add("engine", operated.counts.take())
    assert supervisor.count("gateway_engine_decisions_total", "rule") == {"automation": 6}
    assert operated.counts.totals().count("gateway_engine_decisions_total", "rule") == {"automation": 6}
