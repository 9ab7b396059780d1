"""`gateway explain`: site, scope and client with their reasons, the payload, and with --ask what follows."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import BlackHole, Client, RecordingProtection, decision

from gateway.__main__ import main
from gateway.config import Config, parse_config
from gateway.errors import DescriptionError
from gateway.explain import Described, Explanation, Field, ask, explain

NOBODY = "http://127.0.0.1:9"
UNTRUSTED = "the connection's peer is not a trusted proxy: client_ip.trusted_proxies is empty"


def config_dict(protection: Mapping[str, Any] = {}, site: Mapping[str, Any] = {}, **sections: Any) -> dict[str, Any]:
    """One site `shop` for every host; nobody is at the endpoint."""
    return {
        "server_name": "edge-1",
        "sites": [{"name": "shop", "hosts": ["*"], "origin": {"servers": [NOBODY]}, **site}],
        "protection": {"endpoint": NOBODY, "key": "very-secret", "encoding": "json", "pool": {"warm": 0}, **protection},
        **sections,
    }


def config_of(protection: Mapping[str, Any] = {}, site: Mapping[str, Any] = {}, **sections: Any) -> Config:
    return parse_config(config_dict(protection, site, **sections))


def get(url: str = "http://shop.example/", *headers: tuple[str, str], method: str = "GET", ip: str = "192.0.2.7"):
    return Described(method, url, headers, ip)


def fields_of(explanation: Explanation) -> dict[str, Field]:
    return {field.name: field for field in explanation.fields}


# --- site ---


def test_site_matched_says_which_host_and_path() -> None:
    config = config_of(site={"hosts": ["other.example", "*.shop.example"], "paths": ["/a", "/b"]})
    found = explain(config, get("http://WWW.Shop.example:81/b/c?q"))
    assert found.site == "shop"
    assert found.site_reason == "host *.shop.example matches www.shop.example, path /b/c begins with /b"


def test_site_is_the_first_that_matches() -> None:
    sites = [{"name": name, "hosts": ["shop.example"], "paths": [name]} for name in ("/api", "/")]
    config = parse_config(config_dict() | {"sites": sites})
    assert explain(config, get("http://shop.example/api/x")).site == "/api"
    assert explain(config, get("http://shop.example/x")).site == "/"


def test_site_missing_for_host_says_so_and_nothing_is_asked() -> None:
    found = explain(config_of(site={"hosts": ["shop.example"]}), get("http://other.example/"))
    assert (found.site, found.checked, found.fields) == (None, False, ())
    assert found.site_reason == "none of the 1 sites has host other.example; the client gets 421"


def test_site_missing_for_path_names_the_paths_of_the_host() -> None:
    found = explain(config_of(site={"paths": ["/a", "/b"]}), get("http://shop.example/c?d"))
    assert found.site_reason == "no site with host shop.example has path /c (shop has /a, /b); the client gets 421"


def test_host_header_typed_counts_instead_of_the_url() -> None:
    found = explain(config_of(), get("http://127.0.0.1:8080/", ("Host", "shop.example")))
    assert fields_of(found)["Host"].value == "shop.example"
    assert fields_of(found)["HeadersList"].value == "host"


# --- refusals ---


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (get("http://shop.example/", ("Content-Length", "x")), "the request is refused with 400 (malformed)"),
        (get("http://sh*p.example/"), "the request is refused with 400 (host)"),
        (get("http://shop.example:²/"), "the request is refused with 400 (host)"),
        (get("http://shop.example:99999/"), "the request is refused with 400 (host)"),
        (get(method="TRACE"), "the request is refused with 501 (method)"),
        (get("http://shop.example/" + "x" * 20_000), "the request is refused with 414 (target size)"),
        (get("http://shop.example/", ("X", "x" * 70_000)), "the request is refused with 431 (head size)"),
        (get("http://shop.example/", *[("X", "x")] * 100), "the request is refused with 431 (header count)"),
    ],
)
def test_request_that_the_gateway_refuses_is_explained_with_its_status(described: Described, reason: str) -> None:
    found = explain(config_of(), described)
    assert (found.site, found.site_reason, found.checked, found.fields) == (None, reason, False, ())


def test_body_over_the_limit_is_not_checked() -> None:
    config = config_of(limits={"request_body_bytes": 1024})
    found = explain(config, get("http://shop.example/", ("Content-Length", "1025"), method="POST"))
    assert not found.checked
    assert found.checked_reason == "a body of 1025 bytes is over request_body_bytes (1024); the client gets 413"


@pytest.mark.parametrize(
    "described",
    [
        get("ftp://shop.example/"), get("/path"), get("http:///path"), get("http://u:p@shop.example/"),
        get("http://shop.example/a b"), get("http://shop.example/\r\nX: y"), get(method="GET /"),
        get("http://shop.example/", ("X", "a\r\nB: c")), get("http://shop.example/", ("X Y", "a")),
    ],
)
def test_description_of_no_single_request_is_refused(described: Described) -> None:
    with pytest.raises(DescriptionError):
        explain(config_of(), described)


def test_fragment_of_the_url_is_not_sent() -> None:
    assert fields_of(explain(config_of(), get("http://shop.example?q=1#part")))["Request"].value == "/?q=1"


# --- scope ---


@pytest.mark.parametrize(
    ("protection", "described", "reason"),
    [
        ({"mode": "off"}, get(), "mode: off, this site asks nothing"),
        ({"exclude_methods": ["PATCH", "OPTIONS"]}, get(method="OPTIONS"),
         "method OPTIONS is one of exclude_methods (PATCH, OPTIONS)"),
        ({"exclude_ips": ["10.0.0.0/8", "192.0.2.0/24"]}, get(),
         "client address 192.0.2.7 is in 192.0.2.0/24 of exclude_ips"),
        ({}, get("http://shop.example/a/x.CSS?v=1"),
         "GET of a static file: .css is in the default list (exclude_static)"),
        ({"static_extensions": ["foo"]}, get("http://shop.example/x.foo;v=1", method="HEAD"),
         "HEAD of a static file: .foo is in static_extensions (exclude_static)"),
        ({"exclude": ["^a", r"example/p\d"]}, get("http://Shop.example:81/p1?x"),
         r"exclude 'example/p\\d' matches shop.example/p1"),
        ({"include": ["/login$", "/pay"]}, get("http://shop.example/other"),
         "none of include ('/login$', '/pay') matches shop.example/other"),
    ],
)  # fmt: skip
def test_bypass_says_what_decides(protection: dict[str, Any], described: Described, reason: str) -> None:
    found = explain(config_of(protection), described)
    assert (found.site, found.checked, found.checked_reason, found.fields) == ("shop", False, reason, ())


NOT_STATIC = (
    "nothing excludes it; it looks like a static file, but matrix parameters (;...) and encoded characters do not make "
    "it one"
)


@pytest.mark.parametrize(
    ("protection", "described", "reason"),
    [
        ({}, get(), "nothing excludes it"),
        ({"include": ["/x", "/login$"], "exclude": ["/pay"]}, get("http://shop.example/login"),
         "include '/login$' matches shop.example/login"),
        ({"mode": "monitor"}, get(), "nothing excludes it; the answer is not enforced (mode: monitor)"),
        ({}, get("http://shop.example/login.css", method="POST"),
         "nothing excludes it; POST is never one of a static file, only GET and HEAD are"),
        ({}, get("http://shop.example/login;x.css"), NOT_STATIC),
        ({}, get("http://shop.example/api%2fx.png"), NOT_STATIC),
        ({}, get("http://shop.example/x.js%0a"), NOT_STATIC),
        ({"exclude_static": False}, get("http://shop.example/x.css"), "nothing excludes it"),
    ],
)  # fmt: skip
def test_check_says_why(protection: dict[str, Any], described: Described, reason: str) -> None:
    found = explain(config_of(protection), described)
    assert (found.checked, found.checked_reason) == (True, reason)


def test_overrides_of_the_site_decide() -> None:
    found = explain(config_of({"mode": "off"}, site={"protection": {"mode": "enforce"}}), get())
    assert found.checked


# --- client ---


def test_client_without_trusted_proxies_is_the_peer() -> None:
    found = explain(config_of(), get("http://shop.example/", ("X-Forwarded-For", "203.0.113.1")))
    assert (found.client_ip, found.client_ip_reason) == ("192.0.2.7", UNTRUSTED)
    assert fields_of(found)["IP"].value == "192.0.2.7"


def test_client_behind_other_networks_names_them() -> None:
    found = explain(config_of(client_ip={"trusted_proxies": ["10.0.0.0/8", "::1/128"]}), get())
    assert found.client_ip_reason == (
        "the connection's peer is not a trusted proxy: none of 10.0.0.0/8, ::1/128 holds 192.0.2.7")


def test_client_behind_a_trusted_proxy_says_network_and_header() -> None:
    config = config_of(client_ip={"trusted_proxies": ["::1/128", "192.0.2.0/24"]})
    found = explain(config, get("http://shop.example/", ("X-Forwarded-For", "203.0.113.1, 192.0.2.9")))
    assert (found.client_ip, found.client_ip_reason) == (
        "203.0.113.1",
        "the first hop from the right that is not a trusted proxy; "
        "192.0.2.7 is a trusted proxy (192.0.2.0/24), so X-Forwarded-For is believed",
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://shop.example/", ("http", "8080")),
        ("http://shop.example:8081/", ("http", "8081")),
        ("https://shop.example/", ("https", "8443")),
        ("https://shop.example:8444/", ("https", "8444")),
    ],
)
def test_listener_is_the_one_that_the_url_means(certificates: Any, url: str, expected: tuple[str, str]) -> None:
    tls = {"certificate": str(certificates.certificate_file), "private_key": str(certificates.key_file)}
    config = config_of(
        listeners=[
            {"address": "127.0.0.1:8080"}, {"address": "127.0.0.1:8081"},
            {"address": "127.0.0.1:8443", "tls": tls}, {"address": "127.0.0.1:8444", "tls": tls},
        ])  # fmt: skip
    fields = fields_of(explain(config, get(url)))
    assert (fields["Protocol"].value, fields["Port"].value) == expected


# --- payload ---


def test_payload_stands_in_sending_order_without_the_key() -> None:
    found = explain(config_of(), get("http://shop.example/a?b", ("User-Agent", "é"), ("Cookie", "datadome=x")))
    assert [field.name for field in found.fields] == [
        "Key", "IP", "RequestModuleName", "ModuleVersion", "Port", "Protocol", "Method", "TimeRequest",
        "APIConnectionState", "AuthorizationLen", "CookiesLen", "PostParamLen", "ServerName", "ServerHostname", "Host",
        "Request", "HeadersList", "CookiesList", "ClientID", "UserAgent",
    ]  # fmt: skip
    fields = fields_of(found)
    assert fields["Key"] == Field("Key", "***", len("very-secret"), None, False)
    assert fields["UserAgent"] == Field("UserAgent", "é", 2, 768, False)
    assert fields["CookiesLen"] == Field("CookiesLen", "10", 2, None, False)
    assert "very-secret" not in repr(found)


def test_payload_field_over_its_limit_is_cut_and_says_so() -> None:
    config = config_of({"field_limits": {"Referer": 10}})
    headers = (("User-Agent", "a" * 800), ("Referer", "0123456789abc"), ("X-Forwarded-For", "a" * 8 + "b" * 512))
    fields = fields_of(explain(config, get("http://shop.example/", *headers)))
    assert fields["UserAgent"] == Field("UserAgent", "a" * 768, 768, 768, True)
    assert fields["Referer"] == Field("Referer", "0123456789", 10, 10, True)
    assert fields["XForwardedForIP"] == Field("XForwardedForIP", "b" * 512, 512, 512, True)


@pytest.mark.parametrize("encoding", ["json", "form"])
def test_payload_over_the_budget_is_shown_as_it_is_sent(encoding: str) -> None:
    config = config_of({"encoding": encoding, "field_limits": {"UserAgent": 30_000, "Referer": 6000}})
    described = get("http://shop.example/", ("User-Agent", "a" * 30_000), ("Referer", "b" * 6000))
    found = explain(config, described)
    fields = fields_of(found)
    assert fields["UserAgent"] == Field("UserAgent", "a" * 15_000, 15_000, 30_000, True)
    assert fields["Referer"] == Field("Referer", "b" * 6000, 6000, 6000, False)
    assert (found.encoding, found.budget_bytes) == (encoding, 24_576)
    assert 21_000 < found.encoded_bytes <= 24_576


@pytest.mark.parametrize(
    ("protection", "encoding"),
    [
        ({"encoding": "form"}, "form"),
        ({"encoding": "auto"}, "form (json if the API takes it: encoding is auto)"),
        ({"encoding": "auto", "endpoint": "embedded"}, "json"),
    ],
)
def test_encoding_without_asking(protection: dict[str, Any], encoding: str) -> None:
    assert explain(config_of(protection), get()).encoding == encoding


# --- ask ---


@pytest.fixture
async def protection() -> AsyncIterator[RecordingProtection]:
    server = RecordingProtection()
    await server.start()
    yield server
    await server.stop()
    assert server.violations == []


def asking(server: RecordingProtection, **protection: Any) -> Config:
    return config_of({"endpoint": f"http://127.0.0.1:{server.port}/v1", "timeout": "5s", **protection})


async def test_ask_of_an_allowed_request_shows_what_both_sides_get(protection: RecordingProtection) -> None:
    protection.default = decision(
        200, to_request=((b"X-DataDome-isbot", b"0"),), to_response=((b"Set-Cookie", b"datadome=new; Path=/"),),
        unlisted=((b"X-DataDome-ruletype", b"search-engine"),))
    described = get("http://shop.example/a?b", ("User-Agent", "x"), ("X-DataDome-isbot", "forged"))
    found = await ask(asking(protection), described)
    answer = found.answer
    assert answer is not None
    assert (answer.decision, answer.reason, answer.status, answer.outcome) == ("allow", "", 200, "allowed")
    assert answer.rule == "search-engine"
    assert answer.request_headers == (("x-datadome-isbot", "0"),)
    assert answer.response_headers == (("set-cookie", "datadome=new; Path=/"),)
    assert answer.client_gets == ()
    assert answer.origin_gets[:2] == ("GET /a?b HTTP/1.1", "host: shop.example")
    assert set(answer.origin_gets[2:]) == {
        "user-agent: x", "via: 1.1 gateway", "x-forwarded-host: shop.example", "x-request-id: (made for each request)",
        "x-forwarded-for: 192.0.2.7", "x-real-ip: 192.0.2.7", "x-forwarded-proto: http", "x-forwarded-port: 8080",
        "x-datadome-isbot: 0",
    }  # fmt: skip


async def test_ask_sends_one_check_with_the_fields_shown(protection: RecordingProtection) -> None:
    found = await ask(asking(protection), get("http://shop.example/a", ("User-Agent", "x")))
    assert len(protection.requests) == 1
    assert protection.requests[0].line == b"POST /v1/validate-request HTTP/1.1"
    sent = {name: str(value) for name, value in protection.payload().items()}
    assert sent == {field.name: field.value for field in found.fields} | {"Key": "very-secret"}
    assert len(protection.requests[0].body) == found.encoded_bytes


async def test_ask_with_session_by_header_asks_for_it_back(protection: RecordingProtection) -> None:
    await ask(asking(protection), get("http://shop.example/", ("X-DataDome-ClientID", "c")))
    assert protection.requests[0].head.value(b"x-datadome-x-set-cookie") == b"true"


async def test_ask_of_a_blocked_request_shows_the_local_reply(protection: RecordingProtection) -> None:
    listed, unlisted = ((b"Set-Cookie", b"a=b"),), ((b"X-Y", b"z"),)
    protection.default = decision(403, to_response=listed, unlisted=unlisted, body=b"blocked")
    answer = (await ask(asking(protection), get())).answer
    assert answer is not None
    assert (answer.decision, answer.status, answer.outcome) == ("block", 403, "blocked")
    assert (answer.rule, answer.request_headers, answer.origin_gets) == ("", (), ())
    assert answer.response_headers == (("set-cookie", "a=b"),)
    assert answer.client_gets == ("HTTP/1.1 403 Forbidden", "set-cookie: a=b", "content-length: 7")


async def test_ask_in_monitor_mode_enforces_nothing(protection: RecordingProtection) -> None:
    protection.default = decision(403, to_response=((b"Set-Cookie", b"a=b"),))
    answer = (await ask(asking(protection, mode="monitor"), get())).answer
    assert answer is not None
    assert (answer.decision, answer.outcome, answer.response_headers) == ("block", "monitored", ())
    assert answer.origin_gets[0] == "GET / HTTP/1.1"


@pytest.mark.parametrize(
    ("script", "reason", "status"),
    [
        (decision(400), "unauthorized", 400),
        (decision(200, marker=b"403"), "integrity", 200),
        (decision(500), "status", 500),
        (b"nonsense\r\n\r\n", "protocol", None),
    ],
)
async def test_ask_without_a_decision_says_why_and_what_happens(
    protection: RecordingProtection, script: bytes, reason: str, status: int | None
) -> None:
    protection.default = script
    answer = (await ask(asking(protection), get())).answer
    assert answer is not None
    assert (answer.decision, answer.reason, answer.status) == ("error", reason, status)
    assert (answer.outcome, answer.origin_gets[0]) == ("failed_open", "GET / HTTP/1.1")


async def test_ask_that_fails_closed_shows_the_503(protection: RecordingProtection) -> None:
    protection.default = decision(500)
    answer = (await ask(asking(protection, on_failure="block"), get())).answer
    assert answer is not None
    assert (answer.outcome, answer.origin_gets) == ("failed_closed", ())
    assert answer.client_gets[0] == "HTTP/1.1 503 Service Unavailable"


async def test_ask_of_nobody_says_that_it_cannot_connect(unused_port: int) -> None:
    answer = (await ask(config_of({"endpoint": f"http://127.0.0.1:{unused_port}"}), get())).answer
    assert answer is not None
    assert (answer.decision, answer.status, answer.outcome) == ("error", None, "failed_open")
    assert answer.reason.startswith("connect: ")


async def test_ask_of_a_black_hole_ends_with_the_timeout() -> None:
    with BlackHole() as hole:
        answer = (await ask(config_of({"endpoint": f"http://127.0.0.1:{hole.port}"}), get())).answer
    assert answer is not None
    assert (answer.decision, answer.reason) == ("error", "timeout")


async def test_ask_about_a_bypass_asks_nobody(protection: RecordingProtection) -> None:
    found = await ask(asking(protection), get("http://shop.example/x.css"))
    assert (found.checked, found.answer, protection.requests) == (False, None, [])


async def test_ask_negotiates_the_encoding_first(protection: RecordingProtection) -> None:
    protection.scripts.extend([decision(415), decision(200)])
    found = await ask(asking(protection, encoding="auto"), get("http://shop.example/a"))
    assert found.encoding == "form"
    types = [request.head.value(b"content-type") for request in protection.requests]
    assert types == [b"application/json", *[b"application/x-www-form-urlencoded"] * 2]
    assert protection.payload(3)["Request"] == "/a"


async def test_ask_of_the_embedded_engine_needs_no_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    config = config_of({"endpoint": "embedded", "timeout": "5s", "encoding": "auto"})
    found = await ask(config, get("http://shop.example/", ("User-Agent", "curl/8")))
    assert found.answer is not None
    assert (found.encoding, found.answer.decision, found.answer.status) == ("json", "block", 403)
    assert os.listdir(tmp_path) == [], "the socket is removed"


async def test_ask_with_preserve_host_off_shows_the_server_s_own(protection: RecordingProtection) -> None:
    site = {"origin": {"servers": ["http://app.internal:81"], "preserve_host": False}}
    config = config_of({"endpoint": f"http://127.0.0.1:{protection.port}", "timeout": "5s"}, site=site)
    found = await ask(config, get())
    assert found.answer is not None
    assert found.answer.origin_gets[1] == "host: app.internal:81"


# --- explanation and traffic ---


async def test_origin_gets_what_the_explanation_says(edge: Any) -> None:
    world = await edge()
    raw = (
        b"GET /a?b HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: x\r\nX-Real-IP: 1.1.1.1\r\n"
        b"Connection: x-hop\r\nX-Hop: 1\r\n\r\n"
    )
    world.protection.default = decision(200, to_request=((b"X-DataDome-isbot", b"1"),))
    async with await Client.connect(world.gateway.port) as client:
        client.send(raw)
        await client.read_response()
    headers = (
        ("Host", "shop.example"), ("User-Agent", "x"), ("X-Real-IP", "1.1.1.1"), ("Connection", "x-hop"),
        ("X-Hop", "1"),
    )  # fmt: skip
    address = f"127.0.0.1:{world.gateway.port}"
    config = parse_config(world.config | {"listeners": [{"address": address}]})
    found = await ask(config, get(f"http://{address}/a?b", *headers, ip="127.0.0.1"))
    assert found.answer is not None
    received = world.origin.requests[0].head
    lines = [received.start.decode(), *(f"{name.decode()}: {value.decode()}" for name, value in received.lowered)]
    assert _without_id(found.answer.origin_gets) == _without_id(lines)
    described, asked = ({k: v for k, v in world.protection.payload(n).items() if k != "TimeRequest"} for n in (1, 2))
    assert described == asked


def _without_id(lines: Any) -> list[str]:
    return [line for line in lines if not line.startswith("x-request-id: ")]


# --- command line ---


def written(folder: Path, config: Mapping[str, Any]) -> str:
    """The name of a file with that configuration."""
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(config))
    return str(file)


def test_explain_typed_prints_the_explanation_and_never_the_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = written(tmp_path, config_dict())
    typed = ["-X", "POST", "-H", "User-Agent: curl/8", "-H", "Cookie: a=b", "--ip", "2001:db8::1"]
    assert main(["explain", "-c", file, *typed, "http://shop.example/a"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = {tuple(line.split()[:1]): line.split() for line in printed.out.splitlines()}
    assert lines[("protection",)] == "protection check: nothing excludes it".split()
    assert lines[("UserAgent",)] == ["UserAgent", "6", "768", "curl/8"]
    assert lines[("IP",)] == ["IP", "11", "2001:db8::1"]
    assert lines[("Key",)] == ["Key", "11", "***"]
    assert "very-secret" not in printed.out


def test_explain_typed_with_a_wrong_url_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["explain", "-c", written(tmp_path, config_dict()), "shop.example/a"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (
        "", "gateway: 'shop.example/a' is not http(s)://host/path?query, percent-encoded\n")


def test_explain_ask_typed_prints_decision_and_reply(tmp_path: Path) -> None:
    file = written(tmp_path, config_dict({"endpoint": "embedded", "encoding": "auto", "timeout": "5s"}))
    typed = ["explain", "--ask", "-c", file, "-H", "User-Agent: curl/8", "http://shop.example/"]
    done = subprocess.run([sys.executable, "-m", "gateway", *typed], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "rule      automation " in done.stdout
    assert "outcome   blocked" in done.stdout and "HTTP/1.1 403 Forbidden" in done.stdout
    assert "very-secret" not in done.stdout


async def test_explain_ask_typed_without_a_decision_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, protection: RecordingProtection
) -> None:
    protection.default = decision(400)
    endpoint = f"http://127.0.0.1:{protection.port}"
    file = written(tmp_path, config_dict({"endpoint": endpoint, "timeout": "5s", "encoding": "auto"}))
    code = await asyncio.to_thread(main, ["explain", "--ask", "-c", file, "http://shop.example/"])
    printed = capsys.readouterr()
    assert (code, printed.err) == (1, "")
    assert "decision  error (unauthorized)" in printed.out
