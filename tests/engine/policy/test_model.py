"""What a policy file may say: each mistake has its line, its key and what is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine.engines import Seen, make_api

from gateway.config.reading import parse_section
from gateway.engine.api import Call
from gateway.engine.override import Override, Overrides
from gateway.engine.policy.model import BOT_CLASSES, FIELDS, MAX_RULES, PRESETS, RESERVED_RULES, PolicyFile
from gateway.engine.wire import JSON
from gateway.errors import ConfigError


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse_section(text, "policy.yaml", PolicyFile)
    return str(raised.value).splitlines()


def rule(match: str = "{}", rest: str = "action: block") -> str:
    return f"rules:\n  - name: it\n    match: {match}\n    {rest}"


LIST_URL = "https://... in printable ASCII"
WORD = "a name of lower-case letters, digits, - and _ (at most 64)"
FIELD = "a field of the Protection API, such as AcceptLanguage or customFieldString1"
SCORE = "a whole number from 0 to 100"
COUNT = "a whole number from 1 to 10000000"
TARGET = "an absolute URL (https://...) or a path of the same site (/...), in printable ASCII"
RESERVED = "another name: default, override-block, override-allow, challenge-passes are the engine's own"
COUNTED = "one of client, address, session, host, path or field:NAME"
ONCE = "nothing here: a rule counts once, in the match itself"
UNFITTING = "nothing, since the action is block"
LONG = "x" * 65

OF_THE_FILE = [
    ("preset: strict", "preset: got 'strict'", "one of permissive, moderate, aggressive, none"),
    ("disable: [Automation]", "disable[0]: got 'Automation'", WORD),
    ("dry_run: 1", "dry_run: got 1", "true or false"),
    ("rule: []", "rule: got an unknown key", "a known one: did you mean rules?"),
    ("rules: {}", "rules: got a mapping", "a list"),
    ("sets: {Office: {}}", "sets.Office.[key]: got 'Office'", WORD),
    (
        "sets: {o: {addresses: 10.0.0.1/8}}", "sets.o.addresses[0]: got '10.0.0.1/8'",
        "10.0.0.0/8 or a single address: the host bits of a network are zero",
    ),
    (
        "sets: {o: {files: /nowhere}}", "sets.o.files[0]: got '/nowhere'",
        "a file that can be read (No such file or directory)",
    ),
    ("sets: {o: {urls: http://a.example}}", "sets.o.urls[0]: got 'http://a.example'", LIST_URL),
    ("sets: {o: {urls: [7]}}", "sets.o.urls[0]: got 7", LIST_URL),
    ("sets: {o: {refresh: 5}}", "sets.o.refresh: got 5", "a duration"),
    ("rules: [{action: block}]", "rules[0].name: got nothing", "a value: Names the decision in X-DataDome-ruletype"),
    ("rules: [{name: a}]", "rules[0].action: got nothing", "a value: allow and block end the judgement; "),
    ("rules: [{name: No!, action: block}]", "rules[0].name: got 'No!'", WORD),
    (f"rules: [{{name: {LONG}, action: block}}]", f"rules[0].name: got '{LONG}'", WORD),
    ("rules: [{name: default, action: block}]", "rules[0].name: got 'default'", RESERVED),
    ("rules: [{name: override-allow, action: block}]", "rules[0].name: got 'override-allow'", RESERVED),
    ("rules: [{name: override-block, action: block}]", "rules[0].name: got 'override-block'", RESERVED),
    (
        "sites: [{hosts: x, rules: [{name: challenge-passes, action: block}]}]",
        "sites[0].rules[0].name: got 'challenge-passes'", RESERVED,
    ),
    (
        "rules: [{name: a, action: block}, {name: a, action: allow}]", "rules[1].name: got 'a'",
        "a name that no other rule has",
    ),
    (
        "{rules: [{name: a, action: block}], sites: [{hosts: x, rules: [{name: a, action: allow}]}]}",
        "sites[0].rules[0].name: got 'a'", "a name that no other rule has",
    ),
    (
        "sites: [{hosts: x, rules: [{name: a, match: {address: office}, action: allow}]}]",
        "sites[0].rules[0].match.address[0]: got 'office'", "an address, a network or a set: there is none",
    ),
    ("sites: [{preset: none}]", "sites[0].hosts: got nothing", 'a value: Exact, "*.example.com" or "*".'),
]  # fmt: skip

# what stands behind `name` and `match` of a rule; line 4 is its first line
OF_A_RULE = [
    ("action: deny", 4, "action: got 'deny'", "one of allow, block, challenge, redirect, rate_limit, tag"),
    ("action: rate_limit", 2, "limit: got null", "a mapping of keys, since the action is rate_limit"),
    ("action: redirect", 2, "redirect: got null", "a mapping of keys, since the action is redirect"),
    ("action: block\n    limit: {requests: 1}", 5, "limit: got a mapping", UNFITTING),
    ("action: block\n    redirect: {to: /}", 5, "redirect: got a mapping", UNFITTING),
    ("action: block\n    over: block", 5, "over: got 'block'", UNFITTING),
    (
        "action: block\n    without_javascript: false", 5, "without_javascript: got false",
        "nothing, since the rule does not challenge",
    ),
    ("action: block\n    tags: x", 4, "action: got 'block'", "tag, because tags or add_score are given"),
    ("action: block\n    add_score: 1", 4, "action: got 'block'", "tag, because tags or add_score are given"),
    ("action: tag\n    add_score: 101", 5, "add_score: got 101", SCORE),
    ("action: block\n    dry_run: 1", 5, "dry_run: got 1", "true or false"),
    ("action: redirect\n    redirect: {to: //a.example}", 5, "redirect.to: got '//a.example'", TARGET),
    ("action: redirect\n    redirect: {to: /\\a}", 5, "redirect.to: got '/\\\\a'", TARGET),
    ("action: redirect\n    redirect: {to: /é}", 5, "redirect.to: got '/é'", TARGET),
    ("action: redirect\n    redirect: {to: ftp://a}", 5, "redirect.to: got 'ftp://a'", TARGET),
    ("action: redirect\n    redirect: {to: /a, status: 303}", 5, "redirect.status: got 303", "301 or 302"),
    ("action: rate_limit\n    limit: {requests: 0}", 5, "limit.requests: got 0", COUNT),
    ("action: rate_limit\n    limit: {requests: 1, burst: 0}", 5, "limit.burst: got 0", COUNT),
    ("action: rate_limit\n    limit: {requests: 1, per: 0s}", 5, "limit.per: got '0s'", ""),
    ("action: rate_limit\n    limit: {requests: 1, by: ip}", 5, "limit.by[0]: got 'ip'", COUNTED),
    ("action: rate_limit\n    limit: {requests: 1, by: 'field:Key'}", 5, "limit.by[0]: got 'field:Key'", COUNTED),
    (
        "action: rate_limit\n    limit: {requests: 1}\n    over: stop", 6, "over: got 'stop'",
        "one of limit, challenge, block",
    ),
]  # fmt: skip

OF_A_MATCH = [
    ("{any_of: [{}, {rate: {requests: 1}}]}", "any_of[1].rate: got a mapping", ONCE),
    ("{none_of: [{rate: {requests: 1}}]}", "none_of[0].rate: got a mapping", ONCE),
    ("{any_of: [{none_of: [{rate: {requests: 1}}]}]}", "any_of[0].none_of[0].rate: got a mapping", ONCE),
    ("{adress: 10.0.0.1}", "adress: got an unknown key", "a known one: did you mean address?"),
    ("{address: ten dot}", "address[0]: got 'ten dot'", "an address, a network (10.0.0.0/8) or the name of a set"),
    ("{address: 10.0.0.999}", "address[0]: got '10.0.0.999'", "an IPv4 or IPv6 network in CIDR form"),
    ("{address: nowhere}", "address[0]: got 'nowhere'", "an address, a network or a set: there is none"),
    ("{host: 'shop.*'}", "host[0]: got 'shop.*'", ""),
    ("{path: '('}", "path[0]: got '('", "a regular expression (missing ), unterminated subpattern at position 0)"),
    ("{path: '[é-à]'}", "path[0]: got '[é-à]'", "a regular expression (bad character range é-à at position 1)"),
    ("{path: '[[:alpha:]]'}", "path[0]: got '[[:alpha:]]'", "a regular expression (Possible nested set at position 1)"),
    ("{path: 7}", "path[0]: got 7", "a regular expression"),
    ("{user_agent: '(?L)a'}", "user_agent[0]: got '(?L)a'", "a regular expression (bad inline flags: "),
    ("{bot_name: '*'}", "bot_name[0]: got '*'", "a regular expression (nothing to repeat at position 0)"),
    ("{field: {Via: '*'}}", "field.Via[0]: got '*'", "a regular expression (nothing to repeat at position 0)"),
    ("{field: {Key: a}}", "field.Key.[key]: got 'Key'", FIELD),
    ("{method: GE T}", "method[0]: got 'GE T'", ""),
    ("{bot: robots}", "bot[0]: got 'robots'", "one of any, none, search_engine, "),
    ("{claim: true}", "claim[0]: got true", "one of verified, fake, unknown"),
    ("{session: old}", "session[0]: got 'old'", "one of none, visitor, waited, proved, revoked"),
    ("{score: true}", "score: got true", SCORE),
    ("{score: 30.5}", "score: got 30.5", SCORE),
    ("{finding: hints_mising}", "finding[0]: got 'hints_mising'", "a finding: did you mean hints_missing"),
    ("{absurd: maybe}", "absurd: got 'maybe'", "true or false"),
    ("{tag: A}", "tag[0]: got 'A'", WORD),
    ("{signed_by: a b}", "signed_by[0]: got 'a b'", ""),
]


@pytest.mark.parametrize(("text", "got", "expected"), OF_THE_FILE)
def test_mistake_of_the_file_is_told_with_what_is_accepted(text: str, got: str, expected: str) -> None:
    (problem,) = problems(text)

    assert problem.startswith(f"policy.yaml:1: {got}; expected {expected}")


@pytest.mark.parametrize(("rest", "line", "got", "expected"), OF_A_RULE)
def test_mistake_of_a_rule_is_told_with_its_line(rest: str, line: int, got: str, expected: str) -> None:
    (problem,) = problems(rule(rest=rest))

    assert problem.startswith(f"policy.yaml:{line}: rules[0].{got}; expected {expected}")


@pytest.mark.parametrize(("match", "got", "expected"), OF_A_MATCH)
def test_mistake_of_a_match_is_told_with_its_line(match: str, got: str, expected: str) -> None:
    (problem,) = problems(rule(match))

    assert problem.startswith(f"policy.yaml:3: rules[0].match.{got}; expected {expected}")


def test_rate_beside_a_rate_limit_is_a_mistake_since_both_would_count_under_one_name() -> None:
    (problem,) = problems(rule("{rate: {requests: 1}}", "action: rate_limit\n    limit: {requests: 1}"))

    assert problem == (
        "policy.yaml:3: rules[0].match.rate: got a mapping; expected nothing here: rate_limit counts by its own limit"
    )


def test_unknown_set_is_told_where_it_stands_with_those_that_are_known() -> None:
    text = "sets: {b: {}, a: {}}\n" + rule("{none_of: [{any_of: [{address: [a, c]}]}]}")

    assert problems(text) == [
        "policy.yaml:4: rules[0].match.none_of[0].any_of[0].address[1]: got 'c'; "
        "expected an address, a network or a set: a, b"
    ]


def test_every_mistake_is_told_in_the_order_of_the_file() -> None:
    text = "preset: x\nrules:\n  - {name: A, action: block}\n  - {name: b, action: c}\n"

    assert [problem.split(" got")[0] for problem in problems(text)] == [
        "policy.yaml:1: preset:", "policy.yaml:3: rules[0].name:", "policy.yaml:4: rules[1].action:"
    ]  # fmt: skip


def test_too_many_rules_are_refused() -> None:
    def rules(count: int) -> str:
        return "rules:\n" + "".join(f"  - {{name: r{number}, action: block}}\n" for number in range(count))

    assert len(parse_section(rules(MAX_RULES), "policy.yaml", PolicyFile).rules) == MAX_RULES
    assert problems(rules(MAX_RULES + 1)) == [
        f"policy.yaml:1: rules: got {MAX_RULES + 1}; expected at most {MAX_RULES} rules"
    ]


def test_one_value_stands_for_a_list_of_one() -> None:
    text = rule("{method: post, path: /a, address: 10.0.0.1, bot: any, tag: x, field: {Via: b}}")

    match = parse_section(text, "policy.yaml", PolicyFile).rules[0].match

    assert (match.method, match.path, match.address) == (("POST",), ("/a",), ("10.0.0.1",))
    assert (match.bot, match.tag, match.field) == (("any",), ("x",), {"Via": ("b",)})


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORE", "45")
    text = "preset: ${PRESET:-none}\n" + rule("\n      score: ${SCORE}\n      method: ${METHOD:-PUT}")

    file = parse_section(text, "policy.yaml", PolicyFile)

    assert (file.preset, file.rules[0].match.score, file.rules[0].match.method) == ("none", 45, ("PUT",))


@pytest.mark.parametrize("name", ["bad", "cafe", "10", "face-b00c", "office_1"])
def test_set_may_have_any_name(name: str) -> None:
    text = f"sets: {{'{name}': {{addresses: 10.0.0.1}}}}\n" + rule(f"{{address: ['{name}', 10.0.0.2, '::1']}}")

    assert parse_section(text, "policy.yaml", PolicyFile).rules[0].match.address == (name, "10.0.0.2", "::1")


def test_empty_file_is_the_moderate_preset_alone() -> None:
    assert parse_section("", "policy.yaml", PolicyFile) == PolicyFile(preset="moderate")


def test_over_and_waiting_are_told_apart_by_what_they_go_with() -> None:
    limited = "action: rate_limit\n    limit: {requests: 1}\n    over: challenge\n    without_javascript: false"

    parsed = parse_section(rule(rest=limited), "policy.yaml", PolicyFile).rules[0]

    assert (parsed.over, parsed.without_javascript) == ("challenge", False)


def test_words_of_the_model_are_those_of_the_engine() -> None:
    from gateway.engine.bots import catalogue
    from gateway.engine.policy import loading

    assert set(BOT_CLASSES) == set(catalogue.BOT_CLASSES) - {"unknown"}
    assert {path.stem for path in Path(loading.PRESETS).glob("*.yaml")} == set(PRESETS)
    assert "Key" not in FIELDS and "UserAgent" in FIELDS


@pytest.mark.parametrize("action", ["allow", "block"])
def test_names_of_what_the_engine_decides_itself_are_reserved(action: str) -> None:
    seen = Seen()
    overrides = Overrides([Override.of("192.0.2.7", action, 2e9, "", 1e9)])
    decided = make_api("preset: none", observer=seen, clock=lambda: 1.5e9, overrides=overrides)
    undecided = make_api("preset: none", observer=seen)

    for api in (decided, undecided):
        api.respond(Call(b'{"Key": "k", "IP": "192.0.2.7"}', JSON))

    assert [one.verdict.rule for one in seen.decided] == [f"override-{action}", "default"]
    assert {one.verdict.rule for one in seen.decided} <= set(RESERVED_RULES)
