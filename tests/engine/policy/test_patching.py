"""Patches over a policy: what is blocked and for whom, what a raised preset changes, and what a dry run counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from engine.browser_requests import BROWSER_REQUESTS
from engine.engines import Seen, make_api
from engine.policy.judging import judge, nobody_answers, request
from posture.patches import patch

from gateway.config.reading import parse_section
from gateway.engine.api import Call
from gateway.engine.override import Override, Overrides
from gateway.engine.policy.judge import Judging
from gateway.engine.policy.loading import LoadedPolicy, compile_policy
from gateway.engine.policy.model import PolicyFile
from gateway.engine.policy.patching import patched
from gateway.engine.question import Count, Counted, Question, Reply
from gateway.engine.verdict import Verdict
from gateway.engine.wire import JSON

BROWSER = {field: value for field, value in BROWSER_REQUESTS["chrome navigates"].items() if value != ""}
CURL = "curl/8.9.1"
ALLOW_ALL = "preset: none\nrules: [{name: all, action: allow}]"


def loaded(text: str = "") -> LoadedPolicy:
    return compile_policy(parse_section(text, "policy.yaml", PolicyFile), "policy.yaml")


def verdict(judging: Judging, reply: Any = nobody_answers, **fields: Any) -> Verdict:
    return judge(judging, request(**{**BROWSER, "Host": "shop.example", **fields}), reply)[0]  # type: ignore[arg-type]


def raised(**fields: Any) -> Any:
    return patch(**{"name": "raise", "do": "raise_preset", **fields})


# -- paths


def test_policy_without_patches_is_the_policy_itself() -> None:
    """So that a judgement costs what it did."""
    policy = loaded()

    assert patched(policy, ()) is policy.policy


@pytest.mark.parametrize("text", ["", ALLOW_ALL, "preset: none"])
def test_blocked_path_comes_before_every_rule(text: str) -> None:
    judging = patched(loaded(text), [patch()])

    assert verdict(judging, Request="/admin/users?x=1") == Verdict("block", "patch-close")


@pytest.mark.parametrize(
    "fields",
    [
        {"Request": "/"},
        {"Request": "/administrator"},
        {"Request": "/public/admin"},
        {"Request": "/?next=/admin"},
        {"Request": "/?next=/../admin"},
        {"Request": "/admin", "Host": "www.shop.example"},
        {"Request": "/admin", "Host": "example"},
        {"Request": "/admin", "Host": "shop.example.evil.example"},
    ],
)
def test_everything_else_is_judged_as_before(fields: dict[str, Any]) -> None:
    assert verdict(patched(loaded(ALLOW_ALL), [patch()]), **fields) == Verdict("allow", "all")


@pytest.mark.parametrize("host", ["shop.example", "SHOP.Example:8443", "shop.example.", "shop.example.:80"])
def test_host_is_the_same_in_every_spelling(host: str) -> None:
    assert verdict(patched(loaded(ALLOW_ALL), [patch()]), Request="/admin", Host=host).action == "block"


@pytest.mark.parametrize(
    "path",
    [
        "/ADMIN", "/%61dmin", "/%2561dmin", "//admin", "/./admin", "/admin;x=1/y", "/admin./y", "/admin%20",
        "/admin%00", "/x/../admin", "/admin/../x", "/z/../a/%252e%252e/../admin", "/x/..;/y", "\\admin", "http://shop.example/admin",
        "/" + "x" * 2047,
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_passes_by(path: str) -> None:
    assert verdict(patched(loaded(ALLOW_ALL), [patch()]), Request=path) == Verdict("block", "patch-close")


@pytest.mark.parametrize("path", ["/admin::$DATA", "/admin%3a%3a$DATA", "/admin:x/y", "/admin%253a:$DATA"])
def test_stream_of_a_windows_file_is_the_file(path: str) -> None:
    assert verdict(patched(loaded(ALLOW_ALL), [patch()]), Request=path) == Verdict("block", "patch-close")


def test_colon_in_the_path_of_a_patch_is_a_letter() -> None:
    judging = patched(loaded(ALLOW_ALL), [patch(paths=("/users:delete",))])

    named = [verdict(judging, Request=path).rule for path in ("/users:delete", "/users", "/users:add")]
    assert named == ["patch-close", "all", "all"]


def test_path_that_names_nothing_blocks_nothing() -> None:
    """The configuration and the file refuse such a path; the engine does not rely on it."""
    nothing = patch().model_copy(update={"paths": ("/%252e%252e",)})

    assert verdict(patched(loaded(ALLOW_ALL), [nothing]), Request="/any/where") == Verdict("allow", "all")


@pytest.mark.parametrize("blocked", ["/Admin/", "//admin", "/%61dmin", "/admin/.", "/x/../admin"])
def test_path_of_a_patch_may_be_spelled_in_any_way(blocked: str) -> None:
    assert verdict(patched(loaded(ALLOW_ALL), [patch(paths=(blocked,))]), Request="/admin").action == "block"


def test_signs_of_an_expression_in_a_path_are_letters() -> None:
    judging = patched(loaded(ALLOW_ALL), [patch(paths=("/a.*(b|c)",))])

    assert verdict(judging, Request="/a.*(b|c)/d").action == "block"
    assert verdict(judging, Request="/axx(b").action == "allow"


def test_root_is_the_whole_host() -> None:
    assert verdict(patched(loaded(ALLOW_ALL), [patch(paths=("/",))]), Request="/any/where").action == "block"


def test_paths_of_several_patches_are_blocked_under_the_name_of_each() -> None:
    judging = patched(loaded(ALLOW_ALL), [
        patch(paths=("/a",)), patch(name="other", paths=("/b",)), patch(host="www.shop.example", paths=("/c",)),
        patch(paths=("/d",)),
    ])  # fmt: skip

    named = [verdict(judging, Request=path).rule for path in ("/a", "/b", "/c", "/d")]
    assert named == ["patch-close", "patch-other", "all", "patch-close"]
    assert verdict(judging, Request="/c", Host="www.shop.example").rule == "patch-close"


def test_dry_run_of_a_block_is_counted_and_nothing_else() -> None:
    judging = patched(loaded(ALLOW_ALL), [patch(dry_run=True)])

    assert verdict(judging, Request="/admin") == Verdict("allow", "all", dry=(("patch-close", "block"),))
    assert verdict(judging, Request="/") == Verdict("allow", "all")


def test_policy_on_a_dry_run_enforces_no_patch_either() -> None:
    judging = patched(loaded("dry_run: true\npreset: none"), [patch()])

    assert verdict(judging, Request="/admin") == Verdict("allow", "default", dry=(("patch-close", "block"),))


def test_decision_by_hand_comes_before_a_patch() -> None:
    seen = Seen()
    allowed = Overrides([Override.of("203.0.113.0/24", "allow", 4e9, "", 1.0)])
    api = make_api(ALLOW_ALL, observer=seen, overrides=allowed)
    api.terms = replace(api.terms, policy=patched(loaded(ALLOW_ALL), [patch(paths=("/",))]))

    for address in ("203.0.113.9", "198.51.100.9"):
        api.respond(Call(orjson.dumps({**BROWSER, "Host": "shop.example", "IP": address}), JSON))

    assert [one.verdict.rule for one in seen.decided] == ["override-allow", "patch-close"]


# -- presets


def test_raised_preset_takes_the_place_of_the_hosts_and_names_what_it_changes() -> None:
    judging = patched(loaded(), [raised()])

    assert verdict(judging).action == "challenge"
    assert verdict(judging).rule == "patch-raise.every-browser"
    assert verdict(judging, UserAgent=CURL) == Verdict("block", "automation")  # as before
    assert verdict(judging, Host="www.shop.example") == Verdict("allow", "default")


@pytest.mark.parametrize(
    ("preset", "to", "is_raised"),
    [
        ("none", "permissive", True),
        ("permissive", "moderate", True),
        ("permissive", "aggressive", True),
        ("moderate", "aggressive", True),
        ("moderate", "moderate", False),
        ("moderate", "permissive", False),
        ("aggressive", "moderate", False),
    ],
)
def test_preset_is_raised_and_never_lowered(preset: str, to: str, is_raised: bool) -> None:
    policy = loaded(f"preset: {preset}")
    rules = patched(policy, [raised(preset=to)]).hosts["shop.example"].rules  # type: ignore[attr-defined]
    names = [one.rule.name.removeprefix("patch-raise.") for one in rules]

    assert names == [one.rule.name for one in loaded(f"preset: {to if is_raised else preset}").policy.rules]
    assert (rules == policy.policy.rules) is not is_raised


def test_strictest_of_several_presets_counts() -> None:
    judging = patched(loaded("preset: none"), [raised(name="low", preset="permissive"), raised(), raised(name="late")])

    assert verdict(judging).rule == "patch-raise.every-browser"


def test_own_rules_and_what_is_disabled_stay_under_a_raised_preset() -> None:
    text = """
disable: [absurd-request]
rules: [{name: mine, match: {path: ^/open$}, action: allow}]
sites:
  - hosts: "*.shop.example"
    preset: permissive
    disable: [attack-tool]
    rules: [{name: theirs, match: {path: ^/api$}, action: allow}]
"""
    judging = patched(loaded(text), [raised(), raised(host="www.shop.example")])

    assert verdict(judging, Request="/open") == Verdict("allow", "mine")
    assert verdict(judging, Method="TRACE").rule == "patch-raise.every-browser"
    assert verdict(judging, Request="/api", Host="www.shop.example") == Verdict("allow", "theirs")
    assert verdict(judging, Request="/open", Host="www.shop.example") == Verdict("allow", "mine")
    assert verdict(judging, Request="/", Host="www.shop.example").rule == "patch-raise.every-browser"


def test_blocked_path_and_raised_preset_hold_together() -> None:
    judging = patched(loaded(), [raised(), patch()])

    assert verdict(judging, Request="/admin").rule == "patch-close"
    assert verdict(judging, Request="/").rule == "patch-raise.every-browser"


def test_dry_run_of_a_preset_counts_what_it_would_change() -> None:
    judging = patched(loaded(), [raised(dry_run=True)])

    assert verdict(judging) == Verdict("allow", "default", dry=(("patch-raise", "challenge"),))
    assert verdict(judging, UserAgent=CURL) == Verdict("block", "automation")


def test_dry_run_of_a_preset_leaves_limits_tags_and_scores_alone() -> None:
    text = """
preset: none
rules:
  - {name: mark, action: tag, tags: [marked], add_score: 40}
  - {name: slow, match: {tag: marked}, action: rate_limit, limit: {requests: 5}}
  - {name: twice, match: {score: 80}, action: block}
"""
    counted: list[str] = []

    def reply(question: Question) -> Reply:
        if isinstance(question, Count):
            counted.append(question.key.partition("|")[0])
            return Counted(True, 0.0)
        return nobody_answers(question)

    judging = patched(loaded(text), [raised(dry_run=True)])

    assert verdict(judging, reply).rule == "default"  # a score of 40, not of 80
    assert counted.count("slow") == 1
    assert {name for name in counted if name != "slow"} == {"patch-raise.slow"}


def test_claim_is_asked_about_once_on_a_dry_run() -> None:
    googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    judging = patched(loaded(), [raised(dry_run=True)])

    _, questions = judge(judging, request(Host="shop.example", UserAgent=googlebot))  # type: ignore[arg-type]

    assert [type(question).__name__ for question in questions] == ["Identify"]


def test_dry_run_beside_a_preset_that_is_as_strict_changes_nothing() -> None:
    judging = patched(loaded(), [raised(), raised(name="tried", dry_run=True)])

    assert verdict(judging).dry == ()
