"""The field table, row by row (contract section 2), and the whole payload in both encodings."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

import pytest
from heads import get, protection_settings, request_head
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.fields import FIELDS
from gateway.http.client_address import Client
from gateway.http.framing import parse_request_head
from gateway.http.message import RequestHead
from gateway.protection.encoding import BUDGET_BYTES, encode_form, encode_json
from gateway.protection.payload import HEADER_FIELDS, Payload, PayloadBuilder, read_cookies

CLIENT = Client("192.0.2.7", "https", 443, False, "", b"")
NOW_US = 1_700_000_000_123_456

# Every row of the contract's table whose source is one request header: (header, field, limit in bytes).
HEADER_ROWS = [
    ("user-agent", "UserAgent", 768),
    ("referer", "Referer", 1024),
    ("accept", "Accept", 512),
    ("accept-charset", "AcceptCharset", 128),
    ("accept-encoding", "AcceptEncoding", 128),
    ("accept-language", "AcceptLanguage", 256),
    ("origin", "Origin", 512),
    ("via", "Via", 256),
    ("from", "From", 128),
    ("connection", "Connection", 128),
    ("pragma", "Pragma", 128),
    ("cache-control", "CacheControl", 128),
    ("content-type", "ContentType", 64),
    ("x-requested-with", "X-Requested-With", 128),
    ("x-real-ip", "X-Real-IP", 128),
    ("true-client-ip", "TrueClientIP", 128),
    ("sec-ch-device-memory", "SecCHDeviceMemory", 8),
    ("sec-ch-ua", "SecCHUA", 128),
    ("sec-ch-ua-arch", "SecCHUAArch", 16),
    ("sec-ch-ua-full-version-list", "SecCHUAFullVersionList", 256),
    ("sec-ch-ua-mobile", "SecCHUAMobile", 8),
    ("sec-ch-ua-model", "SecCHUAModel", 128),
    ("sec-ch-ua-platform", "SecCHUAPlatform", 32),
    ("sec-fetch-dest", "SecFetchDest", 32),
    ("sec-fetch-mode", "SecFetchMode", 32),
    ("sec-fetch-site", "SecFetchSite", 64),
    ("sec-fetch-user", "SecFetchUser", 8),
    ("x-userid", "UserID", 128),
    ("x-forwarded-for", "XForwardedForIP", 512),
    ("sec-fetch-storage-access", "SecFetchStorageAccess", 8),
    ("signature", "Signature", 512),
    ("signature-agent", "SignatureAgent", 512),
    ("signature-input", "SignatureInput", 2048),
    ("x-datadome-clientid", "ClientID", 512),
    ("x-ja3", "JA3", 128),
    ("x-ja4", "JA4", 64),
    ("x-one", "customFieldString1", 256),
    ("x-two", "customFieldString2", 256),
    ("x-three", "customFieldString3", 256),
]
CONFIGURED: dict[str, Any] = {
    "fingerprint_headers": {"ja3": "X-JA3", "ja4": "X-JA4"},
    "custom_fields": {
        "customFieldString1": {"header": "X-One"},
        "customFieldString2": {"header": "X-Two"},
        "customFieldString3": {"header": "X-Three"},
        "customFieldInteger1": {"header": "X-Count"},
        "customFieldInteger2": 7,
        "customFieldFloat1": {"header": "X-Score"},
    },
}
ALWAYS_SENT = set(
    "Key IP RequestModuleName ModuleVersion Port Protocol Method TimeRequest APIConnectionState AuthorizationLen "
    "CookiesLen PostParamLen ServerName ServerHostname Host Request HeadersList".split()
)


def builder(**settings: Any) -> PayloadBuilder:
    return PayloadBuilder(protection_settings(**settings), key="k-test", server_name="edge-1", version="1.2.3")


CONFIGURED_BUILDER = builder(**CONFIGURED)


def built(head: RequestHead, payloads: PayloadBuilder, encode: Any = encode_json) -> Payload:
    return payloads.build(head, CLIENT, NOW_US, encode)


def sent(head: RequestHead, **settings: Any) -> dict[str, Any]:
    """The fields as the API reads them from JSON; the form says the same, and `describe` too."""
    return sent_by(builder(**settings) if settings else CONFIGURED_BUILDER, head)


def sent_by(payloads: PayloadBuilder, head: RequestHead) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(built(head, payloads).body)
    form = parse_qsl(built(head, payloads, encode_form).body.decode("ascii"), keep_blank_values=True)
    assert dict(form) == {name: str(value) for name, value in fields.items()}
    described, _ = payloads.describe(head, CLIENT, NOW_US)
    assert fields == described
    assert "" not in {fields[name] for name in fields if name not in ALWAYS_SENT}
    return fields


# ---- the whole ----


def test_payload_smallest_request_is_the_always_sent_fields() -> None:
    fields = sent(get(b"/a?b=%20c", host=b"Shop.Example:8443"), custom_fields={})
    assert fields == {
        "Key": "k-test",
        "IP": "192.0.2.7",
        "RequestModuleName": "Protection Gateway",
        "ModuleVersion": "1.2.3",
        "Port": 443,
        "Protocol": "https",
        "Method": "GET",
        "TimeRequest": NOW_US,
        "APIConnectionState": "new",
        "AuthorizationLen": 0,
        "CookiesLen": 0,
        "PostParamLen": 0,
        "ServerName": "edge-1",
        "ServerHostname": "Shop.Example:8443",
        "Host": "Shop.Example:8443",
        "Request": "/a?b=%20c",
        "HeadersList": "host",
    }
    assert set(fields) == ALWAYS_SENT == {row.field for row in FIELDS if row.always}


def test_payload_numbers_are_json_numbers() -> None:
    body = built(get(), CONFIGURED_BUILDER).body
    for field in ("Port", "TimeRequest", "AuthorizationLen", "CookiesLen", "PostParamLen"):
        assert re.search(rb'"%b":[0-9]+[,}]' % field.encode(), body)


def test_payload_lengths_are_of_the_joined_values_and_the_declared_body() -> None:
    head = get(
        b"/",
        b"Authorization: Basic abc",
        b"Cookie: a=1",
        b"Cookie: b=\xc3\xa9",
        b"Content-Length: 1234",
        method=b"POST",
    )
    fields = sent(head)
    assert (fields["AuthorizationLen"], fields["CookiesLen"], fields["PostParamLen"]) == (
        9,
        len(b"a=1; b=\xc3\xa9"),
        1234,
    )


def test_payload_post_length_of_a_chunked_body_is_0() -> None:
    assert sent(get(b"/", b"Transfer-Encoding: chunked", method=b"POST"))["PostParamLen"] == 0


@pytest.mark.parametrize(
    ("target", "method", "request_field"),
    [
        (b"/%2e%2e/a%2fb;c?d=e+f&g", b"GET", "/%2e%2e/a%2fb;c?d=e+f&g"),
        (b"http://shop.example/x?y", b"GET", "/x?y"),
        (b"http://shop.example", b"GET", "/"),
        (b"*", b"OPTIONS", "*"),
    ],
)
def test_request_field_is_raw_path_and_query(target: bytes, method: bytes, request_field: str) -> None:
    assert sent(get(target, method=method))["Request"] == request_field


def test_headers_list_is_names_in_arrival_order_lower_case_repeats_kept() -> None:
    head = request_head(b"GET / HTTP/1.1\r\nX-B: 1\r\nHost: shop.example\r\nx-a: 2\r\nX-B: 3\r\nX-Empty:\r\n\r\n")
    assert sent(head)["HeadersList"] == "x-b,host,x-a,x-b,x-empty"


def test_payload_sends_no_field_that_the_table_lacks() -> None:
    lines = [f"{header}: 5".encode() for header, _, _ in HEADER_ROWS]
    fields = sent(get(b"/", *lines, b"X-Count: 5", b"X-Score: 5", b"Cookie: a=1"))
    opt_in = {row.field for row in FIELDS if re.match("GraphQL|Mcp|JsonRpc", row.field)}
    assert set(fields) == {row.field for row in FIELDS} - opt_in


# ---- one row of a header ----


def test_rows_are_every_header_of_the_module() -> None:
    others = {"x-datadome-clientid", "x-ja3", "x-ja4", "x-one", "x-two", "x-three"}
    assert {header.encode() for header, _, _ in HEADER_ROWS if header not in others} == set(HEADER_FIELDS)


@pytest.mark.parametrize(("header", "field", "limit"), HEADER_ROWS)
def test_header_field_is_sent_whole_up_to_its_limit_and_cut_byte_exactly_past_it(
    header: str, field: str, limit: int
) -> None:
    name = header.encode()
    exact = bytes(97 + number % 26 for number in range(limit))
    at_limit = built(get(b"/", name + b": " + exact), CONFIGURED_BUILDER)
    assert (json.loads(at_limit.body)[field], at_limit.truncated) == (exact.decode(), ())
    over = b"0" + exact if field == "XForwardedForIP" else exact + b"0"
    past_it = built(get(b"/", name + b": " + over), CONFIGURED_BUILDER)
    assert (json.loads(past_it.body)[field], past_it.truncated) == (exact.decode(), (field,))


@pytest.mark.parametrize(("header", "field", "limit"), HEADER_ROWS)
def test_header_field_cut_never_halves_a_utf_8_sequence(header: str, field: str, limit: int) -> None:
    name = header.encode()
    text = sent(get(b"/", name + b": x" + "é€".encode() * limit))[field]
    assert limit - 2 <= len(text.encode()) <= limit
    assert re.fullmatch("x?€?(é€)*é?" if field != "XForwardedForIP" else "€?(é€)*", text)


@pytest.mark.parametrize(("header", "field", "limit"), HEADER_ROWS)
def test_header_field_that_is_not_utf_8_is_latin_1_and_cut_by_its_utf_8_bytes(
    header: str, field: str, limit: int
) -> None:
    assert sent(get(b"/", header.encode() + b": a\xe9"))[field] == "aé"
    assert sent(get(b"/", header.encode() + b": " + b"\xe9" * limit))[field] == "é" * (limit // 2)


@pytest.mark.parametrize(("header", "field", "_limit"), HEADER_ROWS)
def test_header_field_empty_or_absent_is_not_sent(header: str, field: str, _limit: int) -> None:
    assert field not in sent(get())
    assert field not in sent(get(b"/", header.encode() + b":"))


@pytest.mark.parametrize(("header", "field", "_limit"), HEADER_ROWS)
def test_header_field_repeated_is_one_value_joined(header: str, field: str, _limit: int) -> None:
    name = header.encode()
    assert sent(get(b"/", name + b": 1", b"X-Other: o", name + b": 2"))[field] == "1, 2"


@pytest.mark.parametrize("field", ["Host", "ServerHostname", "Request", "HeadersList"])
def test_always_sent_field_is_cut_byte_exactly_to_its_limit(field: str) -> None:
    limit = 2048 if field == "Request" else 512
    for size in (limit, limit + 1):
        path, host, lines = b"/", b"shop.example", []
        if field == "Request":
            path = b"/" + b"p" * (size - 1)
        elif field == "HeadersList":
            lines = [b"x" * (size - len(b"host,")) + b": 1"]
        else:
            host = b"h" * size
        payload = built(get(path, *lines, host=host), CONFIGURED_BUILDER)
        value = json.loads(payload.body)[field]
        assert len(value) == limit
        assert (field in payload.truncated) is (size > limit)


def test_server_name_is_cut_to_its_limit() -> None:
    payloads = PayloadBuilder(protection_settings(), key="k", server_name="n" * 600, version="1")
    assert sent_by(payloads, get())["ServerName"] == "n" * 512


def test_request_field_of_a_target_that_is_not_ascii_is_text_by_the_same_rule() -> None:
    for raw, text in ((b"/\xc3\xa9", "/é"), (b"/\xe9", "/é"), (b"/" + b"\xe9" * 3000, "/" + "é" * 1023)):
        assert sent(parse_request_head(b"GET %b HTTP/1.1" % raw, [(b"host", b"h")]))["Request"] == text


def test_field_limits_override_the_table() -> None:
    head = get(b"/path", b"User-Agent: abcdef")
    fields = sent(head, field_limits={"UserAgent": 3, "Request": 2, "ServerName": 4})
    assert (fields["UserAgent"], fields["Request"], fields["ServerName"]) == ("abc", "/p", "edge")
    assert sent(get(b"/", b"Referer: " + b"r" * 5000), field_limits={"Referer": "8KiB"})["Referer"] == "r" * 5000


# ---- ClientID and cookies ----


@pytest.mark.parametrize(
    ("lines", "client_id", "by_header"),
    [
        ([b"X-DataDome-ClientID: header", b"Cookie: datadome=cookie"], "header", True),
        ([b"X-DataDome-ClientID:", b"Cookie: datadome=cookie"], "cookie", False),
        ([b"Cookie: a=1; datadome=one; datadome=two"], "one", False),
        ([b"Cookie: a=1", b"Cookie: datadome=second-line"], "second-line", False),
        ([b'Cookie: datadome=%20raw%22"q"=x~+'], '%20raw%22"q"=x~+', False),
        ([b"Cookie: Datadome=no; xdatadome=no; datadome2=no"], None, False),
        ([b"Cookie: datadome=; datadome=two"], None, False),
        ([b"Cookie: datadome"], None, False),
        ([b"Cookie:\tdatadome =spaced "], "spaced", False),
        ([], None, False),
    ],
)
def test_client_id_comes_from_the_header_else_from_the_first_cookie(
    lines: list[bytes], client_id: str | None, by_header: bool
) -> None:
    head = get(b"/", *lines)
    assert sent(head).get("ClientID") == client_id
    for encode in (encode_json, encode_form):
        assert built(head, CONFIGURED_BUILDER, encode).session_by_header is by_header


def test_client_id_of_a_cookie_is_cut_to_its_limit() -> None:
    assert sent(get(b"/", b"Cookie: datadome=" + b"c" * 600))["ClientID"] == "c" * 512


@pytest.mark.parametrize(
    ("cookie", "read"),
    [
        (b"a=1; b=2;c=3", (b"a,b,c", b"")),
        (b"a=1; a=2", (b"a,a", b"")),
        (b"; ;=x; lone; b=", (b"b", b"")),
        (b"datadome=x=y", (b"datadome", b"x=y")),
        (b"", (b"", b"")),
    ],
)
def test_cookies_are_read_by_name(cookie: bytes, read: tuple[bytes, bytes]) -> None:
    assert read_cookies(cookie) == read


def test_cookies_list_is_the_names_cut_to_their_limit() -> None:
    assert sent(get(b"/", b"Cookie: a=1; b=2", b"Cookie: c=3"))["CookiesList"] == "a,b,c"
    many = sent(get(b"/", b"Cookie: " + b"; ".join([b"name%03d=1" % number for number in range(200)])))
    assert many["CookiesList"] == ",".join(f"name{number:03}" for number in range(200))[:1024]
    assert "CookiesList" not in sent(get(b"/", b"Cookie: lone"))


# ---- custom fields ----


def test_custom_constants_are_sent_with_their_types() -> None:
    custom = {"customFieldString1": "é 100%", "customFieldInteger1": -5, "customFieldFloat1": 0.5}
    fields = sent(get(), custom_fields=custom)
    assert {name: fields[name] for name in custom} == custom


def test_custom_constant_is_cut_to_its_limit() -> None:
    assert sent(get(), custom_fields={"customFieldString1": "é" * 200})["customFieldString1"] == "é" * 128


def test_custom_field_may_share_a_header_with_another_field() -> None:
    fields = sent(get(b"/", b"User-Agent: u"), custom_fields={"customFieldString1": {"header": "User-Agent"}})
    assert (fields["UserAgent"], fields["customFieldString1"]) == ("u", "u")


@pytest.mark.parametrize(
    ("raw", "integer", "number"),
    [
        (b"12", 12, 12.0),
        (b"-3", -3, -3.0),
        (b"+4", 4, 4.0),
        (b"0.25", None, 0.25),
        (b"1e3", None, 1000.0),
        (b"1e30", None, 1e30),
        (b"9223372036854775807", 2**63 - 1, float(2**63)),
        (b"9223372036854775808", None, float(2**63)),
        (b"1" * 5000, None, None),
        (b"1e999", None, None),
        (b"nan", None, None),
        (b"inf", None, None),
        (b"1_000", None, None),
        (b"0x10", None, None),
        (b"12 apples", None, None),
        (b"\xd9\xa3", None, None),
        (b"\xff", None, None),
        (b"", None, None),
        (b"1, 2", None, None),
    ],
)
def test_custom_number_of_a_header_is_a_json_number_or_omitted(
    raw: bytes, integer: int | None, number: float | None
) -> None:
    fields = sent(get(b"/", b"X-Count: " + raw, b"X-Score: " + raw))
    assert fields.get("customFieldInteger1") == integer
    assert fields.get("customFieldFloat1") == number
    assert fields["customFieldInteger2"] == 7


def test_custom_number_header_that_stands_twice_is_no_number() -> None:
    assert "customFieldInteger1" not in sent(get(b"/", b"X-Count: 1", b"X-Count: 2"))


# ---- budget ----


def test_payload_over_the_budget_is_shrunk_and_says_what_was_cut() -> None:
    lines = [header.encode() + b": " + b"\xc3\xa9" * (limit // 2) for header, _, limit in HEADER_ROWS]
    head = get(b"/" + b"%" * 2047, *lines, b"Cookie: datadome=1; a=2", host=b"h" * 512)
    form = built(head, CONFIGURED_BUILDER, encode_form)
    assert len(form.body) <= BUDGET_BYTES
    fields = dict(parse_qsl(form.body.decode("ascii")))
    assert fields["Request"] == "/" + "%" * 2047
    assert {"SignatureInput", "Referer"} <= set(form.truncated)
    assert not set(form.truncated) & (ALWAYS_SENT - {"HeadersList"})
    assert len(set(form.truncated)) == len(form.truncated)


VALUE = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=4), st.integers(1, 2000)),
    st.sampled_from([b"", b"12", b"a=1; datadome=x; b", b"\xc3\xa9" * 300, b"%" * 2000, b"\x00"]),
)
NAME = st.one_of(
    st.sampled_from([header.encode() for header, _, _ in HEADER_ROWS]),
    st.sampled_from([b"cookie", b"authorization", b"x-count", b"x-score", b"x-other"]),
    st.binary(max_size=10).map(lambda raw: b"x" + raw.lower().translate(None, b": \t")),
)
_NOT_IN_A_TARGET = bytes([*range(0x21), 0x23, 0x7F])
PATH = st.binary(max_size=3000).map(lambda rest: b"/" + rest.translate(None, _NOT_IN_A_TARGET))


@settings(deadline=None)
@given(PATH, st.lists(st.tuples(NAME, VALUE), max_size=12))
def test_payload_arbitrary_request_is_built_within_the_budget_and_says_the_same_in_both_encodings(
    path: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    framing = (b"host", b"content-length", b"transfer-encoding", b"expect")
    headers = [(b"host", b"h"), *((name, value.strip(b" \t")) for name, value in headers if name not in framing)]
    head = parse_request_head(b"GET %b HTTP/1.1" % path, headers)
    described, _ = CONFIGURED_BUILDER.describe(head, CLIENT, NOW_US)
    limits = {row.field: row.limit_bytes for row in FIELDS}
    for name, value in described.items():
        limit = limits[name]
        assert limit is None or len(str(value).encode()) <= limit
    for encode in (encode_json, encode_form):
        payload = built(head, CONFIGURED_BUILDER, encode)
        assert len(payload.body) <= BUDGET_BYTES
        if not payload.truncated:
            assert decoded(payload.body, encode) == {
                name: value if encode is encode_json else str(value) for name, value in described.items()
            }


def decoded(body: bytes, encode: Any) -> dict[str, Any]:
    if encode is encode_json:
        fields: dict[str, Any] = json.loads(body)
        return fields
    return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True))


@settings(deadline=None)
@given(PATH, PATH, st.sampled_from([b"GET", b"POST"]))
def test_payload_of_repeated_header_lines_follows_path_method_client_and_time(
    path: bytes, other_path: bytes, method: bytes
) -> None:
    lines = [(b"host", b"h"), (b"user-agent", b"u"), (b"cookie", b"a=1; datadome=x")]
    first = parse_request_head(b"GET %b HTTP/1.1" % path, lines)
    again = parse_request_head(b"%b %b HTTP/1.1" % (method, other_path), lines)
    again.derived = first.derived
    other_client = Client("192.0.2.9", "http", 80, False, "", b"")
    for head, client, now_us in ((first, CLIENT, 1), (again, CLIENT, 2), (again, other_client, 3), (first, CLIENT, 4)):
        for encode in (encode_json, encode_form):
            payload = CONFIGURED_BUILDER.build(head, client, now_us, encode)
            if not payload.truncated:
                described, _ = CONFIGURED_BUILDER.describe(head, client, now_us)
                assert decoded(payload.body, encode) == decoded(encode(described), encode)
