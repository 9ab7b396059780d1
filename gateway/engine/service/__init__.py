"""The embedded Protection API as a process: `EnginePart` under a supervisor, `run` and `serve` on its own.

`listener` makes the sockets; `server` accepts, `connection` speaks HTTP, `route` and `reply` say what a head asks for
and how an answer looks, within `limits`; `part` starts, reloads and drains it all.
"""

from gateway.engine.service.part import EnginePart, run, serve

__all__ = ["EnginePart", "run", "serve"]
