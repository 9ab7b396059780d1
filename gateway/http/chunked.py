"""Chunked bodies (RFC 9112 7.1), decoded by llhttp, and cut exactly where they end."""

from __future__ import annotations

import httptools

from gateway.errors import ChunkedRefused

_PRIMER = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"\r\n\r\n"


class ChunkedBody:
    """One body. max_overhead_bytes: chunk sizes, extensions and trailers between two pieces of data.

    A chunked body can end only behind an empty line, so bytes are fed up to the next one: llhttp never runs past the
    body into what follows. Trailers are read and dropped (they could pass for headers).
    """

    __slots__ = ("_chunks", "_max_overhead_bytes", "_overhead_bytes", "_parser", "_tail", "ended", "on_body")

    def __init__(self, max_overhead_bytes: int) -> None:
        self._chunks: list[bytes] = []
        self.on_body = self._chunks.append  # called by httptools: C to C
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_PRIMER)
        self._tail = b""
        self._overhead_bytes = 0
        self._max_overhead_bytes = max_overhead_bytes
        self.ended = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """(decoded bytes, what follows the body). Sets `ended`. Raises ChunkedRefused."""
        chunks = self._chunks
        tail = self._tail
        at = 0
        if tail:  # the empty line may have begun in the last read
            found = (tail + data[:3]).find(_END)
            if found >= 0:
                at = self._feed(data, 0, found + 4 - len(tail))
        while at < len(data) and not self.ended:
            found = data.find(_END, at)
            at = self._feed(data, at, len(data) if found < 0 else found + 4)
        self._tail = (tail + data[-3:])[-3:]
        rest = data[at:]
        if not chunks:
            return b"", rest
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        return body, rest

    def _feed(self, data: bytes, start: int, end: int) -> int:
        before = len(self._chunks)
        try:
            self._parser.feed_data(memoryview(data)[start:end])
        except httptools.HttpParserError as error:
            raise ChunkedRefused(f"malformed chunk: {str(error)[:80]}") from None
        if len(self._chunks) > before:
            self._overhead_bytes = 0
        else:
            self._overhead_bytes += end - start
            if self._overhead_bytes > self._max_overhead_bytes:
                raise ChunkedRefused(f"{self._overhead_bytes} bytes between two chunks' data")
        return end

    def on_message_complete(self) -> None:
        self.ended = True
