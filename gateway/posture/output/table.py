"""The documents of the commands as tables, for people: `--format table`.

Each function below takes the document that `--format json` prints, and says what stands in its tables; what they look
like is `drawing`'s. Objects of the platforms' own (webhooks, organization, members) are shown with the keys they have.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gateway.posture.document import encoded
from gateway.posture.output.foreign import shown_line

if TYPE_CHECKING:
    from rich.console import Console

Kind = Literal[
    "domains", "domain", "scan", "scans", "findings", "report", "events", "webhooks", "webhook", "organization",
    "members", "member", "zones", "records", "change", "zone", "publication", "onboarding", "actions", "history",
    "remedy",
]  # fmt: skip
"""Of a document: what its command gives. change: that of the DNS commands that change something, and any other flat
object; zone: of `dns build-zone`."""
Document: TypeAlias = Mapping[str, Any]

_DATA_CHARACTERS = 160
"""Of JSON in a cell; the document has the rest."""
NUMBERS = frozenset({"risk", "cvss", "weight", "seq", "bytes"})
"""Columns that hold numbers, which stand to the right."""
_PLACES = 3
"""Assets named above a remediation that is good for several; the table has them all."""
_OWN_COLUMNS = 8
"""Of a platform's own objects; the document has the rest."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many texts as there are columns. Without rows nothing but the title is drawn."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """(name, value) below each other."""

    rows: tuple[tuple[str, str], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, or commands to type."""

    lines: tuple[str, ...]
    title: str = ""


Part: TypeAlias = Table | Facts | Lines


def print_document(kind: Kind, document: Document, console: Console | None = None) -> None:
    """On stdout, or on `console`. A zone is printed alone and unwrapped, so that it can be saved. Colours and wrapping
    are for terminals, and for who sets FORCE_COLOR."""
    if kind == "zone" and console is None:
        for line in str(document["zone"]).splitlines():
            print(shown_line(line))
        return
    if console is None and not sys.stdout.isatty() and not os.environ.get("FORCE_COLOR"):
        from gateway.posture.output.plain import draw_plain

        draw_plain(parts_of(kind, document), sys.stdout)
        return
    from gateway.posture.output.drawing import draw  # loads rich

    draw(parts_of(kind, document), console)


def parts_of(kind: Kind, document: Document) -> list[Part]:
    """What is drawn of a document, in order."""
    return _SHAPES[kind](document)


# --- domains, scans, findings, events ---------------------------------------------------------------------------------


def _domains(document: Document) -> list[Part]:
    rows = [
        (one["name"], one["id"], one["verified"], one["risk_score"], one["last_scan"]) for one in document["domains"]
    ]
    table = _table(("domain", "id", "verified", "risk", "last scan"), rows)
    return [table, _count(len(rows), document["total"], "domain")]


def _domain(document: Document) -> list[Part]:
    domain, dns = document["domain"], document.get("dns")
    facts = [("domain", domain["name"]), ("id", domain["id"]), ("verified", domain["verified"])]
    if domain["verification"] is not None:
        verification = domain["verification"]
        facts += [("verified by", verification["method"]), ("record", verification["record"])]
    parts: list[Part] = [_facts(facts)]
    if dns is not None:
        parts.append(_facts([(key, dns[key]) for key in dns if key != "warnings"], "DNS"))
        parts += _sentences("warnings", dns.get("warnings"))
    return parts


def _scan(document: Document) -> list[Part]:
    """The scan, what it found, and what to do about it."""
    parts: list[Part] = [_facts(_scan_facts(document["scan"]))]
    findings = document.get("findings") or []
    if findings:
        parts.append(_findings_table(findings))
        parts += _remedies(findings)
    elif document["scan"]["status"] == "completed":
        parts.append(Lines(("no findings",)))
    return parts + _sentences("more scans that began with it", document.get("more"))


def _scan_facts(scan: Document) -> list[tuple[str, Any]]:
    facts = [("scan", scan["id"]), ("provider", scan["provider"]), ("target", scan["target"]), ("type", scan["type"])]
    facts.append(("status", scan["status"]))
    optional = [
        ("created", scan["created_at"]),
        ("started", scan["started_at"]),
        ("completed", scan["completed_at"]),
        ("risk", scan["risk_score"]),
        ("takes about", None if scan["estimated_s"] is None else f"{scan['estimated_s']} s"),
        ("findings", _counts(scan["counts"])),
    ]
    return facts + [(name, value) for name, value in optional if value not in (None, "")]


def _scans(document: Document) -> list[Part]:
    rows = [
        (
            one["id"], one["provider"], one["target"], one["type"], one["status"],
            one["started_at"] or one["created_at"], one["completed_at"], one["risk_score"], _counts(one["counts"]),
        )
        for one in document["scans"]
    ]  # fmt: skip
    columns = ("scan", "provider", "target", "type", "status", "started", "completed", "risk", "findings")
    return [_table(columns, rows), _count(len(rows), document["total"], "scan")]


def _counts(counts: Mapping[str, int] | None) -> str:
    """`1 critical, 3 high`."""
    if counts is None:
        return ""
    return ", ".join(f"{count} {severity}" for severity, count in counts.items() if count) or "none"


def _findings(document: Document) -> list[Part]:
    findings = document["findings"]
    return [_findings_table(findings), _count(len(findings), document["total"], "finding")]


def _findings_table(findings: Sequence[Document]) -> Table:
    rows = [
        (
            one["severity"], one["title"], _place(one), ", ".join(one["cve"]), one["cvss"], one["provider"],
            one["scan"], one["id"], one["first_seen"],
        )
        for one in findings
    ]  # fmt: skip
    return _table(("severity", "finding", "asset", "cve", "cvss", "provider", "scan", "id", "first seen"), rows)


def _place(finding: Document) -> str:
    asset, port = finding["asset"], finding["port"]
    return str(asset) if port is None else f"{asset} port {port}"


def _remedies(findings: Sequence[Document]) -> list[Part]:
    """What to do, once for all findings that it is good for; commands stand alone on their lines, to be copied."""
    places: dict[tuple[str, ...], list[str]] = {}
    for one in findings:
        if one["remediation"] is not None:
            key = (one["title"], one["remediation"]["summary"], *one["remediation"]["commands"])
            places.setdefault(key, []).append(_place(one))
    return [_remedy(*key, places=where) for key, where in places.items()]


def _remedy(title: str, summary: str, *commands: str, places: Sequence[str]) -> Lines:
    more = f" and {len(places) - _PLACES} more" if len(places) > _PLACES else ""
    return Lines((summary, *(f"  {one}" for one in commands)), f"{title} ({', '.join(places[:_PLACES])}{more})")


def _report(document: Document) -> list[Part]:
    return [_facts(list(document["report"].items()))]


def _events(document: Document) -> list[Part]:
    rows = [
        (one["received_at"], one["provider"], one["event"], one["scan"], one["timestamp"], one["data"])
        for one in document["events"]
    ]
    table = _table(("received", "provider", "event", "scan", "happened", "data"), rows)
    return [table, _count(len(rows), document["total"], "event")]


# --- objects of the platforms' own ------------------------------------------------------------------------------------


def _own_list(key: str, word: str) -> Callable[[Document], list[Part]]:
    def shape(document: Document) -> list[Part]:
        objects = document[key]
        return [_own_table(objects), _count(len(objects), len(objects), word)]

    return shape


def _own_table(objects: Sequence[Any]) -> Table:
    """A column for each key that any of them has, up to eight."""
    described = [one if isinstance(one, dict) else {"value": one} for one in objects]
    columns = tuple(dict.fromkeys(key for one in described for key in one))[:_OWN_COLUMNS]
    return _table(columns, [tuple(one.get(column) for column in columns) for one in described])


def _own_object(key: str) -> Callable[[Document], list[Part]]:
    def shape(document: Document) -> list[Part]:
        value = document[key]
        return [_facts(list(value.items()) if isinstance(value, dict) else [(key, value)])]

    return shape


# --- DNS --------------------------------------------------------------------------------------------------------------


def _zones(document: Document) -> list[Part]:
    columns = ("domain", "seq", "weight", "state", "state_text")
    rows = [tuple(one[column] for column in columns) for one in document["domains"]]
    account = [(key, document[key]) for key in ("domaincount", "domainweight", "expiry")]
    return [_table(columns, rows), _facts(account)]


def _records(document: Document) -> list[Part]:
    return [_zone_records(zone) for zone in document["domains"]]


def _zone_records(zone: Document) -> Table:
    rows = [(one["seq"], one["type"], _pairs(one["data"])) for one in zone["records"]]
    state = _text(zone["state_text"]) or _text(zone["state"])
    return _table(("seq", "type", "data"), rows, f"{zone['domain']} ({state})" if state else zone["domain"])


def _pairs(data: Any) -> str:
    """`name=www ip=192.0.2.1`."""
    if not isinstance(data, dict):
        return _text(data)
    return " ".join(f"{key}={_text(value)}" for key, value in data.items())


def _zone(document: Document) -> list[Part]:
    return [Lines(tuple(str(document["zone"]).splitlines()))]


def _publication(document: Document) -> list[Part]:
    facts = _facts([("domain", document["domain"]), ("published", document["published"])])
    return [facts, *_sentences("warnings", document["warnings"]), *_sentences("errors", document["errors"])]


def _change(document: Document) -> list[Part]:
    return [_facts([(key, _pairs(value) if isinstance(value, dict) else value) for key, value in document.items()])]


def _remedied(document: Document) -> list[Part]:
    finding, remediation = document["finding"], document["remediation"]
    if remediation is None:
        return [Lines((f"{finding['provider']} says nothing about what to do",), finding["title"])]
    return [_remedy(finding["title"], remediation["summary"], *remediation["commands"], places=[_place(finding)])]


# --- onboarding, actions ----------------------------------------------------------------------------------------------


def _onboarding(document: Document) -> list[Part]:
    parts = [*_domain(document), *_scan(document)]
    plan = document["cutover"]
    if plan is None:
        return parts
    rows = [(deed, plan["name"] or "@", one["type"], one["value"]) for deed in ("delete", "add") for one in plan[deed]]
    parts.append(_table(("", "name", "type", "leads to"), rows, f"cutover of {plan['zone']}"))
    parts.append(_facts([("applied", plan["applied"])]))
    return [*parts, *_sentences("warnings", plan["warnings"]), *_sentences("to undo it", plan["undo"])]


_DEED = ("name", "host", "do", "paths", "preset", "until", "dry_run")


def _actions(document: Document) -> list[Part]:
    rows = [(*(one[key] for key in _DEED), one["finding"]["title"]) for one in document["actions"]]
    parts: list[Part] = [_table((*_DEED, "finding"), rows), _count(len(rows), document["total"], "action")]
    skipped = [(one["rule"], one["title"], one["why"]) for one in document["skipped"]]
    warned = [(one["rule"], one["host"], one["why"]) for one in document["warnings"]]
    parts += [_table(("rule", "finding", "why not"), skipped, "nothing is done about")] if skipped else []
    return parts + ([_table(("rule", "host", "why"), warned, "partly effective")] if warned else [])


def _history(document: Document) -> list[Part]:
    rows = [
        (one["at"], one["event"], one["reason"], *(one.get(key) for key in _DEED)) for one in document["history"]
    ]
    return [_table(("at", "event", "reason", *_DEED), rows), _count(len(rows), document["total"], "record")]


# --- cells ------------------------------------------------------------------------------------------------------------


def _table(columns: tuple[str, ...], rows: Sequence[Sequence[Any]], title: str = "") -> Table:
    return Table(columns, tuple(tuple(map(_text, row)) for row in rows), title)


def _facts(rows: Sequence[tuple[str, Any]], title: str = "") -> Facts:
    return Facts(tuple((name, _text(value)) for name, value in rows), title)


def _sentences(title: str, lines: Sequence[str] | None) -> list[Part]:
    return [Lines(tuple(map(_text, lines)), title)] if lines else []


def _count(printed: int, total: int, word: str) -> Lines:
    """`1 scan`, `no scans`, `20 of 250 scans`."""
    shown = f"{printed} of {total}" if printed < total else str(total) if total else "no"
    return Lines((f"{shown} {word}{'' if total == 1 else 's'}",))


def _text(value: Any) -> str:
    """What a cell says of a JSON value: nothing for null, JSON for what is nested."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        text = encoded(value).decode()
        return text if len(text) <= _DATA_CHARACTERS else text[: _DATA_CHARACTERS - 3] + "..."
    return str(value)


_SHAPES: dict[Kind, Callable[[Document], list[Part]]] = {
    "domains": _domains,
    "domain": _domain,
    "scan": _scan,
    "scans": _scans,
    "findings": _findings,
    "report": _report,
    "events": _events,
    "webhooks": _own_list("webhooks", "webhook"),
    "webhook": _own_object("webhook"),
    "organization": _own_object("organization"),
    "members": _own_list("members", "member"),
    "member": _own_object("member"),
    "zones": _zones,
    "records": _records,
    "change": _change,
    "zone": _zone,
    "publication": _publication,
    "onboarding": _onboarding,
    "actions": _actions,
    "history": _history,
    "remedy": _remedied,
}
