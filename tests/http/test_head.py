"""Whole heads: what llhttp accepts and what we take apart are the same lines, whatever came before."""

from __future__ import annotations

from typing import Any

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RequestRefused, ResponseRefused
from gateway.http.head import parse_request, parse_response
from gateway.http.message import Headers, RequestHead

GOOD = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
GOOD_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b": ",
        b",",
        b"\x00",
        b"\xff",
        b"a",
        b"X-A: 1",
        b"X-B:2 ",
        b"Host: h",
        b"Connection: ",
        b"Proxy-Connection: ",
        b"close",
        b"keep-alive",
        b"upgrade",
        b"Upgrade: h2c",
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"X: a\r\n b",
    ]
)
LINES = st.lists(PIECES, max_size=3).map(b"".join)
FIELDS = st.lists(LINES, max_size=5).map(b"\r\n".join)
START = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.0",
        b"POST / HTTP/1.1",
        b"HEAD / HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT h:80 HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET  / HTTP/1.1",
        b"get / HTTP/1.1",
        b"",
    ]
)
STATUS = st.sampled_from(
    [b"200 OK", b"204 No", b"304 Not", b"100 Go", b"101 Switch", b"199 ", b"999", b"20 x", b"2000 x", b""]
)


class Seen:
    def __init__(self) -> None:
        self.headers: Headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def up_to_the_empty_line(raw: bytes) -> bytes:
    """What is held to be a head: it ends at the first empty line."""
    return raw[: raw.find(b"\r\n\r\n") + 4]


@settings(deadline=None)
@given(START, FIELDS)
def test_request_arbitrary_head_has_the_lines_that_llhttp_saw_and_spoils_nothing(start: bytes, fields: bytes) -> None:
    raw = up_to_the_empty_line(b"%b\r\nHost: h\r\n%b\r\n\r\n" % (start, fields))
    try:
        head = parse_request(raw)
    except RequestRefused:
        pass
    else:
        seen = Seen()
        try:
            httptools.HttpRequestParser(seen).feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass  # the headers have been seen
        assert head.headers == seen.headers
        assert len(head.lines) == len(head.headers)
    assert parse_request(GOOD).path == b"/next"


def parsed(raw: bytes, before: RequestHead | None = None) -> tuple[Any, ...] | int:
    """Everything that a head says, or the status of the refusal."""
    try:
        head = parse_request(raw, before)
    except RequestRefused as refused:
        return refused.status
    return tuple(getattr(head, name) for name in RequestHead.__slots__ if name != "derived")


TARGETS = st.sampled_from(
    [b"/", b"/a?b=c", b"*", b"//x", b"/a#b", b"http://h/x", b"http://other/", b"h:80", b"", b"/ x", b"/\xff"]
)


@settings(deadline=None)
@given(START, START, TARGETS, FIELDS)
def test_request_with_the_header_lines_of_the_one_before_is_parsed_as_if_it_came_alone(
    first: bytes, start: bytes, target: bytes, fields: bytes
) -> None:
    block = b"\r\nHost: h\r\n%b\r\n\r\n" % fields
    try:
        before = parse_request(up_to_the_empty_line(first + block))
    except RequestRefused:
        before = None
    method, _, rest = start.partition(b" ")
    again = up_to_the_empty_line(b"%b %b %b%b" % (method, target, rest.rpartition(b" ")[2], block))
    assert parsed(again, before) == parsed(again)
    assert parse_request(GOOD, before).path == b"/next"


@settings(deadline=None)
@given(STATUS, FIELDS)
def test_response_arbitrary_head_has_the_lines_that_llhttp_saw_and_spoils_nothing(status: bytes, fields: bytes) -> None:
    raw = up_to_the_empty_line(b"HTTP/1.1 %b\r\n%b\r\n\r\n" % (status, fields))
    try:
        head = parse_response(raw)
    except ResponseRefused:
        pass
    else:
        seen = Seen()
        httptools.HttpResponseParser(seen).feed_data(raw)
        assert head.headers == seen.headers
    assert parse_response(GOOD_RESPONSE).status == 200


@pytest.mark.parametrize(
    "line",
    [
        b"Proxy-Connection: close",
        b"Connection: close",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"bad",
        b"Connection: upgrade\r\nUpgrade: x",
    ],
)
def test_head_of_one_connection_never_spoils_the_next_one_s(line: bytes) -> None:
    for version in (b"1.1", b"1.0"):
        try:
            parse_request(b"POST / HTTP/%b\r\nHost: h\r\n%b\r\n\r\n" % (version, line))
        except RequestRefused:
            pass
        assert parse_request(GOOD).path == b"/next"
        try:
            parse_response(b"HTTP/%b 200 OK\r\n%b\r\n\r\n" % (version, line))
        except ResponseRefused:
            pass
        assert parse_response(GOOD_RESPONSE).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\rX: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX(: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: \x1f\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_request_malformed_head_is_refused_with_400(raw: bytes) -> None:
    with pytest.raises(RequestRefused) as caught:
        parse_request(raw)
    assert caught.value.status == 400


def test_request_obs_text_passes_untouched() -> None:
    head = parse_request(b"GET / HTTP/1.1\r\nHost: h\r\nX-A: \t\xe9\xff \xa0\x85 \r\n\r\n")
    assert head.fields[b"x-a"] == b"\xe9\xff \xa0\x85"


@pytest.mark.parametrize(
    ("raw", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_response_keep_alive_is_of_version_and_connection(raw: bytes, keep_alive: bool) -> None:
    assert parse_response(raw).keep_alive is keep_alive


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_response_malformed_head_is_refused(raw: bytes) -> None:
    with pytest.raises(ResponseRefused):
        parse_response(raw)
