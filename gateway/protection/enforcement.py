"""Decision -> forward or local reply, and the outcome that is counted. The one place that applies the failure mode."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.http.message import LocalReply
from gateway.protection.decision import Decision, Verdict


@dataclass(frozen=True, slots=True)
class Enforcement:
    """outcome: the label; reply: the decision's answer to the client, None = forward;

    merges: whether the decision's header edits apply; unavailable: answer 503 instead of forwarding.
    """

    outcome: str
    reply: LocalReply | None = None
    merges: bool = False
    unavailable: bool = False


_ALLOWED = Enforcement("allowed", merges=True)
_MONITORED = Enforcement("monitored")
_MONITORED_ALLOW = Enforcement("monitored", merges=True)
_FAILED_OPEN = Enforcement("failed_open")
_FAILED_CLOSED = Enforcement("failed_closed", unavailable=True)


def enforce(decision: Decision, *, monitor: bool, block_on_failure: bool) -> Enforcement:
    """What to do about a Decision (contract section 4). monitor enforces nothing, and merges a 200's headers only."""
    verdict = decision.verdict
    if verdict == Verdict.ALLOW:
        return _MONITORED_ALLOW if monitor else _ALLOWED
    if verdict == Verdict.ERROR:
        return _FAILED_CLOSED if block_on_failure and not monitor else _FAILED_OPEN
    if monitor:
        return _MONITORED
    outcome = "redirected" if verdict == Verdict.REDIRECT else "challenged" if decision.challenge else "blocked"
    return Enforcement(outcome, LocalReply(decision.status, decision.reply_headers, decision.body))
