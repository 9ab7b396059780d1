"""`posture report`: a provider's report of a scan, in a file that is written whole or not at all."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.errors import PostureError, PostureUsage
from gateway.posture.document import encoded
from gateway.posture.operation.desk import Desk

FORMATS = {
    "ddactic": ("json", "pdf", "html"),
    "cypersecurity": ("pdf",),
    "securityspace": ("json",),
    "embedded": ("json",),
}

Fetch = Callable[[Desk, str, str, str, float], Awaitable[bytes]]
"""(desk, scan, format, type, seconds to wait) -> the report."""


async def report(
    desk: Desk, provider: str, scan_id: str, *, format: str, type: str, file: Path, timeout_s: float
) -> dict[str, Any]:
    """Fetch and write it. Raises PostureUsage before anything is sent if the provider has no such format, PostureError
    if the file cannot be written."""
    if format not in FORMATS[provider]:
        raise PostureUsage(f"--format: got {format!r}; {provider} has {', '.join(FORMATS[provider])}")
    try:
        with _Beside(file) as written:
            body = await _FETCHERS[provider](desk, scan_id, format, type, timeout_s)
            written.finish(body)
    except OSError as error:
        raise PostureError(f"{file}: {error.strerror or error}") from None
    about = {"scan": scan_id, "provider": provider, "format": format, "type": type}
    named = os.fsencode(file).decode("utf-8", "replace")
    return {"report": {**about, "file": named, "bytes": len(body)}}


class _Beside:
    """A temporary file beside the wanted one, so that a directory that cannot be written to is known before a call; it
    takes the wanted name when it is complete, and is removed otherwise, also by SIGTERM. A link is replaced itself, and
    what it leads to stays; a device, a pipe or a directory is never replaced, whatever leads to it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._name: str | None = None
        self._fd = -1
        self._former: Any = None

    def __enter__(self) -> _Beside:
        if self._file.exists() and not self._file.is_file():
            kind = "a directory" if self._file.is_dir() else "a device or a pipe"
            raise PostureError(f"{self._file}: is {kind}; expected the name of a file")
        if threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGTERM, _end)
        try:
            self._fd, self._name = tempfile.mkstemp(prefix=f".{self._file.name[:40]}.", dir=self._file.parent)
        except BaseException:
            self.__exit__()
            raise
        return self

    def finish(self, body: bytes) -> None:
        """With the mode of the file that it replaces, 0600 if there is none, or a link."""
        assert self._name is not None
        with os.fdopen(self._fd, "wb") as opened:
            self._fd = -1
            opened.write(body)
            opened.flush()
            with suppress(FileNotFoundError):
                found = self._file.lstat().st_mode
                os.fchmod(opened.fileno(), stat.S_IMODE(found) & 0o777 if stat.S_ISREG(found) else 0o600)
            os.fsync(opened.fileno())
        os.replace(self._name, self._file)
        self._name = None

    def __exit__(self, *exception: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        if self._name is not None:
            os.unlink(self._name)
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)


def _end(number: int, frame: object) -> None:
    """As Ctrl-C: what was begun is cleaned up, and the command fails."""
    raise KeyboardInterrupt


async def _of_ddactic(desk: Desk, scan_id: str, format: str, type: str, timeout_s: float) -> bytes:
    return await desk.ddactic.report(scan_id, format=format, type=type)


async def _of_cypersecurity(desk: Desk, scan_id: str, format: str, type: str, timeout_s: float) -> bytes:
    return await desk.cypersecurity.report(scan_id, type=type, deadline_s=timeout_s)


async def _of_securityspace(desk: Desk, scan_id: str, format: str, type: str, timeout_s: float) -> bytes:
    return encoded(await desk.securityspace.audit_document(scan_id), indent=True)


async def _of_embedded(desk: Desk, scan_id: str, format: str, type: str, timeout_s: float) -> bytes:
    scan = desk.store.scan(scan_id, "embedded")
    if scan is None:
        raise PostureError(f"embedded: the store has no scan {scan_id[:60]!r}")
    findings = [finding.as_json() for finding in desk.store.findings(provider="embedded", scan=scan_id)]
    return encoded({"scan": scan.as_json(), "findings": findings}, indent=True)


_FETCHERS: dict[str, Fetch] = {
    "ddactic": _of_ddactic,
    "cypersecurity": _of_cypersecurity,
    "securityspace": _of_securityspace,
    "embedded": _of_embedded,
}
