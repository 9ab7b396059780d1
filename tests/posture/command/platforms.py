"""`gateway posture` as it is typed, against the stand-ins of SecuritySpace and DDactic.

    platforms.gateway("dns", "list")                 # the table that a person reads
    platforms.document("dns", "list")                # --format json, exit code 0

A command runs in this process, through the same `main` that the installed program calls, with its own event loop.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import trustme
import yaml
from posture.command.commands import QUICK, Ran, typed
from posture.standin.ddactic import DDacticStandIn
from posture.standin.securityspace import KEY, PASSWORD, USERID, SecuritySpaceStandIn, write_ca
from posture.standin.server import Fault, Received, StandIn

from gateway.config.posture import load_posture
from gateway.posture.store import Store

DDACTIC_KEY = "write-key-of-the-tests"
HOOK_SECRET = "ddactic-hook-secret"
SECRETS = (KEY, PASSWORD, DDACTIC_KEY, HOOK_SECRET, "VhvF93vCXKScVlxdh2332343j4oFdXC8R7lkF3FX")
"""What nobody may ever print or store; the last begins every session token of the stand-in."""


def gateway(*arguments: str) -> Ran:
    """`gateway ARGUMENTS`."""
    return checked(typed(*arguments))


def checked(ran: Ran) -> Ran:
    """What holds for whatever was typed."""
    printed = ran.out + ran.err
    assert "Traceback" not in printed, printed
    assert [secret for secret in SECRETS if secret in printed] == []
    return ran


@dataclass
class Platforms:
    """Both stand-ins, and the configuration of an operator who has both accounts."""

    folder: Path
    securityspace: SecuritySpaceStandIn
    ddactic: DDacticStandIn
    posture: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.configure()

    @property
    def file(self) -> Path:
        return self.folder / "gateway.yaml"

    def configure(self, *, without: str = "", providers: Mapping[str, Any] | None = None, **section: Any) -> None:
        """Write the configuration. without: a provider that is not configured; providers: more keys of each; section:
        more keys of `posture`."""
        securityspace = {
            "base_url": self.securityspace.url, "key": KEY, "userid": USERID, "password": PASSWORD,
            "ca": write_ca(self.folder), **QUICK,
        }  # fmt: skip
        ddactic = {"base_url": self.ddactic.url, "key": DDACTIC_KEY, **QUICK}
        known: dict[str, Any] = {"ddactic": ddactic, "securityspace": securityspace}
        for name, keys in (providers or {}).items():
            known[name] = known.get(name, {}) | keys
        known.pop(without, None)
        self.posture = {"store": "sqlite:///posture.db", "providers": known, **section}
        self.file.write_text(yaml.safe_dump({"posture": self.posture}))

    def gateway(self, *arguments: str) -> Ran:
        """`gateway posture ARGUMENTS -c FILE`."""
        return gateway("posture", *arguments, "-c", str(self.file))

    def document(self, *arguments: str, code: int = 0) -> Any:
        """The JSON document of a command that ends with `code`."""
        ran = self.gateway(*arguments, "--format", "json")
        assert ran.code == code, ran.err
        return ran.json

    def refused(self, *arguments: str) -> Ran:
        """A command that ends with 2, has printed nothing on stdout, and has called nobody."""
        before = len(self.securityspace.calls) + len(self.ddactic.calls)
        ran = self.gateway(*arguments)
        assert (ran.code, ran.out) == (2, ""), ran
        assert len(self.securityspace.calls) + len(self.ddactic.calls) == before
        return ran

    def failed(self, *arguments: str) -> str:
        """Why a command ended with 1 and without a document."""
        ran = self.gateway(*arguments)
        assert (ran.code, ran.out) == (1, ""), ran
        return ran.error

    def process(self, *arguments: str) -> subprocess.Popen[str]:
        """`gateway posture ARGUMENTS -c FILE` as a process of its own."""
        command = [sys.executable, "-m", "gateway", "posture", *arguments, "-c", str(self.file)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def forms(self) -> list[tuple[str, dict[str, str]]]:
        """(command, parameters) of every call that SecuritySpace has got but for log-ins, credentials aside."""
        calls = [call for call in self.securityspace.calls if call.path != "/auth.php"]
        return [(call.path[1:-4], _parameters(call.body)) for call in calls]

    def sent(self) -> list[str]:
        """`ddactic POST /scans`, `securityspace dnsPublish`: every call but log-ins, of each platform in order."""
        ddactic = [f"ddactic {path}" for path in self.ddactic.paths()]
        return ddactic + [f"securityspace {name}" for name, _ in self.forms()]

    def forget(self) -> None:
        """The calls so far."""
        self.securityspace.calls.clear()
        self.ddactic.calls.clear()

    @contextmanager
    def store(self) -> Iterator[Store]:
        with Store.open(load_posture(self.file).store.get_secret_value()) as store:
            yield store

    def published(self, zone: str, *types: str) -> set[tuple[str, str, str]]:
        """(type, name, data) of the records that name servers have got."""
        return {
            (one.type, one.data["name"], one.data["data"])
            for one in self.securityspace.published.get(zone, []) if one.type in types
        }  # fmt: skip

    def check(self) -> None:
        """Nothing was asked that the documents do not have, and no secret is in any file but the configuration."""
        assert self.securityspace.undocumented == []
        assert self.ddactic.undocumented == []
        for file in self.folder.rglob("*"):
            if file.is_file() and file != self.file:
                written = file.read_bytes()
                assert [secret for secret in SECRETS if secret.encode() in written] == [], file


def lose(platform: StandIn, path: str, number: int = 0, *, after: bool) -> None:
    """The connection of one call of `path` is closed without an answer: the next one, or the `number`-th after
    it. after: the platform has done its work by then."""
    faults = iter([*[None] * number, Fault(drop=True, after=after)])

    def fault_for(call: Received) -> Fault | None:
        return next(faults, None) if call.path == path else None

    platform._fault_for = fault_for  # type: ignore[method-assign]


def _parameters(body: bytes) -> dict[str, str]:
    form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return {name: value for name, value in form.items() if name not in ("apikey", "sessionToken")}


@functools.cache
def _system_authority() -> bytes:
    return trustme.CA().cert_pem.bytes()


@contextmanager
def platforms_in(folder: Path) -> Iterator[Platforms]:
    """DDactic sees the records that SecuritySpace has published, and nothing else verifies a domain. The system has one
    authority, which signed nothing here: reading the usual hundred takes each command 20 ms."""
    system = folder / "system-ca.pem"
    system.write_bytes(_system_authority())
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(system))
        patch.setenv("SSL_CERT_DIR", str(folder))
        securityspace = stack.enter_context(SecuritySpaceStandIn())
        ddactic = stack.enter_context(
            DDacticStandIn(
                domains=(), keys={DDACTIC_KEY: "write"}, verify_after=None,
                published=lambda name: _texts(securityspace, name),
            )
        )  # fmt: skip
        platforms = Platforms(folder, securityspace, ddactic)
        yield platforms
        platforms.check()


def _texts(securityspace: SecuritySpaceStandIn, name: str) -> set[str]:
    """The TXT texts that the domain name system has for a name."""
    return {
        text
        for zone in securityspace.published for below, text in securityspace.texts(zone)
        if f"{below}.{zone}".lstrip(".") == name
    }  # fmt: skip
