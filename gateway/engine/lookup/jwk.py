"""JSON Web Keys that sign requests: a key directory in, public keys by their thumbprint out.

Web Bot Auth names a key by its JWK thumbprint (RFC 7638, RFC 8037), so the `kid` that a directory gives is not looked
at. Ed25519 is what the drafts require; P-256 and RSA are what they allow beside it. This module imports the
cryptography: import it when there is something to verify (4 MiB, 60 ms).
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import HTTPSignatureAlgorithm, algorithms

from gateway.errors import KeysRefused

MAX_KEYS = 64
LEAST_RSA_BITS = 2048

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """`expires_s`: Unix time from which it does not count, None for ever (the drafts' `exp`)."""

    public: PublicKey
    algorithm: type[HTTPSignatureAlgorithm]
    expires_s: float | None


def read_keys(document: bytes) -> dict[str, VerificationKey]:
    """Thumbprint -> key, of a JWK Set. Keys of other kinds are left out, as RFC 7517, 5 says. Raises KeysRefused for
    anything that is no JWK Set, that has over MAX_KEYS keys, or that has none of use."""
    try:
        entries = json.loads(document)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise KeysRefused("the key directory is no JWK Set: expected a JSON object with `keys`") from None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise KeysRefused(f"the key directory has no array of at most {MAX_KEYS} `keys`")
    keys = dict(filter(None, map(_read, entries)))
    if not keys:
        raise KeysRefused("the key directory has no key that can verify (Ed25519, P-256 or RSA)")
    return keys


def _read(entry: object) -> tuple[str, VerificationKey] | None:
    """None for a key of another kind, and for one that is broken."""
    if not isinstance(entry, dict):
        return None
    kind = _KINDS.get((entry.get("kty"), entry.get("crv")))
    if kind is None:
        return None
    members, build, algorithm = kind
    try:
        required = {name: str(entry[name]) for name in members}
        public = build(required)
    except (KeyError, ValueError):
        return None
    expires = entry.get("exp")
    expires_s = float(expires) if isinstance(expires, int | float) else None
    return _thumbprint(required), VerificationKey(public, algorithm, expires_s)


def _thumbprint(required: Mapping[str, str]) -> str:
    """RFC 7638, 3: the required members in order, without spaces."""
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def _ed25519(entry: Mapping[str, str]) -> PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(_octets(entry["x"]))


def _p256(entry: Mapping[str, str]) -> PublicKey:
    return ec.EllipticCurvePublicNumbers(_number(entry["x"]), _number(entry["y"]), ec.SECP256R1()).public_key()


def _rsa(entry: Mapping[str, str]) -> PublicKey:
    key = rsa.RSAPublicNumbers(_number(entry["e"]), _number(entry["n"])).public_key()
    if key.key_size < LEAST_RSA_BITS:
        raise ValueError(f"an RSA key of {key.key_size} bits, expected at least {LEAST_RSA_BITS}")
    return key


def _octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_octets(text), "big")


_Build = Callable[[Mapping[str, str]], PublicKey]
# (kty, crv) -> members of the thumbprint, how to build the key, what verifies with it
_KINDS: dict[tuple[Any, Any], tuple[tuple[str, ...], _Build, type[HTTPSignatureAlgorithm]]] = {
    ("OKP", "Ed25519"): (("crv", "kty", "x"), _ed25519, algorithms.ED25519),
    ("EC", "P-256"): (("crv", "kty", "x", "y"), _p256, algorithms.ECDSA_P256_SHA256),
    ("RSA", None): (("e", "kty", "n"), _rsa, algorithms.RSA_PSS_SHA512),
}
