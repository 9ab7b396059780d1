"""Parsed request heads from literal bytes, for tests of the modules that only ever see parsed ones."""

from __future__ import annotations

import contextlib
from typing import Any

import httptools

from gateway.config import Protection, parse_config
from gateway.http.framing import parse_request_head
from gateway.http.message import Headers, RequestHead


class _Noted:
    def __init__(self) -> None:
        self.headers: Headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def request_head(raw: bytes) -> RequestHead:
    """The head of `raw`, parsed as a downstream connection does it: by httptools, then by framing."""
    noted = _Noted()
    with contextlib.suppress(httptools.HttpParserUpgrade):  # raised at the head's end, whatever becomes of the offer
        httptools.HttpRequestParser(noted).feed_data(raw)
    return parse_request_head(raw[: raw.find(b"\r\n")], noted.headers)


def get(path: bytes = b"/", *lines: bytes, host: bytes = b"shop.example", method: bytes = b"GET") -> RequestHead:
    """A request with these header lines after its Host."""
    return request_head(b"\r\n".join([b"%b %b HTTP/1.1" % (method, path), b"Host: " + host, *lines, b"", b""]))


def protection_settings(**settings: Any) -> Protection:
    """The validated `protection` section with these keys set, in the words of a file."""
    return parse_config({"protection": {"key": "k-test", **settings}}).protection
