"""The file of patches, written so that an engine never reads half of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from gateway.config.patch import Patch, patch_document


def write_patches(file: Path, patches: tuple[Patch, ...]) -> None:
    """Put patches into a file, with mode 0600: a temporary file beside it, flushed to the disk, then renamed. Its
    folder is made if it is not there. Raises OSError, and leaves what was there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # mkstemp gives 0600
    try:
        with os.fdopen(handle, "wb") as written:
            written.write(patch_document(patches))
            written.flush()
            os.fsync(written.fileno())
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):  # it was renamed, or the disk is gone
            os.unlink(temporary)
        raise
    _flush_folder(file.parent)


def _flush_folder(folder: Path) -> None:
    """So that the rename survives a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
