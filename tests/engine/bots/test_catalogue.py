"""Who a user agent says it is."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from engine.browser_requests import USER_AGENTS
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.bots.catalogue import BOT_CLASSES, Catalogue, Signature, load_catalogue
from gateway.engine.bots.pattern import CORRECTIONS
from gateway.errors import ConfigError

# Found by no pattern on purpose: see CORRECTIONS.
PEOPLES = {
    r"AP3A\.240617\.008", "MetaIAB Facebook", "Fluid", r"Code\/1\.", r"Trae\/", "okhttp",
    "Chrome Privacy Preserving Prefetch Proxy",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def package_entries() -> list[dict[str, Any]]:
    spec = find_spec("crawleruseragents")
    assert spec is not None and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "crawler-user-agents.json"
    return list(json.loads(path.read_bytes()))


@pytest.mark.parametrize("user_agent", USER_AGENTS)
def test_browser_is_not_in_the_catalogue(catalogue: Catalogue, user_agent: str) -> None:
    assert catalogue.find(user_agent) is None


def test_every_example_of_the_package_is_found(catalogue: Catalogue) -> None:
    examples = [
        example
        for entry in package_entries()
        if entry["pattern"] not in PEOPLES
        for example in entry.get("instances", ())
    ]

    assert len(examples) > 1500
    assert [example for example in examples if catalogue.find(example) is None] == []


def test_every_correction_is_of_a_pattern_of_the_package() -> None:
    assert set(CORRECTIONS) - {entry["pattern"] for entry in package_entries()} == set()


@pytest.mark.parametrize(
    ("user_agent", "signature"),
    [
        ("curl/8.9.1", Signature("curl", "library")),
        ("Mozilla/5.0 Safari/537.36 PTST/220216.2", Signature("PTST", "monitoring")),
        ("CURL/8.9.1", Signature("CURL", "library")),
        ("GitHub-Hookshot/044aadd", Signature("GitHub-Hookshot", "webhook")),
        ("Stripe/1.0 (+https://stripe.com/docs/webhooks)", Signature("Stripe", "webhook")),
        ("WooCommerce/9.4.2 Hookshot (WordPress/6.7)", Signature("WooCommerce", "webhook")),
        ("WordPress/6.7; https://blog.example; verifying pingback from 192.0.2.1", Signature("WordPress", "seo")),
        ("Slackbot 1.0 (+https://api.slack.com/robots)", Signature("Slackbot", "social_preview")),
        ("Wget/1.21.4", Signature("Wget", "library")),
        ("python-requests/2.32.3", Signature("python-requests", "library")),
        ("Python/3.11 aiohttp/3.14.5", Signature("aiohttp", "library")),
        ("Go-http-client/2.0", Signature("Go-http-client", "library")),
        ("Java/21.0.2", Signature("Java", "library")),
        ("node", Signature("node", "library")),
        ("PostmanRuntime/7.43.0", Signature("PostmanRuntime", "library")),
        ("GuzzleHttp/7", Signature("GuzzleHttp", "library")),
        ("sqlmap/1.8#stable (https://sqlmap.org)", Signature("sqlmap", "scanner")),
        ("Mozilla/5.00 (Nikto/2.5.0) (Evasions:None)", Signature("Nikto", "scanner")),
        ("Mozilla/5.0 (compatible; Nuclei - Open-source project)", Signature("Nuclei", "scanner")),
        ("${jndi:ldap://x/a}", Signature("${jndi:ldap", "scanner")),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", Signature("AhrefsBot", "seo", "Ahrefs")),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            Signature("GPTBot", "ai_crawler", "OpenAI"),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0 Safari/537.36",
            Signature("HeadlessChrome", "headless"),
        ),
        ("Acme-Prober-Bot/2.1", Signature("Acme-Prober-Bot", "seo")),
        ("Acme/1.0 (+https://acme.example/about)", Signature("Acme", "seo")),
        ("Mozilla/5.0 (compatible; Acme/1.0; +http://acme.example)", Signature("Acme", "seo")),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            Signature("Googlebot", "search_engine", "Google"),
        ),
        ("mozilla/5.0 (compatible; GOOGLEBOT/2.1)", Signature("GOOGLEBOT", "search_engine", "Google")),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"
            " Chrome/116.0.1938.76 Safari/537.36",
            Signature("bingbot", "search_engine", "Bing"),
        ),
        (
            "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
            Signature("YandexBot", "search_engine", "Yandex"),
        ),
        (
            "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            Signature("Baiduspider", "search_engine", "Baidu"),
        ),
        (
            "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)",
            Signature("Sogou web spider", "search_engine", "Sogou"),
        ),
    ],
)
def test_automation_is_named(catalogue: Catalogue, user_agent: str, signature: Signature) -> None:
    assert catalogue.find(user_agent) == signature


def programs() -> list[list[str]]:
    """[class, operator or -, user agent] of programs as they name themselves."""
    lines = (Path(__file__).parent / "programs.txt").read_text().splitlines()
    return [line.split(" | ", 2) for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("bot_class", "operator", "user_agent"), programs())
def test_program_has_its_class_and_operator(
    catalogue: Catalogue, bot_class: str, operator: str, user_agent: str
) -> None:
    found = catalogue.find(user_agent)

    assert found is not None
    assert (found.bot_class, found.operator or "-") == (bot_class, operator)


def test_name_of_a_text_that_changes_its_length_in_lower_case_is_cut_where_it_was_found(catalogue: Catalogue) -> None:
    found = catalogue.find("\u0130\u0130\u0130 Googlebot/2.1")

    assert found == Signature("googlebot", "search_engine", "Google")


def test_words_classes_groups_and_anchors_match_like_the_expressions_that_they_were() -> None:
    patterns = [
        (r"[wW]get", "a"), (r"(one|TWO) [cC]rawl", "b"), (r"^First", "c"), (r"A\/B\.c", "d"), (r"x+y\d", "e"),
        (r"(^| )head\/", "f"), ("left|right", "g"), ("wgetter", "h"), (r"q(a|b)*r", "i"), (r"[a-z]9", "j"),
    ]  # fmt: skip
    catalogue = Catalogue(patterns)
    texts = [
        "wget", "Wget", "xWget", "one crawl", "TWO Crawl", "two crawl", "First", " First", "A/B.c", "A/Bxc", "zxxy1",
        "head/", "a head/", "ahead/", "left", "right", "lef", "wgetter", "qabar", "qr", "qcr", "m9", "99",
    ]  # fmt: skip

    for text in texts:
        expected = any(re.search(pattern, text) for pattern, _ in patterns)
        assert (catalogue.find(text) is not None) == expected, text


@given(st.text(max_size=800))
def test_any_text_gives_a_header_safe_name_or_nothing(text: str) -> None:
    found = ANY_CATALOGUE.find(text)
    if found is not None:
        assert found.bot_class in BOT_CLASSES - {"unknown"}
        assert re.fullmatch(r"[!-~](?:[ -~]{0,62}[!-~])?", found.name)


ANY_CATALOGUE = Catalogue([("[a-z]", "seo"), (r"[^\x00-\x7f]+", "scanner"), (" ", "archiver")])


def test_catalogue_of_a_missing_package_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.engine.bots.catalogue.find_spec", lambda name: None)

    with pytest.raises(ConfigError, match="crawler-user-agents is not installed"):
        load_catalogue()


@pytest.mark.parametrize("data", [b"", b"{}x", b"[1]", b'[{"url": "x"}]', b'[{"pattern": "("}]'])
def test_catalogue_of_a_broken_package_is_a_config_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes
) -> None:
    file = tmp_path / "crawler-user-agents.json"
    file.write_bytes(data)
    monkeypatch.setattr("gateway.engine.bots.catalogue._data_file", lambda: file)

    with pytest.raises(ConfigError, match="cannot be used"):
        load_catalogue()
