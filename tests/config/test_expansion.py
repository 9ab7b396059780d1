"""References to the environment."""

from __future__ import annotations

import pytest

from gateway.config.expansion import UnusableReference, expand


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain $ {text} $X }", "plain $ {text} $X }"),
        ("${SET}", "value"),
        ("a${SET}b${SET}", "avaluebvalue"),
        ("${SET:-default}", "value"),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${UNSET:-default}", "default"),
        ("${UNSET:-}", ""),
        ("${UNSET:-http://a:1/b c}", "http://a:1/b c"),
        ("$${SET}", "${SET}"),
        ("$$${SET}", "$${SET}"),
        ("${NESTED}", "${SET}"),
    ],
)
def test_reference_is_replaced(monkeypatch, text, expanded):
    monkeypatch.setenv("SET", "value")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("NESTED", "${SET}")
    monkeypatch.delenv("UNSET", raising=False)
    assert expand(text) == expanded


def test_reference_unset_names_the_variable(monkeypatch):
    monkeypatch.delenv("UNSET", raising=False)
    with pytest.raises(UnusableReference) as caught:
        expand("secret-part-${UNSET}")
    assert (caught.value.got, caught.value.expected) == (
        "${UNSET}, which is not set",
        "the environment variable to be set, or a default: ${UNSET:-default}",
    )


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A:default}", "${A-b}", "${A:-${B}}", "a ${ b"])
def test_reference_broken_says_how_it_is_written(text):
    with pytest.raises(UnusableReference, match=r"^got a broken reference; expected \$\{NAME\} or"):
        expand(text)
