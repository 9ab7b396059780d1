"""Answers of our own: bodies, framing, Connection."""

from __future__ import annotations

import json

import pytest

from gateway.http.message import LocalReply
from gateway.http.writer import error_reply, prefers_json, write_reply

OUR_STATUSES = [400, 408, 413, 414, 417, 421, 426, 431, 501, 502, 503, 504]


@pytest.mark.parametrize("status", OUR_STATUSES)
def test_error_reply_has_a_short_text_and_the_request_s_id(status: int) -> None:
    reply = error_reply(status, b"id-1", b"text/html,*/*")
    assert reply.status == status
    assert reply.headers == (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-request-id", b"id-1"),
    )
    assert reply.body.startswith(b"%d " % status)
    assert len(reply.body) < 100


def test_error_reply_to_a_json_client_is_json() -> None:
    reply = error_reply(502, b"id-\xff", b"application/json, text/html")
    assert dict(reply.headers)[b"content-type"] == b"application/json"
    assert json.loads(reply.body) == {
        "status": 502,
        "error": "The origin did not give a valid answer.",
        "request_id": "id-\xff",
    }


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (b"", False),
        (b"*/*", False),
        (b"application/json", True),
        (b"Application/JSON", True),
        (b"application/problem+json, text/html", True),
        (b"text/html, application/json", False),
    ],
)
def test_json_is_preferred_if_it_stands_before_html(accept: bytes, preferred: bool) -> None:
    assert prefers_json(accept) is preferred


def written(reply: LocalReply, *, to_head: bool = False, keep_alive: bool = True, minor_version: int = 1) -> bytes:
    return write_reply(reply, to_head=to_head, keep_alive=keep_alive, minor_version=minor_version)


def test_reply_is_framed_by_its_length() -> None:
    reply = LocalReply(403, ((b"content-type", b"text/html"), (b"set-cookie", b"a"), (b"set-cookie", b"b")), b"no")
    assert written(reply) == (
        b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\nset-cookie: a\r\nset-cookie: b\r\n"
        b"content-length: 2\r\n\r\nno"
    )


def test_reply_to_head_has_the_length_without_the_body() -> None:
    assert written(LocalReply(403, (), b"blocked"), to_head=True) == (
        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 7\r\n\r\n"
    )


@pytest.mark.parametrize("status", [204, 304])
def test_reply_without_a_body_by_definition_has_no_length(status: int) -> None:
    assert b"content-length" not in written(LocalReply(status))


@pytest.mark.parametrize(
    ("keep_alive", "minor_version", "line"),
    [
        (True, 1, b""),
        (False, 1, b"connection: close\r\n"),
        (True, 0, b"connection: keep-alive\r\n"),
        (False, 0, b"connection: close\r\n"),
    ],
)
def test_reply_says_what_its_version_does_not_imply(keep_alive: bool, minor_version: int, line: bytes) -> None:
    assert written(LocalReply(200), keep_alive=keep_alive, minor_version=minor_version) == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + line + b"\r\n"
    )
