"""The calls of SecuritySpace's document (REST API Guide): parameters and errors, in its own words."""

from __future__ import annotations

from dataclasses import dataclass, field

_KEY = ("notSSL", "invalid apikey format", "invalid apikey - not in db")
_SA = (*_KEY, "sessionTimeout", "sessionAuthenticationFailure")
_DNS = (*_SA, "dbConnectionFailure", "dnsEntitlementsOrCreditsMissing")
_EDIT = (*_DNS, "syntaxInvalidDomain", "noSuchDomain", "unspecifiedError")


@dataclass(frozen=True)
class Documented:
    """A call of the document: its parameters besides apikey and sessionToken, and its errors. lacking: a parameter ->
    the error that the document has for its absence; of any other parameter the absence is undocumented."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    lacking: dict[str, str] = field(default_factory=dict)


DOCUMENTED: dict[str, Documented] = {
    "/auth.php": Documented(
        ("userid", "password"),
        errors=(
            *_KEY, "missing credentials", "invalidLogin", "sysErrEntitlementLoad", "tokenCreation", "sysErrdoLogin",
        ),
        lacking={"userid": "missing credentials", "password": "missing credentials"},
    ),
    "/saGetAuditList.php": Documented(errors=_SA),
    "/saGetAuditReport.php": Documented(("scanuid",), errors=(*_SA, "reportLoadFailure[3]")),
    "/saRunAudit.php": Documented(
        ("audittype",),
        ("ipaddr", "excludedos", "notification"),
        (
            *_SA, "missingAuditType", "invalidAuditType", "IPPermissionsProblem", "missingScanClientsRec",
            "notEntitled", "noriskAlreadyRun",
        ),
        {"audittype": "missingAuditType"},
    ),
    "/dnsGetDomainList.php": Documented(errors=(*_DNS, "dnsDomainRetrievalFailure")),
    "/dnsGetDomainRecords.php": Documented(("domain",), errors=(*_DNS, "dnsDomainRetrievalFailure", "noSuchDomain")),
    "/dnsAddDomain.php": Documented(
        ("domain", "domaintype", "aup"),
        errors=(
            *_DNS, "mustAcceptAUP", "syntaxInvalidDomain", "syntaxInvalidDomainType", "unableToAddSystem",
            "unspecifiedError", "unableToAddDuplicate",
        ),
        lacking={"aup": "mustAcceptAUP"},
    ),
    "/dnsDeleteDomain.php": Documented(
        ("domain",), errors=(*_DNS, "syntaxInvalidDomain", "domainNotDeleted", "unspecifiedError")
    ),
    "/dnsDeleteRecord.php": Documented(("seq",), errors=(*_DNS, "syntaxInvalidSeq", "recordNotDeleted")),
    "/dnsAddA.php": Documented(
        ("domain", "name", "ip"), errors=(*_EDIT, "syntaxInvalidHostname", "syntaxInvalidIP")
    ),
    "/dnsAddAAAA.php": Documented(
        ("domain", "name", "ip"), errors=(*_EDIT, "syntaxInvalidHostname", "syntaxInvalidIP")
    ),
    "/dnsAddCNAME.php": Documented(
        ("domain", "alias", "name"), errors=(*_EDIT, "syntaxInvalidCNAME", "syntaxInvalidHostname")
    ),
    "/dnsAddMX.php": Documented(
        ("domain", "name", "mxname", "priority"),
        errors=(*_EDIT, "syntaxInvalidMX", "syntaxInvalidHostname", "syntaxInvalidPriority"),
    ),
    "/dnsAddNS.php": Documented(
        ("domain", "subdomain", "nameserver"), errors=(*_EDIT, "syntaxInvalidSubdomain", "syntaxInvalidHostname")
    ),
    "/dnsAddCAA.php": Documented(
        ("domain", "subdomain", "flag", "tag", "value"),
        errors=(*_EDIT, "syntaxInvalidSubdomain", "syntaxInvalidFlag", "syntaxInvalidTag"),
    ),
    "/dnsAddTXT.php": Documented(
        ("domain", "name", "txtdata"), errors=(*_EDIT, "syntaxInvalidTxtname", "syntaxInvalidTxtdata")
    ),
    # The document's input rows of SRV have port twice and no domain; its errors have syntaxInvalidDomain, noSuchDomain.
    "/dnsAddSRV.php": Documented(
        ("domain", "srvc", "prot", "host", "pri", "weight", "port", "target"),
        errors=(
            *_EDIT, "syntaxInvalidSrvc", "syntaxInvalidProt", "syntaxInvalidHostname", "syntaxInvalidTarget",
            "syntaxInvalidPriority", "syntaxInvalidWeight", "syntaxInvalidPort",
        ),
    ),
    "/dnsSetSOA.php": Documented(
        ("domain",), ("admin", "ttl"), (*_EDIT, "missingInput", "syntaxInvalidTTL", "syntaxInvalidAdmin")
    ),
    "/dnsSetOptions.php": Documented(
        ("domain",),
        ("masters", "allowtransferacl", "notify", "alsonotify"),
        (
            *_EDIT, "syntaxInvalidMasters", "syntaxInvalidAllowtransferacl", "syntaxInvalidNotify",
            "syntaxInvalidAlsoNotify", "logicAlsoNotifyRequiresNotify",
        ),
    ),
    "/dnsPublish.php": Documented(("domain",), errors=_EDIT),
    "/dnsBuildZone.php": Documented(("domain",), errors=_EDIT),
}  # fmt: skip
