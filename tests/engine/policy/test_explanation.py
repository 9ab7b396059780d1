"""Why a policy decides as it does: the same verdict as the judgement's, and what each key of each rule saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine.browser_requests import BROWSER_REQUESTS, CHROME
from engine.engines import catalogue
from engine.policy.judging import judge, nobody_answers, request
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.reading import parse_section
from gateway.engine.policy.explanation import Explained, ExplainedPolicy, Looked, Step
from gateway.engine.policy.loading import LoadedPolicy, compile_policy
from gateway.engine.policy.model import PRESETS, PolicyFile
from gateway.engine.question import Count, Counted, Identify, Question, Reply
from gateway.engine.request import Request
from gateway.engine.session import Session
from gateway.engine.verdict import DEFAULT_RULE, Verdict, identity
from gateway.engine.wire import Described


def loaded(text: str) -> LoadedPolicy:
    return compile_policy(parse_section(text, "policy.yaml", PolicyFile), "policy.yaml")


def explain(
    text: str, asked: Request, reply: Callable[[Question], Reply] = nobody_answers
) -> tuple[Explained, list[Question]]:
    """What is explained, and the questions in order."""
    questions: list[Question] = []
    steps = ExplainedPolicy(loaded(text)).explain(asked)
    try:
        question = next(steps)
        while True:
            questions.append(question)
            question = steps.send(reply(question))
    except StopIteration as done:
        return done.value, questions


def only(text: str, asked: Request, reply: Callable[[Question], Reply] = nobody_answers) -> Step:
    (step,) = explain(f"preset: none\nrules:\n- {text}", asked, reply)[0].steps
    return step


def test_rule_that_matches_says_what_every_key_saw() -> None:
    step = only(
        "{name: shop, action: block, match: {method: POST, host: '*.example', path: ^/cart, user_agent: Chrome, "
        "field: {AcceptLanguage: en, JA4: ^$}, bot: none, session: [none, visitor], score: 0}}",
        request(Method="POST", AcceptLanguage="en-US", Request="/cart/x%2e?a=b"),
    )
    assert (step.rule, step.action, step.outcome, step.note) == ("shop", "block", "decided", "")
    assert [(one.key, one.wanted, one.saw, one.holds) for one in step.looked] == [
        ("host", "*.example", "shop.example", True),
        ("path", "^/cart", "/cart/x%2e, normalised /cart/x.", True),
        ("method", "POST", "POST", True),
        ("user_agent", "Chrome", CHROME, True),
        ("field.AcceptLanguage", "en", "en-US", True),
        ("field.JA4", "^$", "", True),
        ("bot", "none", "none", True),
        ("session", "none or visitor", "none", True),
        ("score", "at least 0", str(request(Method="POST", AcceptLanguage="en-US").score), True),
    ]


def test_rule_that_does_not_match_says_which_key_failed() -> None:
    step = only("{name: a, action: block, match: {method: GET, path: ^/admin}}", request())
    assert step.outcome == "no_match"
    assert step.looked == (Looked("path", "^/admin", "/cart", False), Looked("method", "GET", "GET", True))


def test_named_set_is_looked_into() -> None:
    policy = (
        "preset: none\nsets: {office: {addresses: [192.0.2.0/24]}}\n"
        "rules: [{name: a, action: allow, match: {address: [office, 203.0.113.0/24]}}]"
    )
    explained, _ = explain(policy, request(IP="192.0.2.7"))
    assert explained.steps[0].looked == (Looked("address", "office or 203.0.113.0/24", "192.0.2.7", True),)


def test_inner_matches_are_explained_key_by_key() -> None:
    step = only(
        "{name: a, action: block, match: {any_of: [{method: POST}, {path: ^/cart, bot: none}], "
        "none_of: [{address: 192.0.2.7}]}}",
        request(IP="192.0.2.7"),
    )
    assert step.outcome == "no_match"
    any_of, none_of = step.looked
    assert (any_of.key, any_of.holds) == ("any_of", True)
    assert [[(one.key, one.holds) for one in match] for match in any_of.inner] == [
        [("method", False)],
        [("path", True), ("bot", True)],
    ]
    assert (none_of.key, none_of.holds) == ("none_of", False)
    assert none_of.inner == ((Looked("address", "192.0.2.7", "192.0.2.7", True),),)


def test_claim_is_asked_for_once_and_only_where_the_rule_would() -> None:
    policy = (
        "preset: none\nrules:\n"
        "- {name: a, action: block, match: {method: POST, claim: fake}}\n"
        "- {name: b, action: block, match: {claim: fake}}\n"
        "- {name: c, action: allow, match: {bot: search_engine, claim: verified}}\n"
    )
    googlebot = request(UserAgent="Mozilla/5.0 (compatible; Googlebot/2.1)", IP="192.0.2.7")
    explained, questions = explain(
        policy, googlebot, lambda asked: "verified" if isinstance(asked, Identify) else nobody_answers(asked)
    )
    assert [type(one) for one in questions] == [Identify]
    assert explained.steps[0].looked[1] == Looked("claim", "fake", "not asked", None)
    assert explained.steps[1].looked == (Looked("claim", "fake", "verified: claims to be of Google", False),)
    assert explained.steps[2].outcome == "decided"


def test_rate_counts_once_and_is_said() -> None:
    text = "{name: r, action: rate_limit, limit: {requests: 5, per: 1m, by: address}}"
    step = only(text, request())
    assert (step.outcome, step.note) == ("passed_on", "under the limit of 5 in 1m, 5 at once, by address")
    over = only(text, request(), lambda _: Counted(False, 3.25))
    assert (over.outcome, over.note) == ("decided", "over the limit, again in 3.2 s")


def test_rate_of_a_match_is_a_key_of_it() -> None:
    text = "{name: r, action: block, match: {method: GET, rate: {requests: 5}}}"
    assert only(text, request()).looked[1].holds is False
    assert only(text, request(), lambda _: Counted(False, 1.0)).outcome == "decided"
    skipped = only(text.replace("GET", "POST"), request())
    assert skipped.looked[1] == Looked("rate", "over 5 in 1m, 5 at once, by client", "not counted", None)


def test_tags_and_scores_are_seen_by_later_rules() -> None:
    policy = (
        "preset: none\nrules:\n"
        "- {name: t, action: tag, tags: [odd], add_score: 40}\n"
        "- {name: u, action: challenge, match: {tag: odd, score: 40}}\n"
        "- {name: v, action: block}\n"
    )
    explained, _ = explain(policy, request())
    assert [step.outcome for step in explained.steps] == ["passed_on", "decided", "not_reached"]
    assert explained.steps[0].note == "tagged odd, score +40"
    assert explained.steps[1].looked[1] == Looked("tag", "odd", "odd", True)


def test_challenge_that_was_passed_goes_on() -> None:
    step = only("{name: c, action: challenge}", request(Session("proved", "AAAAAAAAAAAA", 1)))
    assert (step.outcome, step.note) == ("passed_on", "the visitor has passed this challenge")


def test_dry_run_of_a_rule_goes_on_and_of_a_policy_ends() -> None:
    rules = "rules: [{name: a, action: block, dry_run: %s}, {name: b, action: challenge}]"
    explained, _ = explain(f"preset: none\n{rules % 'true'}", request())
    assert (explained.steps[0].outcome, explained.steps[0].note) == ("would_decide", "a dry run: would block")
    assert (explained.verdict.rule, explained.verdict.dry) == ("b", (("a", "block"),))
    explained, _ = explain(f"preset: none\ndry_run: true\n{rules % 'false'}", request())
    assert explained.verdict == Verdict("allow", DEFAULT_RULE, dry=(("a", "block"),))
    assert [step.outcome for step in explained.steps] == ["would_decide", "not_reached"]


def test_looking_at_every_key_changes_nothing_that_the_judgement_sees() -> None:
    """Whether a rule has come to ask for absurdities is in the identity; this one stops at its first key."""
    asked = request(Method="TRACE")
    step = only("{name: a, action: block, match: {bot: any, absurd: true}}", asked)
    assert step.looked == (Looked("bot", "any", "none", False), Looked("absurd", "true", "forbidden method", True))
    assert (step.outcome, identity(asked).name) == ("no_match", "human")


REPLIES = {"verified": Counted(True, 0.0), "fake": Counted(False, 2.0), "unknown": Counted(True, 0.0)}


@given(
    st.sampled_from([f"preset: {name}\ndry_run: {dry}" for name in PRESETS for dry in ("true", "false")]),
    st.sampled_from(sorted(BROWSER_REQUESTS)),
    st.sampled_from([None, "curl/8.9.1", "Mozilla/5.0 (compatible; Googlebot/2.1)", "", "Feedly/1.0", "sqlmap/1.8"]),
    st.sampled_from(["none", "visitor", "waited", "proved"]),
    st.sampled_from(sorted(REPLIES)),
)
def test_explained_verdict_and_questions_are_those_of_the_judgement(
    text: str, name: str, agent: str | None, kind: Any, standing: Any
) -> None:
    fields = {**BROWSER_REQUESTS[name], **({} if agent is None else {"UserAgent": agent})}

    def ask() -> Request:
        made = Request(Described({key: value for key, value in fields.items() if value != ""}), catalogue())
        made.session = Session(kind, "AAAAAAAAAAAA" if kind != "none" else "")
        return made

    def reply(question: Question) -> Reply:
        match question:
            case Count():
                return REPLIES[standing]
            case Identify():
                return standing
        return nobody_answers(question)

    first, second = ask(), ask()
    explained, questions = explain(text, first, reply)
    assert (explained.verdict, questions) == judge(loaded(text).policy, second, reply)
    assert (identity(first), first.score, first.tags) == (identity(second), second.score, second.tags)
    decided = [step.rule for step in explained.steps if step.outcome == "decided"]
    assert decided == ([] if explained.verdict.rule == DEFAULT_RULE else [explained.verdict.rule])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_key_of_a_preset_has_something_to_show(preset: str) -> None:
    explained, _ = explain(f"preset: {preset}", request(UserAgent="curl/8.9.1"))
    looked = [one for step in explained.steps for one in step.looked]
    assert looked and all(one.saw and one.wanted for one in looked)
