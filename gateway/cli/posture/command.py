"""Domains, scans, findings, reports, events, onboarding; the receiver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gateway.cli.argument import ConfigFile, Format, OutputFormat
from gateway.cli.posture.account import org_app, team_app, webhooks_app
from gateway.cli.posture.dns import dns_app
from gateway.cli.posture.running import Done, Limit, Provider, Typed, Verbose, WaitTimeout, carry_out, seconds
from gateway.posture.scan import Status
from gateway.posture.severity import Severity

posture_app = typer.Typer(
    help="Scans, findings and DNS of the domains that the gateway protects.", no_args_is_help=True
)
domains_app = typer.Typer(help="DDactic's domains.", no_args_is_help=True)
scan_app = typer.Typer(help="Scans and audits of all providers.", no_args_is_help=True)
for name, sub_app in {
    "domains": domains_app, "scan": scan_app, "webhooks": webhooks_app, "org": org_app, "team": team_app,
    "dns": dns_app,
}.items():  # fmt: skip
    posture_app.add_typer(sub_app, name=name)


ScanId = Annotated[str, typer.Argument(metavar="ID", help="The scan's, as its provider names it.")]
OfScan = Annotated[str | None, typer.Option("--scan", metavar="ID", help="Of this scan alone.")]
FailOn = Annotated[
    Severity | None, typer.Option("--fail-on", help="Exit with 3 at findings of this severity or worse.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Until the scan is over.")]


@domains_app.command("list")
def domains_list(
    config: ConfigFile, limit: Limit = None, format: Format = OutputFormat.table, verbose: Verbose = False
) -> int:
    """List the domains of the organization."""
    from gateway.posture.operation import domain

    return carry_out(Typed(config, format, verbose), "domains", lambda desk: domain.listed(desk, limit))


@domains_app.command("add")
def domains_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as example.com.")],
    config: ConfigFile,
    verify_dns: Annotated[
        bool, typer.Option("--verify-dns", help="Publish the TXT record with SecuritySpace, wait until verified.")
    ] = False,
    wait_timeout: WaitTimeout = "30m",
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Add a domain, so that it can be scanned."""
    from gateway.posture.operation import domain

    timeout_s = seconds(wait_timeout)
    return carry_out(
        Typed(config, format, verbose), "domain",
        lambda desk: domain.add(desk, name, verify_dns=verify_dns, timeout_s=timeout_s),
    )  # fmt: skip


@posture_app.command("onboard")
def onboard(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="Such as example.com.")],
    config: ConfigFile,
    cutover: Annotated[
        bool, typer.Option("--cutover", help="Then plan the DNS change that leads its visitors to the gateway.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Apply that plan.")] = False,
    wait_timeout: WaitTimeout = "1h",
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Add a domain, verify it through DNS, scan it; goes on where it stopped."""
    from gateway.posture.operation import onboarding

    if yes and not cutover:
        raise typer.BadParameter("--yes applies the plan of --cutover, which is not given")
    timeout_s = seconds(wait_timeout)

    async def work(desk: Any) -> Done:
        document, failure = await onboarding.onboard(desk, name, with_cutover=cutover, yes=yes, timeout_s=timeout_s)
        return Done(document, failure)

    return carry_out(Typed(config, format, verbose), "onboarding", work)


@scan_app.command("start")
def scan_start(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A domain, host or address; for SecuritySpace also ranges, or self.")
    ],
    config: ConfigFile,
    provider: Provider = None,
    type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="What the provider has.")] = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = "1h",
    fail_on: FailOn = None,
    webhook_url: Annotated[
        str | None, typer.Option("--webhook-url", metavar="U", help="DDactic: whom to tell; default: our receiver.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="CyperSecurity; may be repeated.")
    ] = None,
    exclude_dos: Annotated[
        bool, typer.Option("--exclude-dos", help="SecuritySpace: without tests in the denial of service category.")
    ] = False,
    notify: Annotated[bool, typer.Option("--notify", help="SecuritySpace: an e-mail when it is over.")] = False,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Start a scan."""
    from gateway.posture.operation import scanning
    from gateway.posture.operation.finding import exceeds
    from gateway.posture.operation.starting import Wanted, read_option

    options = dict(map(read_option, option or []))
    wanted = Wanted(target, type, options, webhook_url, exclude_dos, notify)
    timeout_s = seconds(wait_timeout)

    async def work(desk: Any) -> Done:
        outcome = await scanning.start(
            desk, desk.provider(provider), wanted, wait=wait or fail_on is not None, timeout_s=timeout_s
        )
        return Done(outcome.started(), outcome.failure, exceeds(outcome.findings, fail_on))

    return carry_out(Typed(config, format, verbose), "scan", work)


@scan_app.command("list")
def scan_list(
    config: ConfigFile,
    provider: Provider = None,
    status: Annotated[Status | None, typer.Option("--status", help="Only these.")] = None,
    limit: Limit = None,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """List scans: of one provider, or of all that are configured."""
    from gateway.posture.operation import scanning

    return carry_out(
        Typed(config, format, verbose), "scans",
        lambda desk: scanning.listed(desk, provider and desk.provider(provider), status, limit),
    )  # fmt: skip


@scan_app.command("show")
def scan_show(
    scan_id: ScanId,
    config: ConfigFile,
    provider: Provider = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = "1h",
    fail_on: FailOn = None,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Show a scan and, once it is completed, its findings; both are stored."""
    from gateway.posture.operation import scanning
    from gateway.posture.operation.finding import exceeds

    timeout_s = seconds(wait_timeout)

    async def work(desk: Any) -> Done:
        outcome = await scanning.show(
            desk, desk.provider(provider, scan_id), scan_id, wait=wait, timeout_s=timeout_s
        )
        return Done(outcome.shown(), outcome.failure, exceeds(outcome.findings, fail_on))

    return carry_out(Typed(config, format, verbose), "scan", work)


@posture_app.command("findings")
def findings(
    config: ConfigFile,
    provider: Provider = None,
    scan: OfScan = None,
    severity: Annotated[Severity | None, typer.Option("--severity", help="This severity or worse.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Not in the scan before, of the same target and type.")] = False,
    still_open: Annotated[bool, typer.Option("--open", help="In the last scan and in the one before.")] = False,
    gone: Annotated[bool, typer.Option("--gone", help="In the scan before, and not in the last one.")] = False,
    fail_on: FailOn = None,
    format: Annotated[
        Literal["table", "json", "sarif"], typer.Option("--format", help="table, json or sarif (2.1.0).")
    ] = "table",
    verbose: Verbose = False,
) -> int:
    """List what is stored, over all providers in one form."""
    from gateway.posture.operation import finding

    given: dict[Literal["new", "open", "gone"], bool] = {"new": new, "open": still_open, "gone": gone}
    states = [state for state, is_given in given.items() if is_given]
    if len(states) > 1:
        raise typer.BadParameter(f"--{' and --'.join(states)} exclude each other")

    async def work(desk: Any) -> Done:
        found = finding.findings(
            desk, provider, scan, severity, states[0] if states else None
        )
        exceeded = finding.exceeds(found, fail_on)
        if format == "sarif":
            from gateway.posture.output.sarif import sarif

            return Done(sarif(found), None, exceeded)
        return Done(finding.findings_document(found), None, exceeded)

    printed = OutputFormat.table if format == "table" else OutputFormat.json
    return carry_out(Typed(config, printed, verbose), "findings", work)


@posture_app.command("remedy")
def remedy(
    finding_id: Annotated[str, typer.Argument(metavar="ID", help="The finding's.")],
    config: ConfigFile,
    provider: Provider = None,
    scan: OfScan = None,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Say what to do about a finding, with the addresses of this deployment."""
    from gateway.posture.operation import finding

    async def work(desk: Any) -> dict[str, Any]:
        return finding.remedy(desk, finding_id, provider, scan)

    return carry_out(Typed(config, format, verbose), "remedy", work)


@posture_app.command("report")
def report(
    scan_id: ScanId,
    config: ConfigFile,
    format: Annotated[Literal["json", "pdf", "html"], typer.Option("--format", help="What the provider has.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")],
    type: Annotated[
        Literal["executive", "technical", "full"], typer.Option("--type", help="Kind of report.")
    ] = "technical",
    provider: Provider = None,
    wait_timeout: WaitTimeout = "10m",
    verbose: Verbose = False,
) -> int:
    """Write a scan's report to a file."""
    from gateway.posture.operation import reporting

    timeout_s = seconds(wait_timeout)

    async def work(desk: Any) -> dict[str, Any]:
        return await reporting.report(
            desk, desk.provider(provider, scan_id), scan_id, format=format, type=type, file=output,
            timeout_s=timeout_s,
        )  # fmt: skip

    return carry_out(Typed(config, OutputFormat.json, verbose), "report", work)


@posture_app.command("serve")
def serve(
    config: ConfigFile,
    format: Annotated[OutputFormat, typer.Option("--format", help="The log: for people (table), or json.")] = (
        OutputFormat.json
    ),
    verbose: Annotated[bool, typer.Option("-v", help="More in the log.")] = False,
) -> int:
    """Receive webhooks until SIGTERM; `gateway run` does so too."""
    from gateway.posture.operation import serving

    return serving.serve(
        config, "debug" if verbose else "info", "json" if format is OutputFormat.json else "console"
    )


@posture_app.command("actions")
def actions(
    config: ConfigFile,
    history: Annotated[bool, typer.Option("--history", help="What was done so far, instead.")] = False,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Show what posture.actions would do about the findings that are open now, and why not; nothing is enforced."""
    from gateway.posture.operation import acting

    async def work(desk: Any) -> dict[str, Any]:
        return acting.history(desk.store) if history else acting.planned(desk.store, desk.file)

    return carry_out(Typed(config, format, verbose), "history" if history else "actions", work)


@posture_app.command("events")
def events(
    config: ConfigFile,
    provider: Provider = None,
    scan: OfScan = None,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """List the webhook events that were received."""
    from gateway.posture.operation import finding

    async def work(desk: Any) -> dict[str, Any]:
        return finding.events(desk, provider, scan)

    return carry_out(Typed(config, format, verbose), "events", work)
