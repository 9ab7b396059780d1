"""The receiver's listening socket, with errors that name the key of the configuration."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import Any

from gateway.config.address import Address, parse_address
from gateway.errors import PostureError

KEY = "posture.webhooks.address"
_PROBE_S = 1.0


def bind(text: str) -> socket.socket:
    """A bound socket of `host:port`, `[v6]:port` or `unix:/path`, not listening yet. The socket file of a process that
    is gone is replaced; one that is served, or any other file, stays. Raises PostureError."""
    address = parse_address(text)
    try:
        return _bind_unix(address.path) if address.path else _bind_tcp(address)
    except OSError as error:
        raise PostureError(f"{KEY}: cannot listen on {text}: {error.strerror or error}") from None


def remove_file(sock: socket.socket, inode: int) -> None:
    """Remove the file of a Unix socket, unless a successor has put its own there."""
    path = sock.getsockname()
    with contextlib.suppress(FileNotFoundError):
        if os.lstat(path).st_ino == inode:
            os.unlink(path)


def inode_of(sock: socket.socket) -> int | None:
    """Of the file of a Unix socket; None for any other."""
    return os.lstat(sock.getsockname()).st_ino if sock.family == socket.AF_UNIX else None


def _bind_tcp(address: Address) -> socket.socket:
    family, kind, protocol, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bound(sock, target)


def _bind_unix(path: str) -> socket.socket:
    _remove_stale(path)
    return _bound(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path)


def _bound(sock: socket.socket, target: Any) -> socket.socket:
    try:
        sock.bind(target)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)  # a live one with a full backlog would block us
        with contextlib.suppress(TimeoutError):
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
