"""Overrides from the command line: into a shared store, or to a running engine over TCP, TLS or a Unix socket."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme
import yaml
from engine.browser_requests import BROWSER_REQUESTS
from engine.service.operated import KEY, Operated, beside
from processes import START_S, free_port
from valkey_server import ValkeyServer, needs_server

from gateway.__main__ import main
from gateway.engine.keyring import Binding, Keyring
from gateway.engine.service.listener import bind, tls_context
from gateway.engine.session import Sessions
from gateway.engine.store import store_of


@pytest.fixture
def config_of(tmp_path: Path) -> Callable[..., str]:
    """`config_of(listen=..., admin=...)` writes a configuration and gives its name."""

    def write(*, admin: dict[str, Any] | None = None, **engine: Any) -> str:
        port = free_port()  # nobody listens there
        file = tmp_path / "gateway.yaml"
        file.write_text(yaml.safe_dump({"engine": engine, "admin": admin or {"address": f"127.0.0.1:{port}"}}))
        return str(file)

    return write


def ban(config: str, *more: str) -> int:
    return main(["engine", "ban", "192.0.2.9", "--for", "10m", "--reason", "scraping", "-c", config, *more])


def test_ban_of_a_running_engine_is_in_force_and_shown(
    config_of: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    operated, sock = Operated(), bind("127.0.0.1:0")
    address = f"127.0.0.1:{sock.getsockname()[1]}"
    config = config_of(listen={"address": address}, keys=[KEY, "older"])
    with beside(operated, sock):
        assert ban(config) == 0
        shown = capsys.readouterr().out
        assert [entry.subject for entry in operated.store.overrides] == ["192.0.2.9"]
        assert "192.0.2.9" in shown and "scraping" in shown
        assert f"1 in force, until the engine is restarted (engine {address})" in shown

        assert main(["engine", "list", "--format", "json", "-c", config]) == 0
        (listed,) = json.loads(capsys.readouterr().out)["overrides"]
        assert (listed["subject"], listed["action"], listed["reason"]) == ("192.0.2.9", "block", "scraping")
        assert 599 < listed["until_s"] - listed["created_s"] < 601

        assert main(["engine", "revoke", "AAAAAAAAAAAA", "--for", "1h", "-c", config]) == 0
        assert operated.store.overrides.get("session:AAAAAAAAAAAA").action == "revoke"

        cookie = Sessions(Keyring([b"secret"]), 60.0)
        opened = cookie.open("proved", time.time(), lambda size: b"\1" * size)
        word = cookie.write(opened, Binding("shop.example", "", "Mozilla/5.0"))
        assert main(["engine", "revoke", word, "--for", "1h", "-c", config]) == 0
        assert operated.store.overrides.get(f"session:{opened.id}").action == "revoke"
        assert main(["engine", "unban", f"session:{word}", "-c", config]) == 0
        assert operated.store.overrides.get(f"session:{opened.id}") is None

        assert main(["engine", "unban", "192.0.2.9", "-c", config]) == 0
        assert capsys.readouterr().out.count("192.0.2.9: removed") == 1
        assert main(["engine", "unban", "192.0.2.9", "-c", config]) == 0
        assert "192.0.2.9: there was nothing to remove" in capsys.readouterr().out
        assert operated.store.overrides.get("192.0.2.9") is None


def test_variables_of_other_keys_need_not_be_set(
    config_of: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, operated = str(tmp_path / "engine.sock"), Operated(keys=(), trusted=True)
    config = config_of(listen={"address": f"unix:{path}"}, keys=["${ENGINE_KEY}"], session={"secrets": ["${SECRET}"]})
    with beside(operated, bind(f"unix:{path}")):
        assert ban(config) == 2
        complaint = capsys.readouterr().err
        assert "engine.keys[0]: got ${ENGINE_KEY}, which is not set" in complaint and "SECRET" not in complaint

        monkeypatch.setenv("ENGINE_KEY", "a-key")
        assert ban(config) == 0
    assert operated.store.overrides.get("192.0.2.9").action == "block"


def test_engine_on_a_unix_socket_needs_no_key(
    config_of: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, operated = str(tmp_path / "engine.sock"), Operated(keys=(), trusted=True)
    config = config_of(listen={"address": f"unix:{path}"})
    with beside(operated, bind(f"unix:{path}")):
        assert main(["engine", "allow", "2001:DB8::/32", "--for", "1h", "-c", config]) == 0
    assert operated.store.overrides.get("2001:db8::/32").action == "allow"
    assert "2001:db8::/32" in capsys.readouterr().out


def test_engine_behind_tls_must_present_the_configured_certificate(
    config_of: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = _certificate(tmp_path, "one"), _certificate(tmp_path, "two")
    operated, sock = Operated(), bind("127.0.0.1:0")
    address = f"127.0.0.1:{sock.getsockname()[1]}"
    with beside(operated, sock, tls_context(first["certificate"], first["private_key"])):
        assert ban(config_of(listen={"address": address, "tls": first}, keys=[KEY])) == 0
        assert operated.store.overrides.get("192.0.2.9") is not None
        assert main(["engine", "list", "-c", config_of(listen={"address": address, "tls": second}, keys=[KEY])]) == 1
        complaint = capsys.readouterr().err
        assert f"{address} presents another certificate than {second['certificate']}" in complaint


def test_embedded_engine_is_found_through_the_admin_side(
    config_of: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, operated = str(tmp_path / "engine.sock"), Operated(keys=(), trusted=True)
    with beside(operated, bind(f"unix:{path}")), _admin({"engine": {"engine_socket": path}}, token="t0ken") as address:
        assert ban(config_of(admin={"address": address, "token": "t0ken"})) == 0
        assert operated.store.overrides.get("192.0.2.9") is not None
        capsys.readouterr()
        assert ban(config_of(admin={"address": address, "token": "other"})) == 1
        assert capsys.readouterr().err == f"gateway: the gateway at {address} says 401: a token is needed\n"


@pytest.mark.parametrize("answer", [{}, {"engine": {"engine_socket": None}}, {"engine": {}}])
def test_gateway_without_an_embedded_engine_is_told(
    config_of: Callable[..., str], capsys: pytest.CaptureFixture[str], answer: dict[str, Any]
) -> None:
    with _admin(answer) as address:
        assert ban(config_of(admin={"address": address})) == 1
    assert capsys.readouterr().err == f"gateway: the gateway at {address} runs no embedded engine\n"


def test_nobody_running_is_one_line_that_says_where_was_looked(
    config_of: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(listen={"address": "127.0.0.1:1"})
    assert ban(config) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("gateway: no engine runs with this configuration: no answer from 127.0.0.1:1: ")
    assert "(engine.listen)" in complaint and "(admin.address)" in complaint and complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [([], "says 401: expected `Authorization: Bearer KEY`"), (["wrong"], "says 401: "), (None, "says 403: ")],
)
def test_engine_that_refuses_the_key_is_said(
    config_of: Callable[..., str], capsys: pytest.CaptureFixture[str], keys: list[str] | None, complaint: str
) -> None:
    operated, sock = Operated(keys=() if keys is None else (KEY,)), bind("127.0.0.1:0")
    address = f"127.0.0.1:{sock.getsockname()[1]}"
    with beside(operated, sock):
        assert ban(config_of(listen={"address": address}, keys=keys or [])) == 1
    assert capsys.readouterr().err.startswith(f"gateway: {address} {complaint}")


@needs_server
def test_shared_store_is_written_directly_and_an_engine_on_it_follows(
    config_of: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ValkeyServer(tmp_path)
    server.start()
    try:
        config = config_of(store={"url": server.url, "prefix": "shop"})
        assert ban(config) == 0
        assert f"1 in force (store {server.url})" in capsys.readouterr().out
        with server.client() as client:
            assert b"192.0.2.9" in client.hgetall("shop:overrides")
        assert main(["engine", "unban", "192.0.2.9", "-c", config]) == 0
        assert f"nothing is blocked, allowed or revoked by hand (store {server.url})" in capsys.readouterr().out
    finally:
        server.kill()


@needs_server
def test_ban_in_a_shared_store_is_in_force_on_every_engine(config_of: Callable[..., str], tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path)
    server.start()
    try:
        engines = [Operated(store=store_of(server.url, timeout_s=10.0, prefix="shop:")) for _ in range(2)]
        sockets = [bind("127.0.0.1:0") for _ in engines]
        with beside(engines[0], sockets[0]), beside(engines[1], sockets[1]):
            ports = [sock.getsockname()[1] for sock in sockets]
            assert [_judged(port) for port in ports] == [200, 200]
            config = config_of(store={"url": server.url, "prefix": "shop"})
            assert ban(config) == 0
            assert [_judged(port, until=403) for port in ports] == [403, 403]
            assert main(["engine", "unban", "192.0.2.9", "-c", config]) == 0
            assert [_judged(port, until=200) for port in ports] == [200, 200]
    finally:
        server.kill()


def test_shared_store_that_is_gone_is_one_line_without_the_password(
    config_of: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert ban(config_of(store={"url": "valkey://:hush@127.0.0.1:1"})) == 1
    complaint = capfd.readouterr().err
    assert complaint.startswith("gateway: valkey://127.0.0.1:1 is not reached (")
    assert complaint.endswith("): nothing was changed\n")
    assert "hush" not in complaint and complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        (["ban", "nobody", "--for", "1m"], "got 'nobody'; expected an address, a network or session:ID"),
        (["ban", "session:abc", "--for", "1m"], "'session:abc' is a session, which is not blocked or allowed"),
        (["allow", "192.0.2.1/24", "--for", "1m"], "got '192.0.2.1/24'; expected "),
        (["revoke", "a b", "--for", "1m"], "got 'session:a b'; expected "),
        (["ban", "192.0.2.1", "--for", "10"], "got '10'; expected a duration over 0"),
        (["ban", "192.0.2.1"], "Missing option '--for'"),
        (["unban", "x"], "got 'x'; expected "),
    ],
)
def test_wrong_override_is_wrong_usage(
    config_of: Callable[..., str], capsys: pytest.CaptureFixture[str], typed: list[str], complaint: str
) -> None:
    assert main(["engine", *typed, "-c", config_of()]) == 2
    printed = capsys.readouterr().err
    assert complaint in printed and printed.count("\n") == 1


def _judged(port: int, until: int | None = None) -> int:
    """The status of a decision about a browser of 192.0.2.9; asked for again while the store's message may be on its
    way to the engine."""
    deadline_s = time.monotonic() + START_S
    body = json.dumps({**BROWSER_REQUESTS["chrome navigates"], "IP": "192.0.2.9", "Key": KEY})
    while True:
        with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=START_S)) as connection:
            connection.request("POST", "/validate-request", body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        if until in (None, status) or time.monotonic() > deadline_s:
            return status
        time.sleep(0.02)  # no event of another thread's loop reaches us


def _certificate(folder: Path, name: str) -> dict[str, str]:
    issued = trustme.CA().issue_cert("engine.internal")
    files = {"certificate": str(folder / f"{name}.pem"), "private_key": str(folder / f"{name}.key")}
    issued.cert_chain_pems[0].write_to_path(files["certificate"])
    issued.private_key_pem.write_to_path(files["private_key"])
    return files


@contextlib.contextmanager
def _admin(answer: dict[str, Any], token: str = "") -> Iterator[str]:
    """An admin side that answers with what it is given; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            refused = bool(token) and self.headers["Authorization"] != f"Bearer {token}"
            body = b"a token is needed\n" if refused else json.dumps(answer).encode()
            self.send_response(401 if refused else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
