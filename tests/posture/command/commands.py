"""`gateway posture` as an operator types it, against the stand-ins of DDactic and CyperSecurity.

    operator.document("domains", "list")             # --format json, exit code 0
    operator.run("scan", "start", "example.com")     # what a person sees

A command runs in this process, through the `main` of the installed program, with its own event loop; `operator.process`
starts a real one. Whatever a command prints is searched for tracebacks and secrets, and so is every file that it wrote.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from posture.standin.cypersecurity import CyperSecurityStandIn
from posture.standin.ddactic import DDacticStandIn
from posture.standin.server import StandIn

from gateway.__main__ import main
from gateway.posture.store import Store

DDACTIC_KEY = "ddactic-write-key-9f81"
READ_KEY = "ddactic-read-key-77c0"
CYPER_KEY = "cyper-key-51d2"
DDACTIC_SECRET = "ddactic-hook-secret-e3"
CYPER_SECRET = "cyper-hook-secret-0b"
SECRETS = (DDACTIC_KEY, READ_KEY, CYPER_KEY, DDACTIC_SECRET, CYPER_SECRET)
"""What nobody may ever print or store."""
QUICK: dict[str, Any] = {
    "timeout": "20s", "retry": {"base": "1ms", "max": "2ms"}, "poll": {"interval": "1ms", "max": "2ms"},
}  # fmt: skip
"""Pauses of a platform: nothing here waits for time to pass."""
WEBHOOKS = {
    "address": "127.0.0.1:0", "public_url": "https://hooks.example", "ddactic": {"secret": DDACTIC_SECRET},
    "cypersecurity": {"secret": CYPER_SECRET},
}  # fmt: skip

DOMAIN = ("id", "name", "verified", "verification", "last_scan", "risk_score", "raw")
SCAN = (
    "id", "provider", "target", "type", "status", "created_at", "started_at", "completed_at", "risk_score",
    "estimated_s", "counts", "raw",
)  # fmt: skip
FINDING = (
    "id", "provider", "scan", "severity", "title", "description", "asset", "port", "cve", "cvss", "remediation",
    "first_seen", "raw",
)  # fmt: skip
EVENT = ("id", "provider", "event", "timestamp", "received_at", "scan", "data")
REPORT = ("scan", "provider", "format", "type", "file", "bytes")
SEVERITIES = ("critical", "high", "medium", "low", "info")
"""The keys of the public interface, 'Shapes' and 'Commands'."""
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document of stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that says why it failed."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, f"exit {self.code}: {self.err}"
        return lines[0].removeprefix("error: ")

    @property
    def lines(self) -> list[str]:
        """Of stderr."""
        return self.err.splitlines()


@dataclass
class Operator:
    """Somebody with accounts of both platforms, and a configuration in a folder."""

    folder: Path
    ddactic: DDacticStandIn
    cypersecurity: CyperSecurityStandIn
    configuration: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.configure()

    @property
    def file(self) -> Path:
        return self.folder / "gateway.yaml"

    @property
    def store_file(self) -> Path:
        return self.folder / "posture.db"

    def configure(
        self, *names: str, providers: Mapping[str, Any] | None = None, sites: Sequence[Any] | None = None,
        **section: Any,
    ) -> None:  # fmt: skip
        """Write the configuration. names: who is configured, none = both; providers: more keys of each, and more of
        them; section: more keys of `posture`."""
        known: dict[str, Any] = {
            "ddactic": {"base_url": self.ddactic.url, "key": DDACTIC_KEY, **QUICK},
            "cypersecurity": {"base_url": self.cypersecurity.url, "key": CYPER_KEY, **QUICK},
        }
        chosen = {name: known.get(name, {}) for name in names or known}
        for name, keys in (providers or {}).items():
            chosen[name] = chosen.get(name, {}) | keys
        self.configuration = {"posture": {"store": "sqlite:///posture.db", "providers": chosen, **section}}
        if sites is not None:
            self.configuration["sites"] = list(sites)
        self.write(yaml.safe_dump(self.configuration))

    def write(self, text: str) -> None:
        """The configuration as a text."""
        self.file.write_text(text)

    def run(self, *arguments: str) -> Ran:
        """`gateway posture ARGUMENTS -c FILE`."""
        return checked(typed("posture", *arguments, "-c", str(self.file)))

    def document(self, *arguments: str, code: int = 0) -> Any:
        """The JSON document of a command that ends with `code`."""
        ran = self.run(*arguments, "--format", "json")
        assert ran.code == code, ran.err
        return ran.json

    def refused(self, *arguments: str) -> Ran:
        """A command that ends with 2, has printed nothing on stdout, and has sent nothing."""
        sent = len(self.sent())
        ran = self.run(*arguments)
        assert (ran.code, ran.out) == (2, ""), ran
        assert self.sent()[sent:] == []
        return ran

    def failed(self, *arguments: str) -> str:
        """Why a command ended with 1 without a document."""
        ran = self.run(*arguments)
        assert (ran.code, ran.out) == (1, ""), ran
        assert ran.lines[-1].startswith("error: "), ran.err
        return ran.error

    def command(self, *arguments: str) -> list[str]:
        """The same, to be started as a process."""
        return [sys.executable, "-m", "gateway", "posture", *arguments, "-c", str(self.file)]

    def process(self, *arguments: str) -> Ran:
        """The same, as a process of its own."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60, check=False)
        return checked(Ran(done.returncode, done.stdout, done.stderr))

    def sent(self) -> list[str]:
        """`ddactic POST /scans`: every call, of each platform in order."""
        calls = [f"ddactic {path}" for path in self.ddactic.paths()]
        return calls + [f"cypersecurity {path}" for path in self.cypersecurity.paths()]

    def forget(self) -> None:
        """The calls so far."""
        self.ddactic.calls.clear()
        self.cypersecurity.calls.clear()

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = Store.open(f"sqlite:///{self.store_file}")
        try:
            yield store
        finally:
            store.close()

    def check(self) -> None:
        """Nothing was asked that the documents do not have, and no secret is in any file but those that an operator
        wrote."""
        platforms: tuple[StandIn, ...] = (self.ddactic, self.cypersecurity)
        assert [platform.undocumented for platform in platforms] == [[], []]
        for file in self.folder.rglob("*"):
            if file.is_file() and file != self.file and file.suffix != ".secret":
                written = file.read_bytes()
                assert [secret for secret in SECRETS if secret.encode() in written] == [], file


def typed(*arguments: str) -> Ran:
    """`gateway ARGUMENTS`, unchecked."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(arguments))
    out.flush()
    return Ran(code, out.buffer.getvalue().decode(), err.getvalue())


def checked(ran: Ran) -> Ran:
    """What holds for whatever was typed."""
    printed = ran.out + ran.err
    assert "Traceback" not in printed, printed
    assert [secret for secret in SECRETS if secret in printed] == []
    errors = [line for line in ran.lines if line.startswith("error: ")]
    assert len(errors) == (1 if ran.code == 1 else len(errors)), ran.err
    return ran


@contextmanager
def operator_in(folder: Path) -> Iterator[Operator]:
    with (
        DDacticStandIn(keys={DDACTIC_KEY: "write", READ_KEY: "read"}) as ddactic,
        CyperSecurityStandIn(keys=[CYPER_KEY]) as cypersecurity,
    ):
        operator = Operator(folder, ddactic, cypersecurity)
        yield operator
        operator.check()


# --- shapes -----------------------------------------------------------------------------------------------------------


def assert_domain(domain: Any) -> None:
    assert tuple(domain) == DOMAIN
    assert domain["verification"] is None or tuple(domain["verification"]) == ("method", "record")
    assert_times(domain, "last_scan")


def assert_scan(scan: Any) -> None:
    assert tuple(scan) == SCAN
    assert scan["status"] in ("queued", "running", "completed", "failed")
    assert scan["counts"] is None or tuple(scan["counts"]) == SEVERITIES
    assert_times(scan, "created_at", "started_at", "completed_at")


def assert_finding(finding: Any) -> None:
    assert tuple(finding) == FINDING
    assert finding["severity"] in SEVERITIES
    assert isinstance(finding["cve"], list)
    assert finding["remediation"] is None or tuple(finding["remediation"]) == ("summary", "commands")
    assert _TIME.fullmatch(finding["first_seen"])


def assert_times(document: Any, *keys: str) -> None:
    """ISO 8601, UTC, with Z; or null."""
    for key in keys:
        assert document[key] is None or _TIME.fullmatch(document[key]), document
