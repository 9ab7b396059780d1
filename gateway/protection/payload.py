"""A request described as the Protection API wants it (contract section 2): field table -> values.

Everything that does not depend on the request is settled when the builder is made: a table from header name to field, and
the constant fields. A request then costs one look-up per header that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.config import Protection
from gateway.config.fields import FIELDS
from gateway.config.value import CustomSource, HeaderSource
from gateway.http.client_address import Client
from gateway.http.message import RequestHead
from gateway.protection.encoding import Encode, Value, fit

MODULE_NAME = "Protection Gateway"
ALWAYS = frozenset(row.field for row in FIELDS if row.always)
_DEFAULT_LIMITS = {row.field: row.limit_bytes for row in FIELDS}
_KEEP_END = frozenset(row.field for row in FIELDS if row.keep == "end")
_TYPES = {row.field: row.type for row in FIELDS}
_CLIENT_ID = b"x-datadome-clientid"
# The rows of the field table whose source is one request header, as it was received.
HEADER_FIELDS = {
    b"user-agent": "UserAgent", b"referer": "Referer", b"accept": "Accept", b"accept-charset": "AcceptCharset",
    b"accept-encoding": "AcceptEncoding", b"accept-language": "AcceptLanguage", b"origin": "Origin", b"via": "Via",
    b"from": "From", b"connection": "Connection", b"pragma": "Pragma", b"cache-control": "CacheControl",
    b"content-type": "ContentType", b"x-requested-with": "X-Requested-With", b"x-real-ip": "X-Real-IP",
    b"true-client-ip": "TrueClientIP", b"sec-ch-device-memory": "SecCHDeviceMemory", b"sec-ch-ua": "SecCHUA",
    b"sec-ch-ua-arch": "SecCHUAArch", b"sec-ch-ua-full-version-list": "SecCHUAFullVersionList",
    b"sec-ch-ua-mobile": "SecCHUAMobile", b"sec-ch-ua-model": "SecCHUAModel", b"sec-ch-ua-platform": "SecCHUAPlatform",
    b"sec-fetch-dest": "SecFetchDest", b"sec-fetch-mode": "SecFetchMode", b"sec-fetch-site": "SecFetchSite",
    b"sec-fetch-user": "SecFetchUser", b"x-userid": "UserID", b"x-forwarded-for": "XForwardedForIP",
    b"sec-fetch-storage-access": "SecFetchStorageAccess", b"signature": "Signature",
    b"signature-agent": "SignatureAgent", b"signature-input": "SignatureInput",
}


@dataclass(frozen=True, slots=True)
class Payload:
    """body: encoded, at most 24,576 bytes; truncated: fields that were cut (to their limit or to the budget).

    session_by_header: ClientID came from a non-empty X-DataDome-ClientID (contract section 1).
    """

    body: bytes
    truncated: tuple[str, ...]
    session_by_header: bool


class PayloadBuilder:
    """Builds the payloads of one `protection` section. key: revealed; server_name: this gateway's; version: ours."""

    def __init__(self, settings: Protection, *, key: str, server_name: str, version: str) -> None:
        self._limits: dict[str, int | None] = {**_DEFAULT_LIMITS, **settings.field_limits}
        self._key = key
        self._version = version
        self._server_name = self._cut("ServerName", server_name.encode())[0]
        headers: dict[bytes, list[str]] = {name: [field] for name, field in HEADER_FIELDS.items()}
        for field, header in (("JA3", settings.fingerprint_headers.ja3), ("JA4", settings.fingerprint_headers.ja4)):
            if header:
                headers.setdefault(header.lower().encode(), []).append(field)
        self._constants: dict[str, Value] = {}
        self._numbers: list[tuple[bytes, str, Callable[[str], int | float]]] = []
        for field, source in settings.custom_fields.items():
            self._add_custom(field, source, headers)
        self._rows = {name: tuple((field, self._limits[field]) for field in fields) for name, fields in headers.items()}
        self._request_limit = self._limits["Request"] or 1 << 30
        self._list_limit = self._limits["HeadersList"] or 1 << 30
        self._host_limit = min(self._limits["Host"] or 1 << 30, self._limits["ServerHostname"] or 1 << 30)

    def _add_custom(self, field: str, source: CustomSource, headers: dict[bytes, list[str]]) -> None:
        if not isinstance(source, HeaderSource):
            self._constants[field] = self._cut(field, source.encode())[0] if isinstance(source, str) else source
            return
        name = source.header.lower().encode()
        if _TYPES[field] == "string":
            headers.setdefault(name, []).append(field)
        else:
            self._numbers.append((name, field, int if _TYPES[field] == "integer" else float))

    def describe(self, head: RequestHead, client: Client, now_us: int) -> tuple[dict[str, Value], tuple[str, ...]]:
        """(fields in sending order, names of those cut to their limit). now_us: microseconds since the epoch."""
        fields = head.fields
        cut: list[str] = []
        host = head.host.decode("latin-1")
        names = ",".join([name.decode("latin-1") for name, _ in head.headers])
        request = head.path.decode("latin-1")
        described: dict[str, Value] = {
            "Key": self._key,
            "IP": client.address,
            "RequestModuleName": MODULE_NAME,
            "ModuleVersion": self._version,
            "Port": client.port,
            "Protocol": client.protocol,
            "Method": head.method.decode("latin-1"),
            "TimeRequest": now_us,
            "APIConnectionState": "new",
            "AuthorizationLen": len(fields[b"authorization"]) if b"authorization" in fields else 0,
            "CookiesLen": len(fields[b"cookie"]) if b"cookie" in fields else 0,
            "PostParamLen": head.content_length or 0,
            "ServerName": self._server_name,
            "ServerHostname": host,
            "Host": host,
            "Request": request,
            "HeadersList": names,
        }
        if len(request) > self._request_limit or len(names) > self._list_limit or len(host) > self._host_limit:
            for field in ("ServerHostname", "Host", "Request", "HeadersList"):
                described[field] = self._limited(field, str(described[field]).encode(), cut)
        client_id = fields.get(_CLIENT_ID)
        if b"cookie" in fields:
            listed, cookie_id = read_cookies(fields[b"cookie"])
            client_id = client_id or cookie_id
            if listed:
                described["CookiesList"] = self._limited("CookiesList", listed, cut)
        if client_id:
            described["ClientID"] = self._limited("ClientID", client_id, cut)
        rows = self._rows
        for name, value in fields.items():
            if name in rows and value:
                for field, limit in rows[name]:
                    # Over the limit, or Latin-1 that grows in UTF-8: the slow path. ASCII within it: one decode.
                    if (limit is None or len(value) <= limit) and value.isascii():
                        described[field] = value.decode("ascii")
                    else:
                        described[field] = self._limited(field, value, cut)
        if self._constants or self._numbers:
            self._describe_custom(fields, described)
        return described, tuple(cut)

    def build(self, head: RequestHead, client: Client, now_us: int, encode: Encode) -> Payload:
        """The encoded payload of one request; never raises for what a request holds."""
        described, limited = self.describe(head, client, now_us)
        body, budget_cut = fit(described, encode, ALWAYS)
        return Payload(body, limited + budget_cut, bool(head.fields.get(_CLIENT_ID)))

    def _describe_custom(self, fields: dict[bytes, bytes], described: dict[str, Value]) -> None:
        described.update(self._constants)
        for name, field, number in self._numbers:
            try:
                value = number(fields[name].decode("ascii"))
            except (KeyError, ValueError):  # absent or no number: the field is omitted (contract section 2)
                continue
            if -(2**63) <= value < 2**63:  # also refuses nan and the infinities, which JSON has not
                described[field] = value

    def _limited(self, field: str, value: bytes, cut: list[str]) -> str:
        text, was_cut = self._cut(field, value)
        if was_cut:
            cut.append(field)
        return text

    def _cut(self, field: str, value: bytes) -> tuple[str, bool]:
        """(text, was it cut): UTF-8, else Latin-1; the limit is on the text's UTF-8 bytes, sequences stay whole."""
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
            value = text.encode()
        limit = self._limits[field]
        if limit is None or len(value) <= limit:
            return text, False
        value = value[-limit:] if field in _KEEP_END else value[:limit]
        return value.decode("utf-8", "ignore"), True


def read_cookies(cookie: bytes) -> tuple[bytes, bytes]:
    """(cookie names comma-joined, the raw value of the first cookie named exactly `datadome`, b"" if none)."""
    names: list[bytes] = []
    client_id: bytes | None = None
    for pair in cookie.split(b";"):
        name, separator, value = pair.partition(b"=")
        name = name.strip(b" \t")
        if name and separator:
            names.append(name)
            if name == b"datadome" and client_id is None:
                client_id = value.strip(b" \t")
    return b",".join(names), client_id or b""
