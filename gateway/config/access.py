"""What commands of an operator read of a configuration, where they do not need the whole.

`gateway engine ban` and its like read how overrides are reached, and nothing else: in an emergency, a variable that
only sessions need may not be there. The embedded assessment reads the sites; `gateway posture` reads its section
(gateway.config.posture).
"""

from __future__ import annotations

from pathlib import Path

from gateway.config.engine import EngineListen, EngineStore
from gateway.config.models import Admin, Site
from gateway.config.reading import load_section
from gateway.config.secret import Secret
from gateway.config.section import Excerpt, setting


class StoreKeys(Excerpt):
    """Of `engine`."""

    store: EngineStore = setting({}, "As in the configuration.")


class StoreAccess(Excerpt):
    """Which store it is. A shared one needs nothing else."""

    engine: StoreKeys = setting({}, "As in the configuration.")


class EngineKeys(Excerpt):
    """Of `engine`."""

    listen: EngineListen | None = setting(None, "As in the configuration.")
    keys: tuple[Secret, ...] = setting([], "As in the configuration.")


class EngineAccess(Excerpt):
    """Where an engine runs whose store is its own memory, and what it asks for."""

    admin: Admin = setting({}, "As in the configuration.")
    engine: EngineKeys = setting({}, "As in the configuration.")


class SiteAccess(Excerpt):
    """The sites alone."""

    sites: tuple[Site, ...] = setting([], "As in the configuration; none if the file names none.")


def load_sites(path: Path) -> tuple[Site, ...]:
    """The sites of a file; empty if it names none. Raises ConfigError as load_config does."""
    return load_section(path, SiteAccess).sites
