"""Real processes: exit codes, a pipe that breaks, Ctrl-C, a terminal without a platform's letters, what is loaded."""

from __future__ import annotations

import os
import pty
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from posture.command.commands import Operator, Ran, checked

LOADED = """
import sys
from gateway.__main__ import main
code = main(sys.argv[1:])
sys.stdout.flush()
wrong = [name for name in sys.modules if name.startswith(("gateway.server", "gateway.engine", "gateway.admin"))]
print(code, sorted(wrong), file=sys.stderr)
"""


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, **variables}


def interrupted(operator: Operator, *arguments: str) -> Ran:
    """A command that gets SIGINT once it has said something on stderr."""
    process = subprocess.Popen(
        operator.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return checked(Ran(process.returncode, out, first + err))


def test_process_prints_the_document_alone_on_stdout(operator: Operator) -> None:
    ran = operator.process("scan", "start", "dom_0001", "--provider", "ddactic", "--wait", "-v", "--format", "json")

    assert (ran.code, ran.json["scan"]["status"]) == (0, "completed")
    assert "ddactic scn_0001: completed" in ran.lines


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("findings",), 0),
        (("scan", "show", "scn_9", "--provider", "ddactic"), 1),
        (("scan", "show", "scn_9", "--provider", "securityspace"), 2),
        (("scan", "start", "dom_0001", "--provider", "ddactic", "--fail-on", "high"), 3),
    ],
)
def test_process_ends_with_the_exit_code(operator: Operator, arguments: tuple[str, ...], code: int) -> None:
    assert operator.process(*arguments).code == code


@pytest.mark.parametrize("format", ["json", "table"])
def test_reader_that_goes_away_is_no_traceback(operator: Operator, format: str) -> None:
    for number in range(2000):
        operator.ddactic.add_domain(f"shop-{number}.example")
    process = subprocess.Popen(
        operator.command("domains", "list", "--format", format), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()

    assert process.wait(60) == 1
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert len(err.splitlines()) <= 1


@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        ("> /dev/full", 1, "error: [Errno 28] No space left on device"),
        (">&-", 1, "error: stdout is closed: nobody would get the document"),
        ("2>&-", 0, ""),
    ],
)
def test_output_that_leads_nowhere_is_one_line_at_most(
    operator: Operator, redirected: str, code: int, said: str
) -> None:
    operator.document("scan", "start", "dom_0001", "--provider", "ddactic", "--wait")
    line = f"{shlex.join(operator.command('scan', 'show', 'scn_0001', '--format', 'json'))} {redirected}"

    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == code
    assert done.stderr.splitlines() == (["ddactic scn_0001: completed", said] if said else [])
    assert done.stdout == "" if code else Ran(0, done.stdout, "").json["scan"]["status"] == "completed"


def test_interrupted_wait_is_exit_code_1_one_line_and_leaves_the_scan_in_the_store(operator: Operator) -> None:
    operator.ddactic.polls = 1_000_000

    ran = interrupted(operator, "scan", "start", "dom_0001", "--provider", "ddactic", "--wait")

    assert (ran.code, ran.out, ran.error) == (1, "", "interrupted")
    assert ran.lines[0] == "ddactic scn_0001: queued"
    assert operator.document("scan", "list", "--provider", "ddactic")["total"] == 1


def test_interrupted_report_leaves_no_file(operator: Operator) -> None:
    operator.document("scan", "start", "example.com", "--provider", "cypersecurity", "--wait")
    operator.cypersecurity.report_polls = 1_000_000
    file = operator.folder / "out" / "report.pdf"
    file.parent.mkdir()

    ran = interrupted(operator, "report", "scan_0001", "--format", "pdf", "-o", str(file), "-v")

    assert (ran.code, ran.error) == (1, "interrupted")
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("format", ["table", "json"])
def test_terminal_without_a_platforms_letters_gets_what_it_has(
    operator: Operator, encoding: str, format: str
) -> None:
    operator.ddactic.add_domain("пример.example")

    done = subprocess.run(
        operator.command("domains", "list", "--format", format), capture_output=True, timeout=60, check=False,
        env=environment(PYTHONIOENCODING=encoding),
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u043f" in done.stdout or "пример".encode() in done.stdout


def on_terminal(operator: Operator, *arguments: str) -> tuple[Ran, bytes]:
    """A command whose stderr is a terminal, and what is drawn there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        operator.command(*arguments), stdout=subprocess.PIPE, stderr=theirs, stdin=theirs,
        env=environment(TERM="xterm"), text=True,
    )  # fmt: skip
    os.close(theirs)
    drawn = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            drawn += os.read(ours, 4096)
        except OSError:  # EIO: the other side is closed
            break
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    return Ran(process.returncode, out, ""), drawn


def test_wait_on_a_terminal_draws_there_and_leaves_stdout_to_the_document(operator: Operator) -> None:
    start = ("scan", "start", "dom_0001", "--provider", "ddactic", "--wait", "--format", "json")

    ran, drawn = on_terminal(operator, *start)

    assert (ran.code, ran.json["scan"]["status"]) == (0, "completed")
    assert b"ddactic scn_0001: completed" in drawn


def test_command_that_waits_for_nothing_draws_nothing_on_a_terminal(operator: Operator) -> None:
    ran, drawn = on_terminal(operator, "domains", "list", "--format", "json")

    assert (ran.code, ran.json["total"], drawn) == (0, 1, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ("findings",),
        ("events",),
        ("scan", "list", "--provider", "ddactic"),
        ("scan", "start", "dom_0001", "--provider", "ddactic", "--wait"),
        ("domains", "list"),
        ("org", "show"),
        ("scan", "start", "127.0.0.1", "--provider", "embedded"),
    ],
    ids=" ".join,
)
def test_command_loads_neither_the_server_nor_the_engine(operator: Operator, arguments: tuple[str, ...]) -> None:
    operator.configure(providers={"embedded": {"targets": {"127.0.0.1": {"url": "http://127.0.0.1:9", "around": []}}}})
    command = [sys.executable, "-c", LOADED, "posture", *arguments, "-c", str(operator.file)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr.splitlines()[-1] in ("0 []", "1 []"), done.stderr


def test_reading_the_store_loads_no_client_and_reading_a_platform_no_store(operator: Operator) -> None:
    shown = "print([name for name in ('sqlalchemy', 'aiohttp', 'alembic', 'rich') if name in sys.modules])"
    program = f"import sys; from gateway.__main__ import main; main(sys.argv[1:]); {shown}"

    def loaded(*arguments: str) -> str:
        command = [sys.executable, "-c", program, "posture", *arguments, "-c", str(operator.file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()[-1]

    operator.document("findings")  # the store is there, and current

    assert loaded("findings") == "['sqlalchemy']"
    assert loaded("domains", "list") == "['aiohttp']"


def test_help_of_every_command_is_there(tmp_path: Path) -> None:
    for command in (("scan",), ("scan", "start"), ("findings",), ("report",), ("webhooks", "create")):
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "posture", *command, "--help"], capture_output=True, text=True,
            timeout=60, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage: gateway posture " in done.stdout
