"""How an engine's overrides are reached: what `gateway engine ban` and its like read of a configuration.

They read nothing else: in an emergency, a variable that only sessions need may not be there.
"""

from __future__ import annotations

from gateway.config.engine import EngineListen, EngineStore
from gateway.config.models import Admin
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
