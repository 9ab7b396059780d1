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
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from html import escape
from math import ceil
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Literal, NamedTuple

import orjson

from gateway.engine.challenge.language import TEXTS, language_of
from gateway.engine.challenge.step import step_query
from gateway.engine.challenge.token import ALPHABET, NONCE_CHARACTERS, PUZZLE_BITS, PUZZLES, Challenge

COOKIE = "datadome"
MINUTES_FROM_S = 120  # shorter waits are told in seconds
FRAMES = 256  # pages kept, 11 kB each. By kind, language and contact: nothing that a visitor can make up
_GAP = "\0"
_NOTHING: Mapping[str, str] = MappingProxyType({})


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
    query = step_query(request.target, challenge.step).replace("#", "%23")  # which no browser sends in a request
    variant = _variant(request, "challenge")._replace(has_step=bool(query), is_form=request.method not in _SAFE_METHODS)
    gaps = {"token": challenge.token, "difficulty": str(challenge.difficulty), "query": query}
    wait_s = challenge.wait_s + 1  # so that engines whose clocks differ a little do not find it early
    return Page(_written(variant, request, wait_s, gaps), _CHALLENGE_POLICY)


def block_page(request: PageRequest) -> Page:
    """The page that says no, and what a person can do about it."""
    return Page(_written(_variant(request, "block"), request), _POLICY)


def limit_page(request: PageRequest, retry_after_s: float) -> Page:
    """The page of a 429: it says when to come back, and does not do so by itself."""
    return Page(_written(_variant(request, "limit"), request, _whole(retry_after_s)), _POLICY)


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
    whole = _whole(retry_after_s)
    return orjson.dumps({**_json(request, "limit", whole), "retry_after": whole})


class _Variant(NamedTuple):
    """What makes two pages different, but for what stands in their gaps."""

    kind: Literal["challenge", "block", "limit"]
    language: str
    contact: str
    has_step: bool = False
    is_form: bool = False

    def markup(self, name: str, **markup: str) -> str:
        """A text as markup; a host name's direction is its own in any text."""
        return self._marked_up(name, host=f"<bdi>{_gap('host')}</bdi>", **markup)

    def attribute(self, name: str) -> str:
        """A text as the value of an attribute."""
        return self._marked_up(name, host=_gap("host"))

    def _marked_up(self, name: str, **markup: str) -> str:
        return _filled(_escaped(TEXTS[self.language][name]), wait=_gap("wait"), **markup)


def _variant(request: PageRequest, kind: Literal["challenge", "block", "limit"]) -> _Variant:
    return _Variant(kind, language_of(request.accept_language), request.contact.strip())


def _json(request: PageRequest, kind: Literal["challenge", "block", "limit"], wait_s: int = 0) -> dict[str, str]:
    language = language_of(request.accept_language)
    explanation = TEXTS[language][f"{kind}_explanation"]
    fields = {
        "url": f"{request.protocol or 'http'}://{request.host}{request.target}",
        "request_id": request.request_id,
        "message": _filled(explanation, host=request.host, wait=_wait(language, wait_s)),
    }
    return {name: value.encode("utf-8", "replace").decode() for name, value in fields.items()}  # no lone surrogates


@lru_cache(maxsize=64)
def _wait(language: str, wait_s: int) -> str:
    if wait_s < MINUTES_FROM_S:
        return _filled(TEXTS[language]["seconds"], count=str(wait_s))
    return _filled(TEXTS[language]["minutes"], count=str(ceil(wait_s / 60)))


def _written(variant: _Variant, request: PageRequest, wait_s: int = 0, gaps: Mapping[str, str] = _NOTHING) -> bytes:
    """The page with its gaps filled, UTF-8."""
    values = {
        "request_id": request.request_id, "host": request.host, "wait": _wait(variant.language, wait_s),
        "wait_s": str(wait_s), **gaps,
    }  # fmt: skip
    markup = {name: _escaped(value) for name, value in values.items()}
    pieces = (markup[piece] if place % 2 else piece for place, piece in enumerate(_frame(variant)))
    return "".join(pieces).encode("utf-8", "replace")


@lru_cache(maxsize=FRAMES)
def _frame(variant: _Variant) -> tuple[str, ...]:
    """The page in pieces: markup, and at odd places the name of what belongs between."""
    is_challenge = variant.kind == "challenge"
    page = _PAGE.substitute(
        language=variant.language,
        direction=TEXTS[variant.language]["direction"],
        style=_STYLE,
        head=f"<script>{_SCRIPT}</script>\n{_refresh(variant)}" if is_challenge else "",
        data=_data(variant) if is_challenge else "",
        action=_action(variant) if is_challenge else "",
        title=variant.markup(f"{variant.kind}_title"),
        heading=variant.markup(f"{variant.kind}_heading"),
        explanation=variant.markup(f"{variant.kind}_explanation"),
        help_heading=variant.markup("help_heading"),
        help=_help(variant),
        request_label=variant.markup("request_label"),
        request_id=_gap("request_id"),
    )
    return tuple(page.split(_GAP))


def _refresh(variant: _Variant) -> str:
    """`</template>` ends what script.js opens before it; parsers ignore it where the script did not run."""
    if not variant.has_step:
        return "</template>\n"
    return f'<meta http-equiv="refresh" content="{_gap("wait_s")}; url={_gap("query")}">\n</template>\n'


def _data(variant: _Variant) -> str:
    """The attributes that script.js reads."""
    texts = ("working", "done", "cookies", "stopped", "failed", *(("resend",) if variant.is_form else ()))
    values = {name: _gap(name) for name in ("token", "difficulty")}
    values |= {name: variant.attribute(name) for name in texts}
    return "".join(f' data-{name}="{value}"' for name, value in values.items())


def _action(variant: _Variant) -> str:
    """The live region, which says how it goes on without the script until the script says otherwise."""
    status, link = variant.markup("needs_javascript"), ""
    if variant.has_step:
        status = variant.markup("waiting")
        link = f'<p class="waiting"><a href="{_gap("query")}">{variant.markup("waiting_link")}</a></p>\n'
    return (
        f'<p role="status">{status}</p>\n'
        f'<progress max="{PUZZLES}" value="0" aria-label="{variant.attribute("progress")}" hidden></progress>\n'
        f'<button type="button" hidden>{variant.markup("again")}</button>\n{link}'
    )


def _help(variant: _Variant) -> str:
    lines = [] if variant.kind == "limit" else [variant.markup("help_browser"), variant.markup("help_other")]
    contact = _contact(variant.contact)
    lines.append(variant.markup("help_contact", contact=contact) if contact else variant.markup("help_owner"))
    return "\n".join(f"<li>{line}</li>" for line in lines)


def _contact(contact: str) -> str:
    """Markup. A mail address gets a link that brings the request number along."""
    address = contact.removeprefix("mailto:")
    if _MAIL_ADDRESS(address):
        return f'<a href="mailto:{address}?subject={_gap("request_id")}">{address}</a>'
    if contact.startswith(("https://", "http://", "mailto:")):
        return f'<a href="{_escaped(contact)}" rel="noreferrer">{_escaped(address)}</a>'
    return _escaped(contact)


def _whole(seconds: float) -> int:
    return max(1, ceil(seconds))


def _escaped(text: str) -> str:
    """Markup of a text. HTML has no NUL: parsers read it as U+FFFD, and to us it marks the gaps."""
    return escape(text.replace(_GAP, "\ufffd"))


def _gap(name: str) -> str:
    return f"{_GAP}{name}{_GAP}"


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
