"""Every row of the contract's answer table, the header merges, and what clients must never see."""

from __future__ import annotations

import pytest
from fakes import OK, Step, decision, eventually

HOST = (b"host", b"shop.example")
GET = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
HEAD = b"HEAD /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello"

BLOCK_FIELDS = [
    (b"X-DataDome", b"protected"),
    (b"Set-Cookie", b"datadome=new; Path=/"),
    (b"Cache-Control", b"no-cache"),
]

OURS = frozenset((b"content-length", b"connection", b"date", b"via", b"x-request-id", b"server", b"keep-alive"))


def listed(response):
    """The response's headers without those of its framing and the gateway's own, names lowered."""
    return sorted(pair for pair in response.head.lowered if pair[0] not in OURS)


# ---- the table -------------------------------------------------------------------------------------------------------


async def test_decision_200_forwards_and_merges_both_ways(edge):
    world = await edge()
    world.protection.default = decision(
        200,
        to_request=[(b"X-DataDome-isbot", b"0"), (b"X-DataDome-botname", b"none")],
        to_response=[(b"X-DataDome", b"protected"), (b"Set-Cookie", b"datadome=n")],
    )
    world.origin.default = b"HTTP/1.1 201 Made\r\nContent-Length: 2\r\nSet-Cookie: s=1\r\nX-O: 1\r\n\r\nok"
    response = await world.ask(GET)
    assert response.head.start.split(b" ")[1] == b"201"
    assert response.body == b"ok"
    assert listed(response) == [
        (b"set-cookie", b"datadome=n"),
        (b"set-cookie", b"s=1"),
        (b"x-datadome", b"protected"),
        (b"x-o", b"1"),
    ]
    assert world.origin.relayed() == [HOST, (b"x-datadome-isbot", b"0"), (b"x-datadome-botname", b"none")]
    world.assert_checked()
    await world.counted("requests", {("shop", "GET", "2xx", "allowed"): 1})
    await world.counted("protection_checks", {("allow",): 1})


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_decision_block_is_the_answer_and_the_origin_sees_nothing(edge, status):
    world = await edge()
    world.protection.default = decision(
        status,
        to_response=BLOCK_FIELDS,
        to_request=[(b"X-DataDome-isbot", b"1")],
        unlisted=[(b"Content-Type", b"text/html"), (b"X-Internal", b"secret"), (b"Server", b"api")],
        body=b"<html>blocked</html>",
    )
    async with await world.connect() as client:
        client.send(POST)
        response = await client.read_response()
    assert (response.status, response.body) == (status, b"<html>blocked</html>")
    assert listed(response) == [
        (b"cache-control", b"no-cache"),
        (b"content-type", b"text/html"),
        (b"set-cookie", b"datadome=new; Path=/"),
        (b"x-datadome", b"protected"),
    ]
    assert response.values(b"server") != [b"api"]
    assert response.value(b"content-length") == b"20"
    assert world.origin.connections == []
    await world.counted("requests", {("shop", "POST", "4xx", "blocked"): 1})
    await world.counted("protection_checks", {("block",): 1})


@pytest.mark.parametrize("status", [301, 302])
@pytest.mark.parametrize("listing", ["listed", "unlisted"])
async def test_decision_redirect_always_carries_location(edge, status, listing):
    world = await edge()
    location = [(b"Location", b"https://check.example/?a=b")]
    world.protection.default = decision(
        status,
        to_response=BLOCK_FIELDS + (location if listing == "listed" else []),
        unlisted=[] if listing == "listed" else location,
    )
    response = await world.ask(GET)
    assert (response.status, response.body) == (status, b"")
    assert listed(response) == [
        (b"cache-control", b"no-cache"),
        (b"location", b"https://check.example/?a=b"),
        (b"set-cookie", b"datadome=new; Path=/"),
        (b"x-datadome", b"protected"),
    ]
    assert world.origin.connections == []
    assert len(world.protection.requests) == 1  # decisions, never followed
    await world.counted("requests", {("shop", "GET", "3xx", "redirected"): 1})
    await world.counted("protection_checks", {("redirect",): 1})


async def test_decision_429_unenforced_is_an_allow(edge):
    world = await edge({"protection": {"enforce_429": False}})
    world.protection.default = decision(429, to_response=BLOCK_FIELDS, body=b"slow down")
    response = await world.ask(GET)
    assert (response.status, response.body) == (200, b"ok")
    assert len(world.origin.requests) == 1


async def test_decision_json_block_passes_through_with_its_marker(edge):
    world = await edge()
    world.protection.default = decision(
        403,
        to_response=[(b"X-DD-B", b"1"), (b"Content-Type", b"application/json")],
        body=b'{"url":"https://geo.example/"}',
    )
    response = await world.ask(
        b"POST /api HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert (response.status, response.body) == (403, b'{"url":"https://geo.example/"}')
    assert listed(response) == [(b"content-type", b"application/json"), (b"x-dd-b", b"1")]
    assert world.protection.payload()["ContentType"] == "application/json"


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [(b"block", "blocked"), (b"hard_block", "blocked"), (b"captcha", "challenged"), (b"device_check", "challenged")],
)
async def test_decision_block_outcome_follows_the_rule_response(edge, rule, outcome):
    world = await edge()
    world.protection.default = decision(403, unlisted=[(b"X-DataDome-Traffic-Rule-Response", rule)])
    await world.ask(GET)
    await world.counted("requests", {("shop", "GET", "4xx", outcome): 1})


async def test_decision_block_of_head_has_no_body_and_the_connection_goes_on(edge):
    world = await edge()
    world.protection.scripts.append(decision(403, to_response=BLOCK_FIELDS, body=b"<html>blocked</html>"))
    async with await world.connect() as client:
        client.send(HEAD + GET)
        blocked = await client.read_response(b"HEAD")
        assert (blocked.status, blocked.body) == (403, b"")
        allowed = await client.read_response()
        assert (allowed.status, allowed.body) == (200, b"ok")


async def test_decision_block_of_a_large_upload_is_answered_without_reading_it(edge):
    """Nothing of a blocked body goes anywhere, and the client gets its answer although it is still sending."""
    world = await edge()
    world.protection.default = decision(403, body=b"no")
    async with await world.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 33554432\r\n\r\n" + b"x" * 4_000_000)
        response = await client.read_response()
        assert await client.read_to_end() == b""
    assert (response.status, response.body) == (403, b"no")
    assert response.value(b"connection") == b"close"
    assert world.origin.connections == []


async def test_decision_chunked_answer_of_the_api_is_a_counted_body(edge):
    """The API may frame as it likes; Content-Length of a block is computed here."""
    world = await edge()
    world.protection.default = (
        b"HTTP/1.1 403 Forbidden\r\nX-DataDomeResponse: 403\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    )
    response = await world.ask(GET)
    assert (response.status, response.body, response.value(b"content-length")) == (403, b"abcdefg", b"7")
    assert response.values(b"transfer-encoding") == []


async def test_decision_close_delimited_answer_of_the_api_is_whole_at_its_end(edge):
    world = await edge()
    world.protection.default = [b"HTTP/1.1 403 F\r\nX-DataDomeResponse: 403\r\n\r\nab", b"c", Step.CLOSE]
    response = await world.ask(GET)
    assert (response.status, response.body) == (403, b"abc")


async def test_decision_interim_answers_of_the_api_are_skipped(edge):
    world = await edge()
    world.protection.default = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nX: y\r\n\r\n", decision(403)]
    assert (await world.ask(GET)).status == 403


# ---- integrity -------------------------------------------------------------------------------------------------------


WRONG_MARKERS = [
    None,
    b"200",
    b"404",
    b" ",
    b"+403",
    b"0403",
    b"403, 403",
    b"403;",
    b"4O3",
    b"\xb2\xb203",
    b"\xd9\xa4\xd9\xa0\xd9\xa3",
]


@pytest.mark.parametrize("marker", WRONG_MARKERS, ids=repr)
async def test_integrity_strict_wrong_marker_is_ignored_whole(edge, marker):
    """Missing, other, or not ASCII digits: allowed, nothing merged, counted as `integrity`."""
    world = await edge()
    world.protection.default = decision(
        403, marker=marker, to_response=BLOCK_FIELDS, to_request=[(b"X-DataDome-isbot", b"1")], body=b"no"
    )
    response = await world.ask(GET)
    assert (response.status, response.body) == (200, b"ok")
    assert listed(response) == []
    assert world.origin.relayed() == [HOST]
    await world.counted("requests", {("shop", "GET", "2xx", "failed_open"): 1})
    await world.counted("protection_failures", {("integrity",): 1})
    await world.counted("protection_checks", {("error",): 1})


async def test_integrity_strict_two_markers_are_ignored_whole(edge):
    """One header, says the contract: two equal ones are not one."""
    world = await edge()
    world.protection.default = decision(403, unlisted=[(b"X-DataDomeResponse", b"403")])
    assert (await world.ask(GET)).status == 200
    await world.counted("protection_failures", {("integrity",): 1})


async def test_integrity_strict_200_without_marker_merges_nothing(edge):
    world = await edge()
    world.protection.default = decision(
        200, marker=None, to_request=[(b"X-DataDome-isbot", b"0")], to_response=[(b"X-DataDome", b"p")]
    )
    response = await world.ask(GET)
    assert listed(response) == []
    assert world.origin.relayed() == [HOST]
    await world.counted("protection_failures", {("integrity",): 1})


async def test_integrity_strict_marker_overrules_nothing(edge):
    """HTTP 200 with the decision in the header is for `integrity: header` alone."""
    world = await edge()
    world.protection.default = decision(200, marker=b"403", to_response=BLOCK_FIELDS, body=b"no")
    assert (await world.ask(GET)).status == 200
    await world.counted("protection_failures", {("integrity",): 1})


async def test_integrity_header_goes_by_the_marker(edge):
    world = await edge({"protection": {"integrity": "header"}})
    world.protection.scripts.extend(
        [
            decision(200, marker=b"403", to_response=BLOCK_FIELDS, body=b"no"),
            decision(403, marker=b"200", to_response=[(b"X-DataDome", b"p")]),
            decision(200, marker=b"301", unlisted=[(b"Location", b"/x")]),
        ]
    )
    blocked, allowed, redirected = [await world.ask(GET) for _ in range(3)]
    assert (blocked.status, blocked.body) == (403, b"no")
    assert (allowed.status, allowed.body, listed(allowed)) == (200, b"ok", [(b"x-datadome", b"p")])
    assert (redirected.status, redirected.value(b"location")) == (301, b"/x")
    assert len(world.origin.requests) == 1


@pytest.mark.parametrize("marker", [None, b"4O3", b"\xb2\xb203"], ids=repr)
async def test_integrity_header_without_a_marker_is_a_failure(edge, marker):
    world = await edge({"protection": {"integrity": "header"}})
    world.protection.default = decision(403, marker=marker)
    assert (await world.ask(GET)).status == 200
    await world.counted("protection_failures", {("integrity",): 1})


# ---- header merges ---------------------------------------------------------------------------------------------------


async def test_merge_to_request_replaces_what_the_client_sent(edge):
    world = await edge()
    world.protection.default = decision(200, to_request=[(b"X-Risk", b"low"), (b"User-Agent", b"normal")])
    await world.ask(
        b"GET /a HTTP/1.1\r\nHost: shop.example\r\nx-risk: high\r\nX-RISK: higher\r\nUser-Agent: odd\r\n\r\n"
    )
    assert sorted(world.origin.relayed()) == [HOST, (b"user-agent", b"normal"), (b"x-risk", b"low")]


async def test_merge_to_response_replaces_and_appends_cookies(edge):
    """P11: three cookies of the origin and two of the decision stay five headers in order; the rest is replaced."""
    world = await edge()
    world.protection.default = decision(
        200,
        to_response=[
            (b"Set-Cookie", b"d=1"),
            (b"Set-Cookie", b"e=2"),
            (b"Cache-Control", b"no-cache"),
            (b"X-New", b"n"),
        ],
    )
    world.origin.default = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Expires=Wed, 13 Jan 2027 22:23:01 GMT\r\nCache-Control: max-age=9\r\n"
        b"Set-Cookie: b=2\r\ncache-control: public\r\nSet-Cookie: c=3\r\nContent-Length: 2\r\n\r\nok"
    )
    response = await world.ask(GET)
    assert response.values(b"set-cookie") == [
        b"a=1; Expires=Wed, 13 Jan 2027 22:23:01 GMT",
        b"b=2",
        b"c=3",
        b"d=1",
        b"e=2",
    ]
    assert response.values(b"cache-control") == [b"no-cache"]
    assert response.values(b"x-new") == [b"n"]


async def test_merge_cookies_of_a_block_stay_separate(edge):
    world = await edge()
    world.protection.default = decision(
        403, to_response=[(b"Set-Cookie", b"d=1; Expires=Wed, 13 Jan"), (b"Set-Cookie", b"e=2")]
    )
    assert (await world.ask(GET)).values(b"set-cookie") == [b"d=1; Expires=Wed, 13 Jan", b"e=2"]


@pytest.mark.parametrize(
    "pointers",
    [
        b"X-DataDome-headers: X-One X-Two\r\nX-DataDome-request-headers: X-Three",
        b"x-datadome-HEADERS: x-one   X-TWO\r\nX-DATADOME-REQUEST-HEADERS: \tx-three ",
        b"X-DataDome-headers: X-One\r\nX-DataDome-headers: X-Two\r\nX-DataDome-request-headers: X-Three X-Missing",
        b"X-DataDome-headers: X-One\tX-Two X-Absent\r\nX-DataDome-request-headers: X-Three X-Three",
    ],
)
async def test_merge_pointer_headers_are_one_list_without_case(edge, pointers):
    """White space of any kind separates, a listed name that is absent is skipped, a repeated pointer is one list."""
    world = await edge()
    world.protection.default = (
        b"HTTP/1.1 200 OK\r\nX-DataDomeResponse: 200\r\nContent-Length: 0\r\n"
        + pointers
        + b"\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\nX-Unlisted: 4\r\n\r\n"
    )
    response = await world.ask(GET)
    assert listed(response) == [(b"x-one", b"1"), (b"x-two", b"2")]
    assert world.origin.relayed() == [HOST, (b"x-three", b"3")]


HIDDEN = [b"X-DataDome-request-headers", b"X-DataDome-headers", b"X-DataDomeResponse"]


@pytest.mark.parametrize("status", [200, 403])
async def test_hidden_headers_never_reach_the_client_even_when_listed(edge, status):
    world = await edge()
    api = (
        b"HTTP/1.1 %d D\r\nX-DataDomeResponse: %d\r\nContent-Length: 0\r\n"
        b"X-DataDome-request-headers: X-DataDome-isbot X-DataDome-headers\r\n"
        b"X-DataDome-headers: X-DataDomeResponse X-DataDome-headers X-DataDome-request-headers X-Shown\r\n"
        b"X-DataDome-isbot: 1\r\nX-Shown: 1\r\n\r\n"
    )
    world.protection.default = api % (status, status)
    response = await world.ask(GET)
    assert listed(response) == [(b"x-shown", b"1")]


async def test_hidden_headers_echoed_by_the_origin_are_removed(edge):
    """What only the request list names, and the pointers, are removed from the origin's own answer too."""
    world = await edge()
    world.protection.default = decision(200, to_request=[(b"X-DataDome-isbot", b"1"), (b"X-Secret", b"s")])
    world.origin.default = (
        b"HTTP/1.1 200 OK\r\nX-DataDome-isbot: 1\r\nx-secret: s\r\nX-DataDome-headers: a\r\n"
        b"X-DataDome-request-headers: b\r\nX-DataDomeResponse: 200\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nok"
    )
    response = await world.ask(GET)
    assert listed(response) == [(b"x-own", b"1")]
    assert (b"x-secret", b"s") in world.origin.relayed()


async def test_header_in_both_lists_goes_both_ways(edge):
    """Hidden is what *only* the request list names."""
    world = await edge()
    world.protection.default = (
        b"HTTP/1.1 200 OK\r\nX-DataDomeResponse: 200\r\nContent-Length: 0\r\nX-DataDome-request-headers: X-Both\r\n"
        b"X-DataDome-headers: X-Both\r\nX-Both: 1\r\n\r\n"
    )
    response = await world.ask(GET)
    assert response.values(b"x-both") == [b"1"]
    assert (b"x-both", b"1") in world.origin.relayed()


REFUSED = [b"Host", b"Keep-Alive", b"TE", b"Trailer", b"Upgrade", b"Proxy-Connection", b"Proxy-Authenticate"]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("status", [200, 403])
async def test_listed_hop_by_hop_and_framing_names_are_refused(edge, name, status):
    """P10: an answer of the API cannot change the framing or the host of anything."""
    world = await edge()
    evil = (name, b"evil.example")
    world.protection.default = decision(
        status, to_request=[evil, (b"X-Fine", b"1")], to_response=[(b"X-Shown", b"1"), evil]
    )
    response = await world.ask(GET)
    assert b"evil.example" not in response.head.raw
    assert response.values(b"x-shown") == [b"1"]
    if status == 200:
        assert world.origin.relayed() == [HOST, (b"x-fine", b"1")]


@pytest.mark.parametrize("name", [b"Content-Length", b"Connection", b"X-DataDomeResponse", b"Transfer-Encoding"])
async def test_listed_framing_of_the_api_itself_is_not_ours(edge, name):
    """The API's own Content-Length, listed, must become neither the origin's nor the client's."""
    world = await edge()
    world.protection.default = (
        b"HTTP/1.1 200 OK\r\nX-DataDomeResponse: 200\r\nContent-Length: 7\r\nConnection: keep-alive\r\n"
        b"X-DataDome-request-headers: " + name + b"\r\nX-DataDome-headers: " + name + b"\r\n\r\nignored"
    )
    response = await world.ask(GET)
    assert (response.status, response.body, response.value(b"content-length")) == (200, b"ok", b"2")
    assert world.origin.relayed() == [HOST]


async def test_listed_content_length_of_a_block_is_computed_here(edge):
    world = await edge()
    world.protection.default = (
        b"HTTP/1.1 403 F\r\nX-DataDomeResponse: 403\r\nTransfer-Encoding: chunked\r\n"
        b"X-DataDome-headers: Transfer-Encoding Content-Length\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    )
    response = await world.ask(GET)
    assert (response.status, response.body, response.value(b"content-length")) == (403, b"no", b"2")
    assert response.values(b"transfer-encoding") == []


@pytest.mark.parametrize("pseudo", [b":status", b"X Y", b"a:b", b"\xc3\xa9"])
async def test_listed_name_that_is_no_name_is_skipped(edge, pseudo):
    world = await edge()
    world.protection.default = (
        b"HTTP/1.1 200 OK\r\nX-DataDomeResponse: 200\r\nContent-Length: 0\r\nX-DataDome-headers: "
        + pseudo
        + b" X-Shown\r\nX-Shown: 1\r\n\r\n"
    )
    assert listed(await world.ask(GET)) == [(b"x-shown", b"1")]


# ---- session by header -----------------------------------------------------------------------------------------------


async def test_session_by_header_asks_for_and_returns_the_new_value(edge):
    world = await edge()
    world.protection.default = decision(200, to_response=[(b"X-Set-Cookie", b"datadome=new")])
    response = await world.ask(
        b"GET /a HTTP/1.1\r\nHost: shop.example\r\nX-DataDome-ClientID: from-header\r\n"
        b"Cookie: datadome=from-cookie\r\n\r\n"
    )
    assert world.protection.payload()["ClientID"] == "from-header"
    assert world.protection.requests[0].head.values(b"x-datadome-x-set-cookie") == [b"true"]
    assert response.values(b"x-set-cookie") == [b"datadome=new"]
    assert response.values(b"set-cookie") == []


@pytest.mark.parametrize("header", [b"", b"X-DataDome-ClientID: \r\n"], ids=["absent", "empty"])
async def test_session_by_cookie_does_not_ask_for_the_header(edge, header):
    world = await edge()
    cookie = b"Cookie: xdatadome=no; datadome=a%20b+c==; datadome=second\r\n\r\n"
    await world.ask(b"GET /a HTTP/1.1\r\nHost: shop.example\r\n" + header + cookie)
    assert world.protection.payload()["ClientID"] == "a%20b+c=="
    assert world.protection.requests[0].head.values(b"x-datadome-x-set-cookie") == []


async def test_session_of_two_requests_in_a_row_does_not_stick(edge):
    """X-DataDome-X-Set-Cookie belongs to one check, not to the pooled connection."""
    world = await edge()
    async with await world.connect() as client:
        for header in (b"X-DataDome-ClientID: c\r\n", b""):
            client.send(b"GET /a HTTP/1.1\r\nHost: shop.example\r\n" + header + b"\r\n")
            await client.read_response()
    values = [check.head.values(b"x-datadome-x-set-cookie") for check in world.protection.requests]
    assert values == [[b"true"], []]
    assert "ClientID" not in world.protection.payload(2)


# ---- monitor and off -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 401, 403, 429, 400])
async def test_monitor_enforces_nothing_and_merges_nothing_of_a_block(edge, status):
    """D04: asked, counted, logged; the origin is reached as if nothing had been said."""
    world = await edge({"protection": {"mode": "monitor"}})
    world.protection.default = decision(
        status, to_response=BLOCK_FIELDS, to_request=[(b"X-DataDome-isbot", b"1")], body=b"no"
    )
    response = await world.ask(POST)
    assert (response.status, response.body, listed(response)) == (200, b"ok", [])
    assert world.origin.relayed() == [HOST, (b"content-length", b"5")]
    assert world.origin.requests[0].body == b"hello"
    if status != 400:
        await world.counted("requests", {("shop", "POST", "2xx", "monitored"): 1})


async def test_monitor_merges_an_allow_as_usual(edge):
    """Sessions need their cookie."""
    world = await edge({"protection": {"mode": "monitor"}})
    world.protection.default = decision(
        200, to_response=[(b"Set-Cookie", b"datadome=n")], to_request=[(b"X-DataDome-isbot", b"0")]
    )
    response = await world.ask(GET)
    assert response.values(b"set-cookie") == [b"datadome=n"]
    assert world.origin.relayed() == [HOST, (b"x-datadome-isbot", b"0")]


async def test_monitor_on_failure_block_still_enforces_nothing(edge):
    world = await edge({"protection": {"mode": "monitor", "on_failure": "block"}})
    world.protection.default = [Step.CLOSE]
    assert (await world.ask(GET)).status == 200


async def test_off_asks_nothing(edge):
    world = await edge({"protection": {"mode": "off"}})
    response = await world.ask(POST)
    assert (response.status, response.body) == (200, b"ok")
    assert world.protection.connections == []
    assert world.origin.requests[0].body == b"hello"
    await world.counted("requests", {("shop", "POST", "2xx", "bypassed"): 1})
    await world.counted("protection_checks", {})


# ---- forged headers --------------------------------------------------------------------------------------------------

FORGED = (
    b"X-DataDome-isbot: 0\r\nx-datadome-botname: none\r\nX_DataDome_isbot: 0\r\nX-DataDome_botfamily: good\r\n"
    b"X_DATADOME-RuleType: none\r\nX-DataDome-request-headers: X-A\r\nX-DataDome-headers: X-A\r\n"
    b"X-DataDomeResponse: 200\r\nX-DataDome: ok\r\nX.DataDome.isbot: 0\r\nX_DataDome_ClientID: c\r\n"
)

PATHS = {
    "allowed": ({}, b"/a", decision(200)),
    "excluded-static": ({}, b"/a.css", decision(403)),
    "excluded-pattern": ({"protection": {"exclude": ["^shop\\.example/free"]}}, b"/free", decision(403)),
    "not-included": ({"protection": {"include": ["/paid"]}}, b"/free", decision(403)),
    "excluded-method": ({"protection": {"exclude_methods": ["GET"]}}, b"/a", decision(403)),
    "excluded-address": ({"protection": {"exclude_ips": ["127.0.0.0/8"]}}, b"/a", decision(403)),
    "failed-open": ({}, b"/a", [Step.CLOSE]),
    "integrity": ({}, b"/a", decision(403, marker=None)),
    "monitor": ({"protection": {"mode": "monitor"}}, b"/a", decision(403)),
    "off": ({"protection": {"mode": "off"}}, b"/a", decision(403)),
}


@pytest.mark.parametrize(("config", "path", "answer"), PATHS.values(), ids=PATHS)
async def test_forged_bot_headers_never_reach_the_origin(edge, config, path, answer):
    """P08: on every path through the gateway, aliases included; X-DataDome-ClientID alone is the client's to send."""
    world = await edge(config)
    world.protection.default = answer
    fields = b"X-DataDome-ClientID: c1\r\n" + FORGED + b"X-Data: 1\r\n\r\n"
    response = await world.ask(b"GET " + path + b" HTTP/1.1\r\nHost: shop.example\r\n" + fields)
    assert response.status == 200
    relayed = world.origin.relayed()
    assert [pair for pair in relayed if b"datadome" in pair[0]] in (
        [(b"x-datadome-clientid", b"c1")],
        [(b"x-datadome-clientid", b"c1"), (b"x-datadome", b"ok")],
    )
    assert (b"x-data", b"1") in relayed


async def test_forged_bot_headers_give_way_to_the_decisions_own(edge):
    world = await edge()
    world.protection.default = decision(200, to_request=[(b"X-DataDome-isbot", b"1")])
    await world.ask(b"GET /a HTTP/1.1\r\nHost: shop.example\r\n" + FORGED + b"\r\n")
    assert [pair for pair in world.origin.relayed() if b"isbot" in pair[0]] == [(b"x-datadome-isbot", b"1")]


# ---- what is asked ---------------------------------------------------------------------------------------------------

CHECKED = [
    b"/login;x.css",
    b"/login%3b.js",
    b"/api%2fx.png",
    b"/login%3fa.css",
    b"/x.js%0a",
    b"/admin?x=.css",
    b"/a.css/b",
    b"/a.css.php",
    b"/css",
    b"/.cssx",
    b"/a%23.css",
    b"/a%25.css",
]
NOT_CHECKED = [b"/a.css", b"/a.CSS", b"/b/c.woff2", b"/a.css?v=1", b"/a.css;v=1", b"/a;x=1/b.js"]


@pytest.mark.parametrize(("path", "asked"), [(p, True) for p in CHECKED] + [(p, False) for p in NOT_CHECKED])
async def test_scope_static_assets_are_bypassed_and_lookalikes_checked(edge, path, asked):
    """H07, H08 and the contract's known bypasses; the origin gets the target byte for byte either way."""
    world = await edge()
    assert (await world.ask(b"GET " + path + b" HTTP/1.1\r\nHost: shop.example\r\n\r\n")).status == 200
    assert world.origin.requests[0].target == path
    assert bool(world.protection.requests) is asked
    await world.counted("requests", {("shop", "GET", "2xx", "allowed" if asked else "bypassed"): 1})


async def test_scope_static_is_for_get_and_head_alone(edge):
    world = await edge()
    await world.ask(b"POST /login.css HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n")
    await world.ask(b"HEAD /login.css HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert [check.payload["Method"] for check in world.protection.requests] == ["POST"]


async def test_check_is_the_contracts_call(edge):
    """Section 1: method, path, the complete list of headers, and every field that is always sent."""
    world = await edge()
    await world.ask(
        b"POST /a/%C3%A9?q=1&r=%20 HTTP/1.1\r\nHost: shop.example:81\r\nUser-Agent: M\r\nCookie: a=1\r\nAccept:\r\n"
        b"Authorization: B x\r\nX-Tail: \xe9\r\nX-Tail: 2\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    )
    check = world.protection.requests[0]
    assert check.line == b"POST /validate-request HTTP/1.1"
    assert dict(check.head.lowered) == {
        b"host": b"127.0.0.1:%d" % world.protection.port,
        b"user-agent": b"DataDome",
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(check.body),
        b"accept-encoding": b"identity",
    }
    payload = check.payload
    assert isinstance(payload.pop("TimeRequest"), int)
    assert payload.pop("RequestModuleName")
    assert payload.pop("ModuleVersion")
    assert payload == {
        "Key": "k-test",
        "IP": "127.0.0.1",
        "ServerName": "edge-1",
        "ServerHostname": "shop.example:81",
        "Host": "shop.example:81",
        "Port": world.gateway.port,
        "Protocol": "http",
        "Method": "POST",
        "Request": "/a/%C3%A9?q=1&r=%20",
        "HeadersList": "host,user-agent,cookie,accept,authorization,x-tail,x-tail,content-type,content-length",
        "APIConnectionState": "new",
        "AuthorizationLen": 3,
        "CookiesLen": 3,
        "CookiesList": "a",
        "PostParamLen": 5,
        "UserAgent": "M",
        "ContentType": "text/plain",
    }


async def test_check_in_form_encoding_has_the_same_fields(edge):
    world = await edge({"protection": {"encoding": "form"}})
    await world.ask(b"GET /a?b=%20&c=+ HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: a b&c=d%\xe9\r\n\r\n")
    payload = world.protection.payload()
    assert world.protection.requests[0].head.value(b"content-type") == b"application/x-www-form-urlencoded"
    assert (payload["Request"], payload["UserAgent"]) == ("/a?b=%20&c=+", "a b&c=d%é")
    assert (payload["Port"], payload["PostParamLen"]) == (str(world.gateway.port), "0")


async def test_check_endpoint_path_is_a_prefix(edge):
    world = await edge()
    await world.close()
    other = await edge({"protection": {"endpoint": f"http://127.0.0.1:{world.protection.port}/v1/eu/"}})
    await world.protection.start()
    assert (await other.ask(GET)).status == 200
    assert world.protection.requests[-1].line == b"POST /v1/eu/validate-request HTTP/1.1"
    await world.protection.stop()


async def test_check_connections_are_reused(edge):
    """Pooled keep-alive: ten exchanges one after the other need one connection to the API and one to the origin."""
    world = await edge()
    world.origin.default = OK
    async with await world.connect() as client:
        for _ in range(10):
            client.send(GET)
            await client.read_response()
    assert len(world.protection.connections) == 1
    assert len(world.origin.connections) == 1
    await world.counted("protection_connections_opened", {(): 1})


async def test_check_pool_is_warmed_without_a_request(edge):
    world = await edge({"protection": {"pool": {"warm": 3}}})
    await eventually(lambda: len(world.protection.connections) == 3, "three connections")
    await world.ask(GET)
    assert len(world.protection.connections) == 3


async def test_site_settings_lie_over_the_general_ones(edge):
    world = await edge()
    config = dict(world.config)
    server = config["sites"][0]["origin"]["servers"]
    sites = [
        {"hosts": ["shop.example"], "paths": ["/free"], "origin": {"servers": server}, "protection": {"mode": "off"}},
        {"hosts": ["*.example"], "origin": {"servers": server}, "protection": {"key": "k-other"}},
    ]
    other = await edge({"sites": sites, "protection": {"endpoint": config["protection"]["endpoint"]}})
    for target in (b"/free/x", b"/freedom", b"/a"):
        await other.ask(b"GET " + target + b" HTTP/1.1\r\nHost: SHOP.example:80\r\n\r\n")
    checked = [(check.payload["Request"], check.payload["Key"]) for check in world.protection.requests]
    assert ("/a", "k-other") in checked
    assert "/free/x" not in [path for path, _ in checked]
    assert (await other.ask(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")).status == 421
    assert sum(other.gateway.counts("rejected_requests").values()) == 1
