"""The engine's listening sockets and its TLS context, with errors that say what cannot be used and why."""

from __future__ import annotations

import os
import socket
import ssl

from gateway.binding import bound_socket
from gateway.config.address import UNIX
from gateway.errors import ListenError

SOCKET_MODE = 0o600  # whoever may connect may ask with the key that it knows; nobody else needs to


def bind(address: str) -> socket.socket:
    """A bound socket of `unix:/path`, `host:port` or `[v6]:port`, not listening yet: nobody gets in before the mode of
    a socket file is set. Raises ListenError."""
    try:
        sock = bound_socket(address)
        if address.startswith(UNIX):
            os.chmod(address.removeprefix(UNIX), SOCKET_MODE)
    except (OSError, ValueError) as error:
        raise ListenError(f"cannot listen on {address}: {getattr(error, 'strerror', None) or error}") from None
    return sock


def tls_context(certificate: str | os.PathLike[str], private_key: str | os.PathLike[str]) -> ssl.SSLContext:
    """A server's context, TLS 1.2 and later. Raises ListenError if the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, private_key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ListenError(f"certificate {certificate} with private key {private_key}: {error}") from None
    return context


def renew(serving: ssl.SSLContext, fresh: ssl.SSLContext) -> None:
    """From the next handshake on, whoever connects by `serving` meets the certificate of `fresh`; open connections go
    on. Files that were loaded into `serving` itself could fail half-way, and leave it with a certificate of which it
    has no key."""

    def use_fresh(connection: ssl.SSLObject, name: str, context: ssl.SSLContext) -> None:
        connection.context = fresh

    serving.sni_callback = use_fresh  # is called for clients that name no host, too


def _no_password() -> str:
    """Instead of OpenSSL's question on the terminal, which would hang a service."""
    raise ValueError("the private key is encrypted; an unencrypted one is expected")
