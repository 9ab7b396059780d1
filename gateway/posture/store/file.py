"""The file of an SQLite store is nobody's business: mode 0600 from its first moment, whatever the umask."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

_MODE = 0o600
# Closing a file drops the locks that its process holds on it by any other way (POSIX). Nobody else of this process may
# therefore open a database between its making and the close that ends it.
_MAKING = threading.Lock()


def make_private(file: Path) -> None:
    """Make an empty file, if there is none; it survives power loss. Raises OSError, also if what is there, or beside it
    where SQLite keeps what belongs to it, is no regular file: a device is not even opened.

    SQLite gives `-wal` and `-shm` the mode of the database, also whatever the umask.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with _MAKING:
        try:
            descriptor = os.open(file, flags, _MODE)
        except FileExistsError:
            for _ in _opened(file):
                pass
            return
        os.fchmod(descriptor, _MODE)  # the umask may have taken from it, and never adds
        os.close(descriptor)
    _keep_name(file.parent)


def restrict(file: Path) -> None:
    """Take from others what an existing database, or what belongs to it, allows them. Raises OSError."""
    for descriptor in _opened(file):
        mode = os.fstat(descriptor).st_mode & 0o777
        if mode & ~_MODE:
            # Not by name, which may be another file's by now; and a descriptor of O_PATH has no fchmod.
            os.chmod(f"/proc/self/fd/{descriptor}", mode & _MODE)


def _opened(file: Path) -> Iterator[int]:
    """Descriptors of the database, whatever links lead to it, and of what belongs to it, which no link is.

    O_PATH: nothing is done to what the name leads to, and closing it drops no locks.
    """
    real = os.path.realpath(file)
    for name in (real, *(real + end for end in ("-wal", "-shm", "-journal"))):
        try:
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # the last process that closes a database removes them
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, f"{name} is no regular file")
            yield descriptor
        finally:
            os.close(descriptor)


def _keep_name(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
