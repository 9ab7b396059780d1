"""The receiver, line by line of its section of the public interface, over real connections with a real store."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import Client, eventually
from posture.webhook.receiving import (
    COMPLETED,
    SECRETS,
    Receiving,
    chunked,
    delivery,
    filled,
    posture_of,
    receiving,
)

from gateway.binding import bound_socket
from gateway.errors import PostureStoreError
from gateway.metrics import Metrics
from gateway.posture.client.redaction import Redaction
from gateway.posture.event import Event
from gateway.posture.signature import sign
from gateway.posture.webhook.inbox import Inbox, InboxLimits
from gateway.posture.webhook.receiver import MAX_BODY_BYTES, Receiver, ReceiverLimits, Terms
from gateway.posture.webhook.service import Means

BODY = json.dumps(COMPLETED).encode()
TOO_LONG = str(MAX_BODY_BYTES + 1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Receiving]:
    async with receiving(posture_of(tmp_path)) as running:
        yield running


def written(directory: Path) -> bytes:
    """Every byte of the store's files."""
    return b"".join(file.read_bytes() for file in directory.glob("posture.db*"))


# ---- the order of the checks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/webhooks", "/webhooks/", "/webhooks/ddactic/", "/webhooks/DDactic", "/webhooks/securityspace",
     "/webhooks/%64dactic", "/healthz/", "/metrics", "/webhooks/ddactic/../ddactic"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_receiver_other_path_is_404_before_anything_else(world: Receiving, path: str, method: str) -> None:
    request = delivery(b"", path=path, method=method, signature="", headers={"Content-Length": "0"})
    response = await world.ask(request)
    assert (response.status, response.body) == (404, b"")
    assert world.counted() == {}


async def test_receiver_provider_without_secret_is_404(tmp_path: Path) -> None:
    webhooks = {"address": "127.0.0.1:0", "ddactic": {"secret": SECRETS["ddactic"]}}
    async with receiving(posture_of(tmp_path, webhooks=webhooks)) as world:
        assert (await world.ask(delivery(BODY, "cypersecurity"))).status == 404
        assert (await world.ask(delivery(BODY, "cypersecurity", method="GET"))).status == 404
        assert (await world.ask(delivery(BODY))).status == 204


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_receiver_other_method_is_405_before_length_and_signature(world: Receiving, method: str) -> None:
    request = delivery(b"", method=method, signature="", headers={"Content-Length": TOO_LONG})
    response = await world.ask(request)
    assert (response.status, response.value(b"allow")) == (405, b"POST")
    assert world.counted() == {("ddactic", "method"): 1}


@pytest.mark.parametrize("signature", ["", "0" * 64, None])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_receiver_body_over_the_limit_is_413_before_the_signature(
    world: Receiving, signature: str | None, is_chunked: bool
) -> None:
    request = delivery(filled(MAX_BODY_BYTES + 1), signature=signature, is_chunked=is_chunked)
    assert (await world.ask(request)).status == 413
    assert world.counted() == {("ddactic", "too_large"): 1}


async def test_receiver_announced_length_over_the_limit_is_413_without_waiting_for_the_body(world: Receiving) -> None:
    response = await world.ask(delivery(b"", signature="", headers={"Content-Length": TOO_LONG}))
    assert (response.status, response.value(b"connection")) == (413, b"close")


@pytest.mark.parametrize("provider", ["ddactic", "cypersecurity"])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_receiver_body_of_exactly_the_limit_accepted(world: Receiving, provider: str, is_chunked: bool) -> None:
    body = filled(1_048_576)
    assert (await world.ask(delivery(body, provider, is_chunked=is_chunked))).status == 204
    assert world.event().data == json.loads(body)["data"]


@pytest.mark.parametrize(
    "signature",
    ["", "0" * 64, "sha256=" + sign(BODY, SECRETS["ddactic"]), sign(BODY, SECRETS["cypersecurity"]),
     sign(BODY + b" ", SECRETS["ddactic"]), sign(BODY, "")],
)  # fmt: skip
@pytest.mark.parametrize("body", [BODY, b"no JSON", b""])
async def test_receiver_wrong_signature_is_401_before_the_body_is_judged(
    world: Receiving, body: bytes, signature: str
) -> None:
    assert (await world.ask(delivery(body, signature=signature))).status == 401
    assert world.counted() == {("ddactic", "signature"): 1}
    assert world.store.events() == []


async def test_receiver_two_signatures_are_401(world: Receiving) -> None:
    request = delivery(BODY, headers={"x-ddactic-signature": sign(BODY, SECRETS["ddactic"])})
    assert (await world.ask(request)).status == 401


async def test_receiver_signature_in_the_header_of_the_other_platform_is_401(world: Receiving) -> None:
    request = delivery(BODY, signature="", headers={"X-Webhook-Signature": sign(BODY, SECRETS["ddactic"])})
    assert (await world.ask(request)).status == 401


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"[]", b'"text"', b"{}", b'{"event": "scan.completed"}', b'{"data": {}}',
     b'{"event": 1, "data": {}}', b'{"event": null, "data": {}}', b'{"event": "x", "data": []}',
     b'{"event": "x", "data": null}', b'{"event": "x", "data": {}} {}', b'{"event": "\xff", "data": {}}',
     b'\xef\xbb\xbf{"event": "x", "data": {}}', '{"event": "x", "data": {}}'.encode("utf-16"),
     b'{"event": "x", "data": {"a": NaN}}', b'{"event": "x", "data": ' + b'{"a":' * 1000 + b"1" + b"}" * 1001,
     gzip.compress(BODY)],
)  # fmt: skip
@pytest.mark.parametrize("provider", ["ddactic", "cypersecurity"])
async def test_receiver_signed_body_that_is_no_event_is_400(world: Receiving, body: bytes, provider: str) -> None:
    response = await world.ask(delivery(body, provider))
    assert (response.status, response.body) == (400, b"")
    assert world.counted() == {(provider, "malformed"): 1}
    assert world.store.events() == []


async def test_receiver_compressed_body_is_never_unpacked(world: Receiving) -> None:
    request = delivery(gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
    assert (await world.ask(request)).status == 400


# ---- what is stored --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_receiver_documented_event_of_ddactic_stored(world: Receiving, is_chunked: bool) -> None:
    response = await world.ask(delivery(BODY, is_chunked=is_chunked))
    assert (response.status, response.body, response.value(b"server")) == (204, b"", b"gateway")
    event = world.event()
    assert (event.provider, event.event, event.scan) == ("ddactic", "scan.completed", "scn_xyz789")
    assert (event.timestamp, event.data) == ("2025-12-17T10:35:00Z", COMPLETED["data"])
    assert world.counted() == {("ddactic", "stored"): 1}


@pytest.mark.parametrize(
    "signed",
    [
        b'{"event":"critical.finding","timestamp":1704024000,"data":{"scan_id":"scan_123abc","cvss":9.0}}',
        b'{"data": {"cvss": 9.0, "scan_id": "scan_123abc"}, "event": "critical.finding", "timestamp": 1704024000}',
        b'{"event":"critical.finding","timestamp":1704024000,"data":{"scan_id":"scan_123abc","cvss":9}}',
    ],
)
async def test_receiver_event_of_cypersecurity_signed_over_each_form_stored(world: Receiving, signed: bytes) -> None:
    body = b'{"event":"critical.finding","timestamp":1704024000,"data":{"scan_id":"scan_123abc","cvss":9.0}}'
    request = delivery(body, "cypersecurity", signature=sign(signed, SECRETS["cypersecurity"]).upper())
    assert (await world.ask(request)).status == 204
    event = world.event()
    assert (event.provider, event.event, event.scan) == ("cypersecurity", "critical.finding", "scan_123abc")
    assert event.timestamp == "2023-12-31T12:00:00Z"


@pytest.mark.parametrize(
    ("payload", "timestamp", "scan"),
    [
        ({"event": "trial.expiring", "timestamp": 1704024000, "data": {}}, "2023-12-31T12:00:00Z", None),
        ({"event": "never.heard.of", "data": {"scan_id": None}}, None, None),
        ({"event": "", "timestamp": "yesterday", "data": {"scan_id": 17}}, None, "17"),
        ({"event": "scan.note", "timestamp": [], "data": {"scan_id": {}}}, None, None),
        ({"event": "x", "timestamp": 1e300, "data": {"big": 10**30, "nul": "\0", "half": "\ud800"}}, None, None),
        ({"event": "x", "data": {"deep": [[[[[[]]]]]]}, "more": [1, 2]}, None, None),
    ],
)
async def test_receiver_unknown_events_and_odd_values_stored_as_they_are(
    world: Receiving, payload: dict[str, Any], timestamp: str | None, scan: str | None
) -> None:
    assert await world.deliver(payload) == 204
    assert await world.deliver(payload) == 204
    event = world.event()
    assert (event.event, event.timestamp, event.scan) == (payload["event"], timestamp, scan)
    assert event.data == payload["data"]


async def test_receiver_repeat_gets_204_and_is_stored_once_also_after_a_restart(tmp_path: Path) -> None:
    reordered = b'{"data":{"risk_score":4.2,"domain":"ex\\u0061mple.com","scan_id":"scn_xyz789"}, ' + (
        b'"timestamp" :"2025-12-17T10:35:00Z","event":"scan.completed"}'
    )
    async with receiving(posture_of(tmp_path)) as world:
        assert [(await world.ask(delivery(body))).status for body in (BODY, BODY, reordered)] == [204] * 3
        assert world.counted() == {("ddactic", "stored"): 1, ("ddactic", "repeated"): 2}
    async with receiving(posture_of(tmp_path)) as world:
        assert (await world.ask(delivery(reordered))).status == 204
        assert world.counted() == {("ddactic", "repeated"): 1}
        assert world.event().scan == "scn_xyz789"


async def test_receiver_same_payload_of_another_provider_is_another_event(world: Receiving) -> None:
    assert [await world.deliver(COMPLETED), await world.deliver(COMPLETED, "cypersecurity")] == [204, 204]
    assert {event.provider for event in world.store.events()} == {"ddactic", "cypersecurity"}


async def test_receiver_secrets_in_a_payload_stored_as_asterisks(tmp_path: Path) -> None:
    providers = {"ddactic": {"key": "ddactic-api-key", "base_url": "http://127.0.0.1:9"}}
    async with receiving(posture_of(tmp_path, providers=providers)) as world:
        data = {"a": SECRETS["ddactic"], "b": ["ddactic-api-key"], SECRETS["cypersecurity"]: "Bearer ddactic-api-key"}
        assert await world.deliver({"event": f"x {SECRETS['ddactic']}", "data": data}) == 204
        event = world.event()
        assert (event.event, event.data) == ("x ***", {"a": "***", "b": ["***"], "***": "Bearer ***"})
        for secret in (*SECRETS.values(), "ddactic-api-key"):
            assert secret.encode() not in written(tmp_path)


# ---- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 405)])
async def test_receiver_health_is_200_for_get(world: Receiving, method: str, status: int) -> None:
    response = await world.ask(f"{method} /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    assert (response.status, response.body) == (status, b"")


async def test_receiver_several_events_on_one_connection_all_stored(world: Receiving) -> None:
    async with await world.connect() as client:
        for number in range(3):
            client.send(delivery(json.dumps({"event": "x", "data": {"n": number}}).encode()))
        assert [(await client.read_response()).status for _ in range(3)] == [204] * 3
    assert [event.data["n"] for event in world.store.events()] == [0, 1, 2]


async def test_receiver_expecting_sender_is_invited_and_stored(world: Receiving) -> None:
    request = delivery(BODY, headers={"Expect": "100-continue"})
    head, _, body = request.partition(b"\r\n\r\n")
    async with await world.connect() as client:
        client.send(head + b"\r\n\r\n")
        assert (await client.read_head()).start == b"HTTP/1.1 100 Continue"
        client.send(body)
        assert (await client.read_response()).status == 204


async def test_receiver_expecting_sender_of_too_much_is_not_invited(world: Receiving) -> None:
    async with await world.connect() as client:
        client.send(delivery(b"", headers={"Expect": "100-continue", "Content-Length": TOO_LONG}))
        assert (await client.read_head()).start.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"POST\r\n\r\n",
     b"POST /webhooks/ddactic HTTP/9.9\r\n\r\n",
     b"POST /webhooks/ddactic HTTP/1.1\r\nX-DDactic-Signature: secret\x00\r\n\r\n",
     b"POST /webhooks/ddactic HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
     b"POST /webhooks/ddactic HTTP/1.1\r\nX-DDactic-Signature: " + b"secret" * 5000 + b"\r\n\r\n"],
)  # fmt: skip
async def test_receiver_what_is_no_http_is_400_and_not_repeated_to_anybody(
    world: Receiving, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with await world.connect() as client:
        client.send(request_bytes)
        answer = await client.read_to_end()
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"aiohttp" not in answer.lower() and b"python" not in answer.lower() and b"secret" not in answer
    assert "secret" not in caplog.text and "Traceback" not in caplog.text


async def test_receiver_body_that_is_broken_off_leaves_nothing(world: Receiving) -> None:
    async with await world.connect() as client:
        client.send(delivery(BODY)[:-5])
        await client.drain()
        client.reset()
    async with await world.connect() as client:
        client.send(delivery(BODY, is_chunked=True).replace(b"\r\n{", b"\r\nzz"[:2] + b"{", 1)[:-7] + b"zz\r\n\r\n")
        assert (await client.read_to_end()).startswith((b"HTTP/1.1 400 ", b""))
    await eventually(lambda: ("ddactic", "cut") in world.counted(), "the refusal to be counted")
    assert world.store.events() == []
    assert await world.deliver(COMPLETED) == 204


async def test_receiver_slow_head_is_closed(tmp_path: Path) -> None:
    async with (
        receiving(posture_of(tmp_path), Means(limits=ReceiverLimits(idle_s=0.1))) as world,
        await world.connect() as client,
    ):
        client.send(b"POST /webhooks/ddactic HTTP/1.1\r\nHost:")
        assert await client.read_to_end() == b""


async def test_receiver_body_that_trickles_is_408_and_closed(tmp_path: Path) -> None:
    limits = ReceiverLimits(body_s=0.1, linger_s=0.1)
    async with receiving(posture_of(tmp_path), Means(limits=limits)) as world, await world.connect() as client:
        client.send(delivery(BODY)[:-5])
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 408 ")
        assert world.counted() == {("ddactic", "slow"): 1}


async def test_receiver_connection_over_the_limit_is_503_and_others_go_on(tmp_path: Path) -> None:
    async with (
        receiving(posture_of(tmp_path), Means(limits=ReceiverLimits(connections=1))) as world,
        await world.connect() as first,
    ):
        first.send(delivery(BODY))
        assert (await first.read_response()).status == 204
        async with await world.connect() as second:
            response = await second.read_response()
            assert (response.status, response.value(b"retry-after")) == (503, b"5")
        first.send(delivery(BODY))
        assert (await first.read_response()).status == 204
        assert world.counted()["", "busy"] == 1


async def test_receiver_bodies_beyond_the_memory_for_them_are_503(tmp_path: Path) -> None:
    async with (
        receiving(posture_of(tmp_path), Means(limits=ReceiverLimits(held_bytes=5000))) as world,
        await world.connect() as slow,
    ):
        slow.send(delivery(filled(4000))[:-5])
        await eventually(lambda: world.service._receiver._held_bytes > 3000, "the body to be held")  # type: ignore[union-attr]
        assert (await world.ask(delivery(filled(3000)))).status == 503
        assert await world.deliver(COMPLETED) == 204
        slow.send(filled(4000)[-5:])
        assert (await slow.read_response()).status == 204
        assert (await world.ask(delivery(filled(3000)))).status == 204


@pytest.mark.parametrize("address", ["unix:{}/hooks.sock", "[::1]:0", "localhost:0"])
async def test_receiver_listens_where_the_configuration_says(tmp_path: Path, address: str) -> None:
    webhooks = {"address": address.format(tmp_path), "ddactic": {"secret": SECRETS["ddactic"]}}
    async with receiving(posture_of(tmp_path, webhooks=webhooks)) as world:
        if address.startswith("["):
            reader, writer = await asyncio.open_connection("::1", world.service.address[1])
            writer.write(delivery(BODY))
            assert (await reader.readline()).startswith(b"HTTP/1.1 204 ")
            writer.close()
            await writer.wait_closed()
        else:
            assert await world.deliver(COMPLETED) == 204
    assert not (tmp_path / "hooks.sock").exists()


# ---- logs ------------------------------------------------------------------------------------------------------------


async def test_receiver_logs_name_provider_event_scan_and_outcome_and_no_body_or_signature(
    world: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    body = b'{"event": "scan.completed", "data": {"scan_id": "scn_1", "note": "private"}}'
    for signature in (None, None, "0" * 64):
        await world.ask(delivery(body, signature=signature))
    records = [getattr(record, "fields", {}) for record in caplog.records if record.name == "gateway.posture.receiver"]
    named = {"provider": "ddactic", "webhook_event": "scan.completed", "scan": "scn_1"}
    assert named | {"outcome": "stored"} in records and named | {"outcome": "repeated"} in records
    assert {"provider": "ddactic", "status": 401, "outcome": "signature"} in records
    text = caplog.text + str(records)
    assert "private" not in text and sign(body, SECRETS["ddactic"]) not in text and SECRETS["ddactic"] not in text


# ---- a store that cannot ---------------------------------------------------------------------------------------------


class FakeStore:
    """Stores events where and when the test says."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = 0
        self.error: Exception | None = None
        self.batches: list[list[Event]] = []

    def put_events(self, events: Sequence[Event]) -> list[bool]:
        self.entered += 1
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.batches.append(list(events))
        return [True] * len(events)


@pytest.fixture
def fake() -> Iterator[FakeStore]:
    store = FakeStore()
    yield store
    store.gate.set()


@pytest.fixture
async def over_fake(fake: FakeStore) -> AsyncIterator[tuple[Receiver, Inbox, int]]:
    inbox = Inbox(fake.put_events, limits=InboxLimits(waiting=1, batch=1))
    inbox.start()
    receiver = Receiver(Terms(SECRETS, Redaction(SECRETS.values())), inbox, Metrics())
    sock = bound_socket("127.0.0.1:0")
    port = sock.getsockname()[1]
    await receiver.start(sock)
    yield receiver, inbox, port
    fake.gate.set()
    await receiver.close(5)
    await inbox.close(5)


def numbered(number: int) -> bytes:
    return delivery(json.dumps({"event": "x", "data": {"n": number}}).encode())


async def test_receiver_full_inbox_is_503_with_retry_after_and_nothing_accepted_is_lost(
    fake: FakeStore, over_fake: tuple[Receiver, Inbox, int]
) -> None:
    _, inbox, port = over_fake
    clients = [await Client.connect(port) for _ in range(3)]
    clients[0].send(numbered(0))
    await eventually(lambda: fake.entered, "the first to be taken")
    clients[1].send(numbered(1))
    await eventually(lambda: inbox._waiting, "the second to wait")
    clients[2].send(numbered(2))
    refused = await clients[2].read_response()
    assert (refused.status, refused.value(b"retry-after")) == (503, b"5")
    assert fake.batches == []
    fake.gate.set()
    assert [(await client.read_response()).status for client in clients[:2]] == [204, 204]
    assert [event.data["n"] for batch in fake.batches for event in batch] == [0, 1]
    for client in clients:
        await client.close()


@pytest.mark.parametrize("error", [PostureStoreError("the disk is full"), RuntimeError("a defect that quotes private")])
async def test_receiver_failed_commit_is_503_and_the_next_one_is_tried(
    fake: FakeStore, over_fake: tuple[Receiver, Inbox, int], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    _, inbox, port = over_fake
    fake.gate.set()
    fake.error = error
    async with await Client.connect(port) as client:
        client.send(numbered(0))
        refused = await client.read_response()
        assert (refused.status, refused.value(b"retry-after")) == (503, b"5")
        assert inbox.failure is not None
        fake.error = None
        client.send(numbered(0))
        assert (await client.read_response()).status == 204
        assert inbox.failure is None
    assert "private" not in caplog.text and "events not stored" in caplog.text


async def test_receiver_drain_answers_who_is_being_answered_and_accepts_nobody_else(
    fake: FakeStore, over_fake: tuple[Receiver, Inbox, int]
) -> None:
    receiver, _, port = over_fake
    async with await Client.connect(port) as client, await Client.connect(port) as idle:
        client.send(numbered(0))
        await eventually(lambda: fake.entered, "the event to be taken")
        closing = asyncio.create_task(receiver.close(5))
        assert await idle.read_to_end() == b""
        with pytest.raises(OSError):
            await Client.connect(port)
        fake.gate.set()
        assert (await client.read_response()).status == 204
        await closing
    assert chunked(b"") == b"0\r\n\r\n"
