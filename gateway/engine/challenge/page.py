"""What a stopped visitor gets: pages for people, JSON for programs. A request in, bytes out.

A page is one file: no other resource, an inline style and (the challenge alone) an inline script, both constant, so
that its Content-Security-Policy names them by their hashes and allows nothing else. What differs from visitor to
visitor stands in text and in attributes, escaped.

The challenge page has two ways through. The script (script.js, which says how) computes the proof, puts it into the
cookie `datadome` and loads the page again. A <meta> refresh leads to the step after its wait, in browsers without
JavaScript and where a foreign policy forbids inline scripts; the script switches it off.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from math import ceil
from pathlib import Path
from string import Template
from typing import NamedTuple

import orjson

from gateway.engine.challenge.language import TEXTS, Texts, language_of
from gateway.engine.challenge.step import step_query
from gateway.engine.challenge.token import ALPHABET, NONCE_CHARACTERS, PUZZLE_BITS, PUZZLES, Challenge

COOKIE = "datadome"
MINUTES_FROM_S = 120  # shorter waits are told in seconds


class PageRequest(NamedTuple):
    """The stopped request as described, none of it trusted, and what the operator says about himself.

    `target`: raw path and query. `contact`: an http(s) or mailto URL, a mail address, or any other text; "" if none.
    """

    request_id: str
    method: str
    protocol: str
    host: str
    target: str
    accept_language: str
    contact: str = ""


class Page(NamedTuple):
    """`body`: UTF-8 HTML. `content_security_policy`: the header that belongs to it."""

    body: bytes
    content_security_policy: str


def challenge_page(request: PageRequest, challenge: Challenge) -> Page:
    """The page that lets a browser compute the proof, or wait if the challenge has a step."""
    language = language_of(request.accept_language)
    texts = TEXTS[language]
    query = step_query(request.target, challenge.step).replace("#", "%23")  # which no browser sends in a request
    wait_s = challenge.wait_s + 1  # so that engines whose clocks differ a little do not find it early
    page = _page(
        request,
        language,
        "challenge",
        head=f"<script>{_SCRIPT}</script>\n{_refresh(wait_s, query)}",
        data=_data(challenge, texts, request.host, request.method),
        action=_action(texts, request.host, query, _duration(texts, wait_s)),
    )
    return Page(page, _CHALLENGE_POLICY)


def block_page(request: PageRequest) -> Page:
    """The page that says no, and what a person can do about it."""
    return Page(_page(request, language_of(request.accept_language), "block"), _POLICY)


def limit_page(request: PageRequest, retry_after_s: float) -> Page:
    """The page of a 429: it says when to come back, and does not do so by itself."""
    language = language_of(request.accept_language)
    return Page(_page(request, language, "limit", wait=_duration(TEXTS[language], retry_after_s)), _POLICY)


def challenge_json(request: PageRequest, challenge: Challenge) -> bytes:
    """`{"url", "request_id", "message", "challenge"}` for a program, which can solve it by itself:

    For each i from 0 to puzzles - 1 find a nonce of `nonce_characters` characters of `alphabet`, so that SHA-256 of the
    ASCII text token + alphabet[i] + nonce begins with `zero_bits` zero bits. Send the request again, from the same
    network and with the same User-Agent, before `expires` (Unix time), with the cookie named `cookie` = token + "." +
    the nonces in their order. The answer sets that cookie to a session: keep it, the proof counts once.
    `solver.solve` is this in Python.
    """
    solvable = {
        "algorithm": "sha256",
        "token": challenge.token,
        "difficulty": challenge.difficulty,
        "puzzles": PUZZLES,
        "zero_bits": challenge.difficulty - PUZZLE_BITS,
        "nonce_characters": NONCE_CHARACTERS,
        "alphabet": ALPHABET,
        "expires": int(challenge.expires_s),
        "cookie": COOKIE,
    }
    return orjson.dumps({**_json(request, "challenge"), "challenge": solvable})


def block_json(request: PageRequest) -> bytes:
    """`{"url", "request_id", "message"}`: `url` is what was blocked."""
    return orjson.dumps(_json(request, "block"))


def limit_json(request: PageRequest, retry_after_s: float) -> bytes:
    """As `block_json`, and `retry_after` in whole seconds."""
    wait = _duration(TEXTS[language_of(request.accept_language)], retry_after_s)
    return orjson.dumps({**_json(request, "limit", wait=wait), "retry_after": _whole(retry_after_s)})


def _json(request: PageRequest, kind: str, *, wait: str = "") -> dict[str, str]:
    text = TEXTS[language_of(request.accept_language)][f"{kind}_explanation"]
    fields = {
        "url": f"{request.protocol or 'http'}://{request.host}{request.target}",
        "request_id": request.request_id,
        "message": _filled(text, host=request.host, wait=wait),
    }
    return {name: value.encode("utf-8", "replace").decode() for name, value in fields.items()}  # no lone surrogates


def _page(
    request: PageRequest, language: str, kind: str, *, head: str = "", data: str = "", action: str = "", wait: str = ""
) -> bytes:
    """`head`, `data` and `action` are markup; everything else is text that becomes markup here."""
    texts = TEXTS[language]
    page = _PAGE.substitute(
        language=language,
        direction=texts["direction"],
        style=_STYLE,
        head=head,
        data=data,
        action=action,
        title=escape(texts[f"{kind}_title"]),
        heading=escape(texts[f"{kind}_heading"]),
        explanation=_markup(texts[f"{kind}_explanation"], host=_isolated(request.host), wait=escape(wait)),
        help_heading=escape(texts["help_heading"]),
        help=_help(texts, request, kind),
        request_label=escape(texts["request_label"]),
        request_id=escape(request.request_id),
    )
    return page.encode("utf-8", "replace")


def _refresh(wait_s: int, query: str) -> str:
    """`</template>` ends what script.js opens before it; parsers ignore it where the script did not run."""
    refresh = f'<meta http-equiv="refresh" content="{wait_s}; url={escape(query)}">\n' if query else ""
    return f"{refresh}</template>\n"


def _data(challenge: Challenge, texts: Texts, host: str, method: str) -> str:
    said = ("working", "done", "cookies", "stopped", "failed", *(() if method in _SAFE_METHODS else ("resend",)))
    told = {name: _filled(texts[name], host=host) for name in said}
    attributes = {"token": challenge.token, "difficulty": str(challenge.difficulty), **told}
    return "".join(f' data-{name}="{escape(value)}"' for name, value in attributes.items())


def _action(texts: Texts, host: str, query: str, wait: str) -> str:
    """The live region, which says how it goes on without the script until the script says otherwise."""
    if query:
        status = _markup(texts["waiting"], wait=escape(wait))
        link = f'<p class="waiting"><a href="{escape(query)}">{escape(texts["waiting_link"])}</a></p>\n'
    else:
        status, link = _markup(texts["needs_javascript"], host=_isolated(host)), ""
    return (
        f'<p role="status">{status}</p>\n'
        f'<progress max="{PUZZLES}" value="0" aria-label="{escape(texts["progress"])}" hidden></progress>\n'
        f'<button type="button" hidden>{escape(texts["again"])}</button>\n{link}'
    )


def _help(texts: Texts, request: PageRequest, kind: str) -> str:
    lines = {
        "challenge": ("help_browser", "help_other"),
        "block": ("help_browser", "help_other"),
        "limit": (),
    }[kind]
    contact = _contact(request.contact, request.request_id)
    owner = _markup(texts["help_contact"], contact=contact) if contact else escape(texts["help_owner"])
    return "\n".join(f"<li>{line}</li>" for line in [*(escape(texts[line]) for line in lines), owner])


def _contact(contact: str, request_id: str) -> str:
    """Markup. A mail address gets a link that brings the request number along."""
    contact = contact.strip()
    address = contact.removeprefix("mailto:")
    if _MAIL_ADDRESS(address):
        return f'<a href="mailto:{escape(address)}?subject={escape(request_id)}">{escape(address)}</a>'
    if contact.startswith(("https://", "http://", "mailto:")):
        return f'<a href="{escape(contact)}" rel="noreferrer">{escape(address)}</a>'
    return escape(contact)


def _isolated(host: str) -> str:
    """Markup of a host name, whose direction is its own in any text."""
    return f"<bdi>{escape(host)}</bdi>"


def _duration(texts: Texts, seconds: float) -> str:
    whole = _whole(seconds)
    if whole < MINUTES_FROM_S:
        return _filled(texts["seconds"], count=str(whole))
    return _filled(texts["minutes"], count=str(ceil(whole / 60)))


def _whole(seconds: float) -> int:
    return max(1, ceil(seconds))


def _markup(text: str, **markup: str) -> str:
    """A text as markup, with markup in its places."""
    return _filled(escape(text), **markup)


def _filled(text: str, **values: str) -> str:
    """Not str.format: in one pass, so that a value which looks like a place is left alone."""
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), text)


def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _slim(source: str) -> str:
    """Without block comments and indentation: a third of what every challenged bot is sent."""
    return re.sub(r"^\s+", "", re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL), flags=re.MULTILINE)


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


_SAFE_METHODS = frozenset({"GET", "HEAD"})  # a browser loads these again without asking
_PLACE = re.compile(r"\{([a-z]+)\}")
_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,255}").fullmatch
_PAGE = Template(_source("page.html"))
_STYLE = _slim(_source("style.css"))
_SCRIPT = _slim(_source("script.js"))
_POLICY = f"default-src 'none'; style-src {_hash(_STYLE)}; base-uri 'none'; form-action 'none'"
_CHALLENGE_POLICY = f"{_POLICY}; script-src {_hash(_SCRIPT)}; worker-src blob:"
