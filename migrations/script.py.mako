"""${message}

Rules: works with the previous release's code (add, then use, then remove); no long lock on a big table (add columns
without volatile defaults, create indexes concurrently in a migration of their own); up, down, up must work.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
