"""A stand-in for SecuritySpace, written from its document (REST API Guide) alone.

It takes what the document has: POST of a form over TLS with exactly the documented parameters. Everything else is noted
in `undocumented`. Errors are the documented words of the call, with HTTP status 200. Where the document says nothing,
the stand-in can do either: numbers as numbers or as text, maps as objects or as PHP's lists, a refused publication with
status 0 or not.

Time stands still until `advance` is called: tokens are good for 24 hours, name servers get a published domain with the
next `distribute` (5 minutes), a norisk audit of an address may be repeated after 30 days. An audit goes from queued to
running to completed with every `steps` readings of the audit list.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import trustme
from aiohttp import web
from posture.standin.securityspace_document import DOCUMENTED
from posture.standin.server import Received, StandIn

KEY = "WjN5ZkVoWm9KS2FvaHVGbE5VQ2loeHdQ"
USERID = "jane"
PASSWORD = "correct horse/battery&staple"
NOW_S = 1_765_967_400  # 2025-12-17T10:30:00Z
TOKEN_S = 24 * 3600
MONTH_S = 30 * 24 * 3600
STATES = ("Unvalidated", "Configuration Errors", "Waiting for distribution to name servers", "Active")
ON_HOLD = "domain is on hold"


class Refusal(Exception):
    """A documented error."""


@dataclass
class StandInRecord:
    """A record; data: as the document's schema of its type."""

    seq: int
    type: str
    data: dict[str, Any]


@dataclass
class StandInZone:
    """A domain; published: what the last successful publish queued, None before the first."""

    seq: int
    domain: str
    domaintype: str
    records: list[StandInRecord]
    state: int = 0
    is_on_hold: bool = False
    published: list[StandInRecord] | None = None


@dataclass
class StandInAudit:
    """An audit; readings: of the audit list, since it was queued."""

    scanuid: int
    hostip: str
    type: str
    queued_s: int
    started_s: int = 0
    completed_s: int = 0
    readings: int = 0
    entries: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    excludedos: bool = False
    notification: str = ""


@functools.cache
def authority() -> trustme.CA:
    """One for all stand-ins of a test run."""
    return trustme.CA()


def write_ca(directory: Path) -> str:
    """The PEM file that a client needs as `ca`."""
    file = directory / "securityspace-ca.pem"
    authority().cert_pem.write_to_path(str(file))
    return str(file)


class SecuritySpaceStandIn(StandIn):
    """The platform with one account.

    tls: False serves plain HTTP, and answers every call with notSSL. textual: numbers come as text, as in the examples;
    else as numbers, as in the schemas. listed: maps come as lists. steps: readings of the audit list that an audit
    takes to start, and again to complete. auditable: the addresses that the account may audit (a predicate).
    subscribed: the audit types that it has. in_flight, peak: calls at a time, now and at most.
    """

    def __init__(
        self, *, key: str = KEY, userid: str = USERID, password: str = PASSWORD, tls: bool = True, textual: bool = True,
        listed: bool = False, steps: int = 1,
    ) -> None:  # fmt: skip
        super().__init__("/api", _server_context() if tls else None)
        self.key, self.userid, self.password = key, userid, password
        self.textual, self.listed, self.steps = textual, listed, steps
        self.now_s = NOW_S
        self.auditable: Callable[[str], bool] = lambda address: True
        self.subscribed = {"advanced", "standard", "norisk", "desktop", "basic"}
        self.unlisted = 0  # readings of the audit list before a new audit is in it
        self.zones: dict[str, StandInZone] = {}
        self.audits: dict[int, StandInAudit] = {}
        self.warnings: dict[str, list[str]] = {}  # domain -> what its publication warns of
        self.errors: dict[str, list[str]] = {}  # domain -> why it cannot be published
        self.failed_status = -1  # of a publication with errors; the document leaves open whether it is 0
        self.on_publish: list[Callable[[str, list[StandInRecord]], None]] = []
        self.counts: Counter[str] = Counter()  # path -> calls that were taken
        self.tokens: dict[str, float] = {}  # token -> when it was given, Unix seconds
        self.uses_left: int | None = None
        self.in_flight = self.peak = 0
        self._barrier: asyncio.Barrier | None = None
        self._refusals: list[tuple[str, str]] = []
        self._seq, self._scanuid = 400, 1100005103
        self._norisk: dict[str, int] = {}
        self._lock = threading.RLock()  # tests prepare and look from their own thread

    # --- what tests do -----------------------------------------------------------------------------------------------

    @property
    def published(self) -> dict[str, list[StandInRecord]]:
        """Domain -> the records that its last successful publish queued."""
        with self._lock:
            return {zone.domain: list(zone.published) for zone in self.zones.values() if zone.published is not None}

    def texts(self, domain: str) -> set[tuple[str, str]]:
        """(name, text) of the published TXT records of a domain; a blank name is the domain itself."""
        records = self.published.get(domain, [])
        return {(record.data["name"], record.data["data"]) for record in records if record.type == "TXT"}

    def advance(self, seconds: float) -> None:
        """Let time pass; name servers get what was published 5 minutes ago."""
        with self._lock:
            self.now_s += int(seconds)
            if seconds >= 300:
                self.distribute()

    def distribute(self) -> None:
        """The name servers take what was published."""
        with self._lock:
            for zone in self.zones.values():
                zone.state = 3 if zone.state == 2 else zone.state

    def expire(self) -> None:
        """Every token that was given is now too old: sessionTimeout."""
        with self._lock:
            self.tokens = dict.fromkeys(self.tokens, self.now_s - TOKEN_S - 1)

    def expire_after(self, calls: int) -> None:
        """Tokens expire, all of them, after that many more calls with one; a new one does not."""
        with self._lock:
            self.uses_left = calls

    def forget_tokens(self) -> None:
        """No token that was given is known: sessionAuthenticationFailure."""
        with self._lock:
            self.tokens.clear()

    def meet(self, count: int) -> None:
        """No call with a token is answered before there are `count` of them; then these are."""
        self._barrier = asyncio.Barrier(count)

    def refuse(self, path: str, *words: str) -> None:
        """The next calls of a path get these errors, one each, which the document must have for it."""
        assert set(words) <= set(DOCUMENTED[path].errors), f"{path} has no {set(words) - set(DOCUMENTED[path].errors)}"
        with self._lock:
            self._refusals += [(path, word) for word in words]

    def add_zone(self, domain: str, *, domaintype: str = "master", on_hold: bool = False) -> StandInZone:
        """A domain of the account with its default records."""
        with self._lock:
            zone = StandInZone(self._next_seq(), domain, domaintype, [], is_on_hold=on_hold)
            self._add(zone, "SOA", _default_soa(domain))
            for number in range(1, 5):
                self._add(zone, "NS", {"name": "", "data": f"ns{number}.securityspace.net."})
            self.zones[domain] = zone
            return zone

    def release(self, domain: str) -> None:
        """The hold of a new domain is removed."""
        self.zones[domain].is_on_hold = False

    def add_audit(
        self, hostip: str, type: str = "standard", *, completed: bool = False,
        entries: dict[str, dict[str, dict[str, Any]]] | None = None,
    ) -> str:  # fmt: skip
        """An audit of the account; its scanuid. entries: risk group -> key -> entry; a sample by default."""
        with self._lock:
            self._scanuid += 1
            audit = StandInAudit(self._scanuid, hostip, type, self.now_s)
            audit.entries = sample_entries(audit.scanuid, hostip) if entries is None else entries
            if completed:
                audit.started_s, audit.completed_s = self.now_s + 60, self.now_s + 1800
            self.audits[audit.scanuid] = audit
            return str(audit.scanuid)

    # --- one call ----------------------------------------------------------------------------------------------------

    async def answer(self, call: Received) -> web.StreamResponse:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            if self._barrier is not None and call.path != "/auth.php":
                await self._barrier.wait()
            with self._lock:
                return self._answer(call)
        finally:
            self.in_flight -= 1

    def _answer(self, call: Received) -> web.Response:
        form = self._form(call)
        if isinstance(form, web.Response):
            return form
        self.counts[call.path] += 1
        try:
            return self._json({"status": 0, **(self._taken(call.path, form) or {})})
        except Refusal as refusal:
            word = str(refusal)
            assert word in DOCUMENTED[call.path].errors or word.startswith("reportLoadFailure["), (call.path, word)
            return self._json({"status": -1, "error": word})

    def _form(self, call: Received) -> dict[str, str] | web.Response:
        """The parameters, if the call is one of the document."""
        documented = DOCUMENTED.get(call.path)
        if documented is None or call.query:
            return self.refuse_undocumented(f"{call.method} {call.path} {sorted(call.query)}", 404)
        if call.method != "POST":
            return self.refuse_undocumented(f"{call.method} {call.path}", 405)
        if call.headers.get("content-type") != "application/x-www-form-urlencoded":
            return self.refuse_undocumented(f"{call.path}: content type {call.headers.get('content-type')}", 415)
        try:
            pairs = parse_qsl(call.body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
        except ValueError:
            return self.refuse_undocumented(f"{call.path}: the body is no form")
        form = dict(pairs)
        general = {"apikey"} if call.path == "/auth.php" else {"apikey", "sessionToken"}
        unknown = form.keys() - general - {*documented.required, *documented.optional}
        missing = (general | {*documented.required}) - form.keys() - documented.lacking.keys()
        if unknown or missing or len(form) != len(pairs):
            names = f"unknown {sorted(unknown)}, missing {sorted(missing)}, {len(pairs)} in all"
            return self.refuse_undocumented(f"{call.path}: {names}")
        return form

    def _taken(self, path: str, form: dict[str, str]) -> dict[str, Any] | None:
        if self._tls is None:
            raise Refusal("notSSL")
        for refusal in self._refusals:
            if refusal[0] == path:
                self._refusals.remove(refusal)
                raise Refusal(refusal[1])
        if form["apikey"] != self.key:
            known_format = re.fullmatch(r"[A-Za-z0-9]{32}", form["apikey"])
            raise Refusal("invalid apikey - not in db" if known_format else "invalid apikey format")
        if path != "/auth.php":
            self._check_token(form["sessionToken"])
        for parameter, word in DOCUMENTED[path].lacking.items():
            if not form.get(parameter):
                raise Refusal(word)
        result: dict[str, Any] | None = getattr(self, "_" + path[1:-4])(form)
        return result

    def _check_token(self, token: str) -> None:
        given_s = self.tokens.get(token)
        if given_s is None:
            raise Refusal("sessionAuthenticationFailure")
        if self.uses_left == 0:
            self.expire()
            self.uses_left = None
            raise Refusal("sessionTimeout")
        if self.now_s - given_s > TOKEN_S:
            raise Refusal("sessionTimeout")
        if self.uses_left is not None:
            self.uses_left -= 1

    def _json(self, answer: dict[str, Any]) -> web.Response:
        return web.Response(text=json.dumps(self._shaped(answer)), content_type="application/json")

    def _shaped(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._shaped(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._shaped(item) for item in value]
        return str(value) if self.textual and isinstance(value, int) else value

    def _map(self, pairs: Iterable[tuple[str, Any]]) -> Any:
        """A PHP map; PHP writes one without entries as a list, whatever it writes otherwise."""
        entries = dict(pairs)
        return list(entries.values()) if self.listed or not entries else entries

    def _auth(self, form: dict[str, str]) -> dict[str, Any]:
        if (form["userid"], form["password"]) != (self.userid, self.password):
            raise Refusal("invalidLogin")
        token = f"VhvF93vCXKScVlxdh2332343j4oFdXC8R7lkF3FX{self.counts['/auth.php']:04d}+/="
        self.tokens[token] = self.now_s
        return {"sessionToken": token}

    # --- audits ------------------------------------------------------------------------------------------------------

    def _saGetAuditList(self, form: dict[str, str]) -> dict[str, Any]:
        scans = [_listed_audit(audit) for audit in self.audits.values() if audit.readings >= self.unlisted]
        for audit in self.audits.values():
            self._step(audit)
        return {"scancount": len(scans), **({"scans": scans} if scans else {})}

    def _step(self, audit: StandInAudit) -> None:
        """Another reading of the list has passed."""
        audit.readings += 1
        done = audit.readings - self.unlisted
        if done >= self.steps and not audit.started_s:
            audit.started_s = self.now_s + 60
        elif done >= 2 * self.steps and not audit.completed_s:
            audit.completed_s = self.now_s + 1800

    def _saGetAuditReport(self, form: dict[str, str]) -> dict[str, Any]:
        audit = self.audits.get(int(form["scanuid"])) if form["scanuid"].isdigit() else None
        if audit is None or not audit.completed_s:
            raise Refusal(f"reportLoadFailure[{1 if audit is None else 2}]")
        return {"scaninfo": self._report(audit)}

    def _saRunAudit(self, form: dict[str, str]) -> None:
        kind, ipaddr = form["audittype"], form.get("ipaddr", "127.0.0.1")
        if kind not in ("advanced", "standard", "norisk", "desktop", "basic"):
            raise Refusal("invalidAuditType")
        if kind not in self.subscribed:
            raise Refusal("notEntitled")
        addresses = ipaddr.split(",")
        if not all(map(self.auditable, addresses)):
            raise Refusal("IPPermissionsProblem")
        if form.get("notification", "OCMP") != "OCMP":
            self.undocumented.append(f"notification {form['notification']}")
        if kind == "norisk":
            self._note_norisk(addresses)
        for address in addresses:
            audit = self.audits[int(self.add_audit(address, kind))]
            audit.excludedos, audit.notification = "excludedos" in form, form.get("notification", "")

    def _note_norisk(self, addresses: list[str]) -> None:
        if any(self.now_s - self._norisk.get(address, -MONTH_S) < MONTH_S for address in addresses):
            raise Refusal("noriskAlreadyRun")
        self._norisk.update(dict.fromkeys(addresses, self.now_s))

    def _report(self, audit: StandInAudit) -> dict[str, Any]:
        risk = {group: len(entries) for group, entries in audit.entries.items()}
        entries = {group: self._map(entries.items()) for group, entries in audit.entries.items()}
        count = sum(risk.values())
        return {
            "basic": {
                "detail_supplement": 0, "ejtime": str(audit.completed_s), "hostip": audit.hostip, "merge": 0,
                "mergelist": "", "promocode": "", "qjtime": audit.queued_s, "reporttype": "full", "scanattr": "",
                "scanportstcp": "1-1024", "scantype": audit.type, "scanuid": audit.scanuid, "sjtime": audit.started_s,
                "title": f"Audit of {audit.hostip}", "totalnaslentries": count,
            },
            **({"entries": entries} if entries else {}),
            "ports": [
                {
                    "repid": str(audit.scanuid), "hostip": audit.hostip, "portend": -1, "portnum": "443",
                    "portprot": "TCP", "portservice": "https",
                }
            ],
            "risk": risk or [],
            "riskcatgrid": {f"Web:{group}": number for group, number in risk.items()} or [],
        }  # fmt: skip

    # --- DNS: domains ------------------------------------------------------------------------------------------------

    def _account(self) -> dict[str, Any]:
        count = len(self.zones)
        return {
            "domaincount": count, "domainweight": count, "expiryjtime": 1_798_761_600,
            "expiryreadable": "Fri Jan  1 00:00:00 2027",
        }  # fmt: skip

    def _dnsGetDomainList(self, form: dict[str, str]) -> dict[str, Any]:
        domains = self._map((str(zone.seq), _listed_zone(zone)) for zone in self.zones.values())
        return {**self._account(), "domains": domains}

    def _dnsGetDomainRecords(self, form: dict[str, str]) -> dict[str, Any]:
        zone = self._zone(form)
        records = (
            (str(one.seq), {"seq": str(one.seq), "type": one.type, "data": dict(one.data)}) for one in zone.records
        )
        return {
            "domain": zone.domain, "state": zone.state, "stateText": STATES[zone.state], "records": self._map(records)
        }  # fmt: skip

    def _dnsAddDomain(self, form: dict[str, str]) -> None:
        if form["aup"] != "YES":
            raise Refusal("mustAcceptAUP")
        _check_domain(form)
        if form["domaintype"] not in ("master", "slave"):
            raise Refusal("syntaxInvalidDomainType")
        if form["domain"] in self.zones:
            raise Refusal("unableToAddDuplicate")
        self.add_zone(form["domain"], domaintype=form["domaintype"], on_hold=True)

    def _dnsDeleteDomain(self, form: dict[str, str]) -> dict[str, Any]:
        _check_domain(form)
        if self.zones.pop(form["domain"], None) is None:
            raise Refusal("domainNotDeleted")
        return self._account()

    def _dnsPublish(self, form: dict[str, str]) -> dict[str, Any]:
        _check_domain(form)
        zone = self._zone(form)
        warnings = self.warnings.get(zone.domain, [])
        errors = [*([ON_HOLD] if zone.is_on_hold else []), *self.errors.get(zone.domain, [])]
        answer = {name: texts for name, texts in (("warnings", warnings), ("errors", errors)) if texts}
        if errors:
            zone.state = 1
            return {"status": self.failed_status, **answer}
        zone.state, zone.published = 2, list(zone.records)
        for hook in self.on_publish:
            hook(zone.domain, list(zone.records))
        return answer

    def _dnsBuildZone(self, form: dict[str, str]) -> dict[str, Any]:
        _check_domain(form)
        return {"zone": zone_file(self._zone(form))}

    def _dnsSetSOA(self, form: dict[str, str]) -> None:
        _check_domain(form)
        if "admin" not in form and "ttl" not in form:
            raise Refusal("missingInput")
        if not form.get("ttl", "0").isdigit():
            raise Refusal("syntaxInvalidTTL")
        if "@" not in form.get("admin", "@"):
            raise Refusal("syntaxInvalidAdmin")
        zone = self._zone(form)
        soa = next(record for record in zone.records if record.type == "SOA")
        soa.data |= {"min": int(form["ttl"])} if "ttl" in form else {}
        soa.data |= {"mail": form["admin"].replace("@", ".")} if "admin" in form else {}
        zone.state = 0

    def _dnsSetOptions(self, form: dict[str, str]) -> None:
        _check_domain(form)
        if "alsonotify" in form and "notify" not in form:
            raise Refusal("logicAlsoNotifyRequiresNotify")
        if not re.fullmatch(r"[0-9a-f.:,; ]*", form.get("masters", "")):
            raise Refusal("syntaxInvalidMasters")
        zone = self._zone(form)
        given = {name: form.get(name, "") for name in ("allowtransferacl", "notify", "alsonotify")}
        zone.records = [record for record in zone.records if record.type != "Options"]
        self._add(zone, "Options", given)

    # --- DNS: records ------------------------------------------------------------------------------------------------

    def _dnsDeleteRecord(self, form: dict[str, str]) -> None:
        if not form["seq"].isdigit():
            raise Refusal("syntaxInvalidSeq")
        for zone in self.zones.values():
            left = [record for record in zone.records if record.seq != int(form["seq"])]
            if len(left) < len(zone.records):
                zone.records, zone.state = left, 0
                return
        raise Refusal("recordNotDeleted")

    def _dnsAddA(self, form: dict[str, str]) -> None:
        _check_syntax(form, name=("syntaxInvalidHostname", _HOST), ip=("syntaxInvalidIP", r"[0-9.]+"))
        self._record(form, "A", {"name": form["name"], "data": form["ip"]})

    def _dnsAddAAAA(self, form: dict[str, str]) -> None:
        _check_syntax(
            form, name=("syntaxInvalidHostname", _HOST), ip=("syntaxInvalidIP", r"[0-9a-fA-F.]*:[0-9a-fA-F:.]*")
        )
        self._record(form, "AAAA", {"name": form["name"], "data": form["ip"]})

    def _dnsAddCNAME(self, form: dict[str, str]) -> None:
        _check_syntax(form, alias=("syntaxInvalidCNAME", _HOST), name=("syntaxInvalidHostname", _HOST))
        self._record(form, "CNAME", {"name": form["alias"], "data": form["name"]})

    def _dnsAddMX(self, form: dict[str, str]) -> None:
        _check_syntax(
            form, name=("syntaxInvalidMX", _HOST), mxname=("syntaxInvalidHostname", _HOST + "+"),
            priority=("syntaxInvalidPriority", r"[0-9]{1,2}"),
        )  # fmt: skip
        self._record(form, "MX", {"pri": int(form["priority"]), "host": form["name"], "data": form["mxname"]})

    def _dnsAddNS(self, form: dict[str, str]) -> None:
        _check_syntax(form, subdomain=("syntaxInvalidSubdomain", _HOST), nameserver=("syntaxInvalidHostname", _HOST))
        self._record(form, "NS", {"name": form["subdomain"], "data": form["nameserver"]})

    def _dnsAddCAA(self, form: dict[str, str]) -> None:
        _check_syntax(
            form, subdomain=("syntaxInvalidSubdomain", _HOST), flag=("syntaxInvalidFlag", r"[0-9]{1,3}"),
            tag=("syntaxInvalidTag", "issue|issuewild|iodef"),
        )  # fmt: skip
        data = {"name": form["subdomain"], "flag": int(form["flag"]), "tag": form["tag"], "caaval": form["value"]}
        self._record(form, "CAA", data)

    def _dnsAddTXT(self, form: dict[str, str]) -> None:
        _check_syntax(form, name=("syntaxInvalidTxtname", _HOST), txtdata=("syntaxInvalidTxtdata", r".+"))
        self._record(form, "TXT", {"name": form["name"], "data": form["txtdata"]})

    def _dnsAddSRV(self, form: dict[str, str]) -> None:
        number = r"[0-9]{1,5}"
        _check_syntax(
            form, srvc=("syntaxInvalidSrvc", _HOST), prot=("syntaxInvalidProt", _HOST),
            host=("syntaxInvalidHostname", _HOST), target=("syntaxInvalidTarget", _HOST),
            pri=("syntaxInvalidPriority", number), weight=("syntaxInvalidWeight", number),
            port=("syntaxInvalidPort", number),
        )  # fmt: skip
        numbers = {name: int(form[name]) for name in ("pri", "weight", "port")}
        texts = {name: form[name] for name in ("srvc", "prot", "host", "target")}
        self._record(form, "SRV", texts | numbers)

    def _record(self, form: dict[str, str], type: str, data: dict[str, Any]) -> None:
        self._add(self._zone(form), type, data)

    def _zone(self, form: dict[str, str]) -> StandInZone:
        zone = self.zones.get(form["domain"])
        if zone is None:
            raise Refusal("noSuchDomain")
        return zone

    def _add(self, zone: StandInZone, type: str, data: dict[str, Any]) -> None:
        """A change: it is not validated until it is published."""
        zone.records.append(StandInRecord(self._next_seq(), type, data))
        zone.state = 0

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq


_HOST = r"(\*|[A-Za-z0-9_.*-]*)"


def _check_domain(form: dict[str, str]) -> None:
    if not re.fullmatch(r"([A-Za-z0-9_-]{1,63}\.)+[A-Za-z]{2,63}", form["domain"]):
        raise Refusal("syntaxInvalidDomain")


def _check_syntax(form: dict[str, str], **rules: tuple[str, str]) -> None:
    """Raises the word of the first parameter that does not match its pattern."""
    _check_domain(form)
    for parameter, (word, pattern) in rules.items():
        if not re.fullmatch(pattern, form[parameter]):
            raise Refusal(word)


def _default_soa(domain: str) -> dict[str, Any]:
    return {
        "priNS": "ns1.securityspace.net.", "mail": f"hostmaster.{domain}", "refresh": 10800, "retry": 3600,
        "exp": 604800, "min": 86400,
    }  # fmt: skip


def _listed_zone(zone: StandInZone) -> dict[str, Any]:
    return {
        "domain": zone.domain, "seq": zone.seq, "weight": 1, "state": zone.state, "stateText": STATES[zone.state]
    }  # fmt: skip


def _listed_audit(audit: StandInAudit) -> dict[str, Any]:
    """Times are texts; one that has not come yet is empty (its end) or 0 (its start)."""
    return {
        "scanuid": str(audit.scanuid), "folder": "Inbox", "hostip": audit.hostip,
        "time_end": str(audit.completed_s or ""), "time_queued": str(audit.queued_s),
        "time_start": str(audit.started_s), "type": audit.type,
    }  # fmt: skip


def zone_file(zone: StandInZone) -> str:
    """What dnsBuildZone gives."""
    lines = [f"$ORIGIN {zone.domain}."]
    lines += [f"; {record.type} {json.dumps(record.data, sort_keys=True)}" for record in zone.records]
    return "\n".join(lines) + "\n"


def entry(scanuid: int, number: int, risk: str, hostip: str, **fields: Any) -> dict[str, Any]:
    """An entry of an audit report, with every field of the schema."""
    return {
        "repid": str(scanuid), "id": f"1.3.6.1.4.1.25623.1.0.{number}", "shortid": str(number), "ip": hostip,
        "port": "443/tcp", "cat": "Web", "cve": "", "entrykey": f"{scanuid}_{number}", "risk": risk, "shortkey": number,
        "static_description": "What the test looks for.", "description": "What the test found.",
        "title": f"Test {number}", "type": "HOLE", "baseline": "", **fields,
    }  # fmt: skip


def sample_entries(scanuid: int, hostip: str) -> dict[str, dict[str, dict[str, Any]]]:
    """One finding in each risk group."""
    samples = [
        entry(scanuid, 58, "high", hostip, title="OpenSSL reads beyond its buffer", cve="CVE-2014-0160, CVE-2014-0346"),
        entry(scanuid, 59, "medium", hostip, title="TLS 1.0 is accepted", cve="CVE-2011-3389"),
        entry(scanuid, 60, "low", hostip, title="TCP timestamps", port="general/tcp", type="NOTE"),
        entry(scanuid, 61, "other", hostip, title="Open ports", port="0", type="LOG"),
    ]
    return {sample["risk"]: {sample["entrykey"]: sample} for sample in samples}


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(context)
    return context
