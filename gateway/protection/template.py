"""The fast way to a payload: most of it is ready before the request comes.

A payload is a fixed frame with a few places (address, path, lengths, ...) followed by one piece per header line. Which
piece a line gives depends on the line alone, so it is remembered (http/memo.py): a request costs one look-up per
header, one `%` and one join. Whatever is unusual (a value over its limit, a repeated header, a path that is not ASCII,
a body over the budget) is left to `PayloadBuilder.describe`, which spells the contract out; both ways give the same
fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson

from gateway.http.client_address import Client
from gateway.http.memo import FIELD_LINES, Memo
from gateway.http.message import RequestHead
from gateway.protection.encoding import BUDGET_BYTES, Value, escape

_CLIENT_ID = b"x-datadome-clientid"
# In sending order: the fields whose value is known only with the request, and how it is put in.
_PLACES = {
    "IP": b"%b", "Port": b"%d", "Protocol": b"%b", "Method": b"%b", "TimeRequest": b"%d", "AuthorizationLen": b"%d",
    "CookiesLen": b"%d", "PostParamLen": b"%d", "ServerHostname": b"%b", "Host": b"%b", "Request": b"%b",
    "HeadersList": b"%b",
}


class Notation(NamedTuple):
    """How an encoding writes a field (`piece`: name and ready value) and a value."""

    opening: bytes
    closing: bytes
    piece: Callable[[str, bytes], bytes]
    value: Callable[[Value], bytes]


def _form_value(value: Value) -> bytes:
    return escape(str(value).encode())


JSON = Notation(b"{", b"}", lambda name, value: b',"%b":%b' % (name.encode(), value), orjson.dumps)
FORM = Notation(b"", b"", lambda name, value: b"&%b=%b" % (name.encode(), value), _form_value)


class Template:
    """constants: the fields that never change, in `order` with the places; extra: custom constants;

    read_line: (name, value) of a header line -> its fields, None = only the slow way can tell.
    request_limit, list_limit, host_limit: bytes, past which a value has to be cut.
    """

    def __init__(
        self, notation: Notation, order: list[str], constants: dict[str, Value],
        read_line: Callable[[bytes, bytes], dict[str, Value] | None],
        *, request_limit: int, list_limit: int, host_limit: int,
    ) -> None:
        self._notation = notation
        self._read_line = read_line
        self._limits = request_limit, list_limit, host_limit
        pieces = [
            notation.piece(name, _PLACES[name]) if name in _PLACES
            else notation.piece(name, notation.value(constants[name])).replace(b"%", b"%%")
            for name in order
        ]
        self._frame = notation.opening + b"".join(pieces)[1:] + b"%b" + notation.closing
        self._lines: Memo[bytes | None] = Memo(self._piece)
        self._values: Memo[bytes] = Memo(lambda raw: notation.value(raw.decode("latin-1")))

    def write(self, head: RequestHead, client: Client, now_us: int) -> bytes | None:
        """The encoded body, or None if this request is to be described the slow way."""
        fields, lines, path, host = head.fields, head.lines, head.path, head.host
        names = b",".join(fields)
        request_limit, list_limit, host_limit = self._limits
        if (
            len(fields) != len(lines) or _CLIENT_ID in fields or len(path) > request_limit or len(names) > list_limit
            or len(host) > host_limit or not (path.isascii() and names.isascii()) or not names.isascii()
        ):
            return None
        pieces = [*map(self._lines.__getitem__, lines)]
        if None in pieces:
            return None
        values = self._values
        shown_host = values[host]
        body = self._frame % (
            values[client.address.encode()],
            client.port,
            values[client.protocol.encode()],
            values[head.method],
            now_us,
            len(fields[b"authorization"]) if b"authorization" in fields else 0,
            len(fields[b"cookie"]) if b"cookie" in fields else 0,
            head.content_length or 0,
            shown_host,
            shown_host,
            self._notation.value(path.decode("ascii")),
            values[names],
            b"".join(pieces),  # type: ignore[arg-type]  # None is not in it
        )
        return body if len(body) <= BUDGET_BYTES else None

    def _piece(self, line: bytes) -> bytes | None:
        described = self._read_line(*FIELD_LINES[line])
        if described is None:
            return None
        notation = self._notation
        return b"".join([notation.piece(name, notation.value(value)) for name, value in described.items()])
