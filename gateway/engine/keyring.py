"""The secrets that sign what the engine hands out, and what such a signature is bound to.

A `Keyring` signs with its first secret and accepts all of them: to rotate, put the new secret first, and take the old
one away once what it signed has expired. A `Binding` is whom a session or a proof was given to: in other hands it is
worth nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

MAC_BYTES = 16  # of HMAC-SHA-256: 128 bits (RFC 2104, 5)


class Keyring:
    """Immutable. `secrets`: at least one, of any length that is not 0; the first one signs."""

    __slots__ = ("_keys",)

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if not secrets or not all(secrets):
            raise ValueError("a keyring needs at least one secret, none of them empty")
        self._keys = tuple(sha256(b"protection-gateway engine\0" + secret).digest() for secret in secrets)

    def sign(self, message: bytes) -> bytes:
        """MAC_BYTES bytes."""
        return hmac.digest(self._keys[0], message, "sha256")[:MAC_BYTES]

    def verify(self, message: bytes, mac: bytes) -> bool:
        """True if one of the secrets signed this message; in constant time for each of them."""
        for key in self._keys:  # written out: any() over a generator costs as much again as the signature
            if hmac.compare_digest(hmac.digest(key, message, "sha256")[:MAC_BYTES], mac):
                return True
        return False


class Binding(NamedTuple):
    """Whom something was given to. `site`: the Host, lower case; `prefix`: the client's network (/24, v6 /56) in text,
    "" where addresses do not bind; `user_agent`: as received."""

    site: str
    prefix: str
    user_agent: str

    def digest(self) -> bytes:
        """32 bytes that stand for all of it; the parts cannot run into each other."""
        text = f"{len(self.site)},{len(self.prefix)},{self.site}{self.prefix}{self.user_agent}"
        return sha256(text.encode("utf-8", "surrogatepass")).digest()
