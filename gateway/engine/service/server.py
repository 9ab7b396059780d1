"""The HTTP side of the engine: `POST [any prefix]/validate-request` on aiohttp's low-level server.

One handler, no router, no middleware and no access log: 14 us of a call are the judgement, the rest is HTTP, so nothing
is put in between. aiohttp's parser must be the one in C.

Limits: a body is read up to wire.MAX_BODY_BYTES, a declared longer one not at all; it must arrive within
BODY_TIMEOUT_S; a connection without a whole head for KEEP_ALIVE_S is closed, one that trickles in included; a client
that pipelines and leaves 64 KiB of answers unread for WRITE_TIMEOUT_S is cut off. A compressed body is refused, not
unpacked.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

from aiohttp import StreamReader, web
from aiohttp.http import HttpRequestParser
from multidict import CIMultiDict

from gateway.engine.answer import Answer, answer_refusal
from gateway.engine.api import Call, ProtectionApi
from gateway.engine.wire import MAX_BODY_BYTES
from gateway.errors import CallRefused, EngineError

PATH = "/validate-request"
KEEP_ALIVE_S = 75.0  # longer than the modules' pools keep an idle connection, so that they close first
BODY_TIMEOUT_S = 5.0  # a module gives up after far less
WRITE_TIMEOUT_S = 5.0
LINGER_S = 1.0  # how long the rest of a refused body is thrown away, so that the client reads the answer
TLS_HANDSHAKE_S = 10.0
BACKLOG = 1024
SERVER = ("Server", "protection-gateway")


class ApiServer:
    """Serves one ProtectionApi, which may be replaced between two calls by assignment to `api`."""

    def __init__(self, api: ProtectionApi) -> None:
        _require_c_parser()
        self.api = api
        self._http = web.Server(
            self._handle,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,
            logger=logging.getLogger("gateway.engine.http"),
        )
        self._listening: list[asyncio.Server] = []
        self._busy: dict[web.RequestHandler, int] = {}  # connection -> its requests that are being answered
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    async def listen(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on a bound socket, which is closed with the server."""
        loop = asyncio.get_running_loop()
        timeout_s = TLS_HANDSHAKE_S if tls else None
        if sock.family == socket.AF_UNIX:
            server = await loop.create_unix_server(
                self._http, sock=sock, ssl=tls, backlog=BACKLOG, ssl_handshake_timeout=timeout_s
            )
        else:
            server = await loop.create_server(
                self._http, sock=sock, ssl=tls, backlog=BACKLOG, ssl_handshake_timeout=timeout_s
            )
        self._listening.append(server)

    async def drain(self, timeout_s: float) -> None:
        """Accept no more, close idle connections, finish the calls in flight (they are told `Connection: close`) for at
        most timeout_s, then cut off what is left."""
        self._draining = True
        for server in self._listening:
            server.close()
        await asyncio.sleep(0)  # a request that was parsed in this turn of the loop is in flight, not idle
        for connection in self._http.connections:
            if connection not in self._busy:
                connection.force_close()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            pass  # they had their time
        await self._http.shutdown(0.01)  # 0 would mean "for ever"; whatever it waits for has had its time already
        for server in self._listening:
            await server.wait_closed()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        self._busy[connection] = self._busy.get(connection, 0) + 1
        self._idle.clear()
        try:
            response = _response(await self._answer(request))
            if self._draining:
                response.force_close()
            # Written here and not by aiohttp afterwards, so that drain sees the connection busy until it is out.
            await _write(response, request)
            return response
        finally:
            self._leave(connection)

    def _leave(self, connection: web.RequestHandler) -> None:
        self._busy[connection] -= 1
        if not self._busy[connection]:
            del self._busy[connection]
        if not self._busy:
            self._idle.set()

    async def _answer(self, request: web.BaseRequest) -> Answer:
        try:
            _check_head(request)
            await _continue(request)
            body = await _body(request)
        except CallRefused as refusal:
            return answer_refusal(refusal.status, str(refusal))
        headers = request.headers
        x_set_cookie = headers.get("X-DataDome-X-Set-Cookie", "").lower() == "true"
        return self.api.respond(Call(body, headers.get("Content-Type", ""), x_set_cookie))


def _require_c_parser() -> None:
    if HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise EngineError(
            "aiohttp runs without its C extension (HTTP parser in Python): install it from a wheel, and unset "
            "AIOHTTP_NO_EXTENSIONS"
        )


def _check_head(request: web.BaseRequest) -> None:
    """Raises CallRefused for what is no call of the API, before a byte of a body is read."""
    if not request.raw_path.partition("?")[0].endswith(PATH):
        raise CallRefused(404, f"nothing is served here; calls go to {PATH}")
    if request.method != "POST":
        raise CallRefused(405, f"calls to {PATH} are POST")
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        raise CallRefused(415, f"the body is encoded as {coding[:40]!r}, only identity is read")
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise CallRefused(413, f"the body has {length} bytes, at most {MAX_BODY_BYTES} are judged")


async def _continue(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue` (RFC 9110 10.1.1), which aiohttp leaves to its router."""
    expectation = request.headers.get("Expect")
    if expectation is None:
        return
    if expectation.lower() != "100-continue":
        raise CallRefused(417, "the only expectation that is met is 100-continue")
    if request.version >= (1, 1) and not request.content.is_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _body(request: web.BaseRequest) -> bytes:
    """The whole body. Raises CallRefused 413 as soon as it is too long, 408 if it is late, 400 if it breaks off."""
    content = request.content
    try:
        if content.is_eof():  # the usual case: head and body came together, no timer is needed
            return content.read_nowait(-1)
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _read_bounded(content)
    except TimeoutError:
        raise CallRefused(408, f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from None
    except web.RequestPayloadError as error:
        raise CallRefused(400, f"the body cannot be read: {error}"[:200]) from None


async def _read_bounded(content: StreamReader) -> bytes:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise CallRefused(413, f"the body has more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


async def _write(response: web.Response, request: web.BaseRequest) -> None:
    """Write all of the answer. It waits only for a client that has not read its former ones: no other needs a timer."""
    transport = request.transport
    if transport is None or not transport.get_write_buffer_size():
        await response.prepare(request)
        await response.write_eof()
        return
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        transport.abort()
        raise ConnectionResetError("the client does not read its answers") from None


def _response(answer: Answer) -> web.Response:
    headers = CIMultiDict(answer.headers)
    headers.add(*SERVER)
    if answer.status == 405:
        headers.add("Allow", "POST")
    response = web.Response(status=answer.status, headers=headers, body=answer.body or None)
    if answer.status == 408:
        response.force_close()
    return response
