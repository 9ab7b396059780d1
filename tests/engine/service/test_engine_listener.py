"""Sockets that the engine listens on, and what stands in their way."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from pathlib import Path

import pytest
import trustme

from gateway.binding import remove_socket_file
from gateway.engine.service.listener import bind, tls_context
from gateway.errors import ListenError


def test_unix_socket_is_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"

    with bind(f"unix:{path}"):
        mode = path.stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    bind(f"unix:{path}").close()  # the file stays

    with bind(f"unix:{path}") as sock:
        sock.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


def test_socket_that_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    with bind(f"unix:{path}") as first:
        first.listen()

        with pytest.raises(ListenError, match=f"^cannot listen on unix:{path}: Address already in use$"):
            bind(f"unix:{path}")

        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


def test_other_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    with pytest.raises(ListenError, match="Address already in use"):
        bind(f"unix:{path}")

    assert path.read_text() == "data"


def test_unix_path_that_cannot_be_is_a_listen_error(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file or directory"):
        bind(f"unix:{tmp_path}/missing/engine.sock")
    with pytest.raises(ListenError, match="at most 107 bytes"):
        bind(f"unix:{tmp_path}/{'x' * 200}")


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_tcp_addresses_are_bound(address: str) -> None:
    with bind(address) as sock:
        assert sock.getsockname()[1] > 0


def test_tcp_port_in_use_is_a_listen_error() -> None:
    with bind("127.0.0.1:0") as first:
        first.listen()
        port = first.getsockname()[1]

        with pytest.raises(ListenError, match=f"^cannot listen on 127.0.0.1:{port}: Address already in use$"):
            bind(f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x", "256.256.256.256:1"])
def test_tcp_address_that_cannot_be_is_a_listen_error(address: str) -> None:
    with pytest.raises(ListenError, match=r"^cannot listen on "):
        bind(address)


def test_own_socket_file_is_removed_a_successors_is_not(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with bind(f"unix:{path}"):
        inode = os.lstat(path).st_ino

        remove_socket_file(str(path), inode + 1)
        assert path.exists()
        remove_socket_file(str(path), inode)
        assert not path.exists()
        remove_socket_file(str(path), inode)


@pytest.fixture(scope="module")
def issued() -> trustme.LeafCert:
    return trustme.CA().issue_cert("engine.example")


def test_tls_context_needs_tls_1_2(issued: trustme.LeafCert, tmp_path: Path) -> None:
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")

    context = tls_context(tmp_path / "both.pem", tmp_path / "both.pem")

    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_certificate_that_cannot_be_used_is_a_listen_error(issued: trustme.LeafCert, tmp_path: Path) -> None:
    certificate, garbage = tmp_path / "certificate.pem", tmp_path / "garbage.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    garbage.write_text("no certificate")

    for first, second in ((certificate, tmp_path / "missing"), (certificate, garbage), (garbage, certificate)):
        with pytest.raises(ListenError, match=f"^certificate {first} with private key {second}: "):
            tls_context(first, second)


def test_encrypted_private_key_is_refused_without_a_question(issued: trustme.LeafCert, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")

    with pytest.raises(ListenError, match="the private key is encrypted"):
        tls_context(tmp_path / "certificate.pem", tmp_path / "key.pem")
