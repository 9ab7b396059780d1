"""Binding the addresses of the configuration, with errors that name the key.

Unix sockets are bound here once and inherited by every worker: a path can be bound only once. TCP addresses are bound
by each worker with SO_REUSEPORT, so that the kernel spreads connections over them; here they are only tried, because
SO_REUSEPORT would let a second gateway share the port of a running one without a word.
"""

from __future__ import annotations

import contextlib
import os
import socket

from gateway.binding import bound_socket
from gateway.config.address import UNIX
from gateway.errors import StartError


def bind(address: str, key: str) -> socket.socket:
    """A bound socket, not listening yet. Raises StartError that names the key and the address."""
    try:
        return bound_socket(address)
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
