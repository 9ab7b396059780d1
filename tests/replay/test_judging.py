"""One judge of the past: what it answers itself, and what it cannot know."""

from __future__ import annotations

from pathlib import Path

from engine.engines import catalogue
from replay.samples import GOOGLE_ADDRESS, GOOGLEBOT, combined

from gateway.engine.bots.ranges import load_ranges
from gateway.engine.lookup.verifier import Verifier, VerifierSettings
from gateway.replay.entry import Entry, PastRequest, parse_line
from gateway.replay.judging import Judge
from gateway.replay.source import read_policy


def judge_of(tmp_path: Path, rule: str, capacity: int = 100) -> Judge:
    file = tmp_path / "policy.yaml"
    file.write_text(f"preset: none\nrules: [{rule}]\n")
    return Judge(read_policy(str(file)), Verifier(load_ranges(), VerifierSettings(dns=False)), capacity)


def past(line: bytes) -> PastRequest:
    entry = parse_line(line)
    assert isinstance(entry, Entry)
    return PastRequest(entry, catalogue())


async def test_claim_is_judged_by_the_shipped_ranges_and_without_dns_stays_unknown(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, "{name: unknown, action: block, match: {claim: unknown}}")
    assert (await judge.judge(past(combined(GOOGLE_ADDRESS, agent=GOOGLEBOT)), 1.0)).action == "allow"
    assert judge.unknown == 0
    assert (await judge.judge(past(combined("8.8.8.8", agent=GOOGLEBOT)), 1.0)).action == "block"
    assert judge.unknown == 1


async def test_signature_of_the_past_is_never_verified(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, '{name: signed, action: allow, match: {signed_by: "*"}}')
    signed = b'{"IP": "192.0.2.1", "Signature": "sig1=:AA==:", "SignatureInput": "sig1=()", "UserAgent": "x"}'
    assert (await judge.judge(past(signed), 1.0)).rule == "default"


async def test_counters_past_the_capacity_are_counted(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, "{name: rate, action: rate_limit, limit: {requests: 1, by: address}}", capacity=2)
    for number in range(5):
        await judge.judge(past(combined(f"192.0.2.{number}")), 1.0)
    assert judge.forgotten == 3
