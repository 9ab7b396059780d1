"""The commands: what can be typed, and who does it. No logic: each one calls the module that has it.

A command imports what it needs when it runs. `gateway run` stays in memory for months, and `gateway healthcheck` is
started every few seconds: neither loads rich, nor the other's modules.
"""

from gateway.cli.argument import UsageError
from gateway.cli.command import app
from gateway.cli.engine import engine_app
from gateway.cli.posture import posture_app

__all__ = ["UsageError", "app", "engine_app", "posture_app"]
