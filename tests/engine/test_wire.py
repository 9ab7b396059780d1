"""Bodies of calls: what is read, what is refused, and that nothing else can happen."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.wire import FORM, INTEGERS, JSON, MAX_BODY_BYTES, MAX_FORM_FIELDS, NUMBERS, TEXTS, decode
from gateway.errors import CallRefused


def refused(body: bytes, content_type: str = JSON) -> tuple[int, str]:
    with pytest.raises(CallRefused) as caught:
        decode(body, content_type)
    return caught.value.status, str(caught.value)


def test_json_body_gives_typed_fields() -> None:
    body = b'{"Key":"k","Port":443,"TimeRequest":1700000000000000,"UserAgent":"caf\\u00e9","Unknown":{"a":[1]}}'

    described = decode(body, "application/json; charset=utf-8")

    assert described.fields == {"Key": "k", "Port": 443, "TimeRequest": 1700000000000000, "UserAgent": "café"}


def test_form_body_gives_the_same_fields_as_json() -> None:
    body = b"Key=k&Port=443&PostParamLen=0&Request=%2Fa%3Fb%3Dc%26d&UserAgent=Mozilla%2F5.0+%28X11%29&X-Real-IP=%3A%3A1"

    assert decode(body, FORM).fields == {
        "Key": "k",
        "Port": 443,
        "PostParamLen": 0,
        "Request": "/a?b=c&d",
        "UserAgent": "Mozilla/5.0 (X11)",
        "X-Real-IP": "::1",
    }


def test_form_bytes_that_are_not_utf8_are_latin1() -> None:
    assert decode(b"UserAgent=caf%E9&Referer=caf%C3%A9", FORM).fields == {"UserAgent": "café", "Referer": "café"}


def test_form_broken_percent_sequence_stands_for_itself() -> None:
    assert decode(b"Request=/100%&Key=%zz", FORM).fields == {"Request": "/100%", "Key": "%zz"}


def test_empty_and_null_fields_are_absent() -> None:
    assert decode(b'{"UserAgent":null,"Port":"","Accept":""}', JSON).fields == {}
    assert decode(b"UserAgent=&Port&&=x", FORM).fields == {}


def test_repeated_field_counts_last() -> None:
    assert decode(b"Key=a&Key=b", FORM).fields == decode(b'{"Key":"a","Key":"b"}', JSON).fields == {"Key": "b"}


def test_number_as_text_is_read() -> None:
    body = b'{"Port":"8080","TimeRequest":"1700000000.25","customFieldFloat1":1.5,"customFieldInteger1":-3}'

    assert decode(body, JSON).fields == {
        "Port": 8080,
        "TimeRequest": 1700000000.25,
        "customFieldFloat1": 1.5,
        "customFieldInteger1": -3,
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON: "),
        (b"{", "the body is not JSON: "),
        (b"\xff\xfe", "the body is not JSON: "),
        (b'{"Key":"k"} trailing', "the body is not JSON: "),
        (b'{"Key":NaN}', "the body is not JSON: "),
        (b"[" * 5000, "the body is not JSON: "),
        (b"[1]", "the body is a JSON array, expected an object"),
        (b'"Key=k"', "the body is a JSON string, expected an object"),
        (b"null", "the body is a JSON null, expected an object"),
        (b'{"UserAgent":5}', "UserAgent is a JSON number, expected a string"),
        (b'{"UserAgent":["a"]}', "UserAgent is a JSON array, expected a string"),
        (b'{"Key":{}}', "Key is a JSON object, expected a string"),
        (b'{"Key":false}', "Key is a JSON boolean, expected a string"),
        (b'{"Port":"https"}', "Port is a JSON string 'https', expected an integer"),
        (b'{"Port":443.5}', "Port is a JSON number, expected an integer"),
        (b'{"Port":true}', "Port is a JSON boolean, expected an integer"),
        (b'{"Port":65536}', "Port is 65536, expected 0 to 65535"),
        (b'{"CookiesLen":-1}', "CookiesLen is -1, expected 0 to 9223372036854775807"),
        ('{"Port":"٨٠"}'.encode(), "Port is a JSON string '٨٠', expected an integer"),
        (b'{"TimeRequest":"now"}', "TimeRequest is a JSON string 'now', expected a number"),
        (b'{"customFieldFloat1":[]}', "customFieldFloat1 is a JSON array, expected a number"),
    ],
)
def test_malformed_json_is_refused_with_400(body: bytes, message: str) -> None:
    status, text = refused(body)

    assert status == 400
    assert text.startswith(message)


def test_form_with_too_many_fields_is_refused_with_400() -> None:
    decode(b"&".join([b"a=b"] * MAX_FORM_FIELDS), FORM)
    assert refused(b"&".join([b"a=b"] * (MAX_FORM_FIELDS + 1)), FORM) == (400, "the form has more than 256 fields")


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data; boundary=x", "application/jsonx"])
def test_other_content_type_is_refused_with_415(content_type: str) -> None:
    assert refused(b"{}", content_type)[0] == 415


@pytest.mark.parametrize("content_type", ["APPLICATION/JSON", " application/json ;charset=utf-8", "application/json;"])
def test_content_type_case_spaces_and_parameters_are_ignored(content_type: str) -> None:
    assert decode(b'{"Key":"k"}', content_type).fields == {"Key": "k"}


def test_body_of_exactly_the_limit_is_read_one_more_byte_is_413() -> None:
    filler = b'{"Key":"k","Referer":"%s"}'
    body = filler % (b"r" * (MAX_BODY_BYTES - len(filler) + 2))

    assert len(body) == MAX_BODY_BYTES == 24_576
    assert decode(body, JSON).text("Key") == "k"
    assert refused(body + b" ") == (413, "the body has 24577 bytes, at most 24576 are judged")


def test_message_shows_at_most_a_few_characters_of_the_body() -> None:
    assert len(refused(b'{"Port":"%s"}' % (b"x" * 10_000))[1]) < 100
    assert len(refused(b"", "x" * 10_000)[1]) < 150


def test_described_text_and_integer_have_defaults() -> None:
    described = decode(b'{"Port":80,"Key":"k"}', JSON)

    assert (described.text("Key"), described.text("UserAgent")) == ("k", "")
    assert (described.integer("Port"), described.integer("CookiesLen"), described.integer("Key")) == (80, None, None)


@pytest.mark.parametrize(("text", "value"), [("1e+16", 1e16), ("-2.5E-3", -0.0025), ("12", 12.0)])
def test_number_of_a_form_may_have_an_exponent(text: str, value: float) -> None:
    body = f"customFieldFloat1={text.replace('+', '%2B')}".encode()
    assert decode(body, FORM).fields["customFieldFloat1"] == value


def test_every_field_of_the_contract_is_known_once() -> None:
    every = (*TEXTS, *INTEGERS, *NUMBERS)

    assert len(every) == len(set(every)) == 71


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
field_names = st.sampled_from((*TEXTS, *INTEGERS, *NUMBERS, "other"))


def check_decodes_or_refuses(body: bytes, content_type: str) -> None:
    try:
        described = decode(body, content_type)
    except CallRefused as refusal:
        assert refusal.status in (400, 413, 415)
    else:
        assert all(value not in (None, "") for value in described.fields.values())


@given(st.binary(max_size=200), st.sampled_from((JSON, FORM)))
def test_any_bytes_are_decoded_or_refused(body: bytes, content_type: str) -> None:
    check_decodes_or_refuses(body, content_type)


@given(st.dictionaries(field_names, json_values, max_size=8))
def test_any_json_object_is_decoded_or_refused(sent: dict[str, object]) -> None:
    try:
        body = orjson.dumps(sent)
    except (TypeError, orjson.JSONEncodeError):  # an integer over 64 bits
        return
    check_decodes_or_refuses(body, JSON)


@given(st.lists(st.tuples(field_names, st.binary(max_size=30)), max_size=8))
def test_any_form_is_decoded_or_refused(pairs: list[tuple[str, bytes]]) -> None:
    check_decodes_or_refuses(b"&".join(name.encode() + b"=" + value for name, value in pairs), FORM)
