"""Certificates, and an assessment with times that suit a test."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.config.posture import EmbeddedPlatform, Place
from gateway.posture.assessment import assess, find_target
from gateway.posture.scan import ScanResult

Assess = Callable[..., Awaitable[ScanResult]]
Tls = Callable[..., ssl.SSLContext]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.RSA)


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return str(file)


@pytest.fixture
def tls(authority: trustme.CA) -> Tls:
    """A server's context: `tls(name="localhost", days=400.0, issuer=authority)`."""

    def context(name: str = "localhost", days: float = 400.0, issuer: trustme.CA | None = None) -> ssl.SSLContext:
        end = datetime.now(UTC) + timedelta(days=days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # RSA: servers of old versions sign with it
        leaf = (issuer or authority).issue_cert(name, not_after=end, key_type=trustme.KeyType.RSA)
        leaf.configure_cert(context)
        return context

    return context


@pytest.fixture
def scan(ca_file: str) -> Assess:
    """`await scan(url, type="full", around=[...], place=..., burst=...)`: the assessment of localhost at that URL."""

    async def run(
        url: str, type: str = "passive", *, around: tuple[str, ...] = ("http://127.0.0.1:9",), ca: bool = True,
        place: Place | None = None, watcher: Any = None, clock: Any = None, **keys: Any,
    ) -> ScanResult:
        settings = {"url": url, "around": list(around), "ca": ca_file if ca else None}
        platform = EmbeddedPlatform.model_validate(
            {"targets": {"localhost": settings}, "timeout": "2s", "slow_head": "1s", **keys}
        )
        target = find_target("localhost", platform, (), place or Place())
        return await assess(target, type, platform, watcher=watcher, clock=clock)

    return run
