"""One call of a platform, from the request to an answer or the one error that says why there is none.

Theory of operation. `Caller.call` sends a `Call` and judges what comes by the table of the public interface ('Calls'):

| | a call that reads | any other |
|---|---|---|
| 429, unless it is a quota | wait for X-RateLimit-Reset, else Retry-After, else back-off; repeat | the same |
| connection not made | repeat | repeat |
| 5xx, time-out, connection lost | repeat | never: it may have been taken |
| another 4xx, a 3xx, an answer off the contract | an error at once | the same |

Each call has a connection of its own: on one that is kept, a call that starts something could be lost just when the
platform closes it, and nobody could tell whether it was taken. `X-RateLimit-Remaining: 0` makes the next call wait for
the reset before it is sent; so does a 429 that says when the limit ends, for every call of the platform and not only
for the one that was refused. No wait is longer than `max_wait_s`, no call than `timeout_s`, no answer than
`max_answer_bytes`. Proxies and accounts of the environment (`HTTPS_PROXY`, `.netrc`) are not looked at.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
import orjson

from gateway import __version__
from gateway.config.posture import is_loopback_url
from gateway.errors import (
    OffContract,
    PlatformError,
    PlatformFailed,
    PlatformRefused,
    PlatformUnreachable,
    PostureUsage,
    RateLimited,
)
from gateway.posture.answer import Node
from gateway.posture.client.connection import ConnectionLost, loss_of, open_session, read_body, reason_of
from gateway.posture.client.decoding import Undecodable, aside, decode
from gateway.posture.client.envelope import read_refusal
from gateway.posture.client.limit import is_none_left, retry_after_s, unix_s
from gateway.posture.client.manner import Manner, backoff_s
from gateway.posture.client.redaction import Redaction
from gateway.posture.moment import iso
from gateway.posture.watching import Called, Clock, Watcher

MAY_HAVE_BEEN_TAKEN = "may have been taken"
_ERROR_BYTES = 64 * 1024
"""Of an error answer, more is not read."""
_SAME_S = 0.01
"""Two ends of a rate limit that are closer than that are one."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request. path: begins with /, below the base URL; is_read: repeating it changes nothing; one of json and form,
    or neither, is its body."""

    method: str
    path: str
    is_read: bool
    query: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """As in errors: `POST /scans`."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status of 2xx. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Made = TypeVar("Made")
Judge = Callable[[str, str, int, bytes], PlatformRefused]
"""(provider, call, status, body) of an answer that is no success -> its error."""


class Caller:
    """Calls of one platform. provider: its name in errors; headers: sent with every call; secrets: what is `***` in
    everything that comes out of here; judge: reads an error answer.

    Raises PostureUsage for a base URL that would send the key in the clear: http:// to anything but loopback.
    """

    def __init__(
        self, provider: str, base_url: str, manner: Manner, *, headers: Mapping[str, str], secrets: tuple[str, ...],
        watcher: Watcher | None = None, clock: Clock | None = None, judge: Judge = read_refusal,
    ) -> None:
        self.provider = provider
        self.manner = manner
        self.clock = clock or Clock()
        self.redaction = Redaction(secrets)
        self._base_url = _checked(provider, base_url).rstrip("/")
        self._headers = {"User-Agent": f"gateway-posture/{__version__}", "Accept-Encoding": "identity", **headers}
        self._watcher = watcher or Watcher()
        self._judge = judge
        self._context: ssl.SSLContext | None = None
        self._free_at_s = 0.0
        self._told_s = 0.0  # end of the rate limit that the watcher knows of

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """For the client's own `close`: no connection outlives its call, so that there is nothing to close here."""

    async def json(self, call: Call) -> Node:
        """The decoded JSON of the answer, secrets replaced. Raises as `call`, and OffContract if it is no JSON."""
        return await self.read(call, lambda answer: answer)

    async def read(self, call: Call, make: Callable[[Node], Made]) -> Made:
        """The same, and what `make` makes of it: in a thread if the answer is large."""
        return await self.made(call, await self.call(call), make)

    async def made(self, call: Call, reply: Reply, make: Callable[[Node], Made]) -> Made:
        """What `make` makes of an answer's JSON; as `read`."""
        return await aside(reply.body, lambda: make(self.decoded(call, reply)))

    def decoded(self, call: Call, reply: Reply) -> Node:
        """The JSON of an answer, secrets replaced. Raises OffContract if it is none, nested over 100 levels deep, or of
        millions of values."""
        try:
            return Node(self.provider, self._name(call), decode(reply.body, self.redaction))
        except Undecodable as error:
            raise self._off(call, error.came or self.described(reply), error.expected) from None

    def described(self, reply: Reply) -> str:
        """What came, in words, for an error: how many bytes, of which type."""
        type = _printable(self.redaction.text(reply.headers.get("content-type", ""))).strip()[:60]
        return f"{len(reply.body)} bytes of {type or 'no content type'}"

    async def call(self, call: Call) -> Reply:
        """The answer, once it is a success. Raises PlatformUnreachable, OffContract or PlatformRefused."""
        attempt = 1
        while True:
            await self._wait_for_reset(call)
            try:
                return await self._once(call)
            except PlatformError as error:
                delay_s = self._delay_s(call, error, attempt)
                if delay_s is None:
                    raise self._last(call, error, attempt) from None
            if delay_s > 0:
                await self.clock.sleep(delay_s)
            attempt += 1

    # --- whether to repeat -------------------------------------------------------------------------------------------

    def _delay_s(self, call: Call, error: PlatformError, attempt: int) -> float | None:
        """Seconds until the next attempt; None: there is none."""
        if attempt >= self.manner.attempts:
            return None
        if isinstance(error, RateLimited):
            return self._rate_limit_s(call, error, attempt)
        again = isinstance(error, (PlatformUnreachable, PlatformFailed)) and call.is_read
        if isinstance(error, PlatformUnreachable) and not error.maybe_taken:
            again = not isinstance(error, _CertificateRefused)
        return backoff_s(self.manner, self.clock, attempt) if again else None

    def _rate_limit_s(self, call: Call, error: RateLimited, attempt: int) -> float:
        """If the platform says when its limit ends, every call waits for that before it is sent: 0 here."""
        delay_s = backoff_s(self.manner, self.clock, attempt) if error.reset_s is None else error.reset_s
        if delay_s > self.manner.max_wait_s:
            raise self._limited(call, delay_s)
        if error.reset_s is None:
            self._tell_wait(delay_s)
            return delay_s
        self._hold_until(self.clock.now_s() + delay_s)
        return 0.0

    async def _wait_for_reset(self, call: Call) -> None:
        """What is sent before the reset would be refused."""
        delay_s = self._free_at_s - self.clock.now_s()
        if delay_s <= 0:
            return
        if delay_s > self.manner.max_wait_s:
            raise self._limited(call, delay_s)
        if self._free_at_s != self._told_s:  # of several calls that wait for the same, one says so
            self._told_s = self._free_at_s
            self._tell_wait(delay_s)
        await self.clock.sleep(delay_s)

    def _hold_until(self, free_at_s: float) -> None:
        if free_at_s > self._free_at_s + _SAME_S:
            self._free_at_s = free_at_s

    def _tell_wait(self, delay_s: float) -> None:
        self._watcher.on_wait(f"{self.provider}: rate limited, waiting {math.ceil(delay_s)} s")

    def _limited(self, call: Call, delay_s: float) -> RateLimited:
        until = iso(self.clock.now_s() + delay_s)
        most = f"waiting at most {self.manner.max_wait_s:g} s"
        error = RateLimited(
            self.provider, self._name(call), 429, "rate_limited",
            f"the rate limit ends at {until}, in {math.ceil(delay_s)} s ({most})",
        )  # fmt: skip
        error.reset_s = delay_s
        return error

    def _last(self, call: Call, error: PlatformError, attempt: int) -> PlatformError:
        """The error that the caller sees: with the number of attempts, and whether the call may have been taken."""
        repeated = isinstance(error, (PlatformUnreachable, PlatformFailed, RateLimited))
        notes = [f"after {attempt} attempts"] if attempt > 1 and repeated else []
        lost = isinstance(error, PlatformUnreachable) and error.maybe_taken
        if not call.is_read and (lost or isinstance(error, PlatformFailed)):
            notes.append(MAY_HAVE_BEEN_TAKEN)
        if not notes:
            return error
        note = f" ({', '.join(notes)})"
        if isinstance(error, PlatformRefused):
            return _with_message(error, (error.message + note).lstrip())
        if isinstance(error, PlatformUnreachable):
            return type(error)(error.provider, error.call, error.detail + note, maybe_taken=error.maybe_taken)
        return error

    # --- one attempt -------------------------------------------------------------------------------------------------

    async def _once(self, call: Call) -> Reply:
        tls, seen = self._tls(), SimpleNamespace(connected=False, status=None)
        began_s = time.monotonic()
        try:
            reply = await self._exchange(call, tls, seen)
        except PlatformError:
            raise
        except Exception as error:
            raise self._translated(call, error, seen) from None
        finally:
            duration_ms = (time.monotonic() - began_s) * 1e3
            path = self.redaction.text(call.path)
            self._watcher.on_call(Called(self.provider, call.method, path, seen.status, duration_ms))
        self._note_limit(reply)
        if 200 <= reply.status < 300:
            return reply
        raise self._refusal(call, reply)

    async def _exchange(self, call: Call, tls: ssl.SSLContext | bool, seen: SimpleNamespace) -> Reply:
        body, content_type = _body(call)
        url = self._base_url + call.path + (f"?{urlencode(call.query)}" if call.query else "")
        async with open_session(tls, self.manner.timeout_s) as session:
            request = session.request(
                call.method, _encoded(url), data=body, headers=self._headers | content_type, allow_redirects=False,
                trace_request_ctx=seen,
            )  # fmt: skip
            async with request as response:
                seen.status = response.status
                headers = {name.lower(): value for name, value in response.headers.items()}
                most = self.manner.max_answer_bytes if 200 <= response.status < 300 else _ERROR_BYTES
                read = await read_body(response, most)
        if len(read) > most and 200 <= response.status < 300:
            raise self._off(call, f"over {most} bytes", "at most that many (max_answer)")
        return Reply(response.status, headers, read[:most])

    def _translated(self, call: Call, error: Exception, seen: SimpleNamespace) -> Exception:
        """The error of ours for one of the HTTP client's; any other is a defect, and stays what it is."""
        if isinstance(error, ConnectionLost):
            error = error.error
        if isinstance(error, TimeoutError):
            phase = "no answer" if seen.connected else "no connection"
            return self._unreachable(call, f"{phase} within {self.manner.timeout_s:g} s", seen)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            detail = self.redaction.text(f"its certificate is not accepted: {reason_of(error)}")
            return _CertificateRefused(self.provider, self._name(call), detail, maybe_taken=False)
        if isinstance(error, aiohttp.ClientConnectorError):
            seen.connected = False
            return self._unreachable(call, f"no connection: {reason_of(error)}", seen)
        if isinstance(error, aiohttp.ClientResponseError):
            taken = "" if call.is_read else f" ({MAY_HAVE_BEEN_TAKEN})"
            return self._off(call, "bytes that are no HTTP", f"an answer in HTTP/1.1{taken}")
        if isinstance(error, (aiohttp.ClientError, OSError, ValueError)):
            return self._unreachable(call, f"the connection was lost: {loss_of(error)}", seen)
        return error

    def _tls(self) -> ssl.SSLContext | bool:
        if self.manner.ca is None or not self._base_url.lower().startswith("https:"):
            return True
        if self._context is None:
            self._context = self._trusting(self.manner.ca)
        return self._context

    def _trusting(self, ca: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        try:
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError) as error:
            raise _CertificateRefused(
                self.provider, "ca", f"{ca} has no PEM certificates: {reason_of(error)}", maybe_taken=False
            ) from None
        return context

    def _note_limit(self, reply: Reply) -> None:
        """`Remaining: 0` holds the next calls back. Only an answer of a later window lets them go: of calls made at the
        same time, one that was counted earlier may be answered later."""
        reset_s = unix_s(reply.headers.get("x-ratelimit-reset"))
        if reset_s is None:
            return
        if is_none_left(reply.headers.get("x-ratelimit-remaining", "")):
            self._hold_until(reset_s)
        elif reset_s > self._free_at_s + _SAME_S:
            self._free_at_s = 0.0

    def _refusal(self, call: Call, reply: Reply) -> PlatformRefused:
        error = self._judge(self.provider, self._name(call), reply.status, self.redaction.body(reply.body))
        if isinstance(error, RateLimited):
            error.reset_s = self._reset_s(reply)
        return error

    def _reset_s(self, reply: Reply) -> float | None:
        """Seconds until the limit ends; None if the platform does not say, or says something past."""
        now_s = self.clock.now_s()
        reset_s = unix_s(reply.headers.get("x-ratelimit-reset"))
        if reset_s is not None and reset_s > now_s:
            return reset_s - now_s
        return retry_after_s(reply.headers.get("retry-after"), now_s)

    def _unreachable(self, call: Call, detail: str, seen: SimpleNamespace) -> PlatformUnreachable:
        detail = self.redaction.text(detail)
        return PlatformUnreachable(self.provider, self._name(call), detail, maybe_taken=bool(seen.connected))

    def _off(self, call: Call, came: str, expected: str) -> OffContract:
        return OffContract(self.provider, self._name(call), "", self.redaction.text(came), expected)

    def _name(self, call: Call) -> str:
        """As in errors: a secret that was typed where an id belongs stands in the path."""
        return self.redaction.text(call.name)


class _CertificateRefused(PlatformUnreachable):
    """Trying again would not help."""


def _checked(provider: str, base_url: str) -> str:
    try:
        if base_url.lower().startswith("https://") or is_loopback_url(base_url):
            return base_url
    except ValueError:  # no URL at all
        pass
    expected = "an https:// URL; http:// for loopback addresses only"
    raise PostureUsage(f"{provider}: base_url: got {base_url[:100]!r}; expected {expected}")


def _with_message(error: PlatformRefused, message: str) -> PlatformRefused:
    changed = type(error)(error.provider, error.call, error.status, error.code, message)
    if isinstance(error, RateLimited) and isinstance(changed, RateLimited):
        changed.reset_s = error.reset_s
    return changed


def _body(call: Call) -> tuple[bytes | None, dict[str, str]]:
    if call.form is not None:
        return urlencode(call.form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    if call.json is not None:
        return orjson.dumps(call.json), {"Content-Type": "application/json"}
    return None, {}


def _encoded(url: str) -> Any:
    """The URL as it stands: `%2F` in an id must not become `/`."""
    from yarl import URL

    return URL(url, encoded=True)


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)
