"""The patches that are in force: read from their file when it changes, and ended by this engine's own clock, so that no
patch outlives its time when the program that wrote it is gone.

A file that cannot be read keeps the former patches until their time is over; one that is not there has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.config.change import FileState, file_state
from gateway.config.patch import Patch, read_patches
from gateway.errors import ConfigError


class Patches(NamedTuple):
    """One moment's. `file`: None = there never are any; `seen`: what it was when it was read; `written`: what stands in
    it; `live`: what of it is in force; `error`: why it could not be read, "" = it could."""

    file: str | None
    seen: FileState | None = None
    written: tuple[Patch, ...] = ()
    live: tuple[Patch, ...] = ()
    error: str = ""

    def at(self, now_s: float) -> Patches:
        """Those of another moment; this object itself if nothing is different. Reads the file if it has changed."""
        if self.file is None:
            return self
        found = self._read()
        live = tuple(patch for patch in found.written if now_s < patch.until_s)
        return found if found is self and live == self.live else found._replace(live=live)

    def of(self, file: str | None) -> Patches:
        """The same patches, until another file is read."""
        if file == self.file:
            return self
        return Patches(None) if file is None else Patches(file, _UNSEEN, self.written, self.live)

    def ends_in(self, now_s: float, at_most_s: float) -> float:
        """Seconds until the first of them ends, at most at_most_s."""
        return max(0.0, min([at_most_s, *(patch.until_s - now_s for patch in self.live)]))

    def status(self) -> dict[str, Any]:
        """For people."""
        return {
            "file": self.file,
            "in_force": [patch.model_dump(mode="json") for patch in self.live],
            "error": self.error or None,
        }

    def _read(self) -> Patches:
        """What the file was is noted before it is read, so that a change meanwhile is seen the next time."""
        assert self.file is not None
        seen = file_state(self.file)
        if seen == self.seen:
            return self
        try:
            return self._replace(seen=seen, written=read_patches(self.file), error="")
        except ConfigError as error:
            return self._replace(seen=seen, error=str(error))


_UNSEEN: FileState = (-1, -1, -1)
