"""Which sites may be assessed, and which ways lead around the gateway."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.config.models import Site
from gateway.config.posture import EmbeddedPlatform, Place
from gateway.errors import PostureUsage
from gateway.posture.assessment import Target, assess, find_target
from gateway.posture.assessment.around import Ways, find_ways, is_public
from gateway.posture.assessment.target import Address, beside, read_url

SITES = tuple(
    Site.model_validate(section)
    for section in (
        {"hosts": ["shop.example", "*.shop.example"], "origin": {"servers": ["http://127.0.0.1:9000", "unix:/app"]}},
        {"hosts": ["[2001:db8::1]"], "paths": ["/api"], "origin": {"servers": ["https://10.0.0.9"]}},
        {"name": "rest", "hosts": ["*"], "origin": {"servers": ["http://203.0.113.9:81"]}},
    )
)


def platform(**targets: Any) -> EmbeddedPlatform:
    named = {name.replace("_", "."): keys for name, keys in targets.items()}
    return EmbeddedPlatform.model_validate({"targets": named})


def find(name: str, settings: EmbeddedPlatform | None = None) -> Target:
    return find_target(name, settings or platform(), SITES, Place())


def test_target_of_a_site_is_https_and_has_its_origins_servers() -> None:
    target = find("SHOP.example")
    assert (target.name, target.url, target.around, target.ca) == ("shop.example", "https://shop.example/", None, None)
    assert target.servers == ("http://127.0.0.1:9000", "unix:/app", "http://203.0.113.9:81")


def test_target_of_an_address_keeps_its_brackets() -> None:
    target = find("[2001:db8::1]")
    assert target.address == Address(True, "2001:db8::1", 443, "[2001:db8::1]", "/")


def test_target_of_the_section_has_its_own_url_and_ways() -> None:
    settings = platform(Other_example={"url": "http://127.0.0.1:8080", "around": ["http://10.1.2.3"]})
    target = find("other.EXAMPLE", settings)
    assert (target.url, target.around) == ("http://127.0.0.1:8080/", ("http://10.1.2.3",))
    assert target.servers == ("http://203.0.113.9:81",)


@pytest.mark.parametrize(
    "name",
    ["a.shop.example", "*.shop.example", "*", "", "shop.example.", "shop.example:443", "https://shop.example", "x.y"],
)
def test_target_that_is_not_ones_own_is_refused_with_what_is(name: str) -> None:
    with pytest.raises(PostureUsage) as refusal:
        find(name, platform(own_example={}))
    assert str(refusal.value) == (
        f"embedded: {name} is not a site of this configuration; expected an exact host of sites or a key of"
        " posture.providers.embedded.targets ([2001:db8::1], own.example, shop.example)"
    )


def test_target_of_an_empty_configuration_is_refused_in_a_bounded_clean_text() -> None:
    with pytest.raises(PostureUsage) as refusal:
        find_target("\x1b[31m" + "x" * 5000, EmbeddedPlatform(), (), Place())
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 300
    assert "none is configured" in str(refusal.value)


def test_url_parts_are_read() -> None:
    read = read_url("HTTP://Shop.Example:8080?a=b")
    assert read == Address(False, "shop.example", 8080, "Shop.Example:8080", "/?a=b")
    assert beside("https://a.example:1/b?c", "/d") == "https://a.example:1/d"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("198.51.100.1", False), ("8.8.8.8", True), ("10.0.0.1", False), ("127.0.0.1", False), ("169.254.1.1", False),
        ("100.64.0.1", False), ("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("2606:4700::1", True), ("::ffff:10.0.0.1", False), ("::ffff:8.8.8.8", True), ("2002:0a00:0001::1", False),
    ],
)  # fmt: skip
def test_address_is_public_if_anybody_may_reach_it(address: str, public: bool) -> None:
    assert is_public(address) is public


def with_servers(*servers: str, around: tuple[str, ...] | None = None) -> Target:
    return Target("shop.example", "https://shop.example/", around, servers, None, Place())


async def ways_of(*servers: str) -> Ways:
    return await find_ways(with_servers(*servers), 2)


async def test_ways_are_public_addresses_of_servers_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    names = {
        "shop.example": ["9.9.9.9"], "app.example": ["8.8.4.4", "10.0.0.1", "2606:4700::1"], "127.0.0.1": ["127.0.0.1"],
    }  # fmt: skip

    async def resolve(host: str, port: int, **_keys: Any) -> list[Any]:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]

    class Resolving:
        def __getattr__(self, name: str) -> Any:
            return resolve if name == "getaddrinfo" else getattr(loop, name)

    monkeypatch.setattr("gateway.posture.assessment.around.asyncio.get_running_loop", Resolving)
    ways = await ways_of(
        "http://127.0.0.1:9000", "unix:/run/app", "https://app.example:8443", "http://gone.example", "https://shop.example"
    )
    assert ways.urls == ["https://8.8.4.4:8443/", "https://[2606:4700::1]:8443/"]
    assert ways.left_out == {
        "http://127.0.0.1:9000": "127.0.0.1: not a public address",
        "unix:/run/app": "a Unix socket",
        "https://app.example:8443": "10.0.0.1: not a public address",
        "https://shop.example": "9.9.9.9: where visitors arrive",
    }
    assert list(ways.failed) == ["http://gone.example"]


async def test_ways_that_are_configured_may_be_anything() -> None:
    ways = await find_ways(with_servers("http://8.8.8.8", around=("http://127.0.0.1:1", "https://a.example/x?y")), 2)
    assert ways == Ways(["http://127.0.0.1:1/", "https://a.example/x?y"])


async def test_ways_over_sixteen_are_said_not_to_be_asked() -> None:
    ways = await find_ways(with_servers(around=tuple(f"http://127.0.0.1:{port}" for port in range(1, 20))), 2)
    assert (len(ways.urls), len(ways.failed)) == (16, 3)


async def test_ca_without_certificates_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    settings = platform(own_example={"ca": str(file), "url": "https://localhost:9"})
    target = find_target("own.example", settings, (), Place())
    with pytest.raises(PostureUsage, match=r"posture\.providers\.embedded\.targets\.own\.example\.ca: .*ca\.pem"):
        await assess(target, "passive", settings)
