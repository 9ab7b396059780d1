"""The certificate that visitors are shown: whether they trust it, and until when.

Theory of operation. A handshake as a visitor makes it tells whether the certificate is trusted, for the first thing
that is wrong alone. That a certificate is over is a finding of its own, so that if it is, a second handshake finds out,
without regard to times, whether something else is wrong too. The dates are read from the certificate itself.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from gateway.errors import PostureUsage
from gateway.posture.assessment.target import Address, Target
from gateway.posture.assessment.verdict import Verdict, found, not_done, ok
from gateway.posture.assessment.visitor import tolerant_context
from gateway.posture.assessment.wording import clean, reason
from gateway.posture.moment import iso

_DAY_S = 86_400
_SOON_DAYS = 7
_HAS_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME


@dataclass(frozen=True, slots=True)
class Shake:
    """A handshake. leaf: the certificate in DER; refusal, code: why verification failed; failure: why there was no
    handshake at all; version, cipher: what was agreed on."""

    leaf: bytes | None = None
    refusal: str | None = None
    code: int = 0
    failure: str | None = None
    version: str | None = None
    cipher: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a visitor is shown. trusted, timeless: the handshakes that verify, the latter without regard to times, None
    if it was not needed; shown: the one that does not; not_after_s: Unix seconds, None if it cannot be read."""

    trusted: Shake
    timeless: Shake | None
    shown: Shake
    not_after_s: float | None


async def look(target: Target, timeout_s: float, now_s: float) -> Seen:
    """The handshakes with an https site. Raises PostureUsage if the target's `ca` cannot be used."""
    address = target.address
    trusted = await _shake(address, verifying_context(target), timeout_s)
    if trusted.failure is not None:  # perhaps a version that a visitor's library refuses, which is another finding
        trusted = await _shake(address, verifying_context(target, old=True), timeout_s)
    shown = await _shake(address, tolerant_context(), timeout_s)
    not_after_s = read_end_s(shown.leaf) if shown.leaf is not None else None
    timeless = None
    if trusted.code == _HAS_EXPIRED and not_after_s is not None and not_after_s <= now_s:
        timeless = await _shake(address, verifying_context(target, old=True, timeless=True), timeout_s)
    return Seen(trusted, timeless, shown, not_after_s)


def judge_trust(seen: Seen) -> Verdict:
    """tls-untrusted: the chain or the name. A leaf that is over, and nothing else, is not its business."""
    deciding = seen.timeless or seen.trusted
    if deciding.failure is not None:
        return not_done(f"no handshake: {deciding.failure}")
    if deciding.refusal is not None:
        return found(f"visitors are warned: {deciding.refusal}", reason=deciding.refusal, code=deciding.code)
    return ok(version=deciding.version, cipher=deciding.cipher)


def judge_expiry(seen: Seen, now_s: float, expiry_days: int) -> Verdict:
    """tls-expiry: critical when over, high under 7 days, medium under expiry_days."""
    if seen.shown.leaf is None:
        return not_done(f"no handshake: {seen.shown.failure}")
    if seen.not_after_s is None:
        return not_done("the certificate cannot be read")
    left_s = seen.not_after_s - now_s
    end, days = iso(max(0.0, min(seen.not_after_s, 253_402_300_799))), round(left_s / _DAY_S, 1)
    if left_s <= 0:
        return found(f"the certificate ended at {end}", severity="critical", not_after=end, days=days)
    if left_s < _SOON_DAYS * _DAY_S:
        return found(f"the certificate ends at {end}, in {days} days", severity="high", not_after=end, days=days)
    if left_s < expiry_days * _DAY_S:
        return found(f"the certificate ends at {end}, in {days} days", severity="medium", not_after=end, days=days)
    return ok(not_after=end, days=days)


def verifying_context(target: Target, *, old: bool = False, timeless: bool = False) -> ssl.SSLContext:
    """Trusts the system's authorities and those of the target's `ca`. old: speaks old versions and ciphers too, and
    takes short keys; timeless: a certificate may be over. Raises PostureUsage."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if target.ca is not None:
        try:
            context.load_verify_locations(target.ca)
        except (OSError, ValueError) as error:
            raise PostureUsage(
                f"posture.providers.embedded.targets.{target.name}.ca: {target.ca} has no PEM certificates:"
                f" {reason(error)}"
            ) from None
    if old:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("ALL:@SECLEVEL=0")
    if timeless:
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
    return context


def read_end_s(leaf: bytes) -> float | None:
    """Unix seconds of a certificate's end; None if it is no certificate."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how others write certificates
            end: datetime = x509.load_der_x509_certificate(leaf).not_valid_after_utc
    except ValueError:
        return None
    return end.timestamp()


async def _shake(address: Address, context: ssl.SSLContext, timeout_s: float) -> Shake:
    """One handshake; the connection is closed behind it."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(
                address.host, address.port, ssl=context, server_hostname=address.host
            )
        return _result(writer)
    except ssl.SSLCertVerificationError as error:
        return Shake(refusal=clean(error.verify_message), code=error.verify_code)
    except TimeoutError:
        return Shake(failure=f"nothing within {timeout_s:g} s")
    except (OSError, ValueError) as error:
        return Shake(failure=reason(error))
    finally:
        if writer is not None:
            writer.transport.abort()


def _result(writer: asyncio.StreamWriter) -> Shake:
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    cipher = tls.cipher()
    return Shake(leaf=tls.getpeercert(binary_form=True), version=tls.version(), cipher=cipher and cipher[0])
