"""The tables of the store, as the newest revision in `migration` makes them.

No argument here is for one database alone (`sqlite_where`): it would load the dialects of both, for every command.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
)

from gateway.posture.store.column import Document, Words

metadata = MetaData()

# SQLite counts rows by itself in a column of this very type alone.
_Number = BigInteger().with_variant(Integer(), "sqlite")

# series: hash of (provider, target, type); over_s, began_s: Unix seconds by which the scans of a series are ordered.
scan = Table(
    "scan",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("provider", Words, nullable=False),
    Column("id", Words, nullable=False),
    Column("target", Words),
    Column("type", Words),
    Column("status", String(16), nullable=False),
    Column("created_at", Words),
    Column("started_at", Words),
    Column("completed_at", Words),
    Column("risk_score", Double),
    Column("estimated_s", BigInteger),
    Column("counts", Document),
    Column("raw", Document),
    Column("stored_at", Words, nullable=False),
    Column("series", String(32), nullable=False),
    Column("over_s", Double, nullable=False),
    Column("began_s", Double, nullable=False),
    Index("scan_by_id", "id", "provider", unique=True),
    Index("scan_by_series", "series", "status", "over_s"),
    Index("scan_by_age", "began_s", "number"),
)

finding = Table(
    "finding",
    metadata,
    Column("scan_number", BigInteger, ForeignKey("scan.number"), nullable=False),
    Column("id", Words, nullable=False),
    Column("severity_rank", SmallInteger, nullable=False),
    Column("title", Words, nullable=False),
    Column("description", Words, nullable=False),
    Column("asset", Words, nullable=False),
    Column("port", BigInteger),
    Column("cve", Document, nullable=False),
    Column("cvss", Double),
    Column("remediation", Document),
    Column("raw", Document),
    Column("fingerprint", String(32), nullable=False),
    Column("first_seen", Words, nullable=False),
    PrimaryKeyConstraint("scan_number", "id"),
    Index("finding_by_scan", "scan_number", "fingerprint"),
    Index("finding_by_fingerprint", "fingerprint", "first_seen"),
    Index("finding_by_severity", "severity_rank", "first_seen"),
)

# One row, of "results": counted up by each transaction that changes scans or findings.
change = Table(
    "change",
    metadata,
    Column("of", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# arrival: Unix nanoseconds, by which events are ordered; of one batch each has its own.
event = Table(
    "event",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("provider", Words, nullable=False),
    Column("event", Words, nullable=False),
    Column("timestamp", Words),
    Column("received_at", Words, nullable=False),
    Column("scan", Words),
    Column("data", Document, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("handled_at", Words),
    Column("error", Words),
)
Index("event_by_arrival", event.c.arrival)
Index("event_by_scan", event.c.scan, event.c.arrival)
Index("event_unhandled", event.c.arrival)  # of those that wait: the condition is the migration's; see at the top

onboarding = Table(
    "onboarding",
    metadata,
    Column("domain", Words, primary_key=True),
    Column("state", Document, nullable=False),
)

# done_at: told, or given up; due_s: Unix seconds before which it is not tried again.
notice = Table(
    "notice",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("id", Words, nullable=False),
    Column("payload", Document, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_s", Double, nullable=False),
    Column("done_at", Words),
    Column("error", Words),
    Index("notice_by_id", "id", unique=True),
)
Index("notice_due", notice.c.due_s)  # likewise

action_record = Table(
    "action_record",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("record", Document, nullable=False),
)
