"""How each provider says what became of a scan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.errors import PlatformError
from gateway.posture.operation.desk import Desk
from gateway.posture.scan import ScanResult


async def read(desk: Desk, provider: str, scan_id: str) -> ScanResult:
    """What a platform says of a scan now; findings once it is completed. Nothing is stored. Raises PlatformError."""
    return await _READERS[provider](desk, scan_id)


async def _read_ddactic(desk: Desk, scan_id: str) -> ScanResult:
    scan = await desk.ddactic.scan(scan_id)
    findings = await desk.ddactic.findings(scan_id) if scan.status == "completed" else []
    return ScanResult(scan, tuple(findings))


async def _read_cypersecurity(desk: Desk, scan_id: str) -> ScanResult:
    return await desk.cypersecurity.scan(scan_id)


async def _read_securityspace(desk: Desk, scan_id: str) -> ScanResult:
    for scan in await desk.securityspace.audits():
        if scan.id == scan_id:
            break
    else:
        raise PlatformError("securityspace", "POST /saGetAuditList.php", f"no audit {scan_id[:60]!r}")
    if scan.status != "completed":
        return ScanResult(scan)
    report = await desk.securityspace.audit(scan_id)
    merged = replace(
        report.scan, type=scan.type or report.scan.type, target=scan.target or report.scan.target, status=scan.status,
        created_at=scan.created_at, started_at=scan.started_at, completed_at=scan.completed_at,
    )  # fmt: skip
    return ScanResult(merged, report.findings)


_READERS: dict[str, Callable[[Desk, str], Awaitable[ScanResult]]] = {
    "ddactic": _read_ddactic,
    "cypersecurity": _read_cypersecurity,
    "securityspace": _read_securityspace,
}
