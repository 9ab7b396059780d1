"""The reference solver, for API clients and tests: what the page's script does, in Python.

A client that is answered 403 with a `challenge` in its JSON body sends the same request again with the cookie
`datadome=<proof>`, where proof = solve(token, difficulty); from the answer it keeps the cookie `datadome`.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import product

from gateway.engine.challenge.token import ALPHABET, NONCE_CHARACTERS, PUZZLE_BITS, PUZZLES


def solve(token: str, difficulty: int) -> str:
    """The proof for a challenge's token: about 2**difficulty hashes, some 0.6 us each."""
    return f"{token}.{''.join(_nonce(token + ALPHABET[index], difficulty - PUZZLE_BITS) for index in range(PUZZLES))}"


def _nonce(prefix: str, zero_bits: int) -> str:
    """The first nonce for which SHA-256(prefix + nonce) begins with so many zero bits. Raises ValueError if none does:
    it was not we who set this difficulty."""
    start = sha256(prefix.encode())
    bound = 1 << (256 - zero_bits)
    for characters in product(ALPHABET, repeat=NONCE_CHARACTERS):
        nonce = "".join(characters)
        attempt = start.copy()
        attempt.update(nonce.encode())
        if int.from_bytes(attempt.digest(), "big") < bound:
            return nonce
    raise ValueError(f"no nonce gives {zero_bits} zero bits")
