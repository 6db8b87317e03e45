import sqlalchemy as sa
from alembic import op

from homedex.storage import UtcDateTime

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table(
        "devices",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False, unique=True),
        sa.Column("area", sa.String()),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "entities",
        sa.Column("entity_id", sa.String(), primary_key=True),
        sa.Column("device_id", sa.Integer(), sa.ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
    )
