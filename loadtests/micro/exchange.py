"""What one validated exchange costs in Python alone: real connections and parsers over transports that go nowhere.

Usage: python loadtests/micro/exchange.py [--profile]

Prints microseconds per exchange, and per step; the kernel's and the event loop's share is what `make bench` shows.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop

from gateway.app import Worker
from gateway.config import parse_config
from gateway.http.head import parse_request, parse_response
from gateway.pool.connection import Connection
from gateway.server.connection import DownstreamConnection
from gateway.server.listener import Listening

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-US,en;q=0.9\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nCookie: datadome=AHrlqAAAAAMAvMOMAeCkNXsAAAA; session=abcdef\r\n"
    b"Referer: https://example.com/a\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n\r\n"
)
ALLOWED = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 0\r\nConnection: keep-alive\r\nX-DataDomeResponse: 200\r\n"
    b"X-DataDome-headers: Set-Cookie X-DataDome\r\n"
    b"X-DataDome-request-headers: X-DataDome-botname X-DataDome-isbot\r\nX-DataDome-botname: curl\r\n"
    b"X-DataDome-isbot: 1\r\nX-DataDome: protected\r\n"
    b"Set-Cookie: datadome=some-value; Path=/; Max-Age=31536000; Secure; SameSite=Lax\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 710\r\nConnection: keep-alive\r\nCache-Control: no-cache\r\n\r\n" + b"x" * 710
)
CONFIG = {
    "listeners": [{"address": "127.0.0.1:0"}],
    "sites": [{"hosts": ["*"], "origin": {"servers": ["http://127.0.0.1:9"]}}],
    "protection": {
        "endpoint": "http://127.0.0.1:9", "key": "k", "encoding": "json", "timeout": "1s", "pool": {"warm": 0},
    },
    "logging": {"access_log": False},
}
COUNT = 20_000
STEPS: dict[str, Callable[[], object]] = {
    "parse a request head": lambda: parse_request(REQUEST),
    "parse an API answer": lambda: parse_response(ALLOWED),
    "parse an origin's head": lambda: parse_response(ANSWER[: ANSWER.find(b"\r\n\r\n") + 4]),
}


class Nowhere:
    """A transport whose writes are only counted."""

    def __init__(self) -> None:
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1)


def best_us(work: Callable[[], object]) -> float:
    rounds = []
    for _ in range(7):
        started = time.perf_counter()
        for _ in range(COUNT):
            work()
        rounds.append((time.perf_counter() - started) / COUNT * 1e6)
    return min(rounds)


async def main() -> None:
    worker = Worker(parse_config(CONFIG))
    await worker.start()
    server = worker.server
    site = server.runtime.sites[0]
    assert site.checker.client is not None
    api_pool, origin_pool = site.checker.client.pool, site.origin.servers[0].pool
    api, origin = Connection(api_pool), Connection(origin_pool)
    for connection, pool in ((api, api_pool), (origin, origin_pool)):
        connection.connection_made(Nowhere())  # type: ignore[arg-type]
        pool._open.add(connection)
        pool.take_back(connection)
    downstream = DownstreamConnection(server, Listening("http", 8000, False))
    transport = Nowhere()
    downstream.connection_made(transport)  # type: ignore[arg-type]

    calls = site.checker.client._calls

    def exchange() -> None:
        downstream.data_received(REQUEST)
        api.data_received(ALLOWED)
        origin.data_received(ANSWER)
        calls.clear()  # their deadline's timer would do it

    gc.disable()  # as good as off in a worker, too (app.py)
    exchange()
    assert transport.writes == 1, "the exchange did not come to its end"
    for step, work in STEPS.items():
        print(f"{step:24}{best_us(work):6.1f} us")
    print(f"{'whole exchange':24}{best_us(exchange):6.1f} us")
    if "--profile" in sys.argv:
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(COUNT):
            exchange()
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    site.checker.client._calls.clear()
    await worker.stop()


if __name__ == "__main__":
    uvloop.run(main())
