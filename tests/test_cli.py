"""The command line: what is typed, what is printed where, and the exit code."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.__main__ import main

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
        "print(*sorted({'rich', 'gateway.terminal', 'gateway.demo', 'gateway.explain'} & set(sys.modules)))"
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
