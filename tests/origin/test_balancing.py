"""Which server gets the next request, and which gets none."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gateway.config import parse_config
from gateway.origin.origin import Origin
from gateway.origin.server import OriginServer


def origin(*names: str, passive_failures: int = 3, **settings: Any) -> Origin:
    """An origin whose servers are never connected to; only its decisions are looked at."""
    servers = [f"http://{name}.example" for name in names]
    health = {"passive_failures": passive_failures, "ejection": "10s"}
    config = parse_config({"sites": [{"origin": {"servers": servers, "health": health, **settings}}]})
    return Origin(config.sites[0].origin, max_head_bytes=1000)


def chosen(balanced: Origin, count: int, now_s: float = 0.0) -> list[str]:
    """The names of the servers of the next requests, each of which ends before the next one."""
    names = []
    for _ in range(count):
        server = balanced.choose(now_s)
        assert server is not None
        names.append(server.name.removeprefix("http://").removesuffix(".example"))
    return names


def eject(server: OriginServer, now_s: float) -> None:
    while not server.failed(now_s):
        pass


async def test_single_server_gets_everything() -> None:
    assert chosen(origin("a"), 3) == ["a"] * 3


async def test_round_robin_goes_round() -> None:
    names = chosen(origin("a", "b", "c", balance="round_robin"), 6)
    assert names[:3] == names[3:]
    assert sorted(names[:3]) == ["a", "b", "c"]


async def test_round_robin_ignores_how_busy_a_server_is() -> None:
    balanced = origin("a", "b", balance="round_robin")
    balanced.servers[0].outstanding = 100
    assert Counter(chosen(balanced, 10)) == {"a": 5, "b": 5}


async def test_least_outstanding_takes_the_least_busy() -> None:
    balanced = origin("a", "b", "c")
    for server, outstanding in zip(balanced.servers, (2, 1, 3), strict=True):
        server.outstanding = outstanding
    assert chosen(balanced, 3) == ["b", "b", "b"]


async def test_least_outstanding_ties_go_round() -> None:
    assert Counter(chosen(origin("a", "b", "c"), 9)) == {"a": 3, "b": 3, "c": 3}


@pytest.mark.parametrize("balance", ["least_outstanding", "round_robin"])
async def test_retry_takes_another_server_if_there_is_one(balance: str) -> None:
    balanced = origin("a", "b", balance=balance)
    a, b = balanced.servers
    assert [balanced.choose(0.0, tried=a) for _ in range(4)] == [b] * 4
    eject(b, 0.0)
    assert balanced.choose(0.0, tried=a) is a


async def test_failures_in_a_row_eject_a_server_for_its_time() -> None:
    balanced = origin("a", "b", passive_failures=3)
    a, _ = balanced.servers
    assert [a.failed(5.0), a.failed(5.0), a.failed(5.0)] == [False, False, True]
    assert set(chosen(balanced, 6, now_s=14.9)) == {"b"}
    assert set(chosen(balanced, 6, now_s=15.0)) == {"a", "b"}


async def test_success_in_between_forgets_failures() -> None:
    (server,) = origin("a", passive_failures=2).servers
    assert server.failed(0.0) is False
    server.succeeded()
    assert server.failed(0.0) is False
    assert server.is_healthy(0.0) is True


async def test_server_back_from_ejection_is_ejected_by_one_more_failure() -> None:
    (server,) = origin("a", passive_failures=3).servers
    eject(server, 0.0)
    assert server.is_healthy(10.0) is True
    assert server.failed(10.0) is True
    assert server.is_healthy(19.9) is False


async def test_no_healthy_server_is_none() -> None:
    for balanced in (origin("a"), origin("a", "b")):
        for server in balanced.servers:
            eject(server, 0.0)
        assert balanced.choose(1.0) is None
        assert balanced.choose(10.0) is not None


async def test_server_that_fails_its_active_check_gets_nothing() -> None:
    balanced = origin("a", "b")
    balanced.servers[0].active_ok = False
    assert set(chosen(balanced, 4)) == {"b"}


async def test_origin_reads_its_settings() -> None:
    built = origin(
        "a",
        response_timeout="7s",
        idle_timeout="8s",
        connect_timeout="3s",
        retries=2,
        preserve_host=False,
        pool={"max_connections": 5, "max_idle": 4, "idle_timeout": "6s"},
    )
    assert (built.response_timeout_s, built.idle_timeout_s, built.retries, built.preserve_host) == (7.0, 8.0, 2, False)
    limits = built.servers[0].pool.limits
    assert (limits.max_connections, limits.max_idle, limits.idle_timeout_s) == (5, 4, 6.0)
    assert (limits.connect_timeout_s, limits.wait_s, limits.max_head_bytes) == (3.0, 3.0, 1000)
