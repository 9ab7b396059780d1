"""A call and its answer, without HTTP: keys, proofs, steps, sessions, overrides, replies that come late."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import inf
from typing import Any

import orjson
import pytest
from engine.browser_requests import BROWSER_REQUESTS, FIREFOX
from engine.engines import SECRET, Seen, Standing, catalogue, make_api, make_terms
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.answer import Answer
from gateway.engine.api import Call, ProtectionApi, Respondents
from gateway.engine.challenge.solver import solve
from gateway.engine.challenge.token import LIFETIME_S
from gateway.engine.keyring import Keyring
from gateway.engine.override import NO_OVERRIDES, Override, Overrides
from gateway.engine.question import Question, Reply, Respondent, SignedBy
from gateway.engine.session import Sessions
from gateway.engine.store.memory import MemoryStore
from gateway.engine.visit import NETWORK_PASSES, PASSES
from gateway.engine.wire import FORM, JSON

BROWSER = BROWSER_REQUESTS["chrome navigates"]
NOW_S = 1_750_000_000.0
OPEN = "preset: none"
ASK = "preset: none\nrules: [{name: ask, action: challenge}]"
ASK_SCRIPT = "preset: none\nrules: [{name: ask, action: challenge, without_javascript: false}]"
WAIT_S = 6
LIFE_S = 1000.0


class Engine:
    """An API whose time, overrides and terms a test can change."""

    def __init__(self, policy: str = ASK, *, store: Respondent | None = None, **terms: Any) -> None:
        self.now_s = NOW_S
        self.overrides: Overrides = NO_OVERRIDES
        self.seen = Seen()
        store = store or MemoryStore(clock=lambda: self.now_s)
        respondents = Respondents(store, Standing("fake"), Standing("unknown"), lambda: self.overrides)
        self.api = ProtectionApi(
            replace(make_terms(policy, lifetime_s=LIFE_S), **terms), catalogue(), respondents, self.seen,
            lambda: self.now_s,
        )  # fmt: skip

    def ask(self, cookie: str = "", **fields: Any) -> Answer:
        answer = self.respond(cookie, **fields)
        assert isinstance(answer, Answer)
        return answer

    def respond(self, cookie: str = "", **fields: Any) -> Answer | Awaitable[Answer]:
        return self.api.respond(Call(orjson.dumps({**BROWSER, "ClientID": cookie, **fields}), JSON))

    def change(self, *secrets: bytes) -> None:
        keyring = Keyring(secrets)
        self.api.terms = replace(self.api.terms, keyring=keyring, sessions=Sessions(keyring, LIFE_S))

    def override(self, subject: str, action: str) -> None:
        self.overrides = Overrides([Override.of(subject, action, NOW_S + 1e6, "", NOW_S)])

    @property
    def last(self) -> tuple[str, str, str]:
        """Action, rule, and what became of what was presented."""
        decided = self.seen.decided[-1]
        return decided.verdict.action, decided.verdict.rule, decided.presented

    @property
    def session(self) -> str:
        """The kind of the last request's session."""
        return self.seen.decided[-1].request.session.kind

    def proof(self, **fields: Any) -> str:
        return proof_of(self.ask(**fields))

    def proved(self, **fields: Any) -> str:
        """The cookie of a session that solved the challenge."""
        return cookie_of(self.ask(self.proof(**fields), **fields))


def proof_of(page: Answer) -> str:
    """What the page's script puts into the cookie."""
    found = re.search(r'data-token="([^"]+)" data-difficulty="(\d+)"', page.body.decode())
    assert found
    return solve(found[1], int(found[2]))


def step_of(page: Answer) -> str:
    found = re.search(r"\?__step=([\w-]+)", page.body.decode())
    assert found
    return found[1]


def cookie_of(answer: Answer) -> str:
    value = dict(answer.headers).get("Set-Cookie", "")
    return value.removeprefix("datadome=").partition(";")[0]


# -- keys


def test_accepted_key_is_judged_any_other_is_400() -> None:
    api = make_api(OPEN, keys=["first", "zweiter-Schlüssel"])

    def ask(key: str | None) -> tuple[int, bytes]:
        answer = api.respond(Call(orjson.dumps({**BROWSER, "Key": key}), JSON))
        assert isinstance(answer, Answer)
        return answer.status, answer.body

    assert ask("first") == ask("zweiter-Schlüssel") == (200, b"")
    assert ask("third") == ask("firs") == ask("first ") == (400, b"the Key field is no accepted key")
    assert ask("") == ask(None) == (400, b"the Key field is missing")


def test_no_configured_keys_accept_any_but_an_empty_one() -> None:
    engine = Engine(OPEN)

    assert engine.ask(Key="whatever").status == 200
    assert engine.ask(Key="").status == 400


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"{", JSON, 400), (b"[]", JSON, 400), (b"Key=k", "text/plain", 415), (b" " * 24_577, JSON, 413)],
)
def test_call_that_describes_nothing_is_refused_and_not_observed(body: bytes, content_type: str, status: int) -> None:
    seen = Seen()

    answer = make_api(OPEN, observer=seen).respond(Call(body, content_type))

    assert isinstance(answer, Answer)
    assert answer.status == status
    assert "X-DataDomeResponse" not in dict(answer.headers)  # no decision: some modules show visitors a 400 that has it
    assert seen.decided == []


def test_form_is_judged_like_json() -> None:
    seen = Seen()

    answer = make_api(observer=seen).respond(Call(b"Key=k&UserAgent=curl%2F8.9.1&IP=192.0.2.7", FORM))

    assert isinstance(answer, Answer) and answer.status == 403
    assert (seen.decided[0].identity.name, seen.decided[0].request.where.text) == ("curl", "192.0.2.7")


def test_request_ids_and_sessions_differ() -> None:
    engine = Engine(OPEN)

    first, second = (dict(engine.ask().headers) for _ in range(2))

    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first["X-DataDome-requestid"]
    )
    assert first["X-DataDome-requestid"] != second["X-DataDome-requestid"]
    assert first["Set-Cookie"] != second["Set-Cookie"]


def test_observer_is_told_what_the_answer_says() -> None:
    engine = Engine()

    headers = dict(engine.ask().headers)

    (decided,) = engine.seen.decided
    assert decided.request_id == headers["X-DataDome-requestid"]
    assert decided.verdict.rule == headers["X-DataDome-ruletype"] == "ask"
    assert decided.request.host == "shop.example"


# -- proofs


def test_solved_challenge_opens_a_session_that_is_let_through() -> None:
    engine = Engine()
    page = engine.ask()
    assert (page.status, engine.last) == (403, ("challenge", "ask", ""))
    assert cookie_of(page) == ""

    solved = engine.ask(proof_of(page))
    assert (solved.status, engine.last, engine.session) == (200, ("allow", "default", "proved"), "proved")
    assert dict(solved.headers)["Set-Cookie"] == (
        f"datadome={cookie_of(solved)}; Max-Age=1000; Path=/; SameSite=Lax; Secure"
    )

    after = engine.ask(cookie_of(solved))
    assert (after.status, engine.last, engine.session) == (200, ("allow", "default", ""), "proved")
    assert cookie_of(after) == ""


def test_solved_challenge_by_session_by_header_answers_the_same_way() -> None:
    engine = Engine()

    answer = engine.api.respond(Call(orjson.dumps({**BROWSER, "ClientID": engine.proof()}), JSON, x_set_cookie=True))

    assert isinstance(answer, Answer) and answer.status == 200
    assert dict(answer.headers)["X-Set-Cookie"].startswith("datadome=")


def test_proof_counts_once() -> None:
    engine = Engine()
    proof = engine.proof()
    assert engine.ask(proof).status == 200

    again = engine.ask(proof)

    assert (again.status, engine.last, cookie_of(again)) == (403, ("challenge", "ask", "replayed"), "")
    assert proof_of(again) != proof


def test_proof_shown_again_where_nobody_is_challenged_overwrites_no_session() -> None:
    """Two tabs show one proof: the slower answer must not take away what the faster one brought."""
    engine = Engine("preset: none\nrules: [{name: ask, match: {path: ^/shop}, action: challenge}]")
    proof = engine.proof(Request="/shop")
    assert engine.ask(proof, Request="/shop").status == 200

    other = engine.ask(proof, Request="/news")

    assert (other.status, engine.last, cookie_of(other)) == (200, ("allow", "default", "replayed"), "")


def test_proof_is_shared_by_engines_of_one_store_and_counts_once() -> None:
    store = MemoryStore(clock=lambda: NOW_S)
    one, other = Engine(store=store), Engine(store=store)
    proof = one.proof()

    assert other.ask(proof).status == 200
    assert one.ask(proof).status == 403
    assert one.last[2] == "replayed"


@pytest.mark.parametrize(
    "fields",
    [{"Host": "other.example"}, {"IP": "192.0.3.7"}, {"IP": "2001:db8::1"}, {"UserAgent": FIREFOX}, {"UserAgent": ""}],
)
def test_proof_of_somebody_else_is_refused(fields: dict[str, Any]) -> None:
    engine = Engine()
    proof = engine.proof()

    assert engine.ask(proof, **fields).status == 403
    assert engine.last == ("challenge", "ask", "forged")
    assert engine.ask(proof).status == 200  # it was not spent


@pytest.mark.parametrize("fields", [{"IP": "192.0.2.250"}, {"Host": "SHOP.example.:443"}, {"Request": "/other"}])
def test_proof_holds_in_the_same_network_and_on_the_same_site(fields: dict[str, Any]) -> None:
    engine = Engine()

    assert engine.ask(engine.proof(), **fields).status == 200


def test_proof_from_another_address_is_accepted_where_addresses_do_not_bind() -> None:
    engine = Engine(bind_address=False)

    solved = engine.ask(engine.proof(), IP="203.0.113.9")

    assert solved.status == 200
    assert engine.ask(cookie_of(solved), IP="198.51.100.9").status == 200


@pytest.mark.parametrize(
    ("later_s", "presented"),
    [(LIFETIME_S - 1, "proved"), (LIFETIME_S, "expired"), (-60, "proved"), (-61, "future")],
)
def test_proof_holds_for_its_time(later_s: float, presented: str) -> None:
    engine = Engine()
    proof = engine.proof()

    engine.now_s += later_s
    engine.ask(proof)

    assert engine.last[2] == presented


def test_address_passes_a_bounded_number_of_challenges_for_a_while() -> None:
    """Else one address would collect sessions, each with limits of its own."""
    engine = Engine()
    for _ in range(PASSES[2]):
        engine.ask(engine.proof(IP="203.0.113.7"), IP="203.0.113.7")
        assert engine.session == "proved"

    engine.ask(engine.proof(IP="203.0.113.7"), IP="203.0.113.7")
    assert (engine.last, engine.session) == (("challenge", "ask", "limited"), "none")
    engine.ask(engine.proof(IP="198.51.100.9"), IP="198.51.100.9")
    assert engine.session == "proved"
    engine.now_s += PASSES[1] / PASSES[0]
    engine.ask(engine.proof(IP="203.0.113.7"), IP="203.0.113.7")
    assert engine.session == "proved"


def test_proof_that_solves_nothing_is_refused() -> None:
    engine = Engine()
    token = engine.proof()[:44]

    engine.ask(token + "." + "A" * 32)

    assert engine.last == ("challenge", "ask", "unsolved")


@pytest.mark.parametrize(("score", "difficulty"), [(0, 12), (24, 12), (25, 13), (50, 14), (100, 15)])
def test_challenge_is_harder_for_who_has_a_score(score: int, difficulty: int) -> None:
    tag = f"{{name: tag, action: tag, add_score: {score}}}"
    engine = Engine(f"preset: none\nrules: [{tag}, {{name: ask, action: challenge}}]")

    page = engine.ask()

    assert f'data-difficulty="{difficulty}"' in page.body.decode()
    assert engine.ask(proof_of(page)).status == 200


def test_accepted_proof_of_a_visitor_over_a_limit_is_not_lost() -> None:
    engine = Engine(f"{ASK[:-1]}, {{name: slow, action: rate_limit, limit: {{requests: 1, per: 1h, by: address}}}}]")
    engine.ask(engine.proof())  # the only request of the hour

    limited = engine.ask(engine.proof())

    assert (limited.status, engine.last) == (429, ("limit", "slow", "proved"))
    engine.now_s += 900
    assert engine.ask(cookie_of(limited)).status == 429  # and is no longer challenged


# -- steps


def test_step_leads_back_after_its_wait() -> None:
    engine = Engine()
    step = step_of(engine.ask(Request="/cart?a=1"))

    engine.now_s += WAIT_S
    back = engine.ask(Request=f"/cart?__step={step}&a=1")

    assert (back.status, dict(back.headers)["Location"]) == (302, "/cart?a=1")
    assert (engine.last, engine.session) == (("redirect", "default", "waited"), "waited")
    assert engine.ask(cookie_of(back), Request="/cart?a=1").status == 200


def test_step_too_early_is_challenged_again() -> None:
    engine = Engine()
    step = step_of(engine.ask())

    engine.now_s += WAIT_S - 0.001
    early = engine.ask(Request=f"/?__step={step}")
    assert (early.status, engine.last) == (403, ("challenge", "ask", "early"))

    engine.now_s += 0.001
    assert engine.ask(Request=f"/?__step={step}").status == 302  # asking early has not spent it


def test_step_counts_once() -> None:
    engine = Engine()
    step = step_of(engine.ask())
    engine.now_s += WAIT_S
    engine.ask(Request=f"/?__step={step}")

    assert engine.ask(Request=f"/?__step={step}").status == 403
    assert engine.last[2] == "replayed"


@pytest.mark.parametrize("first", ["proof", "step"])
def test_step_and_proof_of_one_challenge_are_spent_together(first: str) -> None:
    engine = Engine()
    page = engine.ask()
    proof, waited = proof_of(page), f"/?__step={step_of(page)}"
    engine.now_s += WAIT_S
    one, other = ((proof, "/"), ("", waited)) if first == "proof" else (("", waited), (proof, "/"))

    engine.ask(one[0], Request=one[1])
    assert engine.last[2] in ("proved", "waited")
    engine.ask(other[0], Request=other[1])

    assert engine.last == ("challenge", "ask", "replayed")


@pytest.mark.parametrize(
    ("fields", "later_s", "presented"),
    [
        ({"Host": "other.example"}, WAIT_S, "forged"),
        ({"IP": "192.0.3.7"}, WAIT_S, "forged"),
        ({"UserAgent": FIREFOX}, WAIT_S, "forged"),
        ({}, LIFETIME_S, "expired"),
    ],
)
def test_step_of_somebody_else_or_too_late_is_refused(fields: dict[str, Any], later_s: float, presented: str) -> None:
    engine = Engine()
    step = step_of(engine.ask())

    engine.now_s += later_s

    assert engine.ask(Request=f"/?__step={step}", **fields).status == 403
    assert engine.last[2] == presented


@pytest.mark.parametrize("step", ["", "x", "s" * 44, "p" * 44, "s" * 44 + "%00", "s" * 5000])
def test_step_that_is_none_is_challenged(step: str) -> None:
    engine = Engine()

    assert engine.ask(Request=f"/?__step={step}").status == 403
    assert engine.last[2] in ("malformed", "forged")


def test_step_beside_a_session_that_solved_takes_nothing_from_it() -> None:
    engine = Engine()
    cookie = engine.proved()
    step = step_of(engine.ask(Request="/a?b"))
    engine.now_s += WAIT_S

    answer = engine.ask(cookie, Request=f"/a?__step={step}&b")

    assert (answer.status, dict(answer.headers)["Location"], cookie_of(answer)) == (302, "/a?b", "")
    assert (engine.session, engine.last[2]) == ("proved", "")


def test_step_that_is_refused_but_needed_by_nobody_leads_back_all_the_same() -> None:
    engine = Engine(OPEN)
    step = step_of(Engine().ask(Request="/a?b"))

    answer = engine.ask(Request=f"/a?__step={step}&b")

    assert (answer.status, dict(answer.headers)["Location"]) == (302, "/a?b")
    assert engine.last == ("redirect", "default", "early")


def test_parameter_of_the_sites_own_is_left_alone() -> None:
    engine = Engine(OPEN)

    assert engine.ask(Request="/a?__step=2&b").status == 200
    assert engine.last == ("allow", "default", "malformed")


def test_step_that_is_not_the_first_parameter_is_left_alone() -> None:
    engine = Engine()
    step = step_of(engine.ask())
    engine.now_s += WAIT_S

    engine.ask(Request=f"/?a=1&__step={step}")

    assert engine.last == ("challenge", "ask", "")


def test_waited_session_does_not_pass_a_challenge_that_needs_javascript() -> None:
    engine = Engine()
    step = step_of(engine.ask())
    engine.now_s += WAIT_S
    engine.api.terms = replace(engine.api.terms, policy=make_terms(ASK_SCRIPT).policy)

    answer = engine.ask(Request=f"/?__step={step}")

    assert (answer.status, engine.last) == (403, ("challenge", "ask", "waited"))
    assert "__step" not in answer.body.decode()


def test_step_where_a_rule_redirects_goes_where_the_rule_says() -> None:
    engine = Engine()
    step = step_of(engine.ask())
    engine.now_s += WAIT_S
    moved = "preset: none\nrules: [{name: moved, action: redirect, redirect: {to: /new, status: 301}}]"
    engine.api.terms = replace(engine.api.terms, policy=make_terms(moved).policy)

    answer = engine.ask(Request=f"/?__step={step}")

    assert (answer.status, dict(answer.headers)["Location"]) == (301, "/new")


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        ("/", "", "/"),
        ("/a/b", "&x=1&y=%20", "/a/b?x=1&y=%20"),
        ("/a", "&", "/a?"),
        ("//evil.example/x", "", "/.//evil.example/x"),
        ("///evil.example", "", "/.///evil.example"),
        ("/\\evil.example", "", "/%5Cevil.example"),
        ("\\\\evil.example", "", "/%5C%5Cevil.example"),
        ("/\t/evil.example", "", "/%09/evil.example"),
        ("/\r\nSet-Cookie: a=b", "&\r\nX: y", "/%0D%0ASet-Cookie:%20a=b?%0D%0AX:%20y"),
        ("http://evil.example/", "", "/http://evil.example/"),
        ("evil.example", "", "/evil.example"),
        ("/é", "&ü=1", "/%C3%A9?%C3%BC=1"),
        ("/.//evil.example", "", "/.//evil.example"),
        ("/a#b", "", "/a%23b"),
    ],
)
def test_step_leads_to_the_same_site_only(path: str, query: str, location: str) -> None:
    engine = Engine()
    step = step_of(engine.ask())
    engine.now_s += WAIT_S

    back = engine.ask(Request=f"{path}?__step={step}{query}")

    assert (back.status, dict(back.headers)["Location"]) == (302, location)


@given(st.text(max_size=40), st.text(max_size=40))
def test_location_of_a_step_is_a_path_of_this_host_whatever_was_asked_for(path: str, query: str) -> None:
    engine = Engine()
    step = step_of(engine.ask())
    engine.now_s += WAIT_S
    try:
        back = engine.ask(Request=f"{path.replace('?', '')}?__step={step}&{query}")
    except orjson.JSONEncodeError:  # half a surrogate pair is no JSON
        return

    location = dict(back.headers)["Location"]
    assert re.fullmatch(r"/(?![/\\])[!-~]*", location)
    assert "\\" not in location.partition("?")[0]


# -- sessions


def test_visitor_gets_a_session_once() -> None:
    engine = Engine(OPEN)
    cookie = cookie_of(engine.ask())
    assert engine.session == "visitor"

    assert cookie_of(engine.ask(cookie)) == ""
    assert engine.session == "visitor"


def test_visitor_is_no_proof() -> None:
    engine = Engine(OPEN)
    cookie = cookie_of(engine.ask())
    engine.api.terms = replace(engine.api.terms, policy=make_terms(ASK).policy)

    assert engine.ask(cookie).status == 403


@pytest.mark.parametrize("policy", [ASK, "preset: none\nrules: [{name: no, action: block}]"])
def test_who_is_stopped_gets_no_session(policy: str) -> None:
    assert cookie_of(Engine(policy).ask()) == ""


def test_visitor_is_renewed_after_half_its_life_and_stays_who_it_is() -> None:
    engine = Engine(OPEN)
    cookie = cookie_of(engine.ask())
    known = engine.seen.decided[-1].request.session

    engine.now_s += LIFE_S / 2
    assert cookie_of(engine.ask(cookie)) == ""
    engine.now_s += 1
    renewed = cookie_of(engine.ask(cookie))
    engine.now_s += LIFE_S - 1
    engine.ask(renewed)

    session = engine.seen.decided[-1].request.session
    assert (session.kind, session.id) == ("visitor", known.id)


def test_proved_session_is_not_prolonged() -> None:
    engine = Engine()
    cookie = engine.proved()

    engine.now_s += LIFE_S - 1
    assert (engine.ask(cookie).status, cookie_of(engine.ask(cookie))) == (200, "")
    engine.now_s += 1
    assert engine.ask(cookie).status == 403
    assert engine.session == "none"


@pytest.mark.parametrize(
    "fields", [{"Host": "other.example"}, {"IP": "192.0.3.7"}, {"UserAgent": FIREFOX}], ids=["site", "network", "agent"]
)
def test_session_of_somebody_else_is_none(fields: dict[str, Any]) -> None:
    engine = Engine()
    cookie = engine.proved()

    assert engine.ask(cookie, **fields).status == 403
    assert engine.session == "none"


def test_forged_session_is_none() -> None:
    engine = Engine()
    cookie = engine.proved()

    for index, character in enumerate(cookie):
        changed = "A" if character != "A" else "B"
        engine.ask(cookie[:index] + changed + cookie[index + 1 :])
        assert engine.session == "none", index


@pytest.mark.parametrize("cookie", ["A" * 40, "a" * 30 + "\r\nX: yzabcde", "é" * 40, "=" * 40, "x", "a.b", "p" * 77])
def test_cookie_that_is_nothing_of_ours_is_no_session(cookie: str) -> None:
    engine = Engine()

    assert engine.ask(cookie).status == 403
    assert engine.session == "none"


def test_key_that_was_rotated_still_counts_until_it_is_removed() -> None:
    engine = Engine()
    cookie, proof = engine.proved(), engine.proof()

    engine.change(b"new", SECRET)
    assert engine.ask(cookie).status == 200
    assert engine.ask(proof).status == 200
    newer = engine.proved()

    engine.change(b"new")
    assert engine.ask(cookie).status == 403
    assert engine.ask(newer).status == 200


def test_session_that_was_revoked_counts_as_none_and_is_replaced() -> None:
    engine = Engine()
    cookie = engine.proved()
    engine.override(f"session:{engine.seen.decided[-1].request.session.id}", "revoke")

    assert engine.ask(cookie).status == 403
    assert engine.session == "revoked"

    engine.api.terms = replace(engine.api.terms, policy=make_terms(OPEN).policy)
    assert cookie_of(engine.ask(cookie)) not in ("", cookie)
    assert engine.session == "visitor"


# -- overrides


def test_override_comes_before_any_rule() -> None:
    engine = Engine(
        "preset: none\nrules: [{name: open, match: {path: ^/open}, action: allow}, {name: no, action: block}]"
    )

    engine.override("192.0.2.0/24", "block")
    assert engine.ask(Request="/open").status == 403
    assert engine.last == ("block", "override-block", "")

    engine.override("192.0.2.7", "allow")
    assert engine.ask(Request="/closed").status == 200
    assert engine.last == ("allow", "override-allow", "")

    assert engine.ask(Request="/closed", IP="192.0.2.8").status == 403
    assert engine.last == ("block", "no", "")


def test_override_that_is_over_leaves_it_to_the_rules() -> None:
    engine = Engine(OPEN)
    engine.override("192.0.2.7", "block")

    engine.now_s += 1e6

    assert engine.ask().status == 200


def test_blocked_address_is_blocked_with_a_proved_session() -> None:
    engine = Engine()
    cookie = engine.proved()
    engine.override("192.0.2.7", "block")

    assert engine.ask(cookie).status == 403
    assert engine.last == ("block", "override-block", "")


# -- replies that are not there at once


class Later:
    """Answers like another respondent, but each time one turn of the loop later, or several."""

    def __init__(self, inner: Respondent, turns: Callable[[], int] = lambda: 1) -> None:
        self.inner = inner
        self.turns = turns
        self.patience_s: list[float] = []

    def answer(self, question: Question, now_s: float, patience_s: float = inf) -> Reply | Awaitable[Reply]:
        self.patience_s.append(patience_s)
        return self._wait(question, now_s)

    async def _wait(self, question: Question, now_s: float) -> Reply:
        for _ in range(self.turns()):
            await asyncio.sleep(0)
        reply = self.inner.answer(question, now_s)
        assert not isinstance(reply, Awaitable)
        return reply


class Held:
    """A store whose answers a test gives."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[Question, asyncio.Future[Reply]]] = asyncio.Queue()
        self.times_s: set[float] = set()

    def answer(self, question: Question, now_s: float, patience_s: float = inf) -> Awaitable[Reply]:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait((question, future))
        self.times_s.add(now_s)
        return future


async def test_look_ups_of_one_call_share_its_patience() -> None:
    """Else who signs falsely with the name of a slow crawler makes every check late, and passes."""
    now_s = [NOW_S]

    def later() -> int:
        now_s[0] += 0.05
        return 1

    signatures, verifier = Later(Standing("unknown"), later), Later(Standing("unknown"), later)
    api = ProtectionApi(
        make_terms(), catalogue(), Respondents(MemoryStore(), verifier, signatures), Seen(), lambda: now_s[0]
    )
    signed = {"Signature": "s=:YQ==:", "SignatureInput": 's=("@authority")', "SignatureAgent": '"https://a.example"'}
    fields = {**BROWSER, **signed, "UserAgent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}

    answer = api.respond(Call(orjson.dumps(fields), JSON))
    assert not isinstance(answer, Answer)
    assert (await answer).status == 403

    assert signatures.patience_s == [0.08]
    assert verifier.patience_s == [pytest.approx(0.03, abs=1e-6)]


async def test_store_of_one_call_has_what_is_left_of_its_budget() -> None:
    now_s = [NOW_S]

    def later() -> int:
        now_s[0] += 0.02
        return 1

    store = Later(MemoryStore(clock=lambda: NOW_S), later)
    limits = ", ".join(f"{{name: r{n}, action: rate_limit, limit: {{requests: 9}}}}" for n in range(3))
    api = ProtectionApi(
        make_terms(f"preset: none\nrules: [{limits}]"), catalogue(),
        Respondents(store, Standing("unknown"), Standing("unknown")), Seen(), lambda: now_s[0],
    )  # fmt: skip

    await answered(api.respond(Call(orjson.dumps(BROWSER), JSON)))

    assert store.patience_s == [pytest.approx(left, abs=1e-6) for left in (0.11, 0.09, 0.07)]


def test_network_passes_a_bounded_number_of_challenges_whatever_its_addresses() -> None:
    engine = Engine()
    for number in range(NETWORK_PASSES[2]):
        address = f"2001:db8:0:{number % 200:x}::1"
        engine.ask(engine.proof(IP=address), IP=address)
        assert engine.session == "proved"

    engine.ask(engine.proof(IP="2001:db8:0:ff::1"), IP="2001:db8:0:ff::1")
    assert engine.last[2] == "limited"


def test_proof_shown_again_and_again_costs_its_neighbours_nothing() -> None:
    engine = Engine()
    proof = engine.proof()
    for _ in range(PASSES[2] + 10):
        engine.ask(proof)

    engine.ask(engine.proof())
    assert engine.session == "proved"


FOREIGN = {"Method": "POST", "SecFetchSite": "cross-site", "SecFetchMode": "navigate", "SecFetchDest": "document"}


@pytest.mark.parametrize(
    ("fields", "opens"),
    [
        (FOREIGN, False),  # a form of another site: the browser leaves the cookie at home, and would take a new one
        ({**FOREIGN, "SecFetchSite": "same-origin"}, True),
        ({**FOREIGN, "Method": "GET"}, True),  # a link: the cookie comes along
        ({"Method": "POST", "SecFetchSite": None, "Origin": "https://evil.example"}, False),
        ({"Method": "POST", "SecFetchSite": None, "Origin": f"https://{BROWSER['Host']}"}, True),
        ({"Method": "POST", "SecFetchSite": None, "Origin": None}, True),
    ],
)
def test_form_of_another_site_opens_no_session_over_the_visitors_own(fields: dict[str, Any], opens: bool) -> None:
    engine = Engine(OPEN)

    assert bool(cookie_of(engine.ask(**fields))) is opens


COUNTING = """
preset: none
rules:
  - {name: first, action: rate_limit, limit: {requests: 3, per: 1h, by: address}}
  - {name: login, match: {path: ^/login, rate: {requests: 1, per: 1h, by: address}}, action: block}
  - {name: ask, match: {path: ^/login}, action: challenge}
"""


async def answered(answer: Answer | Awaitable[Answer]) -> Answer:
    return answer if isinstance(answer, Answer) else await answer


async def test_awaited_replies_give_the_answers_of_replies_at_once() -> None:
    def engine(wrap: Callable[[Respondent], Respondent]) -> Engine:
        return Engine(COUNTING, store=wrap(MemoryStore(clock=lambda: NOW_S)))

    async def told(asked: Engine) -> list[tuple[int, tuple[str, str, str], list[str]]]:
        result = []
        for path in ("/login", "/a", "/login", "/a", "/a"):
            answer = await answered(asked.respond(Request=path))
            names = [name for name, _ in answer.headers]
            result.append((answer.status, asked.last, names))
        other = {"IP": "198.51.100.1", "Request": "/login"}
        proof = proof_of(await answered(asked.respond(**other)))
        solved = await answered(asked.respond(proof, **{**other, "Request": "/a"}))
        result.append((solved.status, asked.last, [name for name, _ in solved.headers]))
        replayed = await answered(asked.respond(proof, **{**other, "Request": "/a"}))
        result.append((replayed.status, asked.last, [name for name, _ in replayed.headers]))
        return result

    at_once, later = await told(engine(lambda store: store)), await told(engine(Later))

    assert later == at_once
    assert [status for status, _, _ in at_once] == [403, 200, 403, 429, 429, 200, 200]


async def test_answer_is_there_at_once_unless_a_reply_must_be_waited_for() -> None:
    engine = Engine(COUNTING, store=Later(MemoryStore(clock=lambda: NOW_S)))

    refused = engine.respond(Key="")
    waiting = engine.respond()

    assert isinstance(refused, Answer) and not isinstance(waiting, Answer)
    assert (await waiting).status == 200


async def test_reply_that_comes_late_leaves_nothing_in_another_request() -> None:
    store = Held()
    engine = Engine(COUNTING, store=store)
    slow = engine.respond(Request="/login", IP="203.0.113.1", UserAgent=FIREFOX)
    quick = engine.respond(Request="/b", IP="203.0.113.2")
    assert not isinstance(slow, Answer) and not isinstance(quick, Answer)
    slow_task, quick_task = asyncio.ensure_future(slow), asyncio.ensure_future(quick)

    (first, first_reply), (second, second_reply) = await store.asked.get(), await store.asked.get()
    assert (first[0], second[0]) == ("first|203.0.113.1", "first|203.0.113.2")
    second_reply.set_result(MemoryStore(clock=lambda: NOW_S).answer(second, NOW_S))
    assert (await quick_task).status == 200

    engine.api.terms = replace(engine.api.terms, policy=make_terms(OPEN).policy)  # a reload in the middle
    engine.override("203.0.113.1", "block")
    engine.now_s += 100
    first_reply.set_result(MemoryStore(clock=lambda: NOW_S).answer(first, NOW_S))
    third, third_reply = await store.asked.get()
    third_reply.set_result(MemoryStore(clock=lambda: NOW_S).answer(third, NOW_S))

    assert store.times_s == {NOW_S}
    assert (await slow_task).status == 403  # by the terms, overrides and time under which it came
    assert engine.last == ("challenge", "ask", "")
    told = [(decided.request.where.text, decided.request.path) for decided in engine.seen.decided]
    assert told == [("203.0.113.2", "/b"), ("203.0.113.1", "/login")]


async def test_many_waiting_judgements_are_each_answered_as_if_alone() -> None:
    turns = random.Random(7)
    store = Later(MemoryStore(clock=lambda: NOW_S), lambda: turns.randrange(6))
    engine = Engine(COUNTING, store=store)
    one_address, paths = "203.0.113.200", ("/a", "/login")

    async def ask(number: int) -> tuple[str, str, int]:
        address = one_address if number % 4 == 0 else f"198.51.{number}.1"
        path = paths[number % 2] if number % 4 else "/a"
        answer = await answered(engine.respond(Request=path, IP=address))
        return address, path, answer.status

    told = await asyncio.gather(*(ask(number) for number in range(200)))

    statuses = [status for address, _, status in told if address == one_address]
    assert (statuses.count(200), statuses.count(429)) == (3, 47)  # exactly the limit
    alone = {(path, status) for address, path, status in told if address != one_address}
    assert alone == {("/a", 200), ("/login", 403)}
    assert len(engine.seen.decided) == 200
    assert len({decided.request_id for decided in engine.seen.decided}) == 200


async def test_late_standing_and_signature_are_waited_for() -> None:
    class Verified:
        def answer(self, question: Question, now_s: float, patience_s: float = inf) -> Reply:
            return SignedBy("verified", "agent.example")

    seen = Seen()
    api = ProtectionApi(
        make_terms(), catalogue(),
        Respondents(MemoryStore(clock=lambda: NOW_S), Later(Standing("verified")), Later(Verified())), seen,
        lambda: NOW_S,
    )  # fmt: skip
    googlebot = {**BROWSER, "UserAgent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}
    signed = {**BROWSER, "Signature": "sig=:YQ==:", "SignatureInput": 'sig=("@authority")'}

    for fields in (googlebot, signed):
        await answered(api.respond(Call(orjson.dumps(fields), JSON)))

    rules = [(decided.verdict.rule, decided.identity.name, decided.identity.family) for decided in seen.decided]
    assert rules == [("search-engine", "Googlebot", "good_bot"), ("signed-agent", "agent.example", "good_bot")]
