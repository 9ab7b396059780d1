"""The patches that are in force: read from their file when it changes, and ended by this engine's own clock, so that no
patch outlives its time when the program that wrote it is gone.

Both are apart from each other: a file on a disk that hangs is waited for by a thread of its own, and by nobody for
longer than READ_S. A file that cannot be read keeps the former patches until their time is over; one that is not there
has none.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any, NamedTuple

from gateway.config.change import FileState, file_state
from gateway.config.patch import Patch, read_patches
from gateway.errors import ConfigError

READ_S = 1.0
"""How long a reading is waited for."""


class Patches(NamedTuple):
    """One moment's. `file`: None = there never are any; `seen`: what it was when it was read; `written`: what stands in
    it; `live`: what of it is in force; `error`: why it could not be read, "" = it could; `hangs`: the last reading has
    not ended."""

    file: str | None
    seen: FileState | None = None
    written: tuple[Patch, ...] = ()
    live: tuple[Patch, ...] = ()
    error: str = ""
    hangs: bool = False

    def at(self, now_s: float) -> Patches:
        """Those of another moment; this object itself if nothing is different. Reads nothing."""
        live = tuple(patch for patch in self.written if now_s < patch.until_s)
        return self if live == self.live else self._replace(live=live)

    def read(self) -> Patches:
        """With what stands in the file now; this object itself if it has not changed. May hang as long as the disk."""
        if self.file is None:
            return self
        seen = file_state(self.file)  # noted before it is read, so that a change meanwhile is seen the next time
        if seen == self.seen:
            return self
        try:
            return self._replace(seen=seen, written=read_patches(self.file), error="")
        except ConfigError as error:
            return self._replace(seen=seen, error=str(error))

    def of(self, file: str | None) -> Patches:
        """The same patches, until another file is read."""
        if file == self.file:
            return self
        return Patches(None) if file is None else Patches(file, _UNSEEN, self.written, self.live)

    def ends_in(self, now_s: float, at_most_s: float) -> float:
        """Seconds until the first of them ends, at most at_most_s."""
        return max(0.0, min([at_most_s, *(patch.until_s - now_s for patch in self.live)]))

    @property
    def why_stale(self) -> str:
        """Why they are not what the file says, "" if they are."""
        if self.hangs:
            return f"{self.file}: reading it does not end"
        return self.error

    def status(self) -> dict[str, Any]:
        """For people."""
        return {
            "file": self.file,
            "in_force": [patch.model_dump(mode="json") for patch in self.live],
            "error": self.why_stale or None,
        }


class Reader:
    """Reads the file for everybody, one reading at a time. Thread-safe.

    Its threads end with the process, whatever they wait for: those of an executor would be waited for at its end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: tuple[str | None, Future[Patches]] | None = None

    def read(self, former: Patches, at_most_s: float | None = None) -> Patches:
        """`Patches.read` for at most so many seconds (READ_S); the former ones, which `hangs`, if it takes longer.
        Blocks. A reading that hangs is waited for again the next time."""
        if former.file is None:
            return former
        try:
            found = self._reading(former).result(READ_S if at_most_s is None else at_most_s)
        except TimeoutError:
            return former._replace(hangs=True)
        return found._replace(hangs=False) if found.hangs else found

    def _reading(self, former: Patches) -> Future[Patches]:
        with self._lock:
            if self._under_way is not None:
                file, reading = self._under_way
                if file == former.file and not reading.done():
                    return reading
            reading = Future()
            self._under_way = former.file, reading
            threading.Thread(target=_read, args=(former, reading), name="engine-patches", daemon=True).start()
            return reading


def _read(former: Patches, reading: Future[Patches]) -> None:
    try:
        reading.set_result(former.read())
    except BaseException as error:
        reading.set_exception(error)


_UNSEEN: FileState = (-1, -1, -1)
