"""Alembic's entry. Lock and statement time-outs keep a migration from blocking a running service."""

import sqlalchemy as sa
from alembic import context

from app import models  # noqa: F401 - fills the metadata
from app.db import Base

engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=sa.NullPool)
with engine.connect() as connection:
    connection.execute(sa.text("SET lock_timeout = '5s'"))
    connection.execute(sa.text("SET statement_timeout = '10min'"))
    connection.commit()
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
