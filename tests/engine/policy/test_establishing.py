"""Who a visitor really is: what is asked, how often, and what a reply is worth."""

from __future__ import annotations

import pytest
from engine.engines import policy
from engine.policy.judging import judge, nobody_answers, request
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.bots.operator import OPERATORS
from gateway.engine.policy.judge import SIGNERS
from gateway.engine.question import Identify, Question, Reply, Signed, SignedBy, Standing
from gateway.engine.request import Request
from gateway.engine.verdict import HUMAN, Identity, identity

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
CHATGPT_USER = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0"
SIGNATURE = {
    "Signature": "sig1=:YQ==:",
    "SignatureInput": 'sig1=("@authority")',
    "SignatureAgent": '"https://a.example"',
}


UNSIGNED = SignedBy("unknown", "")
BROWSER = {"Accept": "*/*", "AcceptEncoding": "gzip"}


class Replies:
    def __init__(self, signed: SignedBy = UNSIGNED, standing: Standing = "unknown") -> None:
        self.signed = signed
        self.standing = standing

    def __call__(self, question: Question) -> Reply:
        if isinstance(question, Signed):
            return self.signed
        return self.standing if isinstance(question, Identify) else nobody_answers(question)


def judged(preset: str, asked: Request, replies: Replies) -> tuple[str, Identity]:
    verdict, _ = judge(policy(f"preset: {preset}"), asked, replies)
    return f"{verdict.action} {verdict.rule}", identity(asked)


@pytest.mark.parametrize("preset", ["moderate", "aggressive"])
def test_signature_of_somebody_else_does_not_confirm_a_crawler(preset: str) -> None:
    """Everybody can publish a key and sign as himself; that makes nobody Google."""
    somebody = SignedBy("verified", "scraper.example")

    for standing, rule in (("fake", "fake-crawler"), ("unknown", "unconfirmed-crawler")):
        asked = request(UserAgent=GOOGLEBOT, **SIGNATURE)
        assert judged(preset, asked, Replies(somebody, standing))[0] == f"block {rule}"  # type: ignore[arg-type]


def test_signature_does_not_make_a_search_engine_of_who_cannot_be_asked() -> None:
    """A search engine that nobody can be asked about, signed by anybody."""
    asked = request(UserAgent="Mozilla/5.0 (compatible; YioopBot; +http://www.yioop.com/bot.php)", **SIGNATURE)

    assert judged("aggressive", asked, Replies(SignedBy("verified", "scraper.example")))[0] == "block automation"


@pytest.mark.parametrize("agent", SIGNERS["OpenAI"])
def test_signature_of_the_operator_confirms_its_crawler_without_asking_for_the_address(agent: str) -> None:
    asked = request(UserAgent=CHATGPT_USER, **SIGNATURE)

    verdict, questions = judge(policy(), asked, Replies(SignedBy("verified", agent), "fake"))

    assert (verdict.action, verdict.rule) == ("allow", "ai-assistant")
    assert [type(question) for question in questions] == [Signed]
    assert identity(asked) == Identity("ChatGPT-User", "good_bot", "ai_assistant", True)


def test_signed_agent_that_names_itself_nowhere_else_is_known_by_its_host() -> None:
    asked = request(**BROWSER, **SIGNATURE)

    assert judged("moderate", asked, Replies(SignedBy("verified", "agent.example"))) == (
        "allow signed-agent", Identity("agent.example", "good_bot", "unknown", True)
    )  # fmt: skip


def test_signature_that_is_false_is_a_fake_whoever_sends_it() -> None:
    asked = request(**BROWSER, **SIGNATURE)

    assert judged("moderate", asked, Replies(SignedBy("fake", ""))) == (
        "block fake-crawler", Identity("Crawler fake agent", "bad_bot", "unknown", True)
    )  # fmt: skip


def test_signature_that_nobody_could_check_leaves_a_person_a_person() -> None:
    asked = request(**SIGNATURE)

    verdict, questions = judge(policy("preset: none\nrules: [{name: a, match: {claim: fake}, action: block}]"), asked)

    assert (verdict.rule, identity(asked)) == ("default", HUMAN)
    assert [type(question) for question in questions] == [Signed]


def test_signature_is_asked_about_with_what_it_may_cover() -> None:
    asked = request(**SIGNATURE, Protocol="HTTPS", Method="POST", Host="Shop.example:8443", Request="/a/../b?c")
    rules = policy("preset: none\nrules: [{name: a, match: {signed_by: '*'}, action: block}]")

    assert judge(rules, asked)[1] == [
        Signed("POST", "https", "Shop.example:8443", "/a/../b?c", *SIGNATURE.values(), "192.0.2.7")
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["Signature", "SignatureInput"])
def test_half_a_signature_is_not_asked_about(missing: str) -> None:
    _, questions = judge(policy(), request(**BROWSER, **{**SIGNATURE, missing: None}))

    assert not any(isinstance(question, Signed) for question in questions)


@given(
    preset=st.sampled_from(("permissive", "moderate", "aggressive")),
    user_agent=st.sampled_from((GOOGLEBOT, CHATGPT_USER, "curl/8.9.1", "Mozilla/5.0 (X11)")),
    signed=st.booleans(),
    reply=st.sampled_from((SignedBy("verified", "a.example"), SignedBy("fake", ""), SignedBy("unknown", ""))),
    standing=st.sampled_from(("verified", "fake", "unknown")),
)
def test_nothing_is_asked_twice_about_one_request(
    preset: str, user_agent: str, signed: bool, reply: SignedBy, standing: Standing
) -> None:
    asked = request(UserAgent=user_agent, **(SIGNATURE if signed else {}))

    _, questions = judge(policy(f"preset: {preset}"), asked, Replies(reply, standing))

    kinds = [type(question) for question in questions]
    assert kinds.count(Signed) <= 1 and kinds.count(Identify) <= 1


def test_signers_are_of_operators_that_can_be_claimed() -> None:
    assert set(SIGNERS) <= set(OPERATORS)
