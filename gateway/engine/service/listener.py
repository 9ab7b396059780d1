"""The engine's listening sockets and its TLS context, with errors that say what cannot be used and why."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat

from gateway.errors import ListenError

UNIX = "unix:"
SOCKET_MODE = 0o600  # whoever may connect may ask with the key that it knows; nobody else needs to


def bind_unix(path: str) -> socket.socket:
    """A bound Unix socket that only this user can connect to, not listening yet: nobody gets in before the mode is
    set. The socket file of a process that is gone is replaced; a live one's, or any other file, is a ListenError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.bind(path)
        os.chmod(path, SOCKET_MODE)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {UNIX}{path}: {error.strerror or error}") from None
    return sock


def bind_tcp(address: str) -> socket.socket:
    """A bound TCP socket of `host:port` or `[v6]:port`, not listening yet; the first address of a name counts."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, ValueError) as error:
        raise ListenError(f"cannot listen on {address}: {error}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(target)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from None
    return sock


def bind(address: str) -> socket.socket:
    """A bound socket of `unix:/path`, `host:port` or `[v6]:port`. Raises ListenError."""
    return bind_unix(address.removeprefix(UNIX)) if address.startswith(UNIX) else bind_tcp(address)


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


def remove_socket_file(path: str, inode: int) -> None:
    """Remove the file of our own socket; a successor may have put its own there already."""
    with contextlib.suppress(FileNotFoundError):
        if os.lstat(path).st_ino == inode:
            os.unlink(path)


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on. What is left in the way makes `bind` fail: address in use."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)  # a live one with a full backlog would block us
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except TimeoutError:
            return


def _no_password() -> str:
    """Instead of OpenSSL's question on the terminal, which would hang a service."""
    raise ValueError("the private key is encrypted; an unencrypted one is expected")
