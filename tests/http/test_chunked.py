"""http/chunked.py: bodies decoded, cut where they end, bounded in what is not data."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ChunkedRefused
from gateway.http.chunked import ChunkedBody

# The second chunk is an empty line itself: bytes that look like the end of a body, and are not.
BODY = b"5\r\nhello\r\n4;name=value\r\n\r\n\r\n\r\n000A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
DECODED = b"hello\r\n\r\n0123456789"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def feed_all(pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    """(decoded, what followed the body, whether it ended)."""
    chunked = ChunkedBody(1000)
    decoded = rest = b""
    for piece in pieces:
        if chunked.ended:
            rest += piece
            continue
        data, rest = chunked.feed(piece)
        decoded += data
    return decoded, rest, chunked.ended


def test_body_with_extensions_and_trailers_is_decoded_and_what_follows_is_left_alone():
    assert feed_all([BODY + NEXT]) == (DECODED, NEXT, True)


@given(st.lists(st.integers(0, len(BODY) + len(NEXT)), max_size=6))
def test_body_cut_anywhere_gives_the_same(cuts):
    data = BODY + NEXT
    edges = [0, *sorted(cuts), len(data)]
    assert feed_all([data[a:b] for a, b in pairwise(edges)]) == (DECODED, NEXT, True)


@pytest.mark.parametrize(
    "raw", [b"0x5\r\n", b" 5\r\n", b"5 \r\n", b"\r\n", b"-5\r\n", b"5\nhello", b"5\r\nhelloXX", b"f" * 17 + b"\r\n"])
def test_body_malformed_is_refused(raw):
    with pytest.raises(ChunkedRefused):
        ChunkedBody(1000).feed(raw)


@pytest.mark.parametrize("raw", [b"5;" + b"a" * 2000, b"0\r\n" + b"X: 1\r\n" * 400, b"0\r\nX: " + b"a" * 2000])
def test_body_of_overhead_without_data_is_refused_at_its_limit(raw):
    chunked = ChunkedBody(1000)
    with pytest.raises(ChunkedRefused):
        for at in range(0, len(raw), 100):
            chunked.feed(raw[at:at + 100])


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_decoded_or_refused(raw):
    chunked = ChunkedBody(100)
    try:
        chunked.feed(raw)
    except ChunkedRefused:
        pass
