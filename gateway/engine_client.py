"""A running engine, asked over its operator's paths: for `gateway engine ban` and its like.

One request a connection, with the standard library: these commands last some milliseconds. The engine is found from its
configuration. Over TLS it must present the very certificate of engine.listen.tls, byte by byte: the configuration has
it, and its names may fit no address that we connect to. The key is sent only then.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from gateway.config.access import EngineAccess
from gateway.config.address import parse_address
from gateway.engine.override import Override
from gateway.errors import EngineRefused, EngineUnreachable, OverrideError, StoreError

TIMEOUT_S = 5.0
"""Per connect and per read; an engine answers in milliseconds, and gives its store one second."""
ANSWER_BYTES = 16 * 1024 * 1024
"""10,000 overrides with the longest reasons are 4 MiB."""
OVERRIDES = "/engine/overrides"
_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is asked. `address`: `host:port`, `[v6]:port` or `unix:/path`; `token`: sent as bearer token, "" = none;
    `certificate`: PEM file of the one that it must present, None = no TLS."""

    address: str
    token: str = ""
    certificate: str | None = None


class RunningEngine:
    """Implements gateway.overriding.Register. `where`: the engine, for people.

    Raises EngineUnreachable if nobody answers there, EngineRefused if it does not let us in or is something else,
    OverrideError and StoreError with the engine's own text.
    """

    def __init__(self, peer: Peer) -> None:
        self.where = f"engine {peer.address}"
        self._peer = peer

    async def put(self, override: Override) -> None:
        """In force when the call returns."""
        subject, action, until_s, reason, created_s = override
        described = {"subject": subject, "action": action, "for_s": until_s - created_s, "reason": reason}
        self._ask("PUT", OVERRIDES, orjson.dumps(described))

    async def remove(self, subject: str) -> bool:
        """False if there was none."""
        return bool(self._ask("DELETE", f"{OVERRIDES}?subject={quote(subject, safe='')}")["removed"])

    async def list(self) -> list[Override]:
        """Those in force, the one that ends first at the top."""
        return [Override.decode(orjson.dumps(one)) for one in self._ask("GET", OVERRIDES)["overrides"]]

    def _ask(self, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        status, answer = ask(self._peer, method, path, body)
        text = " ".join(answer.decode("utf-8", "replace").split())[:300]
        match status:
            case 200:
                return _json_object(answer, self._peer)
            case 400:
                raise OverrideError(text)
            case 503:
                raise StoreError(text)
        raise EngineRefused(f"{self._peer.address} says {status}: {text}")


def find_engine(access: EngineAccess) -> RunningEngine:
    """The engine that runs with this configuration: at engine.listen, else the embedded one of `gateway run`.

    Raises EngineUnreachable if there is none, EngineRefused if one of both does not let us in.
    """
    tried = []
    if access.engine.listen is not None:
        peer = _standalone(access)
        try:
            ask(peer, "GET", "/healthz")
            return RunningEngine(peer)
        except EngineUnreachable as error:
            tried.append(f"{error} (engine.listen)")
    try:
        return RunningEngine(Peer(f"unix:{_embedded_socket(access)}"))
    except EngineUnreachable as error:
        tried.append(f"{error} (admin.address)")
    raise EngineUnreachable(f"no engine runs with this configuration: {'; '.join(tried)}")


def ask(peer: Peer, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """(status, body) of one request. Raises EngineUnreachable, EngineRefused for another certificate."""
    connection = _Connection(peer)
    headers = {"Host": "localhost" if connection.path else connection.authority, "Connection": "close"}
    if peer.token:
        headers["Authorization"] = f"Bearer {peer.token}"
    if body:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise EngineUnreachable(f"no answer from {peer.address}: {reason}") from None
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """Over TCP, TLS or a Unix socket; the certificate is looked at before a byte of the request is sent."""

    def __init__(self, peer: Peer) -> None:
        host, port, self.path = parse_address(peer.address)
        host = _UNSPECIFIED.get(host, host)  # who listens on every address listens on the loopback one
        self.authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._certificate = peer.certificate
        super().__init__(host, port or None, timeout=TIMEOUT_S)

    def connect(self) -> None:
        if self.path:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(TIMEOUT_S)
            self.sock.connect(self.path)
            return
        super().connect()
        if self._certificate is not None:
            self.sock = _pinned(self.sock, self._certificate, self.authority)


def _pinned(sock: socket.socket, file: str, authority: str) -> socket.socket:
    """The connection under TLS. Raises EngineRefused unless its peer has the certificate of the file and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # compared below, which is stricter
    wrapped = context.wrap_socket(sock)
    if wrapped.getpeercert(binary_form=True) != _first_certificate(file):
        wrapped.close()
        raise EngineRefused(
            f"{authority} presents another certificate than {file}; it may have been renewed and not reloaded"
        )
    return wrapped


def _first_certificate(file: str) -> bytes:
    """The one that a server with this chain presents, as DER."""
    with open(file, encoding="ascii", errors="replace") as opened:
        text = opened.read()
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start, stop = text.find(begin), text.find(end)
    if start < 0 or stop < start:
        raise EngineRefused(f"{file} has no PEM certificate")
    return ssl.PEM_cert_to_DER_cert(text[start : stop + len(end)])


def _standalone(access: EngineAccess) -> Peer:
    listen = access.engine.listen
    assert listen is not None
    keys = access.engine.keys
    certificate = None if listen.tls is None else str(listen.tls.certificate)
    return Peer(str(listen.address), keys[0].get_secret_value() if keys else "", certificate)


def _embedded_socket(access: EngineAccess) -> str:
    """The path of the embedded engine's Unix socket, which the admin side of a running gateway knows."""
    admin = access.admin
    peer = Peer(str(admin.address), "" if admin.token is None else admin.token.get_secret_value())
    status, answer = ask(peer, "GET", "/status.json")
    if status != 200:
        text = " ".join(answer.decode("utf-8", "replace").split())[:200]
        raise EngineRefused(f"the gateway at {peer.address} says {status}: {text}")
    engine = _json_object(answer, peer).get("engine")
    path = engine.get("engine_socket") if isinstance(engine, dict) else None
    if not path:
        raise EngineRefused(f"the gateway at {peer.address} runs no embedded engine")
    return str(path)


def _json_object(answer: bytes, peer: Peer) -> dict[str, Any]:
    try:
        decoded = orjson.loads(answer)
    except orjson.JSONDecodeError:
        decoded = None
    if not isinstance(decoded, dict):
        raise EngineRefused(f"{peer.address} answers with no JSON object; something else serves there")
    return decoded
