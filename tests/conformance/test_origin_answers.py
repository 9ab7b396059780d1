"""What an origin may answer and what the client gets of it (R rows; RFC 9110 6.4, RFC 9112 6.3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from fakes import OK, BlackHole, Script, Step, TruncatedError, decision, eventually

GET = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
HEAD = b"HEAD /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """The origin's `script` gives the client `status`, `body` and the header lines `fields` (names lowered)."""

    id: str
    script: Script
    status: int
    body: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()
    method: bytes = b"GET"


def ok(fields: bytes, body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n\r\n" + body


TE = (b"transfer-encoding", b"chunked")
ANSWERS = [
    Answer("length", ok(b"Content-Length: 5", b"hello"), 200, b"hello", ((b"content-length", b"5"),)),
    Answer("length-zero", ok(b"Content-Length: 0"), 200, b"", ((b"content-length", b"0"),)),
    Answer("chunked", ok(b"Transfer-Encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), 200, b"hello", (TE,)),
    Answer("chunked-upper", ok(b"Transfer-Encoding: Chunked", b"5\r\nhello\r\n0\r\n\r\n"), 200, b"hello", (TE,)),
    Answer("chunked-empty", ok(b"Transfer-Encoding: chunked", b"0\r\n\r\n"), 200, b"", (TE,)),
    Answer(
        "chunked-extension", ok(b"Transfer-Encoding: chunked", b"5;a=b\r\nhello\r\n0\r\n\r\n"), 200, b"hello", (TE,)
    ),
    Answer(
        "chunked-trailer", ok(b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"), 200, b"hello", (TE,)
    ),
    Answer("close-delimited", [ok(b"X-A: b", b"hel"), b"lo", Step.CLOSE], 200, b"hello", (TE, (b"x-a", b"b"))),
    Answer("close-delimited-empty", [ok(b"X-A: b"), Step.CLOSE], 200, b"", (TE, (b"x-a", b"b"))),
    Answer(
        "http-1.0-close", [b"HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nhello", Step.CLOSE], 200, b"hello", (TE, (b"x-a", b"b"))
    ),
    Answer(
        "http-1.0-length",
        [b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", Step.CLOSE],
        200,
        b"hello",
        ((b"content-length", b"5"),),
    ),
    Answer("204", ok(b"X-A: b", status=b"204 No Content"), 204, b"", ((b"x-a", b"b"),)),
    Answer("304", ok(b'ETag: "x"', status=b"304 Not Modified"), 304, b"", ((b"etag", b'"x"'),)),
    Answer(
        "304-with-length", ok(b"Content-Length: 5", status=b"304 Not Modified"), 304, b"", ((b"content-length", b"5"),)
    ),
    Answer("head-with-length", ok(b"Content-Length: 5"), 200, b"", ((b"content-length", b"5"),), b"HEAD"),
    Answer("head-chunked", ok(b"Transfer-Encoding: chunked\r\nX-A: b"), 200, b"", ((b"x-a", b"b"),), b"HEAD"),
    Answer("head-without", ok(b"X-A: b"), 200, b"", ((b"x-a", b"b"),), b"HEAD"),
    Answer("404", ok(b"Content-Length: 2", b"no", b"404 Nope"), 404, b"no", ((b"content-length", b"2"),)),
    Answer("500", ok(b"Content-Length: 2", b"no", b"500 Oh"), 500, b"no", ((b"content-length", b"2"),)),
    Answer(
        "503-is-the-origins-own",
        ok(b"Content-Length: 2\r\nRetry-After: 9", b"no", b"503 Busy"),
        503,
        b"no",
        ((b"content-length", b"2"), (b"retry-after", b"9")),
    ),
    Answer("unusual-status", ok(b"Content-Length: 0", status=b"599 Odd"), 599, b"", ((b"content-length", b"0"),)),
    Answer("no-reason", ok(b"Content-Length: 0", status=b"200 "), 200, b"", ((b"content-length", b"0"),)),
    Answer(
        "obs-text",
        ok(b"X-A: \xe9\xff\r\nContent-Length: 0"),
        200,
        b"",
        ((b"content-length", b"0"), (b"x-a", b"\xe9\xff")),
    ),
    Answer(
        "repeated-headers",
        ok(b"Link: a\r\nLink: b\r\nContent-Length: 0"),
        200,
        b"",
        ((b"content-length", b"0"), (b"link", b"a"), (b"link", b"b")),
    ),
    Answer(
        "encoded-body-untouched",
        ok(b'Content-Encoding: br\r\nETag: W/"1"\r\nContent-Length: 3', b"\x8b\x01\x80"),
        200,
        b"\x8b\x01\x80",
        ((b"content-encoding", b"br"), (b"content-length", b"3"), (b"etag", b'W/"1"')),
    ),
    Answer(
        "upgrade-header-in-200",
        ok(b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2", b"ok"),
        200,
        b"ok",
        ((b"content-length", b"2"),),
    ),
    Answer(
        "upgrade-header-in-426",
        ok(b"Upgrade: TLS/1.2\r\nContent-Length: 2", b"no", b"426 Upgrade"),
        426,
        b"no",
        ((b"content-length", b"2"),),
    ),
]

OURS = frozenset((b"connection", b"date", b"via", b"x-request-id", b"keep-alive"))


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.id)
async def test_answer_legal_reaches_the_client_whole_and_the_connection_goes_on(edge, answer):
    world = await edge()
    world.origin.scripts.append(answer.script)
    async with await world.connect() as client:
        client.send(answer.method + GET[3:])
        response = await client.read_response(answer.method)
        client.send(NEXT)
        following = await client.read_response()
    assert (response.status, response.body, response.until_close) == (answer.status, answer.body, False)
    got = [pair for pair in response.head.lowered if pair[0] not in OURS]
    if answer.method == b"HEAD":  # RFC 9112 6.1: of an answer to HEAD, Transfer-Encoding may be left out
        got = [pair for pair in got if pair != TE]
    assert sorted(got) == sorted(answer.fields)
    assert (following.status, following.body) == (200, b"ok")
    assert [request.line for request in world.origin.requests] == [answer.method + b" /a HTTP/1.1", NEXT[:18]]


async def test_answer_without_length_to_http_1_0_ends_with_the_connection(edge):
    """HTTP/1.0 knows no chunks: the end of the connection is the end of the body."""
    world = await edge()
    world.origin.default = ok(b"Transfer-Encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
    async with await world.connect() as client:
        client.send(b"GET /a HTTP/1.0\r\nHost: shop.example\r\nConnection: keep-alive\r\n\r\n")
        response = await client.read_response()
    assert (response.body, response.until_close) == (b"hello", True)
    assert response.values(b"transfer-encoding") == []


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: X-H\r\nX-H: 1\r\n\r\n"


async def test_interim_answers_are_relayed_before_the_final_one(edge):
    """RFC 9110 15.2: one 103 more is forwarded as it comes, without waiting for the rest."""
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([INTERIM, gate, b"HTTP/1.1 102 Processing\r\n\r\n", OK])
    async with await world.connect() as client:
        client.send(GET)
        hints = await client.read_head()
        gate.set()
        response = await client.read_response()
    assert hints.start.startswith(b"HTTP/1.1 103 ")
    assert hints.values(b"link") == [b"</a.css>"]
    assert hints.values(b"x-h") == []
    assert [head.start.split(b" ")[1] for head in response.interim] == [b"102"]
    assert (response.status, response.body) == (200, b"ok")


async def test_interim_answers_never_reach_http_1_0(edge):
    world = await edge()
    world.origin.scripts.append(INTERIM + OK)
    async with await world.connect() as client:
        client.send(b"GET /a HTTP/1.0\r\nHost: shop.example\r\n\r\n")
        response = await client.read_response()
    assert (response.status, response.body, response.interim) == (200, b"ok", ())


async def test_interim_answer_does_not_take_the_decisions_headers(edge):
    """The merge is for the answer, and only once."""
    world = await edge()
    world.protection.default = decision(200, to_response=[(b"Set-Cookie", b"datadome=n")])
    world.origin.scripts.append(INTERIM + OK)
    response = await world.ask(GET)
    assert [head.values(b"set-cookie") for head in response.interim] == [[]]
    assert response.values(b"set-cookie") == [b"datadome=n"]


async def test_answer_streams_before_it_is_complete(edge):
    """Neither a counted nor a chunked body waits for its end: an event stream depends on it (N12)."""
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append(
        [
            ok(b"Transfer-Encoding: chunked\r\nContent-Type: text/event-stream", b"3\r\none\r\n"),
            gate,
            b"3\r\ntwo\r\n0\r\n\r\n",
        ]
    )
    async with await world.connect() as client:
        client.send(GET)
        head = await client.read_head()
        assert head.values(b"transfer-encoding") == [b"chunked"]
        assert await client.read_exactly(8) == b"3\r\none\r\n"
        gate.set()
        assert await client.read_exactly(13) == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_answer_before_the_request_body_is_relayed_at_once(edge):
    """A 413 of the origin's own while the upload runs: the client gets it, whatever becomes of the rest."""
    world = await edge()
    world.origin.scripts.append([Step.EARLY, ok(b"Content-Length: 3", b"big", b"413 Too big"), Step.CLOSE])
    async with await world.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000)
        response = await client.read_response()
    assert (response.status, response.body) == (413, b"big")


# ---- broken answers --------------------------------------------------------------------------------------------------

BROKEN = {
    "R01-two-lengths": ok(b"Content-Length: 2\r\nContent-Length: 5", b"hello"),
    "R01-length-list": ok(b"Content-Length: 2, 5", b"hello"),
    "R01-bad-length": ok(b"Content-Length: +5", b"hello"),
    "R01-negative-length": ok(b"Content-Length: -1", b"hello"),
    "R01-empty-length": ok(b"Content-Length:", b"hello"),
    "R01-chunked-and-length": ok(b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"5\r\nhello\r\n0\r\n\r\n"),
    "R01-length-and-chunked": ok(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    "R01-unknown-encoding": ok(b"Transfer-Encoding: xchunked", b"5\r\nhello\r\n0\r\n\r\n"),
    "R01-gzip-chunked": ok(b"Transfer-Encoding: gzip, chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    "R01-chunked-twice": ok(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    "R01-space-before-colon": ok(b"Transfer-Encoding : chunked", b"0\r\n\r\n"),
    "R06-unsolicited-101": ok(b"Upgrade: websocket\r\nConnection: upgrade", status=b"101 Switching"),
    "R10-nul": ok(b"X-A: a\x00b\r\nContent-Length: 0"),
    "R10-control": ok(b"X-A: a\x01b\r\nContent-Length: 0"),
    "R10-bare-cr": ok(b"X-A: a\rb\r\nContent-Length: 0"),
    "R10-bare-lf": ok(b"X-A: a\nX-B: b\r\nContent-Length: 0"),
    "R10-obs-fold": ok(b"X-A: a\r\n b\r\nContent-Length: 0"),
    "R10-bad-name": ok(b"X A: b\r\nContent-Length: 0"),
    "R10-colon-alone": ok(b": b\r\nContent-Length: 0"),
    "R10-megabyte-head": ok(b"X-A: " + b"a" * 1_000_000 + b"\r\nContent-Length: 0"),
    "R11-garbage": b"\x00\x01garbage\r\n\r\n",
    "R11-http-0.9": b"<html>hello</html>\r\n\r\n",
    "R11-http-2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "R11-status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "R11-status-letters": b"HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_answer_broken_is_502_and_its_connection_is_dropped(edge, answer):
    world = await edge()
    world.origin.scripts.append([answer, Step.STALL])
    async with await world.connect() as client:
        client.send(GET)
        response = await client.read_response()
        assert response.status == 502
        await world.origin.lost(1)
        client.send(NEXT)
        assert (await client.read_response()).body == b"ok"
    assert [request.connection for request in world.origin.requests] == [1, 2]
    assert sum(world.gateway.counts("origin_failures").values()) == 1
    await world.counted("requests", {("shop", "GET", "5xx", "allowed"): 1, ("shop", "GET", "2xx", "allowed"): 1})


NOTHING = {
    "closed": [Step.CLOSE],
    "reset": [Step.RESET],
    "closed-in-the-head": [b"HTTP/1.1 200 OK\r\nX-A", Step.CLOSE],
    "reset-in-the-head": [b"HTTP/1.1 200 OK\r\nX-A: b\r\n", Step.RESET],
    "closed-after-100": [b"HTTP/1.1 100 Continue\r\n\r\n", Step.CLOSE],
}


@pytest.mark.parametrize("script", NOTHING.values(), ids=NOTHING)
async def test_answer_missing_is_502(edge, script):
    world = await edge()
    world.origin.scripts.append(script)
    response = await world.ask(b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi")
    assert response.status == 502
    assert response.value(b"x-request-id")
    assert len(world.origin.requests) == 1
    assert sum(world.gateway.counts("origin_failures").values()) == 1


CUT = {
    "length": [ok(b"Content-Length: 10", b"hello")],
    "chunked": [ok(b"Transfer-Encoding: chunked", b"5\r\nhello\r\n")],
    "chunked-in-a-chunk": [ok(b"Transfer-Encoding: chunked", b"a\r\nhello")],
}


@pytest.mark.parametrize("end", [Step.CLOSE, Step.RESET])
@pytest.mark.parametrize("script", CUT.values(), ids=CUT)
async def test_answer_cut_off_is_cut_off_for_the_client_too(edge, script, end):
    """R03: a client must never take a part for the whole, so no last chunk and no clean end."""
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([*script, gate, end])
    async with await world.connect() as client:
        client.send(GET)
        head = await client.read_head()
        gate.set()
        rest = await client.read_to_end()
    assert head.start.startswith(b"HTTP/1.1 200 ")
    assert rest.replace(b"5\r\nhello\r\n", b"hello") == b"hello"
    assert sum(world.gateway.counts("origin_failures").values()) == 1


async def test_answer_close_delimited_and_reset_is_no_clean_end(edge):
    """Without a length a reset is the only sign that something is missing: no last chunk for it."""
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([ok(b"X-A: b", b"hello"), gate, Step.RESET])
    async with await world.connect() as client:
        client.send(GET)
        with pytest.raises(TruncatedError) as caught:
            gate.set()
            await client.read_response()
    assert caught.value.body in (b"", b"hello")


MALFORMED_LATER = {
    "chunk-size": [ok(b"Transfer-Encoding: chunked", b"5\r\nhello\r\n"), b"zz\r\n"],
    "chunk-end": [ok(b"Transfer-Encoding: chunked", b"5\r\nhello\r\n"), b"2\r\nabXX0\r\n\r\n"],
    "chunk-overflow": [ok(b"Transfer-Encoding: chunked", b"5\r\nhello\r\n"), b"FFFFFFFFFFFFFFFFF\r\n"],
}


@pytest.mark.parametrize("script", MALFORMED_LATER.values(), ids=MALFORMED_LATER)
async def test_answer_malformed_in_the_body_is_no_clean_end(edge, script):
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([script[0], gate, script[1], Step.STALL])
    async with await world.connect() as client:
        client.send(GET)
        await client.read_head()
        gate.set()
        rest = await client.read_to_end()
    assert not rest.endswith(b"0\r\n\r\n")
    assert rest.startswith(b"5\r\nhello\r\n")
    await world.origin.lost(1)


BODY_WHERE_NONE_MAY_BE = {
    "head": (HEAD, ok(b"Content-Length: 5", b"hello")),
    "204": (GET, ok(b"X-A: b", b"hello", b"204 No Content")),
    "204-length": (GET, ok(b"Content-Length: 5", b"hello", b"204 No Content")),
    "304": (GET, ok(b"Content-Length: 5", b"hello", b"304 Not Modified")),
}


@pytest.mark.parametrize(("request_bytes", "answer"), BODY_WHERE_NONE_MAY_BE.values(), ids=BODY_WHERE_NONE_MAY_BE)
async def test_answer_body_where_none_may_be_is_stripped_and_the_connection_dropped(edge, request_bytes, answer):
    """R04: the stray bytes are never the start of the next answer."""
    world = await edge()
    world.origin.scripts.append(answer)
    async with await world.connect() as client:
        client.send(request_bytes)
        response = await client.read_response(request_bytes.split(b" ")[0])
        assert response.body == b""
        assert response.status != 204 or response.values(b"content-length") == []  # RFC 9110 8.6
        client.send(NEXT)
        assert (await client.read_response()).body == b"ok"
    assert [request.connection for request in world.origin.requests] == [1, 2]


async def test_answer_with_extra_bytes_behind_it_poisons_nobody(edge):
    """A second, unasked answer on a pooled connection must not become somebody else's."""
    world = await edge()
    world.origin.scripts.append(OK + ok(b"Content-Length: 6", b"poison"))
    async with await world.connect() as client:
        client.send(GET)
        assert (await client.read_response()).body == b"ok"
        client.send(NEXT)
        assert (await client.read_response()).body == b"ok"
    assert [request.connection for request in world.origin.requests] == [1, 2]


async def test_answer_unasked_on_an_idle_connection_poisons_nobody(edge):
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([OK, gate, ok(b"Content-Length: 6", b"poison"), Step.STALL])
    async with await world.connect() as client:
        client.send(GET)
        assert (await client.read_response()).body == b"ok"
        gate.set()
        await world.origin.lost(1)
        client.send(NEXT)
        assert (await client.read_response()).body == b"ok"


async def test_answer_with_connection_close_ends_that_connection_alone(edge):
    world = await edge()
    world.origin.scripts.append(ok(b"Connection: close\r\nContent-Length: 2", b"ok"))
    async with await world.connect() as client:
        for _ in range(2):
            client.send(GET)
            response = await client.read_response()
            assert response.body == b"ok"
            assert response.values(b"connection") in ([], [b"keep-alive"])
    assert [request.connection for request in world.origin.requests] == [1, 2]


# ---- retries, balancing, ejection ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
@pytest.mark.parametrize("end", [Step.CLOSE, Step.RESET])
async def test_retry_idempotent_request_without_body_on_a_dead_reused_connection(edge, method, end):
    world = await edge()
    world.origin.scripts.extend([OK, [end]])
    async with await world.connect() as client:
        client.send(GET)
        await client.read_response()
        client.send(method + GET[3:])
        assert (await client.read_response(method)).status == 200
    assert [request.connection for request in world.origin.requests] == [1, 1, 2]
    assert len(world.protection.requests) == 2


POST_EMPTY = b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n"
PUT_BODY = b"PUT /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize("request_bytes", [POST_EMPTY, PUT_BODY, b"PATCH" + GET[3:]], ids=["post", "body", "patch"])
async def test_retry_never_for_what_may_have_been_done_already(edge, request_bytes):
    """A request that is not idempotent, or whose body is gone, was sent: once is all."""
    world = await edge()
    world.origin.scripts.extend([OK, [Step.CLOSE]])
    async with await world.connect() as client:
        client.send(GET)
        await client.read_response()
        client.send(request_bytes)
        assert (await client.read_response()).status == 502
    assert len(world.origin.requests) == 2


async def test_retry_never_on_a_fresh_connection(edge):
    world = await edge()
    world.origin.scripts.append([Step.CLOSE])
    assert (await world.ask(GET)).status == 502
    assert len(world.origin.requests) == 1


async def test_retry_never_after_a_byte_of_the_answer(edge):
    world = await edge()
    world.origin.scripts.extend([OK, [b"HTTP/1.1 2", Step.RESET]])
    async with await world.connect() as client:
        client.send(GET)
        await client.read_response()
        client.send(GET)
        assert (await client.read_response()).status == 502
    assert len(world.origin.requests) == 2


async def test_retry_is_one_alone(edge):
    world = await edge()
    world.origin.scripts.extend([OK, [Step.CLOSE], [Step.CLOSE], OK])
    async with await world.connect() as client:
        client.send(GET)
        await client.read_response()
        client.send(GET)
        assert (await client.read_response()).status == 502
    assert len(world.origin.requests) == 3


async def test_retry_zero_is_none(edge):
    world = await edge(site={"origin": {"retries": 0}})
    world.origin.scripts.extend([OK, [Step.CLOSE]])
    async with await world.connect() as client:
        client.send(GET)
        await client.read_response()
        client.send(GET)
        assert (await client.read_response()).status == 502


async def test_retry_when_nothing_was_sent_takes_any_request_to_another_server(edge, unused_port):
    """A refused connection has seen nothing of the request: even a POST with a body may go elsewhere."""
    world = await edge()
    config = world.config["sites"][0]["origin"]["servers"]
    other = await edge(
        site={"origin": {"servers": [f"http://127.0.0.1:{unused_port}", *config], "balance": "round_robin"}}
    )
    for _ in range(4):
        assert (await other.ask(PUT_BODY)).status == 200
    assert [request.body for request in world.origin.requests] == [b"hi"] * 4


async def test_origin_refusing_is_502(edge):
    """N05."""
    world = await edge()
    await world.origin.stop()
    response = await world.ask(GET)
    assert response.status == 502
    await world.origin.start()
    assert (await world.ask(GET)).status == 200


async def test_origin_black_hole_is_504_within_the_connect_time(edge):
    with BlackHole() as hole:
        origin = {"servers": [f"http://127.0.0.1:{hole.port}"], "connect_timeout": "100ms"}
        world = await edge(site={"origin": origin})
        assert (await world.ask(GET)).status == 504
        assert sum(world.gateway.counts("origin_failures").values()) >= 1


async def test_origin_ejected_after_failures_is_not_asked_until_its_time_is_over(edge):
    """Passive health: after `passive_failures` in a row the only server is out and the answer is 503 at once."""
    world = await edge(site={"origin": {"health": {"passive_failures": 2, "ejection": "60s"}}})
    world.origin.default = [Step.CLOSE]
    statuses = [(await world.ask(GET)).status for _ in range(4)]
    assert statuses == [502, 502, 503, 503]
    assert len(world.origin.requests) == 2
    assert world.gateway.gauge("origin_healthy", "shop") == 0


async def test_origin_ejected_comes_back(edge):
    world = await edge(site={"origin": {"health": {"passive_failures": 1, "ejection": "50ms"}}})
    world.origin.scripts.append([Step.CLOSE])
    assert (await world.ask(GET)).status == 502

    async def served() -> None:
        while (await world.ask(GET)).status != 200:
            pass

    async with asyncio.timeout(5):
        await served()
    assert world.gateway.gauge("origin_healthy", "shop") == 1


async def test_origin_ejected_leaves_the_work_to_the_other_server(edge, unused_port):
    world = await edge()
    healthy = world.config["sites"][0]["origin"]["servers"][0]
    origin = {
        "servers": [f"http://127.0.0.1:{unused_port}", healthy],
        "retries": 0,
        "balance": "round_robin",
        "health": {"passive_failures": 1, "ejection": "60s"},
    }
    other = await edge(site={"origin": origin})
    statuses = [(await other.ask(GET)).status for _ in range(6)]
    assert statuses.count(502) == 1
    assert statuses.count(200) == 5


async def test_balance_round_robin_takes_turns(edge):
    first, second = await edge(), await edge()
    servers = [world.config["sites"][0]["origin"]["servers"][0] for world in (first, second)]
    third = await edge(site={"origin": {"servers": servers, "balance": "round_robin"}})
    for _ in range(6):
        await third.ask(GET)
    assert [len(world.origin.requests) for world in (first, second)] == [3, 3]


async def test_balance_least_outstanding_avoids_the_busy_server(edge):
    first, second = await edge(), await edge()
    servers = [world.config["sites"][0]["origin"]["servers"][0] for world in (first, second)]
    third = await edge(site={"origin": {"servers": servers}})
    first.origin.default = second.origin.default = [Step.STALL]
    async with await third.connect() as busy:
        busy.send(GET)
        await eventually(lambda: first.origin.requests or second.origin.requests, "a request at one of the two")
        loaded, free = (first, second) if first.origin.requests else (second, first)
        free.origin.default = OK
        assert [(await third.ask(GET)).status for _ in range(4)] == [200] * 4
    assert len(loaded.origin.requests) == 1
    assert len(free.origin.requests) == 4


async def test_origin_pool_full_waits_and_serves_in_turn(edge):
    world = await edge(site={"origin": {"pool": {"max_connections": 1, "max_idle": 1}}})
    gate = asyncio.Event()
    world.origin.scripts.append([gate, OK])
    async with await world.connect() as first, await world.connect() as second:
        first.send(GET)
        await world.origin.received(1)
        second.send(NEXT)
        await world.protection.completed(2)
        gate.set()
        assert [(await client.read_response()).status for client in (first, second)] == [200, 200]
    assert [request.connection for request in world.origin.requests] == [1, 1]


async def test_origin_over_tls_is_verified(edge, certificates):
    from fakes import RecordingOrigin

    secure = RecordingOrigin(tls=certificates.server_context())
    await secure.start()
    servers = [f"https://localhost:{secure.port}"]
    trusting = await edge(site={"origin": {"servers": servers, "tls": {"ca": str(certificates.ca_file)}}})
    assert (await trusting.ask(GET)).status == 200
    wary = await edge(site={"origin": {"servers": servers}})
    assert (await wary.ask(GET)).status == 502
    assert len(secure.requests) == 1
    await secure.stop()
