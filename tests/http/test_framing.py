"""RFC 9112 refusals that httptools leaves to us, and what a good head is parsed to (http-cases C, T, L, H, P)."""

from __future__ import annotations

import pytest
from heads import request_head
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RequestRefused, ResponseRefused
from gateway.http.framing import check_response_head, join_repeated, parse_request_head
from gateway.http.message import Headers, RequestHead

HOST = (b"host", b"shop.example")


def parse(start_line: bytes, *headers: tuple[bytes, bytes]) -> RequestHead:
    return parse_request_head(start_line, list(headers))


def refusal(start_line: bytes, *headers: tuple[bytes, bytes]) -> tuple[int, str]:
    with pytest.raises(RequestRefused) as caught:
        parse(start_line, *headers)
    return caught.value.status, caught.value.reason


# ---- a good head ----


def test_head_whole_request_is_parsed() -> None:
    head = request_head(
        b"POST /a?b=c HTTP/1.1\r\nHost: Shop.Example:8080\r\nX-A: 1\r\nContent-Length: 3\r\nX-A: 2 \r\n\r\n"
    )
    headers = [(b"host", b"Shop.Example:8080"), (b"x-a", b"1"), (b"content-length", b"3"), (b"x-a", b"2")]
    assert head == RequestHead(
        method=b"POST",
        target=b"/a?b=c",
        path=b"/a?b=c",
        minor_version=1,
        headers=headers,
        fields={b"host": b"Shop.Example:8080", b"x-a": b"1, 2", b"content-length": b"3"},
        host=b"Shop.Example:8080",
        content_length=3,
        chunked=False,
        keep_alive=True,
        expects_continue=False,
        connection_names=(),
        lines=[b": ".join(pair) for pair in headers],
    )


def test_repeated_headers_are_joined_in_order_with_cookie_by_semicolon() -> None:
    headers: Headers = [(b"cookie", b"a=1"), (b"x", b"1"), (b"cookie", b"b=2"), (b"x", b""), (b"x", b"3")]
    assert join_repeated(headers) == {b"cookie": b"a=1; b=2", b"x": b"1, , 3"}


# ---- request line and version ----


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET / a HTTP/1.1",
        b"GET  HTTP/1.1",
    ],
)
def test_request_line_not_three_words_is_refused(line: bytes) -> None:
    assert refusal(line, HOST) == (400, "request_line")


@pytest.mark.parametrize(
    "version",
    [
        b"http/1.1",
        b"HTTP/1",
        b"HTTP/1.2",
        b"HTTP/01.1",
        b"HTTP/2.0",
        b"HTTP/0.9",
        b"HTTP/1.32",
        b"",
    ],
)
def test_version_other_than_1_0_and_1_1_is_refused(version: bytes) -> None:
    assert refusal(b"GET / " + version, HOST) == (400, "version")


# ---- Host ----


@pytest.mark.parametrize(
    "host",
    [
        b"shop.example",
        b"SHOP.example",
        b"shop.example:8080",
        b"shop.example:",
        b"192.0.2.1",
        b"[::1]:80",
        b"[2001:db8::1]",
        b"a_b.example",
        b"h:65535",
    ],
)
def test_host_valid_is_accepted(host: bytes) -> None:
    assert parse(b"GET / HTTP/1.1", (b"host", host)).host == host


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"user@h",
        b"h/path",
        b"a, b",
        b"a b",
        b"h\x02",
        b"h:99999",
        b"h:65536",
        b"h:x",
        b"[::1",
        b"::1",
        b"h\xff",
        b"h\n",
    ],
)
def test_host_invalid_is_refused(host: bytes) -> None:
    assert refusal(b"GET / HTTP/1.1", (b"host", host)) == (400, "host")


def test_host_missing_is_refused() -> None:
    assert refusal(b"GET / HTTP/1.1") == (400, "host")
    assert refusal(b"GET / HTTP/1.0") == (400, "host")


@pytest.mark.parametrize("second", [b"shop.example", b"other.example"])
def test_host_twice_is_refused_even_if_equal(second: bytes) -> None:
    assert refusal(b"GET / HTTP/1.1", HOST, (b"host", second)) == (400, "repeated_header")


# ---- target ----


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/a/../admin",
        b"/%2e%2e/admin",
        b"//admin",
        b"/admin%2f",
        b"/\\admin",
        b"/admin;x=.css",
        b"/a?b",
        b"/?",
    ],
)
def test_target_origin_form_stays_byte_for_byte(path: bytes) -> None:
    assert parse(b"GET %b HTTP/1.1" % path, HOST).path == path


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://shop.example/a?b", b"/a?b"),
        (b"HTTPS://SHOP.example/", b"/"),
        (b"http://shop.example", b"/"),
        (b"http://shop.example?q=1", b"/?q=1"),
    ],
)
def test_target_absolute_becomes_path_and_query(target: bytes, path: bytes) -> None:
    head = parse(b"GET %b HTTP/1.1" % target, HOST)
    assert (head.target, head.path) == (target, path)


def test_target_asterisk_is_for_options_alone() -> None:
    assert parse(b"OPTIONS * HTTP/1.1", HOST).path == b"*"
    assert parse(b"OPTIONS http://shop.example HTTP/1.1", HOST).path == b"*"
    assert refusal(b"GET * HTTP/1.1", HOST) == (400, "target")
    assert refusal(b"OPTIONS */x HTTP/1.1", HOST) == (400, "target")


@pytest.mark.parametrize(
    "target",
    [
        b"http://other.example/",
        b"http://user@shop.example/",
        b"http://shop.example:81/",
        b"ftp://shop.example/",
        b"admin",
        b"/a#b",
        b"http://shop.example/#b",
        b"\\admin",
        b"shop.example:80",
    ],
)
def test_target_other_forms_and_foreign_authorities_are_refused(target: bytes) -> None:
    assert refusal(b"GET %b HTTP/1.1" % target, HOST) == (400, "target")


def test_method_connect_is_never_a_tunnel() -> None:
    assert refusal(b"CONNECT shop.example:80 HTTP/1.1", HOST) == (400, "connect")
    assert refusal(b"CONNECT / HTTP/1.1", HOST) == (400, "connect")


def test_method_trace_is_refused() -> None:
    assert refusal(b"TRACE / HTTP/1.1", HOST) == (501, "method")


# ---- body framing ----


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"CHUNKED"])
def test_transfer_encoding_chunked_in_any_case_is_accepted(coding: bytes) -> None:
    head = parse(b"POST / HTTP/1.1", HOST, (b"transfer-encoding", coding))
    assert (head.chunked, head.content_length, head.has_body) == (True, None, True)


@pytest.mark.parametrize(
    "coding",
    [
        b"",
        b"xchunked",
        b"chunkedchunked",
        b"chunked, identity",
        b"chunked, gzip",
        b"gzip, chunked",
        b"chunked, chunked",
        b"identity",
        b"chunked;q=1",
        b'"chunked"',
    ],
)
def test_transfer_encoding_other_than_chunked_is_refused(coding: bytes) -> None:
    assert refusal(b"POST / HTTP/1.1", HOST, (b"transfer-encoding", coding)) == (400, "transfer_encoding")


def test_transfer_encoding_on_http_1_0_is_refused() -> None:
    assert refusal(b"POST / HTTP/1.0", HOST, (b"transfer-encoding", b"chunked")) == (400, "transfer_encoding")


@pytest.mark.parametrize("order", [1, -1])
def test_transfer_encoding_beside_content_length_is_refused(order: int) -> None:
    both = [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")][::order]
    assert refusal(b"POST / HTTP/1.1", HOST, *both) == (400, "transfer_encoding")


def test_framing_header_twice_is_refused() -> None:
    for name, value in ((b"content-length", b"5"), (b"transfer-encoding", b"chunked")):
        assert refusal(b"POST / HTTP/1.1", HOST, (name, value), (name, value)) == (400, "repeated_header")


@pytest.mark.parametrize(
    "length",
    [
        b"",
        b"+5",
        b"-5",
        b"-0",
        b"0x5",
        b"0o5",
        b"1 0",
        b"5.0",
        b"5e0",
        b"5Z",
        b"5, 6",
        b"1_0",
        b"\xb2",
        b"18446744073709551621",
        b"0" * 5000 + b"5",
    ],
)
def test_content_length_not_plain_digits_is_refused(length: bytes) -> None:
    assert refusal(b"POST / HTTP/1.1", HOST, (b"content-length", length)) == (400, "content_length")


def test_content_length_leading_zeros_are_a_number() -> None:
    assert parse(b"POST / HTTP/1.1", HOST, (b"content-length", b"0005")).content_length == 5


def test_content_length_zero_is_no_body() -> None:
    assert parse(b"POST / HTTP/1.1", HOST, (b"content-length", b"0")).has_body is False


# ---- Connection, Upgrade, Expect ----


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        (b"HTTP/1.1", None, True),
        (b"HTTP/1.1", b"close", False),
        (b"HTTP/1.1", b"Keep-Alive, CLOSE", False),
        (b"HTTP/1.0", None, False),
        (b"HTTP/1.0", b"Keep-Alive", True),
        (b"HTTP/1.0", b"keep-alive,close", False),
    ],
)
def test_connection_decides_what_follows(version: bytes, connection: bytes | None, keep_alive: bool) -> None:
    extra = [(b"connection", connection)] if connection is not None else []
    assert parse(b"GET / " + version, HOST, *extra).keep_alive is keep_alive


def test_connection_names_never_hold_framing_or_identity() -> None:
    value = b"Host, Cookie, Content-Length, Transfer-Encoding, Authorization, User-Agent, X-Foo,, close"
    assert parse(b"GET / HTTP/1.1", HOST, (b"connection", value)).connection_names == (b"x-foo",)


def test_upgrade_counts_only_when_connection_names_it() -> None:
    upgrade = (b"upgrade", b"WebSocket")
    assert parse(b"GET / HTTP/1.1", HOST, upgrade, (b"connection", b"Upgrade")).upgrade == b"websocket"
    assert parse(b"GET / HTTP/1.1", HOST, upgrade).upgrade == b""


def test_expect_continue_is_noted_refused_or_ignored() -> None:
    assert parse(b"PUT / HTTP/1.1", HOST, (b"expect", b"100-Continue")).expects_continue is True
    assert parse(b"PUT / HTTP/1.0", HOST, (b"expect", b"100-continue")).expects_continue is False
    assert refusal(b"PUT / HTTP/1.1", HOST, (b"expect", b"magic")) == (417, "expect")


# ---- responses ----


def test_response_framing_is_named() -> None:
    assert check_response_head(200, [(b"content-length", b"5"), (b"x", b"1"), (b"x", b"2")]) == (
        {b"content-length": b"5", b"x": b"1, 2"},
        5,
        False,
    )
    assert check_response_head(200, [(b"transfer-encoding", b"Chunked")]) == (
        {b"transfer-encoding": b"Chunked"},
        None,
        True,
    )
    assert check_response_head(200, []) == ({}, None, False)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"5"), (b"content-length", b"5")],
        [(b"content-length", b"5"), (b"content-length", b"6")],
        [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"transfer-encoding", b"")],
        [(b"content-length", b"")],
        [(b"content-length", b"0x5")],
        [(b"content-length", b"9" * 5000)],
    ],
)
def test_response_doubtful_framing_is_refused(headers: Headers) -> None:
    with pytest.raises(ResponseRefused):
        check_response_head(200, headers)


# ---- whatever comes ----

NAMES = st.one_of(
    st.sampled_from([b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"]),
    st.binary(),
)
HEADERS = st.lists(
    st.tuples(NAMES, st.one_of(st.sampled_from([b"chunked", b"5", b"close", b"h"]), st.binary())), max_size=8
)
TARGETS = st.one_of(st.binary(), st.sampled_from([b"/", b"*", b"http://h/x", b"http://h"]))
METHODS = st.sampled_from([b"GET", b"OPTIONS", b"CONNECT", b"TRACE", b""])
LINES = st.one_of(st.binary(), st.builds(lambda method, target: b"%b %b HTTP/1.1" % (method, target), METHODS, TARGETS))


@settings(deadline=None)
@given(LINES, HEADERS, st.booleans())
def test_request_head_arbitrary_bytes_parse_or_are_refused(line: bytes, headers: Headers, with_host: bool) -> None:
    try:
        head = parse_request_head(line, [(b"host", b"h"), *headers] if with_host else headers)
    except RequestRefused as refused:
        assert refused.status in (400, 417, 501)
    else:
        assert head.path[:1] == b"/" or (head.method, head.path) == (b"OPTIONS", b"*")
        assert not (head.chunked and head.content_length is not None)


@settings(deadline=None)
@given(st.integers(0, 999), HEADERS)
def test_response_head_arbitrary_bytes_parse_or_are_refused(status: int, headers: Headers) -> None:
    try:
        fields, content_length, chunked = check_response_head(status, headers)
    except ResponseRefused:
        return
    assert set(fields) == {name for name, _ in headers}
    assert not (chunked and content_length is not None)
