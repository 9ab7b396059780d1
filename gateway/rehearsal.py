"""A configuration at work without listeners, for as long as a command takes: `explain --ask` and `check --probe`."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator

from gateway.building import EMBEDDED, Builder, Built
from gateway.config import Config
from gateway.engine.service import EnginePart
from gateway.metrics import Metrics


@contextlib.asynccontextmanager
async def rehearsal(config: Config) -> AsyncIterator[Built]:
    """Everything between downstream and the peers, built by the code that serves; connections are closed at the end.

    Where a site's endpoint is `embedded`, the engine runs meanwhile, on a Unix socket that only this user can reach.
    Raises ListenError if that socket cannot be made, OSError if a certificate cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_silence())
        engine_socket = await stack.enter_async_context(_engine(config)) if _needs_engine(config) else None
        built = Builder(Metrics(), engine_socket).build(config)
        stack.callback(built.runtime.abort)
        yield built


def _needs_engine(config: Config) -> bool:
    return any(site.protection.endpoint == EMBEDDED and site.protection.mode != "off" for site in config.sites)


@contextlib.asynccontextmanager
async def _engine(config: Config) -> AsyncIterator[str]:
    """The embedded Protection API in this process; the path of its socket, in a folder of mode 0700."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
        part = EnginePart()
        path = f"{folder}/engine.sock"
        await part.start(config, {"engine_socket": path})
        try:
            yield path
        finally:
            await part.drain()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without a handler, Python would print warnings bare on stderr; what they say stands in the command's result."""
    logger, handler = logging.getLogger("gateway"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
