"""`gateway` and `python -m gateway`: run a command, turn whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import gc
import sys

from gateway.errors import ConfigError, DescriptionError, GatewayError, PostureError, PostureUsage

DONE, FAILED, WRONG = 0, 1, 2
"""Exit codes: done; failed at work; wrong usage or configuration."""
GARBAGE_THRESHOLD = 50_000
"""New objects between two looks for garbage. A command's modules are more than 100,000 that stay: looking at each 700,
which is Python's own, costs a fifth of its start."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command of `arguments` (None: of the process) and return the exit code. Errors go to stderr, one line."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    from gateway.cli import UsageError, app

    try:
        return app(arguments, prog_name="gateway", standalone_mode=False) or DONE
    except UsageError as error:
        return _failed(" ".join(getattr(error, "format_message", error.__str__)().split()), WRONG)
    except (ConfigError, DescriptionError) as error:
        return _failed(str(error), WRONG)
    except PostureError as error:
        return _failed(" ".join(str(error).split()), WRONG if isinstance(error, PostureUsage) else FAILED, "error")
    except GatewayError as error:
        return _failed(str(error), FAILED)
    except OSError as error:
        return _failed(str(error), FAILED)


def _failed(message: str, code: int, who: str = "gateway") -> int:
    if message:  # a command without arguments has shown its help
        print(f"{who}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
