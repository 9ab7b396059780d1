"""The fields of a payload (contract section 2): what a check tells the Protection API about a request.

One row per field, in the contract's order. The configuration checks its field names against this table; the protection
side builds the payload from it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Field(NamedTuple):
    """One row.

    field: the name on the wire; source: where its value comes from, for people; limit_bytes: of the value's UTF-8 form
    before encoding, None = unlimited; keep: which end survives the cut; always: sent with every check and never cut for
    the 24 kB budget; type: `integer` and `number` are JSON numbers.
    """

    field: str
    source: str
    limit_bytes: int | None
    keep: Literal["start", "end"]
    always: bool
    type: Literal["string", "integer", "number"]


FIELDS: tuple[Field, ...] = (
    Field("Key", "config", None, "start", True, "string"),
    Field("IP", "client address", None, "start", True, "string"),
    Field("RequestModuleName", "constant", None, "start", True, "string"),
    Field("ModuleVersion", "constant", None, "start", True, "string"),
    Field("Port", "listener or trusted X-Forwarded-Port", None, "start", True, "integer"),
    Field("Protocol", "listener or trusted X-Forwarded-Proto", None, "start", True, "string"),
    Field("Method", "request method", None, "start", True, "string"),
    Field("TimeRequest", "now, microseconds since the epoch", None, "start", True, "integer"),
    Field("APIConnectionState", "constant", None, "start", True, "string"),
    Field("AuthorizationLen", "byte length of authorization", None, "start", True, "integer"),
    Field("CookiesLen", "byte length of cookie", None, "start", True, "integer"),
    Field("PostParamLen", "content-length", None, "start", True, "integer"),
    Field("ServerName", "config or host name", 512, "start", True, "string"),
    Field("ServerHostname", "host", 512, "start", True, "string"),
    Field("Host", "host", 512, "start", True, "string"),
    Field("Request", "raw request target", 2048, "start", True, "string"),
    Field("HeadersList", "header names", 512, "start", True, "string"),
    Field("ClientID", "x-datadome-clientid, else cookie datadome", 512, "start", False, "string"),
    Field("UserAgent", "user-agent", 768, "start", False, "string"),
    Field("Referer", "referer", 1024, "start", False, "string"),
    Field("Accept", "accept", 512, "start", False, "string"),
    Field("AcceptCharset", "accept-charset", 128, "start", False, "string"),
    Field("AcceptEncoding", "accept-encoding", 128, "start", False, "string"),
    Field("AcceptLanguage", "accept-language", 256, "start", False, "string"),
    Field("Origin", "origin", 512, "start", False, "string"),
    Field("Via", "via", 256, "start", False, "string"),
    Field("From", "from", 128, "start", False, "string"),
    Field("Connection", "connection", 128, "start", False, "string"),
    Field("Pragma", "pragma", 128, "start", False, "string"),
    Field("CacheControl", "cache-control", 128, "start", False, "string"),
    Field("ContentType", "content-type", 64, "start", False, "string"),
    Field("X-Requested-With", "x-requested-with", 128, "start", False, "string"),
    Field("X-Real-IP", "x-real-ip", 128, "start", False, "string"),
    Field("TrueClientIP", "true-client-ip", 128, "start", False, "string"),
    Field("SecCHDeviceMemory", "sec-ch-device-memory", 8, "start", False, "string"),
    Field("SecCHUA", "sec-ch-ua", 128, "start", False, "string"),
    Field("SecCHUAArch", "sec-ch-ua-arch", 16, "start", False, "string"),
    Field("SecCHUAFullVersionList", "sec-ch-ua-full-version-list", 256, "start", False, "string"),
    Field("SecCHUAMobile", "sec-ch-ua-mobile", 8, "start", False, "string"),
    Field("SecCHUAModel", "sec-ch-ua-model", 128, "start", False, "string"),
    Field("SecCHUAPlatform", "sec-ch-ua-platform", 32, "start", False, "string"),
    Field("SecFetchDest", "sec-fetch-dest", 32, "start", False, "string"),
    Field("SecFetchMode", "sec-fetch-mode", 32, "start", False, "string"),
    Field("SecFetchSite", "sec-fetch-site", 64, "start", False, "string"),
    Field("SecFetchUser", "sec-fetch-user", 8, "start", False, "string"),
    Field("UserID", "x-userid", 128, "start", False, "string"),
    Field("XForwardedForIP", "x-forwarded-for", 512, "end", False, "string"),
    Field("GraphQLOperationName", "body (opt-in)", 128, "start", False, "string"),
    Field("CookiesList", "cookie names", 1024, "start", False, "string"),
    Field("SecFetchStorageAccess", "sec-fetch-storage-access", 8, "start", False, "string"),
    Field("Signature", "signature", 512, "start", False, "string"),
    Field("SignatureAgent", "signature-agent", 512, "start", False, "string"),
    Field("SignatureInput", "signature-input", 2048, "start", False, "string"),
    Field("JA3", "configured header", 128, "start", False, "string"),
    Field("JA4", "configured header", 64, "start", False, "string"),
    Field("GraphQLOperationType", "body (opt-in)", 16, "start", False, "string"),
    Field("GraphQLOperationCount", "body (opt-in)", 8, "start", False, "string"),
    Field("McpSessionId", "mcp-session-id (opt-in)", 64, "start", False, "string"),
    Field("McpProtocolVersion", "mcp-protocol-version (opt-in)", 16, "start", False, "string"),
    Field("McpMethod", "body (opt-in)", 64, "start", False, "string"),
    Field("McpParamsToolName", "body (opt-in)", 64, "start", False, "string"),
    Field("McpParamsClientInfoName", "body (opt-in)", 64, "start", False, "string"),
    Field("McpParamsClientInfoVersion", "body (opt-in)", 16, "start", False, "string"),
    Field("JsonRpcRequestId", "body (opt-in)", 64, "start", False, "string"),
    Field("JsonRpcVersion", "body (opt-in)", 8, "start", False, "string"),
    Field("customFieldString1", "configured", 256, "start", False, "string"),
    Field("customFieldString2", "configured", 256, "start", False, "string"),
    Field("customFieldString3", "configured", 256, "start", False, "string"),
    Field("customFieldInteger1", "configured", None, "start", False, "integer"),
    Field("customFieldInteger2", "configured", None, "start", False, "integer"),
    Field("customFieldFloat1", "configured", None, "start", False, "number"),
)

FIELD_BY_NAME: dict[str, Field] = {row.field: row for row in FIELDS}
