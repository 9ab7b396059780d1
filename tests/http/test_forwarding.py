"""Heads for the next hop (RFC 9110 7.6; contract section 4; http-cases P01 to P08)."""

from __future__ import annotations

import pytest
from heads import get, request_head

from gateway.http.forwarding import NameTable, request_names, write_request_head, write_response_head
from gateway.http.framing import check_response_head
from gateway.http.message import Headers, RequestHead, ResponseHead

FORWARDED = b"x-forwarded-for: 192.0.2.7\r\nx-real-ip: 192.0.2.7\r\n"
UNTRUSTED = request_names(trusted=False, client_header=b"x-forwarded-for")
TRUSTED = request_names(trusted=True, client_header=b"x-forwarded-for")


def written(
    head: RequestHead,
    names: NameTable = UNTRUSTED,
    *,
    request_id: bytes = b"",
    edits: bytes = b"",
    replaced: frozenset[bytes] = frozenset(),
) -> bytes:
    return write_request_head(head, head.host, names, FORWARDED, request_id, edits, replaced)


def names_of(raw: bytes) -> list[bytes]:
    return [line.split(b":")[0] for line in raw.split(b"\r\n")[1:-2]]


def test_request_head_is_rewritten_whole() -> None:
    head = request_head(
        b"POST /a?b HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: u\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 3\r\n"
        b"X-Real-IP: 6.6.6.6\r\n\r\n"
    )
    raw = written(head, request_id=b"id-1", edits=b"x-datadome-isbot: 0\r\n")
    received = (
        b"host: shop.example\r\nuser-agent: u\r\nx-two: 1\r\nx-two: 2\r\nvia: 1.1 gateway\r\ncontent-length: 3\r\n"
    )
    assert raw.startswith(b"POST /a?b HTTP/1.1\r\n" + received)
    assert raw.endswith(b"\r\nx-datadome-isbot: 0\r\n\r\n")
    added = raw.removeprefix(b"POST /a?b HTTP/1.1\r\n" + received).split(b"\r\n")
    assert sorted(added) == [
        b"",
        b"",
        b"x-datadome-isbot: 0",
        b"x-forwarded-for: 192.0.2.7",
        b"x-forwarded-host: shop.example",
        b"x-real-ip: 192.0.2.7",
        b"x-request-id: id-1",
    ]


def test_request_head_written_again_from_the_same_head_follows_its_arguments() -> None:
    head = get(b"/", b"X-Plan: own")
    first = written(head)
    for _ in range(2):
        assert written(head) == first
        assert written(head, request_id=b"id-2") != first
        assert b"host: other\r\n" in write_request_head(head, b"other", UNTRUSTED, FORWARDED, b"", b"", ())
        assert b"x-real-ip: 192.0.2.9\r\n" in write_request_head(
            head, head.host, UNTRUSTED, b"x-real-ip: 192.0.2.9\r\n", b"", b"", ()
        )
        replaced = written(head, edits=b"x-plan: gold\r\n", replaced=frozenset({b"x-plan"}))
        assert b"x-plan: own" not in replaced
        assert b"x-plan: gold\r\n" in replaced


def test_request_head_another_host_is_set_and_the_received_one_forwarded() -> None:
    raw = write_request_head(get(), b"origin:9000", UNTRUSTED, b"", b"", b"", ())
    assert raw == (b"GET / HTTP/1.1\r\nhost: origin:9000\r\nvia: 1.1 gateway\r\nx-forwarded-host: shop.example\r\n\r\n")


def test_request_body_chunked_stays_chunked() -> None:
    raw = written(get(b"/", b"Transfer-Encoding: Chunked", method=b"POST"))
    assert raw.count(b"transfer-encoding: chunked\r\n") == 1
    assert b"content-length" not in raw


def test_request_absolute_target_becomes_origin_form() -> None:
    assert written(get(b"http://shop.example/x")).startswith(b"GET /x HTTP/1.1\r\nhost: shop.example\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"TE: gzip",
        b"Trailer: X",
        b"Upgrade: h2c",
        b"Proxy-Authorization: Basic x",
        b"Expect: 100-continue",
    ],
)
@pytest.mark.parametrize("names", [TRUSTED, UNTRUSTED])
def test_request_hop_by_hop_header_is_not_forwarded(line: bytes, names: NameTable) -> None:
    name = line.split(b":")[0].lower()
    assert name not in names_of(written(get(b"/", line), names))


def test_request_te_trailers_is_forwarded_as_our_own() -> None:
    assert names_of(written(get(b"/", b"TE: trailers, deflate")))[1:4] == [b"via", b"te", b"connection"]


def test_request_header_named_by_connection_is_dropped() -> None:
    assert b"x-foo" not in names_of(written(get(b"/", b"Connection: close, X-Foo", b"X-Foo: 1")))
    kept = written(get(b"/", b"Connection: Cookie, Content-Length", b"Cookie: a=1", b"Content-Length: 0"))
    assert {b"cookie", b"content-length"} <= set(names_of(kept))


@pytest.mark.parametrize(
    "line",
    [
        b"X-DataDome-isbot: 0",
        b"X-DataDome-botname: g",
        b"x-datadome-anything: 1",
        b"X_DataDome_isbot: 0",
        b"X-DataDome_isbot: 0",
        b"X.DataDome.isbot: 0",
        b"X-DataDome-X-Set-Cookie: true",
        b"X-DataDomeResponse: 200",
        b"X_DataDome_ClientID: forged",
        b"X-DataDome-request-headers: a",
        b"X-DataDome: 1",
    ],
)
@pytest.mark.parametrize("names", [TRUSTED, UNTRUSTED])
def test_request_forged_bot_information_is_dropped(line: bytes, names: NameTable) -> None:
    assert line.split(b":")[0].lower() not in names_of(written(get(b"/", line), names))


def test_request_client_id_header_passes() -> None:
    assert b"\r\nx-datadome-clientid: abc\r\n" in written(get(b"/", b"X-DataDome-ClientID: abc"))


FORWARDING = [
    b"forwarded",
    b"x-forwarded-prefix",
    b"x-forwarded-uri",
    b"x-forwarded-method",
    b"true-client-ip",
    b"cf-connecting-ip",
    b"x-client-ip",
    b"x-original-url",
    b"x-rewrite-url",
]


@pytest.mark.parametrize("name", FORWARDING)
def test_request_forwarding_header_is_believed_from_trusted_proxies_alone(name: bytes) -> None:
    head = get(b"/", name + b": spoofed")
    assert name not in names_of(written(head, UNTRUSTED))
    assert b"\r\n%b: spoofed\r\n" % name in written(head, TRUSTED)


@pytest.mark.parametrize("name", [b"x-forwarded-proto", b"x-forwarded-port"])
def test_request_forwarding_header_that_the_finding_writes_never_passes(name: bytes) -> None:
    """What the check was told goes to the origin, not what several proxies wrote into one line."""
    for names in (TRUSTED, UNTRUSTED):
        assert name not in names_of(written(get(b"/", name + b": spoofed"), names))


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"x-real-ip", b"via", b"x-request-id", b"x-forwarded-host"])
def test_request_own_header_is_never_doubled(name: bytes) -> None:
    for names in (TRUSTED, UNTRUSTED):
        request_id = b"" if names is TRUSTED else b"id-1"
        assert names_of(written(get(b"/", name + b": spoofed"), names, request_id=request_id)).count(name) == 1


@pytest.mark.parametrize(
    "alias", [b"X_Forwarded_For", b"X_Real_IP", b"X_Request_Id", b"X.Forwarded.Host", b"Content_Length"]
)
def test_request_alias_of_an_own_header_is_dropped(alias: bytes) -> None:
    for names in (TRUSTED, UNTRUSTED):
        assert alias.lower() not in names_of(written(get(b"/", alias + b": 1"), names))


def test_request_unrelated_name_with_underscore_passes() -> None:
    assert b"\r\nmy_header: 1\r\n" in written(get(b"/", b"My_Header: 1"))


@pytest.mark.parametrize("configured", [b"x-edge-ip", b"edge_ip"])
def test_request_configured_client_header_passes_from_trusted_proxies_alone(configured: bytes) -> None:
    head = get(b"/", configured + b": 6.6.6.6")
    untrusted = request_names(trusted=False, client_header=configured)
    trusted = request_names(trusted=True, client_header=configured)
    assert configured not in names_of(written(head, untrusted))
    assert configured in names_of(written(head, trusted))


def test_request_via_is_appended() -> None:
    assert b"\r\nvia: 1.0 first, 1.1 second, 1.1 gateway\r\n" in written(
        get(b"/", b"Via: 1.0 first", b"Via: 1.1 second")
    )


def test_request_decision_header_replaces_every_received_one() -> None:
    raw = written(
        get(b"/", b"X-Plan: forged", b"X-Plan: forged too"), edits=b"x-plan: gold\r\n", replaced=frozenset({b"x-plan"})
    )
    assert (raw.count(b"x-plan"), b"x-plan: gold\r\n" in raw) == (1, True)


@pytest.mark.parametrize("name", [b"via", b"x-forwarded-for", b"x-real-ip", b"x-forwarded-host", b"x-request-id"])
def test_request_decision_header_replaces_our_own_line(name: bytes) -> None:
    raw = written(get(), request_id=b"id-1", edits=name + b": set\r\n", replaced=frozenset({name}))
    assert names_of(raw).count(name) == 1
    assert raw.endswith(name + b": set\r\n\r\n")


def test_request_decision_that_replaces_all_our_lines_leaves_a_whole_head() -> None:
    replaced = frozenset({b"via", b"x-forwarded-host", b"x-forwarded-for", b"x-real-ip"})
    assert written(get(), edits=b"via: set\r\n", replaced=replaced) == (
        b"GET / HTTP/1.1\r\nhost: shop.example\r\nvia: set\r\n\r\n"
    )


# ---- responses ----


def relayed(
    status: int,
    headers: Headers,
    *,
    removed: frozenset[bytes] = frozenset(),
    edits: bytes = b"",
    framing: bytes = b"",
) -> bytes:
    fields, _, _ = check_response_head(status, headers)
    lines = [b": ".join(pair) for pair in headers]
    return write_response_head(ResponseHead(status, headers, fields, 0, False, True, lines), removed, edits, framing)


def test_response_head_is_rewritten_whole() -> None:
    headers = [
        (b"server", b"o"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"via", b"1.1 cdn"),
        (b"keep-alive", b"5"),
        (b"x-hop", b"1"),
        (b"connection", b"X-Hop, content-length"),
        (b"content-length", b"5"),
        (b"x-datadome-headers", b"leak"),
        (b"x-datadome-isbot", b"echoed"),
        (b"cache-control", b"public"),
    ]
    raw = relayed(
        200,
        headers,
        removed=frozenset({b"x-datadome-isbot", b"cache-control"}),
        edits=b"set-cookie: datadome=x\r\ncache-control: private\r\n",
        framing=b"connection: close\r\n",
    )
    assert raw == (
        b"HTTP/1.1 200 OK\r\nserver: o\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 5\r\n"
        b"via: 1.1 cdn, 1.1 gateway\r\nset-cookie: datadome=x\r\ncache-control: private\r\nconnection: close\r\n\r\n"
    )


@pytest.mark.parametrize("name", [b"x-datadome-request-headers", b"x-datadome-headers", b"x-datadomeresponse"])
def test_response_pointer_header_of_the_origin_never_reaches_the_client(name: bytes) -> None:
    assert relayed(200, [(name, b"x")]) == b"HTTP/1.1 200 OK\r\nvia: 1.1 gateway\r\n\r\n"


def test_response_status_without_a_phrase_is_written() -> None:
    assert relayed(299, []).startswith(b"HTTP/1.1 299 \r\n")


def test_response_repeated_header_is_neither_joined_nor_reordered() -> None:
    raw = relayed(200, [(b"set-cookie", b"a"), (b"link", b"1"), (b"set-cookie", b"b"), (b"link", b"2")])
    assert b"\r\nset-cookie: a\r\nlink: 1\r\nset-cookie: b\r\nlink: 2\r\n" in raw
