"""What is blocked, and that nothing of a person is."""

from __future__ import annotations

from typing import Any

import pytest
from engine.browser_requests import BROWSER_REQUESTS, CHROME, USER_AGENTS, described

from gateway.engine.rules import HUMAN, Rule, Verdict, judge
from gateway.engine.wire import Described


def block(name: str, family: str = "bad_bot") -> Verdict:
    return Verdict("block", name, family, True, "AI Threats Detection")


@pytest.mark.parametrize("name", BROWSER_REQUESTS)
def test_request_of_a_person_is_allowed(rules: tuple[Rule, ...], name: str) -> None:
    fields = {field: value for field, value in BROWSER_REQUESTS[name].items() if value != ""}

    assert judge(rules, Described(fields)) is HUMAN


@pytest.mark.parametrize("user_agent", USER_AGENTS)
def test_user_agent_of_a_person_is_allowed_from_any_module(rules: tuple[Rule, ...], user_agent: str) -> None:
    assert judge(rules, Described({"Key": "k", "UserAgent": user_agent})) is HUMAN
    assert judge(rules, Described(described(UserAgent=user_agent, Accept="*/*"))) is HUMAN


GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
FULL = {"UserAgent": CHROME, "Accept": "*/*", "AcceptEncoding": "gzip"}


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"UserAgent": "curl/8.9.1", "Accept": "*/*"}, block("curl")),
        ({"UserAgent": "python-requests/2.32.3", "Accept": "*/*"}, block("python-requests")),
        ({"UserAgent": "sqlmap/1.8#stable (https://sqlmap.org)"}, block("sqlmap")),
        (
            {"UserAgent": "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"},
            block("AhrefsBot", "commercial_bot"),
        ),
        ({"UserAgent": GOOGLEBOT}, block("Crawler fake Google")),
        ({"UserAgent": GOOGLEBOT, "IP": "66.249.66.1"}, block("Crawler fake Google")),  # Google's own address
        ({"UserAgent": "Mozilla/5.0 (compatible; bingbot/2.0)", "IP": "::1"}, block("Crawler fake Bing")),
        ({}, block("Absurd request: no user agent")),
        ({"UserAgent": " "}, block("Absurd request: no user agent")),
        ({"UserAgent": "-"}, block("Absurd request: no user agent")),
        ({"UserAgent": "Mozilla/5.0 " + "x" * 753}, block("Absurd request: user agent too long")),
        ({"UserAgent": "Mozilla/5.0 " + "é" * 377}, block("Absurd request: user agent too long")),
        ({"UserAgent": CHROME + "\x00"}, block("Absurd request: user agent with control characters")),
        ({"UserAgent": CHROME + "\x7f"}, block("Absurd request: user agent with control characters")),
        ({**FULL, "Method": "TRACE"}, block("Absurd request: forbidden method")),
        ({**FULL, "Method": "Track"}, block("Absurd request: forbidden method")),
        ({**FULL, "Request": "/../../etc/passwd"}, block("Absurd request: path traversal")),
        ({**FULL, "Request": "/static/%2e%2E/%2e%2e/secret"}, block("Absurd request: path traversal")),
        ({**FULL, "Request": "/static/..%2f..%5Csecret"}, block("Absurd request: path traversal")),
        ({**FULL, "Request": "/app/..;/manager/html"}, block("Absurd request: path traversal")),
        ({**FULL, "Request": "/a/.."}, block("Absurd request: path traversal")),
        ({**FULL, "Request": "/a%00.png"}, block("Absurd request: path traversal")),
        ({**FULL, "Request": "/%c0%ae/x"}, block("Absurd request: path traversal")),
        ({**FULL, "Request": "/view?file=..%2F..%2Fetc%2Fpasswd"}, block("Absurd request: path traversal")),
        ({**FULL, "PostParamLen": 1}, block("Absurd request: browser that sends a body with GET")),
        ({"UserAgent": CHROME}, block("Absurd request: browser without Accept headers")),
        ({**FULL, "SecCHUA": '"HeadlessChrome";v="126"'}, block("HeadlessChrome")),
        ({**FULL, "SecCHUAMobile": "false"}, block("Absurd request: impossible client hints")),
        ({**FULL, "SecCHUAPlatform": "Windows"}, block("Absurd request: impossible client hints")),
        ({**FULL, "SecFetchSite": "same_origin"}, block("Absurd request: impossible client hints")),
        ({**FULL, "SecFetchUser": "1"}, block("Absurd request: impossible client hints")),
    ],
)
def test_automation_and_absurd_request_is_blocked(
    rules: tuple[Rule, ...], fields: dict[str, Any], verdict: Verdict
) -> None:
    assert judge(rules, Described(described(**fields))) == verdict


def test_user_agent_one_byte_under_the_limit_is_allowed(rules: tuple[Rule, ...]) -> None:
    assert judge(rules, Described({"UserAgent": "Mozilla/5.0 " + "x" * 752})) is HUMAN


def test_long_user_agent_is_not_remembered(rules: tuple[Rule, ...]) -> None:
    """Bounds the memory of the catalogue: it holds user agents of less than 765 bytes only."""
    catalogue = next(rule for rule in rules if hasattr(rule, "catalogue")).catalogue
    before = catalogue.find.cache_info()

    judge(rules, Described({"UserAgent": "Mozilla/5.0 " + "x" * 20_000}))

    assert catalogue.find.cache_info() == before


def test_first_rule_with_a_verdict_decides() -> None:
    class Fixed:
        def __init__(self, verdict: Verdict | None) -> None:
            self.verdict = verdict

        def judge(self, described: Described) -> Verdict | None:
            return self.verdict

    passing, first, second = Fixed(None), Fixed(block("first")), Fixed(block("second"))

    assert judge((passing, first, second), Described({})) == block("first")
    assert judge((passing,), Described({})) is HUMAN
