"""The downstream side's TLS."""

from __future__ import annotations

import ssl

from gateway.config import ListenerTls

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(settings: ListenerTls) -> ssl.SSLContext:
    """A context for one listener. client_ca: only clients with a certificate of it are let in.

    Raises OSError (ssl.SSLError among them) if a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.load_cert_chain(settings.certificate, settings.private_key)
    context.set_alpn_protocols(["http/1.1"])
    if settings.client_ca is not None:
        context.load_verify_locations(settings.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
