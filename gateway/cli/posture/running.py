"""What all commands of `gateway posture` share: their options, and the way from a typed line to a document and an exit
code."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gateway.cli.argument import OutputFormat, read_duration
from gateway.errors import PostureError, PostureUsage

if TYPE_CHECKING:
    from gateway.config.posture import Posture
    from gateway.posture.operation.desk import Desk
    from gateway.posture.output.table import Kind
    from gateway.posture.watching import Called

EXCEEDED = 3
"""Exit code: findings at or over --fail-on."""


Provider = Annotated[
    Literal["ddactic", "cypersecurity", "securityspace", "embedded"] | None,
    typer.Option("--provider", help="Whose; may be left out where it is clear."),
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many.")]
Verbose = Annotated[bool, typer.Option("-v", help="Each call on stderr: method, path, status, ms.")]
WaitTimeout = Annotated[
    str, typer.Option("--wait-timeout", metavar="DURATION", callback=read_duration, help="30s, 10m, 1h.")
]


@dataclass(frozen=True, slots=True)
class Typed:
    """The options that every command has."""

    config: Path
    format: OutputFormat
    verbose: bool


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did. failure: why it fails although there is a document; exceeded: findings at --fail-on."""

    document: dict[str, Any]
    failure: Exception | None = None
    exceeded: bool = False


def seconds(duration: str) -> float:
    """Of a duration that was checked when it was typed."""
    from gateway.config.units import parse_duration

    return parse_duration(duration)


def carry_out(typed: Typed, kind: Kind, work: Callable[[Desk], Awaitable[Done | dict[str, Any]]]) -> int:
    """Run `work` at a desk with the configuration, print its document, return the exit code. kind: how the document
    looks as a table. Raises PostureError and ConfigError."""
    try:
        done = asyncio.run(_work(typed, work))
        _print(typed.format, kind, done.document)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PostureError(str(error)) from None
    except KeyboardInterrupt:
        raise PostureError("interrupted") from None
    if done.failure is not None:
        raise done.failure
    return EXCEEDED if done.exceeded else 0


async def _work(typed: Typed, work: Callable[[Desk], Awaitable[Done | dict[str, Any]]]) -> Done:
    from gateway.config.posture import load_posture
    from gateway.posture.operation.desk import Audience, Desk
    from gateway.posture.output.progress import progress
    from gateway.posture.watching import Watcher

    posture = load_posture(typed.config)
    with progress() as shown:

        def on_call(called: Called) -> None:
            status = "no answer" if called.status is None else str(called.status)
            shown.note(f"{called.provider} {called.method} {called.path} {status} {called.duration_ms:.0f} ms")

        watcher = Watcher(on_call, shown.note) if typed.verbose else Watcher(on_wait=shown.note)
        try:
            async with Desk(posture, typed.config, watcher, Audience(shown.status, shown.note)) as desk:
                done = await work(desk)
        except PostureError as error:
            raise _without_secrets(error, posture) from None
    if not isinstance(done, Done):
        return Done(done)
    if isinstance(done.failure, PostureError):
        return replace(done, failure=_without_secrets(done.failure, posture))
    return done


def _without_secrets(error: PostureError, posture: Posture) -> PostureError:
    """The error itself, or one that says the same: a secret may have been typed where something else belongs."""
    from gateway.posture.client.redaction import Redaction

    said = str(error)
    cleaned = Redaction(posture.secrets()).text(said)
    if cleaned == said:
        return error
    return PostureUsage(cleaned) if isinstance(error, PostureUsage) else PostureError(cleaned)


def _print(format: OutputFormat, kind: Kind, document: dict[str, Any]) -> None:
    if sys.stdout is None:
        raise PostureError("stdout is closed: nobody would get the document")
    if format is OutputFormat.table:
        from gateway.posture.output.table import print_document

        if isinstance(sys.stdout, TextIOWrapper):  # a terminal may not have every character that a platform sends
            sys.stdout.reconfigure(errors="backslashreplace")
        print_document(kind, document)
        return
    from gateway.posture.document import encoded

    sys.stdout.flush()
    sys.stdout.buffer.write(encoded(document, indent=True) + b"\n")
    sys.stdout.buffer.flush()
