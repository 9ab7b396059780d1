"""`gateway engine` and the commands below it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.argument import (
    ConfigFile,
    Duration,
    Format,
    OutputFormat,
    PolicyName,
    Reason,
    SessionKind,
    Subject,
    UsageError,
    read_session,
    read_subject,
)

engine_app = typer.Typer(help="The embedded Protection API: serve it, test its policy, decide over its rules.")


@engine_app.callback()
def engine(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration.")] = None,
) -> int:
    """Serve the embedded Protection API alone, for other modules and for several gateways."""
    if context.invoked_subcommand is not None:
        if config is not None:
            raise typer.BadParameter(f"-c before {context.invoked_subcommand!r} means nothing; put it after it")
        return 0
    if config is None:
        raise UsageError("Missing option '--config' / '-c'.")
    from gateway.config import load_config
    from gateway.engine import service

    return service.run(load_config(config), config)


@engine_app.command("check")
def engine_check(policy: PolicyName) -> None:
    """Validate a policy, and list its rules in force."""
    from gateway import replay, terminal

    read = replay.read_policy(policy)
    typer.echo(f"{policy}: ok")
    terminal.print_rules(replay.rule_rows(read))


@engine_app.command("explain")
def engine_explain(
    policy: PolicyName,
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A payload, payloads, or an access log; - is standard input.")
    ] = "-",
    against: Annotated[
        str | None, typer.Option("--against", metavar="POLICY", help="Another policy: what would change with it.")
    ] = None,
    format: Format = OutputFormat.table,
    limit: Annotated[int, typer.Option("--limit", min=0, max=256, help="Examples of each row.")] = 3,
    session: Annotated[
        SessionKind, typer.Option("--session", help="What visitors have of whom the input says nothing.")
    ] = SessionKind.none,
    dns: Annotated[bool, typer.Option("--dns", help="Look up names of addresses that claim to be crawlers.")] = False,
) -> None:
    """Replay a payload or a log against a policy: what it decides and why, or what another one would change."""
    from gateway import replay, terminal

    first, other = replay.read_policy(policy), None if against is None else replay.read_policy(against)
    with terminal.progress() as on_progress:
        options = replay.Options(session.value, dns, limit, on_progress)
        found = replay.explain(first, source, other, options)
    if format is OutputFormat.json:
        terminal.print_json(found.as_json())
    else:
        terminal.print_replay(found)


@engine_app.command("ban")
def engine_ban(subject: Subject, config: ConfigFile, for_: Duration, reason: Reason = "") -> None:
    """Block an address or a network, over every rule and at once, on all engines that share the store."""
    _decide(config, subject, "block", for_, reason)


@engine_app.command("allow")
def engine_allow(subject: Subject, config: ConfigFile, for_: Duration, reason: Reason = "") -> None:
    """Let an address or a network through, over every rule."""
    _decide(config, subject, "allow", for_, reason)


@engine_app.command("revoke")
def engine_revoke(
    session: Annotated[str, typer.Argument(
            metavar="SESSION",
            callback=read_session,
            help="Its id, as the decision log has it, or the value of the visitor's cookie `datadome`.",
        )],
    config: ConfigFile,
    for_: Duration,
    reason: Reason = "",
) -> None:
    """Take a session back: its visitor counts as one without, and has to pass challenges anew."""
    _decide(config, session, "revoke", for_, reason)


@engine_app.command("unban")
def engine_unban(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", callback=read_subject, help="An address, a network or session:ID.")
    ],
    config: ConfigFile,
) -> None:
    """Remove what was decided over an address, a network or a session, whatever it was."""
    from gateway import overriding, terminal

    listed = overriding.undo(config, subject)
    typer.echo(f"{subject}: {'removed' if listed.removed else 'there was nothing to remove'}")
    terminal.print_overrides(listed)


@engine_app.command("list")
def engine_list(config: ConfigFile, format: Format = OutputFormat.table) -> None:
    """List what is blocked, allowed or revoked by hand."""
    from gateway import overriding, terminal

    listed = overriding.listed(config)
    if format is OutputFormat.json:
        terminal.print_json(listed.as_json())
    else:
        terminal.print_overrides(listed)


def _decide(config: Path, subject: str, action: str, for_: str, reason: str) -> None:
    from gateway import overriding, terminal
    from gateway.config.units import parse_duration

    listed = overriding.decide(config, subject, action, parse_duration(for_), reason)
    terminal.print_overrides(listed)
