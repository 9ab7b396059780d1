"""`gateway posture webhooks`, `org` and `team`: the CyperSecurity account."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.argument import ConfigFile, Format, OutputFormat
from gateway.cli.posture.running import Typed, Verbose, carry_out

webhooks_app = typer.Typer(help="CyperSecurity's webhooks.", no_args_is_help=True)
org_app = typer.Typer(help="CyperSecurity's organization.", no_args_is_help=True)
team_app = typer.Typer(help="CyperSecurity's team.", no_args_is_help=True)


@webhooks_app.command("list")
def webhooks_list(config: ConfigFile, format: Format = OutputFormat.table, verbose: Verbose = False) -> int:
    """List them."""
    from gateway.posture.operation import account

    return carry_out(Typed(config, format, verbose), "webhooks", account.webhooks)


@webhooks_app.command("create")
def webhooks_create(
    config: ConfigFile,
    url: Annotated[
        str | None, typer.Option("--url", metavar="U", help="Default: webhooks.public_url + /webhooks/cypersecurity.")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", metavar="E", help="May be repeated; default: the five of scans.")
    ] = None,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Create one, with the configured secret."""
    from gateway.posture.operation import account

    return carry_out(
        Typed(config, format, verbose), "webhook", lambda desk: account.create_webhook(desk, url, event or [])
    )


@org_app.command("show")
def org_show(config: ConfigFile, format: Format = OutputFormat.table, verbose: Verbose = False) -> int:
    """Show it."""
    from gateway.posture.operation import account

    return carry_out(Typed(config, format, verbose), "organization", account.organization)


@org_app.command("update")
def org_update(
    config: ConfigFile,
    name: Annotated[str | None, typer.Option("--name", metavar="N")] = None,
    industry: Annotated[str | None, typer.Option("--industry", metavar="I")] = None,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Change what is given, and nothing else."""
    from gateway.posture.operation import account

    return carry_out(
        Typed(config, format, verbose), "organization", lambda desk: account.update_organization(desk, name, industry)
    )


@team_app.command("list")
def team_list(config: ConfigFile, format: Format = OutputFormat.table, verbose: Verbose = False) -> int:
    """List its members."""
    from gateway.posture.operation import account

    return carry_out(Typed(config, format, verbose), "members", account.members)


@team_app.command("invite")
def team_invite(
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    config: ConfigFile,
    role: Annotated[str, typer.Option("--role", metavar="ROLE")] = "member",
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Invite a member."""
    from gateway.posture.operation import account

    return carry_out(Typed(config, format, verbose), "member", lambda desk: account.invite(desk, email, role))
