"""gateway.engine.store.valkey when its server is away, killed, held, or refuses: decisions go on, and it is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from fakes import eventually
from redis.exceptions import ClusterDownError, MovedError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from valkey_server import ValkeyServer, needs_server

from gateway.engine.network import place
from gateway.engine.override import Override
from gateway.engine.question import Count, Counted, Question, Spend
from gateway.engine.store import link, valkey
from gateway.engine.store.valkey import ValkeyStore
from gateway.errors import StoreError

pytestmark = needs_server

NOW_S = 1_700_000_000.0
HASTY_S = 0.05
GONE = "the shared store is gone: decisions go on from this engine's own state"

StartStore = Callable[..., Awaitable[ValkeyStore]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing here is about how long the pauses are."""
    monkeypatch.setattr(valkey, "RETRY_S", 0.05)
    yield


async def ask(store: ValkeyStore, question: Question, now_s: float = NOW_S) -> Any:
    """The reply, whether it came at once or was awaited."""
    reply = store.answer(question, now_s)
    return await reply if isinstance(reply, Awaitable) else reply


async def recovered(store: ValkeyStore) -> None:
    await eventually(lambda: store.degraded_reason == "", "the store to be reached")


async def lost(store: ValkeyStore) -> None:
    await eventually(lambda: store.degraded_reason, "the loss to be noticed")


def ban(subject: str) -> Override:
    now_s = time.time()
    return Override.of(subject, "block", now_s + 60.0, "test", now_s)


async def test_start_without_a_server_is_degraded_and_recovers(
    own_server: Callable[..., ValkeyServer], store_on: StartStore
) -> None:
    server = own_server()
    server.kill()
    store = await store_on(server.url)
    assert "refused" in store.degraded_reason.lower() or "111" in store.degraded_reason
    assert store.answer(Count("rule|x", 1, 60.0, 1), NOW_S) == Counted(True, 0.0)  # at once, not awaited
    assert store.answer(Count("rule|x", 1, 60.0, 1), NOW_S) == Counted(False, 60.0)
    assert (store.local_answers, store.errors > 0) == (2, True)
    server.start()
    await recovered(store)
    assert await ask(store, Count("rule|x", 1, 60.0, 1)) == Counted(True, 0.0)
    assert store.local_answers == 2


async def test_server_killed_in_the_middle_leaves_nobody_without_an_answer(
    server: ValkeyServer, store_on: StartStore
) -> None:
    store = await store_on(server.url)
    answered = 0

    async def visit(visitor: int) -> None:
        nonlocal answered
        for _ in range(40):
            reply = await ask(store, Count(f"rule|{visitor}", 1, 3600.0, 1_000))
            assert reply.allowed
            answered += 1
            if answered == 500:
                server.kill()

    await asyncio.gather(*(visit(visitor) for visitor in range(50)))
    assert answered == 2_000
    await lost(store)
    assert store.local_answers > 0
    server.start()
    await recovered(store)
    assert await ask(store, Spend("proof", 60.0)) is True


async def test_loss_gives_nobody_a_fresh_burst(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    now_s = time.time()
    question = Count("rule|x", 1, 3600.0, 3)
    assert [(await ask(store, question, now_s)).allowed for _ in range(4)] == [True, True, True, False]
    server.kill()
    await lost(store)
    assert (await ask(store, question, now_s)).allowed is False


async def test_server_that_hangs_costs_one_budget_and_then_nothing(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url, timeout_s=HASTY_S)
    await recovered(store)  # a busy machine may have been late already
    server.hold()
    try:
        question = Count("rule|x", 1, 60.0, 100)
        replies = await asyncio.gather(*(ask(store, question) for _ in range(50)))
        assert replies == [Counted(True, 0.0)] * 50
        assert store.degraded_reason in ("no reply within 50 ms", "no reply within 1 s")
        assert store.local_answers >= 50
        assert isinstance(store.answer(question, NOW_S), Counted)  # not even asked
    finally:
        server.release()
    await recovered(store)


async def test_server_that_is_asked_for_too_much_at_once_is_not_asked(
    server: ValkeyServer, store_on: StartStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "WAITING", 10)
    store = await store_on(server.url)
    replies = await asyncio.gather(*(ask(store, Count("rule|x", 1, 60.0, 1_000)) for _ in range(30)))
    assert [reply.allowed for reply in replies] == [True] * 30
    assert (store.local_answers, store.errors) == (20, 0)


async def test_spent_proofs_are_refused_here_during_a_loss_and_everywhere_after_it(
    server: ValkeyServer, store_on: StartStore
) -> None:
    store, other = await store_on(server.url), await store_on(server.url)
    now_s = time.time()
    assert await ask(store, Spend("before", 60.0), now_s) is True
    server.kill()
    await lost(store)
    replies = [store.answer(Spend(id, 60.0), now_s) for id in ("before", "during", "during")]
    assert replies == [False, True, False]
    server.start()
    await recovered(store)
    await recovered(other)
    assert await ask(other, Spend("during", 60.0), now_s) is False
    assert await ask(other, Spend("after", 60.0), now_s) is True


async def test_overrides_stay_in_force_during_a_loss_and_come_back_with_the_server(
    server: ValkeyServer, store_on: StartStore
) -> None:
    store = await store_on(server.url)
    entry = ban("203.0.113.0/24")
    await store.put(entry)
    server.kill()
    await lost(store)
    assert store.overrides.find(place("203.0.113.9"), time.time()) == entry
    for attempt in (store.put(ban("198.51.100.1")), store.remove("203.0.113.0/24"), store.list()):
        with pytest.raises(StoreError, match=r"valkey://127\.0\.0\.1:\d+ is not reached \("):
            await attempt
    server.start()  # without persistence: it has forgotten everything
    await recovered(store)
    assert await store.list() == [entry]


async def test_operator_learns_that_a_held_server_may_have_changed(
    server: ValkeyServer, store_on: StartStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "CONNECT_S", HASTY_S)
    store = await store_on(server.url)
    await recovered(store)
    server.hold()
    try:
        with pytest.raises(StoreError, match="whether the change was made is not known"):
            await store.put(ban("203.0.113.7"))
    finally:
        server.release()


async def test_cache_during_a_loss_is_that_of_this_engine(server: ValkeyServer, store_on: StartStore) -> None:
    store, other = await store_on(server.url), await store_on(server.url)
    await other.cache_put("theirs", "v", 60.0)
    server.kill()
    await lost(store)
    await store.cache_put("ours", "v", 60.0)
    assert [await store.cache_get(key) for key in ("ours", "theirs")] == ["v", None]


async def test_wrong_password_is_said_without_the_password(
    own_server: Callable[..., ValkeyServer], store_on: StartStore, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_server("--requirepass", "right")
    store = await store_on(f"valkey://:wr0ng-s3cret@127.0.0.1:{server.port}")
    assert "invalid username-password pair" in store.degraded_reason
    with pytest.raises(StoreError) as caught:
        await store.list()
    said = [str(caught.value), store.degraded_reason, caplog.text, *(str(vars(record)) for record in caplog.records)]
    assert GONE in caplog.text
    assert not [text for text in said if "wr0ng" in text]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--replicaof", "127.0.0.1", "1"), "read only"),
        (("--maxmemory", "1", "--maxmemory-policy", "noeviction"), "maxmemory"),
        (("--user", "default", "on", "nopass", "~*", "resetchannels", "+@all"), "channel"),
        (("--user", "default", "on", "nopass", "~*", "&*", "+@all", "-time"), "can't run this command"),
    ],
)
async def test_server_that_refuses_what_is_needed_is_never_taken_for_a_working_one(
    own_server: Callable[..., ValkeyServer], store_on: StartStore, arguments: tuple[str, ...], said: str
) -> None:
    store = await store_on(own_server(*arguments).url)
    errors = store.errors
    await eventually(lambda: store.errors > errors, "another attempt")
    assert said in store.degraded_reason
    assert store.answer(Count("rule|x", 1, 60.0, 1), NOW_S) == Counted(True, 0.0)


async def test_server_that_begins_to_refuse_is_left(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        assert await ask(store, Count("rule|x", 1, 60.0, 1)) == Counted(True, 0.0)
        assert "read only" in store.degraded_reason
        client.replicaof("NO", "ONE")
    await recovered(store)


async def test_key_of_another_type_costs_the_others_nothing(
    server: ValkeyServer, store_on: StartStore, caplog: pytest.LogCaptureFixture
) -> None:
    store, other = await store_on(server.url), await store_on(server.url)
    with server.client() as client:
        client.lpush("gateway:count:rule|list", "x")
        client.lpush("gateway:cache:list", "x")

        spoilt, sound = Count("rule|list", 1, 60.0, 1), Count("rule|sound", 1, 60.0, 1)
        together = await asyncio.gather(*(ask(store, each) for each in (sound, spoilt, sound, spoilt)))
        found = await store.cache_get("list")

        assert together == [Counted(True, 0.0), Counted(True, 0.0), approximately(60.0), Counted(False, 60.0)]
        assert found is None
        assert await ask(other, sound) == approximately(60.0)  # the counter of both
        assert (store.degraded_reason, store.errors, store.local_answers) == ("", 3, 2)
        assert "WRONGTYPE" in str([vars(record) for record in caplog.records])


def approximately(retry_after_s: float) -> Counted:
    return Counted(False, pytest.approx(retry_after_s, abs=20.0))


async def test_server_that_begins_to_be_full_is_left(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    with server.client() as client:
        client.config_set("maxmemory", 1)
        assert await ask(store, Count("rule|x", 1, 60.0, 1)) == Counted(True, 0.0)
        assert "maxmemory" in store.degraded_reason
        client.config_set("maxmemory", 0)
    await recovered(store)


async def test_user_who_may_no_longer_do_what_is_needed_has_lost_the_store(
    own_server: Callable[..., ValkeyServer], store_on: StartStore
) -> None:
    server = own_server()
    store = await store_on(server.url)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-time")
        assert await ask(store, Count("rule|x", 1, 60.0, 1)) == Counted(True, 0.0)
        assert "can't run this command" in store.degraded_reason
        client.execute_command("ACL", "SETUSER", "default", "+time")
    await recovered(store)


@pytest.mark.parametrize(
    ("refusal", "of_one_command"),
    [
        (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), True),
        (ResponseError("value is not an integer or out of range"), True),
        (ResponseError("Error running script (call to f_0): @user_script:4: WRONGTYPE Operation against a key"), True),
        (ResponseError("Error running script (call to f_0): @user_script:4: -READONLY You can't write"), False),
        (ResponseError("Error running script (call to f_0): @user_script:4: -OOM command not allowed"), False),
        (ResponseError("MISCONF Errors writing to the AOF file"), False),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), False),
        (ResponseError("BUSY Redis is busy running a script."), False),
        (ResponseError("NOAUTH Authentication required."), False),
        (ResponseError("LOADING Redis is loading the dataset in memory"), False),
        (ResponseError("unknown command 'EVALSHA', with args beginning with: "), False),
        (ClusterDownError("CLUSTERDOWN The cluster is down"), False),
        (MovedError("1 127.0.0.1:7000"), False),
        (ReadOnlyError("You can't write against a read only replica."), False),
        (RedisConnectionError("Connection closed by server."), False),
        (RuntimeError("a defect"), False),
    ],
)
def test_refusal_is_of_one_command_unless_the_next_one_would_meet_it_too(
    refusal: Exception, of_one_command: bool
) -> None:
    assert link._is_of_one_command(refusal) is of_one_command


async def test_subscription_that_ends_alone_is_made_anew(server: ValkeyServer, store_on: StartStore) -> None:
    store, other = await store_on(server.url), await store_on(server.url)
    with server.client() as client:
        await eventually(lambda: client.client_kill_filter(_type="pubsub") or store.errors, "the end of a subscription")
    await eventually(lambda: store.errors, "the end to be noticed")
    await recovered(store)
    await recovered(other)
    await other.put(ban("203.0.113.7"))
    await eventually(lambda: len(store.overrides) == 1, "the override to arrive")


async def test_change_whose_message_was_lost_is_found(
    server: ValkeyServer, store_on: StartStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "REFRESH_S", 0.05)
    store = await store_on(server.url)
    entry = ban("203.0.113.7")
    with server.client() as client:
        client.hset("gateway:overrides", mapping={entry.subject: entry.encode(), "version": 1})
    await eventually(lambda: list(store.overrides) == [entry], "the next look at the version")


async def test_cluster_that_is_killed_and_started_again_is_reached_again(
    own_server: Callable[..., ValkeyServer], store_on: StartStore
) -> None:
    server = own_server("--cluster-enabled", "yes")
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    store = await store_on(f"valkey+cluster://127.0.0.1:{server.port}")
    await recovered(store)
    replies = [asyncio.ensure_future(ask(store, Count(f"rule|{n}", 1, 60.0, 1))) for n in range(50)]
    await asyncio.sleep(0)  # they have asked
    server.kill()
    assert {reply.allowed for reply in await asyncio.gather(*replies)} == {True}
    await lost(store)
    server.start()
    await recovered(store)
    assert await ask(store, Spend("proof", 60.0)) is True


async def test_loss_is_logged_once_in_a_while(
    own_server: Callable[..., ValkeyServer], store_on: StartStore, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_server()
    server.kill()
    store = await store_on(server.url)
    await eventually(lambda: store.errors > 5, "more attempts")
    assert [record.message for record in caplog.records if record.message == GONE] == [GONE]


async def test_store_that_was_stopped_answers_from_its_own_state(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    await store.stop()
    assert store.answer(Spend("proof", 60.0), NOW_S) is True
    assert store.degraded_reason == "stopped"
    with server.client() as client:
        await eventually(lambda: len(client.client_list()) == 1, "the connections to be closed")


async def test_defect_of_the_client_leaves_nobody_without_an_answer(
    server: ValkeyServer, store_on: StartStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await store_on(server.url)

    async def broken(*_: object) -> list[object]:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(link, "send", broken)
        patch.setattr(valkey, "send", broken)
        assert await ask(store, Count("rule|x", 1, 60.0, 1)) == Counted(True, 0.0)
        errors = store.errors
        await eventually(lambda: store.errors > errors, "another attempt")
        assert store.degraded_reason == "a defect"
    await recovered(store)


async def test_stop_leaves_nobody_without_an_answer(server: ValkeyServer, store_on: StartStore) -> None:
    store = await store_on(server.url)
    server.hold()
    try:
        replies = [asyncio.ensure_future(ask(store, Count("rule|x", 1, 60.0, 9))) for _ in range(9)]
        await asyncio.sleep(0)  # they have asked
        await store.stop()
        assert await asyncio.gather(*replies) == [Counted(True, 0.0)] * 9
    finally:
        server.release()
