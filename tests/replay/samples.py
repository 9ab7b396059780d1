"""Lines of real formats, one request each, as servers write them."""

from __future__ import annotations

import orjson
from engine.browser_requests import BROWSER_REQUESTS, FIREFOX

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
GOOGLE_ADDRESS = "66.249.66.1"  # in the shipped ranges
PAYLOAD = {**BROWSER_REQUESTS["chrome navigates"], "IP": "198.51.100.20"}


def combined(
    address: str = "203.0.113.9", request: str = "GET / HTTP/1.1", agent: str = FIREFOX, *, second: int = 0,
    minute: int = 0, host: str = "", referrer: str = "-", tail: str = "",
) -> bytes:  # fmt: skip
    """nginx and Apache; `host` in front, `tail` behind."""
    front = f"{host} " if host else ""
    time = f"21/Nov/2026:10:{minute:02d}:{second:02d} +0000"
    return f'{front}{address} - - [{time}] "{request}" 200 512 "{referrer}" "{agent}"{tail}\n'.encode()


def access(address: str = "203.0.113.9", agent: str | None = FIREFOX, **fields: object) -> bytes:
    """This gateway's access log."""
    return orjson.dumps(
        {
            "time": "2026-11-21T10:00:00.125Z", "site": "shop", "client_ip": address, "method": "GET",
            "host": "shop.example", "target": "/cart", "http_version": "1.1", "status": 200, "outcome": "allowed",
            "reason": None, "duration_ms": 1.5, "protection_ms": 0.9, "origin_ms": 0.4, "bytes_received": 0,
            "bytes_sent": 900, "request_id": "d7c6", "user_agent": agent, "origin_server": "http://127.0.0.1:9000",
            "rule": "default", **fields,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )  # fmt: skip


def decision(address: str = "203.0.113.9", agent: str = FIREFOX, **fields: object) -> bytes:
    """The engine's decision log."""
    return orjson.dumps(
        {
            "time": "2026-11-21T10:00:00.250+00:00", "rule": "suspicious-browser", "action": "challenge",
            "client_ip": address, "method": "GET", "host": "shop.example", "path": "/cart", "user_agent": agent,
            "bot": None, "bot_class": "human", "score": 55, "findings": ["hints_missing", "fetch_metadata_missing"],
            "session": None, "session_kind": "none", "presented": None, "dry_run": None, "request_id": "x", **fields,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )  # fmt: skip


def payload(**fields: object) -> bytes:
    """A call of the Protection API, as JSON Lines."""
    return orjson.dumps({**PAYLOAD, **fields}, option=orjson.OPT_APPEND_NEWLINE)
