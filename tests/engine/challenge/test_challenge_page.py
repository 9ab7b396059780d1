"""Pages and JSON of a stopped visitor: complete in every language, escaped, and nothing but themselves."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.challenge import page as module
from gateway.engine.challenge.language import TEXTS
from gateway.engine.challenge.page import (
    Page,
    PageRequest,
    block_json,
    block_page,
    challenge_json,
    challenge_page,
    limit_json,
    limit_page,
)
from gateway.engine.challenge.solver import solve
from gateway.engine.challenge.token import Challenge, Passed, check_proof, issue
from gateway.engine.keyring import Binding, Keyring

TOKEN, STEP = "p" + "T" * 43, "s" + "S" * 43
CHALLENGE = Challenge(TOKEN, STEP, "I" * 12, 16, 5, 1_800_000_300.0)
NO_STEP = CHALLENGE._replace(step="", wait_s=0)
REQUEST = PageRequest(
    request_id="6f0d3c56-0f0e-4b0e-9b5f-0a4f3a3c9a11",
    method="GET",
    protocol="https",
    host="shop.example",
    target="/list?page=2",
    accept_language="en",
)
FILES = Path(module.__file__).parent
VOID = {"meta", "link", "br", "img", "input"}


@dataclass
class Parsed:
    """`tags`: (name, attributes) in order; `contents`: text by the tag that holds it; `text`: all that is shown."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    text: str = ""

    def attributes(self, tag: str) -> dict[str, str | None]:
        return next(attributes for name, attributes in self.tags if name == tag)

    def named(self, name: str) -> list[str | None]:
        """The values of an attribute, wherever it stands."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    @property
    def refresh(self) -> str | None:
        found = [a["content"] for name, a in self.tags if name == "meta" and a.get("http-equiv") == "refresh"]
        return found[0] if found else None


class Reader(HTMLParser):
    """Also asserts that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parsed = Parsed()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.parsed.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "template":  # ends what the script opens
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        self.parsed.contents[inside] = self.parsed.contents.get(inside, "") + data
        if inside not in ("script", "style"):
            self.parsed.text += data


def parse(page: Page) -> Parsed:
    reader = Reader()
    reader.feed(page.body.decode())
    reader.close()
    assert reader.open == []
    return reader.parsed


def every_page(request: PageRequest) -> dict[str, Page]:
    return {
        "challenge": challenge_page(request, CHALLENGE),
        "challenge without a step": challenge_page(request, NO_STEP),
        "block": block_page(request),
        "limit": limit_page(request, 30.0),
    }


KINDS = list(every_page(REQUEST))


@pytest.mark.parametrize("language", TEXTS)
def test_texts_of_every_language_have_the_same_names_and_places(language: str) -> None:
    places = {name: sorted(re.findall(r"\{\w+\}", text)) for name, text in TEXTS[language].items()}
    assert places == {name: sorted(re.findall(r"\{\w+\}", text)) for name, text in TEXTS["en"].items()}
    assert all(text.strip() == text != "" for text in TEXTS[language].values())


def test_texts_are_there_in_the_promised_languages() -> None:
    assert {"en", "fr", "de", "es", "ja", "zh"} <= set(TEXTS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", TEXTS)
def test_page_of_every_language_says_what_it_must(language: str, kind: str) -> None:
    request = REQUEST._replace(accept_language=language, contact="https://shop.example/help")
    parsed, texts = parse(every_page(request)[kind]), TEXTS[language]
    assert parsed.attributes("html") == {"lang": language, "dir": texts["direction"]}
    assert parsed.contents["title"] == texts[f"{kind.split()[0]}_title"]
    assert parsed.contents["h1"].strip()
    assert parsed.contents["code"] == request.request_id
    assert "shop.example" in parsed.text and "https://shop.example/help" in parsed.text
    assert "{" not in parsed.text


@pytest.mark.parametrize("kind", KINDS)
def test_page_names_nothing_outside_itself(kind: str) -> None:
    page = every_page(REQUEST)[kind]
    parsed = parse(page)
    assert {name for name, _ in parsed.tags} & {"link", "img", "iframe", "object", "base", "form"} == set()
    assert parsed.named("src") == []
    assert [href for href in parsed.named("href") if not str(href).startswith("?__step=")] == []
    assert re.findall(r"url\(|@import|https?://", parsed.contents["style"] + parsed.contents.get("script", "")) == []
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    assert parsed.named("style") == []


@pytest.mark.parametrize("kind", KINDS)
def test_policy_allows_the_inline_contents_by_their_hashes_and_nothing_else(kind: str) -> None:
    page = every_page(REQUEST)[kind]
    parsed = parse(page)
    expected = {
        "default-src": "'none'",
        "style-src": _hash(parsed.contents["style"]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    if kind.startswith("challenge"):
        expected |= {"script-src": _hash(parsed.contents["script"]), "worker-src": "blob:"}
    assert "script" in parsed.contents or not kind.startswith("challenge")
    assert dict(part.strip().split(" ", 1) for part in page.content_security_policy.split(";")) == expected


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def test_challenge_page_hands_its_script_what_it_needs() -> None:
    attributes = parse(challenge_page(REQUEST, CHALLENGE)).attributes("main")
    assert (attributes["data-token"], attributes["data-difficulty"]) == (TOKEN, "16")
    script = (FILES / "script.js").read_text()
    read = re.search(r"const \{([^}]*)\} = main\.dataset", script)
    assert read
    names = {f"data-{name.strip()}" for name in read[1].split(",")}
    assert set(attributes) == names - {"data-resend"}
    assert set(parse(challenge_page(REQUEST._replace(method="POST"), CHALLENGE)).attributes("main")) == names


def test_challenge_page_has_a_live_region_and_a_named_bar() -> None:
    parsed = parse(challenge_page(REQUEST, CHALLENGE))
    assert parsed.named("role") == ["status"]
    assert parsed.attributes("progress")["aria-label"] == "Progress of the check"
    assert parsed.contents["p"].count("by itself in 6 s.") == 1  # the wait and a second for clocks that differ


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ("/", ""),
        ("/?", "&"),
        ("/list?page=2", "&page=2"),
        ("/a?x=%2f%20&&y=%E9&=;'\"<b>&amp;&", "&x=%2f%20&&y=%E9&=;'\"<b>&amp;&"),
        ("/a?u=http://other.example/?b#c", "&u=http://other.example/?b%23c"),
        ("//evil.example/x?a", "&a"),
        ("/a?__step=old&b", "&__step=old&b"),
    ],
)
def test_refresh_is_relative_and_keeps_the_query_byte_for_byte(target: str, query: str) -> None:
    parsed = parse(challenge_page(REQUEST._replace(target=target), CHALLENGE))
    assert parsed.refresh == f"6; url=?__step={STEP}{query}"
    assert parsed.named("href") == [f"?__step={STEP}{query}"]


def test_refresh_stands_between_the_script_and_the_end_of_its_template() -> None:
    body = challenge_page(REQUEST, CHALLENGE).body.decode()
    assert re.search(r'</script>\n<meta http-equiv="refresh" [^>]*>\n</template>\n</head>', body)
    assert '<script>(() => {\n"use strict";\ndocument.write("<template>");\n' in body


@pytest.mark.parametrize(
    ("request_", "challenge"),
    [(REQUEST, NO_STEP), (REQUEST._replace(target="/?" + "a" * 2000), CHALLENGE)],
    ids=["no step", "target that would be cut"],
)
def test_challenge_page_without_a_way_to_wait_asks_for_javascript(request_: PageRequest, challenge: Challenge) -> None:
    parsed = parse(challenge_page(request_, challenge))
    assert parsed.refresh is None
    assert parsed.named("href") == []
    assert "allow JavaScript for shop.example" in parsed.text


@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_any_request_leaves_the_markup_as_it_is(
    request_id: str, host: str, target: str, contact: str, lang: str
) -> None:
    hostile = PageRequest(request_id, "GET", "http", host, "/" + target, lang, contact)
    for kind, page in every_page(hostile).items():
        parsed = parse(page)
        assert [name for name, _ in parsed.tags if name not in ("a", "meta")] == [
            name for name, _ in parse(every_page(REQUEST)[kind]).tags if name not in ("a", "meta")
        ]
        allowed = ("?__step=", "https://", "http://", "mailto:")
        assert all(str(href).startswith(allowed) for href in parsed.named("href"))
    for body in (challenge_json(hostile, CHALLENGE), block_json(hostile), limit_json(hostile, 1)):
        assert json.loads(body)["message"]


def test_frames_are_kept_by_nothing_that_a_visitor_makes_up() -> None:
    module._frame.cache_clear()
    for n in range(500):
        every_page(REQUEST._replace(host=f"{n}.example", request_id=str(n), target=f"/{n}?{n}"))
        limit_page(REQUEST, float(n))

    assert module._frame.cache_info().misses == len(KINDS)


def test_request_in_markup_of_its_own_is_shown_as_text() -> None:
    hostile = REQUEST._replace(
        request_id="</code><script>alert(1)</script>",
        host='"><img src=x>{wait}',
        target='/?"><script>alert(1)</script>',
        contact="<b>me</b> {contact}",
    )
    parsed = parse(challenge_page(hostile, CHALLENGE))
    assert parsed.contents["code"] == hostile.request_id
    assert parsed.contents["bdi"] == hostile.host
    assert "<b>me</b> {contact}" in parsed.text
    assert len([name for name, _ in parsed.tags if name == "script"]) == 1


@pytest.mark.parametrize(
    ("contact", "href"),
    [
        ("", None),
        ("the desk on the ground floor", None),
        ("https://shop.example/help?a=1&b=2", "https://shop.example/help?a=1&b=2"),
        ("help@shop.example", "mailto:help@shop.example?subject=6f0d3c56-0f0e-4b0e-9b5f-0a4f3a3c9a11"),
        ("mailto:help@shop.example", "mailto:help@shop.example?subject=6f0d3c56-0f0e-4b0e-9b5f-0a4f3a3c9a11"),
        ("mailto:help@shop.example?cc=a@b.example", "mailto:help@shop.example?cc=a@b.example"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
    ],
)
def test_contact_is_a_link_where_it_can_be_one(contact: str, href: str | None) -> None:
    parsed = parse(block_page(REQUEST._replace(contact=contact)))
    assert parsed.named("href") == ([href] if href else [])
    assert contact.removeprefix("mailto:") in parsed.text


@pytest.mark.parametrize(
    ("retry_after_s", "told"),
    [(0, "1 s"), (0.2, "1 s"), (30, "30 s"), (30.01, "31 s"), (119, "119 s"), (120, "2 min"), (3601, "61 min")],
)
def test_limit_page_says_when_to_come_back(retry_after_s: float, told: str) -> None:
    parsed = parse(limit_page(REQUEST, retry_after_s))
    assert f"Please come back in {told}." in parsed.text
    assert parsed.refresh is None


def test_challenge_json_can_be_solved_by_what_it_says() -> None:
    keyring, binding = Keyring([b"secret"]), Binding("shop.example", "192.0.2.0/24", "client/1")
    made = issue(keyring, binding, difficulty=12, wait_s=5, now_s=1_800_000_000, entropy=lambda count: b"\1" * count)
    answer = json.loads(challenge_json(REQUEST, made))
    assert answer == {
        "url": "https://shop.example/list?page=2",
        "request_id": REQUEST.request_id,
        "message": TEXTS["en"]["challenge_explanation"].replace("{host}", "shop.example"),
        "challenge": {
            "algorithm": "sha256",
            "token": made.token,
            "difficulty": 12,
            "puzzles": 8,
            "zero_bits": 9,
            "nonce_characters": 4,
            "alphabet": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            "expires": 1_800_000_300,
            "cookie": "datadome",
        },
    }
    proof = _solved_by_hand(answer["challenge"])
    assert proof == solve(made.token, 12)
    assert isinstance(check_proof(keyring, binding, proof, 1_800_000_010), Passed)


def _solved_by_hand(challenge: dict[str, Any]) -> str:
    """As a client would write it from the docstring of challenge_json alone."""
    alphabet, nonces = challenge["alphabet"], []
    for index in range(challenge["puzzles"]):
        number = 0
        while True:
            digits = [alphabet[number // 64**place % 64] for place in reversed(range(challenge["nonce_characters"]))]
            nonce = "".join(digits)
            digest = sha256((challenge["token"] + alphabet[index] + nonce).encode("ascii")).digest()
            if int.from_bytes(digest, "big") >> (256 - challenge["zero_bits"]) == 0:
                break
            number += 1
        nonces.append(nonce)
    return f"{challenge['token']}.{''.join(nonces)}"


def test_json_of_a_block_and_of_a_limit() -> None:
    shared = {"url": "https://shop.example/list?page=2", "request_id": REQUEST.request_id}
    assert json.loads(block_json(REQUEST)) == {
        **shared,
        "message": "shop.example is protected against automated requests, and yours looks like one.",
    }
    assert json.loads(limit_json(REQUEST, 29.5)) == {
        **shared,
        "message": "More requests came from you or your network than shop.example allows. Please come back in 30 s.",
        "retry_after": 30,
    }


def test_json_speaks_the_clients_language() -> None:
    assert "geschützt" in json.loads(block_json(REQUEST._replace(accept_language="de")))["message"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_enough_contrast(scheme: str) -> None:
    """WCAG 2.2: 4.5 for text (1.4.3), 3 for the bar against its track (1.4.11)."""
    css = (FILES / "style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    assert len(blocks) == 2
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", blocks[scheme == "dark"]))
    text_pairs = [("text", "card"), ("soft", "card"), ("mark", "card")]
    assert [pair for pair in text_pairs if _contrast(colours[pair[0]], colours[pair[1]]) < 4.5] == []
    assert _contrast(colours["mark"], colours["line"]) >= 3


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
