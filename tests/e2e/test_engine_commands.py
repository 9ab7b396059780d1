"""`gateway engine ban` and its like beside a running gateway, as an operator types them."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode

from processes import BROWSER, SCRIPT, GatewayProcess


async def engine(gateway: GatewayProcess, *typed: str) -> tuple[int, str]:
    """(exit code, what it printed) of `gateway engine ... -c FILE`."""
    command = [sys.executable, "-m", "gateway", "engine", *typed, "-c", str(gateway.file)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_commands_change_the_next_decision_of_the_embedded_engine(run):
    gateway = await run()
    assert (await gateway.ask(BROWSER)).status == 200
    code, printed = await engine(gateway, "ban", "127.0.0.0/8", "--for", "10m", "--reason", "a test")
    assert (code, "1 in force, until the engine is restarted (engine unix:" in printed) == (0, True), printed
    assert (await gateway.ask(BROWSER)).status == 403
    assert (await gateway.ask(SCRIPT)).status == 403
    assert (await engine(gateway, "allow", "127.0.0.1", "--for", "10m"))[0] == 0  # the more specific one counts
    assert (await gateway.ask(SCRIPT)).status == 200
    code, printed = await engine(gateway, "list", "--format", "json")
    listed = [(one["subject"], one["action"]) for one in json.loads(printed)["overrides"]]
    assert (code, sorted(listed)) == (0, [("127.0.0.0/8", "block"), ("127.0.0.1", "allow")])
    for subject in ("127.0.0.1", "127.0.0.0/8"):
        assert (await engine(gateway, "unban", subject))[0] == 0
    assert ((await gateway.ask(BROWSER)).status, (await gateway.ask(SCRIPT)).status) == (200, 403)

    shown = json.loads((await gateway.admin(b"/status.json")).body)["engine"]
    assert shown["rules"]["override-block"] == {"block": 2}
    assert shown["rules"]["override-allow"] == {"allow": 1}
    assert (shown["overrides"], shown["store_up"]) == (0, True)


async def test_session_that_is_revoked_counts_no_more(run):
    gateway = await run()
    page = await gateway.ask(BROWSER)
    (cookie,) = (value.partition(b";")[0] for value in page.values(b"set-cookie"))
    known = BROWSER.replace(b"\r\n\r\n", b"\r\nCookie: " + cookie + b"\r\n\r\n")
    assert (await gateway.ask(known)).values(b"set-cookie") == []  # the visitor keeps what he has
    session_id = _session_id(cookie.partition(b"=")[2].decode())
    assert (await engine(gateway, "revoke", session_id, "--for", "1h"))[0] == 0
    renewed = await gateway.ask(known)
    assert renewed.status == 200 and renewed.values(b"set-cookie")


def _session_id(token: str) -> str:
    """As logs and the status show it: bytes 5 to 13 of the token."""
    return urlsafe_b64encode(urlsafe_b64decode(token)[5:14]).decode()
