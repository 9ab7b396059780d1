"""SecuritySpace: security audits of addresses, and DNS.

    async with SecuritySpace("key", "user", "password") as securityspace:
        for audit in await securityspace.audits():
            ...

Source: SecuritySpace's REST API Guide, and contract/posture.md 'SecuritySpace' for what it leaves open. Every call
is a POST
of a form over TLS, with a session token that is fetched by the first call and renewed when the platform says that it
has expired; the call that it was said to is then repeated once, whatever it does: it was refused before it was taken.

Every method raises PostureUsage for an argument that the platform would not take, before anything is sent; and
PlatformUnreachable, OffContract or a PlatformRefused (`client/refusal.py` has every documented word and its exception).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from gateway.errors import PlatformRefused, PostureUsage
from gateway.posture.answer import Node
from gateway.posture.client.argument import AUDIT_TYPES, DOMAIN_TYPES, check, usage
from gateway.posture.client.audit import PROVIDER, read_audits, read_report
from gateway.posture.client.caller import Call, Caller
from gateway.posture.client.dns import (
    RECORD_FIELDS,
    Publication,
    Record,
    Zone,
    ZoneAccount,
    ZoneList,
    ZoneRecords,
    read_account,
    read_publication,
    read_records,
    read_zones,
)
from gateway.posture.client.manner import Manner
from gateway.posture.client.refusal import EXPIRED, read_http_refusal, succeeded
from gateway.posture.client.session import Session, Ticket
from gateway.posture.scan import Scan, ScanResult
from gateway.posture.watching import Clock, Watcher

__all__ = [
    "AUDIT_TYPES",
    "BASE_URL",
    "DOMAIN_TYPES",
    "RECORD_FIELDS",
    "Publication",
    "Record",
    "SecuritySpace",
    "Zone",
    "ZoneAccount",
    "ZoneList",
    "ZoneRecords",
]

BASE_URL = "https://secure1.securityspace.com/api/"
Answer = TypeVar("Answer")
_READS = ("/saGet", "/dnsGet", "/dnsBuildZone")


class SecuritySpace:
    """The client of one account. key: its apikey; base_url: https:// alone, else PostureUsage; concurrency: calls at a
    time, at least 1; what more there are wait. Safe for many tasks of one event loop."""

    def __init__(
        self, key: str, userid: str, password: str, *, base_url: str = BASE_URL, concurrency: int = 4,
        manner: Manner | None = None, watcher: Watcher | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        if not base_url.lower().startswith("https://"):
            raise PostureUsage("securityspace: base_url: expected https://, this platform is asked over TLS alone")
        if concurrency < 1:
            raise PostureUsage(f"securityspace: concurrency: got {concurrency}; expected at least 1")
        self.caller = Caller(
            PROVIDER, base_url, manner or Manner(), headers={}, secrets=(key, password), watcher=watcher, clock=clock,
            judge=read_http_refusal,
        )  # fmt: skip
        self._key = key
        self._session = Session(self.caller, key, userid, password)
        self._places = asyncio.Semaphore(concurrency)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Forgets the token. Safe to call twice; a call after it logs in anew."""
        await self._session.close()
        await self.caller.close()

    # --- audits ------------------------------------------------------------------------------------------------------

    async def audits(self) -> list[Scan]:
        """saGetAuditList: every audit of the account, in the platform's order; no counts."""
        return await self._read("/saGetAuditList.php", {}, lambda answer: read_audits(succeeded(answer)))

    async def audit(self, scanuid: str) -> ScanResult:
        """saGetAuditReport: an audit and its findings. NotFound: there is no report (yet)."""
        return await self._read(
            "/saGetAuditReport.php", {"scanuid": scanuid}, lambda answer: read_report(scanuid, succeeded(answer))
        )

    async def audit_document(self, scanuid: str) -> Any:
        """saGetAuditReport: the answer as it came, with every field; secrets are `***`."""
        return (await self._ask("/saGetAuditReport.php", {"scanuid": scanuid})).raw

    async def run_audit(
        self, ipaddr: str | None, *, type: str, exclude_dos: bool = False, notify: bool = False
    ) -> None:
        """saRunAudit: queues an audit; which one it is, only the audit list tells. ipaddr: as in
        `192.168.1.*,10.1.1-2.32-63`; None is the address that we call from; type: of AUDIT_TYPES; exclude_dos: no
        denial of service tests; notify: a mail once it is completed. PermissionRefused, QuotaExhausted (norisk: one for
        each address a month)."""
        fields = {"ipaddr": ipaddr, "audittype": type}
        marks = {"excludedos": "1" if exclude_dos else None, "notification": "OCMP" if notify else None}
        await self._ask("/saRunAudit.php", _given(fields | marks))

    def check_audit(self, ipaddr: str | None, *, type: str) -> None:
        """Raises PostureUsage where run_audit would; nothing is sent, so that nothing needs to be before it."""
        self._check("/saRunAudit.php", _given({"ipaddr": ipaddr, "audittype": type}))

    # --- zones -------------------------------------------------------------------------------------------------------

    async def zones(self) -> ZoneList:
        """dnsGetDomainList: the account's domains."""
        return await self._read("/dnsGetDomainList.php", {}, lambda answer: read_zones(succeeded(answer)))

    async def zone(self, domain: str) -> ZoneRecords:
        """dnsGetDomainRecords: a domain with all its records, published or not. NotFound."""
        return await self._read(
            "/dnsGetDomainRecords.php", {"domain": domain}, lambda answer: read_records(succeeded(answer))
        )

    async def add_zone(self, domain: str, *, domaintype: str = "master") -> None:
        """dnsAddDomain, which accepts the platform's acceptable use policy (aup=YES). domaintype: of DOMAIN_TYPES. Name
        servers and a SOA record come with it; it is on hold, and unvalidated until it is published. Conflict: the
        account has it already."""
        await self._ask("/dnsAddDomain.php", {"domain": domain, "domaintype": domaintype, "aup": "YES"})

    async def delete_zone(self, domain: str) -> ZoneAccount:
        """dnsDeleteDomain, which cannot be undone: what is left. Name servers follow within 5 minutes. NotFound."""
        return read_account(await self._ask("/dnsDeleteDomain.php", {"domain": domain}))

    async def set_soa(self, domain: str, *, admin: str | None = None, ttl: int | str | None = None) -> None:
        """dnsSetSOA: at least one. admin: a mail address; ttl: the minimum TTL in seconds, 86400 by default."""
        fields = _given({"admin": admin, "ttl": None if ttl is None else str(ttl)})
        await self._set("/dnsSetSOA.php", domain, fields, "admin, ttl")

    async def set_options(
        self, domain: str, *, masters: str | None = None, allowtransferacl: str | None = None,
        notify: str | None = None, alsonotify: str | None = None,
    ) -> None:  # fmt: skip
        """dnsSetOptions: at least one, in the platform's own notation. masters: addresses, of a slave domain;
        allowtransferacl: who may transfer the zone; notify, alsonotify: which slaves are told of changes."""
        fields = _given(
            {"masters": masters, "allowtransferacl": allowtransferacl, "notify": notify, "alsonotify": alsonotify}
        )
        await self._set("/dnsSetOptions.php", domain, fields, "masters, allowtransferacl, notify, alsonotify")

    async def publish(self, domain: str) -> Publication:
        """dnsPublish: validates the domain and queues it for the name servers, which get it within 5 minutes. Errors
        that the validation finds are in what it returns; PlatformRefused is for a call that was not taken at all."""
        return await self._read("/dnsPublish.php", {"domain": domain}, read_publication)

    async def build_zone(self, domain: str) -> str:
        """dnsBuildZone: the zone file that dnsPublish would make. NotFound."""
        return (await self._ask("/dnsBuildZone.php", {"domain": domain})).text("zone")

    # --- records -----------------------------------------------------------------------------------------------------

    async def add_record(self, domain: str, type: str, fields: Mapping[str, str]) -> None:
        """dnsAddA, AAAA, CNAME, MX, NS, CAA, TXT or SRV, in any case. fields: as RECORD_FIELDS says for the type. The
        domain is unvalidated until it is published."""
        known = RECORD_FIELDS.get(type.upper())
        if known is None:
            raise usage("POST /dnsAddTYPE.php", "type", f"expected one of {', '.join(RECORD_FIELDS)}")
        path = f"/dnsAdd{type.upper()}.php"
        _check_names(f"POST {path}", known, fields)
        given = {name: fields.get(name, "") for name, _ in known}
        await self._ask(path, {"domain": domain, **given})

    async def delete_record(self, seq: str | int) -> None:
        """dnsDeleteRecord: by the `seq` of `zone`. The domain is unvalidated until it is published. NotFound."""
        await self._ask("/dnsDeleteRecord.php", {"seq": str(seq)})

    # --- one call ----------------------------------------------------------------------------------------------------

    async def _set(self, path: str, domain: str, fields: Mapping[str, str], choice: str) -> None:
        if not fields:
            raise usage(f"POST {path}", choice, "expected at least one of them")
        await self._ask(path, {"domain": domain, **fields})

    async def _ask(self, path: str, fields: Mapping[str, str] | None = None) -> Node:
        return await self._read(path, fields or {}, succeeded)

    async def _read(self, path: str, fields: Mapping[str, str], read: Callable[[Node], Answer]) -> Answer:
        """What `read` makes of the answer. If the token is refused: once more, with another."""
        self._check(path, fields)
        async with self._places:
            ticket = await self._session.ticket()
            try:
                return await self._send(path, fields, ticket, read)
            except PlatformRefused as error:
                if error.code not in EXPIRED:
                    raise
            return await self._send(path, fields, await self._session.ticket(after=ticket), read)

    def _check(self, path: str, fields: Mapping[str, str]) -> None:
        check(f"POST {path}", path, fields, self.caller.redaction.text)

    async def _send(
        self, path: str, fields: Mapping[str, str], ticket: Ticket, read: Callable[[Node], Answer]
    ) -> Answer:
        form = {"apikey": self._key, "sessionToken": ticket.token, **fields}
        return await self.caller.read(Call("POST", path, is_read=path.startswith(_READS), form=form), read)


def _given(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def _check_names(call: str, known: tuple[tuple[str, bool], ...], fields: Mapping[str, str]) -> None:
    names = [name for name, _ in known]
    for name in fields:
        if name not in names:
            raise usage(call, ascii(name)[:60], f"no such parameter; expected {', '.join(names)}")
    for name, required in known:
        if required and name not in fields:
            raise usage(call, name, "is missing")
