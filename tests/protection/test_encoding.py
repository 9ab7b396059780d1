"""Both encodings and the budget of 24,576 bytes (contract sections 1 and 3)."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protection.encoding import BUDGET_BYTES, ENCODERS, Encode, Value, encode_form, encode_json, escape, fit

ALWAYS = frozenset({"Key", "Request"})
KEEP_END = frozenset({"XForwardedForIP"})
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)


def read_form(body: bytes) -> dict[str, str]:
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body))
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.one_of(TEXTS, NUMBERS)))
def test_json_decodes_to_the_same_values(fields: dict[str, Value]) -> None:
    assert json.loads(encode_json(fields)) == fields


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.one_of(TEXTS, NUMBERS)))
def test_form_decodes_to_the_same_values_as_text(fields: dict[str, Value]) -> None:
    assert read_form(encode_form(fields)) == {name: str(value) for name, value in fields.items()}


def test_form_is_utf_8_with_spaces_as_percent_20() -> None:
    assert encode_form({"A": "a b+c&d=e", "B": "é%", "C": 5}) == b"A=a%20b%2Bc%26d%3De&B=%C3%A9%25&C=5"


def test_form_value_with_nul_bytes_stays_in_its_field() -> None:
    assert encode_form({"A": "\0", "B": "x\0y", "C": ""}) == b"A=%00&B=x%00y&C="
    assert encode_form({"A": "\0"}) == b"A=%00"


def test_form_of_no_fields_is_empty() -> None:
    assert encode_form({}) == b""


def test_json_is_compact_utf_8() -> None:
    assert encode_json({"A": "é", "B": 5, "C": 1.5}) == '{"A":"é","B":5,"C":1.5}'.encode()


@settings(deadline=None)
@given(st.binary())
def test_escape_is_urllib_s_quote(raw: bytes) -> None:
    assert escape(raw) == quote_from_bytes(raw, safe="").encode()


# ---- budget ----


def test_fit_within_the_budget_changes_nothing() -> None:
    fields: dict[str, Value] = {"Key": "k", "UserAgent": "u" * 20_000}
    assert fit(fields, encode_json, ALWAYS) == (encode_json(fields), ())


@pytest.mark.parametrize("over", [0, 1])
def test_fit_budget_is_exact(over: int) -> None:
    overhead = len(encode_json({"A": ""}))
    fields: dict[str, Value] = {"A": "a" * (BUDGET_BYTES - overhead + over)}
    body, cut = fit(fields, encode_json, ALWAYS)
    assert (len(body) == BUDGET_BYTES, cut) == ((True, ()) if over == 0 else (False, ("A",)))


def test_fit_halves_the_longest_first_until_the_body_fits() -> None:
    fields: dict[str, Value] = {"Key": "k", "A": "a" * 8_000, "B": "b" * 16_000, "C": "c" * 9_000, "N": 5}
    body, cut = fit(fields, encode_json, ALWAYS)
    expected = {"Key": "k", "A": "a" * 8_000, "B": "b" * 4_000, "C": "c" * 9_000, "N": 5}
    # B 16,000 -> 8,000 gives 25,000 and a little; then C is the longest.
    expected["B"], expected["C"] = "b" * 8_000, "c" * 4_500
    assert json.loads(body) == expected
    assert cut == ("B", "C")


def test_fit_ties_go_to_the_first_in_payload_order() -> None:
    fields: dict[str, Value] = {"B": "b" * 15_000, "A": "a" * 15_000}
    body, cut = fit(fields, encode_json, ALWAYS)
    assert (len(json.loads(body)["B"]), len(json.loads(body)["A"]), cut) == (7_500, 15_000, ("B",))


def test_fit_measures_after_encoding_and_cuts_by_raw_bytes() -> None:
    fields: dict[str, Value] = {"A": "%" * 6_000, "B": "b" * 7_000}
    body, cut = fit(fields, encode_form, ALWAYS)
    assert cut == ("B",)
    assert {name: len(value) for name, value in read_form(body).items()} == {"A": 6_000, "B": 3_500}


def test_fit_always_fields_stay_whole() -> None:
    fields: dict[str, Value] = {"Key": "k" * 100, "Request": "/" + "%" * 6_000, "A": "a" * 9_000}
    body, _ = fit(fields, encode_form, ALWAYS)
    sent = read_form(body)
    assert (sent["Key"], sent["Request"]) == (fields["Key"], fields["Request"])
    assert len(body) <= BUDGET_BYTES


def test_fit_field_cut_to_nothing_is_not_sent() -> None:
    room = BUDGET_BYTES - len(encode_json({"Request": "", "A": "a"}))
    body, cut = fit({"Request": "r" * (room + 3), "A": "aaaa"}, encode_json, ALWAYS)
    assert (json.loads(body), cut) == ({"Request": "r" * (room + 3)}, ("A",))


def test_fit_always_fields_over_the_budget_are_cut_last_of_all() -> None:
    fields: dict[str, Value] = {"Key": "k", "Request": "r" * 30_000, "A": "a" * 100}
    body, cut = fit(fields, encode_json, ALWAYS)
    assert (json.loads(body), cut) == ({"Key": "k", "Request": "r" * 15_000}, ("A", "Request"))


def test_fit_never_cuts_a_sequence_in_half() -> None:
    body, _ = fit({"A": "€" * 10_001}, encode_json, ALWAYS)
    assert json.loads(body) == {"A": "€" * 5_000}


def test_fit_keep_end_field_keeps_its_end() -> None:
    hops = "".join(f"10.0.{number // 256}.{number % 256}, " for number in range(3_000))
    body, _ = fit({"XForwardedForIP": hops}, encode_json, ALWAYS, KEEP_END)
    sent = json.loads(body)["XForwardedForIP"]
    assert (hops.endswith(sent), len(sent)) == (True, len(hops) // 2)
    body, _ = fit({"XForwardedForIP": "€" * 10_001}, encode_json, ALWAYS, KEEP_END)
    assert json.loads(body) == {"XForwardedForIP": "€" * 5_000}


REPEATED_TEXTS = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3), st.integers(0, 12_000)
)
FIELD_NAMES = st.sampled_from(["Key", "Request", "XForwardedForIP", "UserAgent", "Referer", "Accept", "Port"])


@settings(deadline=None)
@given(
    st.dictionaries(FIELD_NAMES, st.one_of(REPEATED_TEXTS, st.integers(0, 2**63))),
    st.sampled_from(sorted(ENCODERS)).map(ENCODERS.__getitem__),
)
def test_fit_any_fields_never_exceed_the_budget_and_repeat_exactly(
    shapes: dict[str, tuple[str, int] | int], encode: Encode
) -> None:
    fields: dict[str, Value] = {
        name: shape[0] * shape[1] if isinstance(shape, tuple) else shape for name, shape in shapes.items()
    }
    body, cut = fit(fields, encode, ALWAYS, KEEP_END)
    assert len(body) <= BUDGET_BYTES
    assert set(cut) <= {name for name, value in fields.items() if isinstance(value, str)}
    assert (body, cut) == fit(dict(fields), encode, ALWAYS, KEEP_END)
    assert cut or body == encode(fields)
