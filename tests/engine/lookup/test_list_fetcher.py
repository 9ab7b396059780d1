"""Address lists by URL: kept fresh, and never lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from engine.lookup.web_server import Page, WebServer

from gateway.engine.bots.ranges import Ranges, load_ranges
from gateway.engine.lookup.list_fetcher import RETRY_S, ListFetcher, ListStatus, TakeOver
from gateway.engine.lookup.refresher import RangeRefresher, published_sources
from gateway.engine.network import Network
from gateway.errors import ConfigError, ListRefused

NOW_S = 1_800_000_000.0
Make = Callable[..., ListFetcher]


class Taken:
    """What was taken over, and a clock."""

    def __init__(self) -> None:
        self.lists: dict[str, list[str]] = {}
        self.now_s = NOW_S
        self.arrived = asyncio.Event()

    def __call__(self, name: str, networks: tuple[Network, ...]) -> TakeOver:
        if any(network.prefixlen == 0 for network in networks):
            raise ListRefused("everybody")

        def take_over() -> None:
            self.lists[name] = [str(network) for network in networks]
            self.arrived.set()

        return take_over


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
async def make(web_server: WebServer, tmp_path: Path, taken: Taken) -> AsyncIterator[Make]:
    """A fetcher of the list `office` with a cache in a folder that is not there yet."""
    async with AsyncExitStack() as stack:

        def make(interval_s: float = 3600.0, cache: Path | None = tmp_path / "cache", **sources: str) -> ListFetcher:
            chosen = sources or {"office": f"{web_server.url}/list"}
            fetcher = ListFetcher(chosen, interval_s, cache, taken, clock=lambda: taken.now_s)
            stack.push_async_callback(fetcher.close)
            return fetcher

        web_server.pages["/list"] = Page(b"192.0.2.0/24\n", headers={"ETag": '"1"'})
        yield make


async def test_list_is_taken_over_and_the_next_start_has_it_without_the_network(
    make: Make, web_server: WebServer, taken: Taken
) -> None:
    assert await make().refresh("office")
    assert taken.lists == {"office": ["192.0.2.0/24"]}

    taken.lists.clear()
    web_server.pages.clear()
    assert await make(0.0).load_cache() == 1
    assert taken.lists == {"office": ["192.0.2.0/24"]}


async def test_list_that_has_not_changed_is_not_sent_again_even_after_a_restart(
    make: Make, web_server: WebServer
) -> None:
    fetcher = make()
    assert await fetcher.refresh("office") and await fetcher.refresh("office")
    restarted = make()
    await restarted.load_cache()
    assert await restarted.refresh("office")

    assert web_server.asked == [("/list", ""), ("/list", '"1"'), ("/list", '"1"')]


async def test_list_that_has_not_changed_is_as_new_in_the_cache_as_the_answer_that_said_so(
    make: Make, web_server: WebServer, taken: Taken
) -> None:
    fetcher = make()
    await fetcher.refresh("office")
    taken.now_s += 3600.0
    await fetcher.refresh("office")
    asked = len(web_server.asked)

    restarted = make()
    await restarted.load_cache()
    assert restarted.status()["office"].fetched_s == NOW_S + 3600.0
    await run_until(restarted, None)
    assert len(web_server.asked) == asked


async def test_cache_of_the_future_does_not_put_fetching_off(make: Make, web_server: WebServer, taken: Taken) -> None:
    await make().refresh("office")
    taken.now_s -= 1e6

    restarted = make()
    await restarted.load_cache()
    assert restarted.status()["office"].fetched_s == taken.now_s


async def test_list_is_read_and_offered_in_a_thread_and_taken_over_on_the_loop(
    web_server: WebServer, tmp_path: Path
) -> None:
    web_server.pages["/list"] = Page(b"192.0.2.0/24\n")
    threads: list[threading.Thread] = []

    def offer(name: str, networks: tuple[Network, ...]) -> TakeOver:
        threads.append(threading.current_thread())
        return lambda: threads.append(threading.current_thread())

    fetcher = ListFetcher({"office": f"{web_server.url}/list"}, 60.0, tmp_path, offer)
    await fetcher.refresh("office")
    await fetcher.close()
    restarted = ListFetcher({"office": f"{web_server.url}/list"}, 60.0, tmp_path, offer)
    assert await restarted.load_cache() == 1
    main = threading.main_thread()
    assert [thread is main for thread in threads] == [False, True, False, True]
    await restarted.close()


async def test_list_that_another_one_knew_goes_on_from_there(make: Make, web_server: WebServer) -> None:
    former = make(cache=None)
    await former.refresh("office")
    fetcher = make(60.0, cache=None, renamed=f"{web_server.url}/list", other=f"{web_server.url}/other")
    fetcher.adopt([former])
    assert fetcher.status()["renamed"] == former.status()["office"]
    assert fetcher.status()["other"].fetched_s is None
    assert await fetcher.refresh("renamed")
    assert web_server.asked == [("/list", ""), ("/list", '"1"')]


@pytest.mark.parametrize(
    "page",
    [Page(status=503), Page(b"<html>Sorry</html>"), Page(b""), Page(b"0.0.0.0/0"), Page(b"192.0.2.1\nbroken")],
)
async def test_former_list_stays_whatever_is_wrong_with_the_newer_one(
    make: Make, web_server: WebServer, taken: Taken, page: Page
) -> None:
    fetcher = make()
    await fetcher.refresh("office")
    web_server.pages["/list"] = page

    assert not await fetcher.refresh("office")
    assert taken.lists == {"office": ["192.0.2.0/24"]}
    taken.lists.clear()
    assert await make().load_cache() == 1
    assert taken.lists == {"office": ["192.0.2.0/24"]}


async def test_run_fetches_what_is_due_and_nothing_else(make: Make, web_server: WebServer, taken: Taken) -> None:
    await make().refresh("office")
    restarted = make()
    await restarted.load_cache()
    asked = len(web_server.asked)
    web_server.arrived.clear()

    await run_until(restarted, None)
    assert len(web_server.asked) == asked

    taken.now_s += 3600.0
    await run_until(restarted, web_server.arrived)
    assert len(web_server.asked) == asked + 1


async def test_failure_is_tried_again_sooner_than_the_interval(make: Make, web_server: WebServer, taken: Taken) -> None:
    fetcher = make()
    web_server.pages["/list"] = Page(status=500)
    await fetcher.refresh("office")
    web_server.pages["/list"] = Page(b"192.0.2.9")

    taken.now_s += RETRY_S
    await run_until(fetcher, taken.arrived)
    assert taken.lists == {"office": ["192.0.2.9/32"]}


async def test_status_says_what_is_in_force_and_what_failed(make: Make, web_server: WebServer, taken: Taken) -> None:
    fetcher = make()
    url = f"{web_server.url}/list"
    assert fetcher.status() == {"office": ListStatus(url, None, 0, "")}
    await fetcher.refresh("office")
    assert fetcher.status() == {"office": ListStatus(url, NOW_S, 1, "")}
    web_server.pages["/list"] = Page(status=503)
    taken.now_s += 60.0
    await fetcher.refresh("office")
    assert fetcher.status() == {"office": ListStatus(url, NOW_S, 1, f"{url} answered 503, expected 200")}

    restarted = make()
    await restarted.load_cache()
    assert restarted.status() == {"office": ListStatus(url, NOW_S, 1, "")}


async def test_list_that_fails_is_said_once_and_once_when_it_is_back(
    make: Make, web_server: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "gateway.engine.lists")
    fetcher = make(office=f"{web_server.url}/list", other=f"{web_server.url}/other")
    failing = "list not refreshed, the former one stays in force"

    web_server.pages["/list"] = Page(status=503)
    await fetcher.refresh("office")
    web_server.pages["/list"] = Page(b"<html>Sorry</html>")
    await fetcher.refresh("office")
    await fetcher.refresh("other")
    assert [record.message for record in caplog.records] == [failing, failing]
    assert "<html>" in fetcher.status()["office"].error  # of the last try

    web_server.pages["/list"] = Page(b"192.0.2.1")
    await fetcher.refresh("office")
    await fetcher.refresh("office")
    assert [record.message for record in caplog.records[2:]] == ["list is refreshed again"]

    web_server.pages["/list"] = Page(status=503)
    await fetcher.refresh("office")
    assert [record.message for record in caplog.records[3:]] == [failing]


async def test_interval_of_zero_never_fetches(make: Make, web_server: WebServer) -> None:
    await make(0.0).run()

    assert web_server.asked == []


async def test_one_list_that_fails_does_not_keep_the_others(make: Make, web_server: WebServer, taken: Taken) -> None:
    fetcher = make(gone=f"{web_server.url}/gone", office=f"{web_server.url}/list")

    await run_until(fetcher, taken.arrived)
    assert taken.lists == {"office": ["192.0.2.0/24"]}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"url": "%s"}', '{"url": "%s", "etag": "", "fetched_s": 0, "networks": ["x"]}',
     '{"url": "%s", "etag": "", "fetched_s": 0, "networks": ["0.0.0.0/0"]}',
     '{"url": "https://other.example/", "etag": "", "fetched_s": 0, "networks": ["192.0.2.1"]}'],
)  # fmt: skip
async def test_cache_that_is_broken_or_of_another_url_is_not_used(
    make: Make, web_server: WebServer, tmp_path: Path, taken: Taken, content: str
) -> None:
    await make().refresh("office")
    taken.lists.clear()
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(content % f"{web_server.url}/list" if "%s" in content else content)

    assert await make().load_cache() == 0
    assert taken.lists == {}


async def test_cache_that_cannot_be_written_does_not_keep_the_list(make: Make, tmp_path: Path, taken: Taken) -> None:
    (tmp_path / "file").write_text("")

    assert await make(cache=tmp_path / "file").refresh("office")
    assert taken.lists == {"office": ["192.0.2.0/24"]}


async def test_cache_is_one_whole_file_of_a_name_that_leaves_no_folder(
    make: Make, web_server: WebServer, tmp_path: Path
) -> None:
    web_server.pages["/../../etc/passwd"] = web_server.pages["/etc/passwd"] = web_server.pages["/list"]
    await make(**{"../../etc/passwd": f"{web_server.url}/../../etc/passwd"}).refresh("../../etc/passwd")

    (file,) = (tmp_path / "cache").iterdir()
    assert json.loads(file.read_text())["networks"] == ["192.0.2.0/24"]


def test_url_that_is_never_fetched_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="the list office has the URL http://intranet/list"):
        ListFetcher({"office": "http://intranet/list"}, 60.0, None, lambda name, networks: lambda: None)


GOOGLE = "google-common-crawlers"


async def test_published_ranges_are_refreshed_over_the_shipped_ones(web_server: WebServer, tmp_path: Path) -> None:
    web_server.pages["/google"] = Page(b'{"prefixes": [{"ipv4Prefix": "8.8.8.0/24"}]}')
    seen: list[Ranges] = []
    sources = {GOOGLE: f"{web_server.url}/google"}
    refresher = RangeRefresher(load_ranges(), 60.0, tmp_path, seen.append, sources=sources)

    await refresher.lists.refresh(GOOGLE)
    await refresher.close()
    assert [(each.holds("Google", "8.8.8.8"), each.holds("Google", "66.249.66.1")) for each in seen] == [(True, False)]
    assert seen[0].holds("Bing", "157.55.39.1")

    restarted = RangeRefresher(load_ranges(), 0.0, tmp_path, seen.append, sources=sources)
    assert await restarted.load_cache() == 1
    assert restarted.ranges.holds("Google", "8.8.8.8")
    await restarted.close()


@pytest.mark.parametrize(
    "network", ["0.0.0.0/0", "8.0.0.0/8", "::/0", "2000::/3", "10.0.0.0/8", "127.0.0.1", "fe80::1"]
)
async def test_published_range_that_cannot_be_a_crawlers_is_refused(web_server: WebServer, network: str) -> None:
    web_server.pages["/google"] = Page(f"66.249.64.0/20\n{network}\n".encode())
    seen: list[Ranges] = []
    refresher = RangeRefresher(load_ranges(), 60.0, None, seen.append, sources={GOOGLE: f"{web_server.url}/google"})

    assert not await refresher.lists.refresh(GOOGLE)
    await refresher.close()
    assert seen == []


def test_every_published_source_is_https() -> None:
    assert len(published_sources()) > 20
    assert all(url.startswith("https://") for url in published_sources().values())


def test_shipped_ranges_would_pass_the_check_of_newer_ones() -> None:
    from gateway.engine.bots.ranges import _snapshot
    from gateway.engine.lookup.refresher import _check

    for entry in _snapshot()["lists"].values():
        _check(tuple(ip_network(network) for network in entry["networks"].split()))


async def run_until(fetcher: Any, event: asyncio.Event | None) -> None:
    """Run in the background until the event, or for a few turns of the loop without one."""
    task = asyncio.ensure_future(fetcher.run())
    if event is None:
        for _ in range(20):
            await asyncio.sleep(0)
    else:
        await event.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
