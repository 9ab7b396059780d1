"""Forward-confirmed reverse DNS: whose an address is, by names that only the owner of a domain can make.

The name of an address (PTR) is written by whoever has the address, so alone it proves nothing. A name below
`googlebot.com` can be made to point back to that address by Google alone. Both together are the proof that the
operators document.

aiodns (c-ares) asks in a thread of its own and is bound by `query_timeout_s` for each attempt; the whole is bound by
the caller. An answer that there is no such name is an answer; everything else that is no address (SERVFAIL, REFUSED,
time out, a malformed packet, no server) is LookupFailed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import aiodns
import pycares

from gateway.engine.bots.operator import Operator
from gateway.errors import LookupFailed

MAX_NAMES = 4  # of an address that are followed; who gives it more is looking for trouble
ATTEMPTS = 2  # a lost packet is no reason to doubt a crawler
_NO_SUCH_NAME = {
    aiodns.error.ARES_ENOTFOUND,
    aiodns.error.ARES_ENODATA,
    aiodns.error.ARES_EBADNAME,  # a PTR that no name server could be asked for
}


class Resolver:
    """Asks the name servers. Made without a running loop; its thread and sockets begin with the first question."""

    def __init__(self, nameservers: Sequence[str] = (), *, query_timeout_s: float = 1.0) -> None:
        """`nameservers`: `192.0.2.53`, `192.0.2.53:5353` or `[2001:db8::53]:5353`; none = the system's."""
        self._nameservers = list(nameservers)
        self._query_timeout_s = query_timeout_s
        self._aiodns: aiodns.DNSResolver | None = None

    async def confirms(self, operator: Operator, address: str) -> bool:
        """True if the address (in text, valid) has a name of the operator that points back to it.

        Raises LookupFailed if a question got no answer and the others did not confirm it already.
        """
        wanted = ip_address(address)
        names = await self._ask(wanted.reverse_pointer, "PTR")
        owned = [name.removesuffix(".") for name in names if operator.owns_host(name)][:MAX_NAMES]
        answers = await asyncio.gather(
            *(self._ask(name, "A" if wanted.version == 4 else "AAAA") for name in owned), return_exceptions=True
        )
        failed: BaseException | None = None
        for answer in answers:
            if isinstance(answer, BaseException):
                failed = answer
            elif any(ip_address(text) == wanted for text in answer):
                return True
        if failed is not None:
            raise failed
        return False

    async def _ask(self, name: str, record_type: str) -> list[str]:
        """The records of that type, those at the end of a chain of CNAME (RFC 2317) included."""
        if self._aiodns is None:
            self._aiodns = aiodns.DNSResolver(
                nameservers=self._nameservers or None, timeout=self._query_timeout_s, tries=ATTEMPTS
            )
        try:
            result = await self._aiodns.query_dns(name, record_type)
        except aiodns.error.DNSError as error:
            code, text = error.args
            if code in _NO_SUCH_NAME:
                return []
            raise LookupFailed(f"{record_type} of {name[:100]}: {text}") from None
        return [text for record in result.answer if (text := _text(record.data)) is not None]

    async def close(self) -> None:
        """Give up what is asked. Idempotent."""
        if self._aiodns is not None:
            await self._aiodns.close()
            self._aiodns = None


def _text(data: object) -> str | None:
    if isinstance(data, pycares.PTRRecordData):
        return data.dname
    if isinstance(data, pycares.ARecordData | pycares.AAAARecordData):
        return data.addr
    return None
