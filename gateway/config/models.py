"""The configuration as frozen, validated objects: one class per section, one attribute per key, in the file's order.

Every key has a line with its meaning, its unit, and why the default is what it is; the JSON Schema, the settings table
and `gateway show` are made from these. Durations are float seconds, sizes int bytes, secrets SecretStr. Nothing mutates
a configuration after loading; a reload makes a new one.

Defaults are written as in a file and validated like one: what an operator reads here is what he may type.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from gateway.config.address import parse_address, parse_host_pattern
from gateway.config.engine import Engine, patient
from gateway.config.expansion import expand
from gateway.config.field_value import CustomFields, FieldLimits
from gateway.config.posture import Posture
from gateway.config.scalar import typed
from gateway.config.secret import PROTECTION_KEY_DEFAULT, Secret, SecretFile, with_secret_of_file
from gateway.config.section import AnySection, Section, required, setting
from gateway.config.value import (
    AccessLog,
    Count,
    CountOrZero,
    Duration,
    Extension,
    FilledName,
    Finding,
    Flag,
    FlagNotAvailable,
    HeaderName,
    HostPattern,
    ListenAddress,
    Method,
    Name,
    Network,
    NotAvailable,
    OneOf,
    PathPrefix,
    Pattern,
    ProtectionEndpoint,
    ReadableFile,
    Retries,
    ServerUrl,
    Size,
    TlsVersion,
    Workers,
    rejected,
    report,
)

T = TypeVar("T")


def _not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise rejected("a list that is not empty")
    return items


def _within(pool: AnySection, key: str, max_connections: int) -> AnySection:
    """The pool whose `key` is at most max_connections: a default follows it, a value that was given is an error."""
    value = getattr(pool, key)
    if value <= max_connections:
        return pool
    if key in pool.model_fields_set:
        report([Finding((key,), value, f"at most max_connections ({max_connections})")])
    return pool.model_copy(update={key: max_connections})


# --- listeners ---


class ListenerTls(Section):
    """TLS of one listener."""

    certificate: ReadableFile = required("PEM file: the certificate, followed by its chain.")
    private_key: ReadableFile = required("PEM file: the key of the certificate, without a password.")
    client_ca: ReadableFile | None = setting(
        None, "PEM file of authorities; a client must then show a certificate of theirs. null = none is asked for."
    )
    min_version: TlsVersion = setting("1.2", "Oldest TLS version, 1.2 or 1.3; 1.2 because RFC 8996 ended 1.1.")


class Listener(Section):
    """A place where downstream connects."""

    address: ListenAddress = setting(
        "127.0.0.1:8080", "host:port, [v6]:port or unix:/path. Loopback until somebody decides otherwise."
    )
    tls: ListenerTls | None = setting(None, "Serve TLS; null = plain HTTP.")
    proxy_protocol: Flag = setting(
        False, "Expect a PROXY protocol header (v1 or v2), accepted from client_ip.trusted_proxies alone."
    )


# --- sites and origins ---


class OriginPool(Section):
    """Kept connections to the servers of one site. A server has a pool of its own in each worker."""

    max_connections: Count = setting(
        512, "Connections per server and worker, busy and idle; over it requests wait. Spares the servers."
    )
    max_idle: CountOrZero = setting(
        128,
        "Idle connections kept per server and worker, at most max_connections; not set, a smaller max_connections "
        "counts. A quarter outlives a lull.",
    )
    idle_timeout: Duration = setting("55s", "Idle time before closing; below the 60s after which most servers close.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        return _within(self, "max_idle", self.max_connections)


class ActiveHealth(Section):
    """Requests of our own that find out whether a server works."""

    path: PathPrefix = setting("/healthz", "Path asked for; any 2xx or 3xx is healthy.")
    interval: Duration = setting("5s", "Time between two questions to one server; each worker asks.")
    timeout: Duration = setting("1s", "Time for the answer; a server that is slower at so little is not healthy.")


class OriginHealth(Section):
    """When a server is left out."""

    passive_failures: Count = setting(5, "Failures in a row that eject a server; one or two happen to healthy ones.")
    ejection: Duration = setting("10s", "How long an ejected server gets no request; about the time of a restart.")
    active: ActiveHealth | None = setting(None, "Ask the servers regularly; null = only what traffic shows.")


class OriginTls(Section):
    """TLS towards https servers."""

    ca: ReadableFile | None = setting(None, "PEM file of authorities to trust; null = those of the system.")
    server_name: Name | None = setting(None, "Name for SNI and verification; null = the host of the server's URL.")
    verify: Flag = setting(True, "Verify certificate and name. false is for tests: anybody could answer.")
    client_certificate: ReadableFile | None = setting(
        None, "PEM file with our certificate and its key, shown to the servers; null = none."
    )


class Origin(Section):
    """Whom a site protects, and how he is called."""

    servers: Annotated[tuple[ServerUrl, ...], AfterValidator(_not_empty)] = setting(
        ["http://127.0.0.1:9000"], "http://, https:// or unix:/path, without path; several are balanced."
    )
    balance: Annotated[Literal["least_outstanding", "round_robin"], OneOf()] = setting(
        "least_outstanding", "least_outstanding (a slow server gets less) or round_robin."
    )
    preserve_host: Flag = setting(True, "Send the client's Host; false = the server's own.")
    connect_timeout: Duration = setting("1s", "Time for a connection, TLS included; past it 504.")
    response_timeout: Duration = setting("60s", "Time to the response's head; past it 504. What most proxies wait.")
    idle_timeout: Duration = setting(
        "60s", "Time between two pieces of a body, and of silence in a tunnel; past it both sides close."
    )
    retries: Retries = setting(
        1, "Repetitions on another connection, only if safe: nothing was sent, or idempotent without body and reused."
    )
    pool: OriginPool = setting({}, "Kept connections.")
    health: OriginHealth = setting({}, "When a server is left out.")
    tls: OriginTls = setting({}, "TLS towards https servers.")


# --- protection ---


class ProtectionPool(Section):
    """Kept connections to the Protection API, per worker."""

    max_connections: Count = setting(
        256, "Connections per worker, far above what short checks need. When all are busy a check waits in its budget."
    )
    warm: CountOrZero = setting(
        8,
        "Connections opened before they are needed, as TLS would eat a check's budget; at most max_connections; not "
        "set, a smaller max_connections counts.",
    )
    idle_timeout: Duration = setting("55s", "Idle time before closing; below the 60s after which most servers close.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        return _within(self, "warm", self.max_connections)


class Breaker(Section):
    """Stops asking an API that does not answer. While open: no call, on_failure at once, one probe at a time after."""

    failures: Count = setting(20, "Failed checks within the window that open it; a few are lost on any network.")
    window: Duration = setting("10s", "Time over which failures are counted; older ones say nothing about now.")
    open: Duration = setting(
        "5s", "Time without calls before the first probe: what an outage costs in lateness of its end."
    )


class FingerprintHeaders(Section):
    """Headers in which a trusted TLS terminator reports the client's TLS fingerprint."""

    ja3: HeaderName | None = setting(None, "Header with the JA3 hash; null = the field is not sent.")
    ja4: HeaderName | None = setting(None, "Header with the JA4 fingerprint; null = the field is not sent.")


class GraphQL(Section):
    """Fields about a GraphQL operation, from the request's body."""

    enabled: FlagNotAvailable = setting(False, "Look into bodies. Not available in this version.")
    paths: tuple[PathPrefix, ...] = setting(["/graphql"], "Path prefixes where it is looked for.")
    max_body_bytes: Size = setting("25KiB", "How much of a body is read before the check; more is not looked at.")


class Mcp(Section):
    """Fields about a Model Context Protocol call, from the request's body."""

    enabled: FlagNotAvailable = setting(False, "Look into bodies. Not available in this version.")
    paths: tuple[PathPrefix, ...] = setting(["/mcp"], "Path prefixes where it is looked for.")
    max_body_bytes: Size = setting("25KiB", "How much of a body is read before the check; more is not looked at.")


def _default_key() -> Any:
    return expand(PROTECTION_KEY_DEFAULT)


class Protection(Section):
    """The checks: whom to ask, about what, and what to do with the answer. A site may override any key."""

    mode: Annotated[Literal["enforce", "monitor", "off"], OneOf()] = setting(
        "enforce", "enforce; monitor (asks, counts and logs, enforces nothing); off (asks nothing)."
    )
    endpoint: ProtectionEndpoint = setting(
        "embedded", "embedded (the engine inside), https://..., http://... or unix:/path; a path is a prefix."
    )
    key: Secret = Field(
        default_factory=_default_key,
        description="The API's server-side key, a secret. From the environment, so that no file holds it.",
        json_schema_extra={"default": PROTECTION_KEY_DEFAULT},
    )
    key_file: SecretFile | None = setting(
        None, "File with the key instead of `key`; line ends behind it are ignored. Read at loading, then null."
    )
    encoding: Annotated[Literal["auto", "json", "form"], OneOf()] = setting(
        "auto", "Of the payload: auto (asks the API at start: JSON first, then form), json or form."
    )
    timeout: Duration = setting(
        "150ms", "The total budget of a check, connecting and waiting for a connection included; the vendor's own."
    )
    pool: ProtectionPool = setting({}, "Kept connections.")
    on_failure: Annotated[Literal["allow", "block"], OneOf()] = setting(
        "allow", "Without a valid decision: allow (an outage of the API is not yours), or block with 503."
    )
    integrity: Annotated[Literal["strict", "header"], OneOf()] = setting(
        "strict", "strict: status and X-DataDomeResponse must agree; header: the header alone counts."
    )
    enforce_429: Flag = setting(True, "A 429 blocks, as in the vendor's modules; false = it allows.")
    breaker: Breaker = setting({}, "Stops asking an API that does not answer.")
    max_answer_bytes: Size = setting("256KiB", "Largest answer; block pages are far smaller. Past it: no decision.")
    exclude_static: Flag = setting(True, "GET and HEAD of static files are not checked: there is nothing to protect.")
    static_extensions: tuple[Extension, ...] | None = setting(
        None, "Extensions of static files; null = the contract's list (css, js, png, ...)."
    )
    exclude: tuple[Pattern, ...] = setting(
        [], "Regular expressions, searched in host + raw path; a match is not checked. Before include."
    )
    include: tuple[Pattern, ...] = setting(
        [], "Regular expressions, searched in host + raw path; only a match is checked. Empty = everything."
    )
    exclude_methods: tuple[Method, ...] = setting([], "Methods that are not checked; none, as any can do harm.")
    exclude_ips: tuple[Network, ...] = setting(
        [], "Client networks (CIDR) that are not checked, such as your monitoring."
    )
    field_limits: FieldLimits = setting(
        {}, "Field of the payload: largest size of its value, instead of the contract's."
    )
    custom_fields: CustomFields = setting(
        {}, "customFieldString1..3, customFieldInteger1..2, customFieldFloat1: {header: NAME} or a constant."
    )
    fingerprint_headers: FingerprintHeaders = setting({}, "TLS fingerprints that a terminator in front reports.")
    graphql: GraphQL = setting({}, "Fields from GraphQL bodies.")
    mcp: Mcp = setting({}, "Fields from MCP bodies.")
    restore_referrer: FlagNotAvailable = setting(
        False, "Give the origin the Referer from before a challenge. Not available in this version."
    )

    @model_validator(mode="after")
    def _take_key_of_file(self) -> Self:
        return with_secret_of_file(self, "key", "key_file")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.endpoint.lower().startswith("https:") and self.key.get_secret_value() == "embedded":
            expected = "the API's real key with an https endpoint (set PROTECTION_API_KEY, key or key_file)"
            report([Finding(("key",), self.key, expected)])
        return self


class Site(Section):
    """A part of the traffic: by host and path, with its origin and its protection. The first that matches is taken."""

    name: FilledName = setting(None, "The `site` label of metrics and logs, unique; null = the first of hosts.")
    hosts: Annotated[tuple[HostPattern, ...], AfterValidator(_not_empty)] = setting(
        ["*"], 'Exact names, "*.example.com" or "*"; the case and the port of a request do not matter.'
    )
    paths: Annotated[tuple[PathPrefix, ...], AfterValidator(_not_empty)] = setting(
        ["/"], "Prefixes of the request's path, one of which must match."
    )
    origin: Origin = setting({}, "Whom the site protects.")
    protection: Protection = setting(
        {}, "Overrides of the section `protection`, key by key; in the program the whole, merged section."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_name(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or typed(data.get("name")) is not None:
            return data
        hosts = data.get("hosts", ["*"])
        first = hosts[0] if isinstance(hosts, (list, tuple)) and hosts else None
        try:
            name = parse_host_pattern(str(first))
        except ValueError:
            name = "invalid"  # the error is the host's
        return {**data, "name": name}


def _check_site_names(sites: tuple[Site, ...]) -> tuple[Site, ...]:
    seen: set[str | None] = set()
    findings = []
    for index, site in enumerate(sites):
        if site.name in seen:
            expected = "a name that no other site has (null takes the first of hosts)"
            findings.append(Finding((index, "name"), site.name, expected))
        seen.add(site.name)
    report(findings)
    return sites


def _check_listeners(listeners: tuple[Listener, ...]) -> tuple[Listener, ...]:
    seen: set[object] = set()
    findings = []
    for index, listener in enumerate(listeners):
        address = parse_address(listener.address)
        any_port = not address.path and address.port == 0
        if address in seen and not any_port:
            findings.append(Finding((index, "address"), listener.address, "an address that no other listener has"))
        seen.add(address)
    report(findings)
    return listeners


# --- the rest ---


class ClientIp(Section):
    """How the client's address is found behind other proxies."""

    trusted_proxies: tuple[Network, ...] = setting(
        [], "Networks (CIDR) of proxies in front; from anyone else every forwarding header is replaced."
    )
    header: HeaderName = setting(
        "X-Forwarded-For",
        "Where they put the client's address: X-Forwarded-For or Forwarded (walked right to left over trusted hops), "
        "or one that holds a single address.",
    )


class Limits(Section):
    """What one client may take of this process. None of these can be switched off but the body's size."""

    request_head_bytes: Size = setting("64KiB", "Request line and headers; past it 431. Room for large cookies.")
    request_headers: Count = setting(100, "Header lines of a request; past it 431. Browsers send under 40.")
    request_target_bytes: Size = setting("16KiB", "The request's target; past it 414. Twice what common servers take.")
    request_body_bytes: Size | None = setting(
        None, "Request body; past it 413. null = no limit, as bodies are streamed and never kept."
    )
    response_head_bytes: Size = setting(
        "128KiB", "Status line and headers of an origin's response; past it 502. Room for long policies."
    )
    connections: Count = setting(
        10_000, "Open connections per worker; over it new ones get 503 and close. Bounds memory and descriptors."
    )
    pipelined_requests: Count = setting(
        16, "Requests read ahead on one connection; further ones wait in the kernel. Few clients pipeline."
    )
    head_timeout: Duration = setting(
        "10s", "Time for a request's head, from its first byte; past it 408. Slow heads hold connections."
    )
    body_timeout: Duration = setting(
        "30s", "Time between two pieces of a request's body; past it 408. Phones lose the network for a while."
    )
    keep_alive_timeout: Duration = setting(
        "60s", "Time of silence after which an idle connection is closed; what most proxies keep."
    )


class Admin(Section):
    """The operators' side: /metrics /healthz /readyz /config /status.json, and the dashboard at /."""

    address: ListenAddress = setting(
        "127.0.0.1:9090", "host:port, [v6]:port or unix:/path. Loopback: it shows traffic and configuration."
    )
    token: Secret | None = setting(
        None, "Bearer token, a secret; null = none is asked for. Required when the address is not a loopback one."
    )
    token_file: SecretFile | None = setting(
        None, "File with the token instead of `token`; line ends behind it are ignored. Read at loading, then null."
    )

    @model_validator(mode="after")
    def _take_token_of_file(self) -> Self:
        return with_secret_of_file(self, "token", "token_file")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.token is None and not parse_address(self.address).is_loopback:
            expected = f"a token (or token_file), because {self.address} is not a loopback address"
            report([Finding(("token",), None, expected)])
        return self


class Logging(Section):
    """The application's log (standard error) and the access log."""

    level: Annotated[Literal["debug", "info", "warning", "error"], OneOf()] = setting(
        "info", "debug, info, warning or error: this and what is worse is logged."
    )
    format: Annotated[Literal["json", "console"], OneOf()] = setting(
        "json", "json (one object a line, for collectors) or console (for people)."
    )
    access_log: AccessLog = setting(
        True, "One line per exchange: true = standard output, false = none, or the name of a file."
    )


class Config(Section):
    """The whole configuration. `workers`, `server_name` and every site's name and protection are filled in."""

    listeners: Annotated[tuple[Listener, ...], AfterValidator(_not_empty), AfterValidator(_check_listeners)] = setting(
        [{}], "Where downstream connects."
    )
    workers: Workers = setting(
        1, "Worker processes; auto = one for each CPU that this process may use. 1 serves a small site."
    )
    server_name: FilledName = setting(None, "ServerName in the payload; null = the machine's host name.")
    drain_timeout: Duration = setting(
        "30s", "Time for the exchanges in flight when stopping; then they are cut. What orchestrators wait."
    )
    sites: Annotated[tuple[Site, ...], AfterValidator(_not_empty), AfterValidator(_check_site_names)] = setting(
        [{}], "First match wins; a request that matches none gets 421."
    )
    protection: Protection = setting({}, "The checks; a site may override any key.")
    client_ip: ClientIp = setting({}, "How the client's address is found behind other proxies.")
    limits: Limits = setting({}, "What one client may take of this process.")
    admin: Admin = setting({}, "The operators' side.")
    logging: Logging = setting({}, "The application's log and the access log.")
    tracing: NotAvailable = setting(None, "OpenTelemetry export. Not available in this version.")
    engine: Engine = setting({}, "The embedded Protection API.")
    posture: Posture = setting({}, "Scans, findings and DNS of the domains: `gateway posture`.")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        filled = dict(data)
        if typed(filled.get("server_name")) is None:
            filled["server_name"] = socket.gethostname() or "localhost"
        sites = filled.get("sites", [{}])
        if isinstance(sites, (list, tuple)):
            filled["sites"] = [_with_protection(site, filled.get("protection")) for site in sites]
        return filled

    @model_validator(mode="after")
    def _check(self) -> Self:
        admin = parse_address(self.admin.address)
        taken = {parse_address(listener.address) for listener in self.listeners}
        if admin in taken and (admin.path or admin.port):
            report([Finding(("admin", "address"), self.admin.address, "an address that no listener has")])
        patches, written = self.engine.patches, self.posture.actions.file
        if patches and written and patches != written:
            expected = f"null, or engine.patches ({patches}): what is written is what the engine reads"
            report([Finding(("posture", "actions", "file"), written, expected)])
        asked = [site.protection.timeout for site in self.sites if site.protection.endpoint == "embedded"]
        if not asked or self.engine.listen is not None:  # an engine for others, whose checks we do not know
            return self
        return self.model_copy(update={"engine": patient(self.engine, min(asked))})

    def dump(self, reveal_secrets: bool = False) -> dict[str, Any]:
        """A JSON-able copy in the words of a file: human units, `***` for secrets unless revealed.

        `parse_config(config.dump(reveal_secrets=True)) == config`.
        """
        return self.model_dump(mode="json", exclude_none=False, context={"reveal_secrets": reveal_secrets})


def _with_protection(site: Any, base: Any) -> Any:
    """The site with its protection section merged over the global one, both as they stand in the file."""
    overrides = site.get("protection") if isinstance(site, Mapping) else None
    if site is None:
        site = {}
    if not isinstance(site, Mapping) or not (overrides is None or isinstance(overrides, Mapping)):
        return site
    base = base if isinstance(base, Mapping) else {}
    overrides = overrides or {}
    replaced = {"key", "key_file"} if overrides.keys() & {"key", "key_file"} else set()
    base = {key: value for key, value in base.items() if key not in replaced}
    return {**site, "protection": _merge(base, overrides)}


def _merge(base: Mapping[Any, Any], overrides: Mapping[Any, Any]) -> dict[Any, Any]:
    """`overrides` over `base`, mapping by mapping; anything else, lists included, is replaced whole."""
    merged = dict(base)
    for key, value in overrides.items():
        below = base.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged
