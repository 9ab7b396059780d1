"""A session with SecuritySpace: one log-in for many calls, one renewal for all that found their token refused."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from fakes import eventually
from posture.standin.securityspace import KEY, PASSWORD, TOKEN_S, USERID, SecuritySpaceStandIn, write_ca
from posture.standin.server import Fault

from gateway.errors import CredentialsRefused, OffContract, PlatformFailed, PlatformUnreachable
from gateway.posture import SecuritySpace
from gateway.posture.client.manner import Manner

ZONES = [f"zone{number}.example.com" for number in range(10)]


@pytest.fixture
def ca(tmp_path: Path) -> str:
    return write_ca(tmp_path)


@pytest.fixture
def platform() -> Iterator[SecuritySpaceStandIn]:
    with SecuritySpaceStandIn() as server:
        for zone in ZONES:
            server.add_zone(zone)
        yield server
        assert server.undocumented == []


@pytest.fixture
async def client(platform: SecuritySpaceStandIn, ca: str) -> AsyncIterator[SecuritySpace]:
    async with client_of(platform, ca, concurrency=10) as securityspace:
        yield securityspace


def client_of(
    platform: SecuritySpaceStandIn, ca: str, *, password: str = PASSWORD, concurrency: int = 4
) -> SecuritySpace:
    manner = Manner(ca=ca, timeout_s=20.0, backoff_s=0.001)
    return SecuritySpace(KEY, USERID, password, base_url=platform.url, concurrency=concurrency, manner=manner)


def times(platform: SecuritySpaceStandIn) -> Counter[str]:
    """Path -> how often it was called."""
    return Counter(call.path for call in platform.calls)


def zones_asked(platform: SecuritySpaceStandIn) -> Counter[str]:
    """Zone -> how often its records were asked for."""
    bodies = [call.body.decode() for call in platform.calls if call.path == "/dnsGetDomainRecords.php"]
    return Counter(parse_qs(body)["domain"][0] for body in bodies)


async def ask_ten(client: SecuritySpace) -> None:
    answers = await asyncio.gather(*(client.zone(zone) for zone in ZONES))
    assert [answer.domain for answer in answers] == ZONES


async def test_ten_calls_at_a_time_log_in_once(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    await ask_ten(client)
    await ask_ten(client)
    assert times(platform) == {"/auth.php": 1, "/dnsGetDomainRecords.php": 20}
    assert parse_qs(platform.calls[0].body.decode()) == {"apikey": [KEY], "userid": [USERID], "password": [PASSWORD]}


@pytest.mark.parametrize("loss", ["expire", "forget_tokens"])
async def test_ten_calls_whose_token_is_refused_renew_it_once_and_are_repeated_once(
    client: SecuritySpace, platform: SecuritySpaceStandIn, loss: str
) -> None:
    await client.zones()
    platform.calls.clear()
    getattr(platform, loss)()
    platform.meet(10)  # all ten are there before one is answered
    await ask_ten(client)
    assert times(platform) == {"/auth.php": 1, "/dnsGetDomainRecords.php": 20}
    assert zones_asked(platform) == dict.fromkeys(ZONES, 2)


async def test_token_that_expires_between_two_calls_is_renewed_once(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    await client.zones()
    platform.calls.clear()
    platform.expire_after(3)
    await ask_ten(client)
    asked = zones_asked(platform)
    assert times(platform)["/auth.php"] == 1
    assert set(asked) == set(ZONES) and set(asked.values()) <= {1, 2}


async def test_token_is_good_for_a_day(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    await client.zones()
    platform.advance(TOKEN_S)
    await client.zones()
    assert times(platform)["/auth.php"] == 1
    platform.advance(1)
    await client.zones()
    await client.zones()
    assert times(platform)["/auth.php"] == 2


async def test_call_that_changes_something_is_repeated_and_done_once(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    await client.zones()
    platform.expire()
    await client.add_record(ZONES[0], "TXT", {"txtdata": "once"})
    assert times(platform)["/dnsAddTXT.php"] == 2
    assert [one.data["data"] for one in platform.zones[ZONES[0]].records if one.type == "TXT"] == ["once"]


@pytest.mark.parametrize("word", ["sessionTimeout", "sessionAuthenticationFailure"])
@pytest.mark.parametrize("path", ["/dnsGetDomainRecords.php", "/dnsPublish.php"])
async def test_token_that_is_refused_again_is_an_error(
    client: SecuritySpace, platform: SecuritySpaceStandIn, word: str, path: str
) -> None:
    await client.zones()
    platform.calls.clear()
    platform.refuse(path, word, word)
    with pytest.raises(CredentialsRefused, match=rf"securityspace POST {path}: .*{word}"):
        await (client.publish(ZONES[0]) if path == "/dnsPublish.php" else client.zone(ZONES[0]))
    assert platform.paths() == [f"POST {path}", "POST /auth.php", f"POST {path}"]
    await client.zones()


async def test_publication_with_errors_and_a_refused_token_is_repeated(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    body = json.dumps({"status": "-1", "error": "sessionTimeout", "errors": ["no session"]}).encode()
    platform.script(Fault(status=200, body=body, path="/dnsPublish.php"))
    assert (await client.publish(ZONES[0])).published


async def test_wrong_password_is_tried_once(platform: SecuritySpaceStandIn, ca: str) -> None:
    async with client_of(platform, ca, password="not this one") as client:
        failures = await asyncio.gather(*(client.zone(zone) for zone in ZONES), return_exceptions=True)
        assert {type(failure) for failure in failures} == {CredentialsRefused}
        with pytest.raises(CredentialsRefused, match=r"POST /auth\.php: .*invalidLogin"):
            await client.zones()
    assert platform.paths() == ["POST /auth.php"]


async def test_log_in_that_failed_for_the_platforms_fault_is_tried_again_by_a_later_call(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    platform.refuse("/auth.php", "tokenCreation")
    failures = await asyncio.gather(*(client.zone(zone) for zone in ZONES), return_exceptions=True)
    assert {type(failure) for failure in failures} == {PlatformFailed}
    await ask_ten(client)
    assert times(platform) == {"/auth.php": 2, "/dnsGetDomainRecords.php": 10}


async def test_log_in_is_repeated_as_a_call_that_reads(client: SecuritySpace, platform: SecuritySpaceStandIn) -> None:
    platform.script(Fault(status=503, path="/auth.php"), Fault(drop=True, path="/auth.php"))
    await client.zones()
    assert times(platform) == {"/auth.php": 3, "/dnsGetDomainList.php": 1}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"status": "0"}, "sessionToken: got nothing; expected a text"),
        ({"status": "0", "sessionToken": 7}, "sessionToken: got 7; expected a text"),
        ({"status": "0", "sessionToken": ""}, 'sessionToken: got ""; expected a token'),
        ({"sessionToken": "abc"}, "status: got nothing; expected 0, or another number with an error"),
        ([], "the answer: got a list of 0; expected an object"),
    ],
)
async def test_log_in_off_the_contract_names_the_field(
    client: SecuritySpace, platform: SecuritySpaceStandIn, answer: Any, message: str
) -> None:
    platform.script(Fault(status=200, body=json.dumps(answer).encode()))
    with pytest.raises(OffContract) as off:
        await client.zones()
    assert str(off.value) == f"securityspace POST /auth.php: {message}"


@pytest.mark.parametrize("token", ["twice the same", f"with {KEY} inside", "a&b=c+d%20é\u2028", "x"])
async def test_token_is_sent_as_it_came_and_hidden(platform: SecuritySpaceStandIn, ca: str, token: str) -> None:
    """Also where it comes a second time, when it is known as a secret."""
    login = Fault(status=200, body=json.dumps({"status": 0, "sessionToken": token}).encode(), path="/auth.php")
    platform.script(login, login)
    async with client_of(platform, ca) as client:
        platform.refuse("/dnsGetDomainList.php", "sessionTimeout")
        with pytest.raises(CredentialsRefused, match="sessionAuthenticationFailure"):  # the stand-in did not give it
            await client.zones()
        assert [parse_qs(call.body.decode())["sessionToken"] for call in platform.calls[1::2]] == [[token], [token]]
        echo = {"status": 0, "domain": token, "state": 0, "stateText": "", "records": {}}
        platform.script(Fault(status=200, body=json.dumps(echo).encode()))
        assert (await client.zone(ZONES[0])).domain == "***"


async def test_no_more_than_concurrency_calls_are_under_way(platform: SecuritySpaceStandIn, ca: str) -> None:
    async with client_of(platform, ca, concurrency=5) as client:
        await client.zones()
        platform.meet(5)
        await ask_ten(client)
    assert platform.peak == 5


async def test_call_that_is_given_up_does_not_stop_the_log_in_of_the_others(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    given_up, waiting = asyncio.create_task(client.zones()), asyncio.create_task(client.zone(ZONES[0]))
    await asyncio.sleep(0)  # both ask for a token
    given_up.cancel()
    assert (await waiting).domain == ZONES[0]
    assert given_up.cancelled()
    assert times(platform) == {"/auth.php": 1, "/dnsGetDomainRecords.php": 1}


async def test_client_that_is_closed_stops_its_log_in_and_may_be_used_again(
    client: SecuritySpace, platform: SecuritySpaceStandIn
) -> None:
    platform.script(Fault(hang=True, path="/auth.php"))
    asked = asyncio.create_task(client.zones())
    await eventually(lambda: platform.paths() == ["POST /auth.php"], "the log-in")
    await client.close()
    await client.close()
    with pytest.raises(PlatformUnreachable, match=r"^securityspace POST /auth\.php: the client was closed$"):
        await asked
    await ask_ten(client)
