"""Scans, findings and events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _make_scan()
    _make_finding()
    _make_event()


def _make_scan() -> None:
    op.create_table(
        "scan",
        sa.Column("number", _number, primary_key=True),
        sa.Column("provider", _words, nullable=False),
        sa.Column("id", _words, nullable=False),
        sa.Column("target", _words),
        sa.Column("type", _words),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", _words),
        sa.Column("started_at", _words),
        sa.Column("completed_at", _words),
        sa.Column("risk_score", sa.Double),
        sa.Column("estimated_s", sa.BigInteger),
        sa.Column("counts", sa.Text),
        sa.Column("raw", sa.Text),
        sa.Column("stored_at", _words, nullable=False),
        sa.Column("series", sa.String(32), nullable=False),
        sa.Column("over_s", sa.Double, nullable=False),
        sa.Column("began_s", sa.Double, nullable=False),
    )
    op.create_index("scan_by_id", "scan", ["id", "provider"], unique=True)
    op.create_index("scan_by_series", "scan", ["series", "status", "over_s"])
    op.create_index("scan_by_age", "scan", ["began_s", "number"])


def _make_finding() -> None:
    op.create_table(
        "finding",
        sa.Column("scan_number", sa.BigInteger, sa.ForeignKey("scan.number"), nullable=False),
        sa.Column("id", _words, nullable=False),
        sa.Column("severity_rank", sa.SmallInteger, nullable=False),
        sa.Column("title", _words, nullable=False),
        sa.Column("description", _words, nullable=False),
        sa.Column("asset", _words, nullable=False),
        sa.Column("port", sa.BigInteger),
        sa.Column("cve", sa.Text, nullable=False),
        sa.Column("cvss", sa.Double),
        sa.Column("remediation", sa.Text),
        sa.Column("raw", sa.Text),
        sa.Column("fingerprint", sa.String(32), nullable=False),
        sa.Column("first_seen", _words, nullable=False),
        sa.PrimaryKeyConstraint("scan_number", "id"),
    )
    op.create_index("finding_by_scan", "finding", ["scan_number", "fingerprint"])
    op.create_index("finding_by_fingerprint", "finding", ["fingerprint", "first_seen"])
    op.create_index("finding_by_severity", "finding", ["severity_rank", "first_seen"])


def _make_event() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("provider", _words, nullable=False),
        sa.Column("event", _words, nullable=False),
        sa.Column("timestamp", _words),
        sa.Column("received_at", _words, nullable=False),
        sa.Column("scan", _words),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("arrival", sa.BigInteger, nullable=False),
    )
    op.create_index("event_by_arrival", "event", ["arrival"])
    op.create_index("event_by_scan", "event", ["scan", "arrival"])
