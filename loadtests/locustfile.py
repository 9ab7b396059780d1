"""Users' mixed traffic against a gateway in front of the demo's sample origin; every answer is checked.

`make load` starts both and runs this (see run.py). By hand, against a gateway that runs already:

    LOAD_ORIGIN=http://127.0.0.1:9000 locust -f loadtests/locustfile.py --headless -u 8 -t 20s -H http://127.0.0.1:8080

A share of the requests of each measured kind goes to LOAD_ORIGIN directly, from the same users at the same time: what
the gateway adds is the difference. Without LOAD_ORIGIN everything goes through the gateway. One user sends one request
at a time; all users share one core, so the durations hold some waiting for each other, the same on both ways.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clients import APP, BOTS, BROWSERS, Browser, Headers
from locust import FastHttpUser, between, events, task
from percentiles import Measured

from gateway.demo.origin import PATTERN, STYLE

KINDS = ("page", "static", "api", "app", "upload", "download", "bot")
ORIGIN = os.environ.get("LOAD_ORIGIN", "")
DIRECT_SHARE = 0.3 if ORIGIN else 0.0
REPORT_FILE = os.environ.get("LOAD_REPORT", "")
"""Where to write how many requests should have had which outcome, as JSON; "" for nowhere."""

UPLOADS = [random.Random(seed).randbytes(size) for seed, size in enumerate((1, 20_000, 300_000, 1_500_000))]
DIGESTS = [hashlib.sha256(body).hexdigest() for body in UPLOADS]
DOWNLOAD_BYTES = (0, 1_000, 65_536, 1_000_000)
BOT_UPLOAD_BYTES = 64 * 1024

DATADOME_COOKIE = re.compile(r"(?:^|[,\s])datadome=([^;,\s]+)")
MEASURED = Measured()

logging.getLogger("locust.user.task").setLevel(logging.CRITICAL)  # one traceback per request; `report` prints each once


class WrongOutcome(Exception):
    """What was got instead of what was due."""


def expect(what: str, got: object, due: object) -> None:
    if got != due:
        raise WrongOutcome(f"{what} is {str(got)[:100]!r}, due was {str(due)[:100]!r}")


def values(response: Any, name: str) -> str:
    return str(response.headers.get(name) or "")


Check = Callable[[Any], None]
"""Raises WrongOutcome for an answer that is not what it must be."""


class Visitor(FastHttpUser):
    """What all users have in common: one way to send, which checks, measures and sometimes bypasses the gateway."""

    abstract = True
    wait_time = between(0.01, 0.08)
    direct = False
    network_timeout = connection_timeout = 10.0

    def on_start(self) -> None:
        # A 403 is an answer like any other here: without this the client drops its body.
        self.client.client.valid_response_codes = frozenset(range(200, 600))

    def keep_session(self, response: Any) -> None:
        """Take what the answer sets: it comes once, and then when it is due again."""

    def send(
        self,
        kind: str,
        method: str,
        path: str,
        headers: Headers,
        check: Check,
        *,
        outcome: str = "allowed",
        body: bytes | None = None,
        measured: bool = True,
    ) -> None:
        """Send one request, check its answer, measure it if it is right. `self.direct` says which way it went."""
        self.direct = direct = measured and random.random() < DIRECT_SHARE
        url, name = (ORIGIN + path, f"{kind}, directly") if direct else (path, kind)
        with self.client.request(
            method, url, name=name, headers=headers, data=body, catch_response=True, allow_redirects=False
        ) as response:
            if not direct:
                MEASURED.outcomes[outcome] += 1
            try:
                if error := response.request_meta["exception"]:
                    raise WrongOutcome(f"no answer: {error!r}"[:200])
                self.keep_session(response)
                check(response)
            except (WrongOutcome, ValueError, KeyError) as error:
                MEASURED.wrong[name, str(error) or repr(error)] += 1
                response.failure(str(error))
            else:
                response.success()
                MEASURED.add(kind, response.request_meta["response_time"], direct=direct)


class BrowserUser(Visitor):
    """A page, its style sheet, a fetch() or two, now and then a form; cookies are kept."""

    weight = 4
    browser: Browser

    def on_start(self) -> None:
        super().on_start()
        self.browser = random.choice(BROWSERS)
        self.cookie = ""

    def keep_session(self, response: Any) -> None:
        if found := DATADOME_COOKIE.search(values(response, "set-cookie")):
            self.cookie = found[1]

    def headers(self, what: str, **more: str) -> Headers:
        own = {"Referer": f"{self.host}/"} if what != "page" else {}
        if self.cookie:
            own["Cookie"] = f"datadome={self.cookie}; basket=3"
        return {**self.browser[what], **own, **more}

    @task(5)
    def visit(self) -> None:
        self.send("page", "GET", "/", self.headers("page"), self.check_page)
        self.send("static", "GET", "/style.css", self.headers("style"), check_style, outcome="bypassed")

    def check_page(self, response: Any) -> None:
        expect("status", response.status_code, 200)
        expect("media type", values(response, "content-type"), "text/html; charset=utf-8")
        expect("the end of the page", response.text.rstrip().endswith("</html>"), True)
        expect("whether the origin saw no gateway", "Not protected." in response.text, self.direct)
        if not self.direct:
            expect("whether the origin got the check's result", "x-datadome-isbot" in response.text.lower(), True)
            expect("whether there is a session cookie", bool(self.cookie), True)

    @task(4)
    def fetch(self) -> None:
        basket = {"basket": [random.randrange(1000) for _ in range(random.randrange(20))], "q": "süß"}
        headers = self.headers("script", **{"Content-Type": "application/json", "Origin": str(self.host)})
        body = json.dumps(basket).encode()
        self.send("api", "POST", "/api/echo?page=2", headers, check_echo(body, basket), body=body)

    @task(1)
    def upload(self) -> None:
        send_upload(self, self.headers("script", **{"Content-Type": "application/octet-stream"}))

    @task(1)
    def download(self) -> None:
        size_bytes = random.choice(DOWNLOAD_BYTES)
        path = f"/download?bytes={size_bytes}"
        self.send("download", "GET", path, self.headers("page"), check_download(size_bytes))


class AppUser(Visitor):
    """A native application: JSON, the session in a header."""

    weight = 2

    @task
    def call(self) -> None:
        body = json.dumps({"item": random.randrange(10**6)}).encode()
        headers = {**APP, "Content-Type": "application/json", "X-DataDome-ClientID": "AHrlqAAAAAMAvMOMAeCkNXsAAAA"}
        self.send("app", "POST", "/api/echo", headers, check_echo(body, json.loads(body)), body=body)


class BotUser(Visitor):
    """Known automation. Nothing of the origin may be seen, whatever it asks for and however it asks."""

    weight = 1

    @task(4)
    def scrape(self) -> None:
        self.send("bot", "GET", "/", random.choice(BOTS), check_blocked, outcome="blocked", measured=False)

    @task(1)
    def call(self) -> None:
        headers = {**random.choice(BOTS), "Content-Type": "application/json", "Accept": "application/json"}
        self.send(
            "bot", "POST", "/api/echo", headers, check_blocked_json, outcome="blocked", body=b"{}", measured=False
        )

    @task(1)
    def upload(self) -> None:
        headers = {**random.choice(BOTS), "Content-Type": "application/octet-stream"}
        body = UPLOADS[-1][:BOT_UPLOAD_BYTES]
        self.send("bot", "POST", "/upload", headers, check_blocked, outcome="blocked", body=body, measured=False)

    @task(1)
    def fetch_static_file(self) -> None:
        """Static files are not checked: a bot gets them too."""
        headers = random.choice(BOTS)
        self.send("static", "GET", "/style.css", headers, check_style, outcome="bypassed", measured=False)


def send_upload(user: Visitor, headers: Headers) -> None:
    which = random.randrange(len(UPLOADS))
    due = {"bytes": len(UPLOADS[which]), "sha256": DIGESTS[which]}

    def check(response: Any) -> None:
        expect("status", response.status_code, 200)
        expect("what arrived", response.json(), due)

    user.send("upload", "POST", "/upload", headers, check, body=UPLOADS[which])


def check_style(response: Any) -> None:
    expect("status", response.status_code, 200)
    expect("style sheet", response.text, STYLE)


def check_echo(body: bytes, value: object) -> Check:
    def check(response: Any) -> None:
        expect("status", response.status_code, 200)
        echo = response.json()
        expect("method", echo["method"], "POST")
        expect("digest", echo["body_sha256"], hashlib.sha256(body).hexdigest())
        expect("json", echo["json"], value)

    return check


def check_download(size_bytes: int) -> Check:
    def check(response: Any) -> None:
        expect("status", response.status_code, 200)
        content = response.content or b""
        expect("length", len(content), size_bytes)
        expect("content", content == (PATTERN * (size_bytes // len(PATTERN) + 1))[:size_bytes], True)

    return check


def check_blocked(response: Any) -> None:
    expect("status", response.status_code, 403)
    expect("something of the origin", "sample origin" in (response.text or ""), False)


def check_blocked_json(response: Any) -> None:
    check_blocked(response)
    expect("media type", values(response, "content-type").partition(";")[0], "application/json")
    expect("a JSON object", isinstance(response.json(), dict), True)


@events.quitting.add_listener
def report(environment: Any, **_: object) -> None:
    """Print the table; decide the exit code; leave the expected outcomes for whoever started us."""
    print(MEASURED.table(KINDS))
    missing = MEASURED.missing(KINDS)
    for (kind, what), count in MEASURED.wrong.most_common():
        print(f"WRONG {count} x {kind}: {what}", file=sys.stderr)
    for kind in missing:
        print(f"WRONG no right answer at all: {kind}", file=sys.stderr)
    for error in environment.runner.exceptions.values():
        print(f"WRONG {error['count']} x {error['traceback']}", file=sys.stderr)
    failed = bool(missing or MEASURED.wrong or environment.runner.exceptions)
    environment.process_exit_code = 1 if failed else 0
    if REPORT_FILE:
        Path(REPORT_FILE).write_text(json.dumps(dict(MEASURED.outcomes)))
