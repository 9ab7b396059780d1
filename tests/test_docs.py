"""The guides say what the engine does: their tables, policies, figures and the client's program are held against it.

A table that is out of date makes its test print the one that belongs between the two comments.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from engine.browser_requests import BROWSER_REQUESTS, CHROME, FIREFOX, described
from engine.engines import Seen, catalogue, make_api
from test_readme import between, markdown_table, section

from gateway import replay
from gateway.cli import app, engine_app
from gateway.config import load_config
from gateway.config.fields import FIELDS
from gateway.config.loading import parse_text
from gateway.config.schema import _default
from gateway.config.section import Section
from gateway.engine.answer import Answer
from gateway.engine.api import Call, ProtectionApi
from gateway.engine.bots.catalogue import BOT_CLASSES as FOUND_CLASSES
from gateway.engine.bots.operator import OPERATORS, Operator
from gateway.engine.bots.ranges import snapshot_dates
from gateway.engine.browser import CERTAIN, FINDINGS, SUSPICIOUS
from gateway.engine.challenge.language import TEXTS
from gateway.engine.override import MAX_OVERRIDES
from gateway.engine.policy.loading import PRESETS as PRESET_FILES
from gateway.engine.policy.loading import load_policy
from gateway.engine.policy.model import (
    BOT_CLASSES,
    PRESETS,
    AddressSet,
    Limit,
    Match,
    PolicyFile,
    Redirect,
    Rule,
    SitePolicy,
)
from gateway.engine.wire import JSON
from gateway.metrics import CHALLENGE_RESULTS

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "protect-my-site.md").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "policy.md").read_text("utf-8")
DOCUMENTS = {"docs/protect-my-site.md": GUIDE, "docs/policy.md": REFERENCE}

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
CHATGPT_USER = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0"
GPTBOT = "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"
FEEDLY = "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 3 subscribers)"
LETS_ENCRYPT = "Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)"
ACME_FILE = "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
AHREFS = "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def yaml_blocks(first_line: str) -> list[Any]:
    """The examples of all guides that begin with `# policy.yaml` or `# gateway.yaml`."""
    return [
        pytest.param(block, id=f"{Path(name).stem}-{number}")
        for name, text in DOCUMENTS.items()
        for number, block in enumerate(blocks(text, "yaml"))
        if block.startswith(first_line)
    ]


# -- tables


def key_rows(section: type[Section]) -> Iterator[tuple[str, ...]]:
    for name, field in section.model_fields.items():
        default = _default(field)
        yield f"`{name}`", default if default == "required" else f"`{default}`", field.description or ""


def finding_rows() -> Iterator[tuple[str, ...]]:
    for name, finding in FINDINGS.items():
        yield f"`{name}`", str(finding.weight), finding.why, finding.source


def field_rows() -> Iterator[tuple[str, ...]]:
    for row in FIELDS:
        if row.field != "Key":
            yield f"`{row.field}`", row.source


def operator_rows() -> Iterator[tuple[str, ...]]:
    for name, operator in OPERATORS.items():
        hosts = " ".join(f"`{host}`" for host in operator.hosts)
        yield name, ", ".join(operator.classes), _addresses(operator), hosts or "-"


def _addresses(operator: Operator) -> str:
    dates = snapshot_dates()
    known = sorted({dates[each.name] for each in operator.lists if each.name in dates})
    if not operator.lists:
        return "-"
    listed = f"of {', '.join(known)}" if known else "none shipped"
    return listed if any(each.refresh for each in operator.lists) else f"{listed}, not refreshed"


class Visitor(NamedTuple):
    """Who asks. `standing`: what is found out about the claim."""

    who: str
    fields: dict[str, Any]
    standing: str = "fake"
    is_signed: bool = False


VISITORS = (
    Visitor("a person's browser", BROWSER_REQUESTS["chrome navigates"]),
    Visitor("an application, `ShopApp/2.1`", described(UserAgent="ShopApp/2.1", Accept="application/json")),
    Visitor("Googlebot, from Google's addresses", described(UserAgent=GOOGLEBOT), "verified"),
    Visitor("Googlebot, from elsewhere", described(UserAgent=GOOGLEBOT), "fake"),
    Visitor("Googlebot, while nobody can be asked", described(UserAgent=GOOGLEBOT), "unknown"),
    Visitor("ChatGPT-User, from OpenAI's addresses", described(UserAgent=CHATGPT_USER), "verified"),
    Visitor("GPTBot, from OpenAI's addresses", described(UserAgent=GPTBOT), "verified"),
    Visitor("AhrefsBot, from Ahrefs' addresses", described(UserAgent=AHREFS), "verified"),
    Visitor("Feedly, a feed reader", described(UserAgent=FEEDLY)),
    Visitor("kube-probe, a monitor", described(UserAgent="kube-probe/1.30")),
    Visitor("git, a package manager", described(UserAgent="git/2.43.0")),
    Visitor("Slack's link preview", described(UserAgent="Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)")),
    Visitor("Stripe's webhook", described(UserAgent="Stripe/1.0 (+https://stripe.com/docs/webhooks)", Method="POST")),
    Visitor("curl, a script", described(UserAgent="curl/8.9.1", Accept="*/*")),
    Visitor("headless Chromium", described(UserAgent=CHROME.replace("Chrome/", "HeadlessChrome/"), Accept="*/*")),
    Visitor("a script that says it is Chrome", described(UserAgent=CHROME, Accept="*/*")),
    Visitor("sqlmap, a scanner", described(UserAgent="sqlmap/1.8#stable (https://sqlmap.org)")),
    Visitor("no user agent", described(Accept="*/*")),
    Visitor("Let's Encrypt, of its file", described(UserAgent=LETS_ENCRYPT, Accept="*/*", Request=ACME_FILE)),
    Visitor("Let's Encrypt's name, of a page", described(UserAgent=LETS_ENCRYPT, Accept="*/*")),
    Visitor("anybody with a user agent, of `/robots.txt`", described(UserAgent=GOOGLEBOT, Request="/robots.txt")),
)


def ask(api: ProtectionApi, fields: dict[str, Any]) -> Answer:
    answer = api.respond(Call(orjson.dumps(fields), JSON))
    assert isinstance(answer, Answer)
    return answer


def judged(policy: str, fields: dict[str, Any], standing: str = "fake", times: int = 1) -> tuple[str, str]:
    """(action, rule) of the last of some requests at one moment."""
    seen = Seen()
    api = make_api(policy, standing=standing, observer=seen, clock=lambda: 1_750_000_000.0)
    for _ in range(times):
        ask(api, fields)
    verdict = seen.decided[-1].verdict
    return verdict.action, verdict.rule


def visitor_rows() -> Iterator[tuple[str, ...]]:
    for visitor in VISITORS:
        verdicts = (judged(f"preset: {preset}", visitor.fields, visitor.standing) for preset in PRESETS)
        yield visitor.who, *(f"{action}: `{rule}`" for action, rule in verdicts)


# A row of the README's table of presets -> visitors of that kind.
KINDS = {
    "a person's browser": ("a person's browser",),
    "a browser that contradicts itself": ("a script that says it is Chrome",),
    "search engines, confirmed": ("Googlebot, from Google's addresses",),
    "AI assistants, confirmed": ("ChatGPT-User, from OpenAI's addresses",),
    "feed readers, monitors, package managers, link previews, webhooks": (
        "Feedly, a feed reader", "kube-probe, a monitor", "git, a package manager", "Slack's link preview",
        "Stripe's webhook",
    ),
    "AI and SEO crawlers, scripts, headless browsers": (
        "GPTBot, from OpenAI's addresses", "AhrefsBot, from Ahrefs' addresses", "curl, a script", "headless Chromium",
    ),
    "false crawlers, scanners, absurd requests": (
        "Googlebot, from elsewhere", "sqlmap, a scanner", "no user agent",
    ),
}  # fmt: skip


def test_readme_says_what_the_presets_do_with_whom() -> None:
    actions = {row[0]: [cell.partition(":")[0] for cell in row[1:]] for row in visitor_rows()}
    row = r"^\| ([^|]+) \| (\w+)[^|]* \| (\w+)[^|]* \| (\w+)[^|]* \|$"
    rows = re.findall(row, section("The embedded engine"), re.MULTILINE)
    assert {kind for kind, *_ in rows} == set(KINDS)
    for kind, *said in rows:
        for visitor in KINDS[kind]:
            assert actions[visitor] == said, visitor


TABLES: dict[str, Callable[[], str]] = {
    **{
        name: lambda section=section: markdown_table(("key", "default", "meaning"), key_rows(section))
        for name, section in {
            "policy": PolicyFile, "site": SitePolicy, "rule": Rule, "match": Match, "limit": Limit,
            "redirect": Redirect, "set": AddressSet,
        }.items()
    },
    "findings": lambda: markdown_table(("finding", "weight", "why", "source"), finding_rows()),
    "fields": lambda: markdown_table(("field", "from"), field_rows()),
    "operators": lambda: markdown_table(("operator", "classes", "addresses", "host names"), operator_rows()),
    "visitors": lambda: markdown_table(("visitor", *PRESETS), visitor_rows()),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_reference_table_is_what_the_code_says(name: str) -> None:
    expected = TABLES[name]()
    if between(REFERENCE, name) != expected:  # `assert a == b` would show a difference, not the table to paste
        pytest.fail(f"what belongs between <!-- {name} --> and <!-- /{name} -->:\n\n{expected}\n", pytrace=False)


@pytest.mark.parametrize("preset", PRESETS)
def test_reference_shows_the_preset_as_it_is(preset: str) -> None:
    shipped = (PRESET_FILES / f"{preset}.yaml").read_text("utf-8")
    assert between(REFERENCE, f"preset {preset}") == f"```yaml\n{shipped}```"


def test_reference_names_every_class_of_bots_with_programs_that_are_of_it() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|$", between(REFERENCE, "classes"), re.MULTILINE)
    assert tuple(name for name, _ in rows) == BOT_CLASSES
    assert set(BOT_CLASSES) == FOUND_CLASSES - {"unknown"}
    for name, programs in rows:
        for user_agent in re.findall(r"`([^`]+)`", programs):
            found = catalogue().find(user_agent)
            assert found is not None and found.bot_class == name, user_agent


def test_reference_names_the_bounds_of_the_score() -> None:
    assert f"from {SUSPICIOUS} on" in REFERENCE and f"from {CERTAIN} on" in REFERENCE


def test_reference_names_every_result_of_a_challenge() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", between(REFERENCE, "results"), re.MULTILINE)) == set(CHALLENGE_RESULTS)


def test_reference_names_every_language_of_the_pages() -> None:
    named = re.search(r"in (\w+) languages \(([a-z, \n]+)\)", REFERENCE)
    assert named is not None and set(re.findall("[a-z]+", named[2])) == set(TEXTS)
    assert named[1] == {12: "twelve"}[len(TEXTS)]


def test_reference_counts_the_overrides_rightly() -> None:
    assert f"{MAX_OVERRIDES:,}" in REFERENCE


# -- examples


@pytest.mark.parametrize("text", yaml_blocks("# policy.yaml"))
def test_policy_example_is_valid(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_API_KEY", "k-1")
    (tmp_path / "office.txt").write_text("203.0.113.0/24  # the office\n")
    (tmp_path / "policy.yaml").write_text(text)
    load_policy("policy.yaml")


@pytest.mark.parametrize("text", yaml_blocks("# gateway.yaml"))
def test_configuration_example_is_valid(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text("preset: moderate\n")
    for file in ("engine.pem", "engine.key"):
        (tmp_path / file).touch()
    for name in ("SESSION_SECRET", "FORMER_SESSION_SECRET", "ENGINE_KEY"):
        monkeypatch.setenv(name, "of the tests")
    parse_text(text, "gateway.yaml")


def test_every_yaml_block_of_the_guides_is_tested() -> None:
    for text in DOCUMENTS.values():
        for block in blocks(text, "yaml"):
            shipped = any(block == (PRESET_FILES / f"{preset}.yaml").read_text("utf-8") for preset in PRESETS)
            assert shipped or block.startswith(("# policy.yaml", "# gateway.yaml")), block[:60]


def test_example_policy_of_the_repository_is_valid() -> None:
    loaded = load_policy(ROOT / "config" / "policy.yaml")
    assert [rule.rule.name for rule in loaded.policy.rules][: -len(moderate_rules())]


def moderate_rules() -> list[str]:
    return [rule.rule.name for rule in load_policy(None).policy.rules]


def test_example_configurations_of_the_repository_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PROTECTION_API_KEY", "a-key")
    for path in sorted((ROOT / "config").glob("*.yaml")):
        if path.name != "policy.yaml":
            load_config(path)


# -- recipes: what each one says, judged

PERSON = BROWSER_REQUESTS["chrome navigates"]
OFFICE, PARTNER, ELSEWHERE = "203.0.113.9", "192.0.2.10", "198.51.100.20"
SCRIPT = "python-requests/2.32.3"


def person(**fields: Any) -> dict[str, Any]:
    return {**PERSON, **fields}


def script(**fields: Any) -> dict[str, Any]:
    return described(**{"UserAgent": SCRIPT, "Accept": "*/*", **fields})


def borrowed(**fields: Any) -> dict[str, Any]:
    return {**BROWSER_REQUESTS["android application with a browser's name calls an api"], **fields}


class Case(NamedTuple):
    fields: dict[str, Any]
    expected: tuple[str, str]
    times: int = 1
    standing: str = "fake"


ENCODING = {"Accept": "*/*", "AcceptEncoding": "gzip, deflate"}
LOGIN = person(Method="POST", Request="/login")
RECIPES: dict[str, tuple[Case, ...]] = {
    "Limit attempts to log in": (
        Case(LOGIN, ("allow", "default"), 10),
        Case(LOGIN, ("limit", "login-rate"), 11),
        Case(person(Method="POST", Request="/%6cogin"), ("limit", "login-rate"), 11),
        Case(person(Request="/login"), ("allow", "default"), 11),
    ),
    "Webhooks": (
        Case(script(IP=PARTNER, Method="POST", Request="/hooks/payment"), ("allow", "payment-webhook")),
        Case(script(IP=ELSEWHERE, Method="POST", Request="/hooks/payment"), ("block", "automation")),
        Case(script(IP=PARTNER, Method="POST", Request="/hooks/payment/../../admin"), ("block", "absurd-request")),
        Case(script(IP=PARTNER, Method="POST", Request="//hooks/payment"), ("block", "automation")),
    ),
    "Your own monitoring and office": (
        Case(script(IP=OFFICE), ("allow", "our-own")),
        Case(script(IP="10.1.2.3"), ("allow", "our-own")),
        Case(script(IP=ELSEWHERE), ("block", "automation")),
    ),
    "API clients by their key": (
        Case(script(Request="/api/stock", customFieldString1="k-1"), ("allow", "api-key")),
        Case(script(Request="/api/stock", customFieldString1="k-1"), ("limit", "api-rate"), 61),
        Case(script(Request="/api/stock", customFieldString1="k-2"), ("block", "automation")),
        Case(script(Request="/api/../x", customFieldString1="k-1"), ("block", "absurd-request")),
        Case(script(Request="/cart", customFieldString1="k-1"), ("block", "automation")),
    ),
    "An application that says it is a browser": (
        Case(borrowed(Request="/api/stock", customFieldString1="2.7"), ("allow", "app")),
        Case(borrowed(Request="/api/stock", customFieldString1="2.7"), ("limit", "app-rate"), 121),
        Case(borrowed(Request="/api/stock", customFieldString1="1.0"), ("challenge", "suspicious-browser")),
        Case(borrowed(Request="/cart", customFieldString1="2.7"), ("challenge", "suspicious-browser")),
        Case(script(Request="/api/stock", customFieldString1="2.7"), ("block", "automation")),
        Case(described(UserAgent="okhttp/4.12.0", AcceptEncoding="gzip", Request="/api/stock"), ("allow", "default")),
    ),
    "A feed for everybody": (
        Case(script(Request="/feed.xml"), ("allow", "feed")),
        Case(script(Request="/feed.xml"), ("limit", "feed-rate"), 31),
        Case(script(Request="/"), ("block", "automation")),
    ),
    "Let one AI crawler in": (
        Case(described(UserAgent=GPTBOT), ("allow", "gptbot"), standing="verified"),
        Case(described(UserAgent=GPTBOT), ("block", "fake-crawler"), standing="fake"),
        Case(described(UserAgent="Bytespider"), ("block", "automation")),
    ),
    "Block AI crawlers, and let other programs be": (
        Case(described(UserAgent=GPTBOT), ("block", "no-ai-crawlers"), standing="verified"),
        Case(described(UserAgent="Bytespider"), ("block", "no-ai-crawlers")),
        Case(described(UserAgent=GOOGLEBOT), ("allow", "declared-bot-allowed"), standing="verified"),
        Case(script(), ("allow", "declared-bot-allowed")),
    ),
    "Slow down who copies the catalogue": (
        Case(person(Request="/products/1"), ("allow", "default"), 60),
        Case(person(Request="/products/1"), ("challenge", "catalogue-rate"), 61),
        Case(person(Request="/cart"), ("allow", "default"), 61),
    ),
    "A challenge for everybody at one place": (
        Case(person(Request="/tickets/buy"), ("challenge", "tickets")),
        Case(person(Request="/"), ("allow", "default")),
    ),
    "Paths that only scanners ask for": (
        Case(person(Request="/wp-login.php"), ("block", "probe")),
        Case(person(Request="/.env"), ("block", "probe")),
        Case(person(Request="/%2eenv"), ("block", "probe")),
        Case(person(Request="/environment"), ("allow", "default")),
    ),
    "A trap": (
        Case(person(Request="/do-not-follow/1"), ("block", "trap")),
        Case(person(Request="/"), ("allow", "default")),
    ),
    "An old host": (
        Case(person(Host="old.example"), ("redirect", "old-host")),
        Case(person(Host="old.example", Request=ACME_FILE), ("allow", "acme-challenge")),
        Case(person(), ("allow", "default")),
    ),
    "Maintenance": (
        Case(person(), ("redirect", "maintenance")),
        Case(script(Request=ACME_FILE), ("allow", "acme-challenge")),
        Case(person(Request="/maintenance.html"), ("allow", "default")),
        Case(person(IP=OFFICE), ("allow", "default")),
    ),
    "Under attack": (
        Case(person(), ("challenge", "every-browser")),
        Case(described(UserAgent=FEEDLY), ("block", "automation")),
        Case(script(IP=PARTNER, Method="POST", Request="/hooks/payment"), ("allow", "payment-webhook")),
    ),
    "One site under attack, another of machines": (
        Case(person(Host="shop.example"), ("challenge", "every-browser")),
        Case(person(Host="shop.example", IP=OFFICE), ("allow", "office")),
        Case(script(Host="v1.api.example"), ("allow", "default")),
        Case(script(Host="api.example"), ("limit", "api-rate"), 700),
        Case(script(Host="else.example"), ("block", "automation")),
    ),
    "Stricter, or more lenient, with doubtful browsers": (
        Case(described(UserAgent=CHROME, Accept="*/*"), ("block", "certain-contradiction")),
        Case(described(UserAgent=FIREFOX, **ENCODING), ("challenge", "suspicious-browser")),  # a score of 55
        Case(described(UserAgent=FIREFOX, **ENCODING, AcceptLanguage="en"), ("allow", "default")),  # of 40
        Case(person(), ("allow", "default")),
    ),
    "Try a rule first": (
        Case(person(Request="/search"), ("allow", "default"), 100),
    ),
}  # fmt: skip


def recipes() -> dict[str, str]:
    """Heading -> its policy."""
    section = re.search(r"^## Recipes\n(.*?)(?=^## |\Z)", REFERENCE, re.DOTALL | re.MULTILINE)
    assert section is not None
    parts = re.split(r"^### (.+)\n", section[1], flags=re.MULTILINE)[1:]
    found = {}
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        (found[heading],) = (block for block in blocks(text, "yaml") if block.startswith("# policy.yaml"))
    return found


def test_every_recipe_is_judged() -> None:
    assert set(recipes()) == set(RECIPES)


@pytest.mark.parametrize(
    ("heading", "case"),
    [pytest.param(heading, case, id=f"{heading}-{n}") for heading, cases in RECIPES.items()
     for n, case in enumerate(cases)],
)  # fmt: skip
def test_recipe_does_what_it_says(
    heading: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_API_KEY", "k-1")
    (tmp_path / "office.txt").write_text("203.0.113.0/24\n")
    assert judged(recipes()[heading], case.fields, case.standing, case.times) == case.expected


def test_rule_on_trial_is_counted_and_stops_nobody() -> None:
    seen = Seen()
    api = make_api(recipes()["Try a rule first"], observer=seen, clock=lambda: 1_750_000_000.0)
    for _ in range(31):
        ask(api, person(Request="/search"))
    assert seen.decided[-1].verdict.dry == (("search-rate", "limit"),)


LOG = f"""\
198.51.100.7 - - [20/Nov/2026:10:00:01 +0000] "GET / HTTP/1.1" 200 5120 "-" "{CHROME}"
66.249.66.1 - - [20/Nov/2026:10:00:02 +0000] "GET /shoes HTTP/1.1" 200 9120 "-" "{GOOGLEBOT}"
198.51.100.66 - - [20/Nov/2026:10:00:03 +0000] "GET /prices HTTP/1.1" 200 900 "-" "{GOOGLEBOT}"
192.0.2.10 - - [20/Nov/2026:10:00:04 +0000] "POST /hooks/payment HTTP/1.1" 204 0 "-" "Go-http-client/2.0"
192.0.2.10 - - [20/Nov/2026:10:00:05 +0000] "POST /hooks/payment HTTP/1.1" 204 0 "-" "Go-http-client/2.0"
198.51.100.9 - - [20/Nov/2026:10:00:06 +0000] "GET /feed HTTP/1.1" 200 9000 "-" "{FEEDLY}"
198.51.100.20 - - [20/Nov/2026:10:00:07 +0000] "GET /api/stock HTTP/1.1" 200 300 "-" "python-requests/2.32.3"
"""


def test_guide_shows_what_a_replayed_log_comes_to(tmp_path: Path) -> None:
    log, policy = tmp_path / "access.log", tmp_path / "policy.yaml"
    log.write_text(LOG)
    policy.write_text(next(block for block in blocks(GUIDE, "yaml") if "payment-webhook" in block))

    found = replay.explain(replay.read_policy("moderate"), str(log), replay.read_policy(str(policy)))

    assert isinstance(found, replay.Replay) and found.changes is not None
    shown = re.findall(r"^(\S+) +(allow|block) +(\d+) +[0-9.]+ %", GUIDE, re.MULTILINE)
    assert shown == [(row.decision.rule, row.decision.action, str(row.requests)) for row in found.rows]
    (change,) = found.changes
    assert re.search(rf"^{re.escape(str(change.before))} +{re.escape(str(change.after))} +2  ", GUIDE, re.MULTILINE)


# -- the program of an API client


@contextmanager
def challenging_site(api: ProtectionApi) -> Iterator[str]:
    """A site behind a module of the Protection API; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            cookie = dict(pair.partition("=")[::2] for pair in self.headers.get("Cookie", "").split("; "))
            fields = {
                "Key": "k", "IP": "192.0.2.7", "Method": "GET", "Protocol": "http", "Host": self.headers["Host"],
                "Request": self.path, "UserAgent": self.headers.get("User-Agent", ""),
                "Accept": self.headers.get("Accept", ""), "ClientID": cookie.get("datadome", ""),
            }  # fmt: skip
            answer = ask(api, fields)
            headers = dict(answer.headers)
            self.send_response(answer.status)
            for name in headers["X-DataDome-headers"].split():
                self.send_header(name, headers[name])
            body = answer.body or b'{"stock": 3}'
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_program_of_the_reference_solves_a_challenge_once_and_keeps_its_session() -> None:
    (program,) = (block for block in blocks(REFERENCE, "python") if "def solve" in block)
    names: dict[str, Any] = {"__name__": "client"}
    exec(compile(program, "docs/policy.md", "exec"), names)
    seen = Seen()
    everybody = "preset: none\nrules: [{name: everybody, action: challenge}]"

    with challenging_site(make_api(everybody, observer=seen)) as site:
        for _ in range(2):
            with names["get"](f"{site}/api/stock") as response:
                assert orjson.loads(response.read()) == {"stock": 3}

    assert [one.verdict.action for one in seen.decided] == ["challenge", "allow", "allow"]
    assert [one.presented for one in seen.decided] == ["", "proved", ""]


# -- what the guides name exists


@pytest.mark.parametrize("name", DOCUMENTS)
def test_guide_links_exist(name: str) -> None:
    folder = (ROOT / name).parent
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", DOCUMENTS[name]):
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), link


def anchors(text: str) -> set[str]:
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_links_into_the_guides_exist() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    links = re.findall(r"\]\((docs/[\w.-]+)#([^)]+)\)", readme)
    assert links
    for path, anchor in links:
        assert anchor in anchors((ROOT / path).read_text("utf-8")), (path, anchor)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_guide_uses_only_commands_that_exist(name: str) -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    of_engine = {command.name for command in engine_app.registered_commands}
    shell = "\n".join(blocks(DOCUMENTS[name], "sh") + blocks(DOCUMENTS[name], "console"))
    for line in re.findall(r"^\$? ?(?:\S*/)?gateway (.+)$", shell, re.MULTILINE):
        first, second = ([*line.split(), ""])[:2]
        assert first in commands | {"engine"}, line
        assert first != "engine" or second in of_engine | {"-c"}, line


@pytest.mark.parametrize("name", DOCUMENTS)
def test_guide_names_only_metrics_that_exist(name: str) -> None:
    from gateway.metrics import metrics_table

    known = {row[0] for row in metrics_table()}
    assert set(re.findall(r"\bgateway_[a-z_]+", DOCUMENTS[name])) <= known
