"""CyperSecurity: nmap, zap and sqlmap scans, their reports, and the account.

Source: contract/posture.md "CyperSecurity"; CyperSecurity's API Documentation, whose sections the methods name. All
eleven calls, typed; fields
that are not documented stay in `raw`. Beyond what each method names, a call raises PlatformUnreachable, OffContract or
a PlatformRefused: CredentialsRefused (authentication_failed), QuotaExhausted (insufficient_quota, whatever its status),
NotFound, InvalidCall (invalid_request; the text names the field), RateLimited (429, later than `manner.max_wait_s`),
PlatformFailed (internal_error). An argument that the document does not allow is a PostureUsage, which names the call
and the field; nothing is sent then.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args
from urllib.parse import quote, urlsplit

import orjson

from gateway.errors import OffContract, PlatformRefused, PostureUsage, QuotaExhausted, WaitExpired
from gateway.posture.answer import Node
from gateway.posture.client.caller import Call, Caller
from gateway.posture.client.manner import Manner
from gateway.posture.client.vulnerability import PROVIDER, read_findings, read_identifier, read_scan
from gateway.posture.document import MAX_ID
from gateway.posture.scan import Scan, ScanResult
from gateway.posture.watching import Clock, Watcher

ScanType = Literal["nmap", "zap", "sqlmap"]
ReportType = Literal["executive", "technical", "full"]
EVENTS = (
    "scan.started", "scan.completed", "scan.failed", "vulnerability.found", "critical.finding", "payment.success",
    "payment.failed", "trial.expiring",
)  # fmt: skip
"""What a webhook may be told ("Event Types")."""
PAGE = 100
"""Most scans of one answer ("List Scans")."""
_FILTERS = {
    "queued": "pending", "pending": "pending", "running": "running", "completed": "completed", "failed": "failed",
}  # fmt: skip
"""Our words and the platform's -> the platform's."""
_MOST_SCANS = 1_000_000
"""Of one listing: an account has fewer, and a platform that always has one more page must not keep us for ever."""
_TEXT_CHARACTERS = 2048
_MAIL_CHARACTERS = 254  # RFC 5321 4.5.3.1.3, less the angle brackets
_SHOWN = 60
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1035 2.3.1
_MAIL = re.compile(rf"[^@\s,;<>()\"]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")
_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class ScanPage:
    """A part of the account's scans. total: of all that match, as the platform counts."""

    scans: tuple[Scan, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Report:
    """A report that is being made. status: the platform's word, `generating` at first; raw: its own object."""

    id: str
    status: str
    raw: Any


class CyperSecurity:
    """The account that `key` belongs to. key: a secret, sent as `X-API-Key: KEY`.

        async with CyperSecurity("key") as cypersecurity:
            scan = await cypersecurity.start_scan("scanme.nmap.org", options={"ports": "1-1000"})

    Raises PostureUsage for a key that no header can carry.
    """

    def __init__(
        self, key: str, *, base_url: str = "https://api.cypersecurity.com/v1", manner: Manner | None = None,
        watcher: Watcher | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        if not key or not all("!" <= one <= "~" for one in key):
            raise PostureUsage(f"{PROVIDER} key: expected visible ASCII characters without spaces, at least one")
        self.caller = Caller(
            PROVIDER, base_url, manner or Manner(), headers={"X-API-Key": key}, secrets=(key,), watcher=watcher,
            clock=clock,
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Safe to call twice; a call after it opens what it needs anew."""
        await self.caller.close()

    # --- scans --------------------------------------------------------------------------------------------------------

    async def scan_page(self, *, limit: int = 20, offset: int = 0, status: str | None = None) -> ScanPage:
        """`GET /scans` ("List Scans"): at most `limit` scans (1 to 100), from the one with the number `offset` on.
        status: queued (or the platform's word for it, pending), running, completed or failed; None = any."""
        call = Call("GET", "/scans", is_read=True, query=self._listing(limit, offset, status))
        return await self.caller.read(call, _page)

    async def scans(self, *, status: str | None = None, limit: int | None = None) -> AsyncIterator[Scan]:
        """Every scan of `scan_pages`."""
        async for page in self.scan_pages(status=status, limit=limit):
            for scan in page.scans:
                yield scan

    async def scan_pages(self, *, status: str | None = None, limit: int | None = None) -> AsyncIterator[ScanPage]:
        """`GET /scans` in pages of 100: every scan once, or the first `limit` of them; status as `scan_page`.

        Ends at `total` and at an empty page. Raises OffContract for a platform that repeats its pages, or that has not
        come to an end after a million.
        """
        if limit is not None:
            self._check_integer("GET /scans", "limit", limit, 0, None)
        seen: set[str | None] = set()
        offset, total, repeated = 0, 1, 0
        while offset < total and (limit is None or len(seen) < limit):
            page = await self.scan_page(limit=PAGE, offset=offset, status=status)
            new = list({scan.id: scan for scan in page.scans if scan.id not in seen}.values())
            kept = new if limit is None else new[: limit - len(seen)]
            seen.update(scan.id for scan in kept)
            yield ScanPage(tuple(kept), page.total)
            if not page.scans:
                return
            offset, total, repeated = offset + len(page.scans), page.total, 0 if new else repeated + 1
            _check_progress(offset, total, repeated)

    async def start_scan(
        self, target: str, *, type: ScanType | str = "nmap", options: Mapping[str, Any] | None = None
    ) -> Scan:
        """`POST /scans` ("Create Scan"): the scan as it was queued. target: a host, address or URL; options: of the
        scanner, such as {"ports": "1-1000", "os_detection": True}: texts, whole numbers, true and false.

        Raises PlatformUnreachable with `maybe_taken` if it may have been started all the same.
        """
        name = "POST /scans"
        self._check_text(name, "target", target)
        self._check_word(name, "type", type, get_args(ScanType))
        body: dict[str, Any] = {"target": target, "type": type}
        if options:
            body["options"] = self._checked_options(name, options)
        return read_scan(await self.caller.json(Call("POST", "/scans", is_read=False, json=body)))

    async def scan(self, scan_id: str) -> ScanResult:
        """`GET /scans/{scan_id}` ("Get Scan Details"): how far it is and, once it is completed, what it found."""
        call = self._of("GET", "/scans/{}", "scan_id", scan_id)
        return await self.caller.read(call, lambda node: _result(node, scan_id))

    # --- reports ------------------------------------------------------------------------------------------------------

    async def generate_report(self, scan_id: str, *, type: ReportType | str = "technical") -> Report:
        """`POST /scans/{scan_id}/report` ("Generate Report"): a pdf, of which `download_report` gets the file."""
        call = self._of("POST", "/scans/{}/report", "scan_id", scan_id, {"format": "pdf", "type": type})
        self._check_word(call.name, "type", type, get_args(ReportType))
        node = await self.caller.json(call)
        return Report(read_identifier(node, "report_id"), node.text("status"), _without_secrets(node.raw))

    async def download_report(self, report_id: str) -> bytes | None:
        """`GET /reports/{report_id}/download` ("Download Report"): the pdf, at most `manner.max_answer_bytes`; None
        while it is not ready: 202, 404 with the code not_found, or 409.

        Raises OffContract for what does not begin with `%PDF-`.
        """
        call = self._of("GET", "/reports/{}/download", "report_id", report_id)
        try:
            reply = await self.caller.call(call)
        except PlatformRefused as error:
            if _is_not_yet(error):
                return None
            raise
        if reply.status == 202:
            return None
        if not reply.body.startswith(b"%PDF-"):
            came = self.caller.described(reply)
            raise OffContract(PROVIDER, self._shown(call.name), "", came, "a PDF, which begins with %PDF-")
        return reply.body

    async def report(self, scan_id: str, *, type: ReportType | str = "technical", deadline_s: float) -> bytes:
        """A report from the call that makes it to its pdf, asked for at growing intervals (`manner.pauses`). The
        `download_url` of an answer is never followed. deadline_s: seconds from now, besides what one call may take.

        Raises WaitExpired when it is not ready by then, OffContract when the platform says that it failed.
        """
        clock, pauses = self.caller.clock, self.caller.manner.pauses()
        ends_s = clock.now_s() + deadline_s
        report = await self.generate_report(scan_id, type=type)
        if report.status.lower() in ("failed", "error"):
            name = self._shown(f"POST /scans/{scan_id}/report")
            raise OffContract(PROVIDER, name, "status", f'"{report.status}"', "generating, or ready")
        while (body := await self.download_report(report.id)) is None:
            left_s = ends_s - clock.now_s()
            if left_s <= 0:
                what = self._shown(f"report {report.id} of scan {scan_id}")
                raise WaitExpired(f"{PROVIDER}: {what} was not ready within {deadline_s:g} s")
            await clock.sleep(min(next(pauses), left_s))
        return body

    # --- the account --------------------------------------------------------------------------------------------------

    async def webhooks(self) -> list[dict[str, Any]]:
        """`GET /webhooks` ("List Webhooks"): the platform's objects, without secrets. The answer is not documented: a
        list, bare or under `webhooks`."""
        return await self.caller.read(Call("GET", "/webhooks", is_read=True), lambda node: _listed(node, "webhooks"))

    async def create_webhook(self, url: str, events: Iterable[str], secret: str) -> dict[str, Any]:
        """`POST /webhooks` ("Create Webhook"): the platform's object, without the secret. url: http(s); events: of
        EVENTS, at least one; secret: signs what will be sent, never shown again."""
        name, wanted = "POST /webhooks", list(dict.fromkeys(events))
        self._check_url(name, url)
        if not wanted:
            raise self._usage(name, "events", wanted, "at least one event")
        for event in wanted:
            self._check_word(name, "events", event, EVENTS)
        if not isinstance(secret, str) or not secret or not secret.isprintable():
            raise PostureUsage(f"{PROVIDER} {name}: secret: expected printable characters, at least one")
        self.caller.redaction.add(secret)
        body = {"url": url, "events": wanted, "secret": secret}
        node = await self.caller.json(Call("POST", "/webhooks", is_read=False, json=body))
        read_identifier(node, "id")
        return _object(node)

    async def organization(self) -> dict[str, Any]:
        """`GET /organization` ("Get Organization"): the platform's object; its fields are not documented."""
        return await self.caller.read(Call("GET", "/organization", is_read=True), _object)

    async def update_organization(self, *, name: str | None = None, industry: str | None = None) -> dict[str, Any]:
        """`PATCH /organization` ("Update Organization"): only what is given is sent. Gives the platform's object, or
        what was sent if the answer, which is not documented, is empty."""
        given = {"name": name, "industry": industry}
        body = {key: value for key, value in given.items() if value is not None}
        if not body:
            raise PostureUsage(f"{PROVIDER} PATCH /organization: nothing to change: expected a name or an industry")
        for key, value in body.items():
            self._check_text("PATCH /organization", key, value, spaces=True)
        return await self._changed(Call("PATCH", "/organization", is_read=False, json=body))

    async def members(self) -> list[dict[str, Any]]:
        """`GET /team/members` ("List Team Members"): the platform's objects. The answer is not documented: a list, bare
        or under `members`."""
        call = Call("GET", "/team/members", is_read=True)
        return await self.caller.read(call, lambda node: _listed(node, "members"))

    async def invite(self, email: str, *, role: str = "member") -> dict[str, Any]:
        """`POST /team/members` ("Invite Member"): the platform's object, or what was sent if the answer, which is not
        documented, is empty. role: one word; of the roles only `member` is documented."""
        name = "POST /team/members"
        if not isinstance(email, str) or len(email) > _MAIL_CHARACTERS or not _is_mail(email):
            raise self._usage(name, "email", email, "a mail address such as teammate@example.com")
        if not isinstance(role, str) or not _ROLE.fullmatch(role):
            raise self._usage(name, "role", role, "one word such as member")
        return await self._changed(Call("POST", "/team/members", is_read=False, json={"email": email, "role": role}))

    async def _changed(self, call: Call) -> dict[str, Any]:
        reply = await self.caller.call(call)
        return await self.caller.made(call, reply, _object) if reply.body.strip() else dict(call.json)

    # --- what is sent -------------------------------------------------------------------------------------------------

    def _of(self, method: str, template: str, field: str, value: object, body: Any = None) -> Call:
        """A call about one thing; its id is one segment of the path, whatever it holds."""
        name = f"{method} {template.format('{' + field + '}')}"
        self._check_text(name, field, value, most=MAX_ID)
        if value in (".", ".."):  # steps of a path, in every notation (RFC 3986 5.2.4)
            raise self._usage(name, field, value, "an id")
        return Call(method, template.format(quote(str(value), safe="")), is_read=method == "GET", json=body)

    def _listing(self, limit: int, offset: int, status: str | None) -> dict[str, str]:
        self._check_integer("GET /scans", "limit", limit, 1, PAGE)
        self._check_integer("GET /scans", "offset", offset, 0, None)
        query = {"limit": str(limit), "offset": str(offset)}
        if status is not None:
            self._check_word("GET /scans", "status", status, tuple(_FILTERS))
            query["status"] = _FILTERS[status]
        return query

    def _checked_options(self, call: str, options: Mapping[str, Any]) -> dict[str, Any]:
        for key, value in options.items():
            self._check_text(call, "options", key)
            if not isinstance(value, (str, int)):
                raise self._usage(call, f"options.{key[:_SHOWN]}", value, "a text, a whole number, true or false")
        try:
            orjson.dumps(dict(options))
        except TypeError:  # a number of more than 64 bits, half a character
            expected = "what JSON can carry: numbers of at most 64 bits, whole characters"
            raise self._usage(call, "options", dict(options), expected) from None
        return dict(options)

    def _check_url(self, call: str, value: str) -> None:
        self._check_text(call, "url", value)
        try:
            parts = urlsplit(value)
            fits = parts.scheme.lower() in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            fits = False
        if not fits:
            raise self._usage(call, "url", value, "an https:// or http:// URL")

    def _check_text(
        self, call: str, field: str, value: object, *, most: int = _TEXT_CHARACTERS, spaces: bool = False
    ) -> None:
        fits = isinstance(value, str) and value.strip() and len(value) <= most and value.isprintable()
        if not fits or (not spaces and " " in str(value)):
            expected = f"1 to {most} printable characters{'' if spaces else ' without spaces'}"
            raise self._usage(call, field, value, expected)

    def _check_word(self, call: str, field: str, value: object, words: Collection[str]) -> None:
        if value not in words:
            *others, last = words
            raise self._usage(call, field, value, f"{', '.join(others)} or {last}")

    def _check_integer(self, call: str, field: str, value: object, least: int, most: int | None) -> None:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= (most or value)
        if not fits:
            upward = "on" if most is None else f"to {most}"
            raise self._usage(call, field, value, f"a whole number from {least} {upward}")

    def _usage(self, call: str, field: str, value: object, expected: str) -> PostureUsage:
        shown = self._shown(repr(value))
        shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
        return PostureUsage(f"{PROVIDER} {call}: {field}: got {shown}; expected {expected}")

    def _shown(self, text: str) -> str:
        return self.caller.redaction.text(text)


# --- what comes -------------------------------------------------------------------------------------------------------


def _page(answer: Node) -> ScanPage:
    total = answer.integer("total")
    if total < 0:
        raise answer["total"].off("a whole number from 0 on")
    return ScanPage(tuple(read_scan(node) for node in answer["scans"].items()), total)


def _result(node: Node, scan_id: str) -> ScanResult:
    scan = read_scan(node)
    if scan.id != scan_id:
        raise node["id"].off("the id that was asked for")
    return ScanResult(scan, read_findings(node, scan))


def _check_progress(offset: int, total: int, repeated: int) -> None:
    """One page that only repeats may be a scan that was started meanwhile and moved the others on; two are a loop."""
    if repeated == 2:
        raise OffContract(PROVIDER, "GET /scans", "scans", "the same scans again", "those that `offset` asks for")
    if offset >= _MOST_SCANS and offset < total:
        raise OffContract(PROVIDER, "GET /scans", "total", str(total), f"at most {_MOST_SCANS}")


def _is_not_yet(error: PlatformRefused) -> bool:
    """404 of a platform that knows the path and not (yet) the report; any 409 but one of a quota."""
    if error.status == 404:
        return error.code == "not_found"
    return error.status == 409 and not isinstance(error, QuotaExhausted)


def _is_mail(text: str) -> bool:
    return text.isprintable() and _MAIL.fullmatch(text) is not None


def _listed(answer: Node, key: str) -> list[dict[str, Any]]:
    if not isinstance(answer.raw, (list, dict)):
        raise answer.off(f"a list, or one under {key}")
    return [_object(one) for one in (answer if isinstance(answer.raw, list) else answer[key]).items()]


def _object(node: Node) -> dict[str, Any]:
    if not isinstance(node.raw, dict):
        raise node.off("an object")
    cleaned: dict[str, Any] = _without_secrets(node.raw)
    return cleaned


def _without_secrets(value: Any) -> Any:
    """The same without the keys that hold secrets, wherever they stand."""
    if isinstance(value, list):
        return [_without_secrets(one) for one in value]
    if isinstance(value, dict):
        return {key: _without_secrets(one) for key, one in value.items() if not _names_secret(key)}
    return value


def _names_secret(key: str) -> bool:
    return re.search(r"(^|[_-])secret$", key, re.IGNORECASE) is not None
