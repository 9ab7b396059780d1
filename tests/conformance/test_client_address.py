"""The client's address and the forwarding headers: evidence from everyone, trust from configured proxies alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

TRUSTED = {"client_ip": {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"]}}


def get(fields: bytes) -> bytes:
    return b"GET /a HTTP/1.1\r\nHost: shop.example\r\n" + fields + b"\r\n\r\n"


SPOOFED = (
    b"X-Forwarded-For: 6.6.6.6, 7.7.7.7\r\nX-Forwarded-For: 8.8.8.8\r\nX-Forwarded-Proto: https\r\n"
    b"X-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: forged"
)


async def test_forwarding_headers_of_a_stranger_are_replaced_and_sent_as_evidence(edge):
    """P05: the origin gets our own finding; the check gets what the client wrote, in the fields meant for that."""
    world = await edge()
    await world.ask(get(SPOOFED), source="127.0.0.5")
    added = world.origin.added()
    assert added.pop(b"x-request-id") != b"forged"
    assert added.pop(b"via")
    assert added == {
        b"x-forwarded-for": b"127.0.0.5",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": b"shop.example",
        b"x-forwarded-port": b"%d" % world.gateway.port,
        b"x-real-ip": b"127.0.0.5",
    }
    payload = world.protection.payload()
    assert {name: payload.get(name) for name in ("IP", "Protocol", "Port", "XForwardedForIP", "X-Real-IP")} == {
        "IP": "127.0.0.5",
        "Protocol": "http",
        "Port": world.gateway.port,
        "XForwardedForIP": "6.6.6.6, 7.7.7.7, 8.8.8.8",
        "X-Real-IP": "6.6.6.6",
    }


@pytest.mark.parametrize(
    "alias",
    [
        b"X_Forwarded_For",
        b"X-Forwarded_For",
        b"x_real_ip",
        b"X_Forwarded_Proto",
        b"X_Forwarded_Host",
        b"X.Request.Id",
        b"X_Forwarded_Port",
    ],
)
async def test_forwarding_header_alias_is_dropped(edge, alias):
    """A server behind us that maps `-` and `_` to one variable must not read the client's copy, trusted or not."""
    for config in ({}, TRUSTED):
        world = await edge(config)
        await world.ask(get(alias + b": 6.6.6.6"))
        assert world.origin.relayed() == [(b"host", b"shop.example")]


@pytest.mark.parametrize(
    "name",
    [
        b"Forwarded",
        b"True-Client-IP",
        b"X-Forwarded-Prefix",
        b"X-Forwarded-Uri",
        b"X-Forwarded-Method",
        b"X-Original-URL",
        b"X-Rewrite-URL",
        b"CF-Connecting-IP",
        b"X-Client-IP",
    ],
)
async def test_other_forwarding_header_of_a_stranger_never_decides(edge, name):
    """P05: the address that is checked and forwarded stays the socket's, whatever else claims one."""
    world = await edge()
    await world.ask(get(name + b": for=6.6.6.6"))
    assert world.protection.payload()["IP"] == "127.0.0.1"
    assert world.protection.payload()["Request"] == "/a"
    assert world.origin.added()[b"x-forwarded-for"] == b"127.0.0.1"
    if name in (b"Forwarded",):
        assert [value for key, value in world.origin.relayed() if key == b"forwarded" and b"6.6.6.6" in value] == []


@dataclass(frozen=True)
class Walk:
    """`sent` header lines from a trusted peer; the address that must be found."""

    id: str
    sent: bytes
    found: str
    config: dict = field(default_factory=dict)


WALKS = [
    Walk("none", b"X-A: b", "127.0.0.1"),
    Walk("one", b"X-Forwarded-For: 6.6.6.6", "6.6.6.6"),
    Walk("rightmost-stranger", b"X-Forwarded-For: 1.1.1.1, 6.6.6.6", "6.6.6.6"),
    Walk("over-trusted-hops", b"X-Forwarded-For: 1.1.1.1, 6.6.6.6, 10.1.1.1, 10.2.2.2", "6.6.6.6"),
    Walk("two-lines", b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 6.6.6.6, 10.1.1.1", "6.6.6.6"),
    Walk("all-trusted", b"X-Forwarded-For: 10.3.3.3, 10.1.1.1", "10.3.3.3"),
    Walk("v6", b"X-Forwarded-For: 2001:db8::6", "2001:db8::6"),
    Walk("v6-brackets", b"X-Forwarded-For: [2001:db8::6]", "2001:db8::6"),
    Walk("v6-brackets-port", b"X-Forwarded-For: [2001:db8::6]:443", "2001:db8::6"),
    Walk("v4-port", b"X-Forwarded-For: 6.6.6.6:1234", "6.6.6.6"),
    Walk("v6-trusted-hop", b"X-Forwarded-For: 6.6.6.6, fd00::1", "6.6.6.6"),
    Walk("empty-elements", b"X-Forwarded-For: 1.1.1.1, , ,6.6.6.6,", "6.6.6.6"),
    Walk("x-real-ip", b"X-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 1.1.1.1", "6.6.6.6", {"header": "X-Real-IP"}),
    Walk("cloudflare", b"CF-Connecting-IP: 6.6.6.6", "6.6.6.6", {"header": "CF-Connecting-IP"}),
    Walk("forwarded", b"Forwarded: for=1.1.1.1, for=6.6.6.6;proto=https", "6.6.6.6", {"header": "Forwarded"}),
    Walk("forwarded-v6", b'Forwarded: for="[2001:db8::6]:80"', "2001:db8::6", {"header": "Forwarded"}),
    Walk("other-header-ignored", b"X-Real-IP: 6.6.6.6", "127.0.0.1"),
]


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.id)
async def test_client_address_from_a_trusted_proxy_is_the_last_stranger(edge, walk):
    world = await edge({"client_ip": {**TRUSTED["client_ip"], **walk.config}})
    await world.ask(get(walk.sent))
    assert world.protection.payload()["IP"] == walk.found
    assert world.origin.added()[b"x-real-ip"] == walk.found.encode()


@pytest.mark.parametrize(
    "garbage", [b"unknown", b"_hidden", b"6.6.6", b"6.6.6.6.6", b"\xff", b"evil<script>", b"10.0.0.999"]
)
async def test_client_address_garbage_is_never_an_address(edge, garbage):
    """The walk stops at what is no address: the last hop that we do know is the answer."""
    world = await edge(TRUSTED)
    assert (await world.ask(get(b"X-Forwarded-For: 6.6.6.6, " + garbage + b", 10.1.1.1"))).status == 200
    assert world.protection.payload()["IP"] in ("10.1.1.1", "127.0.0.1")


async def test_client_address_thousand_hops_is_bounded_and_found(edge):
    """P06: a walk is as long as the trusted hops at the end."""
    world = await edge(TRUSTED)
    hops = b", ".join(b"6.6.%d.%d" % divmod(n, 256) for n in range(1000))
    assert (await world.ask(get(b"X-Forwarded-For: " + hops))).status == 200
    assert world.protection.payload()["IP"] == "6.6.3.231"
    assert len(world.protection.payload()["XForwardedForIP"]) <= 512
    assert hops.decode().endswith(world.protection.payload()["XForwardedForIP"])


async def test_forwarding_headers_of_a_trusted_proxy_are_kept(edge):
    world = await edge(TRUSTED)
    await world.ask(
        get(
            b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n"
            b"X-Forwarded-Host: public.example\r\nX-Request-Id: id-of-the-edge"
        )
    )
    added = world.origin.added()
    assert added.pop(b"via")
    assert added == {
        b"x-forwarded-for": b"6.6.6.6, 127.0.0.1",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"public.example",
        b"x-forwarded-port": b"8443",
        b"x-real-ip": b"6.6.6.6",
        b"x-request-id": b"id-of-the-edge",
    }
    payload = world.protection.payload()
    assert (payload["IP"], payload["Protocol"], payload["Port"]) == ("6.6.6.6", "https", 8443)


async def test_trusted_proxies_other_network_is_a_stranger(edge):
    world = await edge({"client_ip": {"trusted_proxies": ["127.0.0.7/32"]}})
    await world.ask(get(b"X-Forwarded-For: 6.6.6.6"), source="127.0.0.8")
    await world.ask(get(b"X-Forwarded-For: 6.6.6.6"), source="127.0.0.7")
    assert [world.protection.payload(n)["IP"] for n in (1, 2)] == ["127.0.0.8", "6.6.6.6"]


@pytest.mark.parametrize("agent", [b"kube-probe/1.30", b"ELB-HealthChecker/2.0", b"Googlebot/2.1", b"GoogleHC/1.0"])
async def test_user_agent_alone_is_no_bypass(edge, agent):
    """D07: who claims to be a health checker or a crawler is checked like everyone."""
    world = await edge()
    await world.ask(get(b"User-Agent: " + agent))
    assert world.protection.payload()["UserAgent"] == agent.decode()


async def test_excluded_address_is_bypassed_by_the_found_address_alone(edge):
    """`exclude_ips` looks at our finding: a stranger's X-Forwarded-For cannot claim the exclusion."""
    world = await edge({"protection": {"exclude_ips": ["6.6.6.0/24", "127.0.0.9/32"]}})
    await world.ask(get(b"X-Forwarded-For: 6.6.6.6"))
    assert len(world.protection.requests) == 1
    await world.ask(get(b"X-A: b"), source="127.0.0.9")
    assert len(world.protection.requests) == 1
    await world.counted("requests", {("shop", "GET", "2xx", "allowed"): 1, ("shop", "GET", "2xx", "bypassed"): 1})


PROXY_V1 = b"PROXY TCP4 6.6.6.6 127.0.0.1 4242 8080\r\n"
PROXY_V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    + bytes([6, 6, 6, 6, 127, 0, 0, 1])
    + (4242).to_bytes(2, "big")
    + (8080).to_bytes(2, "big")
)


@pytest.mark.parametrize("preamble", [PROXY_V1, PROXY_V2], ids=["v1", "v2"])
async def test_proxy_protocol_of_a_trusted_proxy_names_the_client(edge, preamble):
    listeners = [{"address": "127.0.0.1:0", "proxy_protocol": True}]
    world = await edge({"listeners": listeners, "client_ip": {"trusted_proxies": ["127.0.0.0/8"]}})
    async with await world.connect() as client:
        await client.send_pieces([preamble[:9], preamble[9:] + get(b"X-A: b")])
        assert (await client.read_response()).status == 200
        client.send(get(b"X-A: c"))
        assert (await client.read_response()).status == 200
    assert [world.protection.payload(n)["IP"] for n in (1, 2)] == ["6.6.6.6", "6.6.6.6"]
    assert world.origin.added()[b"x-real-ip"] == b"6.6.6.6"


@pytest.mark.parametrize("preamble", [PROXY_V1, PROXY_V2], ids=["v1", "v2"])
async def test_proxy_protocol_of_a_stranger_is_refused(edge, preamble):
    """Only from `client_ip.trusted_proxies`: anybody else's preamble is no HTTP request."""
    world = await edge({"listeners": [{"address": "127.0.0.1:0", "proxy_protocol": True}]})
    answer = await world.exchange(preamble + get(b"X-A: b"))
    assert not answer.startswith(b"HTTP/1.1 200")
    assert world.origin.requests == []
    assert world.protection.requests == []
