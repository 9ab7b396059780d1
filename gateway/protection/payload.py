"""A request described as the Protection API wants it (contract section 2): field table -> values.

Everything that does not depend on the request is settled when the builder is made: a table from header name to field,
and the constant fields. A request then costs one look-up per header that it has.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from gateway.config import Protection
from gateway.config.fields import FIELDS
from gateway.config.value import CustomSource, HeaderSource
from gateway.http.client_address import Client
from gateway.http.message import RequestHead
from gateway.protection.encoding import Encode, Value, encode_form, encode_json, fit
from gateway.protection.template import FORM, JSON, Notation, Template

MODULE_NAME = "Protection Gateway"
_ORDER = [row.field for row in FIELDS if row.always]
ALWAYS = frozenset(_ORDER)
_DEFAULT_LIMITS = {row.field: row.limit_bytes for row in FIELDS}
_KEEP_END = frozenset(row.field for row in FIELDS if row.keep == "end")
_TYPES = {row.field: row.type for row in FIELDS}
_CLIENT_ID = b"x-datadome-clientid"
_NUMBER = re.compile(rb"[+-]?[0-9]{1,100}(?:\.[0-9]{0,100})?(?:[eE][+-]?[0-9]{1,4})?")  # int() and float() take more
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


class Payload(NamedTuple):
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
        self._numbers: list[tuple[bytes, str]] = []
        for field, source in settings.custom_fields.items():
            self._add_custom(field, source, headers)
        self._rows = {name: tuple((field, self._limits[field]) for field in fields) for name, fields in headers.items()}
        self._request_limit = self._limits["Request"] or 1 << 30
        self._list_limit = self._limits["HeadersList"] or 1 << 30
        self._host_limit = min(self._limits["Host"] or 1 << 30, self._limits["ServerHostname"] or 1 << 30)
        self._number_names = frozenset(name for name, _ in self._numbers)
        self.templates: dict[Encode, Template] = {
            encode_json: self._build_template(JSON), encode_form: self._build_template(FORM),
        }

    def _build_template(self, notation: Notation) -> Template:
        constants: dict[str, Value] = {
            "Key": self._key, "RequestModuleName": MODULE_NAME, "ModuleVersion": self._version,
            "APIConnectionState": "new", "ServerName": self._server_name, **self._constants,
        }
        return Template(
            notation, [*_ORDER, *self._constants], constants, self._read_line,
            request_limit=self._request_limit, list_limit=self._list_limit, host_limit=self._host_limit)

    def _read_line(self, name: bytes, value: bytes) -> dict[str, Value] | None:
        """The fields that one header gives when it stands once; None if one of them has to be cut."""
        described: dict[str, Value] = {}
        cut: list[str] = []
        if value:
            for field, _ in self._rows.get(name, ()):
                described[field] = self._limited(field, value, cut)
        if name in self._number_names:
            self._describe_numbers({name: value}, described)
        if name == b"cookie":
            self._describe_cookies(value, b"", described, cut)
        return None if cut else described

    def _add_custom(self, field: str, source: CustomSource, headers: dict[bytes, list[str]]) -> None:
        if not isinstance(source, HeaderSource):
            self._constants[field] = self._cut(field, source.encode())[0] if isinstance(source, str) else source
            return
        name = source.header.lower().encode()
        if _TYPES[field] == "string":
            headers.setdefault(name, []).append(field)
        else:
            self._numbers.append((name, field))

    def describe(self, head: RequestHead, client: Client, now_us: int) -> tuple[dict[str, Value], tuple[str, ...]]:
        """(fields in sending order, names of those cut to their limit). now_us: microseconds since the epoch."""
        fields = head.fields
        cut: list[str] = []
        host = head.host.decode("latin-1")
        names = b",".join([name for name, _ in head.headers])
        path = head.path
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
            "Request": path.decode("latin-1"),
            "HeadersList": names.decode("latin-1"),
        }
        if (len(path) > self._request_limit or len(names) > self._list_limit or len(host) > self._host_limit
                or not path.isascii() or not names.isascii()):
            for field, raw in (
                ("ServerHostname", head.host), ("Host", head.host), ("Request", path), ("HeadersList", names),
            ):
                described[field] = self._limited(field, raw, cut)
        self._describe_cookies(fields.get(b"cookie", b""), fields.get(_CLIENT_ID, b""), described, cut)
        rows = self._rows
        for name, value in fields.items():
            if name in rows and value:
                for field, limit in rows[name]:
                    # Over the limit, or Latin-1 that grows in UTF-8: the slow path. ASCII within it: one decode.
                    if (limit is None or len(value) <= limit) and value.isascii():
                        described[field] = value.decode("ascii")
                    else:
                        described[field] = self._limited(field, value, cut)
        described.update(self._constants)
        self._describe_numbers(fields, described)
        return described, tuple(cut)

    def build(self, head: RequestHead, client: Client, now_us: int, encode: Encode) -> Payload:
        """The encoded payload of one request; never raises for what a request holds."""
        ready = self.templates[encode].write(head, client, now_us)
        if ready is not None:
            return Payload(ready, (), False)
        described, limited = self.describe(head, client, now_us)
        body, budget_cut = fit(described, encode, ALWAYS, _KEEP_END)
        truncated = tuple(dict.fromkeys(limited + budget_cut)) if budget_cut else limited
        return Payload(body, truncated, bool(head.fields.get(_CLIENT_ID)))

    def _describe_cookies(
        self, cookie: bytes, header_id: bytes, described: dict[str, Value], cut: list[str],
    ) -> None:
        """CookiesList, and ClientID: of the header, else of the cookie (contract section 2)."""
        listed, cookie_id = read_cookies(cookie)
        if listed:
            described["CookiesList"] = self._limited("CookiesList", listed, cut)
        if header_id or cookie_id:
            described["ClientID"] = self._limited("ClientID", header_id or cookie_id, cut)

    def _describe_numbers(self, fields: dict[bytes, bytes], described: dict[str, Value]) -> None:
        for name, field in self._numbers:
            value = _parse_number(fields.get(name, b""), whole=_TYPES[field] == "integer")
            if value is not None:
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


def _parse_number(raw: bytes, *, whole: bool) -> int | float | None:
    """A header's number as JSON can say it: 64 bits if whole, finite if not; None = the field is omitted."""
    if _NUMBER.fullmatch(raw) is None:
        return None
    if not whole:
        number = float(raw)
        return number if math.isfinite(number) else None
    try:
        value = int(raw)
    except ValueError:
        return None
    return value if -(2**63) <= value < 2**63 else None


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
