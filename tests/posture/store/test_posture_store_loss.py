"""Nothing that was reported as stored is lost, nothing is half there, nothing is there twice."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa
from posture.store.postgresql_server import PostgresqlServer
from posture.store.sample import EVENTS, FINDINGS, a_scan, events_of, findings_of

from gateway.posture.store import Store
from gateway.posture.store.address import parse_address
from gateway.posture.store.database import Database
from gateway.posture.store.table import onboarding

ROUNDS = 6

# Writes until it is killed, and reports each write after it is durable. `sys.argv`: address, first number.
WRITER = """
import itertools, sys
from gateway.posture.store import Store
from posture.store.sample import a_scan, events_of, findings_of

with Store.open(sys.argv[1]) as store:
    for number in itertools.count(int(sys.argv[2])):
        store.put_result(a_scan(f"s{number}"), findings_of(number))
        print("result", number, flush=True)
        store.put_events(events_of(number))
        print("events", number, flush=True)
"""


def killed_writer(url: str, first: int, reports: int) -> list[tuple[str, int]]:
    """What a writer reported, which is killed somewhere in the write behind `reports` of them."""
    folder = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(first)], stdout=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(reports)]
    try:
        process.wait(random.uniform(0, 0.02))
    except subprocess.TimeoutExpired:
        process.kill()
    said += process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    assert process.wait(60) == -9, said
    return [(line.split()[0], int(line.split()[1])) for line in said if line.endswith("\n")]


def check_whole(store: Store, reported: list[tuple[str, int]]) -> None:
    results = {number for what, number in reported if what == "result"}
    events = {number for what, number in reported if what == "events"}
    scans = {int((scan.id or "")[1:]) for scan in store.scans()[0]}
    assert results <= scans
    counts = {number: len(store.findings(scan=f"s{number}")) for number in scans}
    assert set(counts.values()) == {FINDINGS}
    stored = store.events()
    by_scan = {number: [each for each in stored if each.scan == f"s{number}"] for number in scans}
    assert all(by_scan[number] == events_of(number) for number in events)
    assert {len(each) for each in by_scan.values()} <= {0, EVENTS}
    assert len({each.id for each in stored}) == len(stored)


def test_writer_that_is_killed_loses_nothing_that_it_reported(empty_url: str) -> None:
    reported: list[tuple[str, int]] = []
    for turn in range(ROUNDS):
        said = killed_writer(empty_url, turn * 100_000, random.randint(1, 30))
        assert said
        reported += said
        with Store.open(empty_url) as store:
            check_whole(store, reported)
    database = Database(parse_address(empty_url))
    if database.is_sqlite:
        assert database.read(lambda connection: connection.exec_driver_sql("PRAGMA integrity_check").scalar()) == "ok"
    database.close()


OPENER = """
import sys
from gateway.posture.store import Store

print("begins", flush=True)
Store.open(sys.argv[1]).close()
sys.stdin.read()
"""


def test_process_that_is_killed_while_it_makes_a_store_is_in_nobodys_way(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    for url in [*(f"sqlite:///{tmp_path}/{turn}.db" for turn in range(ROUNDS)), postgresql.database()]:
        command = [sys.executable, "-c", OPENER, url]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with process:
            assert process.stdout is not None and process.stdout.readline() == b"begins\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(0, 0.3))
            process.kill()
        with Store.open(url) as store:
            store.put_result(a_scan())
            assert store.scans() == ([a_scan()], 1)


def test_writes_that_wait_for_each_other_are_both_done(postgresql: PostgresqlServer) -> None:
    url = postgresql.database()
    with Store.open(url) as store:
        for number in range(2):
            store.put_onboarding(f"{number}.example", {})
    database = Database(parse_address(url))
    both_hold_one = threading.Barrier(2)

    def write(first: int) -> int:
        tries = iter(range(9))

        def work(connection: sa.Connection) -> int:
            turn = next(tries)
            for number in (first, 1 - first):
                connection.execute(
                    sa.update(onboarding).where(onboarding.c.domain == f"{number}.example"), {"state": first}
                )
                if turn == 0 and number == first:
                    both_hold_one.wait(20)
            return turn

        return database.write(work)

    with ThreadPoolExecutor(2) as pool:
        turns = sorted(pool.map(write, (0, 1)))
    database.close()
    assert turns == [0, 1]


def test_server_that_crashes_loses_nothing_that_was_stored(postgresql: PostgresqlServer) -> None:
    url = postgresql.database()
    with Store.open(url) as store:
        for number in range(5):
            store.put_result(a_scan(f"s{number}"), findings_of(number))
            store.put_events(events_of(number))
        postgresql.crash()
    postgresql.start()
    with Store.open(url) as store:
        check_whole(store, [(what, number) for what in ("result", "events") for number in range(5)])


def write_much(url: str, seed: int) -> None:
    """The same results, events and notices as everybody else, in an order of its own."""
    numbers = list(range(20))
    random.Random(seed).shuffle(numbers)
    with Store.open(url) as store:
        for number in numbers:
            store.put_result(a_scan(f"s{number}"), random.Random(seed).sample(findings_of(number), FINDINGS))
            events = [each for other in (number, (number + 7) % 20) for each in events_of(other)]
            new = store.put_events(random.Random(seed).sample(events, len(events)))
            store.add_action_records([{"seed": seed, "new": sum(new)}])
            fresh = store.add_notices([(str(number), {}), (str((number + 3) % 20), {})])
            store.add_action_records([{"seed": seed, "notices": len(fresh)}])


def test_processes_that_write_at_once_lose_nothing_and_write_nothing_twice(empty_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_much, args=(empty_url, seed)) for seed in range(4)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(120)
    assert [each.exitcode for each in processes] == [0] * 4
    with Store.open(empty_url) as store:
        assert store.scans()[1] == 20
        assert len(store.findings()) == 20 * FINDINGS
        assert len(store.events()) == 20 * EVENTS
        records = store.action_records(1000)
        assert len(records) == 4 * 20 * 2
        assert sum(each.get("new", 0) for each in records) == 20 * EVENTS  # each was new to exactly one of them
        assert sum(each.get("notices", 0) for each in records) == 20
        assert len(store.due_notices(0.0, 100)) == 20
