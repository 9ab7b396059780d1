"""Ask a running gateway's admin side whether it is ready: for `gateway healthcheck` and for the demo."""

from __future__ import annotations

import http.client

ANSWER_TIMEOUT_S = 2.0
"""Per connect and per read: below the 3 s that a container's health check usually has; the admin side takes 1 ms."""

BODY_LIMIT_BYTES = 4096
"""How much of the answer is read for the message; the status alone decides."""


def readiness(admin_address: str) -> tuple[bool, str]:
    """GET /readyz on `admin_address` ("host:port" or "[v6]:port").

    Returns (ready, detail): ready is True for a 200 only. Never raises for an unreachable or odd peer: that is
    (False, why).
    """
    host, colon, port = admin_address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        return False, f"{admin_address!r} is not host:port"
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read(BODY_LIMIT_BYTES).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException, ValueError) as error:
        # ValueError: a host that the standard library refuses, such as one with a space in it
        return False, f"no answer from {admin_address}: {error or type(error).__name__}"
    finally:
        connection.close()
    return answer.status == 200, f"{admin_address} says {answer.status} {body}".rstrip()
