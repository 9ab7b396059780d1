"""What one client of the engine may use: sizes, counts and times, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one ApiServer; the defaults are the product's, tests set others."""

    connections: int = 10_000
    """Open at once; one more gets 503 and is closed."""
    head_bytes: int = 16_384
    """Of a call's head; modules send under 500. A longer one is 431."""
    headers: int = 100
    calls_per_turn: int = 16
    """Pipelined calls answered before it is the other connections' turn: some 1 ms."""
    keep_alive_s: float = 75.0
    """Without a byte of the next call; longer than the modules' pools keep an idle connection, so that they close
    first and never write into a connection that is being closed."""
    head_s: float = 10.0
    """From a head's first byte to its last (408), and for a TLS handshake."""
    body_s: float = 5.0
    """From the head to the last byte of the body (408). A module gives up after far less."""
    write_s: float = 5.0
    """With 64 KiB of answers that the client does not read; then it is cut off."""
    linger_s: float = 1.0
    """How long the rest of a refused call is thrown away, so that the client reads the answer and no reset."""
    sweep_s: float = 0.1
    """Between two looks at all deadlines: how late each of them may come."""
