"""A stand-in of CyperSecurity, written from its document alone (seeds 001).

It refuses, and notes in `undocumented`, what the document does not have: paths, methods, keys of queries and bodies,
types of values, a `limit` over 100, types of scans and reports, events. Where the document is silent, the choice is an
argument. Nothing depends on a clock: scans and reports go on with the polls that ask for them, and the rate limit ends
when `now_s` reaches `reset_s`.

    with CyperSecurityStandIn(scans=250, polls=2) as platform:
        client = CyperSecurity("cyper-key", base_url=platform.url)
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from posture.standin.server import Received, StandIn

KEY = "cyper-key"
RESET_S = 1_735_646_400.0
FIRST_SCAN = datetime(2024, 12, 31, 12, tzinfo=UTC)
VULNERABILITIES: list[dict[str, Any]] = [
    {"title": "Outdated Apache Version", "severity": "medium", "cvss_score": 5.3, "cve_id": "CVE-2021-1234"},
    {"title": "Remote Code Execution", "severity": "critical", "cvss_score": 9.8, "cve_id": "CVE-2021-44228"},
]
"""The first is the document's."""
SERVICES = [{"port": 80, "protocol": "tcp", "service": "http", "version": "Apache 2.4.41"}]
EVENTS = {
    "scan.started", "scan.completed", "scan.failed", "vulnerability.found", "critical.finding", "payment.success",
    "payment.failed", "trial.expiring",
}  # fmt: skip
_STATUSES = ("pending", "running", "completed", "failed")
_SCAN_TYPES = ("nmap", "zap", "sqlmap")
_REPORT_TYPES = ("executive", "technical", "full")
PDF = b"%PDF-1.4\n% a report\n%%EOF\n"


@dataclass
class RunningScan:
    """polls: how often it was asked for; ends: as what, once it was asked often enough."""

    id: str
    target: str
    type: str
    options: dict[str, Any]
    created_at: datetime
    ends: str
    vulnerabilities: list[dict[str, Any]]
    status: str = "pending"
    polls: int = 0

    @property
    def completed_at(self) -> str:
        return _iso(self.created_at + timedelta(minutes=5, seconds=23))

    def listed(self) -> dict[str, Any]:
        """As "List Scans" has it."""
        found: dict[str, Any] = {
            "id": self.id, "target": self.target, "type": self.type, "status": self.status,
            "created_at": _iso(self.created_at),
        }  # fmt: skip
        if self.status == "completed":
            critical = sum(str(one.get("severity")).lower() == "critical" for one in self.vulnerabilities)
            found |= {"completed_at": self.completed_at, "findings_count": len(self.vulnerabilities)}
            found |= {"critical_count": critical}
        return found

    def details(self) -> dict[str, Any]:
        """As "Get Scan Details" has it."""
        found: dict[str, Any] = {
            "id": self.id, "target": self.target, "type": self.type, "status": self.status,
        }  # fmt: skip
        if self.status == "completed":
            found["results"] = {"services": SERVICES, "vulnerabilities": self.vulnerabilities}
        return found


@dataclass
class RateLimit:
    """Of requests an hour. now_s reaches reset_s: `left` is `limit` again."""

    limit: int = 1000
    left: int = 1000
    reset_s: float = RESET_S
    refuse: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class CyperSecurityStandIn(StandIn):
    """scans: a number of completed ones, or objects as `GET /scans` lists them; findings: what a scan that is started
    now will find; polls: how many GET /scans/{id} a scan takes (pending, running, ..., its end); outcome: completed or
    failed; report_polls: downloads that are refused before a report is ready, with not_ready: 404, 409 or 202; pdf: the
    report; quota: scans that may be started, then insufficient_quota with quota_status (429 or 403); bare: lists of
    webhooks and members come bare; tells_secrets: webhooks come with their secret; silent: PATCH and an invitation are
    answered 204, without a body.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str] = (KEY,),
        scans: int | Iterable[Mapping[str, Any]] = 0,
        findings: Sequence[Mapping[str, Any]] = VULNERABILITIES,
        polls: int = 2,
        outcome: str = "completed",
        report_polls: int = 2,
        not_ready: int = 404,
        pdf: bytes = PDF,
        quota: int | None = None,
        quota_status: int = 429,
        bare: bool = False,
        tells_secrets: bool = False,
        silent: bool = False,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        super().__init__("/v1")
        self.keys = set(keys)
        self.findings: list[dict[str, Any]] = [dict(one) for one in findings]
        self.polls = polls
        self.outcome = outcome
        self.report_polls = report_polls
        self.not_ready = not_ready
        self.pdf = pdf
        self.quota = quota
        self.quota_status = quota_status
        self.bare = bare
        self.tells_secrets = tells_secrets
        self.silent = silent
        self.rate = RateLimit()
        self.scans: dict[str, RunningScan] = {}
        self.listed: list[dict[str, Any]] = []
        self.reports: dict[str, int] = {}
        self.webhooks: list[dict[str, Any]] = []
        self.organization = {"id": "org_1", "name": "Acme Security", "industry": "technology", "plan": "pro"}
        self.members = [{"id": "user_1", "email": "owner@example.com", "role": "owner"}]
        self._now_s = now_s
        self._fill(scans)

    # --- what a test does ---------------------------------------------------------------------------------------------

    def exhaust(self, calls: int = 1, *, reset_s: float = RESET_S, headers: Mapping[str, str] | None = None) -> None:
        """The next `calls` calls are refused with 429; reset_s: Unix time that they are told; headers: besides, such as
        Retry-After."""
        self.rate.refuse, self.rate.reset_s, self.rate.headers = calls, reset_s, dict(headers or {})

    def leave(self, left: int, *, reset_s: float) -> None:
        """So many calls are left until then."""
        self.rate.left, self.rate.reset_s = left, reset_s

    def finish(self, scan_id: str, outcome: str = "completed") -> None:
        """The scan is over, whoever has asked."""
        self.scans[scan_id].status = outcome

    def event(self, name: str, scan_id: str) -> dict[str, Any]:
        """The payload of a webhook about a scan ("Payload Format")."""
        scan = self.scans[scan_id]
        counts = {key: scan.listed().get(key, 0) for key in ("findings_count", "critical_count")}
        moment = int((scan.created_at + timedelta(minutes=6)).timestamp())
        return {"event": name, "timestamp": moment, "data": {"scan_id": scan.id, "target": scan.target, **counts}}

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
            return _error(429, "rate_limit_exceeded", "Too many requests")
        if rate.left <= 0 and self._now_s() >= rate.reset_s:
            rate.left, rate.reset_s = rate.limit, rate.reset_s + 3600
        if rate.left <= 0:
            return _error(429, "rate_limit_exceeded", "Too many requests")
        rate.left -= 1
        return None

    def _unauthorized(self, call: Received) -> web.Response | None:
        if call.headers.get("x-api-key") in self.keys:
            return None
        return _error(401, "authentication_failed", "Invalid API key")

    def _route(self, call: Received) -> web.Response:
        steps = [unquote(step) for step in call.path.removeprefix("/").split("/")]
        if call.query and (call.method, *steps) != ("GET", "scans"):
            return self.refuse_undocumented(f"{call.method} {call.path}: a query")
        if call.method == "GET" and call.body:
            return self.refuse_undocumented(f"{call.method} {call.path}: a body")
        match (call.method, *steps):
            case ("GET", "scans"):
                return self._list_scans(call)
            case ("POST", "scans"):
                return self._post_scan(call)
            case ("GET", "scans", scan_id):
                return self._get_scan(scan_id)
            case ("POST", "scans", scan_id, "report"):
                return self._post_report(call, scan_id)
            case ("GET", "reports", report_id, "download"):
                return self._download(report_id)
            case ("GET", "webhooks"):
                return self._list("webhooks", self.webhooks)
            case ("POST", "webhooks"):
                return self._post_webhook(call)
            case ("GET", "organization"):
                return web.json_response(self.organization)
            case ("PATCH", "organization"):
                return self._patch_organization(call)
            case ("GET", "team", "members"):
                return self._list("members", self.members)
            case ("POST", "team", "members"):
                return self._post_member(call)
        return self.refuse_undocumented(f"{call.method} {call.path}", 404)

    def _read_body(self, call: Received, keys: Mapping[str, type]) -> Any:
        """The object, whose values are of these types; or the refusal."""
        what = f"{call.method} {call.path}"
        if call.headers.get("content-type", "").partition(";")[0] != "application/json":
            return self.refuse_undocumented(f"{what}: no application/json")
        try:
            body = call.json
        except ValueError:
            return self.refuse_undocumented(f"{what}: no JSON")
        if not isinstance(body, dict) or set(body) - set(keys):
            return self.refuse_undocumented(f"{what}: {body!r}")
        wrong = [key for key, value in body.items() if not isinstance(value, keys[key])]
        return self.refuse_undocumented(f"{what}: types of {wrong}") if wrong else body

    def _list(self, key: str, items: list[dict[str, Any]]) -> web.Response:
        shown = [one if self.tells_secrets else _without_secret(one) for one in items]
        return web.json_response(shown if self.bare else {key: shown})

    # --- scans --------------------------------------------------------------------------------------------------------

    def _fill(self, scans: int | Iterable[Mapping[str, Any]]) -> None:
        if not isinstance(scans, int):
            self.listed = [dict(one) for one in scans]
            return
        for _ in range(scans):
            self._add("example.com", "nmap", {}).status = "completed"

    def _add(self, target: str, type: str, options: dict[str, Any]) -> RunningScan:
        number = len(self.scans) + 1
        scan = RunningScan(
            f"scan_{number:04}", target, type, options, FIRST_SCAN + timedelta(hours=number - 1), self.outcome,
            copy.deepcopy(self.findings),
        )  # fmt: skip
        self.scans[scan.id] = scan
        return scan

    def _list_scans(self, call: Received) -> web.Response:
        given = {"limit": "20", "offset": "0", **call.query}
        status = given.pop("status", None)
        if set(given) != {"limit", "offset"} or not all(re.fullmatch(r"[0-9]{1,9}", one) for one in given.values()):
            return self.refuse_undocumented(f"GET /scans: {call.query}")
        limit, offset = int(given["limit"]), int(given["offset"])
        if not 1 <= limit <= 100 or (status is not None and status not in _STATUSES):
            return self.refuse_undocumented(f"GET /scans: {call.query}")
        newest_first = [one.listed() for one in reversed(self.scans.values())] + self.listed
        found = [one for one in newest_first if status in (None, one["status"])]
        page = found[offset : offset + limit]
        return web.json_response({"scans": page, "total": len(found), "limit": limit, "offset": offset})

    def _post_scan(self, call: Received) -> web.Response:
        body = self._read_body(call, {"target": str, "type": str, "options": dict})
        if isinstance(body, web.Response):
            return body
        if not body.get("target"):
            return _error(400, "invalid_request", "Target parameter is required", field="target")
        if body.get("type") not in _SCAN_TYPES:
            return self.refuse_undocumented(f"POST /scans: type {body.get('type')}")
        if self.quota is not None and len(self.scans) >= self.quota:
            return _error(self.quota_status, "insufficient_quota", "Scan limit exceeded")
        scan = self._add(body["target"], body["type"], body.get("options", {}))
        return web.json_response(scan.listed(), status=201)

    def _get_scan(self, scan_id: str) -> web.Response:
        scan = self.scans.get(scan_id)
        if scan is None:
            return _not_found()
        self._advance(scan)
        return web.json_response(scan.details())

    def _advance(self, scan: RunningScan) -> None:
        """pending -> running -> its end, by the polls."""
        if scan.status in ("completed", "failed"):
            return
        scan.polls += 1
        if scan.polls >= self.polls:
            scan.status = scan.ends
        elif scan.polls > 1 or self.polls == 2:
            scan.status = "running"

    # --- reports ------------------------------------------------------------------------------------------------------

    def _post_report(self, call: Received, scan_id: str) -> web.Response:
        body = self._read_body(call, {"format": str, "type": str})
        if isinstance(body, web.Response):
            return body
        if body.get("format") != "pdf" or body.get("type") not in _REPORT_TYPES:
            return self.refuse_undocumented(f"POST {call.path}: {body}")
        scan = self.scans.get(scan_id)
        if scan is None:
            return _not_found()
        if scan.status != "completed":
            return _error(400, "invalid_request", "Scan is not completed")
        report_id = f"report_{len(self.reports) + 1:04}"
        self.reports[report_id] = 0
        answer = {"report_id": report_id, "status": "generating", "download_url": None}
        return web.json_response(answer, status=202)

    def _download(self, report_id: str) -> web.Response:
        if report_id not in self.reports:
            return _not_found()
        self.reports[report_id] += 1
        if self.reports[report_id] > self.report_polls:
            return web.Response(body=self.pdf, content_type="application/pdf")
        if self.not_ready == 202:
            return web.json_response({"status": "generating"}, status=202)
        return _not_found() if self.not_ready == 404 else _error(409, "invalid_request", "Report is generating")

    # --- the account --------------------------------------------------------------------------------------------------

    def _post_webhook(self, call: Received) -> web.Response:
        body = self._read_body(call, {"url": str, "events": list, "secret": str})
        if isinstance(body, web.Response):
            return body
        missing = [key for key in ("url", "events", "secret") if not body.get(key)]
        if missing:
            return _error(400, "invalid_request", "Required", field=missing[0])
        unknown = [event for event in body["events"] if event not in EVENTS]
        if unknown or not body["url"].startswith(("https://", "http://")):
            return self.refuse_undocumented(f"POST /webhooks: {unknown or body['url']}")
        webhook = {"id": f"webhook_{len(self.webhooks) + 1:04}", **body, "created_at": _iso(FIRST_SCAN)}
        self.webhooks.append(webhook)
        return web.json_response(webhook if self.tells_secrets else _without_secret(webhook), status=201)

    def _patch_organization(self, call: Received) -> web.Response:
        body = self._read_body(call, {"name": str, "industry": str})
        if isinstance(body, web.Response):
            return body
        if not body:
            return self.refuse_undocumented("PATCH /organization: nothing")
        self.organization.update(body)
        return web.Response(status=204) if self.silent else web.json_response(self.organization)

    def _post_member(self, call: Received) -> web.Response:
        body = self._read_body(call, {"email": str, "role": str})
        if isinstance(body, web.Response):
            return body
        if "@" not in body.get("email", ""):
            return _error(400, "invalid_request", "Invalid e-mail", field="email")
        member = {"id": f"user_{len(self.members) + 1}", "email": body["email"], "role": body.get("role", "member")}
        self.members.append(member)
        return web.Response(status=204) if self.silent else web.json_response(member, status=201)


def _error(status: int, code: str, message: str, **details: str) -> web.Response:
    """The envelope of "Error Response Format"."""
    return web.json_response({"error": {"code": code, "message": message, "details": details}}, status=status)


def _not_found() -> web.Response:
    return _error(404, "not_found", "Resource doesn't exist")


def _without_secret(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "secret"}


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
