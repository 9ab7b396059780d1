"""DDactic: what of a verified domain a flood could hit.

Source: contract/posture.md "DDactic"; DDactic's API page, whose sections the methods name. All six calls, typed;
fields that are
not documented stay in `raw`. Beyond what each method names, a call raises PlatformUnreachable, OffContract or a
PlatformRefused: CredentialsRefused (401), PermissionRefused (403; the text says which type of key is needed), NotFound
(404), InvalidCall (400), Conflict (409), RateLimited (429, later than `manner.max_wait_s`), PlatformFailed (5xx). An
argument that the document does not allow is a PostureUsage, which names the call and the field; nothing is sent then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args
from urllib.parse import quote

from gateway.errors import OffContract, PermissionRefused, PlatformRefused, PostureUsage
from gateway.posture.answer import Node
from gateway.posture.client.caller import Call, Caller, Reply
from gateway.posture.client.decoding import aside
from gateway.posture.client.envelope import read_refusal
from gateway.posture.client.manner import Manner
from gateway.posture.document import MAX_ID
from gateway.posture.domain import Domain, Verification
from gateway.posture.finding import Finding, Remediation
from gateway.posture.scan import Counts, Scan, read_status
from gateway.posture.severity import SEVERITIES, Severity
from gateway.posture.watching import Clock, Watcher

PROVIDER = "ddactic"
ScanType = Literal["passive", "active", "full"]
ReportFormat = Literal["json", "pdf", "html"]
ReportType = Literal["executive", "technical", "full"]

PAGE = 100
"""Most domains of one answer ("List all verified domains")."""
_MOST_DOMAINS = 1_000_000
"""Of one listing: an account has fewer, and a platform that always has one more page must not keep us for ever."""
_NAME_CHARACTERS = 253  # RFC 1035 2.3.4
_URL_CHARACTERS = 2048
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class DomainPage:
    """A part of the organization's domains. total: of all of them, as the platform counts."""

    domains: tuple[Domain, ...]
    total: int


class DDactic:
    """The account that `key` belongs to. key: a secret, sent as `Authorization: Bearer KEY`; one of type read may make
    the calls that read, one of type write all of them.

        async with DDactic("key") as ddactic:
            scan = await ddactic.start_scan("dom_abc123", type="active")

    Raises PostureUsage for a key that no header can carry.
    """

    def __init__(
        self, key: str, *, base_url: str = "https://api.ddactic.net/v1", manner: Manner | None = None,
        watcher: Watcher | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        if not key or not all("!" <= one <= "~" for one in key):
            raise PostureUsage(f"{PROVIDER} key: expected visible ASCII characters without spaces, at least one")
        self.caller = Caller(
            PROVIDER, base_url, manner or Manner(), headers={"Authorization": f"Bearer {key}"}, secrets=(key,),
            watcher=watcher, clock=clock, judge=_judge,
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Safe to call twice; a call after it opens what it needs anew."""
        await self.caller.close()

    async def domain_page(self, *, limit: int = 50, offset: int = 0) -> DomainPage:
        """`GET /domains` ("Domains"): at most `limit` domains (1 to 100), from the one with the number `offset` on."""
        name = "GET /domains"
        _check_integer(name, "limit", limit, 1, PAGE)
        _check_integer(name, "offset", offset, 0, None)
        query = {"limit": str(limit), "offset": str(offset)}
        return await self.caller.read(Call("GET", "/domains", is_read=True, query=query), _page)

    async def domains(self, *, limit: int | None = None) -> AsyncIterator[Domain]:
        """Every domain of `domain_pages`."""
        async for page in self.domain_pages(limit=limit):
            for domain in page.domains:
                yield domain

    async def domain_pages(self, *, limit: int | None = None) -> AsyncIterator[DomainPage]:
        """`GET /domains` in pages of 100: every domain once, or the first `limit` of them.

        Ends at `total`, at an empty page and at one that only repeats what came before. Raises OffContract for a
        platform that has not come to an end after a million.
        """
        _check_integer("GET /domains", "limit", limit, 0, None, optional=True)
        seen: set[str] = set()
        offset, total = 0, 1
        while offset < total and (limit is None or len(seen) < limit):
            if offset >= _MOST_DOMAINS:
                raise OffContract(PROVIDER, "GET /domains", "total", str(total), f"at most {_MOST_DOMAINS}")
            page = await self.domain_page(limit=PAGE, offset=offset)
            new = [one for one in _once_each(page.domains) if one.id not in seen]
            kept = new if limit is None else new[: limit - len(seen)]
            seen.update(domain.id for domain in kept)
            yield DomainPage(tuple(kept), page.total)
            offset, total = offset + len(page.domains), page.total if new else 0

    async def add_domain(self, name: str) -> Domain:
        """`POST /domains` ("Domains"): the domain, not yet verified; `verification` says what its DNS must have."""
        call = Call("POST", "/domains", is_read=False, json={"domain": name})
        _check_text(call.name, "domain", name, _NAME_CHARACTERS)
        return _added(await self.caller.json(call))

    async def start_scan(
        self, domain_id: str, *, type: ScanType | str = "passive", webhook_url: str | None = None
    ) -> Scan:
        """`POST /scans` ("Scans"): the scan as it was queued; `estimated_s` is how long it may take. `target` is None,
        for the platform does not say it here. webhook_url: http(s), is told when it is over.

        Raises Conflict (scan_in_progress) while another scan of the domain runs, InvalidCall (invalid_domain) for a
        domain that is not verified, PlatformUnreachable with `maybe_taken` if it may have been started all the same.
        """
        self.check_scan(type=type, webhook_url=webhook_url)
        body = {"domain_id": domain_id, "type": type}
        call = Call("POST", "/scans", is_read=False, json=body)
        _check_text(call.name, "domain_id", domain_id, MAX_ID)
        if webhook_url is not None:
            body["webhook_url"] = webhook_url
        return _scan(await self.caller.json(call), type)

    def check_scan(self, *, type: ScanType | str = "passive", webhook_url: str | None = None) -> None:
        """What `start_scan` checks of them, for who has other calls to make before. Raises PostureUsage."""
        _check_word("POST /scans", "type", type, get_args(ScanType))
        if webhook_url is not None:
            _check_url("POST /scans", webhook_url)

    async def scan(self, scan_id: str) -> Scan:
        """`GET /scans/{scan_id}` ("Scans"): how far it is; times, score and counts once there are any."""
        node = await self.caller.json(_reading("/scans/{}", scan_id))
        scan = _scan(node)
        if scan.id != scan_id:
            raise node["scan_id"].off("the id that was asked for")
        return scan

    async def findings(self, scan_id: str) -> list[Finding]:
        """`GET /scans/{scan_id}/findings` ("Findings"): all of them, in the platform's order. Raises OffContract
        for two that have the same id, of which one would hide the other, and for over 100,000."""
        call = _reading("/scans/{}/findings", scan_id)
        return await self.caller.read(call, lambda answer: _findings(answer, scan_id))

    async def report(
        self, scan_id: str, *, format: ReportFormat | str = "json", type: ReportType | str = "technical"
    ) -> bytes:
        """`GET /scans/{scan_id}/report` ("Reports"): the document as it came, at most `manner.max_answer_bytes`.

        Raises Conflict or NotFound before the scan is completed, OffContract for what is not of the format: JSON that
        cannot be read, a PDF that does not begin with `%PDF-`, HTML that is empty.
        """
        call = _reading("/scans/{}/report", scan_id, format=format, type=type)
        _check_word(call.name, "format", format, get_args(ReportFormat))
        _check_word(call.name, "type", type, get_args(ReportType))
        reply = await self.caller.call(call)
        return await aside(reply.body, lambda: self._document(call, format, reply))

    def _document(self, call: Call, format: str, reply: Reply) -> bytes:
        """The body, once it is what was asked for; without secrets."""
        body = reply.body
        if format == "json":
            self.caller.decoded(call, reply)
        elif format == "pdf" and not body.startswith(b"%PDF-"):
            raise self._off(call, reply, "a PDF, which begins with %PDF-")
        elif not body.strip():
            raise self._off(call, reply, "HTML that is not empty")
        if format == "pdf":
            return body  # not searched for secrets: its tables count bytes, and its texts are compressed
        return self.caller.redaction.body(body)

    def _off(self, call: Call, reply: Reply, expected: str) -> OffContract:
        name = self.caller.redaction.text(call.name)
        return OffContract(PROVIDER, name, "", self.caller.described(reply), expected)


# --- what comes -------------------------------------------------------------------------------------------------------


def _judge(provider: str, call: str, status: int, body: bytes) -> PlatformRefused:
    """As the envelope says; where the key may not do this, with the type of key that may ("Key Types")."""
    error = read_refusal(provider, call, status, body)
    if not isinstance(error, PermissionRefused):
        return error
    needed = f"a {'read' if call.startswith('GET ') else 'write'} key is needed"
    message = f"{error.message} ({needed})" if error.message else needed
    return PermissionRefused(provider, call, status, error.code, message)


def _page(answer: Node) -> DomainPage:
    return DomainPage(tuple(_listed(node) for node in answer["domains"].items()), _total(answer))


def _total(answer: Node) -> int:
    total = answer.integer("total")
    if total < 0:
        raise answer["total"].off("a whole number from 0 on")
    return total


def _once_each(domains: Sequence[Domain]) -> list[Domain]:
    return list({one.id: one for one in domains}.values())


def _listed(node: Node) -> Domain:
    verification = _verification(node["verification"]) if node.has("verification") else None
    return Domain(
        _identifier(node, "id"), _identifier(node, "name"), node.flag("verified"), verification,
        node.moment("last_scan"), node.optional_number("risk_score"), node.raw,
    )  # fmt: skip


def _added(node: Node) -> Domain:
    verification = _verification(node["verification"])
    return Domain(_identifier(node, "id"), _identifier(node, "domain"), None, verification, None, None, node.raw)


def _verification(node: Node) -> Verification:
    return Verification(_identifier(node, "method"), _identifier(node, "record"))


def _scan(node: Node, type: str | None = None) -> Scan:
    return Scan(
        _identifier(node, "scan_id"), PROVIDER, node.optional_text("domain"), type or node.optional_text("type"),
        read_status(node.text("status")), started_at=node.moment("started_at"),
        completed_at=node.moment("completed_at"), risk_score=node.optional_number("risk_score"),
        estimated_s=node.optional_integer("estimated_time"),
        counts=_counts(node["findings_count"]) if node.has("findings_count") else None, raw=node.raw,
    )  # fmt: skip


def _counts(node: Node) -> Counts:
    """`info` is not documented, and 0 where it is not there."""
    if not isinstance(node.raw, dict):
        raise node.off("an object")
    return Counts(**{severity: node.optional_integer(severity) or 0 for severity in SEVERITIES})


def _findings(answer: Node, scan_id: str) -> list[Finding]:
    found: dict[str, Finding] = {}
    for node in answer["findings"].items():
        finding = _finding(node, scan_id)
        if found.setdefault(finding.id, finding) != finding:
            raise node["id"].off("an id that no other finding of the scan has")
    return list(found.values())


def _finding(node: Node, scan_id: str) -> Finding:
    remediation = _remediation(node["remediation"]) if node.has("remediation") else None
    return Finding(
        _identifier(node, "id"), PROVIDER, scan_id, _severity(node["severity"]), node.text("title"),
        node.text("description"), node.text("affected_asset"), None, (), None, remediation, node.raw,
    )  # fmt: skip


def _remediation(node: Node) -> Remediation:
    return Remediation(node.text("summary"), node.texts("cli_commands"))


def _severity(node: Node) -> Severity:
    word = node.as_text().lower()
    for severity in SEVERITIES:
        if word == severity:
            return severity
    raise node.off(_listing(SEVERITIES))


def _identifier(node: Node, key: str) -> str:
    """A text that other calls are made with, or that people look for: empty it would be of no use."""
    text = node.text(key)
    if not text:
        raise node[key].off("a text that is not empty")
    return text


# --- what is sent -----------------------------------------------------------------------------------------------------


def _reading(template: str, scan_id: str, **query: str) -> Call:
    """A GET of something of a scan; the id is one segment of the path, whatever it holds."""
    name = f"GET {template.format('{scan_id}')}"
    if not isinstance(scan_id, str) or not 0 < len(scan_id) <= MAX_ID or not scan_id.isprintable():
        raise _usage(name, "scan_id", scan_id, f"1 to {MAX_ID} printable characters")
    if scan_id in (".", ".."):  # steps of a path in every notation (RFC 3986 5.2.4)
        raise _usage(name, "scan_id", scan_id, "an id")
    return Call("GET", template.format(quote(scan_id, safe="")), is_read=True, query=query)


def _check_text(call: str, field: str, value: object, most: int) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable() or " " in value:
        raise _usage(call, field, value, f"1 to {most} printable characters without spaces")


def _check_word(call: str, field: str, value: object, words: Sequence[str]) -> None:
    if value not in words:
        raise _usage(call, field, value, _listing(words))


def _check_integer(
    call: str, field: str, value: object, least: int, most: int | None, *, optional: bool = False
) -> None:
    if optional and value is None:
        return
    fits = isinstance(value, int) and not isinstance(value, bool) and least <= value
    if not fits or (most is not None and isinstance(value, int) and value > most):
        upward = "on" if most is None else f"to {most}"
        raise _usage(call, field, value, f"a whole number from {least} {upward}")


def _check_url(call: str, value: str) -> None:
    _check_text(call, "webhook_url", value, _URL_CHARACTERS)
    if not value.lower().startswith(("https://", "http://")):
        raise _usage(call, "webhook_url", value, "an https:// or http:// URL")


def _usage(call: str, field: str, value: object, expected: str) -> PostureUsage:
    shown = repr(value) if len(repr(value)) <= _SHOWN else repr(value)[: _SHOWN - 3] + "..."
    return PostureUsage(f"{PROVIDER} {call}: {field}: got {shown}; expected {expected}")


def _listing(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
