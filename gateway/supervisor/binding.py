"""Binding the addresses of the configuration, with errors that name the key.

Unix sockets are bound here once and inherited by every worker: a path can be bound only once. TCP addresses are bound
by each worker with SO_REUSEPORT, so that the kernel spreads connections over them; here they are only tried, because
SO_REUSEPORT would let a second gateway share the port of a running one without a word.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from gateway.config.address import UNIX, parse_address
from gateway.errors import StartError


def bind(address: str, key: str) -> socket.socket:
    """A bound socket, not listening yet. Raises StartError that names the key and the address."""
    try:
        place = parse_address(address)
        return _bind_unix(place.path) if place.path else _bind_tcp(place.host, place.port)
    except OSError as error:
        raise StartError(f"{key}: cannot bind {address}: {error.strerror or error}") from None


def try_bind(address: str, key: str) -> None:
    """Raise StartError if a TCP address cannot be bound now, by anybody's fault."""
    bind(address, key).close()


def unbind(sock: socket.socket, address: str) -> None:
    """Close the socket, if nobody has yet, and remove the path of a Unix socket."""
    sock.close()
    if address.startswith(UNIX):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address.removeprefix(UNIX))


def _bind_tcp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, target = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(target)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: str) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that is gone. One that somebody listens on stays, and so does any other file:
    `bind` then says that the address is in use."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
