"""What was decided about a request, and who it was from."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gateway.engine.bots.operator import OPERATORS
from gateway.engine.request import Request

Action = Literal["allow", "block", "challenge", "limit", "redirect"]
DEFAULT_RULE = "default"  # no rule ended the judgement: allowed


class Identity(NamedTuple):
    """Who sent it, as far as one can tell. Texts are printable ASCII: they become header values.

    `bot_class`: a word of policy.model.BOT_CLASSES, `human`, or `unknown` (not a person's, and no known program).
    """

    name: str
    family: str
    bot_class: str
    is_bot: bool


HUMAN = Identity("human", "human", "human", False)


class Verdict(NamedTuple):
    """`rule`: the name of the one that decided. `retry_after_s`: for `limit`. `location`, `status`: for `redirect`.
    `without_javascript`: for `challenge`, whether there is a way without. `dry`: (rule, action) of what would have
    decided, were it not a dry run."""

    action: Action
    rule: str
    retry_after_s: float = 0.0
    location: str = ""
    status: int = 0
    without_javascript: bool | None = None
    dry: tuple[tuple[str, Action], ...] = ()


def identity(request: Request) -> Identity:
    """Who sent a judged request. A person's as long as nothing says otherwise."""
    if request.standing == "fake":
        return Identity(f"Crawler fake {_operator(request)}", "bad_bot", _bot_class(request), True)
    if request.known_absurdity:
        return Identity(f"Absurd request: {request.known_absurdity}", "bad_bot", _bot_class(request), True)
    bot = request.bot
    if bot is None:
        return Identity(request.signed_by, "good_bot", "unknown", True) if request.signed_by else HUMAN
    if request.standing == "verified" or request.signed_by:
        return Identity(bot.name, "good_bot", bot.bot_class, True)
    return Identity(bot.name, _FAMILIES.get(bot.bot_class, "commercial_bot"), bot.bot_class, True)


def _operator(request: Request) -> str:
    """Whose crawler it says it is; `agent` of a false signature alone."""
    bot = request.bot
    if bot is None:
        return "agent"
    return OPERATORS[bot.operator].display if bot.operator is not None else bot.name


def _bot_class(request: Request) -> str:
    return request.bot.bot_class if request.bot is not None else "unknown"


# class -> X-DataDome-botfamily, in the vendor's words; whose crawler says who runs it is commercial_bot
_FAMILIES = {"library": "bad_bot", "headless": "bad_bot", "scanner": "bad_bot"}
