"""Who judges in the tests of the HTTP side: the seam that gateway.engine.service.server.Responder names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from gateway.engine.answer import Answer, answer_refusal
from gateway.engine.api import Call
from gateway.engine.wire import decode
from gateway.errors import CallRefused

KEY = "key"
PAGE = b"<!DOCTYPE html>" + b"x" * 3000


class Responding:
    """Reads calls as the engine does, knows one key, and stops curl with a page."""

    def __init__(self, key: str = KEY) -> None:
        self._key = key

    def respond(self, call: Call) -> Answer | Awaitable[Answer]:
        try:
            described = decode(call.body, call.content_type)
        except CallRefused as refusal:
            return answer_refusal(refusal.status, str(refusal))
        if described.text("Key") != self._key:
            return answer_refusal(400, "the Key field is no accepted key")
        cookie = ("X-Set-Cookie" if call.x_set_cookie else "Set-Cookie", "datadome=x; Path=/")
        if described.text("UserAgent").startswith("curl"):
            return Answer(403, [("X-DataDomeResponse", "403"), ("Content-Type", "text/html"), cookie], PAGE)
        return Answer(200, [("X-DataDomeResponse", "200"), cookie], b"")


class Waiting(Responding):
    """Every call waits until `open` is set, as for a store. `asked` and `answered` count."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.asked = self.answered = 0

    def respond(self, call: Call) -> Awaitable[Answer]:
        self.asked += 1
        return self._respond(call)

    async def _respond(self, call: Call) -> Answer:
        await self.open.wait()
        self.answered += 1
        answer = super().respond(call)
        assert isinstance(answer, Answer)
        return answer


class Failing(Responding):
    """Has a defect."""

    def respond(self, call: Call) -> Answer:
        raise LookupError("a defect")


class FailingLater(Responding):
    """Has a defect that shows while it waits."""

    async def respond(self, call: Call) -> Answer:  # type: ignore[override]
        raise LookupError("a defect")


class Splitting(Responding):
    """Answers with a header that would be two."""

    def respond(self, call: Call) -> Answer:
        return Answer(302, [("Location", "/a\r\nSet-Cookie: b=c")], b"")
