"""Every exception that the gateway raises on purpose.

GatewayError
├── ConfigError                  the configuration cannot be used
├── SupervisorError              the processes as a whole
│   ├── StartError               the gateway cannot start: an address in use, a worker that refuses its configuration
│   └── ReloadError              a new configuration is not taken over; the former one stays in force
├── DescriptionError             what was typed for `explain` describes no request
├── PortTaken                    a port of the demo is in use or not allowed
├── CertificateError             a listener's certificate, key or authorities cannot be used
├── RequestRefused               downstream sent a head that is not served
├── ResponseRefused              an answer's head whose framing is doubtful
├── ChunkedRefused               a chunked body that cannot be trusted
├── ProxyHeaderRefused           no valid PROXY protocol header
├── NoAnswer                     a probe or a health check got none
├── EngineError                  the embedded Protection API
│   ├── CallRefused              a call that is answered without a judgement
│   ├── OverrideError            what an operator typed is no override, or there are too many
│   ├── StoreError               the shared store cannot do now what an operator asked for
│   ├── EngineUnreachable        no engine answers where the configuration says that one runs
│   ├── EngineRefused            an engine, or what serves in its place, does not do what an operator asked for
│   ├── LookupFailed             a question to the domain name system got no answer
│   ├── FetchFailed              a document of somebody else's could not be fetched
│   ├── ListRefused              a published list of addresses that is not taken over
│   ├── KeysRefused              a directory of signature keys that is not taken over
│   └── ListenError              its address, socket file or certificate cannot be used
├── PostureError                 scans, findings and DNS
│   ├── PostureUsage             what was typed cannot be done with this configuration; nothing was sent
│   ├── PlatformError            one call of a scanning platform
│   │   ├── PlatformUnreachable  no answer: no connection, a time-out, a connection that was lost
│   │   ├── OffContract          an answer that is not what the platform documents
│   │   └── PlatformRefused      an error answer of the platform
│   │       ├── CredentialsRefused   its key, user or password
│   │       ├── PermissionRefused    the key may not do this
│   │       ├── NotFound
│   │       ├── InvalidCall          a value that it does not accept
│   │       ├── Conflict             it is in a state that forbids this now
│   │       ├── RateLimited          later than we want to wait
│   │       ├── QuotaExhausted       what was paid for is used up
│   │       └── PlatformFailed       its own fault
│   ├── PostureStoreError        the store cannot be opened, read or written
│   │   └── ValueRefused         it works, and does not take this value
│   ├── InboxFull                as many webhook events wait for the store as may
│   ├── ScanFailed               a scan ended without a result
│   ├── WaitExpired              what was waited for did not happen in time
│   └── OnboardingStopped        a step of onboarding cannot be done; the text says what to do
└── ChannelError                 supervisor <-> child
    ├── ChannelClosed            the other side is gone
    ├── ChannelTimeout           the other side does not read
    └── ChannelProtocolError     what came is no message

A tree by side, then by phase. Messages give what was got and what was expected, with numbers, and never more than 100
bytes of a user's data. Exceptions of libraries are translated in the module that owns the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class GatewayError(Exception):
    """The root: whoever catches it catches everything that is meant to be raised."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong. Printed, it is the line that an operator reads."""

    file: str
    line: int | None
    """From 1; None where the configuration did not come from a text."""
    key: str
    """`sites[0].origin.servers[1]`; "" is the whole."""
    value: str
    """What was got, for people: at most 100 bytes, and never a secret."""
    accepted: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f" {self.key}:" if self.key else ""
        return f"{where}:{key} got {self.value}; expected {self.accepted}"


class ConfigError(GatewayError):
    """The configuration cannot be used; the text says where (file, line, key) and what is accepted, one line each.

    problems: everything that is wrong, in the file's order; empty if no single value is to blame.
    """

    def __init__(self, message: str, problems: Sequence[ConfigProblem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)

    @classmethod
    def of(cls, problems: Sequence[ConfigProblem]) -> ConfigError:
        """The error of these problems."""
        ordered = sorted(problems, key=lambda problem: problem.line or 0)
        return cls("\n".join(map(str, ordered)), ordered)


class DescriptionError(GatewayError):
    """What was typed for `gateway explain` describes no request; the text says what is expected."""


class PortTaken(GatewayError):
    """A port of `gateway demo` cannot be used; the text says which, and how to choose another."""


class CertificateError(GatewayError):
    """A listener's certificate, private key or authorities cannot be used; the text names the key and the file."""


class RequestRefused(GatewayError):
    """A request that is answered by ourselves and never forwarded. status: what to answer; reason: metric label."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class ResponseRefused(GatewayError):
    """An origin's or the Protection API's answer that two readers could understand differently (RFC 9112 6.3)."""


class ChunkedRefused(GatewayError):
    """A chunked body that is malformed, or that consists of anything but data beyond its limit (RFC 9112 7.1)."""


class ProxyHeaderRefused(GatewayError):
    """The connection does not begin with a valid PROXY protocol header (v1 or v2), or its sender is not trusted."""


class EngineError(GatewayError):
    """The embedded Protection API cannot do what it was asked to do."""


class CallRefused(EngineError):
    """A call to the embedded Protection API that describes no request. status: 400, 413 or 415; the text says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class OverrideError(EngineError):
    """What should block, allow or revoke somebody is no override, or there are too many; the text says what is."""


class StoreError(EngineError):
    """The shared store cannot do now what an operator asked for; the text says why, and what is in force."""


class EngineUnreachable(EngineError):
    """No engine answers where the configuration says that one runs; the text says where was looked, and why."""


class EngineRefused(EngineError):
    """A running engine, or what serves in its place, does not do what an operator asked for; the text is its own."""


class LookupFailed(EngineError):
    """A question to the domain name system got no answer. "There is none" is an answer, not this."""


class FetchFailed(EngineError):
    """A list of addresses or keys could not be fetched; the text says why."""


class ListRefused(EngineError):
    """A published list of addresses that is not taken over; the former one stays in force."""


class KeysRefused(EngineError):
    """A directory of signature keys that is not taken over; the former one stays in force."""


class ListenError(EngineError):
    """The embedded Protection API cannot listen where it should."""


class NoAnswer(GatewayError):
    """A request of our own was not answered. reason: connect, timeout, reset, protocol, oversized or pool_full."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PostureError(GatewayError):
    """A command of `gateway posture`, or the webhook receiver, cannot do what it was asked to do."""


class PostureUsage(PostureError):
    """What was typed cannot be done with this configuration; nothing was sent. Exit code 2."""


class PlatformError(PostureError):
    """A call of a scanning platform failed. provider: `ddactic`; call: `POST /scans`; detail: what went wrong."""

    def __init__(self, provider: str, call: str, detail: str) -> None:
        super().__init__(f"{provider} {call}: {detail}")
        self.provider = provider
        self.call = call
        self.detail = detail


class PlatformUnreachable(PlatformError):
    """No answer. maybe_taken: the request was (partly) sent, so that a call that starts something may have done so."""

    def __init__(self, provider: str, call: str, detail: str, *, maybe_taken: bool) -> None:
        super().__init__(provider, call, detail)
        self.maybe_taken = maybe_taken


class OffContract(PlatformError):
    """An answer that is not what the platform documents. field: where (`domains[0].id`), "" = the whole."""

    def __init__(self, provider: str, call: str, field: str, came: str, expected: str) -> None:
        super().__init__(provider, call, f"{field or 'the answer'}: got {came}; expected {expected}")
        self.field = field


class PlatformRefused(PlatformError):
    """An error answer. status: the HTTP status; code: the platform's own word, "" = none; message: its text."""

    def __init__(self, provider: str, call: str, status: int, code: str, message: str) -> None:
        what = code if status < 300 else f"{status} {code}".strip()  # a refusal may come with 200
        super().__init__(provider, call, ": ".join(filter(None, (what, message))))
        self.status = status
        self.code = code
        self.message = message


class CredentialsRefused(PlatformRefused):
    """The key, user or password is not accepted."""


class PermissionRefused(PlatformRefused):
    """The key may not do this."""


class NotFound(PlatformRefused):
    """What was named is not there."""


class InvalidCall(PlatformRefused):
    """The platform does not accept a value; the message says which."""


class Conflict(PlatformRefused):
    """The platform is in a state that forbids this now."""


class RateLimited(PlatformRefused):
    """A rate limit that ends later than we want to wait; the message says when. reset_s: seconds until it ends, None if
    the platform does not say."""

    reset_s: float | None = None


class QuotaExhausted(PlatformRefused):
    """What the account may use is used up."""


class PlatformFailed(PlatformRefused):
    """The platform's own fault (5xx)."""


class PostureStoreError(PostureError):
    """The store of findings cannot be opened, read or written."""


class ValueRefused(PostureStoreError):
    """The store works, and does not take this value: again would be the same."""


class InboxFull(PostureError):
    """As many events wait for the store as may; the platform should send again later."""


class ScanFailed(PostureError):
    """A scan ended without a result."""


class WaitExpired(PostureError):
    """What was waited for did not happen in time."""


class OnboardingStopped(PostureError):
    """A step of onboarding cannot be done; the text says what to do."""


class ChannelError(GatewayError):
    """Supervisor and child cannot talk."""


class ChannelClosed(ChannelError):
    """The other side is gone, or the channel was closed here."""


class ChannelTimeout(ChannelError):
    """The other side has not read what was sent in time."""


class ChannelProtocolError(ChannelError):
    """What was received is no message, or what should be sent is over the limit."""


class SupervisorError(GatewayError):
    """The processes as a whole cannot do what was asked."""


class StartError(SupervisorError):
    """The gateway cannot start; the text names the key or the process."""


class ReloadError(SupervisorError):
    """A new configuration is not taken over; the former one stays in force."""
