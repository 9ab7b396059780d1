"""The commands: what can be typed, and who does it. No logic: each one calls the module that has it.

A command imports what it needs when it runs. `gateway run` stays in memory for months, and `gateway healthcheck` is
started every few seconds: neither loads rich, nor the other's modules.
"""

from __future__ import annotations

import asyncio
import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

UsageError = cast(type[Exception], typer.BadParameter.__base__)
"""Whatever is wrong with what was typed. typer exports only this one of its subclasses."""

app = typer.Typer(
    help="A reverse proxy that asks a bot-protection API about every request and enforces the answer.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration, YAML.")]


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter(f"{text[:100]!r} is not 'Name: value'")
    return name.strip(), value.strip()


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise typer.BadParameter(f"{text[:100]!r} is not an IPv4 or IPv6 address") from None


class OutputFormat(StrEnum):
    table = "table"
    json = "json"


class SessionKind(StrEnum):
    """Those of gateway.engine.session that a visitor can have."""

    none = "none"
    visitor = "visitor"
    waited = "waited"
    proved = "proved"


def _subject(text: str) -> str:
    """Of a session its id, also where the whole cookie was given: that is all that a visitor knows."""
    from gateway.engine.override import SESSION, parse_subject
    from gateway.engine.session import session_id
    from gateway.errors import OverrideError

    of_cookie = session_id(text.removeprefix(SESSION))
    try:
        return parse_subject(text if of_cookie is None else SESSION + of_cookie)
    except OverrideError as error:
        raise typer.BadParameter(str(error)) from None


def _place(text: str) -> str:
    subject = _subject(text)
    if subject.startswith("session:"):
        raise typer.BadParameter(f"{subject!r} is a session, which is not blocked or allowed: use `revoke`")
    return subject


def _session(text: str) -> str:
    """`ID`, `session:ID` and a cookie's value alike."""
    return _subject(f"session:{text.removeprefix('session:')}")


def _duration(text: str) -> str:
    from gateway.config.units import parse_duration

    try:
        parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"got {text[:40]!r}; expected {error}") from None
    return text


@app.callback(invoke_without_command=True)
def gateway(
    context: typer.Context,
    test: Annotated[bool, typer.Option("-t", help="The same as `check`, as other servers have it.")] = False,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="For -t alone.")] = None,
) -> int:
    if context.invoked_subcommand is not None:
        if test or config:
            raise typer.BadParameter(f"-t and -c before {context.invoked_subcommand!r} mean nothing; put -c after it")
        return 0
    if test != bool(config):
        raise typer.BadParameter("-t needs -c FILE" if test else "-c FILE needs -t or a command before it")
    if config is None:
        typer.echo(context.get_help())
        return 2
    return check(config)


@app.command()
def run(config: ConfigFile) -> int:
    """Run the gateway until SIGTERM or SIGINT; SIGHUP reloads the configuration."""
    from gateway import supervisor
    from gateway.validation import load_validated

    return supervisor.run(load_validated(config), config, load_validated)


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The gateway's port; 0: any free one.")] = 8080,
    admin_port: Annotated[int, typer.Option(min=0, max=65535, help="The admin side's; 0: any free one.")] = 9090,
) -> int:
    """Run a sample origin, the embedded engine and the gateway on 127.0.0.1, without a file."""
    from gateway.demo import runner

    return runner.run(port, admin_port)


@app.command()
def check(
    config: ConfigFile,
    probe: Annotated[bool, typer.Option("--probe", help="Also ask the API and every origin once.")] = False,
) -> int:
    """Validate a configuration, and the policy that it names."""
    from gateway.validation import load_validated

    loaded = load_validated(config)
    typer.echo(f"{config}: ok")
    if not probe:
        return 0
    from gateway import terminal
    from gateway.probe import probe as ask_once

    results = asyncio.run(ask_once(loaded))
    terminal.print_probes(results)
    return 0 if all(result.ok for result in results) else 1


@app.command()
def show(config: ConfigFile) -> None:
    """Print the effective configuration: defaults filled in, secrets redacted."""
    from gateway.config import load_config, render_yaml

    typer.echo(render_yaml(load_config(config)), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    import orjson

    from gateway.config import json_schema

    typer.echo(orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2))


@app.command()
def explain(
    config: ConfigFile,
    url: Annotated[str, typer.Argument(metavar="URL", help="http(s)://host/path?query")],
    method: Annotated[str, typer.Option("--method", "-X", metavar="METHOD")] = "GET",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="'Name: value'", help="May be repeated.")
    ] = None,
    ip: Annotated[
        str, typer.Option(metavar="ADDRESS", callback=_address, help="The other end of the connection.")
    ] = "127.0.0.1",
    ask: Annotated[bool, typer.Option("--ask", help="Send the check and show what follows from the answer.")] = False,
) -> int:
    """Say what would happen to a request, and why, without sending anything."""
    from gateway import explain as explaining
    from gateway import terminal
    from gateway.config import load_config

    described = explaining.Described(method, url, tuple(map(_header, header or [])), ip)
    loaded = load_config(config)
    if ask:
        explanation = asyncio.run(explaining.ask(loaded, described))
    else:
        explanation = explaining.explain(loaded, described)
    terminal.print_explanation(explanation)
    return 1 if explanation.answer is not None and explanation.answer.decision == "error" else 0


engine_app = typer.Typer(help="The embedded Protection API: serve it, test its policy, decide over its rules.")
app.add_typer(engine_app, name="engine", invoke_without_command=True)

PolicyName = Annotated[
    str, typer.Argument(metavar="POLICY", help="A policy file, or a preset: permissive, moderate, aggressive.")
]
Format = Annotated[OutputFormat, typer.Option("--format", help="table (for people) or json.")]
Subject = Annotated[
    str, typer.Argument(metavar="SUBJECT", callback=_place, help="An address, or a network in CIDR form.")
]
Duration = Annotated[
    str, typer.Option("--for", metavar="DURATION", callback=_duration, help="For how long: 30s, 10m, 24h.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever lists it.")]


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
            callback=_session,
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
        str, typer.Argument(metavar="SUBJECT", callback=_subject, help="An address, a network or session:ID.")
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


@app.command()
def healthcheck(
    admin: Annotated[str, typer.Option(metavar="ADDRESS", help="The admin side, host:port.")] = "127.0.0.1:9090",
) -> int:
    """Exit with 0 if the gateway is ready."""
    from gateway.healthcheck import readiness

    ready, detail = readiness(admin)
    typer.echo(detail, err=not ready)
    return 0 if ready else 1


@app.command()
def version() -> None:
    """Print the version, and those of Python, the parser and the event loop."""
    import platform
    from importlib.metadata import version as installed

    libraries = ", ".join(f"{name} {installed(name)}" for name in ("httptools", "uvloop", "aiohttp"))
    typer.echo(f"gateway {installed('protection-gateway')} (Python {platform.python_version()}, {libraries})")
