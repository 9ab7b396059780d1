"""Signatures of webhooks: recorded ones, the forms of Python and of JavaScript, and bodies that mean ill."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.posture.signature import MAX_DEPTH, cypersecurity_is_valid, ddactic_is_valid, read_json, sign

SECRET = "your_webhook_secret"
DOCUMENTED = (
    b'{"event": "scan.completed", "timestamp": 1704024000, "data": {"scan_id": "scan_123abc", "target": "example.com", '
    b'"findings_count": 5, "critical_count": 1}}'
)
NODE = shutil.which("node") or ""

# (body as it came, Python's json.dumps(payload, sort_keys=True), JavaScript's JSON.stringify(payload)); the last column
# was recorded with Node.js 20.
FORMS = [
    (
        DOCUMENTED,
        b'{"data": {"critical_count": 1, "findings_count": 5, "scan_id": "scan_123abc", "target": "example.com"}, '
        b'"event": "scan.completed", "timestamp": 1704024000}',
        b'{"event":"scan.completed","timestamp":1704024000,"data":{"scan_id":"scan_123abc","target":"example.com",'
        b'"findings_count":5,"critical_count":1}}',
    ),
    (b"[ ]", b"[]", b"[]"),
    (b'{ "b": {}, "a": [[], {}, null, true, false] }', b'{"a": [[], {}, null, true, false], "b": {}}',
     b'{"b":{},"a":[[],{},null,true,false]}'),
    (b"[0, -0, -0.0, 1.0, 5.0, 4.2, 1e2]", b"[0, 0, -0.0, 1.0, 5.0, 4.2, 100.0]", b"[0,0,0,1,5,4.2,100]"),
    (b"[1e20, 1e21, 1.5e300, -1E-7, 0.000001, 1.5e-9, 5e-324]",
     b"[1e+20, 1e+21, 1.5e+300, -1e-07, 1e-06, 1.5e-09, 5e-324]",
     b"[100000000000000000000,1e+21,1.5e+300,-1e-7,0.000001,1.5e-9,5e-324]"),
    (b"[9007199254740993, 123456789012345678901, 12345678901234567890123]",
     b"[9007199254740993, 123456789012345678901, 12345678901234567890123]",
     b"[9007199254740992,123456789012345680000,1.2345678901234568e+22]"),
    (b"[1e400, -1e400]", b"[Infinity, -Infinity]", b"[null,null]"),
    ('["\u00e9\u2028\U0001f600\x7f", "\\u00e9\\ud83d\\ude00\\u0007\\b\\f\\n\\r\\t\\/\\"\\\\"]'.encode(),
     b'["\\u00e9\\u2028\\ud83d\\ude00\\u007f", "\\u00e9\\ud83d\\ude00\\u0007\\b\\f\\n\\r\\t/\\"\\\\"]',
     '["\u00e9\u2028\U0001f600\x7f","\u00e9\U0001f600\\u0007\\b\\f\\n\\r\\t/\\"\\\\"]'.encode()),
    (b'["\\ud800", "a\\uDFFFb", "\\ude00\\ud83d"]', b'["\\ud800", "a\\udfffb", "\\ude00\\ud83d"]',
     b'["\\ud800","a\\udfffb","\\ude00\\ud83d"]'),
    (b'{"b": 1, "10": 2, "2": 3, "a": 4, "01": 5, "-1": 6, "4294967294": 7, "4294967295": 8, "": 9}',
     b'{"": 9, "-1": 6, "01": 5, "10": 2, "2": 3, "4294967294": 7, "4294967295": 8, "a": 4, "b": 1}',
     b'{"2":3,"10":2,"4294967294":7,"b":1,"a":4,"01":5,"-1":6,"4294967295":8,"":9}'),
    (b'{"a": 1, "b": 2, "a": 3}', b'{"a": 3, "b": 2}', b'{"a":3,"b":2}'),
]  # fmt: skip

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    | st.text(st.characters(codec=None, categories=("Cs", "Lu"))),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text() | st.from_regex(r"\A\d+\Z"), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def test_ddactic_signature_of_the_raw_body_taken_in_any_case() -> None:
    expected = hmac.new(SECRET.encode(), DOCUMENTED, hashlib.sha256).hexdigest()
    assert sign(DOCUMENTED, SECRET) == expected
    assert ddactic_is_valid(DOCUMENTED, expected, SECRET)
    assert ddactic_is_valid(DOCUMENTED, expected.upper(), SECRET)
    assert not ddactic_is_valid(DOCUMENTED, "0" * 64, SECRET)


def test_signature_of_the_test_vector_is_that_of_the_rfc() -> None:
    """RFC 4231 4.3, whose key is a text."""
    body = b"what do ya want for nothing?"
    assert sign(body, "Jefe") == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@pytest.mark.parametrize("change", ["sha256={}", " {}", "{}\n", "{}00", "0x{}", "", "{}, {}"])
def test_signature_in_another_notation_refused(change: str) -> None:
    signature = change.replace("{}", sign(DOCUMENTED, SECRET))
    assert not ddactic_is_valid(DOCUMENTED, "0" * 64, SECRET)
    assert not cypersecurity_is_valid(DOCUMENTED, signature, SECRET)


def test_ddactic_signature_of_another_form_refused() -> None:
    for body, python, javascript in FORMS[:1]:
        assert not ddactic_is_valid(body, sign(python, SECRET), SECRET)
        assert not ddactic_is_valid(body, sign(javascript, SECRET), SECRET)


@pytest.mark.parametrize(("body", "python", "javascript"), FORMS)
def test_cypersecurity_signature_of_each_form_taken(body: bytes, python: bytes, javascript: bytes) -> None:
    for form in (body, python, javascript):
        assert cypersecurity_is_valid(body, sign(form, SECRET), SECRET)
        assert cypersecurity_is_valid(body, sign(form, SECRET).upper(), SECRET)
        assert not cypersecurity_is_valid(body, sign(form, "another"), SECRET)
    assert not cypersecurity_is_valid(body, sign(body + b" ", SECRET), SECRET)
    assert not cypersecurity_is_valid(body + b"1", sign(python, SECRET), SECRET)


def test_cypersecurity_signature_of_python_without_sorted_keys_refused() -> None:
    body = b'{"b":1,"a":2}'
    assert not cypersecurity_is_valid(body, sign(b'{"b": 1, "a": 2}', SECRET), SECRET)
    assert not cypersecurity_is_valid(body, sign(b'{"a":2,"b":1}', SECRET), SECRET)


@given(VALUES)
def test_cypersecurity_signature_as_the_python_example_makes_it_taken(payload: object) -> None:
    signature = sign(json.dumps(payload, sort_keys=True).encode(), SECRET)
    for body in (json.dumps(payload), json.dumps(payload, indent=1)):
        assert cypersecurity_is_valid(body.encode(), signature, SECRET)


@pytest.mark.skipif(not NODE, reason="node is not installed: what it writes is compared in recorded literals alone")
def test_cypersecurity_signature_as_real_node_makes_it_taken() -> None:
    bodies = [body.decode() for body, _, _ in FORMS]
    collected: list[str] = []

    @given(VALUES)
    def collect(payload: object) -> None:
        collected.append(json.dumps(payload))

    collect()
    script = """
        const crypto = require('crypto');
        const bodies = JSON.parse(require('fs').readFileSync(0, 'utf8'));
        const sign = (payload) =>
            crypto.createHmac('sha256', process.argv[1]).update(JSON.stringify(payload)).digest('hex');
        process.stdout.write(JSON.stringify(bodies.map((body) => sign(JSON.parse(body)))));
    """
    bodies += collected
    done = subprocess.run(
        [NODE, "-e", script, SECRET], input=json.dumps(bodies).encode(), capture_output=True, check=True, timeout=60
    )
    for body, signature in zip(bodies, json.loads(done.stdout), strict=True):
        assert cypersecurity_is_valid(body.encode(), signature, SECRET), body


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"no JSON", b"\xff\xfe", b'{"a": "\xed\xa0\x80"}', b"[" * 1_000_000, b'[{"a":' * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), b"[1" + b"0" * 10_000 + b"]", b'"' + b"\\" * 1001 + b'"',
        b'{"":' * 5000 + b"1" + b"}" * 5000,
    ],
)  # fmt: skip
def test_cypersecurity_signature_of_a_body_that_means_ill_is_that_of_the_raw_body_or_none(body: bytes) -> None:
    assert cypersecurity_is_valid(body, sign(body, SECRET), SECRET)
    assert not cypersecurity_is_valid(body, "0" * 64, SECRET)
    assert not cypersecurity_is_valid(body, sign(b"", SECRET), SECRET) or not body


def test_cypersecurity_signature_of_not_a_number_is_that_of_python_alone() -> None:
    body = b'{"a":NaN,"b":-Infinity}'
    assert cypersecurity_is_valid(body, sign(b'{"a": NaN, "b": -Infinity}', SECRET), SECRET)
    assert not cypersecurity_is_valid(body, sign(b'{"a":null,"b":null}', SECRET), SECRET)


@given(st.binary())
def test_signature_of_any_body_raises_nothing(body: bytes) -> None:
    assert cypersecurity_is_valid(body, sign(body, SECRET), SECRET)
    assert not cypersecurity_is_valid(body, "f" * 64, SECRET)


@pytest.mark.parametrize("body", [b"NaN", b'[Infinity]', b"\xef\xbb\xbf{}", b'{"a": "\n"}', b"{} {}", b"[1,]", b""])
def test_json_that_is_none_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_json(body)


def test_json_nested_as_deeply_as_allowed_read_and_deeper_refused() -> None:
    brackets_in_text = b'["' + b"[{" * 1000 + b'", "\\"' + b"[" * 1000 + b'"]'
    assert len(read_json(brackets_in_text)) == 2
    assert read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(ValueError, match="nested deeper than 100"):
        read_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
