"""No byte twice, whatever is asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.entropy import PAGE_BYTES, Entropy


@given(st.lists(st.integers(0, 2 * PAGE_BYTES), max_size=40))
def test_bytes_are_as_many_as_asked_for_and_never_the_same(counts: list[int]) -> None:
    entropy = Entropy()
    taken = [entropy(count) for count in counts]
    assert [len(one) for one in taken] == counts
    long = [one for one in taken if len(one) >= 16]
    assert len(set(long)) == len(long)


def test_two_have_nothing_in_common() -> None:
    assert Entropy()(PAGE_BYTES) != Entropy()(PAGE_BYTES)
