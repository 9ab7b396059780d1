"""A name server on loopback that answers what a test wrote down, in raw packets of RFC 1035."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from ipaddress import ip_address
from typing import cast

A, CNAME, PTR, AAAA = 1, 5, 12, 28
NO_ERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

Record = tuple[int, str]  # type, value: an address or a name
Answer = list[Record] | int | bytes | None
"""Records; a response code; a packet as it is; None = silence."""


class NameServer(asyncio.DatagramProtocol):
    """`answers`: (name, type) -> Answer; what is not there does not exist (NXDOMAIN). `asked` counts the questions."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], Answer] = {}
        self.asked: Counter[tuple[str, int]] = Counter()
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._waiting: set[asyncio.Task[None]] = set()

    def point(self, address: str, name: str, *back: str) -> None:
        """The address has the name, and the name has these addresses."""
        self.answers[ip_address(address).reverse_pointer, PTR] = [(PTR, name)]
        for each in back:
            kind = A if ip_address(each).version == 4 else AAAA
            self.answers[name.lower(), kind] = [(kind, text) for text in back if ("." in text) == (kind == A)]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.address = "127.0.0.1:{}".format(transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        name, kind, end = read_question(data)
        self.asked[name, kind] += 1
        self.arrived.set()
        task = asyncio.get_running_loop().create_task(self._reply(data, end, name, kind, sender))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _reply(self, data: bytes, end: int, name: str, kind: int, sender: tuple[str, int]) -> None:
        await self.go_on.wait()
        answer = self.answers.get((name, kind), NXDOMAIN)
        if isinstance(answer, bytes):
            self.transport.sendto(answer, sender)
        elif answer is not None:
            self.transport.sendto(packet(data, end, answer), sender)


def read_question(data: bytes) -> tuple[str, int, int]:
    """(name in lower case, type, where the question ends)."""
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels).lower(), struct.unpack_from(">H", data, at + 1)[0], at + 5


def packet(query: bytes, end: int, answer: list[Record] | int) -> bytes:
    """The reply to a query: its id, its question as it was (upper and lower case count), the records."""
    code, records = (answer, []) if isinstance(answer, int) else (NO_ERROR, answer)
    head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
    owner, body = b"\xc0\x0c", b""
    for kind, value in records:
        data = encode_name(value) if kind in (CNAME, PTR) else ip_address(value).packed
        body += owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
        owner = encode_name(value) if kind == CNAME else owner
    return head + query[12:end] + body


def encode_name(name: str) -> bytes:
    labels = [label for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\x00"
