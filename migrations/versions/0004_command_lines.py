"""Command lines that were stored in clear are forgotten; the next scrape stores those of running processes anew.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-30
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("PRAGMA secure_delete = ON")  # else they stay in the file, in space that is free
    op.execute("UPDATE process SET command = ''")


def downgrade() -> None:
    """Nothing is to be had back."""
