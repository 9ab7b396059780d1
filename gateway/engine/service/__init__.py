"""The embedded Protection API as a process: `EnginePart` under a supervisor, `run` and `serve` on its own.

`listener` makes the sockets, `server` speaks HTTP (aiohttp), `part` starts, reloads and drains the two.
"""

from gateway.engine.service.part import EnginePart, run, serve

__all__ = ["EnginePart", "run", "serve"]
