"""The challenge's tokens: issued to one client, solved by it, checked without a memory of our own.

Theory of operation. A token is 44 characters of base64url: the kind (1 byte), an id (9), the second of its issue (5),
the difficulty (1), the wait (1), and the keyring's MAC (16) over all of that and the digest of whom it was given to.
33 bytes leave no spare bit in the last character, so a token has one spelling. A challenge has two tokens of one id:

- the proof token, for clients that compute. It sets PUZZLES puzzles; the solution of puzzle i is a NONCE of four
  base64url characters for which SHA-256(token + ALPHABET[i] + nonce), all in ASCII, begins with `difficulty - 3` zero
  bits. The proof is `<token>.<nonce><nonce>...`: 77 characters, since older modules cut a ClientID at 128 bytes. Eight
  puzzles and not one, because the time for one is exponentially distributed, and one visitor in a hundred would wait
  4.6 times the mean (2**difficulty hashes); with eight it is twice the mean. More puzzles would cost us more hashes.
- the step token, for clients that wait. It is accepted `wait_s` seconds after its issue, by our clock.

Whatever the client could gain by changing (difficulty, wait, time) is under the MAC. A solution says nothing about
whether it was shown before: spend `Passed.id`, which both tokens of a challenge share.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Literal, NamedTuple

from gateway.engine.keyring import MAC_BYTES, Binding, Keyring

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
PUZZLES = 8
PUZZLE_BITS = 3  # 2**3 puzzles: each is that much easier than the whole
NONCE_CHARACTERS = 4  # 2**24 nonces: at MAX_DIFFICULTY one puzzle in e**32 has none that fits
TOKEN_CHARACTERS = 44
PROOF_CHARACTERS = TOKEN_CHARACTERS + 1 + PUZZLES * NONCE_CHARACTERS

MIN_DIFFICULTY = 12
MAX_DIFFICULTY = 22
DEFAULT_DIFFICULTY = 16
MAX_EXTRA_DIFFICULTY = 3  # eight times the work of the base, for the worst score
SCORE_PER_BIT = 25

LIFETIME_S = 300
MAX_WAIT_S = 240  # leaves a minute for the refresh to come back
CLOCK_SKEW_S = 60  # between engines that share a keyring

Reason = Literal["malformed", "forged", "future", "expired", "early", "unsolved"]
"""malformed: no token of this kind by its form; forged: not ours, or not this client's (other site, network, user
agent); future: issued over CLOCK_SKEW_S from now; expired: over LIFETIME_S old; early: the wait is not over; unsolved:
a puzzle's nonce does not fit."""


class Challenge(NamedTuple):
    """`token`, `step`: words of 44 URL-safe characters; `step` is "" if there is no way without computing. `id`: 12
    characters. `expires_s`: Unix time."""

    token: str
    step: str
    id: str
    difficulty: int
    wait_s: int
    expires_s: float


class Passed(NamedTuple):
    """Spend `id` for `ttl_s` seconds: after that no engine accepts it any more, whatever its clock says."""

    id: str
    kind: Literal["proved", "waited"]
    ttl_s: float


class Refused(NamedTuple):
    reason: Reason


def issue(
    keyring: Keyring,
    binding: Binding,
    *,
    difficulty: int,
    wait_s: int,
    now_s: float,
    entropy: Callable[[int], bytes],
) -> Challenge:
    """A new challenge for this client. `wait_s`: 0 = there is no way without computing.

    Raises ValueError if difficulty or wait are out of their bounds: they are configuration, which is checked before.
    """
    if not MIN_DIFFICULTY <= difficulty <= MAX_DIFFICULTY:
        raise ValueError(f"the difficulty is {difficulty}, expected {MIN_DIFFICULTY} to {MAX_DIFFICULTY}")
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise ValueError(f"the wait is {wait_s} s, expected 0 to {MAX_WAIT_S}")
    id_, issued_s = entropy(_ID_BYTES), int(now_s)
    fields = id_ + issued_s.to_bytes(_TIME_BYTES, "big") + bytes((difficulty, wait_s))
    digest = binding.digest()
    return Challenge(
        token=_write(keyring, _PROOF + fields, digest),
        step=_write(keyring, _STEP + fields, digest) if wait_s else "",
        id=_word(id_),
        difficulty=difficulty,
        wait_s=wait_s,
        expires_s=float(issued_s + LIFETIME_S),
    )


def is_proof(text: str) -> bool:
    """True for what has the length and the marks of a proof; whether it is one, `check_proof` says."""
    return len(text) == PROOF_CHARACTERS and text[TOKEN_CHARACTERS] == "." and text[0] == _PROOF_MARK


def check_proof(keyring: Keyring, binding: Binding, text: str, now_s: float) -> Passed | Refused:
    """Judge `<token>.<solution>` as this client shows it. Never raises."""
    if not _PROOF_FORM(text):
        return Refused("malformed")
    token = _read(keyring, binding, text[:TOKEN_CHARACTERS], _PROOF)
    if isinstance(token, Refused):
        return token
    untimely = token.untimely(now_s)
    if untimely:
        return Refused(untimely)
    if not _is_solved(text, token.difficulty):
        return Refused("unsolved")
    return Passed(token.id, "proved", token.ttl_s(now_s))


def check_step(keyring: Keyring, binding: Binding, text: str, now_s: float) -> Passed | Refused:
    """Judge a step token as this client shows it. Never raises."""
    if not _STEP_FORM(text):
        return Refused("malformed")
    token = _read(keyring, binding, text, _STEP)
    if isinstance(token, Refused):
        return token
    untimely = token.untimely(now_s)
    if untimely:
        return Refused(untimely)
    if not token.wait_s or now_s < token.issued_s + token.wait_s:
        return Refused("early")
    return Passed(token.id, "waited", token.ttl_s(now_s))


def difficulty_of(score: int, base: int) -> int:
    """The difficulty for a client of this score (0 = nothing against it): one bit, which is twice the work, for every
    SCORE_PER_BIT points, MAX_EXTRA_DIFFICULTY at most."""
    extra = min(max(score, 0) // SCORE_PER_BIT, MAX_EXTRA_DIFFICULTY)
    return min(max(base + extra, MIN_DIFFICULTY), MAX_DIFFICULTY)


class _Token(NamedTuple):
    """What stands in a token that is ours and this client's."""

    id: str
    issued_s: int
    difficulty: int
    wait_s: int

    def untimely(self, now_s: float) -> Literal["future", "expired"] | None:
        if self.issued_s > now_s + CLOCK_SKEW_S:
            return "future"
        if now_s >= self.issued_s + LIFETIME_S:
            return "expired"
        return None

    def ttl_s(self, now_s: float) -> float:
        return self.issued_s + LIFETIME_S - now_s + CLOCK_SKEW_S


def _write(keyring: Keyring, fields: bytes, digest: bytes) -> str:
    return _word(fields + keyring.sign(_PURPOSE + fields + digest))


def _read(keyring: Keyring, binding: Binding, word: str, kind: bytes) -> _Token | Refused:
    raw = urlsafe_b64decode(word)
    fields, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    if fields[:1] != kind:  # the mark holds six bits of it only
        return Refused("malformed")
    if not keyring.verify(_PURPOSE + fields + binding.digest(), mac):
        return Refused("forged")
    difficulty, wait_s = fields[-2:]
    if difficulty < MIN_DIFFICULTY:  # signed by a version with a lower floor
        return Refused("forged")
    id_, issued_s = fields[1 : 1 + _ID_BYTES], int.from_bytes(fields[1 + _ID_BYTES : -2], "big")
    return _Token(_word(id_), issued_s, difficulty, wait_s)


def _is_solved(proof: str, difficulty: int) -> bool:
    text, bound = proof.encode(), _BOUNDS[difficulty]
    token = text[:TOKEN_CHARACTERS]
    for index, start in _PARTS:
        if sha256(token + index + text[start : start + NONCE_CHARACTERS]).digest() >= bound:
            return False
    return True


def _word(raw: bytes) -> str:
    """base64url of a multiple of three bytes: no padding."""
    return urlsafe_b64encode(raw).decode()


_PURPOSE = b"challenge\0"  # what else the keyring signs begins otherwise
_PROOF, _STEP = b"\xa4", b"\xb0"  # kinds; a new layout takes new ones. In base64 they begin with these marks:
_PROOF_MARK, _STEP_MARK = "p", "s"
_ID_BYTES = 9
_TIME_BYTES = 5
_PROOF_FORM = re.compile(rf"{_PROOF_MARK}[A-Za-z0-9_-]{{43}}\.[A-Za-z0-9_-]{{32}}").fullmatch
_STEP_FORM = re.compile(rf"{_STEP_MARK}[A-Za-z0-9_-]{{43}}").fullmatch
_PARTS = [(ALPHABET[i].encode(), TOKEN_CHARACTERS + 1 + i * NONCE_CHARACTERS) for i in range(PUZZLES)]
# By difficulty, which is a byte: the least digest that has too few zero bits.
_BOUNDS = [(1 << (256 - max(difficulty - PUZZLE_BITS, 1))).to_bytes(32, "big") for difficulty in range(256)]
