"""Probes below HTTP: old versions of TLS, and a request head that is never finished."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets

from gateway.posture.assessment.hello import VERSIONS, Answer, client_hello, read_answer
from gateway.posture.assessment.target import Address
from gateway.posture.assessment.verdict import Verdict, found, not_done, ok
from gateway.posture.assessment.visitor import USER_AGENT, tolerant_context
from gateway.posture.assessment.wording import clean, reason

_CHUNK = 4096
_FLIGHT_BYTES = 128 * 1024
"""Of a server's first messages, certificates included; OpenSSL takes 100 KiB of them."""
_PIECES = 5
"""Header lines that a head gets before the time is over: a server that only minds silence must not pass."""


async def probe_old_tls(address: Address, timeout_s: float) -> Verdict:
    """tls-old: which of TLS 1.0 and 1.1 the server accepts."""
    accepted: set[tuple[int, int]] = set()
    open_questions: list[str] = []
    for version in sorted(VERSIONS, reverse=True):
        answer = await _old_tls_answer(address, version, timeout_s)
        if isinstance(answer, tuple):
            accepted.add(answer)
        elif answer != "refused":
            open_questions.append(f"{VERSIONS[version]}: {answer}")
    names = [VERSIONS[version] for version in sorted(accepted)]
    if names:
        return found(f"the server accepts {' and '.join(names)}, which RFC 8996 has ended", accepted=names)
    if open_questions:
        return not_done(f"could not be probed: {'; '.join(open_questions)}")
    return ok(refused=sorted(VERSIONS.values()))


async def _old_tls_answer(address: Address, version: tuple[int, int], timeout_s: float) -> Answer | str:
    """A version that is accepted, "refused", or in words why there is no answer."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(client_hello(version, _sni(address.host), secrets.token_bytes(32)))
            return await _read_flight(reader)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except OSError as error:  # a reset once we have written is how some servers refuse
        return "refused" if writer is not None else reason(error)
    finally:
        if writer is not None:
            writer.transport.abort()


async def _read_flight(reader: asyncio.StreamReader) -> Answer | str:
    received = bytearray()
    while len(received) < _FLIGHT_BYTES:
        piece = await reader.read(_CHUNK)
        if not piece:
            return "refused"
        received += piece
        answer = read_answer(bytes(received))
        if answer != "more":
            return "an answer that is no TLS" if answer == "not TLS" else answer
    return f"an answer of over {_FLIGHT_BYTES} bytes"


def _sni(host: str) -> str | None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return None


async def probe_slow_head(address: Address, timeout_s: float, slow_head_s: float) -> Verdict:
    """slow-head: a connection whose request head comes a line at a time must be answered or closed in slow_head_s."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=tolerant_context() if address.tls else None,
                server_hostname=address.host if address.tls else None,
            )  # fmt: skip
        return await _hold(reader, writer, address, slow_head_s)
    except TimeoutError:
        return not_done(f"no connection within {timeout_s:g} s")
    except OSError as error:
        return not_done(f"no connection: {reason(error)}")
    finally:
        if writer is not None:
            writer.transport.abort()


async def _hold(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address, slow_head_s: float
) -> Verdict:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    head = f"GET {address.path} HTTP/1.1\r\nHost: {address.authority}\r\nUser-Agent: {USER_AGENT}\r\n"
    writer.write(head.encode("ascii"))
    for piece in range(1, _PIECES + 1):
        ended = await _ending(reader, began_s + slow_head_s * piece / _PIECES)
        if ended is not None:
            return ok(ended=ended, after_s=round(loop.time() - began_s, 2))
        writer.write(f"X-Unfinished-{piece}: 1\r\n".encode())
    return found(
        f"a request head that was not finished held its connection for {slow_head_s:g} s, and it was still open",
        held_s=slow_head_s,
    )


async def _ending(reader: asyncio.StreamReader, until_s: float) -> str | None:
    """How the server ended it before then: by an answer, or by closing; None = it waits on."""
    try:
        async with asyncio.timeout_at(until_s):
            answer = await reader.read(_CHUNK)
    except TimeoutError:
        return None
    except OSError:
        return "closed"
    first_line = answer.partition(b"\r\n")[0].decode("latin-1")
    return f"answered {clean(first_line, 60)}" if answer else "closed"
