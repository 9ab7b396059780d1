"""`gateway posture dns`: the zones of the SecuritySpace account. Options have the API's own names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from gateway.cli.argument import ConfigFile, Format, OutputFormat
from gateway.cli.posture.running import Done, Typed, Verbose, carry_out

dns_app = typer.Typer(help="SecuritySpace's DNS; visitors see a change when it is published.", no_args_is_help=True)

DomainName = Annotated[str, typer.Argument(metavar="DOMAIN", help="The zone, such as example.com.")]


ZoneType = Literal["master", "slave"]
RecordType = Literal["A", "AAAA", "CNAME", "MX", "NS", "CAA", "TXT", "SRV"]


def _field(name: str, help: str) -> Any:
    return typer.Option(f"--{name}", metavar=name.upper(), help=help)


@dns_app.command("list")
def dns_list(config: ConfigFile, format: Format = OutputFormat.table, verbose: Verbose = False) -> int:
    """List the zones of the account."""
    from gateway.posture.operation import dns

    return carry_out(Typed(config, format, verbose), "zones", dns.listed)


@dns_app.command("show")
def dns_show(
    domains: Annotated[list[str], typer.Argument(metavar="DOMAIN...", help="Zones.")],
    config: ConfigFile,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Show the records of zones."""
    from gateway.posture.operation import dns

    return carry_out(Typed(config, format, verbose), "records", lambda desk: dns.shown(desk, domains))


@dns_app.command("add-domain")
def dns_add_domain(
    domain: DomainName,
    config: ConfigFile,
    domaintype: Annotated[ZoneType, typer.Option("--domaintype")] = "master",
    accept_aup: Annotated[bool, typer.Option("--accept-aup", help="The Acceptable Use Policy is accepted.")] = False,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Add a zone."""
    from gateway.posture.operation import dns

    return carry_out(
        Typed(config, format, verbose), "change",
        lambda desk: dns.add_domain(desk, domain, domaintype, accepts_aup=accept_aup),
    )  # fmt: skip


@dns_app.command("delete-domain")
def dns_delete_domain(
    domain: DomainName,
    config: ConfigFile,
    yes: Annotated[bool, typer.Option("--yes", help="It cannot be undone.")] = False,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Delete a zone with all its records."""
    from gateway.posture.operation import dns

    return carry_out(Typed(config, format, verbose), "change", lambda desk: dns.delete_domain(desk, domain, yes=yes))


@dns_app.command("add-record")
def dns_add_record(
    domain: DomainName,
    type: Annotated[RecordType, typer.Argument(metavar="TYPE", case_sensitive=False)],
    config: ConfigFile,
    name: Annotated[str | None, _field("name", "A, AAAA, MX, TXT: below the zone; CNAME: what it leads to.")] = None,
    ip: Annotated[str | None, _field("ip", "A, AAAA.")] = None,
    alias: Annotated[str | None, _field("alias", "CNAME: below the zone.")] = None,
    mxname: Annotated[str | None, _field("mxname", "MX: the mail server.")] = None,
    priority: Annotated[str | None, _field("priority", "MX: 0 to 99.")] = None,
    subdomain: Annotated[str | None, _field("subdomain", "NS, CAA: below the zone.")] = None,
    nameserver: Annotated[str | None, _field("nameserver", "NS.")] = None,
    flag: Annotated[str | None, _field("flag", "CAA: 0 to 255.")] = None,
    tag: Annotated[str | None, _field("tag", "CAA: issue, issuewild or iodef.")] = None,
    value: Annotated[str | None, _field("value", "CAA.")] = None,
    txtdata: Annotated[str | None, _field("txtdata", "TXT.")] = None,
    srvc: Annotated[str | None, _field("srvc", "SRV: the service.")] = None,
    prot: Annotated[str | None, _field("prot", "SRV: the protocol.")] = None,
    host: Annotated[str | None, _field("host", "SRV: below the zone.")] = None,
    pri: Annotated[str | None, _field("pri", "SRV: the priority.")] = None,
    weight: Annotated[str | None, _field("weight", "SRV.")] = None,
    port: Annotated[str | None, _field("port", "SRV.")] = None,
    target: Annotated[str | None, _field("target", "SRV.")] = None,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Add a record to a zone."""
    from gateway.posture.operation import dns

    given = {
        "name": name, "ip": ip, "alias": alias, "mxname": mxname, "priority": priority, "subdomain": subdomain,
        "nameserver": nameserver, "flag": flag, "tag": tag, "value": value, "txtdata": txtdata, "srvc": srvc,
        "prot": prot, "host": host, "pri": pri, "weight": weight, "port": port, "target": target,
    }  # fmt: skip
    fields = {field: text for field, text in given.items() if text is not None}
    return carry_out(
        Typed(config, format, verbose), "change", lambda desk: dns.add_record(desk, domain, type, fields)
    )


@dns_app.command("delete-record")
def dns_delete_record(
    seq: Annotated[str, typer.Argument(metavar="SEQ", help="The record's number, as `dns show` has it.")],
    config: ConfigFile,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Delete a record."""
    from gateway.posture.operation import dns

    return carry_out(Typed(config, format, verbose), "change", lambda desk: dns.delete_record(desk, seq))


@dns_app.command("set-soa")
def dns_set_soa(
    domain: DomainName,
    config: ConfigFile,
    admin: Annotated[str | None, typer.Option("--admin", metavar="MAIL", help="The administrator's address.")] = None,
    ttl: Annotated[int | None, typer.Option("--ttl", metavar="N", help="Seconds.")] = None,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Set the administrator and the time to live of a zone."""
    from gateway.posture.operation import dns

    return carry_out(Typed(config, format, verbose), "change", lambda desk: dns.set_soa(desk, domain, admin, ttl))


@dns_app.command("set-options")
def dns_set_options(
    domain: DomainName,
    config: ConfigFile,
    masters: Annotated[str | None, _field("masters", "Of a slave zone.")] = None,
    allowtransferacl: Annotated[str | None, _field("allowtransferacl", "Who may transfer the zone.")] = None,
    notify: Annotated[str | None, _field("notify", "Whether slaves are told.")] = None,
    alsonotify: Annotated[str | None, _field("alsonotify", "Whom else to tell; needs --notify.")] = None,
    format: Format = OutputFormat.table,
    verbose: Verbose = False,
) -> int:
    """Set the options of a zone."""
    from gateway.posture.operation import dns

    options = {"masters": masters, "allowtransferacl": allowtransferacl, "notify": notify, "alsonotify": alsonotify}
    return carry_out(Typed(config, format, verbose), "change", lambda desk: dns.set_options(desk, domain, options))


@dns_app.command("build-zone")
def dns_build_zone(
    domain: DomainName, config: ConfigFile, format: Format = OutputFormat.table, verbose: Verbose = False
) -> int:
    """Print the zone file as a publication would make it."""
    from gateway.posture.operation import dns

    return carry_out(Typed(config, format, verbose), "zone", lambda desk: dns.build_zone(desk, domain))


@dns_app.command("publish")
def dns_publish(
    domain: DomainName, config: ConfigFile, format: Format = OutputFormat.table, verbose: Verbose = False
) -> int:
    """Validate a zone and hand it to the name servers."""
    from gateway.posture.operation import dns

    async def work(desk: Any) -> Done:
        return Done(*await dns.publish(desk, domain))

    return carry_out(Typed(config, format, verbose), "publication", work)
