"""The downstream side's TLS."""

from __future__ import annotations

import ssl

from gateway.config import Listener, ListenerTls
from gateway.errors import CertificateError

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_contexts(listeners: list[Listener]) -> list[ssl.SSLContext | None]:
    """One per listener, None where it is plain HTTP, of the files as they are now. Raises CertificateError."""
    return [
        None if listener.tls is None else server_context(listener.tls, f"listeners[{index}].tls")
        for index, listener in enumerate(listeners)
    ]


def server_context(settings: ListenerTls, key: str) -> ssl.SSLContext:
    """A context for one listener. client_ca: only clients with a certificate of it are let in.

    Raises CertificateError, which begins with `key`, if a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.certificate, settings.private_key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CertificateError(
            f"{key}: certificate {settings.certificate} with private key {settings.private_key}: {error}") from None
    if settings.client_ca is not None:
        try:
            context.load_verify_locations(settings.client_ca)
        except (OSError, ValueError) as error:
            raise CertificateError(f"{key}.client_ca: {settings.client_ca}: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    """Instead of OpenSSL's question on the terminal, which would hang a worker."""
    raise ValueError("the private key is encrypted; an unencrypted one is expected")
