"""Which language a visitor gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.challenge.language import TEXTS, language_of


@pytest.mark.parametrize(
    ("accept_language", "language"),
    [
        ("", "en"),
        ("fr", "fr"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("ja,en-US;q=0.9,en;q=0.8", "ja"),
        ("zh-Hant-TW", "zh"),
        ("FR-ca", "fr"),
        ("en;q=0.5, es;q=0.9", "es"),
        ("en;q=0.5,es;Q=0.9", "es"),
        ("sv,da;q=0.9,de;q=0.1", "de"),
        ("sv", "en"),
        ("*", "en"),
        ("fr;q=0, de;q=0.1", "de"),
        ("fr;q=0", "en"),
        ("fr;q=0.5,de;q=0.5", "fr"),
        ("fr ; q=0.8 , de", "de"),
        ("fr;q=2,de;q=0.1", "de"),
        ("fr;q=x", "en"),
        ("fr;level=1", "en"),
        (",,;q=1,de", "de"),
        ("sv," * 16 + "de", "en"),
        ("x" * 1_000_000, "en"),
    ],
)
def test_language_is_the_one_with_the_highest_quality(accept_language: str, language: str) -> None:
    assert language_of(accept_language) == language


@given(st.text())
def test_language_of_any_text_is_one_of_ours(accept_language: str) -> None:
    assert language_of(accept_language) in TEXTS
