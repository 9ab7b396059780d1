"""The application log's lines, rate limiting, and the access log's writer against real pipes and files."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import eventually
from hypothesis import given
from hypothesis import strategies as st

from gateway import logs

RECORD = (
    1767225600.25, "shop", "203.0.113.7", b"GET", b"shop.example", b"/a%20b?card=4111", b"1.1", 200, "allowed", None,
    0.0123456, 0.001, None, 0, 512, b"id-1", b"Mozilla/5.0", "http://127.0.0.1:9000", b"helper", b"d-1",
)  # fmt: skip
LINE = {
    "time": "2026-01-01T00:00:00.250Z",
    "site": "shop",
    "client_ip": "203.0.113.7",
    "method": "GET",
    "host": "shop.example",
    "target": "/a%20b",
    "http_version": "1.1",
    "status": 200,
    "outcome": "allowed",
    "reason": None,
    "duration_ms": 12.346,
    "protection_ms": 1.0,
    "origin_ms": None,
    "bytes_received": 0,
    "bytes_sent": 512,
    "request_id": "id-1",
    "user_agent": "Mozilla/5.0",
    "origin_server": "http://127.0.0.1:9000",
    "rule": "helper",
    "decision_id": "d-1",
}


def record(**changes: Any) -> tuple[Any, ...]:
    return tuple(changes.get(name, value) for name, value in zip(logs.ACCESS_FIELDS, RECORD, strict=True))


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Captured:
    """What was written to stderr since the test began."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Captured]:
    """What the application log writes; the logging module is put back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("gateway")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield Captured(capsys)
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


# ---- application log -------------------------------------------------------------------------------------------------


def test_json_event_with_fields_is_one_object_per_line(stderr: Captured) -> None:
    logs.setup("info", "json", "worker-0")
    log = logs.get("origin")
    log.warning("server ejected", site="shop", failures=5, path=Path("/x"), time="not the time", note="a\nb")
    log.debug("too fine")
    (line,) = stderr.getvalue().splitlines()
    event = json.loads(line)
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "level": "warning",
        "process": "worker-0",
        "logger": "origin",
        "event": "server ejected",
        "site": "shop",
        "failures": 5,
        "path": "/x",
        "note": "a\nb",
    }


def test_json_field_without_a_json_form_does_not_lose_the_event(stderr: Captured) -> None:
    logs.setup("info", "json", "worker-0")
    logs.get("origin").error("odd", text="\ud800", number=2**80)
    line = json.loads(stderr.getvalue())
    assert (line["event"], line["text"], line["number"]) == ("odd", "\\ud800", str(2**80))


def test_json_field_without_a_json_form_leaves_the_others_as_they_are(stderr: Captured) -> None:
    logs.setup("info", "json", "worker-0")
    logs.get("origin").error("odd", text="a\ud800", failures=5, path=Path("/x"), names={1: "a"}, bad=["\ud800"])
    line = json.loads(stderr.getvalue())
    assert line["level"] == "error" and line["process"] == "worker-0"
    assert line["text"] == "a\\ud800" and line["bad"] == "['\\ud800']"
    assert (line["failures"], line["path"], line["names"]) == (5, "/x", {"1": "a"})


def test_console_event_with_control_characters_stays_one_harmless_line(stderr: Captured) -> None:
    logs.setup("info", "console", "engine")
    logs.get("engine").error("bad\nevent", agent="\x1b[31m red", empty="", count=1)
    (line,) = stderr.getvalue().splitlines()
    assert line.endswith("ERROR   engine engine: bad\\nevent agent='\\x1b[31m red' empty='' count=1")


def test_exception_event_holds_the_traceback(stderr: Captured) -> None:
    logs.setup("info", "json", "worker-0")
    try:
        raise ValueError("inside")
    except ValueError:
        logs.get("server").exception("defect", where="here")
    event = json.loads(stderr.getvalue())
    assert event["where"] == "here" and "ValueError: inside" in event["exception"]


def test_setup_again_replaces_the_former_one(stderr: Captured) -> None:
    logs.setup("info", "console", "worker-0")
    logs.setup("error", "json", "worker-0")
    logs.get("server").info("unheard")
    logs.get("server").error("heard")
    assert [json.loads(line)["event"] for line in stderr.getvalue().splitlines()] == ["heard"]


def test_libraries_speak_from_warning_on_in_the_same_form(stderr: Captured) -> None:
    logs.setup("debug", "json", "worker-0")
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("asyncio").warning("slow %s", "callback")
    assert [json.loads(line)["event"] for line in stderr.getvalue().splitlines()] == ["slow callback"]


# ---- rate limiting ---------------------------------------------------------------------------------------------------


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_rate_limited_key_logs_once_per_interval_and_counts_the_rest(stderr: Captured) -> None:
    logs.setup("info", "json", "worker-0")
    clock = Clock()
    limited = logs.RateLimited(logs.get("protection"), 10.0, clock=clock)
    for clock.now_s in (0.0, 1.0, 9.9, 10.0, 25.0):
        limited.error("timeout", "check failed", at=clock.now_s)
        limited.warning(("reset", 1), "connection reset")
    events = [json.loads(line) for line in stderr.getvalue().splitlines()]
    seen = [(e["at"], e.get("suppressed")) for e in events if e["event"] == "check failed"]
    assert seen == [(0.0, None), (10.0, 2), (25.0, None)]
    assert sum(e["event"] == "connection reset" for e in events) == 3


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 3)), max_size=200))
def test_rate_limited_any_keys_stay_bounded(steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    limited = logs.RateLimited(logs.get("test"), 10.0, max_keys=8, clock=clock)
    with pytest.MonkeyPatch.context() as patch:
        written: list[int] = []
        patch.setattr(logs.Log, "error", lambda self, event, **fields: written.append(1))
        for key, pause_s in steps:
            clock.now_s += pause_s
            limited.error(key, "event")
            assert len(limited._last) <= 9
    assert len(written) <= len(steps)


def test_rate_limited_surplus_keys_share_one_line(stderr: Captured) -> None:
    logs.setup("info", "json", "worker-0")
    limited = logs.RateLimited(logs.get("protection"), 10.0, max_keys=2, clock=Clock())
    for key in range(50):
        limited.error(key, "event")
    assert len(stderr.getvalue().splitlines()) == 3


# ---- access log ------------------------------------------------------------------------------------------------------


def test_access_record_written_as_one_json_line_without_its_query(tmp_path: Path) -> None:
    log = logs.AccessLog(tmp_path / "access.log")
    log.add(RECORD)
    log.close()
    assert lines_of(tmp_path / "access.log") == [LINE]
    assert list(lines_of(tmp_path / "access.log")[0]) == list(LINE)


@pytest.mark.parametrize(
    ("agent", "written"),
    [
        ("Zürich".encode(), "Zürich"),
        ("Zürich".encode("latin-1"), "Zürich"),
        (b'quote " newline \n end', 'quote " newline \n end'),
        (b"", ""),
        (None, None),
        ("ü".encode() * 2000, "ü" * logs.TEXT_BYTES),
        (b"\xff" * 5000, "\xff" * logs.TEXT_BYTES),
    ],
)
def test_access_text_of_any_bytes_is_utf8_latin1_and_bounded(
    tmp_path: Path, agent: bytes | None, written: str | None
) -> None:
    log = logs.AccessLog(tmp_path / "access.log")
    log.add(record(user_agent=agent))
    log.close()
    assert lines_of(tmp_path / "access.log") == [LINE | {"user_agent": written}]


@given(st.binary(max_size=3000), st.one_of(st.none(), st.binary(max_size=3000)), st.floats(0, 4e9))
def test_access_line_of_any_bytes_is_json_on_one_line(target: bytes, agent: bytes | None, time_s: float) -> None:
    line = logs._LineFormat()(record(target=target, user_agent=agent, time_s=time_s))
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert "?" not in json.loads(line)["target"]


def test_access_record_that_is_none_costs_one_line_only(tmp_path: Path, stderr: Captured) -> None:
    logs.setup("info", "json", "worker-0")
    log = logs.AccessLog(tmp_path / "access.log")
    for item in (RECORD, RECORD[:3], RECORD):
        log.add(item)
    log.close()
    assert len(lines_of(tmp_path / "access.log")) == 2
    assert log.dropped == 1
    assert "access log record without a line" in stderr.getvalue()


def test_access_file_target_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("{}\n")
    log = logs.AccessLog(path)
    log.add(RECORD)
    log.close()
    assert lines_of(path) == [{}, LINE]


async def test_access_lines_flushed_without_being_asked(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = logs.AccessLog(path)
    log.add(RECORD)
    await eventually(lambda: path.read_bytes().endswith(b"\n"), "the line")
    log.close()


async def test_access_rotation_reopened_file_gets_the_new_lines(tmp_path: Path) -> None:
    path, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    log = logs.AccessLog(path)
    log.add(record(status=200))
    await eventually(lambda: path.read_bytes().endswith(b"\n"), "the first line")
    path.rename(rotated)
    log.reopen()
    await eventually(path.exists, "the new file")
    log.add(record(status=201))
    log.close()
    assert [line["status"] for line in lines_of(rotated)] == [200]
    assert [line["status"] for line in lines_of(path)] == [201]


async def test_access_rotation_that_fails_keeps_the_old_file(tmp_path: Path, stderr: Captured) -> None:
    logs.setup("info", "json", "worker-0")
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "access.log"
    log = logs.AccessLog(path)
    path.rename(tmp_path / "kept")
    folder.rmdir()
    log.reopen()
    await eventually(lambda: "access log not reopened" in stderr.getvalue(), "the error")
    log.add(RECORD)
    log.close()
    assert lines_of(tmp_path / "kept") == [LINE]


def test_access_target_that_cannot_be_opened_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        logs.AccessLog(tmp_path / "nowhere" / "access.log")


class Pipe:
    """A pipe as standard output, read only when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read_fd, self.write_fd = os.pipe()
        self._monkeypatch = monkeypatch

    def access_log(self) -> logs.AccessLog:
        with os.fdopen(self.write_fd, "w", closefd=False) as stdout, self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stdout)
            return logs.AccessLog()

    def read_all(self) -> bytes:
        """Everything that is in the pipe and comes until the writing end is closed."""
        with os.fdopen(self.read_fd, "rb") as stream:
            return stream.read()

    def close_writer(self) -> None:
        os.close(self.write_fd)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    return Pipe(monkeypatch)


async def test_access_blocked_pipe_drops_counts_and_never_blocks(
    pipe: Pipe, stderr: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.setup("info", "json", "worker-0")
    monkeypatch.setattr(logs, "QUEUE_RECORDS", 500)
    log = pipe.access_log()
    for _ in range(5_000):  # about 2 MB: a pipe holds 64 KiB, nobody reads
        log.add(RECORD)
    await eventually(lambda: len(log._queue) < 500, "the writer at work")  # it hangs in write() now, or soon
    for _ in range(5_000):
        log.add(RECORD)
    assert log.dropped > 5_000
    reader = threading.Thread(target=lambda: received.append(pipe.read_all()))
    received: list[bytes] = []
    reader.start()
    log.close()
    pipe.close_writer()
    reader.join()
    lines = received[0].splitlines()
    assert len(lines) + log.dropped == 10_000
    assert {json.loads(line)["status"] for line in lines} == {200}
    reported = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert sum(event["dropped"] for event in reported if event["event"] == "access log records dropped") == log.dropped


def test_access_nonblocking_pipe_that_takes_nothing_loses_whole_lines_only(
    pipe: Pipe, stderr: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.setup("info", "json", "worker-0")
    monkeypatch.setattr(logs, "WRITE_PATIENCE_S", 0.001)
    os.set_blocking(pipe.write_fd, False)
    log = pipe.access_log()
    for _ in range(400):
        log.add(RECORD)
    log.close()
    pipe.close_writer()
    lines = pipe.read_all().splitlines()
    assert 0 < len(lines) < 400 and len(lines) + log.dropped == 400
    assert all(json.loads(line) == LINE for line in lines)
    assert "access log takes no data" in stderr.getvalue()


def test_access_reader_gone_is_reported_and_counted(pipe: Pipe, stderr: Captured) -> None:
    logs.setup("info", "json", "worker-0")
    os.close(pipe.read_fd)
    log = pipe.access_log()
    log.add(RECORD)
    log.close()
    pipe.close_writer()
    assert log.dropped == 1
    assert "Broken pipe" in stderr.getvalue()


def test_access_line_over_pipe_buf_written_whole(pipe: Pipe) -> None:
    log = pipe.access_log()
    long = record(target=b"/" + b"\x01" * 4000, user_agent=b"\x02" * 4000)
    for item in (RECORD, long, RECORD):
        log.add(item)
    log.close()
    pipe.close_writer()
    written = pipe.read_all().splitlines()
    assert len(written[1]) > select.PIPE_BUF
    assert [json.loads(line)["status"] for line in written] == [200, 200, 200]


def test_access_backlog_of_huge_heads_is_cut_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "UNCUT_RECORDS", 1)
    monkeypatch.setattr(logs.AccessLog, "_run", lambda self: None)  # nobody takes anything out
    log = logs.AccessLog(tmp_path / "access.log")
    for _ in range(3):
        log.add(record(user_agent=b"x" * 60_000, site=None))
    assert [len(item[16]) for item in log._queue] == [60_000, logs.TEXT_BYTES, logs.TEXT_BYTES]
    os.close(log._fd)


def test_access_log_writes_ready_lines_among_records(tmp_path: Path) -> None:
    log = logs.AccessLog(tmp_path / "log")
    log.add(RECORD)
    log.add_line(b'{"own": 1}\n')
    log.close()

    assert [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()] == [LINE, {"own": 1}]


WRITER = """
import sys
from gateway import logs
log = logs.AccessLog(flush_interval_s=0.001)
name = sys.argv[1]
for number in range(2000):
    target = b"/" + b"x" * (number % 900)
    status = (b"1.1", 200, "allowed", None, 0.1, None, None, number, 0, None, None, None, None, None)
    log.add((1.5, name, "::1", b"GET", b"h", target, *status))
log.close()
assert log.dropped == 0, log.dropped
"""


def test_access_lines_of_several_processes_on_one_pipe_never_mix() -> None:
    read_fd, write_fd = os.pipe()
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(subprocess.Popen([sys.executable, "-c", WRITER, f"w{index}"], stdout=write_fd))
            for index in range(3)
        ]
        os.close(write_fd)
        with os.fdopen(read_fd, "rb") as stream:
            lines = [json.loads(line) for line in stream]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(lines) == 6000
    for index in range(3):
        mine = [line["bytes_received"] for line in lines if line["site"] == f"w{index}"]
        assert mine == list(range(2000))
