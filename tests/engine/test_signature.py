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

from gateway.engine.signature import CORRECTIONS, KINDS, Catalogue, Signature, load_catalogue
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
        ("curl/8.9.1", Signature("curl", "http-library")),
        ("Mozilla/5.0 Safari/537.36 PTST/220216.2", Signature("PTST", "monitoring")),
        ("CURL/8.9.1", Signature("curl", "http-library")),
        ("Wget/1.21.4", Signature("Wget", "http-library")),
        ("python-requests/2.32.3", Signature("python-requests", "http-library")),
        ("Python/3.11 aiohttp/3.14.5", Signature("aiohttp", "http-library")),
        ("Go-http-client/2.0", Signature("Go-http-client", "http-library")),
        ("Java/21.0.2", Signature("java", "http-library")),
        ("node", Signature("node", "http-library")),
        ("PostmanRuntime/7.43.0", Signature("postmanruntime", "http-library")),
        ("GuzzleHttp/7", Signature("guzzlehttp", "http-library")),
        ("sqlmap/1.8#stable (https://sqlmap.org)", Signature("sqlmap", "scanner")),
        ("Mozilla/5.00 (Nikto/2.5.0) (Evasions:None)", Signature("Nikto", "scanner")),
        ("Mozilla/5.0 (compatible; Nuclei - Open-source project)", Signature("nuclei", "scanner")),
        ("${jndi:ldap://x/a}", Signature("${jndi:ldap", "scanner")),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", Signature("AhrefsBot", "seo")),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            Signature("GPTBot", "ai-crawler"),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0 Safari/537.36",
            Signature("HeadlessChrome", "browser-automation"),
        ),
        ("Acme-Prober-Bot/2.1", Signature("acme-prober-bot", "seo")),
        ("Acme/1.0 (+https://acme.example/about)", Signature("acme", "seo")),
        ("Mozilla/5.0 (compatible; Acme/1.0; +http://acme.example)", Signature("acme", "seo")),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            Signature("googlebot", "search-engine", "Google"),
        ),
        ("mozilla/5.0 (compatible; GOOGLEBOT/2.1)", Signature("googlebot", "search-engine", "Google")),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"
            " Chrome/116.0.1938.76 Safari/537.36",
            Signature("bingbot", "search-engine", "Bing"),
        ),
        (
            "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
            Signature("yandexbot", "search-engine", "Yandex"),
        ),
        (
            "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            Signature("baiduspider", "search-engine", "Baidu"),
        ),
        (
            "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)",
            Signature("sogou web spider", "search-engine", "Sogou"),
        ),
    ],
)
def test_automation_is_named(catalogue: Catalogue, user_agent: str, signature: Signature) -> None:
    assert catalogue.find(user_agent) == signature


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
        assert found.kind in KINDS
        assert re.fullmatch(r"[!-~](?:[ -~]{0,62}[!-~])?", found.name)


ANY_CATALOGUE = Catalogue([("[a-z]", "seo"), (r"[^\x00-\x7f]+", "scanner"), (" ", "archiver")])


def test_catalogue_of_a_missing_package_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.engine.signature.find_spec", lambda name: None)

    with pytest.raises(ConfigError, match="crawler-user-agents is not installed"):
        load_catalogue()


@pytest.mark.parametrize("data", [b"", b"{}x", b"[1]", b'[{"url": "x"}]', b'[{"pattern": "("}]'])
def test_catalogue_of_a_broken_package_is_a_config_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes
) -> None:
    file = tmp_path / "crawler-user-agents.json"
    file.write_bytes(data)
    monkeypatch.setattr("gateway.engine.signature._data_file", lambda: file)

    with pytest.raises(ConfigError, match="cannot be used"):
        load_catalogue()
