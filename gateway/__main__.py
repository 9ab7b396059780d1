"""`gateway` and `python -m gateway`: run a command, turn whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import gc
import sys

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; failed at work; wrong usage or configuration; Ctrl-C (`gateway posture` has failed then)."""
GARBAGE_THRESHOLD = 50_000
"""New objects between two looks for garbage. A command's modules are more than 100,000 that stay: looking at each 700,
which is Python's own, costs a fifth of its start."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command of `arguments` (None: of the process) and return the exit code. Errors go to stderr, one line."""
    is_posture = (sys.argv[1:] if arguments is None else arguments)[:1] == ["posture"]
    who = "error" if is_posture else "gateway"
    try:
        code = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:  # wherever it was, while modules are loaded too
        code = INTERRUPTED
    except BrokenPipeError:
        return _failed("stdout is closed: nobody reads the rest", FAILED, who)
    if code == INTERRUPTED:
        return _failed("interrupted", FAILED if is_posture else INTERRUPTED, who)
    return code


def _run(arguments: list[str] | None) -> int:
    gc.set_threshold(GARBAGE_THRESHOLD)
    from gateway.cli import UsageError, app
    from gateway.cli.group import command_of
    from gateway.errors import ConfigError, DescriptionError, GatewayError, PostureError, PostureUsage

    try:
        return command_of(app).main(arguments, prog_name="gateway", standalone_mode=False) or DONE
    except UsageError as error:
        return _failed(" ".join(getattr(error, "format_message", error.__str__)().split()), WRONG)
    except (ConfigError, DescriptionError) as error:
        return _failed(str(error), WRONG)
    except PostureError as error:
        return _failed(" ".join(str(error).split()), WRONG if isinstance(error, PostureUsage) else FAILED, "error")
    except GatewayError as error:
        return _failed(str(error), FAILED)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # which is how the command line takes it
            raise error.__context__ from None
        raise
    except BrokenPipeError:
        raise
    except OSError as error:
        return _failed(str(error), FAILED)


def _failed(message: str, code: int, who: str = "gateway") -> int:
    if message:  # a command without arguments has shown its help
        print(f"{who}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
