"""A running receiver with its real store, and platforms that call it over raw connections."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from fakes import Client, Response

from gateway.config.posture import Posture, load_posture
from gateway.posture.event import Event
from gateway.posture.signature import sign
from gateway.posture.store import Store
from gateway.posture.webhook.service import Hook, Means, Service

SECRETS = {"ddactic": "ddactic-hook-secret", "cypersecurity": "cyper-hook-secret"}
HEADERS = {"ddactic": "X-DDactic-Signature", "cypersecurity": "X-Webhook-Signature"}
COMPLETED = {
    "event": "scan.completed",
    "timestamp": "2025-12-17T10:35:00Z",
    "data": {"scan_id": "scn_xyz789", "domain": "example.com", "risk_score": 4.2},
}
"""DDactic's documented payload."""


def posture_of(directory: Path, **section: Any) -> Posture:
    """The section `posture` of a file in `directory`, with a receiver on any free port; None takes a key out."""
    webhooks = {"address": "127.0.0.1:0", **{name: {"secret": secret} for name, secret in SECRETS.items()}}
    merged = {"store": "sqlite:///posture.db", "webhooks": webhooks, **section}
    file = directory / "gateway.yaml"
    file.write_text(yaml.safe_dump({"posture": {key: value for key, value in merged.items() if value is not None}}))
    return load_posture(file)


@dataclass
class Receiving:
    """One service. `store` is a second look into its store."""

    service: Service
    store: Store

    async def connect(self) -> Client:
        address = self.service.address
        return await Client.connect_unix(address) if isinstance(address, str) else await Client.connect(address[1])

    async def ask(self, request: bytes) -> Response:
        """The answer to these bytes, on a connection of their own."""
        async with await self.connect() as client:
            client.send(request)
            return await client.read_response(request.partition(b" ")[0])

    async def deliver(self, payload: Mapping[str, Any], provider: str = "ddactic") -> int:
        """The status of the answer to an event, signed over the raw body."""
        return (await self.ask(delivery(json.dumps(payload).encode(), provider))).status

    def counted(self) -> dict[tuple[str, ...], int]:
        return {labels: count for labels, count in self.service.metrics.posture_webhooks.values.items() if count}

    def event(self) -> Event:
        """The only one in the store."""
        (event,) = self.store.events()
        return event


def delivery(
    body: bytes, provider: str = "ddactic", *, signature: str | None = None, headers: Mapping[str, str] | None = None,
    path: str | None = None, method: str = "POST", is_chunked: bool = False,
) -> bytes:
    """A request's bytes. signature: None = the right one, "" = none."""
    fields = {"Host": "hooks.example"}
    if signature != "":
        fields[HEADERS[provider]] = signature or sign(body, SECRETS[provider])
    fields |= {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(len(body))}
    fields |= headers or {}
    head = f"{method} {path or '/webhooks/' + provider} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    return head.encode() + (chunked(body) if is_chunked else body)


def chunked(body: bytes, size: int = 10_000) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def filled(length_bytes: int) -> bytes:
    """An event of exactly that many bytes."""
    empty = json.dumps({"event": "scan.note", "data": {"text": ""}}).encode()
    return empty[:-3] + b"x" * (length_bytes - len(empty)) + empty[-3:]


@asynccontextmanager
async def receiving(
    posture: Posture, means: Means | None = None, hooks: Sequence[Hook] = ()
) -> AsyncIterator[Receiving]:
    service = Service(posture, hooks, means=means)
    await service.start()
    try:
        with Store.open(posture.store.get_secret_value()) as store:
            yield Receiving(service, store)
    finally:
        await service.close()
