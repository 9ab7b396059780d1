"""What SecuritySpace says when it refuses: `{"status": <not 0>, "error": "<word>"}` with HTTP status 200.

Source: SecuritySpace's REST API Guide, 'API Error Indicators' and the error rows of each call. `status` is a number
in its schemas and a text
in its examples. The document copied some sentences from a neighbour's row, so that the words here are our own; they
name the parameter that is meant.
"""

from __future__ import annotations

import orjson

from gateway.errors import (
    Conflict,
    CredentialsRefused,
    InvalidCall,
    NotFound,
    PermissionRefused,
    PlatformFailed,
    PlatformRefused,
    QuotaExhausted,
)
from gateway.posture.answer import Node
from gateway.posture.client.envelope import read_refusal

EXPIRED = frozenset({"sessionTimeout", "sessionAuthenticationFailure"})
"""The token, not the call, was refused: with another token the call may be taken."""
_REPORT_LOAD_FAILURE = "reportLoadFailure"  # with a number in brackets behind it
_HTTP_OK = 200
_TEXT = 100

REFUSALS: dict[str, tuple[type[PlatformRefused], str]] = {
    "notSSL": (InvalidCall, "it was not asked over TLS"),
    "invalid apikey format": (CredentialsRefused, "apikey is not an API key"),
    "invalid apikey - not in db": (CredentialsRefused, "apikey is not known"),
    "missing credentials": (CredentialsRefused, "userid or password is missing"),
    "invalidLogin": (CredentialsRefused, "userid or password is wrong"),
    "sysErrEntitlementLoad": (PlatformFailed, "it cannot load what the account may use"),
    "tokenCreation": (PlatformFailed, "it cannot create a session"),
    "sysErrdoLogin": (PlatformFailed, "its log-in failed"),
    "sessionTimeout": (CredentialsRefused, "the session has expired"),
    "sessionAuthenticationFailure": (CredentialsRefused, "the session is not valid"),
    _REPORT_LOAD_FAILURE: (NotFound, "the report cannot be loaded: scanuid is not an audit's, or it is not completed"),
    "missingAuditType": (InvalidCall, "audittype is missing"),
    "invalidAuditType": (InvalidCall, "audittype is not valid"),
    "IPPermissionsProblem": (PermissionRefused, "the account may not audit one or more addresses of ipaddr"),
    "missingScanClientsRec": (PlatformFailed, "an internal error"),
    "notEntitled": (PermissionRefused, "the account has not subscribed to this audit"),
    "noriskAlreadyRun": (QuotaExhausted, "one norisk audit for each address a month, and this would be the second"),
    "dbConnectionFailure": (PlatformFailed, "it cannot reach its database"),
    "dnsEntitlementsOrCreditsMissing": (QuotaExhausted, "the DNS subscription has expired, or its credits are used up"),
    "dnsDomainRetrievalFailure": (PlatformFailed, "it cannot read its domains now; try again later"),
    "noSuchDomain": (NotFound, "the account has no such domain"),
    "mustAcceptAUP": (InvalidCall, "aup: the acceptable use policy was not accepted"),
    "syntaxInvalidDomain": (InvalidCall, "domain is not valid"),
    "syntaxInvalidDomainType": (InvalidCall, "domaintype is neither master nor slave"),
    "unableToAddSystem": (PlatformFailed, "the domain was not added"),
    "unableToAddDuplicate": (Conflict, "the account seems to have this domain already"),
    "unspecifiedError": (PlatformFailed, "it was not done, and no reason is given"),
    "domainNotDeleted": (NotFound, "the domain was not deleted; probably the account does not have it"),
    "syntaxInvalidSeq": (InvalidCall, "seq is not valid"),
    "recordNotDeleted": (NotFound, "the record was not deleted; probably there is none with this seq"),
    "syntaxInvalidHostname": (InvalidCall, "the host name is not valid"),
    "syntaxInvalidIP": (InvalidCall, "ip is not valid"),
    "syntaxInvalidCNAME": (InvalidCall, "alias is not valid"),
    "syntaxInvalidMX": (InvalidCall, "name is not valid"),
    "syntaxInvalidPriority": (InvalidCall, "the priority is not valid"),
    "syntaxInvalidSubdomain": (InvalidCall, "subdomain is not valid"),
    "syntaxInvalidFlag": (InvalidCall, "flag is not a number from 0 to 255"),
    "syntaxInvalidTag": (InvalidCall, "tag is none of issue, issuewild, iodef"),
    "syntaxInvalidTxtname": (InvalidCall, "name is not valid"),
    "syntaxInvalidTxtdata": (InvalidCall, "txtdata is not valid"),
    "syntaxInvalidSrvc": (InvalidCall, "srvc is not valid"),
    "syntaxInvalidProt": (InvalidCall, "prot is not valid"),
    "syntaxInvalidTarget": (InvalidCall, "target is not valid"),
    "syntaxInvalidWeight": (InvalidCall, "weight is not valid"),
    "syntaxInvalidPort": (InvalidCall, "port is not valid"),
    "missingInput": (InvalidCall, "neither ttl nor admin was given"),
    "syntaxInvalidTTL": (InvalidCall, "ttl is not valid"),
    "syntaxInvalidAdmin": (InvalidCall, "admin is not valid"),
    "syntaxInvalidMasters": (InvalidCall, "masters is not valid"),
    "syntaxInvalidAllowtransferacl": (InvalidCall, "allowtransferacl is not valid"),
    "syntaxInvalidNotify": (InvalidCall, "notify is not valid"),
    "syntaxInvalidAlsoNotify": (InvalidCall, "alsonotify is not valid"),
    "logicAlsoNotifyRequiresNotify": (InvalidCall, "alsonotify needs notify"),
}
"""Every documented word -> its exception and what it means."""


def is_success(answer: Node) -> bool:
    """True if `status` is 0 or "0". Raises OffContract if it is neither a number nor a text."""
    status = answer["status"]
    if isinstance(status.raw, bool) or not isinstance(status.raw, (int, float, str)):
        raise status.off("0, or another number with an error")
    return status.raw in (0, "0")


def succeeded(answer: Node) -> Node:
    """The answer itself. Raises the PlatformRefused that it is instead, or OffContract."""
    if not is_success(answer):
        raise refused(answer)
    return answer


def refused(answer: Node) -> PlatformRefused:
    """The exception of an answer whose status is not 0. Raises OffContract if it has no `error`."""
    word = _line(answer.text("error"))
    if not word:
        raise answer["error"].off("a word that says why")
    kind, sentence = _documented(word) or (InvalidCall, "")
    return kind(answer.provider, answer.call, _HTTP_OK, word, sentence)


def read_http_refusal(provider: str, call: str, status: int, body: bytes) -> PlatformRefused:
    """The exception of an HTTP status that is no success: none is documented, but an answer's word is taken where there
    is one. Of 429 and 5xx the status decides, and what is neither is nobody's passing fault: no call is repeated."""
    plain = read_refusal(provider, call, status, body)
    word = _word(body)
    if not word or 300 <= status < 400:
        return plain
    kind, sentence = _documented(word) or (type(plain), "")
    decided = type(plain) if status == 429 or status >= 500 or kind is PlatformFailed else kind
    return decided(provider, call, status, word, sentence)


def _documented(word: str) -> tuple[type[PlatformRefused], str] | None:
    return REFUSALS.get(_REPORT_LOAD_FAILURE if word.startswith(_REPORT_LOAD_FAILURE + "[") else word)


def _word(body: bytes) -> str:
    """`error` of the body; "" if there is none."""
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    word = decoded.get("error") if isinstance(decoded, dict) else None
    return _line(word) if isinstance(word, str) else ""


def _line(text: str) -> str:
    """On one line, at most 100 characters."""
    printable = "".join(one if one.isprintable() else " " for one in text[: 2 * _TEXT])
    return " ".join(printable.split())[:_TEXT]
