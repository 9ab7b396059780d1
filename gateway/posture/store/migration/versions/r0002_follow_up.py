"""What follows from events and findings: work on events, onboarding, notices, records of actions.

Events that are there already have not been worked on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _extend_event()
    op.create_table(
        "onboarding",
        sa.Column("domain", _words, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
    )
    _make_notice()
    op.create_table(
        "action_record",
        sa.Column("number", _number, primary_key=True),
        sa.Column("record", sa.Text, nullable=False),
    )


def _extend_event() -> None:
    op.add_column("event", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("event", sa.Column("handled_at", _words))
    op.add_column("event", sa.Column("error", _words))
    unhandled = sa.text("handled_at IS NULL")
    op.create_index("event_unhandled", "event", ["arrival"], sqlite_where=unhandled, postgresql_where=unhandled)


def _make_notice() -> None:
    op.create_table(
        "notice",
        sa.Column("number", _number, primary_key=True),
        sa.Column("id", _words, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_s", sa.Double, nullable=False),
        sa.Column("done_at", _words),
        sa.Column("error", _words),
    )
    op.create_index("notice_by_id", "notice", ["id"], unique=True)
    waiting = sa.text("done_at IS NULL")
    op.create_index("notice_due", "notice", ["due_s"], sqlite_where=waiting, postgresql_where=waiting)
