"""Rules in order, and what each action does."""

from __future__ import annotations

from typing import Any

import pytest
from engine.engines import policy
from engine.policy.judging import judge, request

from gateway.engine.question import Count, Counted, Identify, Question, Reply, Signed, SignedBy
from gateway.engine.session import Session
from gateway.engine.verdict import Verdict

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def only(rule: str) -> str:
    return f"preset: none\nrules: [{rule}]"


def over_limit(question: Question) -> Reply:
    assert isinstance(question, Count)
    return Counted(False, 12.5)


def test_request_that_no_rule_ends_is_allowed_by_default() -> None:
    assert judge("preset: none", request()) == (Verdict("allow", "default"), [])


def test_first_rule_that_ends_the_judgement_decides() -> None:
    rules = """
preset: none
rules:
  - {name: not-this, match: {method: POST}, action: block}
  - {name: this, match: {method: [GET, HEAD]}, action: allow}
  - {name: too-late, action: block}
"""
    assert judge(rules, request()) == (Verdict("allow", "this"), [])


@pytest.mark.parametrize(
    ("match", "fields", "matches"),
    [
        ("{method: post}", {"Method": "POST"}, True),
        ("{method: post}", {"Method": "GET"}, False),
        ("{host: shop.example}", {"Host": "SHOP.example:8443"}, True),
        ("{host: shop.example}", {"Host": "www.shop.example"}, False),
        ('{host: "*.shop.example"}', {"Host": "www.shop.example"}, True),
        ('{host: "*.shop.example"}', {"Host": "shop.example"}, False),
        ("{address: 203.0.113.0/24}", {"IP": "203.0.113.200"}, True),
        ("{address: 203.0.113.0/24}", {"IP": "::ffff:203.0.113.200"}, True),
        ("{address: 203.0.113.0/24}", {"IP": "203.0.114.1"}, False),
        ('{address: ["2001:db8::/32", 192.0.2.1]}', {"IP": "2001:db8:1::5"}, True),
        ("{address: 0.0.0.0/0}", {"IP": "not an address"}, False),
        ("{path: ^/admin}", {"Request": "/admin/users?x=1"}, True),
        ("{path: ^/admin}", {"Request": "/shop?next=/admin"}, False),
        ("{user_agent: Chrome/131}", {}, True),
        ("{user_agent: Firefox}", {}, False),
        ("{field: {AcceptLanguage: ^de}}", {"AcceptLanguage": "de-DE,de;q=0.9"}, True),
        ("{field: {AcceptLanguage: ^de, Port: ^443$}}", {"AcceptLanguage": "de", "Port": 443}, True),
        ("{field: {AcceptLanguage: ^de, Port: ^443$}}", {"AcceptLanguage": "de", "Port": 80}, False),
        ("{field: {UserID: ^$}}", {}, True),
        ("{bot: none}", {}, True),
        ("{bot: any}", {}, False),
        ("{bot: library}", {"UserAgent": "curl/8.9.1"}, True),
        ("{bot: [library, none]}", {"UserAgent": "curl/8.9.1"}, True),
        ("{bot: any, bot_name: ^curl}", {"UserAgent": "curl/8.9.1"}, True),
        ("{bot: headless}", {"SecCHUA": '"HeadlessChrome";v="126"'}, True),
        ("{absurd: true}", {"Method": "TRACE"}, True),
        ("{absurd: false}", {"Method": "TRACE"}, False),
        ("{session: none}", {}, True),
        ("{session: [proved, waited]}", {}, False),
        ("{any_of: [{method: PUT}, {host: shop.example}]}", {"Host": "shop.example"}, True),
        ("{any_of: [{method: PUT}, {host: shop.example}]}", {"Host": "else.example"}, False),
        ("{none_of: [{method: PUT}, {host: shop.example}]}", {"Host": "shop.example"}, False),
        ("{none_of: [{method: PUT}, {host: shop.example}]}", {"Host": "else.example"}, True),
        ("{method: GET, none_of: {path: ^/x}}", {"Request": "/y"}, True),
    ],
)
def test_match_holds_when_all_of_its_keys_do(match: str, fields: dict[str, Any], matches: bool) -> None:
    if "none_of: {" in match:
        match = match.replace("none_of: {path: ^/x}", "none_of: [{path: ^/x}]")
    verdict, _ = judge(only(f"{{name: it, match: {match}, action: block}}"), request(**fields))

    assert verdict.rule == ("it" if matches else "default")


SPELLINGS = ["/admin", "//admin", "/%61dmin", "/x/../admin", "/./admin", "/;a=b/admin", "/x/%2e%2e/admin", "/\\admin"]


@pytest.mark.parametrize("path", SPELLINGS)
def test_path_of_a_rule_that_stops_matches_in_every_spelling(path: str) -> None:
    verdict, _ = judge(only("{name: it, match: {path: ^/admin}, action: block}"), request(Request=path))

    assert verdict.rule == "it"


@pytest.mark.parametrize("path", ["/public/../admin", "/public/%2e%2e/admin", "/public/..;/x", "/public\\..\\x"])
def test_path_of_a_rule_that_allows_must_match_in_both_forms(path: str) -> None:
    rules = only("{name: open, match: {path: ^/public}, action: allow}, {name: closed, action: block}")

    assert judge(rules, request(Request="/public/a"))[0].rule == "open"
    assert judge(rules, request(Request=path))[0].rule == "closed"


@pytest.mark.parametrize("path", ["/public/../admin", "/%61dmin", "/admin"])
def test_path_in_none_of_of_a_rule_that_allows_keeps_every_spelling_out(path: str) -> None:
    rules = only("{name: open, match: {none_of: [{path: ^/admin}]}, action: allow}, {name: closed, action: block}")

    assert judge(rules, request(Request=path))[0].rule == "closed"


@pytest.mark.parametrize("filler", ["/", "./", "%2e/", ";a/"])
def test_path_that_was_cut_is_stopped_and_never_let_through(filler: str) -> None:
    """What a field's limit hides may be anything: no filler passes a rule by."""
    cut = ("/hooks/" + filler * 2048)[:2048]
    opened, closed = "{name: open, match: {path: ^/hooks/}, action: allow}", "{name: closed, match: {path: ^/a}"
    rules = only(f"{opened}, {closed}, action: block}}")

    assert judge(rules, request(Request=cut))[0].rule == "closed"
    assert judge(rules, request(Request="/hooks/a?" + "x" * 2039))[0].rule == "open"  # its query was cut: no matter
    assert judge("preset: permissive", request(Request=cut))[0].rule == "absurd-request"


def test_challenge_is_for_who_has_not_passed_one() -> None:
    rules = only("{name: ask, action: challenge}")

    assert judge(rules, request())[0] == Verdict("challenge", "ask", without_javascript=True)
    assert judge(rules, request(Session("visitor", "a" * 12)))[0].action == "challenge"
    assert judge(rules, request(Session("revoked", "a" * 12)))[0].action == "challenge"
    assert judge(rules, request(Session("waited", "a" * 12)))[0] == Verdict("allow", "default")
    assert judge(rules, request(Session("proved", "a" * 12)))[0] == Verdict("allow", "default")


def test_challenge_that_needs_javascript_is_not_passed_by_waiting() -> None:
    rules = only("{name: ask, action: challenge, without_javascript: false}")

    verdict, _ = judge(rules, request(Session("waited", "a" * 12)))

    assert verdict == Verdict("challenge", "ask", without_javascript=False)


def test_redirect_names_its_target() -> None:
    rules = only("{name: moved, match: {host: old.example}, action: redirect, redirect: {to: /new, status: 301}}")

    assert judge(rules, request(Host="old.example"))[0] == Verdict("redirect", "moved", location="/new", status=301)


LIMITED = "{name: slow, action: rate_limit, limit: {requests: 10, per: 1m, burst: 3}, over: %s}"


def test_rate_limit_counts_and_goes_on_under_the_limit() -> None:
    verdict, asked = judge(only(LIMITED % "limit"), request(IP="203.0.113.7"))

    assert verdict == Verdict("allow", "default")
    assert asked == [Count("slow|203.0.113.7", 10, 60.0, 3)]


def test_rate_limit_over_the_limit_does_what_over_says() -> None:
    proved = Session("proved", "a" * 12)
    said_429 = Verdict("limit", "slow", retry_after_s=12.5)

    assert judge(only(LIMITED % "limit"), request(), over_limit)[0] == said_429
    assert judge(only(LIMITED % "block"), request(), over_limit)[0] == Verdict("block", "slow")
    assert judge(only(LIMITED % "challenge"), request(), over_limit)[0].action == "challenge"
    assert judge(only(LIMITED % "challenge"), request(proved), over_limit)[0] == said_429  # or it would never end


@pytest.mark.parametrize(
    ("by", "fields", "session", "key"),
    [
        ("client", {"IP": "203.0.113.7"}, None, "203.0.113.7"),
        ("client", {"IP": "2001:db8:0:7::1"}, None, "20010db800000007/64"),
        ("client", {"IP": "203.0.113.7"}, Session("visitor", "abcdefghijkl"), "203.0.113.7"),
        ("client", {"IP": "203.0.113.7"}, Session("waited", "abcdefghijkl"), "203.0.113.7"),
        ("client", {"IP": "203.0.113.7"}, Session("proved", "abcdefghijkl"), "abcdefghijkl"),
        ("address", {"IP": "203.0.113.7"}, Session("proved", "abcdefghijkl"), "203.0.113.7"),
        ("session", {"IP": "203.0.113.7"}, Session("visitor", "abcdefghijkl"), "abcdefghijkl"),
        ("session", {"IP": "203.0.113.7"}, None, "203.0.113.7"),
        ("[host, path]", {"Host": "A.example", "Request": "/x/../y?q=1"}, None, "a.example|/y"),
        ("field:UserID", {"UserID": "42"}, None, "42"),
        ("field:UserID", {}, None, ""),
    ],
)
def test_limit_is_counted_by_what_it_says(by: str, fields: dict[str, Any], session: Session | None, key: str) -> None:
    rules = only(f"{{name: slow, action: rate_limit, limit: {{requests: 1, by: {by}}}}}")

    _, asked = judge(rules, request(session, **fields))

    assert asked == [Count(f"slow|{key}", 1, 60.0, 1)]


def test_key_of_a_limit_is_short_whatever_the_visitor_sends() -> None:
    rules = only("{name: slow, action: rate_limit, limit: {requests: 1, by: path}}")

    (count,) = judge(rules, request(Request="/" + "x" * 2000))[1]
    (other,) = judge(rules, request(Request="/" + "x" * 1999 + "y"))[1]

    assert isinstance(count, Count) and isinstance(other, Count)
    assert len(count.key) <= 200 and count.key != other.key


def test_rate_in_a_match_holds_over_the_limit() -> None:
    rules = only("{name: bursts, match: {path: ^/login, rate: {requests: 5, per: 10s}}, action: block}")

    assert judge(rules, request(Request="/login")) == (Verdict("allow", "default"), [_count("bursts", 5, 10.0)])
    assert judge(rules, request(Request="/login"), over_limit)[0] == Verdict("block", "bursts")
    assert judge(rules, request(Request="/"))[1] == []


def _count(rule: str, requests: int, per_s: float) -> Count:
    return Count(f"{rule}|{request().where.group}", requests, per_s, requests)


def test_tags_and_scores_are_for_later_rules() -> None:
    rules = """
preset: none
rules:
  - {name: mark, match: {path: ^/wp-login}, action: tag, tags: [probe], add_score: 40}
  - {name: probes, match: {tag: probe, score: 40}, action: block}
"""
    assert judge(rules, request(Request="/wp-login.php"))[0].rule == "probes"
    assert judge(rules, request(Request="/"))[0].rule == "default"


def test_dry_run_rule_is_only_noted() -> None:
    rules = """
preset: none
rules:
  - {name: trial, action: block, dry_run: true}
  - {name: mark, action: tag, tags: [x], dry_run: true}
  - {name: marked, match: {tag: x}, action: block}
  - {name: ask, action: challenge}
"""
    assert judge(rules, request())[0] == Verdict("challenge", "ask", without_javascript=True, dry=(("trial", "block"),))


def test_dry_run_policy_allows_everything_and_says_what_would_have_been() -> None:
    rules = "preset: none\ndry_run: true\nrules: [{name: all, action: block}, {name: never, action: challenge}]"

    assert judge(rules, request())[0] == Verdict("allow", "default", dry=(("all", "block"),))


CLAIMS = """
preset: none
rules:
  - {name: fake, match: {claim: fake}, action: block}
  - {name: unknown, match: {claim: unknown}, action: challenge}
  - {name: true, match: {claim: verified, bot: search_engine}, action: allow}
  - {name: signed, match: {signed_by: "*.example"}, action: allow}
  - {name: rest, action: block}
"""


@pytest.mark.parametrize(("standing", "rule"), [("fake", "fake"), ("unknown", "unknown"), ("verified", "true")])
def test_claim_is_asked_for_once_and_decides(standing: Any, rule: str) -> None:
    asked_for = request(UserAgent=GOOGLEBOT, IP="203.0.113.7")

    verdict, asked = judge(CLAIMS.replace("name: true", 'name: "true"'), asked_for, lambda question: standing)

    assert verdict.rule == rule
    assert asked == [Identify("Google", "203.0.113.7")]


def test_claim_is_not_asked_for_where_nobody_claims_anything() -> None:
    verdict, asked = judge(CLAIMS.replace("name: true", 'name: "true"'), request())

    assert (verdict.rule, asked) == ("rest", [])


SIGNED = {"Signature": "sig1=:YQ==:", "SignatureInput": 'sig1=("@authority")', "SignatureAgent": '"https://a.example"'}


@pytest.mark.parametrize(
    ("reply", "rule"),
    [
        (SignedBy("verified", "a.example"), "signed"),
        (SignedBy("fake", ""), "fake"),
        (SignedBy("unknown", ""), "rest"),
    ],
)
def test_signature_of_an_agent_is_verified(reply: SignedBy, rule: str) -> None:
    rules = policy(CLAIMS.replace("name: true", 'name: "true"'))

    verdict, asked = judge(rules, request(Host="shop.example", Request="/a?b", **SIGNED), lambda question: reply)

    assert verdict.rule == rule
    assert asked[0] == Signed("GET", "https", "shop.example", "/a?b", *SIGNED.values(), "192.0.2.7")


SITES = """
preset: none
rules: [{name: everywhere, match: {path: ^/open}, action: allow}]
sites:
  - hosts: [shop.example, "*.shop.example"]
    preset: none
    rules: [{name: shop, action: block}]
  - hosts: api.example
    preset: aggressive
    disable: [suspicious-browser]
"""


@pytest.mark.parametrize(
    ("host", "path", "rule"),
    [
        ("shop.example", "/", "shop"),
        ("WWW.shop.example:8443", "/", "shop"),
        ("shop.example", "/open", "shop"),  # its own rules come first
        ("api.example", "/open", "everywhere"),
        ("api.example", "/", "absurd-request"),  # of the preset: the request has no Accept header at all
        ("else.example", "/open", "everywhere"),
        ("else.example", "/", "default"),
    ],
)
def test_site_has_its_own_rules_then_the_files_then_its_preset(host: str, path: str, rule: str) -> None:
    assert judge(SITES, request(Host=host, Request=path))[0].rule == rule
