"""The calls of the benchmark: what the gateway would send for the visitors of a shop, byte for byte.

Requests of browsers and programs are put through gateway.protection.payload, as a gateway does with them. Visitors have
addresses of their own, so that no rate limit is met; most have been here before and send the cookie that the engine
gave them.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from gateway.config import parse_config
from gateway.engine.browser.brand import brand_list
from gateway.http.client_address import Client
from gateway.http.head import parse_request
from gateway.protection.encoding import CONTENT_TYPES, encode_form, encode_json
from gateway.protection.payload import PayloadBuilder

HOST = "shop.example"
KEY = "bench"
RETURNING = 0.85  # of the people; the others come for the first time
PROGRAMS = 0.08  # of all requests

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_DOCUMENT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"


def _chrome(version: int, system: str, platform: str, *, mobile: bool = False) -> list[str]:
    kind = " Mobile" if mobile else ""
    return [
        "Connection: keep-alive",
        f"sec-ch-ua: {brand_list(version, 'Google Chrome')}",
        f"sec-ch-ua-mobile: ?{int(mobile)}",
        f'sec-ch-ua-platform: "{platform}"',
        "Upgrade-Insecure-Requests: 1",
        f"User-Agent: Mozilla/5.0 ({system}) {_WEBKIT} Chrome/{version}.0.0.0{kind} Safari/537.36",
        f"Accept: {_DOCUMENT}",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-User: ?1",
        "Sec-Fetch-Dest: document",
        f"Referer: https://{HOST}/",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9",
    ]


def _firefox(version: int, system: str) -> list[str]:
    return [
        f"User-Agent: Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Language: de,en-US;q=0.7,en;q=0.3",
        "Accept-Encoding: gzip, deflate, br, zstd",
        f"Referer: https://{HOST}/",
        "Connection: keep-alive",
        "Upgrade-Insecure-Requests: 1",
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-User: ?1",
        "Priority: u=0, i",
    ]


def _safari(system: str, end: str) -> list[str]:
    return [
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Dest: document",
        "Accept-Language: fr-FR,fr;q=0.9",
        "Sec-Fetch-Mode: navigate",
        f"User-Agent: Mozilla/5.0 ({system}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 {end}",
        f"Referer: https://{HOST}/",
        "Accept-Encoding: gzip, deflate, br",
        "Connection: keep-alive",
    ]


def _program(user_agent: str) -> list[str]:
    return [f"User-Agent: {user_agent}", "Accept: */*", "Accept-Encoding: gzip, deflate"]


BROWSERS = [
    *(_chrome(version, "Windows NT 10.0; Win64; x64", "Windows") for version in range(124, 144)),
    *(_chrome(version, "Macintosh; Intel Mac OS X 10_15_7", "macOS") for version in range(132, 144)),
    *(_chrome(version, "Linux; Android 10; K", "Android", mobile=True) for version in range(128, 144)),
    *(_firefox(version, "Windows NT 10.0; Win64; x64") for version in range(128, 145)),
    *(_firefox(version, "X11; Linux x86_64") for version in range(128, 145)),
    _safari("Macintosh; Intel Mac OS X 10_15_7", "Safari/605.1.15"),
    *(_safari(f"iPhone; CPU iPhone OS 18_{n} like Mac OS X", "Mobile/15E148 Safari/604.1") for n in range(7)),
]
PROGRAM_HEADERS = [
    _program("curl/8.9.1"),
    _program("python-requests/2.32.3"),
    _program("Go-http-client/2.0"),
    _program("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"),
    _program("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"),
    _program("Feedly/1.0 (+https://www.feedly.com/fetcher.html; 12 subscribers)"),
    _program(f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} HeadlessChrome/131.0.0.0 Safari/537.36"),
]
PATHS = ["/", "/cart", "/search?q=shoes&page=2", "/account/orders", "/api/v1/stock?sku=12345", "/checkout/address"]


@dataclass(slots=True)
class Visitor:
    """Somebody with one address and one way of asking. `cookie`: the engine's, "" before the first visit."""

    address: str
    headers: list[str]
    is_person: bool
    cookie: str = ""


def visitors(count: int, seed: int = 1) -> list[Visitor]:
    """The same ones every time. Addresses are spread over what European access providers have."""
    choose = random.Random(seed)
    return [_visitor(choose) for _ in range(count)]


def _visitor(choose: random.Random) -> Visitor:
    is_person = choose.random() >= PROGRAMS
    address = f"{choose.choice((77, 78, 79, 82, 84, 86, 87, 90, 91, 92))}." + ".".join(
        str(choose.randrange(1, 255)) for _ in range(3)
    )
    return Visitor(address, choose.choice(BROWSERS if is_person else PROGRAM_HEADERS), is_person)


class Caller:
    """Writes the calls that a gateway makes. encoding: `json` or `form`."""

    def __init__(self, encoding: str, seed: int = 2) -> None:
        config = parse_config({"protection": {"key": KEY}})
        self._builder = PayloadBuilder(
            config.sites[0].protection, key=KEY, server_name="edge-1", version=_version())
        self._encode = encode_json if encoding == "json" else encode_form
        self._content_type = CONTENT_TYPES[encoding]
        self._choose = random.Random(seed)

    def request(self, visitor: Visitor) -> bytes:
        """The visitor's request as it comes to a gateway."""
        cookies = ["session=6b1f0c2d9e"]
        if visitor.cookie:
            cookies.append(f"datadome={visitor.cookie}")
        lines = [
            f"GET {self._choose.choice(PATHS)} HTTP/1.1", f"Host: {HOST}", *visitor.headers,
            *([f"Cookie: {'; '.join(cookies)}"] if visitor.is_person else []),
        ]  # fmt: skip
        return "\r\n".join([*lines, "", ""]).encode()

    def call(self, visitor: Visitor) -> bytes:
        """The gateway's call about it, head and body."""
        client = Client(visitor.address, "https", 443, False, "", b"")
        head = parse_request(self.request(visitor))
        payload = self._builder.build(head, client, time.time_ns() // 1000, self._encode)
        return (
            b"POST /validate-request HTTP/1.1\r\nHost: engine\r\nUser-Agent: DataDome\r\nContent-Type: %b\r\n"
            b"Accept-Encoding: identity\r\nContent-Length: %d\r\n\r\n%b"
            % (self._content_type, len(payload.body), payload.body)
        )

    def returns(self) -> bool:
        """Whether a person has been here before."""
        return self._choose.random() < RETURNING


def _version() -> str:
    from importlib.metadata import version

    return version("protection-gateway")
