"""A stand-in of DDactic, written from its document alone (seeds 000).

It refuses, and notes in `undocumented`, what the document does not have: paths, methods, keys of queries and bodies,
types of values, a `limit` over 100, an Authorization that is no Bearer. Where the document is silent, the choice is an
argument. Nothing depends on a clock: scans and verifications go on with the polls that ask for them, and the rate limit
ends when `now_s` reaches `reset_s`.

    with DDacticStandIn(domains=["example.com"], polls=2) as ddactic:
        client = DDactic("write-key", base_url=ddactic.url)
"""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from posture.standin.server import Received, StandIn

KEYS = {"read-key": "read", "write-key": "write", "admin-key": "admin"}
PERMISSIONS = {"read": {"GET"}, "write": {"GET", "POST"}, "admin": set[str]()}
"""By "Key Types": an admin key manages the organization and its users, which none of the six calls does."""
FIRST_SCAN = datetime(2025, 12, 17, 10, 30, tzinfo=UTC)
RESET_S = 1702900000.0
"""That of the document's example."""
FINDINGS: list[dict[str, Any]] = [
    {
        "id": "F-001",
        "severity": "critical",
        "title": "Origin IP Exposed",
        "description": "Origin server directly accessible...",
        "affected_asset": "192.0.2.1",
        "remediation": {
            "summary": "Restrict origin access to CDN IPs",
            "cli_commands": ["iptables -I INPUT -p tcp --dport 443 -s CDN_IP_RANGE -j ACCEPT"],
        },
    },
    {
        "id": "F-002",
        "severity": "medium",
        "title": "No Rate Limit",
        "description": "The login page answers without a limit.",
        "affected_asset": "example.com",
        "remediation": {"summary": "Limit requests by address", "cli_commands": []},
    },
]
_DOMAIN_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])")
_TYPES = ("passive", "active", "full")
_REPORT_TYPES = ("executive", "technical", "full")
_MEDIA_TYPES = {"json": "application/json", "pdf": "application/pdf", "html": "text/html"}


@dataclass
class RunningScan:
    """A scan on its way. polls: how often it was asked for; ends: as what, once it was asked often enough."""

    id: str
    domain: dict[str, Any]
    type: str
    webhook_url: str | None
    started_at: datetime
    ends: str
    findings: list[dict[str, Any]]
    status: str = "queued"
    polls: int = 0


@dataclass
class RateLimit:
    """Of requests a minute. now_s reaches reset_s: `left` is `limit` again."""

    limit: int = 300
    left: int = 300
    reset_s: float = RESET_S
    refuse: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class DDacticStandIn(StandIn):
    """domains: names (verified) or whole objects, unknown fields and all; keys: key -> read, write or admin; findings:
    what a scan that is started now will find; polls: how many GET /scans/{id} a scan takes (queued, running, ..., its
    end); outcome: completed or failed; verify_after: how many GET /domains an added domain takes, None = until
    `see_record` or `published` says so; published: name -> the TXT texts that its DNS has; lists_unverified: GET
    /domains has domains that are not verified yet; unfinished: status of a report before the scan is over, 409 or 404;
    scans_a_day: of the plan, None = unlimited.
    """

    def __init__(
        self,
        *,
        domains: Iterable[str | Mapping[str, Any]] = ("example.com",),
        keys: Mapping[str, str] | None = None,
        findings: Sequence[Mapping[str, Any]] = FINDINGS,
        polls: int = 2,
        outcome: str = "completed",
        verify_after: int | None = 2,
        published: Callable[[str], Iterable[str]] | None = None,
        lists_unverified: bool = True,
        unfinished: int = 409,
        scans_a_day: int | None = None,
        risk_score: float = 4.2,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        super().__init__("/v1")
        self.keys = dict(KEYS if keys is None else keys)
        self.findings: list[dict[str, Any]] = [dict(one) for one in findings]
        self.polls = polls
        self.outcome = outcome
        self.verify_after = verify_after
        self.published = published
        self.lists_unverified = lists_unverified
        self.unfinished = unfinished
        self.scans_a_day = scans_a_day
        self.risk_score = risk_score
        self.rate = RateLimit()
        self.reports: dict[str, bytes] = {}
        self.domains: list[dict[str, Any]] = []
        self.records: dict[str, str] = {}
        self.scans: dict[str, RunningScan] = {}
        self._looks: dict[str, int] = {}
        self._now_s = now_s
        for one in domains:
            self.add_domain(one)

    # --- what a test does ---------------------------------------------------------------------------------------------

    def add_domain(self, domain: str | Mapping[str, Any], *, verified: bool = True) -> dict[str, Any]:
        """A domain of the organization; an object is listed as it is."""
        number = len(self.domains) + 1
        if isinstance(domain, str):
            domain = {
                "id": f"dom_{number:04}", "name": domain, "verified": verified, "last_scan": None, "risk_score": None,
            }  # fmt: skip
        self.domains.append(dict(domain))
        return self.domains[-1]

    def see_record(self, name: str) -> None:
        """The record of the domain was found: it is verified."""
        self._domain_named(name)["verified"] = True

    def exhaust(self, calls: int = 1, *, reset_s: float = RESET_S, headers: Mapping[str, str] | None = None) -> None:
        """The next `calls` calls are refused with 429; reset_s: Unix time that they are told; headers: besides, such as
        Retry-After."""
        self.rate.refuse, self.rate.reset_s, self.rate.headers = calls, reset_s, dict(headers or {})

    def finish(self, scan_id: str, outcome: str = "completed") -> None:
        """The scan is over, whoever has asked."""
        scan = self.scans[scan_id]
        scan.ends, scan.polls = outcome, self.polls
        self._end(scan)

    def event(self, name: str, scan_id: str) -> dict[str, Any]:
        """The payload of a webhook about a scan ("Webhook Payload")."""
        scan = self.scans[scan_id]
        data = {"scan_id": scan.id, "domain": scan.domain["name"], "risk_score": self.risk_score}
        return {"event": name, "timestamp": _iso(scan.started_at + timedelta(minutes=5)), "data": data}

    # --- what the platform does ---------------------------------------------------------------------------------------

    async def answer(self, call: Received) -> web.StreamResponse:
        limited = self._spend()
        response = limited or self._unauthorized(call) or self._route(call)
        rate = self.rate
        response.headers["X-RateLimit-Limit"] = str(rate.limit)
        response.headers["X-RateLimit-Remaining"] = "0" if limited else str(rate.left)
        response.headers["X-RateLimit-Reset"] = str(int(rate.reset_s))
        if limited:
            response.headers.update(rate.headers)
        return response

    def _spend(self) -> web.Response | None:
        rate = self.rate
        if rate.refuse > 0:
            rate.refuse -= 1
            return _error(429, "rate_limited", "Too many requests")
        if rate.left <= 0 and self._now_s() >= rate.reset_s:
            rate.left = rate.limit
        if rate.left <= 0:
            return _error(429, "rate_limited", "Too many requests")
        rate.left -= 1
        return None

    def _unauthorized(self, call: Received) -> web.Response | None:
        """401 for a key that is missing or unknown, 403 for one whose type may not do this."""
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or key not in self.keys:
            return _error(401, "unauthorized", "Invalid or missing API key")
        if call.method in ("GET", "POST") and call.method not in PERMISSIONS[self.keys[key]]:
            return _error(403, "forbidden", "Insufficient permissions")
        return None

    def _route(self, call: Received) -> web.Response:
        steps = [unquote(step) for step in call.path.strip("/").split("/")]
        match (call.method, *steps):
            case ("GET", "domains"):
                return self._list_domains(call)
            case ("POST", "domains"):
                return self._post_domain(call)
            case ("POST", "scans"):
                return self._post_scan(call)
            case ("GET", "scans", scan_id):
                return self._refused_reading(call) or self._get_scan(scan_id)
            case ("GET", "scans", scan_id, "findings"):
                return self._refused_reading(call) or self._get_findings(scan_id)
            case ("GET", "scans", scan_id, "report"):
                return self._get_report(call, scan_id)
        return self.refuse_undocumented(f"{call.method} {call.path}", 404)

    def _refused_reading(self, call: Received, query: Iterable[str] = ()) -> web.Response | None:
        """Keys of the query that are not documented, or a body."""
        unknown = set(call.query) - set(query)
        if unknown or call.body:
            return self.refuse_undocumented(f"{call.method} {call.path}: {sorted(unknown) or 'a body'}")
        return None

    def _read_body(self, call: Received, required: str, optional: Iterable[str] = ()) -> Any:
        """The object, of texts alone; or the refusal."""
        what = f"{call.method} {call.path}"
        if call.query or call.headers.get("content-type", "").partition(";")[0] != "application/json":
            return self.refuse_undocumented(f"{what}: a query, or no application/json")
        try:
            body = call.json
        except ValueError:
            return self.refuse_undocumented(f"{what}: no JSON")
        if not isinstance(body, dict) or required not in body or set(body) - {required, *optional}:
            return self.refuse_undocumented(f"{what}: {body!r}")
        wrong = [key for key, value in body.items() if not isinstance(value, str)]
        return self.refuse_undocumented(f"{what}: {wrong} must be texts") if wrong else body

    # --- domains ------------------------------------------------------------------------------------------------------

    def _list_domains(self, call: Received) -> web.Response:
        if refused := self._refused_reading(call, ("limit", "offset")):
            return refused
        given = {"limit": "50", "offset": "0", **call.query}
        if not all(re.fullmatch(r"[0-9]{1,9}", value) for value in given.values()):
            return self.refuse_undocumented(f"GET /domains: {given}")
        limit, offset = int(given["limit"]), int(given["offset"])
        if not 1 <= limit <= 100:
            return self.refuse_undocumented(f"GET /domains: limit {limit}")
        self._verify()
        listed = [one for one in self.domains if self.lists_unverified or one["verified"]]
        return web.json_response({"domains": listed[offset : offset + limit], "total": len(listed)})

    def _verify(self) -> None:
        for name, record in self.records.items():
            self._looks[name] += 1
            waited = self.verify_after is not None and self._looks[name] > self.verify_after
            if waited or (self.published is not None and record in self.published(name)):
                self.see_record(name)

    def _post_domain(self, call: Received) -> web.Response:
        body = self._read_body(call, "domain")
        if isinstance(body, web.Response):
            return body
        name = body["domain"]
        if not _DOMAIN_NAME.fullmatch(name.lower()):
            return _error(400, "invalid_domain", "Invalid domain", domain=name)
        known = [one for one in self.domains if one["name"] == name]
        domain = known[0] if known else self.add_domain(name, verified=False)
        record = self.records.setdefault(name, f"ddactic-verify={domain['id']}xyz")
        self._looks.setdefault(name, 0)
        verification = {"method": "dns_txt", "record": record}
        return web.json_response({"id": domain["id"], "domain": name, "verification": verification})

    def _domain_named(self, name: str) -> dict[str, Any]:
        return next(one for one in self.domains if one["name"] == name)

    # --- scans --------------------------------------------------------------------------------------------------------

    def _post_scan(self, call: Received) -> web.Response:
        body = self._read_body(call, "domain_id", ("type", "webhook_url"))
        if isinstance(body, web.Response):
            return body
        if body.get("type", "passive") not in _TYPES:
            return self.refuse_undocumented(f"POST /scans: type {body['type']}")
        domain = next((one for one in self.domains if one["id"] == body["domain_id"]), None)
        if domain is None:
            return _error(404, "not_found", "Resource doesn't exist", domain_id=body["domain_id"])
        return self._refused_scan(domain) or self._start(domain, body)

    def _refused_scan(self, domain: dict[str, Any]) -> web.Response | None:
        if not domain["verified"]:
            return _error(400, "invalid_domain", "Domain not verified", domain=domain["name"])
        if any(one.domain is domain and one.status in ("queued", "running") for one in self.scans.values()):
            return _error(409, "scan_in_progress", "Scan already running for domain", domain=domain["name"])
        if self.scans_a_day is not None and len(self.scans) >= self.scans_a_day:
            return _error(429, "rate_limited", "Too many scans today")
        return None

    def _start(self, domain: dict[str, Any], body: dict[str, str]) -> web.Response:
        number = len(self.scans) + 1
        scan = RunningScan(
            f"scn_{number:04}", domain, body.get("type", "passive"), body.get("webhook_url"),
            FIRST_SCAN + timedelta(hours=number - 1), self.outcome, copy.deepcopy(self.findings),
        )  # fmt: skip
        self.scans[scan.id] = scan
        return web.json_response({"scan_id": scan.id, "status": "queued", "estimated_time": 300})

    def _get_scan(self, scan_id: str) -> web.Response:
        scan = self.scans.get(scan_id)
        if scan is None:
            return _not_found(scan_id)
        self._advance(scan)
        return web.json_response(self._described(scan))

    def _advance(self, scan: RunningScan) -> None:
        """queued -> running -> its end, by the polls."""
        if scan.status in ("completed", "failed"):
            return
        scan.polls += 1
        if scan.polls >= self.polls:
            self._end(scan)
        elif scan.polls > 1 or self.polls == 2:
            scan.status = "running"

    def _end(self, scan: RunningScan) -> None:
        scan.status = scan.ends
        if scan.ends == "completed":
            scan.domain |= {"last_scan": _iso(scan.started_at + timedelta(minutes=5)), "risk_score": self.risk_score}

    def _described(self, scan: RunningScan) -> dict[str, Any]:
        described: dict[str, Any] = {"scan_id": scan.id, "domain": scan.domain["name"], "status": scan.status}
        if scan.status != "queued":
            described["started_at"] = _iso(scan.started_at)
        if scan.status == "completed":
            words = [one["severity"] for one in scan.findings]
            counts = {word: words.count(word) for word in ("critical", "high", "medium", "low")}
            described["completed_at"] = _iso(scan.started_at + timedelta(minutes=5))
            described |= {"risk_score": self.risk_score, "findings_count": counts}
        return described

    def _get_findings(self, scan_id: str) -> web.Response:
        scan = self.scans.get(scan_id)
        if scan is None:
            return _not_found(scan_id)
        return web.json_response({"findings": scan.findings if scan.status == "completed" else []})

    # --- reports ------------------------------------------------------------------------------------------------------

    def _get_report(self, call: Received, scan_id: str) -> web.Response:
        if refused := self._refused_reading(call, ("format", "type")):
            return refused
        format, type = call.query.get("format", "json"), call.query.get("type", "technical")
        if format not in _MEDIA_TYPES or type not in _REPORT_TYPES:
            return self.refuse_undocumented(f"GET {call.path}: format {format}, type {type}")
        scan = self.scans.get(scan_id)
        if scan is None:
            return _not_found(scan_id)
        if scan.status != "completed":
            code = "not_found" if self.unfinished == 404 else "scan_in_progress"
            return _error(self.unfinished, code, "Scan is not completed", scan_id=scan_id)
        body = self.reports.get(format) or self._written(scan, format, type)
        return web.Response(body=body, content_type=_MEDIA_TYPES[format])

    def _written(self, scan: RunningScan, format: str, type: str) -> bytes:
        if format == "pdf":
            return f"%PDF-1.4\n% {type} report of {scan.id}\n%%EOF\n".encode()
        if format == "html":
            return f"<!doctype html><title>{type} report of {scan.id}</title>".encode()
        return json.dumps({**self._described(scan), "type": type, "findings": scan.findings}).encode()


def _error(status: int, code: str, message: str, **details: str) -> web.Response:
    """The envelope of "Error Handling"."""
    return web.json_response({"error": {"code": code, "message": message, "details": details}}, status=status)


def _not_found(scan_id: str) -> web.Response:
    return _error(404, "not_found", "Resource doesn't exist", scan_id=scan_id)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
