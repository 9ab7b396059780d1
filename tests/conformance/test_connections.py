"""Connection life: keep-alive, pipelining, HTTP/1.0, disconnects in each phase, drain and reload."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from fakes import OK, Client, RecordingOrigin, RecordingProtection, Step, TruncatedError, decision, eventually

from gateway.errors import CertificateError

GET = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello"


def get(target: bytes, fields: bytes = b"") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: shop.example\r\n" + fields + b"\r\n"


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


# ---- keep-alive and pipelining ---------------------------------------------------------------------------------------


async def test_pipeline_is_answered_in_order_with_one_check_each(edge):
    """N02: three requests in one segment, the first the slowest."""
    world = await edge()
    gate = asyncio.Event()
    world.protection.scripts.append([gate, decision(200)])
    world.origin.default = lambda request: answer(request.target)
    async with await world.connect() as client:
        client.send(get(b"/1") + POST.replace(b"/a", b"/2") + get(b"/3"))
        await world.protection.received(1)
        gate.set()
        assert [(await client.read_response()).body for _ in range(3)] == [b"/1", b"/2", b"/3"]
    assert [check.payload["Request"] for check in world.protection.requests] == ["/1", "/2", "/3"]
    assert [request.target for request in world.origin.requests] == [b"/1", b"/2", b"/3"]
    world.assert_checked()


async def test_pipeline_longer_than_the_limit_is_bounded_and_all_answered_in_order(edge):
    """N02: past `pipelined_requests` the connection is no longer read; the kernel holds the rest."""
    world = await edge({"limits": {"pipelined_requests": 4}})
    world.origin.default = lambda request: answer(request.target)
    count = 2000
    async with await world.connect() as client:
        client.send(b"".join(get(b"/%d" % n) for n in range(count)))
        assert [(await client.read_response()).body for _ in range(count)] == [b"/%d" % n for n in range(count)]
    assert len(world.protection.requests) == count


@pytest.mark.parametrize("limit", [2, 16])
async def test_pipeline_then_half_close_is_answered_whole(edge, limit):
    """`printf ... | nc -N`: a client that has said everything still wants every answer, in order, then the end."""
    world = await edge({"limits": {"pipelined_requests": limit}})
    world.origin.default = lambda request: answer(request.target)
    async with await world.connect() as client:
        client.send(b"".join(get(b"/%d" % n) for n in range(8)))
        client.half_close()
        assert [(await client.read_response()).body for _ in range(8)] == [b"/%d" % n for n in range(8)]
        assert await client.read_to_end() == b""


async def test_pipeline_blocked_request_does_not_stop_the_ones_behind_it(edge):
    world = await edge()
    world.protection.scripts.extend([decision(200), decision(403, body=b"no"), decision(200)])
    async with await world.connect() as client:
        client.send(get(b"/1") + get(b"/2") + get(b"/3"))
        assert [(await client.read_response()).status for _ in range(3)] == [200, 403, 200]
    assert [request.target for request in world.origin.requests] == [b"/1", b"/3"]


async def test_pipeline_malformed_request_is_answered_in_its_turn(edge):
    """The good ones before it are served first; nothing behind it is."""
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([gate, OK])
    async with await world.connect() as client:
        client.send(get(b"/1") + b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + get(b"/3"))
        await world.origin.received(1)
        gate.set()
        assert (await client.read_response()).status == 200
        rest = await client.read_to_end()
    assert rest.startswith(b"HTTP/1.1 400 ")
    assert rest.count(b"HTTP/1.1 ") == 1
    assert [request.target for request in world.origin.requests] == [b"/1"]


async def test_connection_close_is_one_answer_and_nothing_behind_it(edge):
    """N03."""
    world = await edge()
    async with await world.connect() as client:
        client.send(get(b"/1", b"Connection: close\r\n") + get(b"/2"))
        response = await client.read_response()
        assert await client.read_to_end() == b""
    assert response.value(b"connection") == b"close"
    assert [request.target for request in world.origin.requests] == [b"/1"]
    assert len(world.protection.requests) == 1


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        (b"", False),
        (b"Connection: keep-alive\r\n", True),
        (b"Connection: Keep-Alive\r\n", True),
        (b"Connection: close\r\n", False),
    ],
)
async def test_http_1_0_closes_unless_asked_to_keep(edge, fields, kept):
    """RFC 9112 9.3: and the answer says `keep-alive`, or the client would wait for the end."""
    world = await edge()
    async with await world.connect() as client:
        client.send(b"GET /1 HTTP/1.0\r\nHost: shop.example\r\n" + fields + b"\r\n")
        response = await client.read_response()
        assert response.body == b"ok"
        if kept:
            assert [value.lower() for value in response.values(b"connection")] == [b"keep-alive"]
            client.send(GET)
            assert (await client.read_response()).status == 200
        else:
            assert await client.read_to_end() == b""
    assert world.origin.requests[0].line == b"GET /1 HTTP/1.1"


async def test_http_1_0_without_host_is_served_for_a_catch_all_site(edge):
    """RFC 9112 3.2 asks Host of HTTP/1.1 alone; refusing it and naming one to the origin are both legal."""
    world = await edge()
    async with await world.connect() as client:
        client.send(b"GET /1 HTTP/1.0\r\n\r\n")
        response = await client.read_response()
        assert await client.read_to_end() == b""
    assert response.status in (200, 400)
    assert [len(request.head.values(b"host")) for request in world.origin.requests] in ([], [1])


async def test_unix_sockets_on_every_side_carry_an_exchange(edge, tmp_path):
    """`unix:` addresses for the listener, the origin and the Protection API; a local caller's address is loopback."""
    origin, api = RecordingOrigin(unix=str(tmp_path / "o")), RecordingProtection(unix=str(tmp_path / "p"))
    await origin.start()
    await api.start()
    world = await edge(
        {
            "listeners": [{"address": f"unix:{tmp_path}/l"}, {"address": "127.0.0.1:0"}],
            "protection": {"endpoint": f"unix:{tmp_path}/p"},
        },
        site={"origin": {"servers": [f"unix:{tmp_path}/o"]}},
    )
    async with await Client.connect_unix(f"{tmp_path}/l") as client:
        client.send(GET)
        assert (await client.read_response()).body == b"ok"
    assert origin.requests[0].head.values(b"host") == [b"shop.example"]
    assert api.requests[0].line == b"POST /validate-request HTTP/1.1"
    assert api.payload()["IP"] in ("127.0.0.1", "::1")
    assert world.origin.requests == []
    for server in (origin, api):
        await server.stop()
        assert server.violations == []


async def test_two_clients_do_not_wait_for_each_other(edge):
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([gate, OK])
    async with await world.connect() as slow, await world.connect() as fast:
        slow.send(get(b"/slow"))
        await world.origin.received(1)
        fast.send(get(b"/fast"))
        assert (await fast.read_response()).status == 200
        gate.set()
        assert (await slow.read_response()).status == 200


async def test_downstream_half_close_after_the_request_is_still_answered(edge):
    """A client that has said all it wants (FIN) still wants its answer."""
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([gate, OK])
    async with await world.connect() as client:
        client.send(GET)
        client.half_close()
        await eventually(lambda: world.origin.requests or world.gateway.counts("requests"), "the request or its end")
        gate.set()
        answer_bytes = await client.read_to_end()
    assert answer_bytes == b"" or answer_bytes.startswith(b"HTTP/1.1 200 ")
    await world.is_alive()


async def test_idle_connection_sends_nothing_and_costs_no_check(edge):
    world = await edge()
    async with await world.connect() as client:
        client.half_close()
        assert await client.read_to_end() == b""
    assert world.protection.connections == []
    await world.counted("requests", {})


async def test_tls_listener_serves_and_says_https(edge, certificates):
    listeners = [
        {
            "address": "127.0.0.1:0",
            "tls": {"certificate": str(certificates.certificate_file), "private_key": str(certificates.key_file)},
        }
    ]
    world = await edge({"listeners": listeners})
    async with await world.connect(tls=certificates.client_context()) as client:
        client.send(GET + GET)
        assert [(await client.read_response()).status for _ in range(2)] == [200, 200]
    assert world.origin.added()[b"x-forwarded-proto"] == b"https"
    assert world.protection.payload()["Protocol"] == "https"


@dataclass(frozen=True)
class TlsFiles:
    """The files of one TLS listener. `issue` writes a certificate into them, as a renewal does."""

    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        return {"certificate": str(self.folder / "server.pem"), "private_key": str(self.folder / "server.key")}

    def issue(self, authority: trustme.CA) -> None:
        issued = authority.issue_cert("localhost", "127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(str(self.folder / "server.pem"))
        issued.private_key_pem.write_to_path(str(self.folder / "server.key"))


async def get_over_tls(world, *authorities: trustme.CA, identity: trustme.LeafCert | None = None) -> int:
    """The status of a GET on a connection of its own; ssl.SSLError if one side does not trust the other."""
    context = ssl.create_default_context()
    for authority in authorities:
        authority.configure_trust(context)
    if identity is not None:
        identity.configure_cert(context)
    async with await world.connect(tls=context) as client:
        client.send(GET)
        return (await client.read_response()).status


async def test_tls_certificate_renewed_is_shown_after_a_reload(edge, tmp_path):
    """Open connections go on with the old one; the listener is never closed."""
    first, second, files = trustme.CA(), trustme.CA(), TlsFiles(tmp_path)
    files.issue(first)
    world = await edge({"listeners": [{"address": "127.0.0.1:0", "tls": files.settings}]})
    context = ssl.create_default_context()
    first.configure_trust(context)
    async with await world.connect(tls=context) as client:
        client.send(GET)
        await client.read_response()
        files.issue(second)
        await world.gateway.reload(world.config)
        assert await get_over_tls(world, second) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await get_over_tls(world, first)
        client.send(GET)
        assert (await client.read_response()).status == 200
    await world.gateway.drain()
    with pytest.raises(ConnectionRefusedError):
        await world.connect()


async def test_tls_reloads_refuse_no_connection_on_tcp_and_unix_sockets(edge, tmp_path):
    """The accept queue outlives the server that took from it: whoever connects meanwhile is served by the next one."""
    authority, files = trustme.CA(), TlsFiles(tmp_path)
    files.issue(authority)
    path = str(tmp_path / "l")
    addresses = ("127.0.0.1:0", f"unix:{path}")
    world = await edge({"listeners": [{"address": address, "tls": files.settings} for address in addresses]})
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def ask_again_and_again() -> list[int]:
        return [await get_over_tls(world, authority) for _ in range(20)]

    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(ask_again_and_again()) for _ in range(4)]
        for _ in range(10):
            await world.gateway.reload(world.config)
    assert [task.result() for task in asking] == [[200] * 20] * 4
    reader, writer = await asyncio.open_unix_connection(path, ssl=context, server_hostname="localhost")
    writer.write(get(b"/", b"Connection: close\r\n"))
    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize("broken", ["server.pem", "server.key", "ca.pem"])
async def test_tls_file_that_cannot_be_used_refuses_the_reload_and_names_it(edge, tmp_path, broken):
    """Half-renewed: the certificate is another one, but nothing of it is taken over."""
    authority, files = trustme.CA(), TlsFiles(tmp_path)
    files.issue(authority)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = {**files.settings, "client_ca": str(tmp_path / "ca.pem")}
    world = await edge({"listeners": [{"address": "127.0.0.1:0", "tls": tls}]})
    files.issue(trustme.CA())
    (tmp_path / broken).write_text("no PEM file\n")
    with pytest.raises(CertificateError, match=r"^listeners\[0\]\.tls.*" + broken):
        await world.gateway.reload({**world.config, "server_name": "other"})
    assert world.gateway.worker.config.server_name == "edge-1"
    assert await get_over_tls(world, authority, identity=authority.issue_cert("client.example")) == 200


async def test_tls_client_authority_taken_away_is_no_longer_trusted_after_a_reload(edge, tmp_path):
    authority, other, files = trustme.CA(), trustme.CA(), TlsFiles(tmp_path)
    files.issue(authority)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = {**files.settings, "client_ca": str(tmp_path / "ca.pem")}
    world = await edge({"listeners": [{"address": "127.0.0.1:0", "tls": tls}]})
    former, present = authority.issue_cert("client.example"), other.issue_cert("client.example")
    assert await get_over_tls(world, authority, identity=former) == 200
    other.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    await world.gateway.reload(world.config)
    assert await get_over_tls(world, authority, identity=present) == 200
    with pytest.raises((ssl.SSLError, OSError, TruncatedError)):
        await get_over_tls(world, authority, identity=former)


async def test_tls_private_key_with_a_password_is_refused_without_asking(edge, tmp_path):
    files = TlsFiles(tmp_path)
    files.issue(trustme.CA())
    key = serialization.load_pem_private_key((tmp_path / "server.key").read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(CertificateError, match="the private key is encrypted"):
        await edge({"listeners": [{"address": "127.0.0.1:0", "tls": files.settings}]})


# ---- downstream vanishes ---------------------------------------------------------------------------------------------


async def test_disconnect_before_the_decision_reaches_no_origin(edge):
    """N06: work for somebody who has gone is not done."""
    world = await edge()
    gate = asyncio.Event()
    world.protection.scripts.append([gate, decision(200)])
    client = await world.connect()
    client.send(POST)
    await world.protection.received(1)
    client.reset()
    await eventually(lambda: world.gateway.gauge("open_connections") == 0, "the disconnect to be seen")
    gate.set()
    await world.is_alive()
    assert [request.line for request in world.origin.requests] == [b"GET /alive HTTP/1.1"]


async def test_disconnect_in_the_head_leaves_nothing(edge):
    world = await edge()
    client = await world.connect()
    client.send(b"GET /a HTTP/1.1\r\nHost: shop")
    await eventually(lambda: world.gateway.gauge("open_connections") == 1, "the connection")
    client.reset()
    await eventually(lambda: world.gateway.gauge("open_connections") == 0, "its end")
    assert world.protection.connections == []
    await world.is_alive()


BODIES = {
    "C17-length": (b"Content-Length: 10", b"hello"),
    "K10-no-last-chunk": (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
    "K10-in-a-chunk": (b"Transfer-Encoding: chunked", b"a\r\nhello"),
    "K10-in-the-trailer": (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\nX-T: "),
}


@pytest.mark.parametrize("how", ["half-close", "reset"])
@pytest.mark.parametrize(("framing", "body"), BODIES.values(), ids=BODIES)
async def test_disconnect_in_the_request_body_aborts_the_origin_request(edge, framing, body, how):
    """The origin must not take the part for the whole, and its connection is not used again."""
    world = await edge()
    async with await world.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: shop.example\r\n" + framing + b"\r\n\r\n" + body)
        request = await world.origin.received(1)
        await eventually(lambda: request.body == b"hello", "the part of the body")
        if how == "reset":
            client.reset()
        else:
            client.half_close()
            assert not (await client.read_to_end()).startswith(b"HTTP/1.1 200")
        await world.origin.lost(1)
    assert request.complete is False
    await world.counted("origin_failures", {})  # the origin has done nothing wrong
    await world.is_alive()
    assert [seen.connection for seen in world.origin.requests] == [1, 2]


async def test_disconnect_before_the_answer_closes_the_origin_connection(edge):
    world = await edge()
    world.origin.scripts.append([Step.STALL])
    client = await world.connect()
    client.send(GET)
    await world.origin.received(1)
    client.reset()
    assert (await world.origin.lost(1)).ended in ("eof", "reset")
    await world.is_alive()


async def test_disconnect_in_the_response_body_closes_the_origin_connection(edge):
    world = await edge()
    world.origin.scripts.append([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Step.STALL])
    client = await world.connect()
    client.send(GET)
    await client.read_head()
    assert await client.read_exactly(5) == b"hello"
    client.reset()
    assert (await world.origin.lost(1)).ended in ("eof", "reset")
    await world.is_alive()


async def test_disconnect_between_pipelined_requests_stops_the_ones_behind(edge):
    world = await edge()
    world.origin.scripts.append([Step.STALL])
    client = await world.connect()
    client.send(get(b"/1") + get(b"/2") + get(b"/3"))
    await world.origin.received(1)
    client.reset()
    await world.origin.lost(1)
    await world.is_alive()
    assert [request.target for request in world.origin.requests] == [b"/1", b"/alive"]


async def test_disconnect_of_a_check_does_not_disturb_its_connections_next_check(edge):
    """The client has gone, the API's answer comes: it belongs to nobody, and the next check gets its own."""
    world = await edge()
    gate = asyncio.Event()
    world.protection.scripts.append([gate, decision(403, body=b"for the one who left")])
    client = await world.connect()
    client.send(GET)
    await world.protection.received(1)
    client.reset()
    await eventually(lambda: world.gateway.gauge("open_connections") == 0, "the disconnect to be seen")
    gate.set()
    for _ in range(3):
        await world.is_alive()


# ---- drain and reload ------------------------------------------------------------------------------------------------


async def test_drain_finishes_the_exchange_in_flight_and_closes(edge):
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([gate, OK])
    async with await world.connect() as client:
        client.send(GET)
        await world.origin.received(1)
        draining = asyncio.create_task(world.gateway.drain())
        await refused(world)
        assert not draining.done()
        gate.set()
        response = await client.read_response()
        assert await client.read_to_end() == b""
        await draining
    assert (response.status, response.body) == (200, b"ok")
    assert response.value(b"connection") == b"close"


async def refused(world) -> None:
    """Waits until the listener takes no new connection."""
    async with asyncio.timeout(5):
        while True:
            try:
                client = await world.connect()
            except ConnectionRefusedError:
                return
            client.reset()


async def test_drain_closes_idle_connections_at_once(edge):
    world = await edge()
    async with await world.connect() as client:
        client.send(GET)
        await client.read_response()
        await world.gateway.drain()
        assert await client.read_to_end() == b""


async def test_drain_finishes_during_the_check_and_during_the_upload(edge):
    world = await edge()
    gate = asyncio.Event()
    world.protection.scripts.append([gate, decision(200)])
    async with await world.connect() as checking, await world.connect() as uploading:
        checking.send(GET)
        await world.protection.received(1)
        uploading.send(POST[:-1])
        request = await world.origin.received(1)
        draining = asyncio.create_task(world.gateway.drain())
        await refused(world)
        gate.set()
        uploading.send(POST[-1:])
        assert (await checking.read_response()).status == 200
        assert (await uploading.read_response()).status == 200
        await draining
    assert request.body == b"hello"


async def test_drain_is_over_at_its_time_and_cuts_the_rest(edge):
    world = await edge({"drain_timeout": "100ms"})
    world.origin.scripts.append([Step.STALL])
    async with await world.connect() as client:
        client.send(GET)
        await world.origin.received(1)
        async with asyncio.timeout(5):
            await world.gateway.drain()
        await world.gateway.stop()
        await world.origin.lost(1)
        await client.read_to_end()


async def test_reload_changes_the_next_request_and_not_the_one_in_flight(edge):
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([gate, OK])
    async with await world.connect() as client:
        client.send(get(b"/1"))
        await world.origin.received(1)
        protection = {**world.config["protection"], "mode": "off"}
        await world.gateway.reload({**world.config, "protection": protection})
        gate.set()
        assert (await client.read_response()).status == 200
        client.send(get(b"/2"))
        assert (await client.read_response()).status == 200
    assert [check.payload["Request"] for check in world.protection.requests] == ["/1"]
    await world.counted("requests", {("shop", "GET", "2xx", "allowed"): 1, ("shop", "GET", "2xx", "bypassed"): 1})


async def test_reload_during_the_check_does_not_lose_the_request(edge):
    """N08: a request that began under the old configuration still finds its way to an origin, on a new connection."""
    world = await edge()
    gate = asyncio.Event()
    world.protection.scripts.append([gate, decision(200)])
    async with await world.connect() as client:
        client.send(POST)
        await world.protection.received(1)
        await world.gateway.reload({**world.config, "server_name": "renamed"})
        gate.set()
        response = await client.read_response()
    assert (response.status, response.body) == (200, b"ok")
    assert world.origin.requests[0].body == b"hello"


async def test_reload_during_the_upload_and_the_download_does_not_lose_the_exchange(edge):
    world = await edge()
    gate = asyncio.Event()
    world.origin.scripts.append([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", gate, b"cd"])
    async with await world.connect() as downloading, await world.connect() as uploading:
        downloading.send(GET)
        await downloading.read_head()
        uploading.send(POST[:-1])
        await world.origin.received(2)
        await world.gateway.reload({**world.config, "protection": {**world.config["protection"], "mode": "off"}})
        gate.set()
        uploading.send(POST[-1:])
        assert await downloading.read_exactly(4) == b"abcd"
        assert (await uploading.read_response()).status == 200
    assert world.origin.requests[1].body == b"hello"


def statuses(path: Path) -> list[int]:
    return [json.loads(line)["status"] for line in path.read_text().splitlines()] if path.exists() else []


async def test_reload_switches_the_access_log_and_loses_no_line(edge, tmp_path):
    """From one file to another, to none and back: the lines of the old one are written before the reload is over."""
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    world = await edge({"logging": {"access_log": str(first)}})

    async def log_to(target: str | bool) -> None:
        await world.gateway.reload({**world.config, "logging": {"level": "error", "access_log": target}})

    world.origin.default = lambda request: b"HTTP/1.1 %b OK\r\nContent-Length: 0\r\n\r\n" % request.target[1:]
    await world.ask(get(b"/201"))
    await log_to(str(second))
    assert statuses(first) == [201]
    await world.ask(get(b"/202"))
    await log_to(False)
    await world.ask(get(b"/203"))
    await log_to(str(first))
    await world.ask(get(b"/206"))
    await world.gateway.drain()
    assert (statuses(first), statuses(second)) == ([201, 206], [202])


async def test_access_log_names_the_rule_that_decided_and_the_number_on_the_visitors_page(edge, tmp_path):
    path = tmp_path / "access.log"
    world = await edge({"logging": {"access_log": str(path)}})
    named = [(b"X-DataDome-ruletype", b"helper"), (b"X-DataDome-requestid", b"d-1")]
    world.origin.default = OK
    for status in (200, 403):
        world.protection.default = decision(status, to_request=named)
        await world.ask(get(b"/"))
    world.protection.default = decision(200)
    await world.ask(get(b"/"))
    await world.gateway.drain()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["rule"], line["decision_id"]) for line in lines] == [
        ("helper", None), ("helper", "d-1"), (None, None),
    ]  # fmt: skip


async def test_reload_to_an_access_log_that_cannot_be_opened_changes_nothing(edge, tmp_path):
    path = tmp_path / "access.log"
    world = await edge({"logging": {"access_log": str(path)}})
    with pytest.raises(FileNotFoundError):
        await world.gateway.reload({
            **world.config,
            "server_name": "other",
            "logging": {"access_log": str(tmp_path / "nowhere" / "access.log")},
        })
    assert (await world.ask(GET)).status == 200
    assert world.protection.payload()["ServerName"] == "edge-1"
    await world.gateway.drain()
    assert statuses(path) == [200]


async def test_stop_aborts_what_is_open(edge):
    world = await edge()
    world.origin.scripts.append([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Step.STALL])
    async with await world.connect() as client:
        client.send(GET)
        await client.read_head()
        await world.gateway.stop()
        with pytest.raises((TruncatedError, asyncio.IncompleteReadError)):
            await client.read_exactly(10)
    await world.origin.lost(1)
