"""Requests whose framing, syntax or target is doubtful: refused, the connection closed, nothing at the origin.

Ids are those of the catalogue of edge cases (C content length, T transfer encoding, K chunks, L lines and headers,
H host and target, P forwarding); RFC 9112 is the source where nothing else is named. Every case is sent with a second,
innocent request behind it: a gateway that loses the framing would serve that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from json import loads

import pytest
from fakes import eventually

BEHIND = b"GET /behind HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """`sent` must be answered with one of `statuses` (400 unless said otherwise) and the connection closed."""

    id: str
    sent: bytes
    statuses: tuple[int, ...] = (400,)


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: shop.example\r\n" + fields + b"\r\n\r\n" + body


def get(fields: bytes) -> bytes:
    return b"GET /a HTTP/1.1\r\nHost: shop.example\r\n" + fields + b"\r\n\r\n"


def line(start: bytes, host: bytes = b"shop.example") -> bytes:
    return start + b"\r\nHost: " + host + b"\r\n\r\n"


EMBEDDED = b"GET /evil HTTP/1.1\r\nHost: shop.example\r\n\r\n"
ENCODED = (400, 501)
VERSION = (400, 505)

HEADS = [
    Case("C01-differing", post(b"Content-Length: 5\r\nContent-Length: 10", b"helloworld")),
    Case("C01-differing-apart", post(b"Content-Length: 5\r\nX-A: b\r\ncontent-length: 10", b"helloworld")),
    Case("C02-same-twice", post(b"Content-Length: 5\r\nContent-Length: 5", b"hello")),
    Case("C04-list-differing", post(b"Content-Length: 5, 6", b"hello")),
    Case("C04-list-same", post(b"Content-Length: 5, 5", b"hello")),
    Case("C05-plus", post(b"Content-Length: +5", b"hello")),
    Case("C06-negative", post(b"Content-Length: -5", b"hello")),
    Case("C06-negative-zero", post(b"Content-Length: -0")),
    Case("C07-hex", post(b"Content-Length: 0x5", b"hello")),
    Case("C07-octal", post(b"Content-Length: 0o5", b"hello")),
    Case("C09-space", post(b"Content-Length: 1 0", b"helloworld")),
    Case("C09-decimal", post(b"Content-Length: 5.0", b"hello")),
    Case("C09-exponent", post(b"Content-Length: 5e0", b"hello")),
    Case("C09-trailing-letter", post(b"Content-Length: 5Z", b"hello")),
    Case("C09-underscore", post(b"Content-Length: 1_0", b"helloworld")),
    Case("C09-superscript", post(b"Content-Length: \xc2\xb2", b"he")),
    Case("C10-empty", post(b"Content-Length: ", b"hello")),
    Case("C10-empty-on-get", get(b"Content-Length:")),
    Case("C11-empty-then-number", post(b"Content-Length: \r\nContent-Length: 43", EMBEDDED)),
    Case("C13-overflow", post(b"Content-Length: 18446744073709551621", b"hello"), (400, 413)),
    Case("C14-space-before-colon", post(b"Content-Length : 5", b"hello")),
    Case("C14-tab-before-colon", post(b"Content-Length\t: 5", b"hello")),
    Case("T01-length-then-chunked", post(b"Content-Length: 6\r\nTransfer-Encoding: chunked", b"0\r\n\r\nX")),
    Case(
        "T02-chunked-then-length",
        post(b"Transfer-Encoding: chunked\r\nContent-Length: 4", b"5c\r\nGPOST / HTTP/1.1\r\n"),
    ),
    Case("T02-chunked-and-zero-length", post(b"Transfer-Encoding: chunked\r\nContent-Length: 0", b"0\r\n\r\n")),
    Case("T03-xchunked", post(b"Transfer-Encoding: xchunked", b"0\r\n\r\n"), ENCODED),
    Case("T03-chunkedchunked", post(b"Transfer-Encoding: chunkedchunked", b"0\r\n\r\n"), ENCODED),
    Case("T03-unknown", post(b"Transfer-Encoding: blegh", b"0\r\n\r\n"), ENCODED),
    Case("T03-quoted", post(b'Transfer-Encoding: "chunked"', b"0\r\n\r\n"), ENCODED),
    Case("T03-parameter", post(b"Transfer-Encoding: chunked;q=1", b"0\r\n\r\n"), ENCODED),
    Case("T03-vertical-tab", post(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n")),
    Case("T03-latin1", post(b"Transfer-Encoding: chunked\xa0", b"0\r\n\r\n"), ENCODED),
    Case("T04-chunked-identity", post(b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n")),
    Case("T04-chunked-gzip", post(b"Transfer-Encoding: chunked, gzip", b"0\r\n\r\n")),
    Case("T05-gzip-chunked", post(b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"), ENCODED),
    Case("T06-chunked-twice", post(b"Transfer-Encoding: chunked, chunked", b"0\r\n\r\n")),
    Case("T06-two-lines", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"0\r\n\r\n")),
    Case(
        "T06-two-lines-identity",
        post(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        ENCODED,
    ),
    Case("T06-leading-comma", post(b"Transfer-Encoding: , chunked", b"0\r\n\r\n"), ENCODED),
    Case("T08-identity-and-length", post(b"Transfer-Encoding: identity\r\nContent-Length: 5", b"hello"), ENCODED),
    Case("T09-empty", post(b"Transfer-Encoding: ", b"0\r\n\r\n"), ENCODED),
    Case("T09-empty-and-length", post(b"Transfer-Encoding:\r\nContent-Length: 5", b"hello"), ENCODED),
    Case("T11-space-before-colon", post(b"Transfer-Encoding : chunked", b"0\r\n\r\n")),
    Case("T12-fold-first", b"POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: shop.example\r\n\r\n0\r\n\r\n"),
    Case("T12-fold-after", post(b"X-A: b\r\n Transfer-Encoding: chunked", b"0\r\n\r\n")),
    Case("T13-wrapped-value", post(b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5", b"0\r\n\r\n")),
    Case("T15-on-1.0", b"POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Case("T19-after-bare-lf", post(b"X: x\nTransfer-Encoding: chunked", b"0\r\n\r\n")),
    Case("T19-after-bare-cr", post(b"X: x\rTransfer-Encoding: chunked", b"0\r\n\r\n")),
    Case("L01-bare-lf-everywhere", b"GET / HTTP/1.1\nHost: shop.example\n\n"),
    Case("L01-bare-lf-after-request-line", b"GET / HTTP/1.1\nHost: shop.example\r\n\r\n"),
    Case("L01-bare-lf-after-header", b"GET / HTTP/1.1\r\nHost: shop.example\nX-A: b\r\n\r\n"),
    Case("L01-bare-lf-at-end", b"GET / HTTP/1.1\r\nHost: shop.example\r\n\n"),
    Case("L02-bare-cr-everywhere", b"GET / HTTP/1.1\rHost: shop.example\r\r"),
    Case("L02-bare-cr-in-request-line", b"GET /\rx HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
    Case("L03-obs-fold", get(b"X-A: b\r\n c")),
    Case("L03-obs-fold-tab", get(b"X-A: b\r\n\tc")),
    Case("L03-obs-fold-of-host", b"GET / HTTP/1.1\r\nHost: shop\r\n .example\r\n\r\n"),
    Case("L04-space-before-colon", get(b"X-A : b")),
    Case("L04-space-in-name", get(b"X A: b")),
    Case("L05-space-before-first-header", b"GET / HTTP/1.1\r\n Host: shop.example\r\n\r\n"),
    Case("L05-space-line-then-header", b"GET / HTTP/1.1\r\n \r\nHost: shop.example\r\n\r\n"),
    Case("L06-empty-name", get(b": x")),
    Case("L06-colon-alone", get(b":")),
    Case("L06-no-colon", get(b"X-A")),
    Case("L08-bracket-name", get(b"[X]: y")),
    Case("L08-paren-name", get(b"X(: y")),
    Case("L08-slash-name", get(b"X/A: y")),
    Case("L08-at-name", get(b"X@A: y")),
    Case("L08-non-ascii-name", get(b"X-\xc3\xa9: y")),
    Case("L08-nul-name", get(b"X\x00A: y")),
    Case("L09-nul-value", get(b"X-A: a\x00b")),
    Case("L09-control-value", get(b"X-A: a\x01b")),
    Case("L09-delete-value", get(b"X-A: a\x7fb")),
    Case("L09-escape-value", get(b"X-A: a\x1bb")),
    Case("L09-bare-cr-value", get(b"X-A: a\rb")),
    Case("L09-bare-cr-before-end", get(b"X-A: a\r")),
    Case("L14-two-spaces", line(b"GET  / HTTP/1.1")),
    Case("L14-two-spaces-after", line(b"GET /  HTTP/1.1")),
    Case("L14-trailing-space", line(b"GET / HTTP/1.1 ")),
    Case("L14-leading-space", line(b" GET / HTTP/1.1")),
    Case("L14-tabs", line(b"GET\t/\tHTTP/1.1")),
    Case("L14-lf-inside", line(b"GET /\nHTTP/1.1")),
    Case("L14-space-in-target", line(b"GET /a b HTTP/1.1")),
    Case("L14-no-target", line(b"GET HTTP/1.1")),
    Case("L15-lower-case", line(b"GET / http/1.1"), VERSION),
    Case("L15-major-only", line(b"GET / HTTP/1"), VERSION),
    Case("L15-leading-zeros", line(b"GET / HTTP/01.01"), VERSION),
    Case("L15-space", line(b"GET / HTTP/ 1.1"), VERSION),
    Case("L15-two-digit-minor", line(b"GET / HTTP/1.32"), VERSION),
    Case("L15-one-two", line(b"GET / HTTP/1.2"), VERSION),
    Case("L15-nine", line(b"GET / HTTP/9.9"), VERSION),
    Case("L15-two", line(b"GET / HTTP/2.0"), VERSION),
    Case("L15-other-protocol", line(b"GET / RTSP/1.0"), VERSION),
    Case("L15-ice", line(b"SOURCE / ICE/1.0"), VERSION),
    Case("L15-http09", b"GET /\r\n\r\n", VERSION),
    Case("L15-preface-of-http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    Case("L17-invalid-method", line(b'G=":<>" / HTTP/1.1'), (400, 501)),
    Case("L17-long-method", line(b"A" * 100_000 + b" / HTTP/1.1"), (400, 414, 431, 501)),
    Case("L17-lower-case-method", line(b"get / HTTP/1.1"), (400, 501)),
    Case("L17-tls-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    Case("H01-no-host", b"GET / HTTP/1.1\r\nX-A: b\r\n\r\n"),
    Case("H01-no-header", b"GET / HTTP/1.1\r\n\r\n"),
    Case("H01-two-hosts", b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n"),
    Case("H01-two-equal-hosts", b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n"),
    Case("H01-two-hosts-on-1.0", b"GET / HTTP/1.0\r\nHost: a.example\r\nHost: b.example\r\n\r\n"),
    Case("H02-empty", line(b"GET / HTTP/1.1", b"")),
    Case("H02-user", line(b"GET / HTTP/1.1", b"user@h")),
    Case("H02-path", line(b"GET / HTTP/1.1", b"h/path")),
    Case("H02-list", line(b"GET / HTTP/1.1", b"a, b")),
    Case("H02-control", line(b"GET / HTTP/1.1", b"h\x02")),
    Case("H02-port-range", line(b"GET / HTTP/1.1", b"h:99999")),
    Case("H02-port-letters", line(b"GET / HTTP/1.1", b"h:80a")),
    Case("H02-open-bracket", line(b"GET / HTTP/1.1", b"[::1")),
    Case("H02-space", line(b"GET / HTTP/1.1", b"a b")),
    Case("H02-query", line(b"GET / HTTP/1.1", b"h?x")),
    Case("H02-non-ascii", line(b"GET / HTTP/1.1", b"h\xc3\xa9")),
    Case("H02-port-alone", line(b"GET / HTTP/1.1", b":80")),
    Case("H04-get-star", line(b"GET * HTTP/1.1")),
    Case("H04-options-star-path", line(b"OPTIONS */x HTTP/1.1")),
    Case("H04-no-slash", line(b"GET admin HTTP/1.1")),
    Case("H04-authority-form", line(b"GET shop.example:80 HTTP/1.1")),
    Case("H04-fragment", line(b"GET /a#b HTTP/1.1")),
    Case("H05-connect", b"CONNECT shop.example:80 HTTP/1.1\r\nHost: shop.example:80\r\n\r\n", (400, 405, 501)),
    Case("H05-connect-early-data", b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n" + EMBEDDED, (400, 405, 501)),
    Case("H06-absolute-other-host", line(b"GET http://other.example/ HTTP/1.1")),
    Case("H06-absolute-other-port", line(b"GET http://shop.example:81/ HTTP/1.1")),
    Case("H06-absolute-user", line(b"GET http://user@shop.example/ HTTP/1.1")),
    Case("H06-absolute-other-scheme", line(b"GET ftp://shop.example/ HTTP/1.1")),
    Case("H06-absolute-no-authority", line(b"GET http:/// HTTP/1.1")),
    Case("P03-connection-space-colon", get(b"Connection : close")),
]


@pytest.mark.parametrize("case", HEADS, ids=lambda case: case.id)
async def test_head_doubtful_is_refused_and_the_connection_closed(edge, case):
    world = await edge()
    answer = await world.exchange(case.sent + BEHIND)
    assert answer.count(b"HTTP/1.1 ") == 1
    head, _, _ = answer.partition(b"\r\n\r\n")
    assert int(answer[9:12]) in case.statuses
    assert b"\r\nconnection: close" in head.lower()
    assert world.origin.requests == []
    assert world.origin.connections == []
    assert world.protection.requests == []
    await world.is_alive()


async def test_local_reply_is_whole_and_in_the_form_that_the_client_prefers(edge):
    """Every answer that the gateway authors: JSON if it is accepted before HTML, else text; no Via; an id."""
    world = await edge(site={"hosts": ["shop.example"]})
    malformed = await world.ask(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    accept = b"GET / HTTP/1.1\r\nHost: other.example\r\nAccept: %b\r\n\r\n"
    browser = await world.ask(accept % b"text/html, application/json;q=0.9")
    program = await world.ask(accept % b"application/json, text/html;q=0.9")
    assert [reply.status for reply in (malformed, browser, program)] == [400, 421, 421]
    for reply in (malformed, browser, program):
        assert reply.value(b"content-length") == b"%d" % len(reply.body)
        assert reply.body
        assert reply.values(b"via") == []
        assert reply.value(b"x-request-id")
    assert len({reply.value(b"x-request-id") for reply in (malformed, browser, program)}) == 3
    assert program.value(b"content-type") == b"application/json"
    assert isinstance(loads(program.body), dict)
    assert browser.value(b"content-type") != b"application/json"
    await eventually(lambda: world.gateway.count("requests", "rejected", "4xx") == 3, "all to be counted as rejected")


CHUNKED = b"POST /a HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = [
    Case("K01-hex-prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
    Case("K01-plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    Case("K01-negative", b"-5\r\nhello\r\n0\r\n\r\n"),
    Case("K01-underscore", b"1_0\r\nhellohellohello!\r\n0\r\n\r\n"),
    Case("K01-underscore-hex", b"0_2e\r\nhello\r\n0\r\n\r\n"),
    Case("K02-leading-space", b" 5\r\nhello\r\n0\r\n\r\n"),
    Case("K02-trailing-space", b"5 \r\nhello\r\n0\r\n\r\n"),
    Case("K02-leading-tab", b"\t5\r\nhello\r\n0\r\n\r\n"),
    Case("K03-empty-size", b"\r\nhello\r\n0\r\n\r\n"),
    Case("K04-overflow", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    Case("K04-overflow-digits", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
    Case("K06-cr-in-extension", b"5\r\r;ABCD\r\nhello\r\n0\r\n\r\n"),
    Case("K06-cr-inside-extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    Case("K06-lf-in-extension", b"5;a\nhello\r\n0\r\n\r\n"),
    Case("K06-lf-after-size", b"5\nhello\r\n0\r\n\r\n"),
    Case("K06-nul-in-extension", b"5;a\x00b\r\nhello\r\n0\r\n\r\n"),
    Case("K07-long-chunk", b"5\r\nhello!\r\n0\r\n\r\n"),
    Case("K07-no-crlf-after-data", b"5\r\nhello0\r\n\r\n"),
    Case("K07-lf-after-data", b"5\r\nhello\n0\r\n\r\n"),
    Case("K11-lf-ends-the-body", b"5\r\nhello\r\n0\r\n\n"),
    Case("K13-garbage", b"INVALID!!!\r\nhello\r\n0\r\n\r\n"),
    Case("K13-letter-size", b"z\r\nhello\r\n0\r\n\r\n"),
    Case("K15-trailer-space-colon", b"0\r\nX : y\r\n\r\n"),
    Case("K15-trailer-fold", b"0\r\nX: y\r\n z\r\n\r\n"),
    Case("K15-trailer-nul", b"0\r\nX: \x00\r\n\r\n"),
]


@pytest.mark.parametrize("case", CHUNKS, ids=lambda case: case.id)
async def test_chunk_malformed_is_refused_and_the_origin_request_never_completes(edge, case):
    """The head is legal, so a check and an origin connection may have begun: neither may see the end of a request."""
    world = await edge()
    answer = await world.exchange(CHUNKED + case.sent + BEHIND)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400 ")
    for connection in world.origin.connections:
        await world.origin.lost(connection.number)
    assert [request for request in world.origin.requests if request.complete] == []
    assert all(request.line == b"POST /a HTTP/1.1" for request in world.origin.requests)
    await world.is_alive()


async def test_chunk_malformed_after_the_relay_began_aborts_the_origin_request(edge):
    """K13: the same when the origin already has part of the body."""
    world = await edge()
    async with await world.connect() as client:
        client.send(CHUNKED + b"5\r\nhello\r\n")
        request = await world.origin.received(1)
        client.send(b"INVALID!!!\r\n" + BEHIND)
        answer = await client.read_to_end()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400 ")
    await world.origin.lost(1)
    assert request.complete is False
    assert bytes(request.body_read.decoded) in (b"", b"hello")
    assert len(world.origin.requests) == 1
    await world.is_alive()


@pytest.mark.parametrize("method", [b"POST", b"GET"])
async def test_bytes_behind_an_empty_body_are_a_request_of_their_own(edge, method):
    """C20: junk behind `Content-Length: 0` is never glued to what the next client sends."""
    world = await edge()
    async with await world.connect() as client:
        client.send(
            method + b" /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\nG\x00POST / HTTP/1.1\r\n\r\n"
        )
        first = await client.read_response()
        rest = await client.read_to_end()
    assert first.status == 200
    assert rest.startswith(b"HTTP/1.1 400 ")
    await world.is_alive()
    assert [request.line for request in world.origin.requests] == [
        method + b" /a HTTP/1.1",
        b"GET /alive HTTP/1.1",
    ]


async def test_refusals_are_counted_by_reason_and_name_nothing_of_the_client(edge):
    """Labels hold no text of the client's, whatever was sent."""
    world = await edge()
    for case in HEADS[:40]:
        await world.exchange(case.sent)
    counts = world.gateway.counts("rejected_requests")
    assert sum(counts.values()) == 40
    assert len(counts) < 20
    assert all(len(label) < 40 and label.isascii() for labels in counts for label in labels)
