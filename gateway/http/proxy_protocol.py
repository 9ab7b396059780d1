"""The PROXY protocol, versions 1 and 2 (HAProxy's specification, sections 2.1 and 2.2): who really connected."""

from __future__ import annotations

import ipaddress
import struct

from gateway.errors import ProxyHeaderRefused

_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_MAX_BYTES = 107
_V2_MAX_BYTES = 16 + 4096
_ADDRESS_BYTES = {1: 4, 2: 16}


def parse_proxy_header(data: bytes) -> tuple[str | None, int] | None:
    """(source address or None for LOCAL/UNKNOWN, bytes consumed); None while more bytes are needed.

    Raises ProxyHeaderRefused if this can never become a header. At most 107 (v1) or 4112 (v2) bytes are waited for.
    """
    if data.startswith(_V2[: len(data)]):
        return _parse_v2(data) if len(data) >= 16 else None
    if data.startswith(b"PROXY "[: len(data)]):
        return _parse_v1(data)
    raise ProxyHeaderRefused(f"expected a PROXY protocol header, got {data[:12]!r}")


def _parse_v1(data: bytes) -> tuple[str | None, int] | None:
    end = data.find(b"\r\n", 0, _V1_MAX_BYTES)
    if end < 0:
        if len(data) >= _V1_MAX_BYTES:
            raise ProxyHeaderRefused("PROXY v1 line over 107 bytes")
        return None
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return None, end + 2
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ProxyHeaderRefused(f"malformed PROXY v1 line {data[:60]!r}")
    try:
        address = ipaddress.ip_address(words[2])
    except ValueError as error:
        raise ProxyHeaderRefused(f"PROXY v1 source {words[2]!r} is no address") from error
    if address.version != int(words[1][3]):
        raise ProxyHeaderRefused(f"PROXY v1 source {words[2]!r} is not {words[1]}")
    return str(address), end + 2


def _parse_v2(data: bytes) -> tuple[str | None, int] | None:
    version_command, family, length = struct.unpack_from("!BBH", data, 12)
    if version_command >> 4 != 2 or version_command & 15 > 1:
        raise ProxyHeaderRefused(f"PROXY v2 version and command {version_command:#x}")
    end = 16 + length
    if end > _V2_MAX_BYTES:
        raise ProxyHeaderRefused(f"PROXY v2 header of {end} bytes, at most {_V2_MAX_BYTES}")
    if len(data) < end:
        return None
    if version_command & 15 == 0:  # LOCAL: the proxy's own connection
        return None, end
    size = _ADDRESS_BYTES.get(family >> 4)
    if size is None:
        return None, end
    if length < 2 * size + 4:
        raise ProxyHeaderRefused(f"PROXY v2 addresses of {length} bytes, expected {2 * size + 4}")
    return str(ipaddress.ip_address(data[16:16 + size])), end
