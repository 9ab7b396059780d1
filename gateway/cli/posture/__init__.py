"""`gateway posture` and the commands below it. No logic: `gateway.posture.operation` has it."""

from gateway.cli.posture.command import posture_app

__all__ = ["posture_app"]
