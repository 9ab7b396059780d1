"""The section `posture` of the configuration: scanning platforms, webhooks, and what follows from findings."""

from __future__ import annotations

import ipaddress
import re
import warnings
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import PlainSerializer, PlainValidator, SecretStr, SerializationInfo, WithJsonSchema, model_validator

from gateway.config.address import parse_address, parse_endpoint, parse_host_pattern
from gateway.config.patch import MAX_PATHS, PatchDeed, PatchFileName, PatchName, PatchPreset, clear_path
from gateway.config.reading import load_section
from gateway.config.secret import (
    REDACTED,
    Secret,
    SecretFile,
    is_revealing,
    secrets_of,
    shown_url,
    with_secret_of_file,
    write_url,
)
from gateway.config.section import AnySection, Excerpt, Section, required, setting
from gateway.config.value import (
    Count,
    Duration,
    Finding,
    Flag,
    HostName,
    ListenAddress,
    Name,
    OneOf,
    ReadableFile,
    Size,
    rejected,
    report,
)

PROVIDERS = ("ddactic", "cypersecurity", "securityspace", "embedded")
SEVERITIES = ("critical", "high", "medium", "low", "info")
"""The worst first."""
_URL = re.compile(r"(https?)://[^/?#@\s]+(/[!-~]*)?", re.IGNORECASE)
_STORE = re.compile(r"sqlite:///[^?#]+|postgresql://[^/\s]*/[^/\s]+")
_STORE_EXPECTED = "sqlite:///FILE, sqlite:////ABSOLUTE/FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
_SECRET_PATH = 16
"""Characters from which on the path of notify.url may be a secret, and is no word that anybody would say."""
_API_EXPECTED = "an https:// URL without user, query and fragment; http:// for loopback addresses only"


def is_loopback_url(text: str) -> bool:
    """True if the host of an http(s) URL is `localhost` or a loopback address."""
    endpoint = parse_endpoint(text.partition("?")[0])
    return parse_address(f"[{endpoint.host}]:0" if ":" in endpoint.host else f"{endpoint.host}:0").is_loopback


def _base_url(value: object) -> str:
    text = _web_url(value, _API_EXPECTED)
    if "?" in text or (text.lower().startswith("http:") and not is_loopback_url(text)):
        raise rejected(_API_EXPECTED)
    return text


def _tls_url(value: object) -> str:
    text = _base_url(value)
    if not text.lower().startswith("https:"):
        raise rejected("an https:// URL: this platform is asked over TLS alone, on loopback addresses too")
    return text


def _web_url(value: object, expected: str = "an http:// or https:// URL without user and fragment") -> str:
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise rejected(expected)
    try:
        parse_endpoint(value.partition("?")[0])
    except ValueError:
        raise rejected(expected) from None
    return str(value)


def _write_web_url(url: str, info: SerializationInfo[Any]) -> str:
    """Without the values of its query, which may be a secret."""
    return url if is_revealing(info) else shown_url(url)


def _write_notify_url(url: str, info: SerializationInfo[Any]) -> str:
    """scheme://host/***: of many services the path is the secret."""
    head, slash, path = url.partition("://")[2].partition("/")
    return url if is_revealing(info) or not path else f"{url.partition('://')[0]}://{head}{slash}{REDACTED}"


def _store(value: object) -> SecretStr:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not text.isprintable() or not _STORE.fullmatch(text):
        raise rejected(_STORE_EXPECTED)
    return SecretStr(str(text))


def _tries(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 20:
        raise rejected("a whole number from 1 to 20")
    return value


def _path_prefix(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-\"$->@-~]{0,1023}", value):
        raise rejected("a path in ASCII, at most 1024 characters, that begins with / and has no space, ? or #")
    return clear_path(value)


def _site_host(value: object) -> str:
    try:
        host = parse_host_pattern(value) if isinstance(value, str) else "*"
    except ValueError:
        host = "*"
    if host.startswith("*"):
        raise rejected("a host name or an address, without port and without *")
    return host


def _text_pattern(value: object) -> str:
    """Searched in text, and not in bytes like the patterns of `protection`."""
    if not isinstance(value, str):
        raise rejected("a regular expression")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "possible nested set": [[:alpha:]] is no class here, so it is a mistake
            re.compile(value)
    except (re.error, ValueError, OverflowError, RecursionError, Warning) as error:
        raise rejected(f"a regular expression ({str(error)[:100]})") from None
    return str(value)


def _ip_address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise rejected("an IPv4 or IPv6 address") from None


IpAddress = Annotated[str, PlainValidator(_ip_address), WithJsonSchema({"type": "string"})]
ApiUrl = Annotated[str, PlainValidator(_base_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
TlsApiUrl = Annotated[str, PlainValidator(_tls_url), WithJsonSchema({"type": "string", "pattern": "^https://"})]
WebUrl = Annotated[
    str,
    PlainValidator(_web_url),
    PlainSerializer(_write_web_url, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^https?://"}),
]
NotifyUrl = Annotated[
    str,
    PlainValidator(_base_url),
    PlainSerializer(_write_notify_url, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^https?://"}),
]
StoreUrl = Annotated[
    SecretStr,
    PlainValidator(_store),
    PlainSerializer(write_url, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^(sqlite:///|postgresql://)"}),
]
Tries = Annotated[int, PlainValidator(_tries), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 20})]
SiteHost = Annotated[str, PlainValidator(_site_host), WithJsonSchema({"type": "string"})]
SitePath = Annotated[str, PlainValidator(_path_prefix), WithJsonSchema({"type": "string", "pattern": "^/"})]
TextPattern = Annotated[
    str, PlainValidator(_text_pattern), WithJsonSchema({"type": "string", "format": "regex"})
]
Severity = Annotated[Literal["critical", "high", "medium", "low", "info"], OneOf()]
ProviderName = Annotated[Literal["ddactic", "cypersecurity", "securityspace", "embedded"], OneOf()]


class Retry(Section):
    """Which calls are repeated is fixed: those that read, and those that were surely not taken."""

    attempts: Tries = setting(4, "Calls in all, from 1 to 20.")
    base: Duration = setting("500ms", "Back-off before the second one; it doubles, with jitter.")
    max: Duration = setting("30s", "Longest back-off.")


class RateLimit(Section):
    """What is done about a platform's rate limit."""

    max_wait: Duration = setting("90s", "A limit that ends within it is waited out; a later one is an error at once.")


class Poll(Section):
    """How often a platform is asked whether something is done."""

    interval: Duration = setting("5s", "First pause; it grows by half each time.")
    max: Duration = setting("30s", "Longest pause.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max < self.interval:
            report([Finding(("max",), self.max, "at least interval")])
        return self


class Platform(Section):
    """What every platform has."""

    key: Secret | None = setting(None, "API key, a secret: this or key_file.")
    key_file: SecretFile | None = setting(None, "File with the key instead of `key`. Read at loading, then null.")
    ca: ReadableFile | None = setting(None, "PEM file of authorities trusted for this platform, besides the system's.")
    timeout: Duration = setting("30s", "Of one call, connect included.")
    retry: Retry = setting({}, "Repeated calls.")
    rate_limit: RateLimit = setting({}, "Rate limits.")
    poll: Poll = setting({}, "Waiting for a scan, a report or a verification.")
    max_answer: Size = setting("64MiB", "An answer that is longer is refused.")

    @model_validator(mode="after")
    def _take_secrets_of_files(self) -> Self:
        return _with_secrets(self)


class DDacticPlatform(Platform):
    """DDactic: scans of verified domains for what a flood could hit."""

    base_url: ApiUrl = setting("https://api.ddactic.net/v1", "Where the API is; http:// for loopback addresses only.")


class CyperSecurityPlatform(Platform):
    """CyperSecurity: nmap, zap and sqlmap scans."""

    base_url: ApiUrl = setting(
        "https://api.cypersecurity.com/v1", "Where the API is; http:// for loopback addresses only."
    )


class SecuritySpacePlatform(Platform):
    """SecuritySpace: security audits of addresses, and DNS."""

    base_url: TlsApiUrl = setting("https://secure1.securityspace.com/api/", "Where the API is; https:// only.")
    userid: Name = required("The account's user.")
    password: Secret | None = setting(None, "The account's password, a secret: this or password_file.")
    password_file: SecretFile | None = setting(None, "File with the password. Read at loading, then null.")
    concurrency: Count = setting(4, "Calls at a time of one command.")


class EmbeddedTarget(Section):
    """A site of one's own that is not (only) in `sites`."""

    url: WebUrl | None = setting(None, "Where visitors reach it; null = https://HOST.")
    around: tuple[WebUrl, ...] | None = setting(
        None, "Addresses of its origin that visitors should not reach; null = origin servers of the site with public "
        "addresses."
    )  # fmt: skip
    ca: ReadableFile | None = setting(None, "PEM file of authorities trusted for it, besides the system's.")


class EmbeddedPlatform(Section):
    """Checks that the gateway does itself, of one's own sites alone."""

    targets: dict[HostName, EmbeddedTarget] = setting({}, "Own sites by host name, besides the hosts of `sites`.")
    timeout: Duration = setting("5s", "Of one request, connect included.")
    burst: Count = setting(30, "Requests of the rate-limit probe.")
    slow_head: Duration = setting("15s", "An unfinished request head must be refused within.")
    expiry_days: Count = setting(30, "A certificate that ends sooner is a finding.")


class Providers(Section):
    """The platforms; one whose section stands here is configured."""

    ddactic: DDacticPlatform | None = setting(None, "DDactic.")
    cypersecurity: CyperSecurityPlatform | None = setting(None, "CyperSecurity.")
    securityspace: SecuritySpacePlatform | None = setting(None, "SecuritySpace.")
    embedded: EmbeddedPlatform = setting({}, "The gateway's own checks; needs no account.")


class Signed(Section):
    """The secret of webhooks."""

    secret: Secret | None = setting(None, "Signs them, a secret: this or secret_file.")
    secret_file: SecretFile | None = setting(None, "File with the secret. Read at loading, then null.")

    @model_validator(mode="after")
    def _take_secrets_of_files(self) -> Self:
        return _with_secrets(self)


class Webhooks(Section):
    """The receiver of platforms' webhooks."""

    address: ListenAddress = setting("127.0.0.1:8090", "host:port, [v6]:port or unix:/path.")
    public_url: WebUrl | None = setting(None, "What platforms are told: this + /webhooks/<provider>.")
    ddactic: Signed | None = setting(None, "DDactic's; without it there is no such path (404).")
    cypersecurity: Signed | None = setting(None, "CyperSecurity's; without it there is no such path (404).")


class NoticeRetry(Section):
    """Until somebody answers 2xx: about an hour."""

    attempts: Tries = setting(12, "Calls in all, from 1 to 20; then it is given up, counted and logged.")
    base: Duration = setting("10s", "Back-off before the second one; it doubles, with jitter.")
    max: Duration = setting("10m", "Longest back-off.")


class Notify(Signed):
    """The gateway's own webhook: a signed POST for each finding that is new."""

    url: NotifyUrl = required("Who is told; http:// for loopback addresses only.")
    severity: Severity = setting("high", "Findings of this severity or worse.")
    timeout: Duration = setting("10s", "Of one call, connect included.")
    retry: NoticeRetry = setting({}, "Repeated until somebody answers 2xx.")


class ActionMatch(Section):
    """Which open findings an action is for: all keys that are given must hold."""

    severity: Severity = setting("critical", "This severity or worse.")
    providers: tuple[ProviderName, ...] = setting([], "Who found it; [] = anybody.")
    titles: tuple[TextPattern, ...] = setting(
        [], "Regular expressions, one of which is found in the title or, of the embedded assessment, in the fixed id; "
        "[] = any."
    )  # fmt: skip
    hosts: tuple[SiteHost, ...] = setting(
        [], "Hosts that the finding is about; for a finding about an address, the hosts where it counts. [] = any host "
        "of `sites`, and no address."
    )  # fmt: skip


class Action(Section):
    """What the embedded engine does while a finding is open."""

    name: PatchName = required("Decisions have the name patch-NAME: lower-case letters, digits, - and _.")
    match: ActionMatch = setting({}, "Which findings.")
    do: PatchDeed = required(
        "block_path: nobody reaches the finding's path on that host; raise_preset: another preset for that host."
    )
    paths: tuple[SitePath, ...] = setting(
        [], "Of block_path: what is blocked, each with everything under it, / is all of the host; [] = the path that "
        "the finding names (one without a path, or with /, is passed on to the next rule)."
    )  # fmt: skip
    preset: PatchPreset = setting("aggressive", "Of raise_preset; a host whose own is stricter keeps that.")
    expires: Duration = setting("24h", "The longest that it lasts from the last scan that told the finding.")
    dry_run: Flag = setting(False, "Only logged and counted, never enforced; the rules behind it act as without it.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.paths and self.do != "block_path":
            report([Finding(("paths",), self.paths, f"nothing, since it does {self.do}")])
        if len(self.paths) > MAX_PATHS:
            report([Finding(("paths",), len(self.paths), f"at most {MAX_PATHS}")])
        return self


class Actions(Section):
    """From findings to the gateway."""

    file: PatchFileName | None = setting(
        None, "Where what is in force is written for `gateway engine` (engine.patches); `gateway run` needs none."
    )
    rules: tuple[Action, ...] = setting([], "In order; the first that matches a finding and can act on it does.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [rule.name for rule in self.rules]
        report([
            Finding(("rules", index, "name"), name, "a name that no other rule has")
            for index, name in enumerate(names) if name in names[:index]
        ])  # fmt: skip
        return self


class Place(Section):
    """Where the gateway is on the network: what DNS leads visitors to, and whom an origin's firewall lets in."""

    addresses: tuple[IpAddress, ...] = setting(
        [], "Public addresses where visitors reach the gateway: the A and AAAA records of `onboard --cutover`."
    )
    name: HostName | None = setting(None, "Or its host name: the CNAME record, for names below a zone's top.")
    egress: tuple[IpAddress, ...] = setting(
        [], "Addresses from which it connects to origins, for firewall lines; [] = addresses."
    )


class Posture(Section):
    """Scans, findings and DNS of the domains that the gateway protects."""

    store: StoreUrl = setting(
        "sqlite:///posture.db", "sqlite:///FILE (relative to this file, mode 0600), sqlite:////ABSOLUTE/FILE or "
        "postgresql://USER:PASSWORD@HOST/DATABASE, which several gateways share."
    )  # fmt: skip
    providers: Providers = setting({}, "The platforms.")
    webhooks: Webhooks | None = setting(None, "The receiver of webhooks; null = none.")
    notify: Notify | None = setting(None, "The gateway's own webhook; null = nobody is told.")
    actions: Actions = setting({}, "What follows from open findings.")
    gateway: Place = setting({}, "Where the gateway is on the network.")

    def configured(self) -> tuple[str, ...]:
        """The providers whose section stands in the file, in the order of PROVIDERS."""
        given = self.providers.model_fields_set
        return tuple(name for name in PROVIDERS if name in given and getattr(self.providers, name) is not None)

    def secrets(self) -> tuple[str, ...]:
        """All of the section, each once: whatever a platform answers, none of them is shown or stored."""
        told = [] if self.notify is None else [self.notify.url.partition("://")[2].partition("/")[2]]
        return tuple(dict.fromkeys((*secrets_of(self), *(path for path in told if len(path) >= _SECRET_PATH))))

    @property
    def is_used(self) -> bool:
        """True if `gateway run` has something to do for it."""
        return bool(self.webhooks or self.notify or self.actions.rules or self.configured())

    def stored_beside(self, file: Path) -> Posture:
        """The same with the absolute path of an SQLite file, which is relative to the configuration's."""
        url = self.store.get_secret_value()
        name = url.removeprefix("sqlite:///")
        if name == url or name.startswith("/"):
            return self
        absolute = file.absolute().parent / name
        return self.model_copy(update={"store": SecretStr(f"sqlite:///{absolute}")})



def _with_secrets(section: AnySection) -> AnySection:
    """Each secret that was read for `x_file`, moved to `x`. One that is missing, or given twice, is an error."""
    fields = type(section).model_fields
    for file_key in (name for name in fields if name.endswith("_file")):
        key = file_key.removesuffix("_file")
        section = with_secret_of_file(section, key, file_key)
        if getattr(section, key) is None:
            report([Finding((key,), None, f"a secret, or {file_key} with one")])
    return section


class PostureAccess(Excerpt):
    """The section alone: what `gateway posture` reads of a file, without loading the models of the others."""

    others: ClassVar[frozenset[str] | None] = frozenset(
        {
            "admin", "client_ip", "drain_timeout", "engine", "limits", "listeners", "logging", "protection",
            "server_name", "sites", "tracing", "workers",
        }
    )  # fmt: skip
    posture: Posture = setting({}, "As in the configuration.")


def load_posture(path: Path) -> Posture:
    """The section `posture` of a file, its SQLite file as an absolute path. Raises ConfigError as load_config does, for
    keys that the configuration does not know too."""
    return load_section(path, PostureAccess).posture.stored_beside(path)
