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
# The fields whose value is known only with the request, and how it is put in.
_PLACES = {
    "IP": b"%b", "Port": b"%d", "Protocol": b"%b", "AuthorizationLen": b"%d", "CookiesLen": b"%d",
    "PostParamLen": b"%d", "ServerHostname": b"%b", "Host": b"%b", "HeadersList": b"%b",
}
# Those that differ although the header lines are the same; they part the frame.
_CHANGING = ("Method", "TimeRequest", "Request")


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
        frames = [b""]
        for name in order:
            if name in _CHANGING:
                frames[-1] += notation.piece(name, b"")
                frames.append(b"")
            else:
                value = _PLACES[name] if name in _PLACES else notation.value(constants[name]).replace(b"%", b"%%")
                frames[-1] += notation.piece(name, value)
        self._before_method, self._before_time, self._before_request, self._behind = frames
        self._before_method = notation.opening + self._before_method[1:]
        self._lines: Memo[bytes | None] = Memo(self._piece)
        self._values: Memo[bytes] = Memo(lambda raw: notation.value(raw.decode("latin-1")))

    def write(self, head: RequestHead, client: Client, now_us: int) -> bytes | None:
        """The encoded body, or None if this request is to be described the slow way."""
        known = head.derived.get(self)
        if known is None or known[0] is not client:
            frames = self._fill(head, client)
            if frames is None:
                return None
            known = head.derived[self] = (client, *frames)
        path = head.path
        if len(path) > self._limits[0] or not path.isascii():
            return None
        _, before_method, before_request, behind = known
        body: bytes = b"%b%b%b%d%b%b%b" % (
            before_method, self._values[head.method], self._before_time, now_us, before_request,
            self._notation.value(path.decode("ascii")), behind)
        return body if len(body) <= BUDGET_BYTES else None

    def _fill(self, head: RequestHead, client: Client) -> tuple[bytes, bytes, bytes] | None:
        """The parts that follow from the header lines and the client: before Method, before Request, and the rest."""
        fields, lines, host = head.fields, head.lines, head.host
        names = b",".join(fields)
        _, list_limit, host_limit = self._limits
        if (
            len(fields) != len(lines) or _CLIENT_ID in fields or len(names) > list_limit or len(host) > host_limit
            or not names.isascii()
        ):
            return None
        pieces = [*map(self._lines.__getitem__, lines)]
        if None in pieces:
            return None
        values = self._values
        shown_host = values[host]
        return (
            self._before_method % (values[client.address.encode()], client.port, values[client.protocol.encode()]),
            self._before_request % (
                len(fields[b"authorization"]) if b"authorization" in fields else 0,
                len(fields[b"cookie"]) if b"cookie" in fields else 0,
                head.content_length or 0, shown_host, shown_host),
            self._behind % values[names] + b"".join(pieces) + self._notation.closing,  # type: ignore[arg-type]
        )

    def _piece(self, line: bytes) -> bytes | None:
        described = self._read_line(*FIELD_LINES[line])
        if described is None:
            return None
        notation = self._notation
        return b"".join([notation.piece(name, notation.value(value)) for name, value in described.items()])
