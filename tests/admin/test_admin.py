"""The admin service over real HTTP, in front of a gateway whose state the test sets."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import http_parser

from gateway.admin import AdminService, assert_c_parser
from gateway.admin.service import State
from gateway.config import Config, parse_config
from gateway.config.address import parse_address
from gateway.errors import GatewayError
from gateway.metrics import CHALLENGE_RESULTS, FAILURE_REASONS, OUTCOMES, Metrics, Totals


@dataclass
class ScriptedGateway:
    """What the supervisor is to the admin service."""

    config: Config
    totals: Totals = field(default_factory=Totals)
    metrics: Metrics = field(default_factory=Metrics)
    state: State = "running"
    entries: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False

    async def refresh(self, timeout_s: float) -> None:
        self.totals.add("worker-0", self.metrics.take())

    def degraded(self) -> list[dict[str, Any]]:
        if self.broken:
            raise RuntimeError("a defect")
        return self.entries

    def status(self) -> dict[str, Any]:
        return {"version": "1", "engine": {"engine_socket": "/run/engine.sock"}}


@dataclass
class Admin:
    gateway: ScriptedGateway
    port: int
    session: aiohttp.ClientSession

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, str]:
        """(status, headers, text)"""
        request = self.session.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers)
        async with request as answer:
            return answer.status, answer.headers, await answer.text()


StartAdmin = Callable[..., Awaitable[Admin]]
SITES = [{"origin": {"servers": ["http://127.0.0.1:9"]}, "protection": {"endpoint": "http://127.0.0.1:9"}}]


@pytest.fixture
async def admin() -> AsyncIterator[StartAdmin]:
    """`await admin(token="...")` starts a service until the test ends."""
    services: list[AdminService] = []
    async with aiohttp.ClientSession() as session:

        async def start(token: str | None = None) -> Admin:
            config = parse_config({"sites": SITES, "protection": {"key": "k-secret"}, "admin": {"token": token}})
            gateway = ScriptedGateway(config)
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            service = AdminService(gateway, parse_address("127.0.0.1:9090"))
            services.append(service)
            await service.start(sock)
            return Admin(gateway, sock.getsockname()[1], session)

        yield start
    for service in services:
        await service.close()


async def test_readyz_when_degraded_is_ready_and_lists_it(admin: StartAdmin) -> None:
    running = await admin()
    running.gateway.entries = [{"part": "protection", "reason": "breaker open", "processes": ["worker-0"]}]
    status, headers, text = await running.ask("/readyz")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(text) == {"status": "ready", "degraded": running.gateway.entries}


@pytest.mark.parametrize("state", ["starting", "draining"])
async def test_readyz_while_starting_or_draining_is_503_and_healthz_is_200(admin: StartAdmin, state: State) -> None:
    running = await admin()
    running.gateway.state = state
    status, _, text = await running.ask("/readyz")
    assert (status, json.loads(text)) == (503, {"status": state, "degraded": []})
    assert (await running.ask("/healthz"))[0] == 200


async def test_metrics_are_fresh_and_in_the_text_format(admin: StartAdmin) -> None:
    running = await admin()
    running.gateway.metrics.connections.values[()] += 3
    status, headers, text = await running.ask("/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "gateway_connections_total 3.0\n" in text


async def test_status_has_every_outcome_and_reason_and_latency_estimates(admin: StartAdmin) -> None:
    running = await admin()
    metrics = running.gateway.metrics
    metrics.requests.values["shop", "GET", "2xx", "allowed"] += 2
    metrics.requests.values["api", "POST", "2xx", "failed_open"] += 1
    metrics.protection_failures.values[("timeout",)] += 1
    metrics.protection_breaker_state.values[()] = 2
    metrics.protection_duration.child(("api",)).observe(0.0015)
    await running.ask("/metrics")
    status = json.loads((await running.ask("/status.json"))[2])
    assert status["requests"] == dict.fromkeys(OUTCOMES, 0) | {"allowed": 2, "failed_open": 1}
    assert status["failures"] == dict.fromkeys(FAILURE_REASONS, 0) | {"timeout": 1}
    assert status["breaker"] == "open"
    assert status["latency_ms"]["protection"] == {"p50": 1.5, "p95": 1.95, "p99": 1.99}
    assert status["latency_ms"]["exchange"] == {"p50": None, "p95": None, "p99": None}
    histogram = status["protection_histogram"]
    assert sum(histogram["counts"]) == 1 and len(histogram["counts"]) == len(histogram["bounds_ms"]) + 1


async def test_config_is_yaml_without_secrets(admin: StartAdmin) -> None:
    running = await admin("s3cret")
    status, _, text = await running.ask("/config", Authorization="Bearer s3cret")
    assert status == 200
    assert yaml.safe_load(text)["protection"]["timeout"]
    assert "s3cret" not in text and "k-secret" not in text and "***" in text


async def test_status_has_a_section_of_the_embedded_engine(admin: StartAdmin) -> None:
    running = await admin()
    counted = running.gateway.metrics
    counted.engine_decisions.values["automation", "block"] += 7
    counted.engine_decisions.values["default", "allow"] += 90
    counted.engine_decisions.values["request-rate", "limit"] += 8
    counted.engine_visitors.values["library", "block"] += 7
    counted.engine_challenges.values[("issued",)] += 2
    counted.engine_dry_run.values["new-rule", "challenge"] += 3
    counted.engine_sessions.values[("proved",)] = 5
    counted.engine_overrides.values[()] = 1
    counted.engine_store_up.values[()] = 0
    counted.engine_store_errors.values[()] += 4
    engine = json.loads((await running.ask("/status.json"))[2])["engine"]
    assert engine == {
        "engine_socket": "/run/engine.sock",
        "decisions": {"block": 7, "allow": 90, "limit": 8},
        "rules": {"automation": {"block": 7}, "default": {"allow": 90}, "request-rate": {"limit": 8}},
        "top_rules": [
            {"rule": "request-rate", "action": "limit", "count": 8},
            {"rule": "automation", "action": "block", "count": 7},
        ],
        "dry_run": {"new-rule": {"challenge": 3}},
        "visitors": {"library": {"block": 7}},
        "challenges": dict.fromkeys(CHALLENGE_RESULTS, 0) | {"issued": 2},
        "sessions": {"proved": 5},
        "overrides": 1,
        "store_up": False,
        "store_errors": 4,
    }


@pytest.mark.parametrize("path", ["/metrics", "/status.json", "/config", "/nowhere", "//metrics"])
async def test_token_needed_for_everything_that_tells_something(admin: StartAdmin, path: str) -> None:
    running = await admin("s3cret")
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        status, answer, _ = await running.ask(path, **headers)
        assert (status, answer["WWW-Authenticate"]) == (401, 'Bearer realm="gateway admin"')
    assert (await running.ask(path, Authorization="Bearer s3cret"))[0] == (
        404 if path in ("/nowhere", "//metrics") else 200
    )


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
async def test_token_not_needed_for_probes_and_the_empty_page(admin: StartAdmin, path: str) -> None:
    assert (await (await admin("s3cret")).ask(path))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_method_other_than_get_and_head_refused(admin: StartAdmin, method: str) -> None:
    status, headers, _ = await (await admin()).ask("/metrics", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


async def test_head_has_the_headers_alone(admin: StartAdmin) -> None:
    status, headers, text = await (await admin()).ask("/metrics", "HEAD")
    assert status == 200 and int(headers["Content-Length"]) > 0 and text == ""


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/config"])
async def test_foreign_host_on_loopback_refused(admin: StartAdmin, path: str) -> None:
    assert (await (await admin()).ask(path, Host="rebound.example:9090"))[0] == 421


async def test_every_answer_forbids_caching_framing_and_other_origins(admin: StartAdmin) -> None:
    running = await admin()
    for path in ("/", "/status.json", "/nowhere"):
        _, headers, _ = await running.ask(path, Origin="https://evil.example")
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Server"] == "gateway"
        assert not [name for name in headers if name.lower().startswith("access-control-")]


async def test_defect_is_a_500_that_tells_nothing(admin: StartAdmin) -> None:
    running = await admin()
    running.gateway.broken = True
    status, headers, text = await running.ask("/readyz")
    assert (status, text) == (500, "Internal Server Error\n")
    assert headers["Server"] == "gateway"


async def test_dashboard_is_self_contained_and_its_policy_allows_its_own_script_alone(admin: StartAdmin) -> None:
    status, headers, page = await (await admin()).ask("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:)[a-z/]", page)
    assert not re.findall(r"\son[a-z]+=|\sstyle=|innerHTML", page)
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for tag in ("script", "style"):
        (block,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_python_parser_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_c_parser()
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(GatewayError, match="C parser"):
        assert_c_parser()
