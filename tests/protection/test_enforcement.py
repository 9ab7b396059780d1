"""Decision -> what happens (contract section 4); outcomes are the labels of interface.md."""

from __future__ import annotations

import pytest

from gateway.http.message import LocalReply
from gateway.protection.decision import Decision, Verdict, failure
from gateway.protection.enforcement import Enforcement, enforce

ALLOW = Decision(Verdict.ALLOW, 200, request_lines=b"x-datadome-isbot: 0\r\n")
IGNORED_429 = Decision(Verdict.ALLOW, 429)
BLOCK = Decision(Verdict.BLOCK, 403, reply_headers=((b"content-type", b"text/html"),), body=b"no")
CHALLENGE = Decision(Verdict.BLOCK, 403, body=b"captcha", challenge=True)
REDIRECT = Decision(Verdict.REDIRECT, 302, reply_headers=((b"location", b"/captcha"),))
FAILURE = failure("timeout")
UNAUTHORIZED = failure("unauthorized", 400)


@pytest.mark.parametrize(
    ("decision", "monitor", "block_on_failure", "expected"),
    [
        (ALLOW, False, False, Enforcement("allowed", merges=True)),
        (ALLOW, False, True, Enforcement("allowed", merges=True)),
        (ALLOW, True, False, Enforcement("monitored", merges=True)),
        (IGNORED_429, False, False, Enforcement("allowed", merges=True)),
        (BLOCK, False, False, Enforcement("blocked", LocalReply(403, BLOCK.reply_headers, b"no"))),
        (BLOCK, True, False, Enforcement("monitored")),
        (BLOCK, True, True, Enforcement("monitored")),
        (CHALLENGE, False, False, Enforcement("challenged", LocalReply(403, (), b"captcha"))),
        (CHALLENGE, True, False, Enforcement("monitored")),
        (REDIRECT, False, False, Enforcement("redirected", LocalReply(302, REDIRECT.reply_headers, b""))),
        (REDIRECT, True, False, Enforcement("monitored")),
        (FAILURE, False, False, Enforcement("failed_open")),
        (FAILURE, False, True, Enforcement("failed_closed", unavailable=True)),
        (FAILURE, True, False, Enforcement("failed_open")),
        (FAILURE, True, True, Enforcement("failed_open")),
        (UNAUTHORIZED, False, False, Enforcement("failed_open")),
        (UNAUTHORIZED, False, True, Enforcement("failed_closed", unavailable=True)),
    ],
)
def test_decision_is_enforced_by_mode_and_failure_mode(
    decision: Decision, monitor: bool, block_on_failure: bool, expected: Enforcement
) -> None:
    assert enforce(decision, monitor=monitor, block_on_failure=block_on_failure) == expected
