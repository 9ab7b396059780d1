"""http/memo.py: computes what it lacks, and never grows beyond its bound."""

from __future__ import annotations

from gateway.http.memo import FIELD_LINES, Memo


def test_memo_computes_a_key_once():
    asked = []
    memo: Memo[bytes] = Memo(lambda key: asked.append(key) or key.upper())
    assert [memo[b"a"], memo[b"a"], [*map(memo.__getitem__, [b"a"])]] == [b"A", b"A", [b"A"]]
    assert asked == [b"a"]


def test_memo_full_starts_anew_and_stays_bounded():
    memo: Memo[int] = Memo(int)
    for number in range(5000):
        assert memo[b"%d" % number] == number
    assert len(memo) <= 1024


def test_memo_long_key_is_computed_and_not_kept():
    memo: Memo[int] = Memo(len)
    assert memo[b"a" * 513] == 513
    assert len(memo) == 0


def test_field_line_is_name_lowered_and_value_trimmed_of_spaces_and_tabs_alone():
    assert FIELD_LINES[b"X-Name:\t a\x85 \t"] == (b"x-name", b"a\x85")
