"""The bytes and headers that follow from a verdict."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from gateway.engine.answer import Answer, answer_refusal, answer_verdict, block_page, is_json
from gateway.engine.rules import HUMAN, Verdict
from gateway.engine.wire import Described

BLOCK = Verdict("block", "curl", "bad_bot", True, "AI Threats Detection")
REQUEST_ID = "00000000-0000-4000-8000-000000000000"
NEW_ID = "A" * 96
POINTER = "X-DataDome-botname X-DataDome-botfamily X-DataDome-isbot X-DataDome-requestid X-DataDome-ruletype"
OLD_ID = "AHrlqAAAAAMAvMOMAeCkNXsAAAA~_-"


def answer(verdict: Verdict, x_set_cookie: bool = False, **fields: Any) -> Answer:
    return answer_verdict(verdict, Described(fields), lambda size: bytes(size), x_set_cookie=x_set_cookie)


def test_allow_has_pointers_enriched_headers_and_cookie() -> None:
    assert answer(HUMAN, Protocol="https") == Answer(
        200,
        [
            ("X-DataDomeResponse", "200"),
            ("X-DataDome-Traffic-Rule-Response", "authorize"),
            ("X-DataDome-request-headers", POINTER),
            ("X-DataDome-headers", "Set-Cookie X-DataDome"),
            ("X-DataDome-botname", "human"),
            ("X-DataDome-botfamily", "human"),
            ("X-DataDome-isbot", "0"),
            ("X-DataDome-requestid", REQUEST_ID),
            ("X-DataDome-ruletype", "Humans"),
            ("X-DataDome", "protected"),
            ("Set-Cookie", f"datadome={NEW_ID}; Max-Age=31536000; Path=/; SameSite=Lax; Secure"),
        ],
        b"",
    )


def test_block_of_a_page_has_html_and_lists_what_the_client_gets() -> None:
    got = answer(BLOCK, Protocol="http", ClientID=OLD_ID)

    assert got.status == 403
    assert got.headers == [
        ("X-DataDomeResponse", "403"),
        ("X-DataDome-Traffic-Rule-Response", "block"),
        ("X-DataDome-request-headers", POINTER),
        (
            "X-DataDome-headers",
            "Set-Cookie X-DataDome Content-Type Content-Security-Policy Cache-Control Pragma X-Content-Type-Options",
        ),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
        ("Cache-Control", "private, no-cache, no-store, must-revalidate"),
        ("Pragma", "no-cache"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-DataDome-botname", "curl"),
        ("X-DataDome-botfamily", "bad_bot"),
        ("X-DataDome-isbot", "1"),
        ("X-DataDome-requestid", REQUEST_ID),
        ("X-DataDome-ruletype", "AI Threats Detection"),
        ("X-DataDome", "protected"),
        ("Set-Cookie", f"datadome={OLD_ID}; Max-Age=31536000; Path=/; SameSite=Lax"),
    ]
    assert got.body == block_page(REQUEST_ID)


def test_block_of_json_has_json_and_x_dd_b() -> None:
    got = answer(BLOCK, Protocol="https", Host="shop.example", Request="/a?b=<c>", ContentType="application/json")

    headers = dict(got.headers)
    assert got.status == 403
    assert headers["X-DD-B"] == "1"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["X-DataDome-headers"] == (
        "Set-Cookie X-DataDome Content-Type X-DD-B Cache-Control Pragma X-Content-Type-Options"
    )
    assert orjson.loads(got.body) == {
        "url": "https://shop.example/a?b=<c>",
        "request_id": REQUEST_ID,
        "message": "This request was blocked.",
    }


@pytest.mark.parametrize("verdict", [HUMAN, BLOCK])
def test_session_by_header_moves_the_cookie_to_x_set_cookie(verdict: Verdict) -> None:
    headers = dict(answer(verdict, x_set_cookie=True, ClientID=OLD_ID).headers)

    assert headers["X-Set-Cookie"] == f"datadome={OLD_ID}; Max-Age=31536000; Path=/; SameSite=Lax"
    assert "Set-Cookie" not in headers
    assert headers["X-DataDome-headers"].split()[0] == "X-Set-Cookie"


@pytest.mark.parametrize("verdict", [HUMAN, BLOCK])
@pytest.mark.parametrize("content_type", ["", "application/json"])
@pytest.mark.parametrize("x_set_cookie", [False, True])
def test_every_listed_header_is_there(verdict: Verdict, content_type: str, x_set_cookie: bool) -> None:
    got = answer(verdict, x_set_cookie, ContentType=content_type)

    names = [name for name, _ in got.headers]
    assert len(names) == len(set(names))
    headers = dict(got.headers)
    for pointer in ("X-DataDome-request-headers", "X-DataDome-headers"):
        assert set(headers[pointer].split()) <= set(names)
    assert headers["X-DataDomeResponse"] == str(got.status)


@pytest.mark.parametrize(
    "client_id",
    ["", "short", "a" * 513, "a" * 30 + ";Domain=evil", "a" * 30 + "\r\nX: y", "é" * 30, "a b" * 20, '"' * 30],
)
def test_client_id_that_cannot_be_ours_is_replaced(client_id: str) -> None:
    assert dict(answer(HUMAN, ClientID=client_id).headers)["Set-Cookie"].startswith(f"datadome={NEW_ID}; ")


@pytest.mark.parametrize("client_id", ["a" * 20, "a" * 512, "AZaz09_~.=+/-AZaz09_~"])
def test_client_id_that_can_be_ours_is_kept(client_id: str) -> None:
    assert dict(answer(HUMAN, ClientID=client_id).headers)["Set-Cookie"].startswith(f"datadome={client_id}; ")


def test_refusal_says_why_in_plain_text() -> None:
    assert answer_refusal(400, "the Key field is missing") == Answer(
        400,
        [
            ("X-DataDomeResponse", "400"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("X-Content-Type-Options", "nosniff"),
        ],
        b"the Key field is missing",
    )


def test_block_page_shows_the_escaped_request_id_and_loads_nothing() -> None:
    page = block_page("<id>&").decode()

    assert "<code>&lt;id&gt;&amp;</code>" in page
    assert "{request_id}" not in page
    assert not re.search(r"(?:src|href|url\(|@import|<script|<link|<img)", page)
    assert page.startswith("<!DOCTYPE html>\n<html lang=")


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("application/vnd.api+json;v=1", True),
        ("text/json-seq", False),
        ("application/jsonp", False),
        ("text/html", False),
        ("", False),
    ],
)
def test_is_json_looks_at_the_media_type(content_type: str, expected: bool) -> None:
    assert is_json(content_type) is expected
