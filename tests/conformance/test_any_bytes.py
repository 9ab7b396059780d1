"""Whatever comes from any side: no callback raises, what leaves is legal HTTP/1.1, the next exchange works (I5, I6).

Each example takes a legal message and damages it: pieces cut out, doubled, replaced by bytes that matter to parsers.
"""

from __future__ import annotations

import contextlib

import pytest
from fakes import Step, TruncatedError, decision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

REQUEST = (
    b"POST /a;b=c?d=e%20f HTTP/1.1\r\nHost: shop.example:80\r\nCookie: datadome=x; a=b\r\nX-Forwarded-For: 1.2.3.4\r\n"
    b"Connection: keep-alive, x-a\r\nX-A: \xe9\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
    b"GET http://shop.example/b HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
)
ANSWER = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nConnection: x-b\r\nX-B: c\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
)
DECISION = decision(
    403,
    to_request=[(b"X-DataDome-isbot", b"1")],
    to_response=[(b"Set-Cookie", b"datadome=x"), (b"X-DD-B", b"1")],
    unlisted=[(b"Location", b"/x"), (b"Content-Type", b"text/html")],
    body=b"blocked",
)

TELLING = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"-1",
    b"f",
    b"\xff",
    b"\x80",
    b"%",
]
TELLING += [
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"HTTP/1.0",
    b"GET / HTTP/1.1\r\n",
    b"Upgrade: h2c\r\n",
]


@st.composite
def damaged(draw: st.DrawFn, message: bytes) -> bytes:
    """`message` after one to four edits."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(message)))
        end = min(len(message), start + draw(st.integers(0, 40)))
        filler = draw(st.sampled_from([b"", message[start:end] * 2, *TELLING]) | st.binary(max_size=6))
        message = message[:start] + filler + message[end:]
    return message


budget = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
async def world(edge):
    """One for all examples; what is not answered in 100 ms never is."""
    origin = {"response_timeout": "100ms", "health": {"passive_failures": 1_000_000}}
    return await edge({"protection": {"timeout": "100ms"}}, site={"origin": origin})


@budget
@given(sent=damaged(REQUEST))
async def test_any_request_bytes_leave_the_gateway_whole(world, sent):
    async with await world.connect() as client:
        client.send(sent)
        client.half_close()
        received = await client.read_to_end()
    assert received == b"" or received.startswith(b"HTTP/1.1 ")
    assert received.count(b"HTTP/1.1 2") <= len(world.origin.requests)
    await world.is_alive()
    assert world.origin.violations == world.protection.violations == []
    world.origin.requests.clear()
    world.protection.requests.clear()


@budget
@given(sent=damaged(ANSWER))
async def test_any_answer_bytes_of_the_origin_leave_the_gateway_whole(world, sent):
    world.origin.scripts.append([sent, Step.HALF_CLOSE, Step.STALL])
    with contextlib.suppress(TruncatedError):
        response = await world.ask(b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n")
        assert 200 <= response.status <= 999
    await world.is_alive()
    assert world.gateway.gauge("open_connections") <= 1


@budget
@given(sent=damaged(DECISION))
async def test_any_answer_bytes_of_the_api_are_a_decision_or_a_counted_failure(world, sent):
    before = world.gateway.count("protection_checks")
    world.protection.scripts.append([sent, Step.HALF_CLOSE, Step.STALL])
    response = await world.ask(b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert response.status in (200, 403)
    assert world.gateway.count("protection_checks") == before + 1
    world.protection.scripts.clear()
    await world.is_alive()
