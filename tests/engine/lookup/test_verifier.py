"""Whether an address belongs to an operator, asked of a real name server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from ipaddress import ip_address, ip_network

import pytest
from engine.lookup.name_server import AAAA, CNAME, PTR, REFUSED, SERVFAIL, A, NameServer
from fakes import eventually

from gateway.engine.bots.ranges import Ranges
from gateway.engine.lookup.verifier import REMEMBERED_S, Verifier, VerifierSettings
from gateway.engine.question import Identify, Standing
from gateway.engine.store import MemoryStore
from gateway.errors import StoreError

NOW_S = 1_800_000_000.0
BOT = "66.249.66.1"
NAME = "crawl-66-249-66-1.googlebot.com"
BOT6 = "2001:4860:4801:10::1"
Make = Callable[..., Verifier]


@pytest.fixture
async def make(name_server: NameServer) -> AsyncIterator[Make]:
    """A verifier that knows no ranges, asks the name server, and whose askers wait for the end."""
    async with AsyncExitStack() as stack:

        def make(ranges: Ranges | None = None, shared: object = None, **settings: object) -> Verifier:
            chosen = {"nameservers": (name_server.address,), "wait_s": 10.0, "query_timeout_s": 5.0} | settings
            chosen.setdefault("total_timeout_s", 9.0)
            verifier = Verifier(ranges or Ranges({}), VerifierSettings(**chosen), shared)  # type: ignore[arg-type]
            stack.push_async_callback(verifier.close)
            return verifier

        yield make


async def ask(verifier: Verifier, operator: str = "Google", address: str = BOT, now_s: float = NOW_S) -> Standing:
    reply = verifier.answer(Identify(operator, address), now_s)
    return reply if isinstance(reply, str) else await reply


async def test_address_whose_name_points_back_is_verified(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, NAME, BOT)

    assert await ask(make()) == "verified"


async def test_ipv6_address_whose_name_points_back_is_verified(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT6, NAME, "2001:4860:4801:0010:0000::1")

    assert await ask(make(), address=BOT6) == "verified"
    assert name_server.asked[NAME, AAAA] == 1 and name_server.asked[NAME, A] == 0


async def test_name_in_capitals_with_several_addresses_is_verified(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, "CRAWL.GoogleBot.COM", "66.249.66.9", BOT)

    assert await ask(make()) == "verified"


async def test_chain_of_names_is_followed_both_ways(make: Make, name_server: NameServer) -> None:
    reverse = ip_address(BOT).reverse_pointer
    name_server.answers[reverse, PTR] = [(CNAME, "1.0-63.66.249.66.in-addr.arpa"), (PTR, NAME)]  # RFC 2317
    name_server.answers[NAME, A] = [(CNAME, "pool.googlebot.com"), (A, BOT)]

    assert await ask(make()) == "verified"


async def test_one_of_several_names_that_points_back_is_enough(make: Make, name_server: NameServer) -> None:
    name_server.answers[ip_address(BOT).reverse_pointer, PTR] = [
        (PTR, "host.example"), (PTR, "broken.googlebot.com"), (PTR, NAME),
    ]  # fmt: skip
    name_server.answers["broken.googlebot.com", A] = SERVFAIL
    name_server.answers[NAME, A] = [(A, BOT)]

    assert await ask(make()) == "verified"


@pytest.mark.parametrize(
    "name",
    ["evilgooglebot.com", "googlebot.com.evil.example", "googlebot.com", "crawl.googlebot.com.example",
     "google-proxy-1-2-3-4.google.com", "a.googlebot.co"],
)  # fmt: skip
async def test_name_of_somebody_else_is_fake_without_a_second_question(
    make: Make, name_server: NameServer, name: str
) -> None:
    name_server.point(BOT, name, BOT)

    assert await ask(make()) == "fake"
    assert sum(name_server.asked.values()) == 1


async def test_name_that_points_elsewhere_is_fake(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, NAME, "66.249.66.2")

    assert await ask(make()) == "fake"


async def test_name_that_does_not_exist_is_fake(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, NAME)

    assert await ask(make()) == "fake"


@pytest.mark.parametrize("answer", [None, []])
async def test_address_without_a_name_is_fake(make: Make, name_server: NameServer, answer: object) -> None:
    if answer is not None:
        name_server.answers[ip_address(BOT).reverse_pointer, PTR] = []

    assert await ask(make()) == "fake"


async def test_name_that_is_no_name_is_fake_or_unknown_but_never_verified(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, "a b\\..googlebot.com", BOT)

    assert await ask(make()) in ("fake", "unknown")


@pytest.mark.parametrize("answer", [SERVFAIL, REFUSED, b"\x00", b"\xff" * 64])
async def test_resolver_that_fails_proves_nothing(make: Make, name_server: NameServer, answer: int | bytes) -> None:
    name_server.answers[ip_address(BOT).reverse_pointer, PTR] = answer

    assert await ask(make(query_timeout_s=0.05)) == "unknown"


async def test_name_whose_server_fails_proves_nothing(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, NAME, BOT)
    name_server.answers[NAME, A] = SERVFAIL

    assert await ask(make(query_timeout_s=0.05)) == "unknown"


async def test_silence_is_bounded_and_remembered_for_a_short_time(make: Make, name_server: NameServer) -> None:
    name_server.answers[ip_address(BOT).reverse_pointer, PTR] = None
    verifier = make(total_timeout_s=0.05)

    assert await ask(verifier) == "unknown"
    name_server.point(BOT, NAME, BOT)
    assert await ask(verifier, now_s=NOW_S + REMEMBERED_S["unknown"] - 1) == "unknown"
    assert await ask(verifier, now_s=NOW_S + REMEMBERED_S["unknown"]) == "verified"


async def test_name_servers_that_are_gone_prove_nothing() -> None:
    verifier = Verifier(Ranges({}), VerifierSettings(nameservers=("127.0.0.1:9",), wait_s=10.0))

    assert await ask(verifier) == "unknown"
    await verifier.close()


@pytest.mark.parametrize(("name", "standing"), [(NAME, "verified"), ("host.example", "fake")])
async def test_proof_is_remembered_for_its_time(
    make: Make, name_server: NameServer, name: str, standing: Standing
) -> None:
    name_server.point(BOT, name, BOT)
    verifier = make()
    assert await ask(verifier) == standing
    asked = name_server.asked.total()

    assert verifier.answer(Identify("Google", BOT), NOW_S + REMEMBERED_S[standing] - 1) == standing
    assert verifier.answer(Identify("Google", f"::ffff:{BOT}"), NOW_S) == standing  # the same address
    assert name_server.asked.total() == asked
    reply = verifier.answer(Identify("Google", BOT), NOW_S + REMEMBERED_S[standing])
    assert not isinstance(reply, str) and await reply == standing


async def test_proof_for_one_operator_is_none_for_another(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, NAME, BOT)
    verifier = make()

    assert [await ask(verifier), await ask(verifier, "Bing")] == ["verified", "fake"]


async def test_many_askers_make_one_look_up(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, NAME, BOT)
    verifier = make(max_waiting=100, max_waiting_of_a_network=100)

    assert await asyncio.gather(*(ask(verifier) for _ in range(100))) == ["verified"] * 100
    assert name_server.asked == {(ip_address(BOT).reverse_pointer, PTR): 1, (NAME, A): 1}


async def test_asker_who_cannot_wait_hears_unknown_and_the_next_one_knows(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, NAME, BOT)
    name_server.go_on.clear()
    verifier = make(wait_s=0.01)

    assert await ask(verifier) == "unknown"
    await name_server.arrived.wait()
    assert verifier.running_count == 1
    name_server.go_on.set()
    await verifier.settle()
    assert verifier.answer(Identify("Google", BOT), NOW_S) == "verified"


async def test_verifier_that_never_waits_answers_at_once_and_knows_next_time(
    make: Make, name_server: NameServer
) -> None:
    name_server.point(BOT, NAME, BOT)
    verifier = make(wait_s=0.0)

    assert verifier.answer(Identify("Google", BOT), NOW_S) == "unknown"
    await verifier.settle()
    assert verifier.answer(Identify("Google", BOT), NOW_S) == "verified"


async def test_look_ups_over_the_limit_are_unknown_at_once_and_not_remembered(
    make: Make, name_server: NameServer
) -> None:
    name_server.go_on.clear()
    verifier = make(max_running=4)
    waiting = [asyncio.ensure_future(ask(verifier, address=f"66.249.66.{n}")) for n in range(1, 3)]
    await name_server.arrived.wait()

    name_server.point("66.249.66.3", NAME, "66.249.66.3")
    assert verifier.answer(Identify("Google", "66.249.66.3"), NOW_S) == "unknown"
    name_server.go_on.set()
    assert await asyncio.gather(*waiting) == ["fake", "fake"]
    assert await ask(verifier, address="66.249.66.3") == "verified"


FLOODER = "2a01:4f8:9::"
"""A network whose owner answers no question about its names."""
YANDEX, YANDEX_NAME = "77.88.5.9", "spider-77-88-5-9.yandex.com"


def silent(name_server: NameServer, *addresses: str) -> tuple[str, ...]:
    for address in addresses:
        name_server.answers[ip_address(address).reverse_pointer, PTR] = None
    return addresses


def begin(verifier: Verifier, addresses: Iterable[str], operator: str = "Yandex") -> list[Awaitable[Standing]]:
    """Those who wait for an answer; the others heard "unknown" at once."""
    replies = [verifier.answer(Identify(operator, address), NOW_S) for address in addresses]
    assert {reply for reply in replies if isinstance(reply, str)} <= {"unknown"}
    return [reply for reply in replies if not isinstance(reply, str)]


async def test_crawler_is_verified_while_another_network_floods_with_claims(
    make: Make, name_server: NameServer
) -> None:
    name_server.point(YANDEX, YANDEX_NAME, YANDEX)
    verifier = make(total_timeout_s=60.0)

    waiting = begin(verifier, silent(name_server, *(f"{FLOODER}{n:x}" for n in range(1, 300))))
    assert (verifier.running_count, len(waiting)) == (4, 4)
    assert await ask(verifier, "Yandex", YANDEX) == "verified"
    await verifier.close()
    assert await asyncio.gather(*waiting) == ["unknown"] * 4


async def test_crawler_is_verified_while_many_networks_flood_with_claims_of_another_name(
    make: Make, name_server: NameServer
) -> None:
    name_server.point(YANDEX, YANDEX_NAME, YANDEX)
    verifier = make(total_timeout_s=60.0, max_waiting=0)

    begin(verifier, silent(name_server, *(f"203.0.{n}.1" for n in range(1, 100))), "Baidu")
    assert verifier.running_count == 32
    begin(verifier, silent(name_server, *(f"198.51.{n}.1" for n in range(1, 100))), "Naver")
    assert verifier.running_count == 48
    verifier.answer(Identify("Yandex", YANDEX), NOW_S)
    await eventually(lambda: verifier.answer(Identify("Yandex", YANDEX), NOW_S) == "verified", "the look-up's end")


async def test_places_of_look_ups_that_are_over_are_free_again(make: Make, name_server: NameServer) -> None:
    verifier = make()
    for first in (1, 5):
        waiting = begin(verifier, (f"45.33.32.{n}" for n in range(first, first + 9)))
        assert (verifier.running_count, len(waiting)) == (4, 4)
        assert await asyncio.gather(*waiting) == ["fake"] * 4
        await eventually(lambda: verifier.running_count == 0, "the look-ups' end")


async def test_askers_without_a_seat_hear_unknown_at_once_and_the_look_up_goes_on(
    make: Make, name_server: NameServer
) -> None:
    name_server.point(BOT, NAME, BOT)
    name_server.go_on.clear()
    verifier = make(max_waiting=2)

    waiting = begin(verifier, [BOT] * 9, "Google")
    assert (len(waiting), begin(verifier, ["45.33.32.1"])) == (2, [])
    assert verifier.running_count == 2
    name_server.go_on.set()
    assert await asyncio.gather(*waiting) == ["verified"] * 2
    await verifier.settle()
    assert verifier.answer(Identify("Yandex", "45.33.32.1"), NOW_S) == "fake"


async def test_asker_who_was_never_awaited_leaves_his_seat(make: Make, name_server: NameServer) -> None:
    silent(name_server, BOT)
    verifier = make(wait_s=0.01, max_waiting=1)
    (given_up,) = begin(verifier, [BOT])
    given_up.close()  # type: ignore[attr-defined]

    assert begin(verifier, [BOT]) == []
    found: list[Awaitable[Standing]] = []
    await eventually(lambda: found.extend(begin(verifier, [BOT])) or found, "a free seat")
    assert [await each for each in found] == ["unknown"]


async def test_close_ends_look_ups_and_their_askers(make: Make, name_server: NameServer) -> None:
    name_server.go_on.clear()
    verifier = make()
    waiting = asyncio.ensure_future(ask(verifier))
    await name_server.arrived.wait()

    await verifier.close()
    assert await waiting == "unknown"
    assert verifier.running_count == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "nonsense", ""])
async def test_address_that_nobody_can_have_is_fake_without_a_question(
    make: Make, name_server: NameServer, address: str
) -> None:
    assert make().answer(Identify("Google", address), NOW_S) == "fake"
    assert name_server.asked.total() == 0


async def test_address_in_a_published_range_needs_no_look_up_and_ranges_can_change(make: Make) -> None:
    ranges = Ranges({}).with_list("google-common-crawlers", [ip_network("66.249.64.0/20")])
    verifier = make(dns=False)

    assert verifier.answer(Identify("Google", BOT), NOW_S) == "unknown"
    verifier.use(ranges)
    assert verifier.answer(Identify("Google", BOT), NOW_S) == "verified"
    assert verifier.answer(Identify("Yandex", BOT), NOW_S) == "unknown"  # host names alone, and nobody may ask


class Gone:
    """A store that is not there."""

    async def cache_get(self, key: str) -> str | None:
        raise StoreError("gone")

    async def cache_put(self, key: str, value: str, ttl_s: float) -> None:
        raise StoreError("gone")


async def test_what_one_engine_found_out_the_others_know(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, NAME, BOT)
    shared = MemoryStore()
    first = make(shared=shared)
    assert await ask(first) == "verified"
    await first.settle()
    assert await shared.cache_get(f"standing|Google|{BOT}") == "verified"
    asked = name_server.asked.total()

    assert await ask(make(shared=shared)) == "verified"
    assert name_server.asked.total() == asked


async def test_unknown_is_not_shared(make: Make, name_server: NameServer) -> None:
    name_server.answers[ip_address(BOT).reverse_pointer, PTR] = SERVFAIL
    shared = MemoryStore()

    assert await ask(make(shared=shared, query_timeout_s=0.05)) == "unknown"
    assert await shared.cache_get(f"standing|Google|{BOT}") is None


async def test_shared_text_that_is_no_proof_is_not_believed(make: Make, name_server: NameServer) -> None:
    shared = MemoryStore()
    await shared.cache_put(f"standing|Google|{BOT}", "trusted", 60.0)

    assert await ask(make(shared=shared)) == "fake"


async def test_shared_store_that_is_gone_costs_nothing_but_the_look_up(make: Make, name_server: NameServer) -> None:
    name_server.point(BOT, NAME, BOT)

    assert await ask(make(shared=Gone())) == "verified"
