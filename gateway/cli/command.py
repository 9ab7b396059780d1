"""`gateway` and its commands, but for those of `gateway engine`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.argument import ConfigFile, read_address, read_header
from gateway.cli.engine import engine_app
from gateway.cli.posture import posture_app

app = typer.Typer(
    help="A reverse proxy that asks a bot-protection API about every request and enforces the answer.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(engine_app, name="engine", invoke_without_command=True)
app.add_typer(posture_app, name="posture")


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
        str, typer.Option(metavar="ADDRESS", callback=read_address, help="The other end of the connection.")
    ] = "127.0.0.1",
    ask: Annotated[bool, typer.Option("--ask", help="Send the check and show what follows from the answer.")] = False,
) -> int:
    """Say what would happen to a request, and why, without sending anything."""
    from gateway import explain as explaining
    from gateway import terminal
    from gateway.config import load_config

    described = explaining.Described(method, url, tuple(map(read_header, header or [])), ip)
    loaded = load_config(config)
    if ask:
        explanation = asyncio.run(explaining.ask(loaded, described))
    else:
        explanation = explaining.explain(loaded, described)
    terminal.print_explanation(explanation)
    return 1 if explanation.answer is not None and explanation.answer.decision == "error" else 0


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
