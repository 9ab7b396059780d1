"""The keys of a match, where the judgement's own tests leave gaps."""

from __future__ import annotations

import re
from typing import Any

import pytest
from engine.browser_requests import BROWSER_REQUESTS, CHROME
from engine.engines import catalogue, policy
from engine.policy.judging import judge, request
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.engine.path import normalised
from gateway.engine.question import Count, Counted, Identify, Question, Reply, Signed, SignedBy
from gateway.engine.request import Request
from gateway.engine.session import Session
from gateway.engine.wire import Described

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
WRONG_PLATFORM = {**BROWSER_REQUESTS["chrome navigates"], "SecCHUAPlatform": '"Linux"'}


def holds(match: str, asked: Request) -> bool:
    return judge(f"preset: none\nrules: [{{name: it, match: {match}, action: block}}]", asked)[0].rule == "it"


@pytest.mark.parametrize(
    ("match", "fields", "matches"),
    [
        ("{}", {}, True),
        ('{host: "*"}', {"Host": "any.example"}, True),
        ('{host: "*"}', {"Host": None}, True),
        ('{host: [a.example, "*.b.example"]}', {"Host": "x.y.b.example."}, True),
        ('{host: [a.example, "*.b.example"]}', {"Host": "a.example.:80"}, True),
        ('{host: [a.example, "*.b.example"]}', {"Host": "xb.example"}, False),
        ("{host: Shop.Example}", {"Host": "shop.example"}, True),
        ("{method: [PUT, DELETE]}", {"Method": "delete"}, True),
        ("{user_agent: [Firefox, '^Mozilla/5\\.0 ']}", {}, True),
        ("{user_agent: [Firefox, '^mozilla']}", {}, False),
        ("{user_agent: '(?i)^MOZILLA'}", {}, True),
        ("{user_agent: 'é$'}", {"UserAgent": "Mozilla/5.0 é"}, True),
        ("{user_agent: '^x\\w$'}", {"UserAgent": "xé"}, False),
        ("{path: '^/é$'}", {"Request": "/%C3%A9"}, True),
        ("{path: [^/a$, ^/b$]}", {"Request": "/b"}, True),
        ("{path: [^/a$, ^/b$]}", {"Request": "/c"}, False),
        ("{path: ^/admin/}", {"Request": "//admin/;x"}, True),
        ("{path: 'x=1'}", {"Request": "/?x=1"}, False),
        ("{field: {Referer: [^$, '^https://shop\\.example/']}}", {"Referer": None}, True),
        ("{field: {Referer: [^$, '^https://shop\\.example/']}}", {"Referer": "https://shop.example/a"}, True),
        ("{field: {Referer: [^$, '^https://shop\\.example/']}}", {"Referer": "https://evil.example/"}, False),
        ("{field: {PostParamLen: '^[0-9]{7,}$'}}", {"PostParamLen": 1_048_576}, True),
        ("{field: {PostParamLen: '^[0-9]{7,}$'}}", {"PostParamLen": 20}, False),
        ("{field: {TimeRequest: '^17500'}}", {}, True),
        ("{bot: [feed_reader, library]}", {"UserAgent": "FreshRSS/1.24"}, True),
        ("{bot: [feed_reader, library]}", {"UserAgent": "sqlmap/1.8"}, False),
        ("{bot: [feed_reader, library]}", {}, False),
        ("{bot: none}", {"UserAgent": "curl/8"}, False),
        ("{bot_name: [^Wget, ^curl$]}", {"UserAgent": "curl/8"}, True),
        ("{bot_name: .}", {}, False),
        ("{absurd: false}", {"UserAgent": "curl/8"}, True),
        ("{absurd: false, bot: none}", {"Accept": "*/*"}, True),
        ("{score: 0}", {}, True),
        ("{score: 50}", WRONG_PLATFORM, True),
        ("{score: 51}", WRONG_PLATFORM, False),
        ("{finding: [version_future, platform_differs]}", WRONG_PLATFORM, True),
        ("{finding: version_future}", WRONG_PLATFORM, False),
        ("{tag: x}", {}, False),
        ("{any_of: [{method: PUT}, {method: GET, path: ^/x}]}", {"Request": "/x"}, True),
        ("{any_of: [{method: PUT}, {method: GET, path: ^/x}]}", {"Request": "/y"}, False),
        ("{none_of: [{method: GET, path: ^/x}]}", {"Request": "/y"}, True),
        ("{none_of: [{none_of: [{path: ^/x}]}]}", {"Request": "/x"}, True),
        ("{none_of: [{none_of: [{path: ^/x}]}]}", {"Request": "/y"}, False),
        ("{none_of: [{}]}", {}, False),
        ("{any_of: [{}]}", {}, True),
        ("{method: GET, any_of: [{path: ^/x}], none_of: [{bot: any}]}", {"Request": "/x"}, True),
        (
            "{method: GET, any_of: [{path: ^/x}], none_of: [{bot: any}]}",
            {"Request": "/x", "UserAgent": "curl/8"},
            False,
        ),
    ],
)
def test_match_holds_when_all_of_its_keys_do(match: str, fields: dict[str, Any], matches: bool) -> None:
    assert holds(match, request(**fields)) is matches


@pytest.mark.parametrize("kind", ["none", "visitor", "waited", "proved", "revoked"])
def test_session_matches_its_kind_alone(kind: Any) -> None:
    asked = request(Session(kind, "a" * 12, 0))

    matching = [k for k in ("none", "visitor", "waited", "proved", "revoked") if holds(f"{{session: {k}}}", asked)]

    assert matching == [kind]


def nothing_but(reply: Reply) -> Any:
    def answer(question: Question) -> Reply:
        if isinstance(question, Signed):
            return reply if isinstance(reply, SignedBy) else SignedBy("unknown", "")
        return Counted(True, 0.0) if isinstance(question, Count) else reply

    return answer


@pytest.mark.parametrize(
    ("match", "standing", "matches"),
    [
        ("{none_of: [{claim: verified}]}", "verified", False),
        ("{none_of: [{claim: verified}]}", "fake", True),
        ("{any_of: [{method: PUT}, {claim: fake}]}", "fake", True),
        ("{any_of: [{method: PUT}, {claim: fake}]}", "verified", False),
        ("{claim: [fake, unknown]}", "unknown", True),
        ("{any_of: [{none_of: [{claim: fake}]}]}", "fake", False),
    ],
)
def test_claim_is_asked_for_wherever_it_stands(match: str, standing: Reply, matches: bool) -> None:
    text = f"preset: none\nrules: [{{name: it, match: {match}, action: block}}]"

    verdict, asked = judge(text, request(UserAgent=GOOGLEBOT), nothing_but(standing))

    assert (verdict.rule == "it") is matches
    assert asked == [Identify("Google", "192.0.2.7")]


def test_claim_is_not_asked_for_before_everything_else_holds() -> None:
    text = "preset: none\nrules: [{name: it, match: {path: ^/x, claim: fake}, action: block}]"

    assert judge(text, request(UserAgent=GOOGLEBOT, Request="/y"))[1] == []


@pytest.mark.parametrize(
    ("patterns", "matches"),
    [('"*"', True), ("agent.example", True), ('"*.example"', True), ("example", False), ('"*.agent.example"', False)],
)
def test_signed_by_matches_the_host_of_a_verified_agent(patterns: str, matches: bool) -> None:
    text = f"preset: none\nrules: [{{name: it, match: {{signed_by: {patterns}}}, action: block}}]"
    signed = request(Signature="a=:YQ==:", SignatureInput="a=()")

    assert (judge(text, signed, nothing_but(SignedBy("verified", "agent.example")))[0].rule == "it") is matches
    assert judge(text, request(), nothing_but(SignedBy("verified", "agent.example")))[0].rule == "default"


def test_rate_is_counted_only_where_everything_else_holds() -> None:
    text = "preset: none\nrules: [{name: it, match: {claim: fake, rate: {requests: 1}}, action: block}]"

    asked = judge(text, request(UserAgent=GOOGLEBOT), nothing_but("verified"))[1]

    assert [type(question) for question in asked] == [Identify]


def test_limit_of_a_key_that_is_not_printable_is_counted_by_its_hash() -> None:
    text = "preset: none\nrules: [{name: it, action: rate_limit, limit: {requests: 1, by: ['field:UserID', path]}}]"

    for fields in ({"UserID": "a\r\nb"}, {"UserID": "é"}, {"Request": "/%00%0a"}, {"UserID": "\ud800"}):
        (count,) = judge(text, request(**fields))[1]
        assert isinstance(count, Count)
        assert re.fullmatch(r"it\|[0-9a-f]{32}", count.key)


def test_limit_of_everybody_together_is_one_number() -> None:
    text = "preset: none\nrules: [{name: it, action: rate_limit, limit: {requests: 9, per: 10s, by: host, burst: 2}}]"

    for address in ("192.0.2.1", "203.0.113.9"):
        assert judge(text, request(IP=address))[1] == [Count("it|shop.example", 9, 10.0, 2)]


PATHS = st.text(alphabet="ab/.;%2eE5cC\\f3", max_size=24).map("/".__add__)
PATTERNS = st.sampled_from(("^/a", "^/a/", "^/a$", "/b$", "^/$", "^/(?:a|b)/", r"\.\.", "^/[^/]*$", "b", "^/a/b"))


@given(PATTERNS, PATHS)
@example("^/a/", "//a/;b")
@example("^/a", "/a/../b")
def test_rule_that_allows_a_path_never_matches_more_than_its_normalised_form(pattern: str, path: str) -> None:
    opening = f"{{name: open, match: {{path: '{pattern}'}}, action: allow}}"
    rules = f"preset: none\nrules: [{opening}, {{name: no, action: block}}]"

    allowed = judge(rules, request(Request=path))[0].rule == "open"

    assert allowed is bool(re.search(pattern, path) and re.search(pattern, normalised(path)))


@given(PATTERNS, PATHS)
@example("^/a/", "//a/;b")
def test_rule_that_stops_a_path_never_matches_less_than_its_normalised_form(pattern: str, path: str) -> None:
    rules = f"preset: none\nrules: [{{name: stop, match: {{path: '{pattern}'}}, action: block}}]"

    stopped = judge(rules, request(Request=path))[0].rule == "stop"

    assert stopped is bool(re.search(pattern, path) or re.search(pattern, normalised(path)))


@given(PATTERNS, PATHS)
def test_exception_of_a_rule_that_stops_is_as_narrow_as_a_rule_that_allows(pattern: str, path: str) -> None:
    assume(path.isascii())
    rules = f"preset: none\nrules: [{{name: stop, match: {{none_of: [{{path: '{pattern}'}}]}}, action: block}}]"

    spared = judge(rules, request(Request=path))[0].rule == "default"

    assert spared is bool(re.search(pattern, path) and re.search(pattern, normalised(path)))


EVERYTHING = """
preset: none
rules:
  - {name: tagged, match: {path: [a, '^/b$'], host: '*.b', user_agent: '.'}, action: tag, tags: t, add_score: 9}
  - name: counted
    match: {field: {Via: a, Port: ^$}, rate: {requests: 1, by: [client, path, 'field:Via']}}
    action: tag
  - name: asked
    match: {any_of: [{claim: fake}, {tag: t, score: 5}], none_of: [{address: ['::/0', 10.0.0.0/8]}]}
    action: tag
  - {name: found, match: {finding: [hints_missing], bot_name: a, absurd: true}, action: tag}
  - {name: asks, match: {session: none, bot: any, signed_by: '*'}, action: challenge}
"""
COMPILED = policy(EVERYTHING)


@given(
    st.dictionaries(
        st.sampled_from(
            ("Host", "Request", "UserAgent", "IP", "Via", "Method", "Signature", "SignatureInput", "SecCHUA")
        ),
        st.text(min_size=1, max_size=40) | st.sampled_from((CHROME, GOOGLEBOT, "::1", "10.0.0.1", "x.b:8")),
    ),
    st.sampled_from(("verified", "fake", "unknown")),
)
def test_any_fields_are_judged_without_raising(fields: dict[str, str], standing: Reply) -> None:
    verdict, _ = judge(COMPILED, Request(Described(fields), catalogue()), nothing_but(standing))

    assert verdict.action in ("allow", "challenge")
