"""A web server on loopback that answers what a test wrote down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Page:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False


class WebServer:
    """`pages`: path -> Page. `asked`: (path, If-None-Match) of each request."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, str]] = []
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        known = request.headers.get("If-None-Match", "")
        self.asked.append((request.path, known))
        self.arrived.set()
        await self.go_on.wait()
        page = self.pages.get(request.path, Page(status=404))
        if page.silent:
            await asyncio.Event().wait()
        if known and known == page.headers.get("ETag"):
            return web.Response(status=304, headers=page.headers)
        return web.Response(body=page.body, status=page.status, headers=page.headers)
