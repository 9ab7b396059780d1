"""The command line: what is typed, what is printed where, and the exit code."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.__main__ import main
from gateway.cli import app
from gateway.cli.group import command_of
from gateway.replay import read_policy, rule_rows

VALID = """\
sites:
  - hosts: ["*"]
    origin: {servers: ["http://127.0.0.1:9000"]}
protection: {endpoint: "http://127.0.0.1:9", key: very-secret}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(VALID)
    return file


def test_no_command_prints_help_and_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr().out
    for command in ("run", "demo", "check", "show", "schema", "explain", "engine", "healthcheck", "version"):
        assert f" {command} " in printed


def test_help_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--help"]) == 0
    assert "--ask" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        (["nope"], "No such command 'nope'."),
        (["run"], "Missing option '--config' / '-c'."),
        (["run", "--colour"], "No such option: --colour"),
        (["demo", "--port", "65536"], "Invalid value for '--port': "),
        (["-t"], "Invalid value: -t needs -c FILE"),
        (["-c", "x"], "Invalid value: -c FILE needs -t or a command before it"),
        (["-t", "-c", "x", "show", "-c", "y"], "Invalid value: -t and -c before 'show' mean nothing"),
        (["explain", "-c", "x", "--ip", "1.2.3", "http://a/"], "Invalid value for '--ip': '1.2.3' is not an IPv4 or"),
        (["explain", "-c", "x", "-H", "foo", "http://a/"], "Invalid value: 'foo' is not 'Name: value'"),
        (["engine"], "Missing option '--config' / '-c'."),
        (["engine", "-c", "x", "list", "-c", "x"], "Invalid value: -c before 'list' means nothing; put it after it"),
        (["engine", "list"], "Missing option '--config' / '-c'."),
        (["engine", "check"], "Missing argument 'POLICY'."),
        (["engine", "explain", "moderate", "x", "--format", "yaml"], "Invalid value for '--format': "),
        (["engine", "explain", "moderate", "x", "--session", "revoked"], "Invalid value for '--session': "),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], typed: list[str], complaint: str
) -> None:
    assert main(typed) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"gateway: {complaint}")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("typed", [["check", "-c"], ["-t", "-c"]])
def test_check_of_valid_file_says_ok(capsys: pytest.CaptureFixture[str], config: Path, typed: list[str]) -> None:
    assert main([*typed, str(config)]) == 0
    assert capsys.readouterr().out == f"{config}: ok\n"


@pytest.mark.parametrize("typed", [["check"], ["-t"], ["show"], ["run"], ["engine"]])
def test_unknown_key_is_one_line_with_file_and_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], config: Path, typed: list[str]
) -> None:
    config.write_text(VALID + "wrokers: 2\n")
    assert main([*typed, "-c", str(config)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"gateway: {config}:5: ")
    assert "wrokers" in printed.err and printed.err.count("\n") == 1


@pytest.mark.parametrize("typed", [["check"], ["-t"], ["run"]])
def test_policy_that_cannot_be_used_is_told_with_file_line_and_key(
    capsys: pytest.CaptureFixture[str], config: Path, tmp_path: Path, typed: list[str]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("preset: none\nrules:\n  - {name: x, action: blok}\n")
    config.write_text(VALID + f"engine: {{policy: '{policy}'}}\n")
    assert main([*typed, "-c", str(config)]) == 2
    assert capsys.readouterr().err == (
        f"gateway: {policy}:3: rules[0].action: got 'blok'; expected one of allow, block, challenge, redirect, "
        "rate_limit, tag\n"
    )


def test_missing_file_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "-c", str(tmp_path / "none.yaml")]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("gateway: ") and "none.yaml" in printed and printed.count("\n") == 1


def test_show_prints_yaml_with_defaults_and_without_secrets(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    assert main(["show", "-c", str(config)]) == 0
    printed = capsys.readouterr().out
    shown = yaml.safe_load(printed)
    assert "very-secret" not in printed
    assert shown["protection"]["endpoint"] == "http://127.0.0.1:9"
    assert shown["limits"]["request_headers"] == 100


def test_schema_prints_a_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"listeners", "sites", "protection", "engine"} <= set(schema["properties"])


def test_run_on_taken_port_is_one_line_and_exit_code_1(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(f'{VALID}listeners: [{{address: "127.0.0.1:{port}"}}]\nadmin: {{address: "127.0.0.1:0"}}\n')
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "run", "-c", str(config)], capture_output=True, text=True, timeout=30
        )
    assert done.returncode == 1
    complaint = done.stderr.splitlines()[-1]
    assert complaint.startswith("gateway: ") and str(port) in complaint


POLICY = """\
preset: permissive
rules:
  - {name: office, action: allow, match: {address: 203.0.113.0/24}}
  - {name: shy, action: challenge, match: {path: ^/admin}, dry_run: true}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return file


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "access.log"
    line = '203.0.113.9 - - [21/Nov/2026:10:00:0{} +0000] "GET /admin HTTP/1.1" 200 512 "-" "curl/8.9.1"\n'
    file.write_text("".join(line.format(second) for second in range(3)) + "nonsense\n")
    return file


def test_engine_check_lists_the_rules_in_force(capsys: pytest.CaptureFixture[str], policy: Path) -> None:
    assert main(["engine", "check", str(policy)]) == 0
    ok, _, *rows = capsys.readouterr().out.splitlines()
    assert ok == f"{policy}: ok"
    assert [row.split() for row in rows[:3]] == [
        ["1", "office", "allow", "file"],
        ["2", "shy", "challenge", "file", "dry", "run"],
        ["3", "absurd-request", "block", "preset", "permissive"],
    ]


def test_engine_check_says_every_problem_with_its_line(capsys: pytest.CaptureFixture[str], policy: Path) -> None:
    policy.write_text("preset: moderat\nrules:\n  - {name: a, action: stop}\n  - {name: a, action: allow}\n")
    assert main(["engine", "check", str(policy)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    first, second = printed.err.removeprefix("gateway: ").splitlines()
    assert first.startswith(f"{policy}:1: preset: got 'moderat'; expected ")
    assert second.startswith(f"{policy}:3: rules[0].action: got 'stop'; expected ")


def test_engine_explain_of_a_log_shows_counts_and_differences(
    capsys: pytest.CaptureFixture[str], policy: Path, log: Path
) -> None:
    assert main(["engine", "explain", "moderate", str(log), "--against", str(policy)]) == 0
    printed = capsys.readouterr()
    assert "3 of 4 lines (combined: 3)" in printed.out
    assert "1: no known format (1)" in printed.out
    assert "3 of 3 requests get another action; 0 the same by another rule" in printed.out
    (change,) = [line for line in printed.out.splitlines() if line.startswith("block (automation)")]
    assert change.split() == "block (automation) allow (office) 3 3 x 203.0.113.9 GET /admin curl/8.9.1".split()
    assert printed.err == ""  # no progress where nobody watches


def test_engine_explain_in_json_has_the_same(capsys: pytest.CaptureFixture[str], policy: Path, log: Path) -> None:
    assert main(["engine", "explain", "moderate", str(log), "--against", str(policy), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["lines"], found["judged"], found["unreadable"]) == (4, 3, {"no known format": 1})
    assert found["changes"] == [
        {
            "before": {"rule": "automation", "action": "block"},
            "after": {"rule": "office", "action": "allow"},
            "requests": 3,
            "examples": [{"requests": 3, "address": "203.0.113.9", "user_agent": "curl/8.9.1", "first": "GET /admin"}],
        }
    ]


def test_engine_explain_of_a_payload_shows_every_rule_and_escapes_what_visitors_wrote(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "payload.json"
    file.write_text(json.dumps({"IP": "203.0.113.9", "Method": "GET", "Request": "/", "UserAgent": "curl/8\x1b[2J"}))
    assert main(["engine", "explain", "moderate", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "block, by the rule absurd-request" in printed
    assert "user agent with control characters; true holds" in printed
    assert "curl/8\\x1b[2J" in printed and "\x1b" not in printed
    assert printed.count("not reached") == len(rule_rows(read_policy("moderate"))) - 1


def test_engine_explain_of_nothing_readable_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello\n")
    assert main(["engine", "explain", "moderate", str(file)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"gateway: {file}: got 1 lines and no request in them (no known format: 1)")
    assert printed.count("\n") == 1


def test_healthcheck_of_nobody_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    assert main(["healthcheck", "--admin", address]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"no answer from {address}: ")


def test_version_names_python_parser_and_loop(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("gateway ")
    assert f"Python {platform.python_version()}" in printed and "httptools" in printed and "uvloop" in printed


def test_run_loads_nothing_that_only_other_commands_need() -> None:
    """The supervisor stays in memory for months."""
    program = (
        "import sys, gateway.cli, gateway.config, gateway.supervisor\n"
        "others = {'rich', 'redis', 'gateway.terminal', 'gateway.demo', 'gateway.explain', 'gateway.replay'}\n"
        "print(*sorted(others & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "\n"


def test_package_data_covers_every_file_beside_the_code() -> None:
    """What is not covered is missing from a wheel and from the container image, though not from a checkout."""
    import fnmatch
    import tomllib

    root = Path(__file__).resolve().parents[1]
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    patterns = [pattern.removeprefix("**/") for pattern in settings["tool"]["setuptools"]["package-data"]["gateway"]]
    files = [path for path in (root / "gateway").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    others = [path for path in files if path.suffix != ".py"]
    assert [str(path) for path in others if not any(fnmatch.fnmatch(path.name, one) for one in patterns)] == []


# --- the way in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "who"),
    [
        (["version"], "gateway"), (["schema"], "gateway"), (["--help"], "gateway"), (["posture", "--help"], "error"),
        (["posture", "dns", "--help"], "error"),
    ],
)  # fmt: skip
def test_stdout_that_nobody_reads_is_one_line_and_exit_code_1(arguments, who):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gateway", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, f"{who}: stdout is closed: nobody reads the rest\n")


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["version"], 130, "gateway: interrupted\n"), ([], 130, "gateway: interrupted\n"),
        (["posture", "findings"], 1, "error: interrupted\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("module", ["typer", "gateway.errors", "gateway.cli"])
def test_ctrl_c_while_modules_are_loaded_is_one_line(arguments, code, line, module):
    interrupting = f"""
import sys
from gateway.__main__ import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

for name in [one for one in sys.modules if one == {module!r}]:
    del sys.modules[name]
sys.meta_path.insert(0, Interrupting())
sys.exit(main({arguments!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", interrupting], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", line)


def test_command_that_is_typed_is_the_only_one_that_is_made():
    group = command_of(app)
    assert group.get_command(None, "version").name == "version"
    posture = group.get_command(None, "posture")
    assert list(group.commands) == ["version", "posture"] and list(posture.commands) == []
    assert posture.get_command(None, "dns").get_command(None, "list").name == "list"
    assert group.get_command(None, "absent") is None


def test_command_that_is_mistyped_is_told_the_nearest(capsys):
    assert main(["postur"]) == 2
    assert capsys.readouterr().err == "gateway: No such command 'postur'. Did you mean 'posture'?\n"
