"""A session with SecuritySpace: one token for all calls, renewed once for all of them.

Theory of operation. A token is fetched by a task that everybody who needs it waits for, so that ten calls at a time
make one `auth.php`. Each token has a number. Who finds that its token was refused asks for one that is newer; the first
to do so starts the task, the others find it under way or done. A wrong user or password stays wrong: after it no
further log-in is tried, which could lock the account. The token is in memory alone, and is `***` from the moment that
it is known.

Source: SecuritySpace's REST API Guide 'Authentication (auth.php)'; tokens are good for 24 hours.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import orjson

from gateway.errors import CredentialsRefused, PlatformUnreachable
from gateway.posture.answer import Node
from gateway.posture.client.caller import Call, Caller
from gateway.posture.client.refusal import succeeded

_AUTH = Call("POST", "/auth.php", is_read=True)


@dataclass(frozen=True, slots=True, repr=False)
class Ticket:
    """A token, and the how manyth it is."""

    number: int
    token: str


class Session:
    """The tokens of one client."""

    def __init__(self, caller: Caller, key: str, userid: str, password: str) -> None:
        self._caller = caller
        self._form = {"apikey": key, "userid": userid, "password": password}
        self._number = 0
        self._login: asyncio.Task[Ticket] | None = None

    async def ticket(self, after: Ticket | None = None) -> Ticket:
        """A token, newer than `after`, which was refused. Raises what the log-in raised, to each who waits for it."""
        if self._login is None or self._is_of_no_use(self._login, after):
            self._login = asyncio.create_task(self._log_in())
            self._login.add_done_callback(_take_error)
        login = self._login
        try:
            return await asyncio.shield(login)  # who stops waiting does not stop it for the others
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if not login.cancelled() or (waiter is not None and waiter.cancelling()):
                raise
            raise PlatformUnreachable(
                self._caller.provider, _AUTH.name, "the client was closed", maybe_taken=False
            ) from None

    async def close(self) -> None:
        """Stops a log-in that is under way, and forgets the token."""
        login, self._login = self._login, None
        if login is not None:
            login.cancel()
            await asyncio.wait([login])

    def _is_of_no_use(self, login: asyncio.Task[Ticket], after: Ticket | None) -> bool:
        if not login.done():
            return False
        if login.cancelled():
            return True
        error = login.exception()
        if error is not None:
            return not isinstance(error, CredentialsRefused)
        return after is not None and login.result().number <= after.number

    async def _log_in(self) -> Ticket:
        call = replace(_AUTH, form=self._form)
        reply = await self._caller.call(call)
        token = await self._caller.made(call, reply, lambda answer: _token(answer, reply.body))
        self._caller.redaction.add(token)
        self._number += 1
        return Ticket(self._number, token)


def _token(answer: Node, body: bytes) -> str:
    """From the body, as it came: the answer has *** for a token that is known, which one may come again."""
    if not succeeded(answer).text("sessionToken"):
        raise answer["sessionToken"].off("a token")
    return str(orjson.loads(body)["sessionToken"])


def _take_error(login: asyncio.Task[Ticket]) -> None:
    """Without this the event loop complains about an error that nobody waits for any more."""
    if not login.cancelled():
        login.exception()
