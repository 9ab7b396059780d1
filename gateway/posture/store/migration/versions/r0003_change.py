"""How often scans and findings changed, so that who watches them need not read them to find out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "change",
        sa.Column("of", sa.String(16), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
