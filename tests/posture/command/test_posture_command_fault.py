"""What goes wrong between us and a platform, as an operator sees it: retries, rate limits, refusals, odd answers."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime

import pytest
from posture.command.commands import (
    CYPER_KEY,
    CYPER_SECRET,
    DDACTIC_KEY,
    DDACTIC_SECRET,
    READ_KEY,
    SECRETS,
    WEBHOOKS,
    Operator,
)
from posture.standin.server import Fault

START = ("scan", "start", "dom_0001", "--provider", "ddactic")
LOST = [Fault(status=500), Fault(status=503, body=b"<html>sorry</html>"), Fault(drop=True)]


def reading(operator: Operator, *faults: Fault) -> int:
    """How often a call that reads was sent."""
    operator.ddactic.script(*faults)
    operator.document("domains", "list")
    return len(operator.ddactic.calls)


# --- the table of the interface, 'Calls' ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", LOST, ids=["500", "503", "dropped"])
def test_call_that_reads_is_repeated_until_it_succeeds(operator: Operator, fault: Fault) -> None:
    assert reading(operator, fault, fault, fault) == 4


@pytest.mark.parametrize("fault", LOST, ids=["500", "503", "dropped"])
def test_call_that_reads_is_given_up_after_the_attempts(operator: Operator, fault: Fault) -> None:
    operator.configure("ddactic", providers={"ddactic": {"retry": {"attempts": 2, "base": "1ms", "max": "1ms"}}})
    operator.ddactic.script(*[fault] * 9)

    said = operator.failed("domains", "list")

    assert said.startswith("ddactic GET /domains: ")
    assert "after 2 attempts" in said
    assert len(operator.ddactic.calls) == 2


@pytest.mark.parametrize("fault", LOST, ids=["500", "503", "dropped"])
def test_call_that_starts_something_is_never_repeated_and_may_have_been_taken(
    operator: Operator, fault: Fault
) -> None:
    operator.ddactic.script(fault)

    said = operator.failed(*START)

    assert said.startswith("ddactic POST /scans: ")
    assert "may have been taken" in said
    assert operator.sent() == ["ddactic POST /scans"]


@pytest.mark.parametrize("command", [("domains", "list"), START], ids=["reading", "starting"])
def test_platform_that_is_not_there_is_tried_as_often_as_configured(
    operator: Operator, command: tuple[str, ...]
) -> None:
    keys = {"base_url": "http://127.0.0.1:9/v1"}  # discard: nobody listens
    operator.configure("ddactic", providers={"ddactic": keys})

    said = operator.failed(*command)

    assert "no connection: Connection refused" in said
    assert said.endswith("(after 4 attempts)")


def test_platform_that_never_answers_is_waited_for_as_long_as_configured(operator: Operator) -> None:
    keys = {"timeout": "50ms", "retry": {"attempts": 2, "base": "1ms", "max": "1ms"}}
    operator.configure("ddactic", providers={"ddactic": keys})
    operator.ddactic.script(Fault(hang=True), Fault(hang=True), Fault(hang=True))

    assert "no answer within 0.05 s (after 2 attempts)" in operator.failed("domains", "list")
    assert "no answer within 0.05 s (may have been taken)" in operator.failed(*START)


def test_redirect_is_never_followed(operator: Operator) -> None:
    operator.ddactic.script(Fault(status=307, headers={"Location": f"{operator.cypersecurity.url}/scans"}))

    assert "307" in operator.failed("domains", "list")
    assert operator.sent() == ["ddactic GET /domains"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=200, body=b"<html>"), "the answer: got 6 bytes of application/json; expected JSON"),
        (Fault(status=204, body=b""), "the answer: got 0 bytes"),
        (Fault(garbage=b"SSH-2.0-OpenSSH\r\n"), "bytes that are no HTTP"),
        (Fault(status=200, body=b"[" * 5000 + b"]" * 5000), "the answer: got"),
        (Fault(status=200, body=b'"\\ud800"'), "the answer: got"),
        (Fault(status=200, body=b'{"a": NaN}'), "expected JSON"),
    ],
    ids=["html", "empty", "no http", "deep", "half a surrogate", "NaN"],
)
def test_answer_that_is_none_is_one_line_at_once(operator: Operator, fault: Fault, said: str) -> None:
    operator.ddactic.script(fault)

    assert said in operator.failed("domains", "list")
    assert len(operator.ddactic.calls) == 1


def test_answer_that_is_too_long_is_refused(operator: Operator) -> None:
    operator.configure("ddactic", providers={"ddactic": {"max_answer": "1KiB"}})
    operator.ddactic.script(Fault(status=200, body=b"[" + b"1," * 1000 + b"1]"))

    assert operator.failed("domains", "list").endswith("got over 1024 bytes; expected at most that many (max_answer)")


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"error": {"code": "invalid_domain", "message": "Domain not verified"}},
         "400 invalid_domain: Domain not verified"),
        (418, {"error": {"code": "teapot", "message": "short\nand \x1b[31mstout"}}, "418 teapot: short and [31mstout"),
        (404, {"error": "gone"}, "404: gone"),
        (451, [], "451: []"),
    ],
)  # fmt: skip
def test_refusal_is_one_line_with_status_code_and_message(
    operator: Operator, status: int, body: object, said: str
) -> None:
    operator.ddactic.script(Fault(status=status, body=json.dumps(body).encode()))

    assert operator.failed("domains", "list") == f"ddactic GET /domains: {said}"
    assert len(operator.ddactic.calls) == 1


def test_field_that_cypersecurity_blames_is_named(operator: Operator) -> None:
    envelope = {"error": {"code": "invalid_request", "message": "It is required", "details": {"field": "target"}}}
    operator.cypersecurity.script(Fault(status=400, body=json.dumps(envelope).encode()))

    said = operator.failed("scan", "start", "example.com", "--provider", "cypersecurity")

    assert said == "cypersecurity POST /scans: 400 invalid_request: It is required (field target)"


def test_key_that_may_only_read_is_told_that_a_write_key_is_needed(operator: Operator) -> None:
    operator.configure("ddactic", providers={"ddactic": {"key": READ_KEY}})

    assert operator.document("domains", "list")["total"] == 1
    assert operator.failed(*START) == (
        "ddactic POST /scans: 403 forbidden: Insufficient permissions (a write key is needed)"
    )
    assert operator.failed("domains", "add", "new.example").endswith("(a write key is needed)")


@pytest.mark.parametrize(
    ("provider", "command", "said"),
    [
        ("ddactic", ("domains", "list"), "GET /domains: 401 unauthorized: Invalid or missing API key"),
        ("cypersecurity", ("org", "show"), "GET /organization: 401 authentication_failed: Invalid API key"),
    ],
)
def test_key_that_is_not_known_is_refused_once(
    operator: Operator, provider: str, command: tuple[str, ...], said: str
) -> None:
    operator.configure(providers={provider: {"key": "somebody-elses"}})

    assert operator.failed(*command) == f"{provider} {said}"
    assert len(operator.sent()) == 1


# --- rate limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("domains", "list"), START], ids=["reading", "starting"])
def test_rate_limit_is_waited_out_and_said(operator: Operator, command: tuple[str, ...]) -> None:
    operator.ddactic.exhaust(reset_s=0, headers={"Retry-After": "1"})

    ran = operator.run(*command, "--format", "json")

    assert ran.code == 0
    assert ran.json
    assert "ddactic: rate limited, waiting 1 s" in ran.lines
    assert len(operator.ddactic.calls) == 2


def test_rate_limit_without_an_end_is_a_back_off(operator: Operator) -> None:
    operator.ddactic.exhaust(2, reset_s=1_702_900_000)  # the document's example: long past

    ran = operator.run("domains", "list")

    assert (ran.code, len(operator.ddactic.calls)) == (0, 3)
    assert ran.lines == ["ddactic: rate limited, waiting 1 s"] * 2


def test_rate_limit_of_every_attempt_is_exit_code_1(operator: Operator) -> None:
    operator.ddactic.exhaust(100)

    said = operator.failed("domains", "list")

    assert said == "ddactic GET /domains: 429 rate_limited: Too many requests (after 4 attempts)"
    assert len(operator.ddactic.calls) == 4


@pytest.mark.parametrize("command", [("domains", "list"), START], ids=["reading", "starting"])
def test_rate_limit_that_ends_too_late_is_exit_code_1_at_once_and_says_when(
    operator: Operator, command: tuple[str, ...]
) -> None:
    reset_s = int(time.time()) + 3600
    operator.ddactic.exhaust(reset_s=reset_s)

    said = operator.failed(*command)

    told = re.search(r"the rate limit ends at ([0-9T:-]{19}Z), in 3[0-9]{3} s \(waiting at most 90 s\)", said)
    assert told is not None, said
    assert abs(datetime.fromisoformat(told[1]).timestamp() - reset_s) < 60
    assert len(operator.ddactic.calls) == 1


def test_last_call_of_a_window_holds_the_next_one_back(operator: Operator) -> None:
    operator.cypersecurity.leave(1, reset_s=int(time.time()) + 3600)

    said = operator.failed("scan", "start", "example.com", "--provider", "cypersecurity", "--wait")

    assert said.startswith("cypersecurity GET /scans/scan_0001: 429 rate_limited: the rate limit ends at ")
    assert operator.sent() == ["cypersecurity POST /scans"]


def test_scan_whose_wait_met_a_refusal_is_in_the_store_all_the_same(operator: Operator) -> None:
    operator.ddactic.script(Fault(status=403, path="/scans/scn_0001"))

    operator.failed(*START, "--wait")

    (scan,) = operator.document("scan", "list", "--provider", "ddactic")["scans"]
    assert (scan["id"], scan["status"]) == ("scn_0001", "queued")


def test_wait_ends_in_time_whatever_limit_the_platform_tells_of(operator: Operator) -> None:
    keys = {"timeout": "100ms", "rate_limit": {"max_wait": "10h"}}
    operator.configure("ddactic", providers={"ddactic": keys})
    refused = Fault(status=429, headers={"X-RateLimit-Reset": str(int(time.time()) + 3600)}, path="/scans/scn_0001")
    operator.ddactic.script(refused)

    ran = operator.run(*START, "--wait", "--wait-timeout", "100ms", "--format", "json")

    assert (ran.code, ran.json["scan"]["status"]) == (1, "queued")
    assert ran.error == "ddactic scn_0001 is not over within 0.1 s"
    assert any(line.startswith("ddactic: rate limited, waiting 3") for line in ran.lines)


# --- -v ---------------------------------------------------------------------------------------------------------------


def test_verbose_says_each_call_on_stderr_and_the_document_alone_on_stdout(operator: Operator) -> None:
    operator.ddactic.script(Fault(status=503, path="/scans/scn_0001"))

    ran = operator.run(*START, "--wait", "-v", "--format", "json")

    assert ran.json["scan"]["status"] == "completed"
    calls = [line for line in ran.lines if " ms" in line]
    assert [re.sub("[0-9]+ ms", "N ms", line) for line in calls] == [
        "ddactic POST /scans 200 N ms",
        "ddactic GET /scans/scn_0001 503 N ms",
        "ddactic GET /scans/scn_0001 200 N ms",
        "ddactic GET /scans/scn_0001 200 N ms",
        "ddactic GET /scans/scn_0001/findings 200 N ms",
    ]


def test_verbose_says_that_no_answer_came(operator: Operator) -> None:
    operator.ddactic.script(Fault(drop=True))

    assert re.match(r"ddactic GET /domains no answer [0-9]+ ms", operator.run("domains", "list", "-v").lines[0])


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 403, 503])
def test_key_that_a_platform_echoes_is_hidden(operator: Operator, status: int) -> None:
    operator.configure("ddactic", providers={"ddactic": {"retry": {"attempts": 1}}})
    message = f"the key {DDACTIC_KEY} is odd"
    body = {"error": {"code": DDACTIC_KEY, "message": message}, "domains": [{"id": DDACTIC_KEY}], "total": DDACTIC_KEY}
    operator.ddactic.script(Fault(status=status, body=json.dumps(body).encode(), content_type=DDACTIC_KEY))

    ran = operator.run("domains", "list", "-v")  # whatever is printed is searched for secrets

    assert ran.code == 1
    assert "***" in ran.error or status == 200


def test_key_that_a_platform_echoes_is_neither_printed_nor_stored(operator: Operator) -> None:
    operator.ddactic.findings[0] |= {"description": f"seen with {DDACTIC_KEY}", "seen": {DDACTIC_KEY: [DDACTIC_KEY]}}
    operator.cypersecurity.findings[0] |= {"title": f"asked with {CYPER_KEY}", "headers": f"X-API-Key: {CYPER_KEY}"}

    document = operator.document(*START, "--wait")
    operator.document("scan", "start", "example.com", "--provider", "cypersecurity", "--wait")

    (finding,) = [one for one in document["findings"] if one["id"] == "F-001"]
    assert (finding["description"], finding["raw"]["seen"]) == ("seen with ***", {"***": ["***"]})
    assert "asked with ***" in operator.run("findings").out
    written = b"".join(one.read_bytes() for one in operator.folder.glob("posture.db*"))
    assert written
    assert [secret for secret in SECRETS if secret.encode() in written] == []


def test_key_that_was_typed_where_an_id_belongs_is_hidden(operator: Operator) -> None:
    said = operator.failed("scan", "show", DDACTIC_KEY, "--provider", "ddactic")

    assert said == "ddactic GET /scans/***: 404 not_found: Resource doesn't exist"


@pytest.mark.parametrize("secret", [DDACTIC_KEY, CYPER_KEY, DDACTIC_SECRET, CYPER_SECRET])
@pytest.mark.parametrize(
    "command",
    [
        ("scan", "start", "SECRET", "--provider", "ddactic"), ("scan", "start", "SECRET", "--provider", "embedded"),
        ("scan", "start", "x", "--provider", "cypersecurity", "--type", "SECRET"),
        ("scan", "show", "SECRET", "--provider", "ddactic"), ("scan", "show", "SECRET", "--provider", "embedded"),
        ("remedy", "SECRET"), ("team", "invite", "SECRET"),
    ],
)  # fmt: skip
def test_secret_that_is_typed_where_something_else_belongs_is_starred(
    operator: Operator, command: tuple[str, ...], secret: str
) -> None:
    operator.configure(webhooks=WEBHOOKS)
    ran = operator.run(*(secret if word == "SECRET" else word for word in command))
    assert ran.code in (1, 2)
    assert "***" in ran.err


def test_secret_of_one_platform_that_another_echoes_is_starred(operator: Operator) -> None:
    operator.configure(webhooks=WEBHOOKS)
    echoed = f"{DDACTIC_KEY} {CYPER_KEY} {CYPER_SECRET}"
    body = json.dumps({"error": {"code": "not_found", "message": echoed}}).encode()
    operator.ddactic.script(Fault(status=404, body=body))
    assert operator.failed("domains", "list") == "ddactic GET /domains: 404 not_found: *** *** ***"
