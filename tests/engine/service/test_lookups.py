"""The lists of a policy: fetched, put together with its own addresses, and kept over a reload of the policy."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from engine.lookup.web_server import Page, WebServer
from fakes import eventually

from gateway.config import EngineCrawlers
from gateway.engine.network import Networks, place
from gateway.engine.policy.condition import NamedSet
from gateway.engine.policy.loading import FetchedSet
from gateway.engine.policy.model import AddressSet
from gateway.engine.service import lookups as lookups_module
from gateway.engine.service.lookups import Lookups
from gateway.engine.store import MemoryStore
from gateway.errors import ConfigError

Make = Callable[..., Lookups]


def fetched_set(*urls: str, **settings: Any) -> FetchedSet:
    """With one address of its own, 203.0.113.7."""
    own = Networks.parse(["203.0.113.7"])
    return FetchedSet(AddressSet.model_validate({"urls": list(urls), **settings}), NamedSet(own), own)


def holds(one: FetchedSet, *addresses: str) -> list[bool]:
    return [one.target.networks.holds(place(address)) for address in addresses]


@pytest.fixture
async def make(web_server: WebServer) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make(cache: Path | None = None, **sets: FetchedSet) -> Lookups:
            settings = {"dns": False, "agents": [], "cache": None if cache is None else str(cache)}
            lookups = Lookups(EngineCrawlers.model_validate(settings), MemoryStore(), sets)
            stack.push_async_callback(lookups.stop)
            return lookups

        web_server.pages["/one"] = Page(b"198.51.100.0/24\n", headers={"ETag": '"1"'})
        web_server.pages["/two"] = Page(b"192.0.2.0/24\n")
        yield make


async def fetched(lookups: Lookups, *names: str) -> None:
    await eventually(lambda: all(lookups.status()[name]["fetched_s"] is not None for name in names), "the lists")


async def test_set_holds_its_own_addresses_and_every_list(make: Make, web_server: WebServer) -> None:
    partners = fetched_set(f"{web_server.url}/one", f"{web_server.url}/two")
    lookups = make(partners=partners)

    await lookups.start()
    await fetched(lookups, "partners[0]", "partners[1]")
    assert holds(partners, "203.0.113.7", "198.51.100.9", "192.0.2.9", "8.8.8.8") == [True, True, True, False]


async def test_list_is_put_together_in_a_thread(
    make: Make, web_server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100,000 networks take half a second, in which calls must be answered."""
    threads = []

    class SeenNetworks(Networks):
        def __init__(self, networks: Any = ()) -> None:
            threads.append(threading.current_thread())
            super().__init__(networks)

    monkeypatch.setattr(lookups_module, "Networks", SeenNetworks)
    lookups = make(partners=fetched_set(f"{web_server.url}/one"))

    await lookups.start()
    await fetched(lookups, "partners[0]")
    assert threads and threading.main_thread() not in threads


async def test_reload_goes_on_with_the_urls_that_stay_and_forgets_the_others(
    make: Make, web_server: WebServer
) -> None:
    one, two = f"{web_server.url}/one", f"{web_server.url}/two"
    lookups = make(partners=fetched_set(one, two))
    await lookups.start()
    await fetched(lookups, "partners[0]", "partners[1]")
    before, web_server.asked[:] = lookups.status()["partners[0]"], []

    friends = fetched_set(one)
    await lookups.use({"friends": friends})
    assert holds(friends, "203.0.113.7", "198.51.100.9", "192.0.2.9") == [True, True, False]
    assert lookups.status()["friends[0]"] == before

    again = fetched_set(one, two)
    await lookups.use({"again": again})
    assert holds(again, "198.51.100.9", "192.0.2.9") == [True, False]
    await fetched(lookups, "again[1]")
    assert holds(again, "198.51.100.9", "192.0.2.9") == [True, True]
    assert web_server.asked == [("/two", "")]


async def test_reload_with_a_shorter_rhythm_fetches_what_is_due_by_it_and_sends_the_etag(
    make: Make, web_server: WebServer
) -> None:
    url = f"{web_server.url}/one"
    lookups = make(partners=fetched_set(url, refresh="1h"))
    await lookups.start()
    await fetched(lookups, "partners[0]")
    web_server.arrived.clear()

    shorter = fetched_set(url, refresh="1ms")
    await lookups.use({"partners": shorter})
    await web_server.arrived.wait()
    assert web_server.asked == [("/one", ""), ("/one", '"1"')]
    assert holds(shorter, "198.51.100.9") == [True]


async def test_reload_that_adds_a_set_begins_with_what_the_cache_has(
    make: Make, web_server: WebServer, tmp_path: Path
) -> None:
    url = f"{web_server.url}/one"
    lookups = make(tmp_path, partners=fetched_set(url))
    await lookups.start()
    await eventually(lambda: list(tmp_path.glob("*.json")), "the cache")
    await lookups.stop()

    restarted, later = make(tmp_path), fetched_set(url)
    await restarted.start()
    await restarted.use({"other-name": later})
    assert holds(later, "198.51.100.9") == [True]
    assert len(web_server.asked) == 1


async def test_reload_with_a_url_that_is_never_fetched_changes_nothing(make: Make, web_server: WebServer) -> None:
    lookups = make(partners=fetched_set(f"{web_server.url}/one"))
    await lookups.start()
    await fetched(lookups, "partners[0]")
    unfit = fetched_set()
    unfit = unfit._replace(settings=unfit.settings.model_copy(update={"urls": ("http://intranet/list",)}))

    with pytest.raises(ConfigError, match="http://intranet/list"):
        await lookups.use({"office": unfit})
    assert list(lookups.status()) == [*lookups._refresher.lists.status(), "partners[0]"]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "128.0.0.0/7", "::/0", "2000::/15", "::ffff:0:0/96"])
async def test_list_that_holds_half_of_the_world_is_refused(make: Make, web_server: WebServer, network: str) -> None:
    web_server.pages["/one"] = Page(f"198.51.100.0/24\n{network}\n".encode())
    partners = fetched_set(f"{web_server.url}/one")
    lookups = make(partners=partners)

    await lookups.start()
    await eventually(lambda: lookups.status()["partners[0]"]["error"], "the refusal")
    assert lookups.status()["partners[0]"]["error"] == (
        f"the list has {network}, expected nothing wider than /8, IPv6 /16"
    )
    assert holds(partners, "203.0.113.7", "198.51.100.9") == [True, False]


async def test_widest_networks_of_a_list_are_taken(make: Make, web_server: WebServer) -> None:
    web_server.pages["/one"] = Page(b"11.0.0.0/8\n2001::/16\n")
    partners = fetched_set(f"{web_server.url}/one")
    lookups = make(partners=partners)

    await lookups.start()
    await fetched(lookups, "partners[0]")
    assert holds(partners, "11.1.1.1", "2001:db8::1") == [True, True]
