"""Which database server this is, as SQL, to compare with what `instance` notes of the last start."""

from __future__ import annotations

import sqlalchemy as sa

SYSTEM = sa.literal_column("(SELECT system_identifier::text FROM pg_control_system())", sa.Text())
"""Made by initdb, the same on all copies of a server."""
TIMELINE = sa.literal_column("('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int", sa.Integer())
"""Of what is being written: a promotion changes it at once, the control file only shows it after a checkpoint.

A server in recovery raises here; it refuses what is locked or written before anybody asks.
"""
