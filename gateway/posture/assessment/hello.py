"""Whether a server speaks TLS 1.0 or 1.1, asked without a TLS library. Pure.

Theory of operation. Libraries of today refuse these versions, each by settings of its own, so that a failed handshake
would say nothing. Instead a ClientHello is written here (RFC 4346 7.4.1.2, RFC 2246 likewise), whose highest version is
the old one, and the server's answer is read up to ServerHelloDone: those messages are not encrypted. A server that has
sent all of them has chosen version and cipher, signed its key and would go on; nothing more is sent. An alert, or the
end of the connection, is a refusal.
"""

from __future__ import annotations

import struct
from typing import Literal

TLS_1_0, TLS_1_1 = (3, 1), (3, 2)
VERSIONS = {TLS_1_0: "TLS 1.0", TLS_1_1: "TLS 1.1"}

Answer = Literal["more", "refused", "not TLS"] | tuple[int, int]
"""A version: it is accepted; more: not to be told yet."""

_ALERT, _HANDSHAKE = 21, 22
_SERVER_HELLO, _SERVER_HELLO_DONE = 2, 14
_RECORD_MAX = 2**14 + 2048  # RFC 4346 6.2.3
_SUITES = (
    0xC00A, 0xC009, 0xC014, 0xC013, 0x0039, 0x0033, 0x0035, 0x002F,  # ECDHE and DHE first, AES-CBC with SHA
    0xC008, 0xC012, 0x0016, 0x000A, 0xC007, 0xC011, 0x0005, 0x0004,  # 3DES and RC4: servers that have nothing else
    0x0038, 0x0032, 0x0041, 0x0084,
    0x00FF,  # no renegotiation (RFC 5746 3.3)
)  # fmt: skip
_GROUPS = (29, 23, 24, 25)


def client_hello(version: tuple[int, int], server_name: str | None, random: bytes) -> bytes:
    """One record. random: 32 bytes; server_name: None for an address, which SNI has no place for (RFC 6066 3)."""
    suites = b"".join(struct.pack("!H", suite) for suite in _SUITES)
    groups = _with_length(b"".join(struct.pack("!H", group) for group in _GROUPS))
    extensions = _extension(10, groups) + _extension(11, b"\x01\x00")
    if server_name is not None:
        extensions = _extension(0, _with_length(b"\x00" + _with_length(server_name.encode("ascii")))) + extensions
    body = bytes(version) + random + b"\x00" + _with_length(suites) + b"\x01\x00" + _with_length(extensions)
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return bytes((_HANDSHAKE, *TLS_1_0)) + _with_length(message)  # RFC 5246 E.1: the record's version says little


def read_answer(received: bytes) -> Answer:
    """What a server says with these bytes, from the first one on."""
    messages, ending = _messages(received)
    if ending is not None:
        return ending
    version: tuple[int, int] | None = None
    while len(messages) >= 4:
        kind, length = messages[0], int.from_bytes(messages[1:4], "big")
        if version is None and kind != _SERVER_HELLO:
            return "not TLS"
        if kind == _SERVER_HELLO and length >= 2 and len(messages) >= 6:
            version = messages[4], messages[5]
        if kind == _SERVER_HELLO_DONE:
            return version if version in VERSIONS else "refused"
        if len(messages) < 4 + length:
            break
        messages = messages[4 + length :]
    return "more"


def _messages(received: bytes) -> tuple[bytes, Answer | None]:
    """The handshake messages of all records, and what ends the reading: an alert, or something that is no TLS."""
    messages, rest = bytearray(), received
    while len(rest) >= 5:
        kind, major, length = rest[0], rest[1], int.from_bytes(rest[3:5], "big")
        if kind not in (_ALERT, _HANDSHAKE) or major != 3 or not 0 < length <= _RECORD_MAX:
            return b"", "not TLS"
        fragment = rest[5 : 5 + length]
        if kind == _ALERT and len(fragment) >= 2 and not _is_warning(fragment):
            return b"", "refused"
        if kind == _HANDSHAKE:
            messages += fragment
        rest = rest[5 + length :]
    return bytes(messages), None


def _is_warning(alert: bytes) -> bool:
    """Such as unrecognized_name, after which many servers go on; close_notify (0) is none."""
    return alert[0] == 1 and alert[1] != 0


def _with_length(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _extension(number: int, data: bytes) -> bytes:
    return struct.pack("!H", number) + _with_length(data)
