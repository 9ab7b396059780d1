"""Judge a described request by a policy text, and see what was asked on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.browser_requests import CHROME, described
from engine.engines import catalogue, policy

from gateway.engine.policy.judge import Policy
from gateway.engine.question import Count, Counted, Identify, Question, Reply, Signed, SignedBy, Spend
from gateway.engine.request import Request
from gateway.engine.session import Session
from gateway.engine.verdict import Verdict
from gateway.engine.wire import Described


def request(session: Session | None = None, **fields: Any) -> Request:
    """A browser's request with other fields; None takes one away."""
    given = {"UserAgent": CHROME, **fields}
    made = Request(Described({k: v for k, v in described(**given).items() if v not in (None, "")}), catalogue())
    if session is not None:
        made.session = session
    return made


def nobody_answers(question: Question) -> Reply:
    """Nothing is over a limit, nobody is known."""
    match question:
        case Count():
            return Counted(True, 0.0)
        case Spend():
            return True
        case Identify():
            return "unknown"
        case Signed():
            return SignedBy("unknown", "")


def judge(
    rules: Policy | str, asked: Request, reply: Callable[[Question], Reply] = nobody_answers
) -> tuple[Verdict, list[Question]]:
    """The verdict, and the questions in order."""
    questions: list[Question] = []
    steps = (policy(rules) if isinstance(rules, str) else rules).judge(asked)
    try:
        question = next(steps)
        while True:
            questions.append(question)
            question = steps.send(reply(question))
    except StopIteration as done:
        return done.value, questions
