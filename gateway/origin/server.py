"""One server of an origin: its connections and its health."""

from __future__ import annotations

import ssl

from gateway.pool.address import Address
from gateway.pool.pool import Pool, PoolLimits


class OriginServer:
    """passive_failures: consecutive failures that eject it for ejection_s (monotonic seconds)."""

    __slots__ = (
        "_ejected_until_s", "_ejection_s", "_failures", "_passive_failures", "active_ok", "name", "outstanding", "pool",
    )

    def __init__(
        self, address: Address, limits: PoolLimits, *, passive_failures: int, ejection_s: float,
        tls: ssl.SSLContext | None = None, server_name: str | None = None,
    ) -> None:
        self.name = address.text
        self.pool = Pool(address, limits, tls=tls, server_name=server_name)
        self.outstanding = 0
        self.active_ok = True
        self._failures = 0
        self._passive_failures = passive_failures
        self._ejection_s = ejection_s
        self._ejected_until_s = 0.0

    def is_healthy(self, now_s: float) -> bool:
        return self.active_ok and now_s >= self._ejected_until_s

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now_s: float) -> bool:
        """Count one failure; True if it ejects the server. After an ejection one failure suffices for the next."""
        self._failures += 1
        if self._failures < self._passive_failures:
            return False
        self._failures = self._passive_failures - 1
        self._ejected_until_s = now_s + self._ejection_s
        return True
