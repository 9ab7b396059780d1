"""The library http-message-signatures, as one question: does this signature verify?

Imports the cryptography, so it is imported by the first signature that there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from http_message_signatures import HTTPMessageSignaturesException, HTTPMessageVerifier, MappingKeyResolver

from gateway.engine.lookup.jwk import VerificationKey


@dataclass(frozen=True, slots=True)
class Message:
    """A request as the library reads one. `method` in capitals; `url` absolute."""

    method: str
    url: str
    headers: dict[str, str]


class _Verifier(HTTPMessageVerifier):
    """Without a clock: the times were checked by the clock of the question."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        return None


def verifies(message: Message, label: str, key_id: str, tag: str, key: VerificationKey) -> bool:
    """True if the signature with that label and tag is the key's, over what it says it covers (0.3 ms)."""
    verifier = _Verifier(
        signature_algorithm=key.algorithm,
        key_resolver=MappingKeyResolver(public_keys={key_id: key.public}, private_keys={}),
    )
    try:
        verifier.verify(message, expect_tag=tag, expect_label=label, max_age=None)
    except HTTPMessageSignaturesException:
        return False
    return True
