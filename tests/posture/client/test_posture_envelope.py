"""The error envelope of DDactic and CyperSecurity."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    Conflict,
    CredentialsRefused,
    InvalidCall,
    NotFound,
    PermissionRefused,
    PlatformFailed,
    PlatformRefused,
    QuotaExhausted,
    RateLimited,
)
from gateway.posture.client.envelope import read_refusal


def envelope(code: str, message: str = "m", **details: object) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "details": details}}).encode()


def said(status: int, body: bytes) -> str:
    return str(read_refusal("ddactic", "POST /scans", status, body)).removeprefix("ddactic POST /scans: ")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        # the two documents
        (401, "unauthorized", CredentialsRefused),
        (401, "authentication_failed", CredentialsRefused),
        (403, "forbidden", PermissionRefused),
        (404, "not_found", NotFound),
        (429, "rate_limited", RateLimited),
        (429, "rate_limit_exceeded", RateLimited),
        (400, "invalid_domain", InvalidCall),
        (400, "invalid_request", InvalidCall),
        (409, "scan_in_progress", Conflict),
        (429, "insufficient_quota", QuotaExhausted),
        (402, "insufficient_quota", QuotaExhausted),
        (403, "insufficient_quota", QuotaExhausted),
        (500, "internal_error", PlatformFailed),
        # a status that does not fit its code: the status decides what is repeated, the code what it means
        (400, "authentication_failed", CredentialsRefused),
        (503, "not_found", PlatformFailed),
        (429, "not_found", RateLimited),
        (400, "rate_limited", InvalidCall),
        # codes that nobody knows, or none
        (401, "x", CredentialsRefused),
        (402, "", QuotaExhausted),
        (403, "", PermissionRefused),
        (404, "", NotFound),
        (409, "", Conflict),
        (418, "", InvalidCall),
        (599, "", PlatformFailed),
    ],
)
def test_refusal_is_of_the_kind_of_its_code_and_status(status: int, code: str, kind: type[PlatformRefused]) -> None:
    error = read_refusal("ddactic", "POST /scans", status, envelope(code))
    assert (type(error), error.status, error.code, error.message) == (kind, status, code, "m")


def test_refusal_says_what_the_interface_promises() -> None:
    error = read_refusal(
        "ddactic", "POST /scans", 409, envelope("scan_in_progress", "Scan already running for domain")
    )
    assert str(error) == "ddactic POST /scans: 409 scan_in_progress: Scan already running for domain"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (envelope("c", "Required", field="target"), "400 c: Required (field target)"),
        (envelope("c", "Target parameter is required", field="target"), "400 c: Target parameter is required"),
        (envelope("c", "Bad", field=5), "400 c: Bad"),
        (envelope("c", ""), "400 c"),
        (b'{"error": {"code": "c", "message": null, "details": "d"}}', "400 c"),
        (b'{"error": {"code": 5, "message": ["m"]}}', "400"),
        (b'{"error": "some text"}', "400: some text"),
        (b'{"error": 7}', '400: {"error": 7}'),
        (b'{"message": "m"}', '400: {"message": "m"}'),
        (b"[]", "400: []"),
        (b"null", "400: null"),
        (b"", "400"),
        (b"<html>\r\n <b>Bad\tGateway\x1b[0m", "400: <html> <b>Bad Gateway [0m"),
        (b"\xff\xfe", "400: \ufffd\ufffd"),
        (envelope("c", "a\nb\u202ec\x9bd"), "400 c: a b c d"),
    ],
)
def test_refusal_quotes_what_came_on_one_line(body: bytes, text: str) -> None:
    assert said(400, body) == text


def test_refusal_quotes_at_most_200_characters() -> None:
    assert said(400, envelope("c", "m" * 5000)) == "400 c: " + "m" * 200
    assert said(400, b"x" * 60_000) == "400: " + "x" * 200


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_redirect_is_an_invalid_call_that_quotes_nothing(status: int) -> None:
    assert said(status, envelope("not_found")) == f"{status}: a redirect, which is never followed"


@given(st.integers(300, 599), st.binary(max_size=100) | st.text(max_size=50).map(lambda text: envelope(text, text)))
def test_refusal_of_any_bytes_is_one_printable_line(status: int, body: bytes) -> None:
    assert said(status, body).isprintable()
