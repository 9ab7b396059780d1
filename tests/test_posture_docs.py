"""docs/posture.md says what `gateway posture` does: its tables, configurations, commands, programs and transcripts are
held against the code, the commands by running them: the platforms are the stand-ins, the site is on loopback.

A table that is out of date makes its test print the one that belongs between the two comments.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import json
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import pytest
import trustme
import typer
import yaml
from posture.standin.cypersecurity import CyperSecurityStandIn
from posture.standin.ddactic import DDacticStandIn
from posture.standin.securityspace import KEY, PASSWORD, USERID, SecuritySpaceStandIn, write_ca
from pydantic import SecretStr
from test_docs import anchors, blocks
from test_readme import between, markdown_table

from gateway import __main__, __version__
from gateway.cli import app
from gateway.cli.posture import posture_app
from gateway.cli.posture.running import EXCEEDED
from gateway.config.loading import parse_text
from gateway.config.posture import EmbeddedPlatform, Notify, Posture
from gateway.metrics import metrics_table
from gateway.posture import DDactic, Domain, Event, Finding, Manner, Scan, ScanResult, Store
from gateway.posture.assessment import risk_score
from gateway.posture.assessment.catalogue import KINDS, Kind
from gateway.posture.assessment.certificate import Seen, Shake, judge_expiry
from gateway.posture.assessment.cookie import judge_cookies
from gateway.posture.assessment.verdict import Verdict
from gateway.posture.client.dns import RECORD_FIELDS
from gateway.posture.operation.starting import TYPES
from gateway.posture.severity import SEVERITIES, Severity
from gateway.posture.signature import sign
from gateway.posture.webhook import receiver

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "posture.md"
TEXT = DOCUMENT.read_text("utf-8")
CLI: Any = typer.main.get_command(app)
EVERYWHERE = ("config", "verbose")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
MANY_OPTIONS = 10
"""A command with more of them has a table of its own."""


def shell() -> str:
    return "\n".join(blocks(TEXT, "sh") + blocks(TEXT, "console"))


def cells(name: str) -> list[list[str]]:
    """The rows of a table, header aside; `a` for a cell with "`a`"."""
    lines = between(TEXT, name).splitlines()[2:]
    return [[cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


# -- commands


class Parameter(NamedTuple):
    """Of a command, as its function declares it. value: what stands for its value, "" for a flag."""

    name: str
    shown: str
    value: str
    is_option: bool
    is_needed: bool
    is_repeated: bool

    @property
    def text(self) -> str:
        """`ID`, `-o FILE`, `[--wait]`, `[--event E]...`"""
        if not self.is_option:
            return self.value
        text = f"{self.shown} {self.value}".strip()
        return text if self.is_needed else f"[{text}]{'...' if self.is_repeated else ''}"


def parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    for name, declared in inspect.signature(function).parameters.items():
        type_, info = get_args(hints[name])
        is_union = get_origin(type_) in (Union, UnionType)
        inner = [one for one in (get_args(type_) if is_union else (type_,)) if one is not NoneType]
        is_option = isinstance(info, typer.models.OptionInfo)
        given = (info.default, *(info.param_decls or ()))  # in Annotated, the first name stands where a default would
        shown = "|".join(one for one in given if isinstance(one, str)) or f"--{name.replace('_', '-')}"
        yield Parameter(
            name, shown, _value(name, info.metavar, inner[0]), is_option,
            declared.default is inspect.Parameter.empty, get_origin(inner[0]) is list,
        )  # fmt: skip


def _value(name: str, metavar: str | None, type_: Any) -> str:
    if type_ is bool:
        return ""
    choices = [*type_] if isinstance(type_, type) and issubclass(type_, Enum) else get_args(type_)
    short = {"provider": "P", "severity": "S", "fail_on": "S"}.get(name)
    return metavar or short or "|".join(map(str, choices)) or name.upper()


def leaves(group: typer.Typer, path: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """(`scan start`, its function): first the commands, then those of each group."""
    for command in group.registered_commands:
        assert command.name is not None and command.callback is not None
        yield path + command.name, command.callback
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from leaves(below.typer_instance, f"{path}{below.name} ")


COMMANDS = dict(leaves(posture_app))


def usage(path: str, function: Callable[..., Any]) -> str:
    """`scan show ID [--provider P] [--wait] ...`, without what every command takes."""
    found = [one for one in parameters(function) if one.name not in EVERYWHERE and one.value != "table|json"]
    arguments, options = ([one for one in found if one.is_option is wanted] for wanted in (False, True))
    texts = [one.text for one in arguments + options]
    return " ".join([path, *texts] if len(options) <= MANY_OPTIONS else [path, *texts[: len(arguments)], "..."])


def record_rows() -> Iterator[tuple[str, ...]]:
    for kind, options in RECORD_FIELDS.items():
        shown = (f"--{name}" if is_needed else f"[--{name}]" for name, is_needed in options)
        yield f"`{kind}`", f"`{' '.join(shown)}`"


TABLES: dict[str, Callable[[], str]] = {
    "records": lambda: markdown_table(("type", "options"), record_rows()),
}


@pytest.mark.parametrize("name", TABLES)
def test_posture_guide_table_is_what_the_code_says(name: str) -> None:
    expected = TABLES[name]()
    if between(TEXT, name) != expected:  # `assert a == b` would show a difference, not the table to paste
        pytest.fail(f"what belongs between <!-- {name} --> and <!-- /{name} -->:\n\n{expected}\n", pytrace=False)


def test_posture_guide_names_every_command_with_its_options() -> None:
    said, expected = cells("commands"), {usage(path, command) for path, command in COMMANDS.items()}
    named = [row[0].replace("\\|", "|") for row in said]
    assert len(named) == len(set(named)) and set(named) == expected
    assert all(len(row) == 3 and row[2] for row in said)


def typed_lines() -> list[str]:
    """Every `gateway ...` of a shell block, of inline code, and of a workflow, continuation lines joined."""
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^(?:\$ )?(gateway .+)$", shell().replace("\\\n", " "), re.MULTILINE)
    return lines + re.findall(r"`(gateway [^`]+ -c [^`]+)`", prose)


@pytest.mark.parametrize("line", typed_lines())
def test_posture_guide_command_exists_with_its_options(line: str) -> None:
    typed = shlex.split(re.split(r"\|\||[|>]", line)[0], comments=True)[1:]
    command, name = CLI, "gateway"
    while hasattr(command, "commands") and typed and typed[0] in command.commands:
        name = typed.pop(0)
        command = command.commands[name]
    command.make_context(name, typed)  # parses and converts; raises for whatever cannot be typed


def test_posture_guide_shows_a_command_of_every_group() -> None:
    groups = {path.split()[0] for path in COMMANDS}
    used = set(re.findall(r"gateway posture ([a-z]+)", TEXT)) | set(re.findall(r"`([a-z]+) [a-z]+", TEXT))
    assert groups <= used


def test_posture_guide_names_only_commands_that_exist() -> None:
    named = re.findall(r"`(?:gateway )?posture ([a-z][a-z -]*)", TEXT)
    assert named
    assert [one for one in named if not any(f"{one.strip()} ".startswith(f"{path} ") for path in COMMANDS)] == []


def test_posture_guide_explains_every_exit_code() -> None:
    codes = [str(code) for code in (__main__.DONE, __main__.FAILED, __main__.WRONG, EXCEEDED)]
    assert [row[0] for row in cells("exit codes")] == codes


def test_posture_guide_names_the_types_of_every_platform() -> None:
    for provider, types in TYPES.items():
        (row,) = re.findall(rf"^\| {provider} \| (.+?) \|", TEXT, re.MULTILINE | re.IGNORECASE)
        assert re.findall(r"`(\w+)`", row) == list(types)
        assert (f"`{types[0]}` (default)" in row) == (provider != "securityspace")


# -- shapes


FOUND = Finding("F-1", "ddactic", "scn_1", "high", "t", "d", "a", None, (), None, None, {}, "2026-11-21T19:21:28Z")
SHAPES: dict[str, dict[str, Any]] = {
    "scan": Scan("scn_1", "ddactic", None, None, "queued").as_json(),
    "finding": FOUND.as_json(),
    "domain": Domain("dom_1", "shop.example", None, None, None, None, {}).as_json(),
    "event": Event("e", "ddactic", "scan.completed", None, "2026-11-21T19:21:28Z", None, {}).as_json(),
}


@pytest.mark.parametrize("name", SHAPES)
def test_posture_guide_names_every_key_of_a_shape(name: str) -> None:
    assert [row[0] for row in cells(name)] == list(SHAPES[name])


def test_posture_guide_shows_the_notice_with_its_keys() -> None:
    (shown,) = blocks(between(TEXT, "notice"), "json")
    notice = json.loads(shown)
    assert list(notice) == ["event", "id", "timestamp", "target", "data"]
    assert list(notice["data"]) == [key for key in SHAPES["finding"] if key != "raw"]


# -- configurations


@pytest.mark.parametrize("text", [one for one in blocks(TEXT, "yaml") if one.startswith("# gateway.yaml")])
def test_posture_guide_configuration_is_valid(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("internal-ca.pem", "fullchain.pem", "privkey.pem"):
        (tmp_path / name).touch()
    for platform in ("cypersecurity", "securityspace"):
        (tmp_path / platform).write_text("a secret\n")
    for name in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(name, "of-the-tests")
    parse_text(text.replace("/run/secrets/", ""), "gateway.yaml")


def test_posture_guide_has_no_other_yaml_than_configurations_and_a_workflow() -> None:
    others = [one for one in blocks(TEXT, "yaml") if not one.startswith("# gateway.yaml")]
    (workflow,) = others
    assert workflow.startswith("# .github/workflows/")
    assert yaml.safe_load(workflow)[0]["with"]["sarif_file"] == "upload.sarif"


def test_posture_guide_names_defaults_as_they_are() -> None:
    embedded, manner, notify = EmbeddedPlatform(), Manner(), Notify(url="https://a.example", secret=SecretStr("s"))
    assert f"`burst` ({embedded.burst})" in TEXT
    assert f"`slow_head` ({embedded.slow_head:g} s)" in TEXT and f"`timeout` ({embedded.timeout:g} s)" in TEXT
    assert f"after {manner.poll_s:g} seconds, then in pauses that grow to {manner.poll_max_s:g} (`poll`)" in TEXT
    assert f"`rate_limit.max_wait` ({manner.max_wait_s:g} s)" in TEXT
    pauses_s = [min(notify.retry.base * 2**n, notify.retry.max) for n in range(notify.retry.attempts - 1)]
    assert sum(pauses_s) == pytest.approx(3600, rel=0.1)  # "half an hour to an hour", with jitter
    (rule,) = (one for one in blocks(TEXT, "yaml") if "paths: [/webhooks/]" in one)
    assert Posture().webhooks is None and "127.0.0.1:8090" in rule


# -- the receiver


def test_posture_guide_names_every_answer_of_the_receiver() -> None:
    """The refusals as they stand in the code, and what does not go that way."""
    tree = ast.parse(Path(str(receiver.__file__)).read_text("utf-8"))
    refusals = {
        tuple(str(one.value) for one in node.args if isinstance(one, ast.Constant))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_Refused"
    }
    expected = refusals | {("204", "stored"), ("204", "repeated"), ("404", "")}
    assert len(refusals) == 8
    assert {(status, result) for status, result, _ in cells("statuses")} == expected
    assert receiver.MAX_BODY_BYTES == 1024 * 1024 and receiver.ReceiverLimits().body_s == 10


def test_posture_guide_program_accepts_what_the_gateway_signs() -> None:
    (program,) = (one for one in blocks(TEXT, "python") if "is_from_gateway" in one)
    names: dict[str, Any] = {}
    exec(compile(program, "docs/posture.md", "exec"), names)
    body, check = '{"event": "finding.new", "title": "é"}'.encode(), names["is_from_gateway"]

    assert check(body, sign(body, "our-secret"), "our-secret") is True
    assert check(body + b" ", sign(body, "our-secret"), "our-secret") is False
    assert check(body, sign(body, "another"), "our-secret") is False
    assert check(body, "é", "our-secret") is False


def test_posture_guide_line_signs_as_a_platform_does(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (script,) = (one for one in blocks(TEXT, "sh") if "openssl dgst" in one)
    first_two = "\n".join(script.splitlines()[:2]) + '\nprintf "%s %s" "$signature" "$body"\n'
    environment = {"DDACTIC_SECRET": "s", "PATH": SYSTEM_PATH}
    done = subprocess.run(["sh", "-c", first_two], capture_output=True, text=True, check=True, env=environment)
    signature, _, body = done.stdout.partition(" ")
    assert signature == sign(body.encode(), "s")
    assert json.loads(body)["event"] == "scan.completed"


# -- the assessment


def severities_of(kind: Kind) -> list[Severity]:
    """All that findings of this kind can have, the worst first, as the judges give them."""
    verdicts: list[Verdict] = []
    if kind.id == "tls-expiry":
        ends_s = (-86_400.0, 3 * 86_400.0, 20 * 86_400.0)
        verdicts = [judge_expiry(Seen(Shake(), None, Shake(leaf=b"x"), end_s), 0.0, 30) for end_s in ends_s]
    if kind.id == "cookie-flags":
        verdicts = [judge_cookies([line], tls=True) for line in ("session=1", "colour=1")]
    found = {verdict.severity for verdict in verdicts} or {kind.severity}
    return [severity for severity in SEVERITIES if severity in found]


def test_posture_guide_names_every_finding_of_the_assessment() -> None:
    expected = [[kind.id, ", ".join(severities_of(kind)), kind.title] for kind in KINDS]
    assert [[id, severity, title] for id, _, severity, title, _ in cells("findings")] == expected
    assert all(row[4] for row in cells("findings"))


def test_posture_guide_counts_risk_as_the_code_does() -> None:
    assert risk_score(["critical"]) == 9.0 and "One critical finding is 9.0" in TEXT
    assert risk_score(["high", "high"]) == 8.4 and "two high ones are 8.4" in TEXT
    assert risk_score(["medium", "low"]) == 3.7 and "a medium and a low one 3.7" in TEXT


FORMER_RELEASE = {
    "Server": "nginx/1.18.0", "Content-Security-Policy": "default-src 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
}  # fmt: skip
NEXT_RELEASE = FORMER_RELEASE | {
    "Server": "nginx", "Strict-Transport-Security": "max-age=300", "Set-Cookie": "session=1; HttpOnly; SameSite=Lax",
}  # fmt: skip


class OwnSite:
    """https://localhost:PORT on a thread. headers: of every answer; got: (path, user agent) of every request."""

    def __init__(self, folder: Path) -> None:
        self.headers = FORMER_RELEASE
        self.got: list[tuple[str, str]] = []
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "site-ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )  # each connection's own thread shakes hands
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"https://localhost:{self._server.server_port}/"

    def __enter__(self) -> OwnSite:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    """A handshake that is refused, or ended, on purpose."""

            def do_GET(self) -> None:
                site.got.append((self.path, self.headers["User-Agent"]))
                self.send_response_only(200 if self.path == "/" else 404)
                for name, value in site.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        return Handler


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def gateway(*arguments: str) -> Ran:
    """`gateway ARGUMENTS` in this process, through the program's own `main`."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = __main__.main(list(arguments))
    out.seek(0)
    return Ran(code, out.read(), err.getvalue())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnSite]:
    """The site of the first configuration of the guide, which is `gateway.yaml` of the working directory."""
    monkeypatch.chdir(tmp_path)
    configuration = yaml.safe_load(blocks(TEXT, "yaml")[0])
    with OwnSite(tmp_path) as own:
        targets = configuration["posture"]["providers"]["embedded"]["targets"]
        targets["shop.example"] |= {"url": own.url, "ca": "site-ca.pem"}
        (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(configuration))
        yield own


def told(text: str) -> list[tuple[str, str, str]]:
    """(severity, title, id) of each finding in a table, as printed or as shown in the guide."""
    row = rf"^({'|'.join(SEVERITIES)})  (.+?)  .+  (\S+)  +\d{{4}}-\S+Z *$"
    return [(severity, title.strip(), id) for severity, title, id in re.findall(row, text, re.MULTILINE)]


def transcript(name: str) -> list[tuple[list[str], str]]:
    """(arguments of `gateway`, what it prints as the guide shows it) of each command of a console block."""
    (block,) = blocks(between(TEXT, name), "console")
    parts = re.split(r"^\$ gateway (.+)\n", block, flags=re.MULTILINE)[1:]
    return [(shlex.split(line), shown) for line, shown in zip(parts[::2], parts[1::2], strict=True)]


SHOWN_FACTS = ("provider", "target", "type", "status", "risk", "findings", "  ")


def assert_shown(printed: str, shown: str) -> None:
    """Findings are those that the guide shows, and so are facts, commands and counts."""
    if shown.strip() == "...":
        return
    assert told(shown) == told(printed)
    lines = [line.split() for line in printed.splitlines()]
    for line in shown.splitlines():
        if line.startswith(SHOWN_FACTS) or re.fullmatch(r"\d+ findings?", line):
            assert line.split() in lines, line


def test_posture_guide_first_scan_goes_as_shown(site: OwnSite) -> None:
    for arguments, shown in transcript("first scan"):
        ran = gateway(*arguments)
        assert ran.code == 0, ran.err
        assert_shown(ran.out, shown)
    assert told(transcript("first scan")[0][1])

    site.headers = NEXT_RELEASE
    for arguments, shown in transcript("second scan"):
        ran = gateway(*arguments)
        assert ran.code == 0, ran.err
        assert_shown(ran.out, shown)

    remedy = gateway("posture", "remedy", "header-hsts", "-c", "gateway.yaml")
    assert remedy.code == 0 and "add_header Strict-Transport-Security" in remedy.out


def test_posture_guide_tells_what_the_assessment_sends(site: OwnSite, tmp_path: Path) -> None:
    done = json.loads(gateway("posture", "scan", "start", "shop.example", "-c", "gateway.yaml", "--format", "json").out)
    assert site.got[0] == ("/", f"gateway-posture/{__version__}")
    assert [bool(re.fullmatch("/gateway-posture-[0-9a-f]{16}", path)) for path, _ in site.got] == [False, True]
    raw = done["scan"]["raw"]
    assert list(raw["probes"]) == [id for id, type, *_ in cells("findings") if type == "passive"]
    assert raw["figures"]["requests"] == 2 and raw["figures"]["status"] == 200 and "evidence" in raw


def test_posture_guide_active_scan_makes_the_probes_of_the_table(site: OwnSite, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    configuration = yaml.safe_load(file.read_text())
    configuration["posture"]["providers"]["embedded"] |= {"burst": 7, "slow_head": "50ms"}
    file.write_text(yaml.safe_dump(configuration))
    line = "posture scan start shop.example --type active --format json -c gateway.yaml"

    raw = json.loads(gateway(*line.split()).out)["scan"]["raw"]
    assert list(raw["probes"]) == [id for id, type, *_ in cells("findings") if type == "active"]
    assert raw["figures"]["requests"] == 1 + 7


def test_posture_guide_script_for_ci_fails_after_it_has_written_its_file(site: OwnSite, tmp_path: Path) -> None:
    """The shell block itself, with a threshold that is met; and without one that is."""
    (script,) = (one for one in blocks(TEXT, "sh") if "failed=$?" in one)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "gateway").symlink_to(shutil.which("gateway", path=_venv()) or pytest.skip("gateway is not installed"))
    environment = {"PATH": f"{programs}:{SYSTEM_PATH}"}
    codes = [
        subprocess.run(["sh", "-ec", text], env=environment, capture_output=True, check=False).returncode
        for text in (script, script.replace("--fail-on high", "--fail-on low"))
    ]
    assert codes == [0, EXCEEDED]
    log = json.loads((tmp_path / "posture.sarif").read_text())
    assert [one["ruleId"] for one in log["runs"][0]["results"]] == [
        "embedded/header-hsts", "embedded/header-hsts", "embedded/version-leak", "embedded/version-leak"
    ]  # fmt: skip


def _venv() -> str:
    return str(Path(sys.executable).parent)


def test_posture_guide_line_gives_every_result_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    from gateway.posture.output.sarif import sarif

    monkeypatch.chdir(tmp_path)
    (tmp_path / "posture.sarif").write_text(json.dumps(sarif([FOUND, FOUND])))
    (line,) = (one for one in blocks(TEXT, "sh") if one.startswith("jq "))
    subprocess.run(["sh", "-ec", line], check=True)

    results = json.loads((tmp_path / "upload.sarif").read_text())["runs"][0]["results"]
    for result in results:
        (location,) = result["locations"]
        assert location["physicalLocation"] == {"artifactLocation": {"uri": "gateway.yaml"}, "region": {"startLine": 1}}
        assert location["logicalLocations"][0]["fullyQualifiedName"] == "a"


def test_posture_guide_lines_copy_a_store(site: OwnSite, tmp_path: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed")
    gateway("posture", "scan", "start", "shop.example", "-c", "gateway.yaml")
    (script,) = (one for one in blocks(TEXT, "sh") if "VACUUM INTO" in one)
    subprocess.run(["sh", "-ec", script], check=True)
    for name in ("posture-backup.db", "posture-copy.db"):
        copy = tmp_path / name
        assert copy.stat().st_mode & 0o777 == 0o600
        with Store.open(f"sqlite:///{copy}") as store:
            assert len(store.current()) == 2


# -- the platforms


@dataclass
class Accounts:
    """All three platforms, and their configuration in `gateway.yaml` of the working directory."""

    folder: Path
    ddactic: DDacticStandIn
    cypersecurity: CyperSecurityStandIn
    securityspace: SecuritySpaceStandIn

    def configure(self, **more: Any) -> None:
        quick = {"retry": {"base": "1ms", "max": "2ms"}, "poll": {"interval": "1ms", "max": "2ms"}}
        providers = {
            "ddactic": {"base_url": self.ddactic.url, "key": "write-key", **quick},
            "cypersecurity": {"base_url": self.cypersecurity.url, "key": "cyper-key", **quick},
            "securityspace": {
                "base_url": self.securityspace.url, "key": KEY, "userid": USERID, "password": PASSWORD,
                "ca": write_ca(self.folder), **quick,
            },
        }  # fmt: skip
        webhooks = {"public_url": "https://hooks.example", "cypersecurity": {"secret": "s"}}
        posture = {"providers": providers, "webhooks": webhooks, "gateway": {"addresses": ["203.0.113.10"]}, **more}
        sites = [{"hosts": ["shop.example"], "origin": {"servers": ["http://127.0.0.1:1"]}}]
        (self.folder / "gateway.yaml").write_text(yaml.safe_dump({"sites": sites, "posture": posture}))

    def document(self, *arguments: str) -> Any:
        format = () if "--format" in arguments else ("--format", "json")
        ran = gateway("posture", *arguments, *format, "-c", "gateway.yaml")
        assert ran.code == 0, (arguments, ran.err)
        return json.loads(ran.out)


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Accounts]:
    """SecuritySpace has the zone shop.example; DDactic sees what it publishes."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        securityspace = stack.enter_context(SecuritySpaceStandIn())

        def published(name: str) -> set[str]:
            return {
                text for zone in securityspace.published for below, text in securityspace.texts(zone)
                if f"{below}.{zone}".lstrip(".") == name
            }  # fmt: skip

        ddactic = stack.enter_context(DDacticStandIn(domains=(), verify_after=None, published=published))
        cypersecurity = stack.enter_context(CyperSecurityStandIn())
        securityspace.add_zone("shop.example")
        accounts = Accounts(tmp_path, ddactic, cypersecurity, securityspace)
        accounts.configure()
        yield accounts
        assert [one.undocumented for one in (ddactic, cypersecurity, securityspace)] == [[], [], []]


TYPED: dict[str, str] = {
    "onboard": "www.shop.example --cutover",
    "domains list": "",
    "domains add": "shop.example --verify-dns",
    "scan start": "shop.example --provider ddactic --wait",
    "scan list": "",
    "scan show": "scn_0001",
    "findings": "",
    "remedy": "F-001 --scan scn_0001",
    "report": "scn_0001 --format json -o report.json",
    "events": "",
    "actions": "",
    "actions --history": "",
    "webhooks list": "",
    "webhooks create": "",
    "org show": "",
    "org update": "--name Shop",
    "team list": "",
    "team invite": "somebody@shop.example",
    "dns list": "",
    "dns show": "shop.example",
    "dns add-domain": "other.example --accept-aup",
    "dns add-record": "shop.example A --name www --ip 198.51.100.7",
    "dns set-soa": "shop.example --ttl 300",
    "dns set-options": "shop.example --allowtransferacl 192.0.2.7",
    "dns build-zone": "shop.example",
    "dns publish": "shop.example",
    "dns delete-record": "403",
    "dns delete-domain": "other.example --yes",
}
"""What follows a command, in the order in which they can be typed."""


def test_posture_guide_names_the_document_of_every_command() -> None:
    assert {row[0] for row in cells("documents")} == set(TYPED)
    assert {command.removesuffix(" --history") for command in TYPED} == set(COMMANDS) - {"serve"}


def test_posture_guide_names_the_keys_of_every_document(accounts: Accounts) -> None:
    said = dict(cells_with_keys("documents"))
    for command, rest in TYPED.items():
        document = accounts.document(*command.split(), *shlex.split(rest))
        assert list(document) == [key for key, _ in said[command]], command
        for key, shape in said[command]:
            for one in document[key] if isinstance(document[key], list) else [document[key]]:
                assert not shape or list(one) == list(SHAPES[shape.lower()]), (command, key)


def cells_with_keys(name: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(command, [(key, SHAPE or "")])"""
    for line in between(TEXT, name).splitlines()[2:]:
        _, command, keys, _ = line.split("|")
        yield command.strip().strip("`"), re.findall(r"`(\w+)`(?: \(([A-Z]+)\))?", keys)


def test_posture_guide_cutover_and_its_undoing_go_as_shown(accounts: Accounts) -> None:
    gateway(*"posture dns add-record shop.example A --name www --ip 198.51.100.7 -c gateway.yaml".split())
    (shown,) = (one for one in blocks(TEXT, "console") if "--cutover" in one)
    command, *lines = [line for line in shown.splitlines() if line and line != "..."]
    ran = gateway(*shlex.split(command.removeprefix("$ gateway ")))
    printed = [line.split() for line in ran.out.splitlines()]
    assert ran.code == 0, ran.err
    assert [line for line in lines if line.split() not in printed] == []

    applied = gateway(*shlex.split(command.removeprefix("$ gateway ")), "--yes").out
    undo = re.findall(r"^gateway (.+)$", applied, re.MULTILINE)
    assert len(undo) == 3 and "SEQ" not in " ".join(undo)
    assert {("A", "203.0.113.10")} == addresses(accounts)
    for line in undo:
        assert gateway(*shlex.split(line)).code == 0
    assert {("A", "198.51.100.7")} == addresses(accounts)


def addresses(accounts: Accounts) -> set[tuple[str, str]]:
    records = accounts.securityspace.published["shop.example"]
    return {(one.type, one.data["data"]) for one in records if one.type in ("A", "AAAA", "CNAME")}


def test_posture_guide_actions_are_planned_as_shown(accounts: Accounts) -> None:
    (text,) = (one for one in blocks(TEXT, "yaml") if "name: origin-exposed" in one)
    accounts.configure(actions=yaml.safe_load(text)["posture"]["actions"])
    accounts.ddactic.add_domain("shop.example")
    accounts.document("scan", "start", "shop.example", "--provider", "ddactic", "--wait")
    ((arguments, shown),) = transcript("actions")
    ran = gateway(*arguments)
    assert ran.code == 0, ran.err
    assert _less_times(ran.out) == _less_times(shown)


def _less_times(text: str) -> list[list[str]]:
    return [re.sub(r"\d{4}-\S+Z", "TIME", line).split() for line in text.splitlines() if line.strip()]


def test_posture_guide_error_is_what_a_read_key_gets(accounts: Accounts) -> None:
    file = accounts.folder / "gateway.yaml"
    accounts.ddactic.add_domain("shop.example")
    file.write_text(file.read_text().replace("write-key", "read-key"))
    ran = gateway("posture", "scan", "start", "shop.example", "--provider", "ddactic", "-c", "gateway.yaml")
    assert ran.code == __main__.FAILED
    assert ran.err in blocks(TEXT, "text")


def test_posture_guide_program_scans_a_domain() -> None:
    (program,) = (one for one in blocks(TEXT, "python") if "async def scan" in one)
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(program, "docs/posture.md", "exec"), names)

    async def run(url: str) -> ScanResult:
        async with DDactic("write-key", base_url=url, manner=Manner(poll_s=0.001, poll_max_s=0.001)) as ddactic:
            result: ScanResult = await names["scan"](ddactic, "shop.example")
            return result

    with DDacticStandIn(domains=["shop.example"], polls=3) as platform:
        result = asyncio.run(run(platform.url))
        assert platform.undocumented == []
    assert result.scan.status == "completed"
    assert [finding.title for finding in filter(names["is_urgent"], result.findings)] == ["Origin IP Exposed"]


def test_posture_guide_program_reads_a_store(tmp_path: Path) -> None:
    (program,) = (one for one in blocks(TEXT, "python") if "Store.open" in one)
    names: dict[str, Any] = {}
    exec(compile(program, "docs/posture.md", "exec"), names)
    url = f"sqlite:///{tmp_path}/posture.db"
    with Store.open(url) as store:
        store.put_result(Scan("scn_1", "ddactic", "shop.example", "passive", "completed"), [FOUND])
    assert names["open_findings"](url) == ["high t (a)"]


# -- what the guide names exists


def test_posture_guide_links_exist() -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXT):
        path, _, anchor = link.partition("#")
        target = (DOCUMENT.parent / path).resolve() if path else DOCUMENT
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


def test_posture_guide_names_only_metrics_that_exist() -> None:
    known = {row[0] for row in metrics_table()}
    named = set(re.findall(r"\bgateway_[a-z_]+", TEXT))
    assert named <= known
    assert {name for name in known if name.startswith("gateway_posture_")} <= named


def test_posture_guide_names_only_errors_that_exist() -> None:
    from gateway import errors

    (paragraph,) = re.findall(r"Errors are those of `gateway.errors`:\n(.*?)\n\n", TEXT, re.DOTALL)
    named = re.findall(r"`([A-Z]\w+)`", paragraph)
    assert [name for name in named if name != "Manner" and not hasattr(errors, name)] == []
    family = {one.__name__ for one in errors.PlatformRefused.__subclasses__() if one.__module__ == "gateway.errors"}
    assert family <= set(named)
