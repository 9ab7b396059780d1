"""Signatures, and whom they are bound to."""

from __future__ import annotations

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.keyring import MAC_BYTES, Binding, Keyring


def test_signature_is_hmac_sha_256_of_the_first_secret_cut_to_16_bytes() -> None:
    key = sha256(b"protection-gateway engine\0" + b"new").digest()

    mac = Keyring([b"new", b"old"]).sign(b"message")

    assert mac == hmac.digest(key, b"message", "sha256")[:16]
    assert len(mac) == MAC_BYTES


def test_every_secret_verifies_and_the_first_one_signs() -> None:
    old, both, new = Keyring([b"old"]), Keyring([b"new", b"old"]), Keyring([b"new"])

    assert both.verify(b"message", old.sign(b"message"))
    assert both.verify(b"message", new.sign(b"message"))
    assert both.sign(b"message") == new.sign(b"message")
    assert not new.verify(b"message", old.sign(b"message"))


@pytest.mark.parametrize(
    "mac", [b"", b"\0" * 16, Keyring([b"k"]).sign(b"other"), Keyring([b"k"]).sign(b"message")[:15]]
)
def test_anything_else_is_no_signature(mac: bytes) -> None:
    assert not Keyring([b"k"]).verify(b"message", mac)


@pytest.mark.parametrize("secrets", [[], [b""], [b"good", b""]])
def test_keyring_without_a_secret_is_refused(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"^a keyring needs at least one secret, none of them empty$"):
        Keyring(secrets)


def test_keyring_does_not_show_its_secrets() -> None:
    assert "geheim" not in repr(Keyring([b"geheim"]))


PARTS = st.text(max_size=20)


@given(PARTS, PARTS, PARTS, PARTS, PARTS, PARTS)
def test_digests_are_equal_only_of_equal_bindings(a: str, b: str, c: str, d: str, e: str, f: str) -> None:
    assert (Binding(a, b, c).digest() == Binding(d, e, f).digest()) is ((a, b, c) == (d, e, f))


@given(PARTS, st.text(min_size=1, max_size=20))
def test_parts_of_a_binding_do_not_run_into_each_other(a: str, b: str) -> None:
    assert Binding(a + b, "", "").digest() != Binding(a, b, "").digest()
    assert Binding("", a + b, "").digest() != Binding("", a, b).digest()


def test_digest_takes_half_a_surrogate_pair() -> None:
    assert Binding("a", "b", "\ud800").digest() != Binding("a", "b", "\ud801").digest()
