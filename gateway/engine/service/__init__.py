"""The embedded Protection API as a process: `EnginePart` under a supervisor, `run` on its own.

`listener` makes the sockets; `server` accepts, `connection` speaks HTTP, `route` and `reply` say what a head asks for
and how an answer looks, within `limits`. `runtime` puts policy, store and look-ups (`lookups`) together, `observer`
counts what they decide; `part` starts, reloads and drains it all.
"""

from gateway.engine.service.part import EnginePart, Standalone, run

__all__ = ["EnginePart", "Standalone", "run"]
