"""Against Debian's nginx: what its defaults show is found, and the lines of the remedies take every finding away."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from posture.assessment.conftest import Assess

from gateway.config.posture import Place
from gateway.pool.address import client_context
from gateway.posture.finding import Finding
from gateway.posture.remedy import origin_exposed

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

Nginx = Callable[..., AbstractContextManager[int]]


@pytest.fixture
def nginx(tmp_path: Path, authority: trustme.CA) -> Nginx:
    """`with nginx(lines, http_lines) as port`: a site over TLS with these lines in its server block."""
    leaf = authority.issue_cert("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "site.pem")
    (tmp_path / "index.html").write_text("hello")

    @contextmanager
    def run(lines: Sequence[str] = (), http_lines: Sequence[str] = ()) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        (tmp_path / "nginx.conf").write_text(
            _configuration(tmp_path, port, "\n".join(lines), "\n".join(http_lines)), encoding="ascii"
        )
        assert NGINX is not None
        command = [NGINX, "-p", str(tmp_path), "-c", "nginx.conf", "-e", "error.log"]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(10)

    return run


def _configuration(folder: Path, port: int, lines: str, http_lines: str) -> str:
    temporary = "\n".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
        daemon off; master_process off; pid {folder}/nginx.pid; events {{}}
        http {{ access_log off; {temporary} {http_lines}
        server {{ listen 127.0.0.1:{port} ssl; root {folder};
        ssl_certificate {folder}/site.pem; ssl_certificate_key {folder}/site.pem; {lines}
        }} }}"""


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it listens, or has ended."""
    for _ in range(2000):
        assert process.poll() is None, "nginx ended"
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    raise AssertionError("nginx does not listen")


def nginx_lines(findings: Sequence[Finding]) -> tuple[list[str], list[str]]:
    """Lines for the server block and for http that the remedies of findings hold."""
    server: list[str] = []
    http: list[str] = []
    belongs = False
    for finding in findings:
        assert finding.remediation is not None
        for command in finding.remediation.commands:
            if command.startswith("#"):
                belongs = command.startswith("# nginx")
            elif belongs:
                (http if command.startswith("limit_req_zone") else server).append(command)
    return server, http


async def test_nginx_as_it_comes_has_findings_and_with_the_lines_of_their_remedies_none(
    scan: Assess, nginx: Nginx
) -> None:
    with nginx(["ssl_protocols TLSv1 TLSv1.1 TLSv1.2;", "ssl_ciphers ALL:@SECLEVEL=0;"]) as port:
        before = await scan(f"https://localhost:{port}/", "full", burst=60)
    assert {finding.id: finding.severity for finding in before.findings} == {
        "tls-old": "high", "header-hsts": "medium", "header-csp": "medium", "header-nosniff": "low",
        "header-frame": "low", "header-referrer": "info", "version-leak": "low", "rate-limit-absent": "medium",
        "slow-head": "medium",
    }  # fmt: skip
    server, http = nginx_lines(before.findings)
    slow = server.index("client_header_timeout 10s;")
    server[slow] = "client_header_timeout 1s;"  # the test does not hold a head for ten seconds
    with nginx(server, http) as port:
        after = await scan(f"https://localhost:{port}/", "full", burst=60, slow_head="4s")
    assert after.scan.raw["probes"] == dict.fromkeys(after.scan.raw["probes"], "ok")
    assert after.findings == ()


async def test_origin_that_demands_the_gateways_certificate_answers_nobody_else(
    scan: Assess, nginx: Nginx, tmp_path: Path, ca_file: str
) -> None:
    commands = origin_exposed(Place(egress=("203.0.113.5",)), None).commands
    _type(commands, tmp_path)
    start = next(index for index, command in enumerate(commands) if "origin's nginx" in command) + 1
    lines = [command.replace("/etc/nginx", str(tmp_path)) for command in commands[start:]]
    with nginx() as site, nginx(lines) as origin:
        result = await scan(f"https://localhost:{site}/", around=(f"https://127.0.0.1:{origin}",))
        assert result.scan.raw["probes"]["origin-direct"] == "ok"
        assert (tmp_path / "gateway-client.pem").stat().st_mode & 0o777 == 0o600
        context = client_context(ca=ca_file, client_certificate=str(tmp_path / "gateway-client.pem"))
        assert re.match(rb"HTTP/1\.1 200 ", _ask(origin, context))
        assert _ask(origin, client_context(ca=ca_file)) == b""


def _type(commands: Sequence[str], folder: Path) -> None:
    for command in commands:
        if command.startswith(("openssl ", "(umask")):
            subprocess.run(command, shell=True, check=True, cwd=folder, capture_output=True)


def _ask(port: int, context: ssl.SSLContext) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as plain, context.wrap_socket(
        plain, server_hostname="localhost"
    ) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        try:
            return tls.recv(4096)
        except ssl.SSLEOFError:
            return b""
