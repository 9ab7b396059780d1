"""Where a pool connects to."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """One server. path: a Unix socket, then host is only what the Host header says. prefix: path part of the URL.

    authority: the Host header's value. Host names are resolved at every new connection, so a moved API is followed.
    """

    host: str
    port: int
    path: str | None
    tls: bool
    authority: str
    prefix: str

    @property
    def text(self) -> str:
        return f"unix:{self.path}" if self.path else f"{'https' if self.tls else 'http'}://{self.authority}"


def parse_server(text: str) -> Address:
    """`http://host[:port][/prefix]`, `https://...` or `unix:/path`; checked by the configuration before."""
    if text.startswith("unix:"):
        return Address("localhost", 0, text[5:], False, "localhost", "")
    url = urlsplit(text)
    tls = url.scheme == "https"
    host = url.hostname or ""
    port = url.port or (443 if tls else 80)
    shown = f"[{host}]" if ":" in host else host
    authority = shown if url.port is None else f"{shown}:{port}"
    return Address(host, port, None, tls, authority, url.path.rstrip("/"))


def client_context(
    *, ca: str | None = None, verify: bool = True, client_certificate: str | None = None,
) -> ssl.SSLContext:
    """TLS 1.2 or newer, verified unless told otherwise. client_certificate: a PEM file with its key."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_certificate is not None:
        context.load_cert_chain(client_certificate)
    return context
