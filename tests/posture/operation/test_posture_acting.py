"""The whole loop with a real store, a real file and a real engine: what is found is closed until it is gone."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from engine.browser_requests import BROWSER_REQUESTS
from posture.patches import NOW_S, SEEN, action, finding, own_sites, patch

from gateway.config import parse_config
from gateway.config.patch import MAX_PATCHES, read_patches
from gateway.config.posture import Action, Posture
from gateway.engine.answer import Answer
from gateway.engine.api import Call
from gateway.engine.service.runtime import EngineRuntime
from gateway.engine.wire import JSON
from gateway.errors import PostureStoreError
from gateway.posture.finding import Finding
from gateway.posture.moment import iso
from gateway.posture.operation import acting
from gateway.posture.operation.acting import Acting, apply
from gateway.posture.patch_file import write_patches
from gateway.posture.scan import Scan
from gateway.posture.store import Store

BROWSER = {field: value for field, value in BROWSER_REQUESTS["chrome navigates"].items() if value != ""}


class Lines:
    """A log that keeps what it is told: (level, message, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, message: str, **fields: Any) -> None:
        self.lines.append(("info", message, fields))

    def warning(self, message: str, **fields: Any) -> None:
        self.lines.append(("warning", message, fields))

    def error(self, message: str, **fields: Any) -> None:
        self.lines.append(("error", message, fields))

    def messages(self) -> list[tuple[str, str]]:
        """(message, reason), forgotten then."""
        said, self.lines = self.lines, []
        return [(message, fields.get("reason") or fields.get("error", "")) for _, message, fields in said]


class Loop:
    """Rounds over one store and one file."""

    def __init__(self, folder: Path, *rules: Action) -> None:
        self.store = Store.open(f"sqlite:///{folder}/posture.db")
        self.file = folder / "patches.json"
        self.posture = posture(*rules)
        self.log = Lines()
        self.state = Acting()
        self.sites = own_sites(exclude_static=False)
        self.now_s = NOW_S
        self._scans = 0

    def scanned(self, *found: Finding, target: str = "shop.example") -> None:
        """One more completed scan of the target, with these findings."""
        self._scans += 1
        name, at = f"scn_{self._scans}", iso(self.now_s + self._scans)
        scan = Scan(name, "ddactic", target, "passive", "completed", at, at, at)
        own = [Finding(**{**{key: getattr(one, key) for key in one.__slots__}, "scan": name, "first_seen": None})
               for one in found]  # fmt: skip
        self.store.put_result(scan, own, at=SEEN)

    async def round(self) -> list[tuple[str, str]]:
        """What was said."""
        await apply(self.store, self.posture, self.sites, self.file, self.log, self.now_s, self.state)
        return self.log.messages()

    def records(self) -> list[tuple[str, str, str]]:
        return [(one["event"], one["name"], one["at"]) for one in self.store.action_records(100)]


def posture(*rules: Action) -> Posture:
    given = [rule.model_dump(mode="json") for rule in rules or (action(),)]
    return parse_config({"posture": {"actions": {"rules": given}}}).posture


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    made = Loop(tmp_path)
    yield made
    made.store.close()


async def test_finding_is_closed_at_the_engine_until_the_next_scan_does_not_find_it(loop: Loop) -> None:
    engine = parse_config({"engine": {"patches": str(loop.file), "crawlers": {"dns": False, "agents": []}}}).engine
    runtime = EngineRuntime(engine, supervised=True, trusted=True, clock=lambda: loop.now_s)

    async def status(path: str) -> int:
        await runtime.check_files()
        call = Call(orjson.dumps({**BROWSER, "Host": "shop.example", "Request": path}), JSON)
        answer = runtime.api.respond(call)
        return (answer if isinstance(answer, Answer) else await answer).status

    assert await status("/search?q=1") == 200
    loop.scanned(finding())
    assert await loop.round() == [("patch started", "ddactic found: SQL injection")]
    assert [await status(path) for path in ("/search?q=1", "/")] == [403, 200]

    loop.scanned()
    assert await loop.round() == [("patch ended", "the finding is closed")]
    assert await status("/search?q=1") == 200
    assert loop.records() == [("ended", "close", iso(NOW_S)), ("started", "close", iso(NOW_S))]


async def test_round_in_which_nothing_changed_writes_and_says_nothing(loop: Loop) -> None:
    loop.scanned(finding())
    await loop.round()
    before = loop.file.stat()

    assert await loop.round() == []
    assert loop.file.stat() == before
    assert stat.S_IMODE(before.st_mode) == 0o600


async def test_without_rules_and_file_nothing_is_written(loop: Loop) -> None:
    loop.scanned(finding())
    loop.posture = parse_config({"posture": {}}).posture

    assert await loop.round() == []
    assert not loop.file.exists()


async def test_rule_that_is_taken_away_ends_its_patches(loop: Loop) -> None:
    loop.scanned(finding())
    await loop.round()
    loop.posture = parse_config({"posture": {}}).posture

    assert [message for message, _ in await loop.round()] == ["patch ended"]
    assert read_patches(loop.file) == ()


async def test_patch_expires(loop: Loop) -> None:
    loop.scanned(finding())
    await loop.round()
    loop.now_s += 86_400

    assert await loop.round() == [("patch expired", "its time is over")]
    assert read_patches(loop.file) == ()
    assert await loop.round() == []


async def test_next_process_goes_on_from_the_file(loop: Loop) -> None:
    loop.scanned(finding())
    await loop.round()
    loop.state = Acting()

    assert await loop.round() == []


@pytest.mark.parametrize("text", ["", "{", "[]"])
async def test_file_that_was_broken_or_changed_is_written_anew(loop: Loop, text: str) -> None:
    loop.scanned(finding())
    await loop.round()
    loop.file.write_text(text)

    await loop.round()
    assert [one.paths for one in read_patches(loop.file)] == [("/search",)]
    loop.file.write_text(text)
    loop.state = Acting()
    await loop.round()
    assert [one.paths for one in read_patches(loop.file)] == [("/search",)]


async def test_target_of_the_scan_counts_where_the_asset_names_no_host(loop: Loop) -> None:
    loop.scanned(finding(asset="", raw={"path": "/search"}), target="www.shop.example")

    await loop.round()

    assert [one.host for one in read_patches(loop.file)] == ["www.shop.example"]


async def test_finding_that_no_rule_can_act_on_is_said_once(loop: Loop) -> None:
    loop.scanned(finding(asset="shop.example"))

    assert await loop.round() == [("no patch for a finding", "the finding names no path")]
    assert await loop.round() == []


async def test_store_that_fails_is_said_once_and_leaves_the_file(loop: Loop, tmp_path: Path) -> None:
    write_patches(loop.file, (patch(),))
    with contextlib.closing(sqlite3.connect(tmp_path / "posture.db", isolation_level=None)) as connection:
        connection.execute("DROP TABLE finding")

    (said,) = await loop.round()

    assert said[0] == "actions on findings are not up to date"
    assert await loop.round() == []
    assert read_patches(loop.file) == (patch(),)


async def test_disk_that_fails_is_said_once_and_the_next_round_tries_again(loop: Loop) -> None:
    loop.scanned(finding())
    loop.file.mkdir()

    assert await loop.round() == [("actions on findings are not up to date", f"{loop.file}: Is a directory")]
    assert await loop.round() == []
    loop.file.rmdir()
    assert await loop.round() == [("patch started", "ddactic found: SQL injection")]
    assert os.listdir(loop.file.parent).count("patches.json") == 1
    assert loop.records() == [("started", "close", iso(NOW_S))]


async def test_record_that_the_store_could_not_take_is_kept_for_the_next_round(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.scanned(finding())

    def refuse(self: Store, records: object) -> None:
        raise PostureStoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "add_action_records", refuse)
        assert [message for message, _ in await loop.round()] == [
            "patch started", "actions on findings are not up to date",
        ]  # fmt: skip
    assert await loop.round() == []
    assert loop.records() == [("started", "close", iso(NOW_S))]


async def test_store_is_asked_in_another_thread(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    current = Store.current

    def asked(self: Store, **wanted: Any) -> list[Finding]:
        threads.append(threading.current_thread())
        return current(self, **wanted)

    monkeypatch.setattr(Store, "current", asked)
    await loop.round()

    assert threads and threading.main_thread() not in threads


async def test_static_name_under_a_path_passes_by_is_said_once_and_is_blocked_where_static_files_are_checked(
    loop: Loop,
) -> None:
    loop.scanned(finding(asset="https://shop.example/admin.php"))
    loop.sites = own_sites()
    started, (message, why) = await loop.round()

    assert (started[0], message) == ("patch started", "patch is partly effective")
    assert why.startswith("the gateway does not check GET /admin.php/x.css (static)")
    assert "protection.exclude_static: false" in why
    assert await loop.round() == []
    assert loop.sites.unchecked("shop.example", "/admin.php/x.css") == "static"

    loop.sites = own_sites(exclude_static=False)
    assert await loop.round() == []
    assert loop.sites.unchecked("shop.example", "/admin.php/x.css") is None
    assert [await engine_says(loop, path) for path in ("/admin.php/x.css", "/x.css")] == [403, 200]


async def engine_says(loop: Loop, path: str) -> int:
    """What an engine with the loop's file answers the gateway that asks."""
    engine = parse_config({"engine": {"patches": str(loop.file), "crawlers": {"dns": False, "agents": []}}}).engine
    runtime = EngineRuntime(engine, supervised=True, trusted=True, clock=lambda: loop.now_s)
    answer = runtime.api.respond(Call(orjson.dumps({**BROWSER, "Host": "shop.example", "Request": path}), JSON))
    return (answer if isinstance(answer, Answer) else await answer).status


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """How findings were asked for."""
    questions: list[dict[str, Any]] = []
    current = Store.current

    def noted(self: Store, **wanted: Any) -> list[Finding]:
        questions.append(wanted)
        return current(self, **wanted)

    monkeypatch.setattr(Store, "current", noted)
    return questions


async def test_findings_are_read_again_only_when_something_may_be_different(
    loop: Loop, asked: list[dict[str, Any]]
) -> None:
    async def is_read() -> bool:
        asked.clear()
        await loop.round()
        return bool(asked)

    loop.scanned(finding())
    assert [await is_read(), await is_read()] == [True, False]
    loop.scanned(finding(), finding(id="2", asset="https://shop.example/b"))
    assert [await is_read(), await is_read()] == [True, False]
    loop.posture = posture(action(), action(name="more"))
    assert [await is_read(), await is_read()] == [True, False]
    loop.sites = own_sites()
    assert [await is_read(), await is_read()] == [True, False]
    loop.file.write_text("")
    assert [await is_read(), await is_read()] == [True, False]
    loop.now_s += 86_400
    assert [await is_read(), await is_read()] == [True, False]


async def test_only_findings_that_a_rule_may_be_for_are_read(loop: Loop, asked: list[dict[str, Any]]) -> None:
    loop.posture = posture(
        action(match={"severity": "high", "providers": ["ddactic"]}),
        action(name="more", match={"severity": "medium", "providers": ["ddactic", "embedded"]}),
    )

    await loop.round()

    assert [(one["provider"], one["at_least"]) for one in asked] == [("ddactic", "medium"), ("embedded", "medium")]


async def test_provider_with_more_findings_than_are_looked_at_is_said(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "MAX_FINDINGS", 2)
    loop.scanned(*(finding(id=str(number), asset=f"https://shop.example/{number}") for number in range(3)))

    said = await loop.round()

    assert [message for message, _ in said] == ["patch started", "patch started", "too many findings"]
    assert said[2][1].startswith("ddactic has over 2 open findings")
    assert await loop.round() == []


async def test_thousands_of_findings_without_a_patch_are_counted_in_one_line(loop: Loop) -> None:
    loop.scanned(*(finding(id=str(number), asset=f"https://shop.example/{number}") for number in range(300)))

    await apply(loop.store, loop.posture, loop.sites, loop.file, loop.log, loop.now_s, loop.state)

    (line,) = [fields for level, _, fields in loop.log.lines if level == "warning"]
    assert (line["what"], line["count"]) == ("no patch for a finding", 300 - MAX_PATCHES)


async def test_findings_without_a_patch_for_reasons_of_their_own_are_said_one_by_one_up_to_ten(loop: Loop) -> None:
    loop.scanned(*(finding(id=str(number), asset=f"host{number}.example") for number in range(30)))

    said = [message for message, _ in await loop.round()]

    assert said == ["no patch for a finding"] * 10 + ["more of the same"]
