"""Arguments and options: their types, and what is said of one that cannot be used.

Each `read_` takes what was typed and raises typer.BadParameter for what it cannot be.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

UsageError = cast(type[Exception], typer.BadParameter.__base__)
"""Whatever is wrong with what was typed. typer exports only this one of its subclasses."""


class OutputFormat(StrEnum):
    table = "table"
    json = "json"


class SessionKind(StrEnum):
    """Those of gateway.engine.session that a visitor can have."""

    none = "none"
    visitor = "visitor"
    waited = "waited"
    proved = "proved"


def read_header(text: str) -> tuple[str, str]:
    """(name, value) of `Name: value`."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter(f"{text[:100]!r} is not 'Name: value'")
    return name.strip(), value.strip()


def read_address(text: str) -> str:
    """In canonical form."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise typer.BadParameter(f"{text[:100]!r} is not an IPv4 or IPv6 address") from None


def read_subject(text: str) -> str:
    """An address, a network or `session:ID`, of which the id may be the whole cookie: a visitor knows nothing else."""
    from gateway.engine.override import SESSION, parse_subject
    from gateway.engine.session import session_id
    from gateway.errors import OverrideError

    of_cookie = session_id(text.removeprefix(SESSION))
    try:
        return parse_subject(text if of_cookie is None else SESSION + of_cookie)
    except OverrideError as error:
        raise typer.BadParameter(str(error)) from None


def read_place(text: str) -> str:
    """An address or a network."""
    subject = read_subject(text)
    if subject.startswith("session:"):
        raise typer.BadParameter(f"{subject!r} is a session, which is not blocked or allowed: use `revoke`")
    return subject


def read_session(text: str) -> str:
    """`ID`, `session:ID` and a cookie's value alike."""
    return read_subject(f"session:{text.removeprefix('session:')}")


def read_duration(text: str) -> str:
    """The text itself."""
    from gateway.config.units import parse_duration

    try:
        parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"got {text[:40]!r}; expected {error}") from None
    return text


ConfigFile = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration, YAML.")]
PolicyName = Annotated[
    str, typer.Argument(metavar="POLICY", help="A policy file, or a preset: permissive, moderate, aggressive.")
]
Format = Annotated[OutputFormat, typer.Option("--format", help="table (for people) or json.")]
Subject = Annotated[
    str, typer.Argument(metavar="SUBJECT", callback=read_place, help="An address, or a network in CIDR form.")
]
Duration = Annotated[
    str, typer.Option("--for", metavar="DURATION", callback=read_duration, help="For how long: 30s, 10m, 24h.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever lists it.")]
