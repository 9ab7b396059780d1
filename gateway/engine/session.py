"""The `datadome` cookie: who a visitor is to the engine, and what he has proved.

A session token is one URL-safe word of 40 characters: kind, time of issue, id, and a signature that also covers the
Binding, so that a token which was stolen, made up or carried to another site is no session at all. Nothing is stored;
revoking one means listing its id until it expires.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from gateway.engine.keyring import MAC_BYTES, Binding, Keyring

Kind = Literal["none", "visitor", "waited", "proved", "revoked"]
"""`none`: no token, or none that counts here; `visitor`: known, nothing proved; `waited`: passed the challenge without
JavaScript; `proved`: solved it; `revoked`: was taken back."""

TOKEN_CHARACTERS = 40
REMEMBERED = 16_384  # tokens that were verified: some 0.6 KiB each, at most 1.5 by the limits of a call's fields
ID_BYTES = 9
SKEW_S = 60.0  # clocks of engines that share secrets
_KINDS: dict[int, Kind] = {1: "visitor", 2: "waited", 3: "proved"}
_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_BODY_BYTES = 1 + 4 + ID_BYTES


class Session(NamedTuple):
    """`id`: 12 URL-safe characters, "" of `none`. `issued_s`: Unix time."""

    kind: Kind
    id: str = ""
    issued_s: int = 0


NO_SESSION = Session("none")


class Sessions:
    """Writes and reads tokens. `lifetime_s`: how long one counts."""

    __slots__ = ("_keyring", "_signed", "lifetime_s")

    def __init__(self, keyring: Keyring, lifetime_s: float) -> None:
        self._keyring = keyring
        self._signed = lru_cache(maxsize=REMEMBERED)(self._verify)
        self.lifetime_s = lifetime_s

    def open(self, kind: Kind, now_s: float, entropy: Callable[[int], bytes]) -> Session:
        """A new session of a kind that can be open: visitor, waited or proved."""
        return Session(kind, urlsafe_b64encode(entropy(ID_BYTES)).decode(), int(now_s))

    def write(self, session: Session, binding: Binding) -> str:
        """The token of an open session: TOKEN_CHARACTERS of `A-Za-z0-9_-`."""
        body = bytes((_NUMBERS[session.kind],)) + session.issued_s.to_bytes(4, "big") + urlsafe_b64decode(session.id)
        return urlsafe_b64encode(body + self._keyring.sign(_message(body, binding))).decode()

    def read(self, token: str, binding: Binding, now_s: float) -> Session:
        """The session of a token; NO_SESSION if it is none of ours, is expired, or was given to somebody else."""
        if len(token) != TOKEN_CHARACTERS:
            return NO_SESSION
        session = self._signed(token, binding)
        return session if now_s - self.lifetime_s < session.issued_s <= now_s + SKEW_S else NO_SESSION

    def _verify(self, token: str, binding: Binding) -> Session:
        """The session of a token, whenever it was issued. Remembered: visitors come back, 0.3 us instead of 5."""
        raw = _raw(token)
        if raw is None:
            return NO_SESSION
        body, mac = raw[:_BODY_BYTES], raw[_BODY_BYTES:]
        if not self._keyring.verify(_message(body, binding), mac):
            return NO_SESSION
        return Session(_KINDS[body[0]], _id(body), int.from_bytes(body[1:5], "big"))

    def is_due(self, session: Session, now_s: float) -> bool:
        """True if a visitor's session is past half of its life, so that a new token should be written. What was proved
        is not prolonged: it is proved anew."""
        return session.kind == "visitor" and now_s - session.issued_s > self.lifetime_s / 2


def session_id(token: str) -> str | None:
    """The id in a token, None if the text has not the form of one. Whether it is genuine only `Sessions.read` says."""
    raw = _raw(token) if len(token) == TOKEN_CHARACTERS else None
    return None if raw is None else _id(raw[:_BODY_BYTES])


def _raw(token: str) -> bytes | None:
    """Body and signature, if there are both and the kind is known."""
    try:
        raw = urlsafe_b64decode(token)
    except (Error, ValueError):  # not base64, not ASCII
        return None
    return raw if len(raw) == _BODY_BYTES + MAC_BYTES and raw[0] in _KINDS else None


def _id(body: bytes) -> str:
    return urlsafe_b64encode(body[5:]).decode()


def _message(body: bytes, binding: Binding) -> bytes:
    return b"session\0" + body + binding.digest()
