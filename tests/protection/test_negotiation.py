"""`encoding: auto`: JSON, or form if JSON is refused, or form until somebody answers (contract section 1)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from fakes import RecordingProtection, Request, Script, ScriptSource, Step, decision
from heads import protection_settings

from gateway.metrics import Metrics
from gateway.pool.address import parse_server
from gateway.pool.pool import Pool, PoolLimits
from gateway.protection import negotiation as module
from gateway.protection.breaker import CLOSED, Breaker
from gateway.protection.client import ProtectionClient
from gateway.protection.negotiation import Negotiation
from gateway.protection.payload import PayloadBuilder

JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
Begin = Callable[[int], tuple[Negotiation, ProtectionClient]]


def refuses(*kinds: bytes, with_: bytes = b"") -> Callable[[Request], Script]:
    """An API that answers 400 (or what is given) to these content types."""
    refusal = with_ or decision(400)
    return lambda request: refusal if request.head.value(b"content-type") in kinds else decision(200)


@pytest.fixture
async def api() -> AsyncIterator[RecordingProtection]:
    server = RecordingProtection()
    await server.start()
    yield server
    await server.stop()
    assert server.violations == []


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    pools: list[Pool] = []

    def make(port: int) -> tuple[Negotiation, ProtectionClient]:
        pool = Pool(parse_server(f"http://127.0.0.1:{port}"), PoolLimits(4, 4, 60.0, 1.0))
        pools.append(pool)
        client = ProtectionClient(
            pool, Breaker(1, 10.0, 5.0), Metrics(), endpoint="api", encoding="form", timeout_s=0.1,
            max_answer_bytes=1000, strict=True, enforce_429=True,
        )  # fmt: skip
        builder = PayloadBuilder(protection_settings(), key="k-test", server_name="edge-1", version="1")
        return Negotiation(client, builder), client

    yield make
    for pool in pools:
        pool.abort()


async def test_negotiation_takes_json_if_the_api_does(begin: Begin, api: RecordingProtection) -> None:
    negotiation, client = begin(api.port)
    assert (await negotiation.first(), client.encoding, len(api.requests)) == (True, "json", 1)
    payload = api.payload(1)
    assert (payload["Key"], payload["IP"], payload["UserAgent"]) == ("k-test", "127.0.0.1", "Protection-Gateway-Probe")


@pytest.mark.parametrize("answer", [decision(403, body=b"no"), decision(302), decision(401), decision(429)])
async def test_negotiation_any_decision_means_that_the_encoding_is_taken(
    begin: Begin, api: RecordingProtection, answer: bytes
) -> None:
    api.default = answer
    negotiation, client = begin(api.port)
    assert (await negotiation.first(), client.encoding) == (True, "json")


@pytest.mark.parametrize(
    "refusal",
    [
        decision(400),
        decision(400, marker=None),
        decision(415, marker=None),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_negotiation_takes_form_if_json_is_refused(
    begin: Begin, api: RecordingProtection, refusal: bytes
) -> None:
    api.default = refuses(JSON, with_=refusal)
    negotiation, client = begin(api.port)
    assert (await negotiation.first(), client.encoding) == (True, "form")
    assert [request.head.value(b"content-type") for request in api.requests] == [JSON, FORM]


async def test_negotiation_both_refused_is_form_and_degraded_until_one_is_taken(
    begin: Begin, api: RecordingProtection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPEAT_S", 0.01)
    api.default = refuses(JSON, FORM)
    negotiation, client = begin(api.port)
    assert (await negotiation.first(), client.encoding, len(api.requests)) == (False, "form", 2)
    assert client.degraded_reason == module.REFUSED
    api.default = decision(200)
    await negotiation.until_settled()
    assert (client.encoding, client.degraded_reason) == ("json", "")


@pytest.mark.parametrize(
    "script",
    [
        [Step.RESET],
        [b"garbage\r\n\r\n", Step.CLOSE],
        decision(500),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_negotiation_without_a_valid_answer_is_form_for_now(
    begin: Begin, api: RecordingProtection, script: ScriptSource
) -> None:
    api.default = script
    negotiation, client = begin(api.port)
    client.use_encoding("json")
    assert (await negotiation.first(), client.encoding) == (False, "form")
    assert client.degraded_reason == module.UNANSWERED
    assert client.breaker.state == CLOSED, "a probe is no check"


async def test_negotiation_refused_connection_is_form_for_now(begin: Begin, unused_port: int) -> None:
    negotiation, client = begin(unused_port)
    assert (await negotiation.first(), client.encoding) == (False, "form")


async def test_negotiation_unanswered_is_given_up_in_its_time(
    begin: Begin, api: RecordingProtection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (module.FIRST_TRY_S, module.REPEAT_S) == (2.0, 30.0)
    monkeypatch.setattr(module, "FIRST_TRY_S", 0.05)
    api.default = [Step.STALL]
    negotiation, client = begin(api.port)
    assert (await negotiation.first(), client.encoding) == (False, "form")
    await api.lost(1)


async def test_negotiation_is_repeated_until_it_succeeds(
    begin: Begin, api: RecordingProtection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPEAT_S", 0.01)
    api.scripts.extend([[Step.RESET], decision(500)])
    negotiation, client = begin(api.port)
    await negotiation.until_settled()
    assert (client.encoding, len(api.requests)) == ("json", 3)
    assert client.degraded_reason == ""
