"""Migrations: one head, up and down and up again, and no difference to the models afterwards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app import models
from app.db import Base
from app.db_migrate import current, downgrade, head, upgrade


def test_up_down_up(empty_database_url: str) -> None:
    assert models.Purchase.__tablename__ in Base.metadata.tables
    upgrade(empty_database_url)
    downgrade(empty_database_url)
    upgrade(empty_database_url)
    engine = sa.create_engine(empty_database_url)
    assert current(engine) == head()
    engine.dispose()


def test_models_and_migrations_agree(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()
