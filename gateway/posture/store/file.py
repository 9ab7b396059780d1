"""The file of an SQLite store is nobody's business: mode 0600 from its first moment, whatever the umask."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_MODE = 0o600
# Closing a file drops the locks that its process holds on it by any other way (POSIX). Nobody else of this process may
# therefore open a database between its making and the close that ends it.
_MAKING = threading.Lock()


def make_private(file: Path) -> None:
    """Make an empty file, if there is none; it survives power loss. Raises OSError.

    SQLite gives `-wal` and `-shm` the mode of the database, also whatever the umask.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with _MAKING:
        try:
            descriptor = os.open(file, flags, _MODE)
        except FileExistsError:
            return
        os.fchmod(descriptor, _MODE)  # the umask may have taken from it, and never adds
        os.close(descriptor)
    _keep_name(file.parent)


def restrict(file: Path) -> None:
    """Take from others what an existing database, or what belongs to it, allows them. Raises OSError."""
    for each in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        try:
            mode = each.stat().st_mode & 0o777
            if mode & ~_MODE:
                each.chmod(mode & _MODE)
        except FileNotFoundError:
            continue  # the last process that closes a database removes them


def _keep_name(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
