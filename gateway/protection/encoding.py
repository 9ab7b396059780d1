"""The two encodings of a payload (contract section 1), and the budget that both must keep (section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

Value = str | int | float
Encode = Callable[[dict[str, Value]], bytes]

BUDGET_BYTES = 24_576
CONTENT_TYPES = {"json": b"application/json", "form": b"application/x-www-form-urlencoded"}
_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PERCENT = ord("%")


def encode_json(fields: dict[str, Value]) -> bytes:
    """The fields as one JSON object."""
    return orjson.dumps(fields)


def encode_form(fields: dict[str, Value]) -> bytes:
    """application/x-www-form-urlencoded in UTF-8, spaces as %20; field names need no escaping.

    All values are escaped together, one bytes.replace per unsafe byte that occurs: C speed, where a loop in Python over
    the characters would cost ten times as much. 0x00 stands between values meanwhile, where it cannot be data.
    """
    raw = "\0".join([value if type(value) is str else str(value) for value in fields.values()]).encode()
    if raw.count(b"\0") >= max(len(fields), 1):  # a value holds a NUL itself: escape one by one
        return b"&".join([b"%b=%b" % (name.encode(), escape(str(value).encode())) for name, value in fields.items()])
    values = escape(raw, keep=b"\0").split(b"\0")
    return b"&".join([b"%b=%b" % (name.encode(), value) for name, value in zip(fields, values, strict=False)])


def escape(raw: bytes, keep: bytes = b"") -> bytes:
    """Percent-encode every byte but the unreserved ones (RFC 3986 2.3) and those in `keep`."""
    unsafe = set(raw.translate(None, _SAFE + keep))
    if _PERCENT in unsafe:
        raw = raw.replace(b"%", b"%25")
        unsafe.discard(_PERCENT)
    for byte in unsafe:
        raw = raw.replace(bytes((byte,)), b"%%%02X" % byte)
    return raw


ENCODERS: Mapping[str, Encode] = {"json": encode_json, "form": encode_form}


def fit(
    fields: dict[str, Value], encode: Encode, always: frozenset[str], keep_end: frozenset[str] = frozenset(),
) -> tuple[bytes, tuple[str, ...]]:
    """(encoded body, names of the fields cut): halves the longest field that may be cut until the body fits.

    Deterministic: raw bytes decide, the first in payload order among equals. Fields in `always` stay whole, unless all
    others are gone and the body is still over the budget: their default limits make that impossible, but limits can be
    raised, and a body over the budget is one that the API refuses. Of fields in `keep_end` the second half is kept.
    """
    body = encode(fields)
    if len(body) <= BUDGET_BYTES:
        return body, ()
    fields = dict(fields)
    lengths = {name: len(value.encode()) for name, value in fields.items() if type(value) is str}
    last_resort = {name: lengths.pop(name) for name in always if name in lengths}
    cut: dict[str, None] = {}
    while len(body) > BUDGET_BYTES and (lengths or last_resort):
        if not lengths:
            lengths, last_resort = {name: last_resort[name] for name in fields if name in last_resort}, {}
        name = max(lengths, key=lengths.__getitem__)
        value = _half(str(fields[name]).encode(), end=name in keep_end)
        lengths[name] = len(value.encode())
        cut[name] = None
        if value:
            fields[name] = value
        else:  # an empty value is not sent (contract section 2)
            del fields[name]
            del lengths[name]
        body = encode(fields)
    return body, tuple(cut)


def _half(raw: bytes, *, end: bool) -> str:
    """The first half (or the second) of UTF-8 bytes, without the sequence that the cut goes through."""
    size = len(raw) // 2
    return (raw[len(raw) - size:] if end else raw[:size]).decode("utf-8", "ignore")
