"""gateway.engine.store.valkey on a real server: what engines that share it have in common."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Certificates
from fakes import eventually
from valkey_server import ValkeyServer, needs_server

from gateway.engine.network import place
from gateway.engine.override import MAX_OVERRIDES, Override
from gateway.engine.question import Count, Counted, Identify, Question, Spend
from gateway.engine.store.valkey import ValkeyStore
from gateway.errors import OverrideError

pytestmark = needs_server

NOW_S = 1_700_000_000.0  # far from the server's clock, which is the one that counts

LEAST_RIGHTS = (
    "~gateway:*", "&gateway:*", "+eval", "+evalsha", "+time", "+get", "+set", "+hget", "+hgetall", "+hset", "+hsetnx",
    "+hincrby", "+hdel", "+hexists", "+hlen", "+publish", "+subscribe",
)  # fmt: skip

StartStore = Callable[..., Awaitable[ValkeyStore]]


async def ask(store: ValkeyStore, question: Question, now_s: float = NOW_S) -> Any:
    """The reply, whether it came at once or was awaited."""
    reply = store.answer(question, now_s)
    return await reply if isinstance(reply, Awaitable) else reply


def ban(subject: str, for_s: float = 60.0, action: str = "block") -> Override:
    now_s = time.time()
    return Override.of(subject, action, now_s + for_s, "test", now_s)


# -- questions


async def test_count_under_concurrency_of_two_stores_allows_exactly_the_burst(
    server: ValkeyServer, store_on: StartStore
) -> None:
    stores = [await store_on(server.url), await store_on(server.url)]
    question = Count("rule|203.0.113.7", limit=1, per_s=3600.0, burst=137)
    replies = await asyncio.gather(*(ask(stores[number % 2], question) for number in range(1_000)))
    assert sum(reply.allowed for reply in replies) == 137
    assert all(3_590 < reply.retry_after_s <= 3_600 for reply in replies if not reply.allowed)
    assert [store.local_answers for store in stores] == [0, 0]


async def test_count_goes_by_the_clock_of_the_server(server: ValkeyServer, store_on: StartStore) -> None:
    stores = [await store_on(server.url), await store_on(server.url)]
    question = Count("rule|203.0.113.7", limit=1, per_s=3600.0, burst=2)
    times_s = (0.0, NOW_S, 2 * NOW_S)
    replies = [await ask(stores[number % 2], question, now_s) for number, now_s in enumerate(times_s)]
    assert [reply.allowed for reply in replies] == [True, True, False]


async def test_count_after_its_wait_is_allowed_and_its_key_expires(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    question = Count("rule|x", limit=100, per_s=1.0, burst=1)
    assert await ask(store, question) == Counted(True, 0.0)
    with server.client() as client:
        await eventually(lambda: not client.exists("gateway:count:rule|x"), "the key to expire")
    assert await ask(store, question) == Counted(True, 0.0)


async def test_count_of_a_lowered_burst_locks_nobody_out(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    for _ in range(100):
        await ask(store, Count("rule|x", limit=1, per_s=10.0, burst=100))
    reply = await ask(store, Count("rule|x", limit=1, per_s=10.0, burst=2))
    assert reply == Counted(False, 10.0)


async def test_count_is_answered_after_the_scripts_were_flushed(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    with server.client() as client:
        client.script_flush()
    questions = [Count(f"rule|{number % 3}", 1, 3600.0, 2) for number in range(9)]
    replies = await asyncio.gather(*(ask(store, question) for question in questions))
    assert [reply.allowed for reply in replies] == [True] * 6 + [False] * 3
    assert (store.errors, store.local_answers) == (0, 0)


async def test_spent_proof_is_spent_for_every_store(server: ValkeyServer, store_on: StartStore) -> None:
    first, second = await store_on(server.url), await store_on(server.url)
    replies = await asyncio.gather(*(ask(store, Spend("proof", 60.0)) for store in (first, second, first, second)))
    assert sorted(replies) == [False, False, False, True]
    assert await ask(second, Spend("proof", 60.0)) is False
    with server.client() as client:
        assert 59_000 < client.pttl("gateway:spent:proof") <= 60_000


async def test_prefixes_keep_two_deployments_apart(server: ValkeyServer, store_on: StartStore) -> None:
    one, other = await store_on(server.url, prefix="one:"), await store_on(server.url, prefix="other:")
    await one.put(ban("203.0.113.7"))
    assert [await ask(store, Spend("proof", 60.0)) for store in (one, other)] == [True, True]
    assert await other.list() == []


async def test_question_of_another_kind_is_a_defect(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    with pytest.raises(TypeError, match="Identify"):
        store.answer(Identify("google", "203.0.113.7"), NOW_S)


async def test_caller_that_has_gone_disturbs_nobody(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    gone = asyncio.ensure_future(ask(store, Count("rule|x", 1, 60.0, 1)))
    await asyncio.sleep(0)  # it has asked
    gone.cancel()
    assert await ask(store, Spend("proof", 60.0)) is True
    assert store.errors == 0


async def test_cache_is_shared(server: ValkeyServer, store_on: StartStore) -> None:
    first, second = await store_on(server.url), await store_on(server.url)
    await first.cache_put("identify|203.0.113.7", "vérified", 60.0)
    assert await second.cache_get("identify|203.0.113.7") == "vérified"
    assert await second.cache_get("other") is None


# -- overrides


async def test_override_is_in_force_on_every_store_at_once(server: ValkeyServer, store_on: StartStore) -> None:
    first, second = await store_on(server.url), await store_on(server.url)
    entry, revoked = ban("203.0.113.0/24"), ban("session:abc", action="revoke")
    await first.put(entry)
    await first.put(revoked)
    now_s = time.time()
    assert first.overrides.find(place("203.0.113.9"), now_s) == entry
    await eventually(lambda: second.overrides.is_revoked("abc", now_s), "the other store to read the list")
    assert second.overrides.find(place("203.0.113.9"), now_s) == entry
    assert await second.list() == sorted([entry, revoked], key=lambda each: each.until_s)
    assert await second.remove("203.0.113.0/24") is True
    assert await second.remove("203.0.113.0/24") is False
    await eventually(lambda: first.overrides.find(place("203.0.113.9"), now_s) is None, "the removal to arrive")


async def test_store_that_starts_later_knows_the_overrides(server: ValkeyServer, store_on: StartStore) -> None:
    entry = ban("203.0.113.7", action="allow")
    await (await store_on(server.url)).put(entry)
    later = await store_on(server.url)
    assert list(later.overrides) == [entry]


async def test_list_that_is_full_takes_the_place_of_what_is_over_and_else_refuses(
    server: ValkeyServer, store_on: StartStore
) -> None:
    store = await store_on(server.url)
    now_s = time.time()
    over = Override("198.51.100.1", "block", now_s - 1.0, "", now_s - 2.0)
    live = [Override(f"10.0.{n >> 8}.{n & 255}", "block", now_s + 600.0, "", now_s) for n in range(MAX_OVERRIDES - 1)]
    with server.client() as client:
        client.hset("gateway:overrides", mapping={each.subject: each.encode() for each in [over, *live]})
        client.hset("gateway:overrides", "version", 1)
    await store.put(ban("203.0.113.7"))
    with pytest.raises(OverrideError, match="10000"):
        await store.put(ban("203.0.113.8"))
    await store.put(ban("203.0.113.7", action="allow"))
    assert len(await store.list()) == MAX_OVERRIDES


async def test_entry_that_nobody_can_read_hides_no_other(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    with server.client() as client:
        client.hset("gateway:overrides", "203.0.113.1", b"\xff not ours")
    entry = ban("203.0.113.7")
    await store.put(entry)
    assert await store.list() == [entry]


async def test_store_that_lost_the_list_gets_it_back(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    entry = ban("203.0.113.7")
    await store.put(entry)
    server.flush()
    assert await store.list() == [entry]
    assert list((await store_on(server.url)).overrides) == [entry]


# -- ways to reach a server


async def test_unix_socket_and_database_number(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(f"unix:{server.socket_file}?db=3")
    assert await ask(store, Spend("proof", 60.0)) is True
    with server.client() as client:
        client.select(3)
        assert client.exists("gateway:spent:proof")


async def test_user_with_the_least_rights_can_do_everything(
    own_server: Callable[..., ValkeyServer], store_on: StartStore
) -> None:
    server = own_server("--requirepass", "s3cr/t", "--user", "engine", "on", ">p@ss", *LEAST_RIGHTS)
    first, second = [
        await store_on(f"valkey://{user}@127.0.0.1:{server.port}") for user in ("engine:p%40ss", ":s3cr%2Ft")
    ]
    assert (first.degraded_reason, second.degraded_reason) == ("", "")
    assert await ask(first, Count("rule|x", 1, 60.0, 1)) == Counted(True, 0.0)
    assert await ask(first, Spend("proof", 60.0)) is True
    await first.cache_put("k", "v", 60.0)
    assert await second.cache_get("k") == "v"
    await second.put(ban("203.0.113.7"))
    await eventually(lambda: len(first.overrides) == 1, "the subscription to tell of the override")
    assert await first.remove("203.0.113.7") is True
    assert first.degraded_reason == ""


async def test_tls_is_verified_against_the_authorities(
    own_server: Callable[..., ValkeyServer], store_on: StartStore, certificates: Certificates
) -> None:
    server = own_server(
        "--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no",
        "--tls-cert-file", str(certificates.certificate_file), "--tls-key-file", str(certificates.key_file),
        "--tls-ca-cert-file", str(certificates.ca_file),
    )  # fmt: skip
    url = f"valkeys://127.0.0.1:{server.port}"
    store = await store_on(url, ca=str(certificates.ca_file))
    assert store.degraded_reason == ""
    assert await ask(store, Spend("proof", 60.0)) is True
    stranger = await store_on(url)  # the system's authorities did not issue that certificate
    assert "certificate verify failed" in stranger.degraded_reason


async def test_cluster_with_tls(
    own_server: Callable[..., ValkeyServer], store_on: StartStore, certificates: Certificates
) -> None:
    server = own_server(
        "--cluster-enabled", "yes", "--tls-cluster", "yes",
        "--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no",
        "--tls-cert-file", str(certificates.certificate_file), "--tls-key-file", str(certificates.key_file),
        "--tls-ca-cert-file", str(certificates.ca_file),
    )  # fmt: skip
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    url = f"valkeys+cluster://localhost:{server.port}"
    store = await store_on(url, ca=str(certificates.ca_file))
    await eventually(lambda: store.degraded_reason == "", "the cluster to be ready")
    assert await ask(store, Spend("proof", 60.0)) is True
    stranger = await store_on(url)
    assert stranger.degraded_reason


async def test_cluster_answers_whatever_node_has_the_key(
    own_server: Callable[..., ValkeyServer], store_on: StartStore, tmp_path: Path
) -> None:
    nodes = [own_server("--cluster-enabled", "yes") for _ in range(2)]
    halves = [(0, 8191), (8192, 16383)]
    for node, half in zip(nodes, halves, strict=True):
        with node.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", *half)
    with nodes[0].client() as client:
        client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, nodes[1].bus_port)
    for node in nodes:
        with node.client() as client:
            await eventually(
                lambda client=client: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO", NEVER_DECODE=[]),
                "the cluster",
            )
    url = f"valkey+cluster://127.0.0.1:{nodes[0].port},127.0.0.1:{nodes[1].port}"
    first, second = await store_on(url), await store_on(url)
    assert (first.degraded_reason, second.degraded_reason) == ("", "")
    questions = [Count(f"rule|{number % 50}", 1, 3600.0, 5) for number in range(500)]
    replies = await asyncio.gather(*(ask((first, second)[n // 50 % 2], each) for n, each in enumerate(questions)))
    assert sum(reply.allowed for reply in replies) == 250
    assert (first.errors, second.errors) == (0, 0)
    await first.put(ban("203.0.113.7"))
    await eventually(lambda: len(second.overrides) == 1, "the override on the other engine")
