"""The store of scans, findings and events, which several processes may share."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Self, cast

from gateway.errors import PostureStoreError
from gateway.posture.event import Event
from gateway.posture.finding import Finding
from gateway.posture.moment import iso
from gateway.posture.scan import Scan, Status
from gateway.posture.severity import Severity
from gateway.posture.store import inbox, outbox, result
from gateway.posture.store.address import parse_address
from gateway.posture.store.database import Database, Result, Work
from gateway.posture.store.failure import value_refused
from gateway.posture.store.outbox import Notice
from gateway.posture.store.result import OpenSite
from gateway.posture.store.schema import prepare
from gateway.posture.store.series import State
from gateway.posture.watching import pause_s


class _Remembered(NamedTuple):
    """until_s: monotonic, before which it is not read again."""

    version: int
    value: Any
    until_s: float


class Store:
    """Each method is one transaction: what it wrote is durable (it survives power loss) when it returns, and nothing of
    it is there if it raises. They block, for at most some 20 s behind other processes: an event loop calls them in a
    thread; any number of threads may. Not to be taken over a fork.

    What is given comes back equal: `raw` and `data` with the order of their keys, whole numbers of any size, any text.
    Nothing is ever deleted. Every method raises PostureStoreError, and nothing else, for what the database cannot do;
    its text names the address without the password. It is a ValueRefused where the value is at fault.
    """

    def __init__(self, database: Database) -> None:
        """Use `open`."""
        self._database = database
        self._memory: dict[str, _Remembered] = {}

    @classmethod
    def open(cls, url: str) -> Self:
        """The store at `sqlite:///FILE` (made with mode 0600, in a directory that is there) or
        `postgresql://USER:PASSWORD@HOST/DATABASE`.

        An empty database gets its tables, an older one those of this version, once, whoever opens it meanwhile. One of
        something else, or of a newer version, is refused and left as it is.
        """
        database = Database(parse_address(url))
        try:
            prepare(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        """Close its connections. Again is harmless."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- scans and findings

    def put_result(self, scan: Scan, findings: Sequence[Finding] = (), at: str | None = None) -> list[Finding]:
        """Store a scan and findings of it, new ones or once more. at: when, ISO 8601 UTC; None = now.

        What is None in them never erases what is known, and a scan that is over stays so: an older reading that comes
        late changes nothing. Returns the findings as they are stored now, in the order given and each id once, with
        first_seen: `at` for new ones. The scan must have an id, which is also its findings' `scan`; no id has over
        MAX_ID characters.
        """
        moment = at or _now()
        return self._write(lambda connection: result.put(connection, scan, findings, moment), f"scan {scan.id!r:.60}")

    def scan(self, id: str, provider: str | None = None) -> Scan | None:
        """A scan by its id; the newest one if several platforms have given that id; None if there is none."""
        return self._database.read(lambda connection: result.one(connection, id, provider))

    def providers_of(self, scan_id: str) -> tuple[str, ...]:
        """The platforms that have a scan with that id, by name."""
        return self._database.read(lambda connection: result.providers(connection, scan_id))

    def scans(
        self, *, provider: str | None = None, status: Status | None = None, limit: int | None = None
    ) -> tuple[list[Scan], int]:
        """The scans that match, the one that began last first, at most `limit`; and how many match in all."""
        return self._database.read(lambda connection: result.page(connection, provider, status, limit))

    def findings(
        self,
        *,
        provider: str | None = None,
        scan: str | None = None,
        at_least: Severity | None = None,
        state: State | None = None,
    ) -> list[Finding]:
        """Findings of all scans, or those that match; the worst first, then those that were first seen last.

        state compares the latest completed scan of each series (provider, target, type) with the completed one before:
        "new" ones are only in the latest (all of them, if it is the first), "open" ones in both, "gone" ones only in
        the one before. Which is later is decided by completed_at, else by when the scan was first stored. With `scan`,
        that scan stands for the latest one; there is nothing to compare if it is not completed.
        """
        return self._database.read(lambda connection: result.findings(connection, provider, scan, at_least, state))

    def current(
        self,
        *,
        provider: str | None = None,
        at_least: Severity | None = None,
        limit: int | None = None,
        oldest_first: bool = False,
    ) -> list[Finding]:
        """What is open now, at most `limit`; in the order of `findings`, or of equally bad ones those that were first
        seen first.

        That is the findings of the latest completed scan of each series (as in `findings`), and of its scans that began
        after that one and are not over: some platforms tell findings earlier. One for each (provider, target,
        fingerprint), the newest scan's; its first_seen is the earliest of all with that fingerprint,
        its last_seen when this scan told it. A scan began at
        started_at, else created_at, else when it was first stored.
        """
        return self._database.read(
            lambda connection: result.current(connection, provider, at_least, limit, oldest_first)
        )

    def current_counts(self) -> dict[tuple[str, Severity], int]:
        """(provider, severity) -> how many of `current` there are, where there are any."""
        return self._database.read(result.current_counts)

    def current_sites(self, limit: int) -> list[OpenSite]:
        """`current` by site, those with the most of the worst first."""
        return self._database.read(lambda connection: result.current_sites(connection, limit))

    def version(self) -> int:
        """Another one after every change of scans and findings, whoever made it. One row is read."""
        return self._database.read(result.version)

    def remembered(self, name: str, read: Callable[[], Result]) -> Result:
        """What `read` gave when it was asked under this name the last time; it is asked again after a change. One that
        takes long is asked again after a pause."""
        version, began_s = self.version(), time.monotonic()
        former = self._memory.get(name)
        if former is not None and (former.version == version or began_s < former.until_s):
            return cast(Result, former.value)
        value = read()
        ended_s = time.monotonic()
        self._memory[name] = _Remembered(version, value, ended_s + pause_s(ended_s - began_s))
        return value

    def target_of(self, finding: Finding) -> str | None:
        """The target of the finding's scan."""
        return self._database.read(lambda connection: result.target(connection, finding.provider, finding.scan))

    def risk_scores(self) -> dict[str, float]:
        """Target -> risk score, of the latest completed scan of DDactic that has one."""
        return self._database.read(result.risk_scores)

    # -- events

    def put_events(self, events: Sequence[Event]) -> list[bool]:
        """Store events, all in one transaction. For each whether it is new: a repeat (same id) is stored once."""
        return self._write(lambda connection: inbox.put(connection, events), "an event")

    def events(self, *, scan: str | None = None, provider: str | None = None) -> list[Event]:
        """The events that match, the one that was stored first first."""
        return self._database.read(lambda connection: inbox.stored(connection, scan, provider))

    def unhandled_events(
        self, limit: int, *, provider: str | None = None, without: Collection[str] = ()
    ) -> list[Event]:
        """Events whose work is not done, the one that was stored first first; of one provider, or of all but some."""
        return self._database.read(lambda connection: inbox.unhandled(connection, limit, provider, without))

    def event_handled(self, id: str, error: str | None = None) -> None:
        """The work on an event is over; error: why it was given up, None if it was done."""
        self.events_handled([id], error)

    def events_handled(self, ids: Sequence[str], error: str | None = None) -> None:
        """The same of any number of events."""
        moment = _now()
        self._database.write(lambda connection: inbox.handled(connection, ids, error, moment))

    def event_tried(self, id: str) -> int:
        """Count an attempt of the work on an event. Returns how many there were, this one included; 0 if there is no
        such event."""
        return self._database.write(lambda connection: inbox.tried(connection, id))

    # -- what the gateway itself tells and does

    def onboarding(self, domain: str) -> dict[str, Any] | None:
        """How far the onboarding of a domain (in any case) is; None if it has not begun."""
        return self._database.read(lambda connection: outbox.onboarding_state(connection, domain))

    def put_onboarding(self, domain: str, state: Mapping[str, Any]) -> None:
        """Replace that."""
        self._write(lambda connection: outbox.put_onboarding(connection, domain, state), "the state of onboarding")

    def add_notices(self, notices: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """Put (key, payload) into the outbox, unless the key was ever there. Returns the keys that are new."""
        return self._write(lambda connection: outbox.add_notices(connection, notices), "a notice")

    def due_notices(self, now_s: float, limit: int, *, lease_s: float = 0.0) -> list[Notice]:
        """Notices that are neither done nor to be tried later than `now_s` (Unix seconds); the longest due first.

        With a lease nobody else gets them for that many seconds: several gateways tell each of them once, and what one
        that was killed had taken is told afterwards.
        """
        perform = self._database.write if lease_s else self._database.read
        return perform(lambda connection: outbox.due_notices(connection, now_s, limit, lease_s))

    def notice_done(self, id: str) -> None:
        """It was told."""
        moment = _now()
        self._database.write(lambda connection: outbox.notice_done(connection, id, moment))

    def notice_failed(self, id: str, retry_at_s: float | None, error: str) -> None:
        """It was not told: to be tried again at a Unix time, or given up (None). Its attempts are counted."""
        moment = _now()
        self._database.write(lambda connection: outbox.notice_failed(connection, id, retry_at_s, error, moment))

    def add_action_records(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Note what was done because of findings: JSON objects."""
        self._write(lambda connection: outbox.add_action_records(connection, records), "a record of an action")

    def action_records(self, limit: int) -> list[dict[str, Any]]:
        """The last of them, the newest first."""
        return self._database.read(lambda connection: outbox.action_records(connection, limit))

    def _write(self, work: Work[Result], what: str) -> Result:
        """`write` for values of somebody else's, which may be no JSON, or no times."""
        try:
            return self._database.write(work)
        except PostureStoreError:
            raise
        except (TypeError, ValueError, RecursionError) as error:
            raise value_refused(self._database.address, f"{what} cannot be stored: {error!s:.100}") from error


def _now() -> str:
    return iso(time.time())
