"""The presets, judged from a call's bytes to its answer: who passes, who is challenged, who is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from engine.browser.recorded import RECORDED
from engine.browser_requests import BROWSER_REQUESTS, CHROME, CHROME_ANDROID, USER_AGENTS, described
from engine.engines import Seen, make_api
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.answer import Answer
from gateway.engine.api import Call, ProtectionApi
from gateway.engine.challenge.solver import solve
from gateway.engine.wire import FORM, INTEGERS, JSON, TEXTS

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
BINGBOT = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"
CHATGPT_USER = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0"
GPTBOT = "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"
AHREFS = "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"
PROGRAMS = [
    [word.strip() for word in line.split("|", 2)]
    for line in (Path(__file__).parent.parent / "bots" / "programs.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
"""[class, operator or "-", user agent]"""

# An application that borrows a browser's name and sends nothing else of a browser: no way to tell it from a script.
BORROWED_NAME = "android application with a browser's name calls an api"
PEOPLE = {name: fields for name, fields in BROWSER_REQUESTS.items() if name != BORROWED_NAME}


class Judged(NamedTuple):
    action: str
    rule: str
    name: str
    family: str
    is_bot: str


def api_of(preset: str, standing: str = "fake", **more: Any) -> tuple[ProtectionApi, Seen]:
    seen = Seen()
    return make_api(f"preset: {preset}", standing=standing, observer=seen, **more), seen


def ask(api: ProtectionApi, fields: dict[str, Any]) -> Answer:
    answer = api.respond(Call(orjson.dumps(fields), JSON))
    assert isinstance(answer, Answer)
    return answer


def judged(preset: str, fields: dict[str, Any], standing: str = "fake") -> Judged:
    """By a new engine, whose verifier finds every claim to be so."""
    api, seen = api_of(preset, standing)
    headers = dict(ask(api, fields).headers)
    (decided,) = seen.decided
    assert headers["X-DataDome-ruletype"] == decided.verdict.rule
    told = [headers[f"X-DataDome-{word}"] for word in ("botname", "botfamily", "isbot")]
    return Judged(decided.verdict.action, decided.verdict.rule, *told)


def program(user_agent: str, **fields: Any) -> dict[str, Any]:
    return described(UserAgent=user_agent, Accept="*/*", **fields)


PERSON = Judged("allow", "default", "human", "human", "0")


# -- people


@pytest.mark.parametrize("preset", ["permissive", "moderate"])
@pytest.mark.parametrize("name", PEOPLE)
def test_request_of_a_person_is_allowed(preset: str, name: str) -> None:
    assert judged(preset, PEOPLE[name]) == PERSON


@pytest.mark.parametrize("preset", ["permissive", "moderate"])
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_request_of_a_browser_is_allowed(preset: str, name: str) -> None:
    assert judged(preset, {"Key": "k", "IP": "192.0.2.7", **RECORDED[name]}) == PERSON


@pytest.mark.parametrize("preset", ["permissive", "moderate"])
@pytest.mark.parametrize("user_agent", USER_AGENTS)
def test_user_agent_of_a_person_is_allowed_from_any_module(preset: str, user_agent: str) -> None:
    usual = {"Accept": "*/*", "AcceptEncoding": "gzip, deflate", "AcceptLanguage": "en"}

    assert judged(preset, {"Key": "k", "UserAgent": user_agent}) == PERSON
    assert judged(preset, program(user_agent, HeadersList="")) == PERSON
    assert judged(preset, described(UserAgent=user_agent, Protocol="http", **usual)) == PERSON


@pytest.mark.parametrize("preset", ["permissive", "moderate"])
def test_application_with_a_browsers_name_is_challenged_in_json(preset: str) -> None:
    api, seen = api_of(preset)

    answer = ask(api, BROWSER_REQUESTS[BORROWED_NAME])

    assert seen.decided[0].verdict.rule == "suspicious-browser"
    assert orjson.loads(answer.body)["challenge"]["algorithm"] == "sha256"


# -- programs


def blocked(name: str, rule: str = "automation", family: str = "bad_bot") -> Judged:
    return Judged("block", rule, name, family, "1")


FULL = {"UserAgent": CHROME, "Accept": "*/*", "AcceptEncoding": "gzip"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (program("curl/8.9.1"), blocked("curl")),
        (program("python-requests/2.32.3"), blocked("python-requests")),
        (described(UserAgent="sqlmap/1.8#stable (https://sqlmap.org)"), blocked("sqlmap")),
        (described(UserAgent=AHREFS), blocked("Crawler fake Ahrefs", "fake-crawler")),
        (described(UserAgent=GOOGLEBOT), blocked("Crawler fake Google", "fake-crawler")),
        (described(UserAgent=BINGBOT, IP="::1"), blocked("Crawler fake Bing", "fake-crawler")),
        (described(**FULL, SecCHUA='"HeadlessChrome";v="126"'), blocked("HeadlessChrome")),
        (described(), blocked("Absurd request: no user agent", "absurd-request")),
        (described(**FULL, Method="TRACE"), blocked("Absurd request: forbidden method", "absurd-request")),
        (described(UserAgent=CHROME), blocked("Absurd request: browser without Accept headers", "absurd-request")),
        (described(**FULL, Request="/a/../../x"), blocked("Absurd request: path traversal", "absurd-request")),
    ],
)
def test_automation_and_absurd_request_is_blocked_under_moderate(fields: dict[str, Any], expected: Judged) -> None:
    assert judged("moderate", fields) == expected


@pytest.mark.parametrize("preset", ["permissive", "moderate", "aggressive"])
@pytest.mark.parametrize("user_agent", ["sqlmap/1.8#stable (https://sqlmap.org)", "Nikto/2.5.0", ""])
def test_attack_is_blocked_under_every_preset(preset: str, user_agent: str) -> None:
    assert judged(preset, program(user_agent)).action == "block"


HELPERS = ("feed_reader", "package_manager", "monitoring", "social_preview", "webhook")


@pytest.mark.parametrize(
    ("user_agent", "operator"), [(agent, operator) for kind, operator, agent in PROGRAMS if kind in HELPERS]
)
def test_helpful_program_passes_under_moderate_and_is_told_to_be_a_bot(user_agent: str, operator: str) -> None:
    fields = described(UserAgent=user_agent)
    standing = "verified" if operator != "-" else "fake"  # of whom names nobody, nobody is asked

    for preset in ("permissive", "moderate"):
        got = judged(preset, fields, standing)
        assert (got.action, got.is_bot) == ("allow", "1"), preset
        assert got.rule == {"permissive": "declared-bot-allowed", "moderate": "helper"}[preset]


@pytest.mark.parametrize(
    "user_agent", [agent for kind, _, agent in PROGRAMS if kind in ("library", "scanner", "headless", "seo")]
)
def test_script_and_scraper_is_stopped_under_moderate_and_aggressive(user_agent: str) -> None:
    for preset in ("moderate", "aggressive"):
        for standing in ("verified", "unknown", "fake"):
            assert judged(preset, program(user_agent), standing).action == "block", preset


@pytest.mark.parametrize(
    ("preset", "user_agent", "standing", "expected"),
    [
        ("moderate", GOOGLEBOT, "verified", Judged("allow", "search-engine", "Googlebot", "good_bot", "1")),
        ("moderate", GOOGLEBOT, "unknown", blocked("Googlebot", "unconfirmed-crawler", "commercial_bot")),
        ("moderate", GOOGLEBOT, "fake", blocked("Crawler fake Google", "fake-crawler")),
        ("moderate", CHATGPT_USER, "verified", Judged("allow", "ai-assistant", "ChatGPT-User", "good_bot", "1")),
        ("moderate", CHATGPT_USER, "fake", blocked("Crawler fake OpenAI", "fake-crawler")),
        ("moderate", GPTBOT, "verified", blocked("GPTBot", family="good_bot")),
        ("moderate", AHREFS, "verified", blocked("AhrefsBot", family="good_bot")),
        (
            "permissive",
            GOOGLEBOT,
            "unknown",
            Judged("allow", "declared-bot-allowed", "Googlebot", "commercial_bot", "1"),
        ),
        ("permissive", GPTBOT, "verified", Judged("allow", "declared-bot-allowed", "GPTBot", "good_bot", "1")),
        ("permissive", GPTBOT, "fake", blocked("Crawler fake OpenAI", "fake-crawler")),
        ("aggressive", GOOGLEBOT, "verified", Judged("allow", "search-engine", "Googlebot", "good_bot", "1")),
        ("aggressive", GOOGLEBOT, "unknown", blocked("Googlebot", "unconfirmed-crawler", "commercial_bot")),
        ("aggressive", GOOGLEBOT, "fake", blocked("Crawler fake Google", "fake-crawler")),
        ("aggressive", CHATGPT_USER, "verified", blocked("ChatGPT-User", family="good_bot")),
        ("aggressive", "curl/8.9.1", "fake", blocked("curl")),
        ("permissive", "curl/8.9.1", "fake", Judged("allow", "declared-bot-allowed", "curl", "bad_bot", "1")),
    ],
)
def test_crawler_is_judged_by_its_standing(preset: str, user_agent: str, standing: str, expected: Judged) -> None:
    assert judged(preset, program(user_agent), standing) == expected


# -- files that are there for programs

LETS_ENCRYPT = "Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)"
ACME_FILE = "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
EVERY_PRESET = pytest.mark.parametrize("preset", ["permissive", "moderate", "aggressive"])


@EVERY_PRESET
@pytest.mark.parametrize("user_agent", [LETS_ENCRYPT, GOOGLEBOT, GPTBOT, "sqlmap/1.8", "curl/8.9.1", CHROME])
@pytest.mark.parametrize(("path", "rule"), [(ACME_FILE, "acme-challenge"), ("/robots.txt?x=1", "robots-txt")])
def test_public_file_is_for_everybody(preset: str, user_agent: str, path: str, rule: str) -> None:
    for method in ("GET", "HEAD"):
        got = judged(preset, program(user_agent, Request=path, Method=method))
        assert (got.action, got.rule) == ("allow", rule)


@EVERY_PRESET
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", ACME_FILE),
        ("POST", "/robots.txt"),
        ("GET", "/.well-known/acme-challenge/"),
        ("GET", "/.well-known/acme-challenge/../../admin"),
        ("GET", "/.well-known/acme-challenge/%2e%2e%2fadmin"),
        ("GET", "/.well-known/acme-challenge/x/../../../admin"),
        ("GET", "/.well-known/acme-challenge/x%0a"),
        ("GET", "/a/.well-known/acme-challenge/x"),
        ("GET", "//robots.txt"),
        ("GET", "/x/../robots.txt"),
        ("GET", "/robots.txt;x"),
        ("GET", "/robots%2etxt"),
        ("GET", "/robots.txt/admin"),
    ],
)
def test_what_only_looks_like_a_public_file_is_judged_as_everything_else(
    preset: str, method: str, target: str
) -> None:
    assert judged(preset, program("sqlmap/1.8", Request=target, Method=method)).action == "block"


@EVERY_PRESET
def test_absurd_request_of_a_public_file_is_blocked(preset: str) -> None:
    assert judged(preset, described(Request="/robots.txt")).rule == "absurd-request"


@EVERY_PRESET
def test_public_files_are_counted_together_by_address(preset: str) -> None:
    api, seen = api_of(preset, clock=lambda: 1_750_000_000.0)
    validation, robots = (program(LETS_ENCRYPT, Request=target) for target in (ACME_FILE, "/robots.txt"))

    assert set(flood(api, validation, 200) + flood(api, robots, 100)) == {200}
    assert flood(api, validation, 1) + flood(api, robots, 1) == [429, 429]
    assert seen.decided[-1].verdict.rule == "public-file-rate"
    assert ask(api, {**robots, "IP": "198.51.100.7"}).status == 200


# -- challenges and rates


def proof(answer: Answer) -> str:
    """What the page's script would put into the cookie, from the answer to a program."""
    told = orjson.loads(answer.body)["challenge"]
    return solve(told["token"], told["difficulty"])


def cookie(answer: Answer) -> str:
    value = dict(answer.headers)["Set-Cookie"]
    return value.removeprefix("datadome=").partition(";")[0]


def as_program(fields: dict[str, Any]) -> dict[str, Any]:
    """The same request, of a script on the page that wants JSON."""
    return {**fields, "Accept": "application/json"}


@pytest.mark.parametrize("name", PEOPLE)
def test_every_browser_is_challenged_under_aggressive(name: str) -> None:
    assert judged("aggressive", PEOPLE[name]) == Judged("challenge", "every-browser", "human", "human", "0")


def test_session_that_solved_the_challenge_passes_under_aggressive() -> None:
    api, seen = api_of("aggressive")
    fields = as_program(PEOPLE["chrome navigates"])

    solved = ask(api, {**fields, "ClientID": proof(ask(api, fields))})
    after = ask(api, {**fields, "ClientID": cookie(solved)})

    assert [decided.verdict.action for decided in seen.decided] == ["challenge", "allow", "allow"]
    assert (solved.status, after.status) == (200, 200)


def test_suspicious_browser_has_no_way_by_waiting_under_aggressive() -> None:
    suspicious = described(**{**BROWSER_REQUESTS["chrome navigates"], "SecCHUAPlatform": '"Linux"'})

    for preset, waits in (("aggressive", False), ("moderate", True)):
        api, seen = api_of(preset)
        page = ask(api, suspicious).body.decode()
        assert seen.decided[0].verdict.rule == "suspicious-browser"
        assert ("__step=" in page) is waits


@pytest.mark.parametrize(
    ("preset", "score", "expected"),
    [
        ("permissive", 69, "allow default"),
        ("permissive", 70, "challenge suspicious-browser"),
        ("moderate", 29, "allow default"),
        ("moderate", 30, "challenge suspicious-browser"),
        ("moderate", 100, "challenge suspicious-browser"),
        ("aggressive", 29, "challenge every-browser"),
        ("aggressive", 30, "challenge suspicious-browser"),
        ("aggressive", 69, "challenge suspicious-browser"),
        ("aggressive", 70, "block contradictory-browser"),
    ],
)
def test_score_decides_from_its_threshold_on(preset: str, score: int, expected: str) -> None:
    api, seen = api_of(f"{preset}\nrules: [{{name: tag, action: tag, add_score: {score}}}]")

    ask(api, PEOPLE["chrome navigates"])

    verdict = seen.decided[0].verdict
    assert f"{verdict.action} {verdict.rule}" == expected


def flood(api: ProtectionApi, fields: dict[str, Any], count: int) -> list[int]:
    return [ask(api, fields).status for _ in range(count)]


def test_person_over_the_rate_is_challenged_then_told_to_wait_under_moderate() -> None:
    now_s = [1_750_000_000.0]
    api, seen = api_of("moderate", clock=lambda: now_s[0])
    fields = as_program(PEOPLE["firefox deletes by xhr"])

    assert set(flood(api, fields, 300)) == {200}
    over = ask(api, fields)
    assert (seen.decided[-1].verdict.action, seen.decided[-1].verdict.rule) == ("challenge", "request-rate")

    proved = {**fields, "ClientID": cookie(ask(api, {**fields, "ClientID": proof(over)}))}
    assert flood(api, proved, 300) == [200] * 299 + [429]  # the proof's own request was the first of the session
    headers = dict(ask(api, proved).headers)
    assert headers["Retry-After"] == "1"
    assert headers["X-DataDome-Traffic-Rule-Response"] == "block"

    now_s[0] += 1.0
    assert ask(api, proved).status == 200
    assert ask(api, {**fields, "IP": "198.51.100.7"}).status == 200  # others are not counted with him


@pytest.mark.parametrize(
    ("preset", "user_agent", "burst", "rule"),
    [
        ("moderate", "FreshRSS/1.24.3 (Linux; https://freshrss.org)", 120, "helper-rate"),
        ("permissive", "curl/8.9.1", 1200, "declared-bot"),
    ],
)
def test_program_over_its_rate_is_told_to_wait(preset: str, user_agent: str, burst: int, rule: str) -> None:
    api, seen = api_of(preset, clock=lambda: 1_750_000_000.0)

    assert set(flood(api, program(user_agent), burst)) == {200}
    assert flood(api, program(user_agent), 1) == [429]
    assert seen.decided[-1].verdict.rule == rule


def test_person_over_the_rate_is_told_to_wait_under_permissive() -> None:
    api, seen = api_of("permissive", clock=lambda: 1_750_000_000.0)

    assert flood(api, PEOPLE["chrome navigates"], 601) == [200] * 600 + [429]
    assert seen.decided[-1].verdict.rule == "request-rate"


def test_proved_session_over_the_rate_is_told_to_wait_under_aggressive() -> None:
    api, _ = api_of("aggressive", clock=lambda: 1_750_000_000.0)
    fields = as_program(PEOPLE["chrome navigates"])
    proved = {**fields, "ClientID": cookie(ask(api, {**fields, "ClientID": proof(ask(api, fields))}))}

    assert flood(api, proved, 120) == [200] * 119 + [429]


# -- whatever is described

VALUES = st.text(max_size=60) | st.sampled_from(
    (CHROME, CHROME_ANDROID, GOOGLEBOT, "curl/8.9.1", "https", "GET", "::1")
)
DESCRIBED = st.dictionaries(st.sampled_from(TEXTS), VALUES, max_size=12)
COUNTED = st.dictionaries(st.sampled_from(tuple(INTEGERS)), st.integers(0, 65_535), max_size=3)


@pytest.mark.parametrize("preset", ["permissive", "moderate", "aggressive"])
@given(texts=DESCRIBED, numbers=COUNTED, standing=st.sampled_from(("verified", "fake", "unknown")))
def test_any_fields_get_an_answer_of_the_contract(
    preset: str, texts: dict[str, str], numbers: dict[str, int], standing: str
) -> None:
    try:
        body = orjson.dumps({**texts, **numbers, "Key": "k"})
    except orjson.JSONEncodeError:  # half a surrogate pair is no JSON
        return
    api, _ = api_of(preset, standing)

    answer = api.respond(Call(body, JSON))

    assert isinstance(answer, Answer) and answer.status in (200, 403, 429)
    assert dict(answer.headers)["X-DataDomeResponse"] == str(answer.status)
    assert all((name + value).isascii() and (name + value).isprintable() for name, value in answer.headers)


@given(st.binary(max_size=300))
def test_any_form_gets_an_answer(raw: bytes) -> None:
    api, _ = api_of("aggressive")

    answer = api.respond(Call(b"Key=k&" + raw, FORM))

    assert isinstance(answer, Answer) and answer.status in (200, 400, 403)
