"""Listening sockets by the addresses of the configuration, and the files of Unix ones.

Whoever listens translates OSError into an error that names its key.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import Any

from gateway.config.address import parse_address

_PROBE_S = 1.0
"""A live socket with a full backlog would block us."""


def bound_socket(address: str) -> socket.socket:
    """Of `host:port`, `[v6]:port` or `unix:/path`, not listening yet; the first address of a name counts. The socket
    file of a process that is gone is replaced; one that is served, or any other file, stays, and is an OSError."""
    place = parse_address(address)
    if place.path:
        _remove_stale(place.path)
        return _bound(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), place.path)
    family, kind, protocol, _, target = socket.getaddrinfo(
        place.host or None, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bound(sock, target)


def inode_of(sock: socket.socket) -> int | None:
    """Of the file of a Unix socket; None for any other."""
    return os.lstat(sock.getsockname()).st_ino if sock.family == socket.AF_UNIX else None


def remove_socket_file(path: str, inode: int) -> None:
    """Remove the file of our own socket, unless a successor has put its own there already."""
    with contextlib.suppress(FileNotFoundError):
        if os.lstat(path).st_ino == inode:
            os.unlink(path)


def _bound(sock: socket.socket, target: Any) -> socket.socket:
    try:
        sock.bind(target)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that is gone. What is left in the way makes `bind` fail: address in use."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except TimeoutError:
            return
